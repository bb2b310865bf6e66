"""
Getting sources: what the steps for all kinds of repositories share.

A step decides on branch and revision, gets them, sets the properties, and applies the patch of the request::

    wanted ─► get ─► (copy) ─► got_revision ─► (patch)
       ^       |
       '-------'  after a failure, as often as *retry* says

A subclass defines ``wanted``, ``get`` and ``apply``, and may explain in ``why_not_applied`` why a patch failed.
"""

import re
from collections.abc import Sequence
from posixpath import relpath
from typing import Any, ClassVar

from ...errors import InputError
from ...model import spec
from ...model.names import REF
from ...model.outcome import Ending
from ...model.results import Result
from ...model.source_stamps import PatchPlace, patch_place
from ...model.spec import DEFAULT_TIMEOUT, SECRET_REFERENCE
from ...model.urls import same_host, split_url, without_passwords
from ..config.arguments import ArgumentChecker
from ..slaves.command_streams import Source
from . import argument_checks as checks
from .argument import argument, ignored
from .context import CommandResult
from .git_credentials import web_host
from .outcomes import CommandFailedError, complaint_of, must_succeed, result_of
from .step import BuildStep

KEPT = "source"
"""The directory beside the build's in which methods that copy keep a checkout."""


def ref(checker: ArgumentChecker, name: str, value: Any) -> str:
    """
    The name of a branch, tag or commit.
    """
    if isinstance(value, str) and REF.match(value):
        return value
    checker.wrong(name, value, "the name of a branch, tag or commit")
    return "HEAD"


def retry(checker: ArgumentChecker, name: str, value: Any) -> tuple[float, int]:
    """
    A pair: seconds to wait, and how many times to try again.
    """
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        checker.wrong(name, value, "a pair: seconds to wait, and how many times to try again")
        return 0.0, 0
    return checker.seconds(f"the first of {name}", value[0]), checker.whole(f"the second of {name}", value[1])


def credentials(checker: ArgumentChecker, name: str, value: Any) -> tuple[str, str]:
    """
    A pair: user and password.
    """
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        checker.note(f"{name} must be a pair: user and password.")  # without the value, which may be a secret
        return "", ""
    user, password = value
    if _has_line_break(value):
        checker.note(f"{name}: user and password must not have a line break in them.")
        return "", ""
    return checks.text(checker, f"the user of {name}", user), checks.text(checker, f"the password of {name}", password)


def _has_line_break(texts: Sequence[Any]) -> bool:
    # The rest would be read as another line of a configuration file, or of an answer to git.
    return any("\n" in each or "\r" in each for each in texts if isinstance(each, str))


def check_repository(checker: ArgumentChecker, repourl: Any, auth_credentials: tuple[str, str] | None) -> None:
    """
    Refuse an address that a program could read as an option, and a password that other users could read.
    """
    if not isinstance(repourl, str):
        return
    _, in_url, token = split_url(repourl)
    if SECRET_REFERENCE.search(repourl):
        checker.note("repourl has a secret in it.  Use auth_credentials instead.")
    elif _has_line_break((*(in_url or ()), token)):
        checker.note("repourl has a line break in its user or password.")
    elif repourl.startswith("-"):
        checker.wrong("repourl", repourl, "the address of a repository")
    elif auth_credentials is not None and web_host(repourl) is None:
        shown = without_passwords(repourl)
        checker.note(f"auth_credentials are for a repository at https://, and this one is {shown!r:.200}.")
    elif auth_credentials is not None and in_url is not None:
        checker.note("repourl has a user and a password in it, and there are auth_credentials.  Give one of them.")


def with_branch(address: str, branch: str | None) -> str:
    """
    *address* with *branch* appended; `CommandFailedError` if that changes the host, which would get the credentials.
    """
    url = address + (branch or "")
    if not same_host(url, address):
        shown = without_passwords(address)
        raise CommandFailedError(Result.FAILURE, f"No branch can be appended to {shown}: end it with a slash.")
    return url


class SourceStep(BuildStep):
    """
    The base of steps that check out sources.  Its failure ends the build.

    *workdir*: relative to the builder's directory, default "build".
    *alwaysUseLatest*: ignore the request's revision; default False.
    *codebase*: the step uses the request's source stamp for this codebase; default "", for which it also uses the
    properties "branch" and "revision".
    *retry*: ``(seconds, times)``: how long to wait after a failure, and how often to try again; default None: never.
    *env*: variable → text to add to the slave's environment, None removes it.
    *timeout*: seconds without output after which a command is killed, default 1200; None: never.

    A patch that was submitted with the request is applied.

    Without effect: *logEnviron* and *lazylogfiles*.
    """

    haltOnFailure = True
    applies_patch = True

    workdir = argument(checks.slave_path, default=None)
    retry = argument(retry, default=None)
    alwaysUseLatest = argument(checks.flag, default=False)
    codebase = argument(checks.text, default="")
    env = argument(checks.environment, default=None)
    timeout = argument(checks.seconds, default=DEFAULT_TIMEOUT, nullable=True)
    logEnviron = ignored()
    lazylogfiles = ignored()

    # `Git` has arguments of these names.
    retryFetch: Any = False
    clobberOnFailure: Any = False

    how_to_diff: ClassVar[str]
    """The command that makes a patch which the step can apply."""

    @property
    def way(self) -> str:
        """
        "incremental", or the method of a full checkout.
        """
        raise NotImplementedError

    def wanted(self) -> tuple[str | None, str | None]:
        """
        The branch and the revision to check out; `InputError` if those of the request are not valid names.
        """
        raise NotImplementedError

    async def get(self, branch: str | None, revision: str | None, *, clobber: bool) -> str:
        """
        Check out *revision* of *branch*, and return the full name of the revision; `CommandFailedError` if it fails.
        *clobber*: remove the directory first.
        """
        raise NotImplementedError

    async def apply(self, patch: Source, place: PatchPlace) -> CommandResult:
        """
        Apply *patch* to the checkout at *place*.
        """
        raise NotImplementedError

    def why_not_applied(self, ran: CommandResult, revision: str) -> str:
        """
        The summary of the step when `apply` failed with the output of *ran*.
        """
        return (
            f"The submitted patch does not apply to revision {revision[:12]}: {complaint_of(ran)}.  Send the output "
            f"of: {self.how_to_diff}"
        )

    async def described(self) -> str:
        """
        The value of the property "commit-description"; if it is empty, the property is not set.
        """
        return ""

    async def run(self) -> Result:
        """
        Get the sources, and try again after failures as *retry* and *clobberOnFailure* say.
        """
        try:
            branch, revision = self.wanted()
        except InputError as error:
            return self.fail(str(error))
        pause, left = self.retry or (0, int(self.retryFetch))
        clobber = self.way == "clobber"
        while True:
            try:
                return await self._finish(await self.get(branch, revision, clobber=clobber))
            except CommandFailedError as failed:
                if failed.result is not Result.FAILURE:
                    return self.fail(failed.sentence, failed.result)
                if self.clobberOnFailure and not clobber:
                    clobber = True
                    self.bench.remark(f"{failed.sentence}  Trying again with an empty directory.")
                elif left > 0:
                    left -= 1
                    self.bench.remark(f"{failed.sentence}  Trying again in {pause:g} s.")
                    await self.execute(["sleep", f"{pause:g}"], workdir=".", timeout=None)
                else:
                    return self.fail(failed.sentence)

    # For subclasses.

    def requested(self, name: str, default: str | None, pattern: re.Pattern[str] = REF) -> str | None:
        """
        The request's branch or revision (*name*), or else *default*; `InputError` if it does not match *pattern*.
        """
        stamp = self.bench.view.sources.get(self.codebase, {})
        value = stamp.get(name) or (self.getProperty(name) if not self.codebase else None)
        if not value:
            return default
        if not isinstance(value, str) or not pattern.match(value):
            raise InputError(f"The request's {name} is {value!r:.200}, which is not a valid name for one.")
        return value

    def set_of_codebase(self, name: str, value: str) -> None:
        """
        Set a property; with a codebase, it is a dictionary with a value for each.
        """
        others = self.getProperty(name)
        found = {**(others if isinstance(others, dict) else {}), self.codebase: value} if self.codebase else value
        self.setProperty(name, found)

    async def slave_does(self, what: spec.Spec) -> None:
        """
        Have the slave do *what*; `CommandFailedError` if it fails.
        """
        result, sentence = result_of((await self.do(what)).outcome, self.slave_name)
        if result is not Result.SUCCESS:
            raise CommandFailedError(result, sentence)

    async def fill_build(self, command: Sequence[str]) -> None:
        """
        Empty the build's directory, and fill it with *command*, which runs in the builder's directory and gets the path
        of the build's directory as its last word.
        """
        build = self.workdir_path(self.workdir)
        await self.slave_does(spec.RemoveDirectory(build))
        await self.slave_does(spec.MakeDirectory(build))
        target = relpath(build, self.bench.directory)
        ran = await self.execute([*command, f"{target}/"], workdir=".", timeout=self.timeout)
        must_succeed(ran, f"{self.slave_name} could not copy the sources", self.slave_name)

    async def _finish(self, revision: str) -> Result:
        """
        Set the properties and the summary, and apply the patch submitted with the request.
        """
        self.set_of_codebase("got_revision", revision)
        if description := await self.described():
            self.set_of_codebase("commit-description", description)
        self.summary = f"revision {revision[:12]}"
        place = patch_place(self.bench.view.sources, self.codebase)
        if place is not None and (patch := self.bench.input("patch")) is not None:
            return await self._apply(patch[0], place, patch[1], revision)
        return Result.SUCCESS

    async def _apply(self, patch: Source, place: PatchPlace, size: int, revision: str) -> Result:
        if size == 0:
            return self.fail(f"The submitted patch is empty.  Send the output of: {self.how_to_diff}")
        ran = await self.apply(patch, place)
        result, sentence = result_of(ran.outcome, self.slave_name)
        if result is Result.SUCCESS:
            self.summary += " with the submitted patch"
            return result
        if ran.outcome.ending is not Ending.EXITED:
            return self.fail(sentence, result)
        return self.fail(self.why_not_applied(ran, revision))
