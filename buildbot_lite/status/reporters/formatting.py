"""
Texts of messages: subject and body, from templates or functions.

Templates are Jinja2's, in its sandbox (https://jinja.palletsprojects.com/en/stable/sandbox/); the names in them are
those of Buildbot's ``MessageFormatter`` where there is the same thing here.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from attrs import frozen

from ...errors import ConfigError
from ...master.config.argument_fit import NotingType
from ...master.config.arguments import ArgumentChecker
from ...master.config.buildbot_words import argument_of
from ...master.config.executed_line import current_line
from ...master.config.mistakes import remark
from ...model.rendering import render
from ...model.results import Result
from ...model.user_functions import error_text, limited
from .details import BuildDetails

LONGEST_BODY = 1 << 20
LONGEST_SUBJECT = 200
TYPES = ("plain", "html", "json")

DEFAULT_SUBJECT = "{{ summary_of_all }}: {{ buildername }} of {{ title }}"
DEFAULT_TEMPLATE = """\
{% for build in builds %}\
The build {{ build.label }} of {{ title }} {{ build.summary }}.
{% if build.url %}{{ build.url }}
{% endif %}\
slave: {{ build.workername }}
why: {{ build.reason }}
{% if build.revision %}revision: {{ build.branch or "" }} {{ build.revision }}
{% endif %}\
{% for change in build.changes %}\
change: {{ change.author }}: {{ change.comments.split("\\n")[0] }}
{% endfor %}\
{% if build.tail %}
The last lines of {{ build.failed_step }}:

{{ build.tail }}
{% endif %}
{% endfor %}"""


@cache
def _environment(*, html: bool) -> Any:
    # Imported by the first reporter only: a master without one starts faster.
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(autoescape=html, keep_trailing_newline=True)


@frozen
class Message:
    """
    The text of a message.  *type*: one of `TYPES`.
    """

    subject: str
    body: Any
    type: str = "plain"


def context_of(builds: Sequence[BuildDetails], mode: Sequence[str], extra: Mapping[str, Any]) -> dict[str, Any]:
    """
    The names in a template for a message about *builds*, of one buildset.
    """
    first = builds[0]
    result = first.build.result
    documents = [_of_build(each) for each in builds]
    return {
        "builds": documents,
        "build": documents[0],
        "buildername": first.build.builder,
        "workername": first.build.slave,
        "slavename": first.build.slave,
        "results": None if result is None else int(result),
        "result_names": [each.name.lower() for each in Result],
        "previous_results": None if first.previous is None else int(first.previous),
        "mode": list(mode),
        "status_detected": first.summary,
        "summary": first.summary,
        "summary_of_all": first.summary if len(builds) == 1 else _of_all(builds),
        "build_url": first.url,
        "buildbot_url": first.farm.url,
        "buildbot_title": first.farm.title,
        "title": first.farm.title,
        "projects": first.buildset.source.get("project") or first.farm.title,
        "blamelist": first.owners(),
        "sourcestamps": [dict(first.buildset.source)],
        "buildset": {"bsid": first.buildset.id, "reason": first.buildset.reason, "scheduler": first.buildset.scheduler},
        **extra,
    }


def _of_all(builds: Sequence[BuildDetails]) -> str:
    bad = [each for each in builds if each.build.result not in {Result.SUCCESS, Result.WARNINGS, Result.SKIPPED}]
    return f"{len(bad)} of {len(builds)} builds failed" if bad else f"{len(builds)} builds succeeded"


def _of_build(details: BuildDetails) -> dict[str, Any]:
    row = details.build
    step = details.failed_step
    return {
        **details.document(),
        "label": details.label,
        "workername": row.slave,
        "results": None if row.result is None else int(row.result),
        "state_string": details.summary,
        "reason": details.buildset.reason,
        "revision": details.revision,
        "branch": details.view.getProperty("branch"),
        "failed_step": step.name if step else "",
        "tail": details.tail,
    }


class MessageFormatter(metaclass=NotingType):
    """
    Subject and body from templates.

    *template*, *subject*: Jinja2 texts; None: the farm's own.  *template_type*: "plain" or "html".  *ctx*: more names.
    """

    def __init__(
        self,
        template: Any = None,
        subject: Any = None,
        template_type: Any = "plain",
        ctx: Any = None,
        want_properties: Any = True,
        want_steps: Any = True,
        want_logs: Any = False,
        want_logs_content: Any = False,
    ) -> None:
        self.place = current_line(self)
        arguments = ArgumentChecker(type(self).__name__, self)
        self.type = arguments.choice("template_type", template_type, ("plain", "html"))
        self._body = _rendering(arguments, "template", template, DEFAULT_TEMPLATE, html=self.type == "html")
        self._subject = _rendering(arguments, "subject", subject, DEFAULT_SUBJECT)
        self._extra = arguments.properties("ctx", {} if ctx is None else ctx)

    async def message(self, builds: Sequence[BuildDetails], mode: Sequence[str]) -> Message:
        """
        The message about *builds*; `ConfigError` when a template fails.
        """
        context = context_of(builds, mode, self._extra)
        try:
            subject, body = self._subject(context), self._body(context)
        except Exception as error:
            raise ConfigError(f"A template of a reporter failed: {error_text(error)}") from error
        return Message(subject[:LONGEST_SUBJECT], body[:LONGEST_BODY], self.type)


class MessageFormatterRenderable(metaclass=NotingType):
    """
    Body and subject from renderables, like `Interpolate`, of the first build.
    """

    def __init__(self, template: Any, subject: Any = None) -> None:
        self.place = current_line(self)
        self._template = template
        self._subject = subject

    async def message(self, builds: Sequence[BuildDetails], mode: Sequence[str]) -> Message:
        """
        The message about *builds*; `BuildbotLiteError` when a renderable fails.
        """
        first = builds[0]
        body = await render(self._template, first.view)
        subject = await render(self._subject, first.view)
        return Message(str(subject or first.summary)[:LONGEST_SUBJECT], str(body)[:LONGEST_BODY])


class MessageFormatterFunction(metaclass=NotingType):
    """
    The body from *function*, which gets a dictionary with ``build``, as `MessageFormatter` has it; it may be async.

    *template_type*: "plain", "html" or "json".  Other arguments have no effect.
    """

    def __init__(
        self,
        function: Any,
        template_type: Any = "plain",
        want_properties: Any = True,
        want_steps: Any = True,
        want_logs: Any = False,
        want_logs_content: Any = False,
        **others: Any,
    ) -> None:
        self.place = current_line(self)
        for name in others:
            word = argument_of([MessageFormatterFunction.__name__], name)
            unknown = f"MessageFormatterFunction has no argument {name!r:.80}; it has no effect."
            remark(unknown if word is None else word.sentence, of=self)
        arguments = ArgumentChecker(type(self).__name__, self)
        self._function = arguments.function("function", function)
        self.type = arguments.choice("template_type", template_type, TYPES)

    async def message(self, builds: Sequence[BuildDetails], mode: Sequence[str]) -> Message:
        """
        The message about *builds*; `ConfigError` when the function fails.
        """
        assert self._function is not None
        try:
            message = self._function(context_of(builds, mode, {}))
            body = await message if inspect.isawaitable(message) else message
        except Exception as error:
            raise ConfigError(f"A function of a reporter failed: {error_text(error)}") from error
        return Message(builds[0].summary, body if self.type == "json" else str(body)[:LONGEST_BODY], self.type)


Formatter = MessageFormatter | MessageFormatterRenderable | MessageFormatterFunction
FORMATTERS = (MessageFormatter, MessageFormatterRenderable, MessageFormatterFunction)


def _rendering(
    arguments: ArgumentChecker, name: str, template: Any, default: str, *, html: bool = False
) -> Callable[..., Any]:
    from jinja2 import TemplateError

    environment = _environment(html=html)
    text = default if template is None else arguments.text(name, template)
    try:
        compiled = environment.from_string(text)
    except TemplateError as error:
        arguments.note(f"{name} is no template: {error}")
        compiled = environment.from_string("")
    return limited(compiled.render, name)


def formatter_of(
    arguments: ArgumentChecker, value: Any, default: Callable[[], Formatter], name: str = "message_formatter"
) -> Formatter:
    """
    *value*, the argument *name*, if it is a formatter; *default* for None.
    """
    if isinstance(value, FORMATTERS):
        return value
    if value is not None:
        arguments.wrong(name, value, 'a MessageFormatter, or MessageFormatterFunction(function, "plain")')
    return default()
