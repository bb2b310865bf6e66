"""
The webhooks that the farm accepts: ``change_hook_dialects`` in c['www'].
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from ...errors import WebhookError
from ...model.suggestions import did_you_mean
from ...model.webhook import DIALECTS
from .arguments import ArgumentChecker
from .change_fields import remark_if_unbuilt
from .mistakes import remark
from .placeholders import is_placeholder

HOOKS = "change_hook_dialects"
SKIPS = (r"\[ *skip *ci *\]", r"\[ *ci *skip *\]")
MOST_PATTERNS = 50
PULL_REQUEST_REFS = ("merge", "head")

_ALIASES = {"bitbucketcloud": "bitbucket", "forgejo": "gitea"}
_UNSIGNED = "Its requests are not signed, so that anybody could send them."
_NOT_HERE = {
    "base": f"{_UNSIGNED}  Use buildbot-lite sendchange, or a string of: buildbot-lite grant change REPOSITORY",
    "poller": f"{_UNSIGNED}  A string of buildbot-lite grant change REPOSITORY has pollers of REPOSITORY poll.",
    "gitorious": _UNSIGNED,
    "bitbucketserver": "Poll the repository, or give its hook a string of: buildbot-lite grant change REPOSITORY",
}


@frozen(kw_only=True)
class HookDialect:
    """
    The webhooks of one forge.

    *name*: the dialect.  *secret*: a `Secret` or a text, with which requests are authenticated.  *codebase*: the
    codebase of the changes, or a function of the payload that returns it.  *skips*: regular expressions; a push is
    ignored if the message of its newest commit matches one.  *pull_request_ref*: which ref of a pull request is built:
    "merge" or "head".  *property_whitelist*: patterns of the fields of a pull request that become properties.
    *only_push_commit*: whether only the newest commit of a push becomes a change.
    """

    name: str
    secret: Any
    codebase: str | Callable[[Any], Any] = ""
    skips: tuple[str, ...] = SKIPS
    pull_request_ref: str = "merge"
    property_whitelist: tuple[str, ...] = ()
    only_push_commit: bool = False

    def codebase_of(self, payload: Mapping[str, Any]) -> str:
        """
        The codebase of the changes in *payload*; `WebhookError` if the function of master.cfg fails.
        """
        if isinstance(self.codebase, str):
            return self.codebase
        try:
            codebase = self.codebase(payload)
        except Exception as error:  # noqa: BLE001 - code of master.cfg
            raise WebhookError(503, f"The codebase function in master.cfg failed: {type(error).__name__}.") from None
        if isinstance(codebase, str):
            return codebase
        raise WebhookError(503, "The codebase function in master.cfg must return text.")


def checked_dialects(checker: ArgumentChecker, name: str, dialects: Any) -> dict[str, HookDialect]:
    """
    Check the entry *name* of c['www']; return name → dialect.
    """
    if not isinstance(dialects, Mapping):
        checker.wrong(name, dialects, 'a dictionary like {"github": {"secret": util.Secret("github")}}')
        return {}
    hooks = (_dialect(checker, str(called), options) for called, options in dialects.items() if options is not False)
    return {each.name: each for each in hooks if each is not None}


def _dialect(checker: ArgumentChecker, called: str, options: Any) -> HookDialect | None:
    name = _ALIASES.get(called, called)
    if name in _NOT_HERE:
        checker.note(f"{HOOKS}: {called!r} is not supported.  {_NOT_HERE[name]}")
        return None
    if name not in DIALECTS:
        checker.note(f"{HOOKS}: there is no dialect {called!r:.60}.{did_you_mean(called, DIALECTS)}")
        return None
    if is_placeholder(options):
        return None
    options = {} if options in (True, None) else options
    if not isinstance(options, Mapping):
        checker.wrong(f"{HOOKS}[{called!r}]", options, 'a dictionary like {"secret": util.Secret("…")}')
        return None
    inner = ArgumentChecker(f"c['www'][{HOOKS!r}][{called!r}]", place=checker.place)
    accepted = {
        field: check(inner, key, options[key])
        for key, (field, check, of) in _OPTIONS.items()
        if name in of and key in options and not is_placeholder(options[key])
    }
    names = [key for key, (_, _, of) in _OPTIONS.items() if name in of]
    for key in options:
        if key in _HANDLERS:
            if options[key] is not None and not is_placeholder(options[key]):
                inner.note(
                    f"{key}: payloads are read by the farm's own code.  Leave it out, and choose with skips, codebase "
                    "and the change_filter of a scheduler."
                )
        elif key in _IGNORED:
            remark(f"{inner.owner}: {key} has no effect here: {_IGNORED[key]}", checker.place)
        elif key not in ("secret", *names):
            inner.note(f"there is no option {str(key)!r:.60}.{did_you_mean(str(key), ['secret', *names])}")
    return HookDialect(name=name, secret=_secret(inner, options.get("secret")), **accepted)


def _secret(checker: ArgumentChecker, value: Any) -> Any:
    if value is None:
        checker.note(
            'give the secret of the webhook as "secret": util.Secret("…"): without it, anybody could send changes.'
        )
        return ""
    return checker.secret("secret", value)


def _patterns(checker: ArgumentChecker, name: str, value: Any) -> tuple[str, ...]:
    patterns = checker.texts(name, value)
    if len(patterns) > MOST_PATTERNS:
        checker.note(f"{name} has more than {MOST_PATTERNS} patterns.")
    return patterns[:MOST_PATTERNS]


def _expressions(checker: ArgumentChecker, name: str, value: Any) -> tuple[str, ...]:
    patterns = _patterns(checker, name, value)
    for each in patterns:
        try:
            re.compile(each)
        except re.error as error:
            checker.note(f"{name}: {each!r:.60} is not a regular expression: {error}.")
            return ()
    return patterns


def _codebase(checker: ArgumentChecker, name: str, value: Any) -> Any:
    if value is None:
        return ""
    if callable(value):
        return checker.function(name, value)
    remark_if_unbuilt(checker, value)
    return checker.text(name, value)


_ALL = tuple(DIALECTS)
# Option → the field of `HookDialect`, its check, and the dialects that have it.
_OPTIONS: Mapping[str, tuple[str, Callable[[ArgumentChecker, str, Any], Any], tuple[str, ...]]] = {
    "codebase": ("codebase", _codebase, _ALL),
    "skips": ("skips", _expressions, ("github",)),
    "pullrequest_ref": (
        "pull_request_ref",
        lambda checker, name, value: checker.choice(name, value, PULL_REQUEST_REFS),
        ("github",),
    ),
    "github_property_whitelist": ("property_whitelist", _patterns, ("github",)),
    "bitbucket_property_whitelist": ("property_whitelist", _patterns, ("bitbucket",)),
    "onlyIncludePushCommit": (
        "only_push_commit",
        lambda checker, name, value: checker.flag(name, value),
        ("gitea",),
    ),
}
_HANDLERS = ("class", "custom_class")
_IGNORED = {
    "strict": "every request must prove the secret.",
    "token": "nothing is asked of the forge.",
    "github_api_endpoint": "nothing is asked of the forge.",
    "debug": "refusals are in the web process's log.",
    "verify": "nothing is asked of the forge.",
}
