"""
Getting sources.

`Git` never clones.  In a new or existing directory it makes a repository if there is none, fetches only the wanted
revision, and checks it out::

    (remove) ─► get ─► (pack) ─► (copy) ─► (patch)

The sequence is the same for a directory that is missing, empty, used before, or half made by a lost build.
`git_commands` has the commands of each arrow, `git_credentials` the secrets for the arrow that connects to the
repository.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from posixpath import relpath
from typing import Any

from ...errors import InputError
from ...model import spec
from ...model.outcome import Ending
from ...model.results import Result
from ...model.spec import DEFAULT_TIMEOUT, SECRET_REFERENCE
from ...model.urls import split_url, without_passwords
from ..config.arguments import ArgumentChecker
from ..slaves.command_streams import Source
from . import argument_checks as checks
from .argument import argument, ignored
from .git_commands import (
    GitFailedError,
    Repository,
    complaint,
    must_succeed,
)
from .git_credentials import remote_access, web_host
from .outcomes import result_of
from .step import BuildStep, CommandResult

__all__ = ["Gerrit", "Git", "GitHub"]

_REF = re.compile(r"(?![-/])(?!.*(?:\.\.|@\{|//))[^\x00-\x20\x7f~^:?*\[\\]{1,250}(?<![/.])\Z")
_NO_PATCH = re.compile(r"No valid patches|unrecognized input", re.IGNORECASE)
_COPY_FROM = "source"
_DESCRIBE = {
    "match", "exclude", "all", "tags", "exact-match", "first-parent", "abbrev", "candidates", "long", "always",
    "contains", "debug", "dirty",
}  # fmt: skip


def _depth(checker: ArgumentChecker, name: str, value: Any) -> bool | int:
    return value if isinstance(value, bool) else checker.whole(name, value, least=1)


def _retry(checker: ArgumentChecker, name: str, value: Any) -> tuple[float, int]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        checker.wrong(name, value, "a pair: seconds to wait, and how many times to try again")
        return 0.0, 0
    return checker.seconds(f"the first of {name}", value[0]), checker.whole(f"the second of {name}", value[1])


def _credentials(checker: ArgumentChecker, name: str, value: Any) -> tuple[str, str]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        checker.note(f"{name} must be a pair: user and password.")  # without the value, which may be a secret
        return "", ""
    user, password = value
    return checks.text(checker, f"the user of {name}", user), checks.text(checker, f"the password of {name}", password)


def _description(checker: ArgumentChecker, name: str, value: Any) -> bool | list[str]:
    """
    True, or options of ``git describe``, which become its words.
    """
    if not isinstance(value, Mapping):
        return value if isinstance(value, list) else checker.flag(name, value)
    words = []
    for key, item in value.items():
        if key not in _DESCRIBE:
            checker.note(f"{name}: {key!r:.60} is no option of git describe; there are {', '.join(sorted(_DESCRIBE))}.")
        elif item is True:
            words.append(f"--{key}")
        elif item is not False and item is not None:
            words.append(f"--{key}={checks.words(checker, f'{name}[{key!r}]', item)}")
    return words


def _ref(checker: ArgumentChecker, name: str, value: Any) -> str:
    if isinstance(value, str) and _REF.match(value):
        return value
    checker.wrong(name, value, "the name of a branch, tag or commit")
    return "HEAD"


class Git(BuildStep):
    """
    Check out sources with git.  The property *got_revision* gets the full hash of what was checked out.

    *repourl*: the repository: ``https://…``, ``ssh://…``, ``user@host:path``, ``file:///…`` or a path on the slave.  A
    password in it, or a token as in ``https://TOKEN@host``, is never shown, and not kept on the slave.
    *branch*: branch, tag or full ref; default: the one of the request, or else the repository's own (HEAD).
    *revision*: the commit or tag; default: the one of the request, or else the newest of the branch.
    The request's are those of its source stamp for *codebase* (default ""), or its properties "branch" and "revision";
    with *alwaysUseLatest* (default False) its revision is ignored.

    *mode*: "incremental" (default) leaves behind what earlier builds made; "full" does not, by *method*:
    "fresh" (default for full): removes every file that is not in the repository;
    "clean": removes those, except what ``.gitignore`` names;
    "clobber": removes the whole directory first, and fetches everything again;
    "copy": keeps a directory "source" beside the build's, and makes the build's a new copy of it.
    The modes of Buildbot 0.8: "update" is incremental, "copy" and "clobber" are full with that method.

    *workdir*: relative to the builder's directory, default "build".
    *shallow*: True for the newest commit only, or how many commits; default False: the whole history.
    *submodules*: also check out submodules, recursively; default False.
    *progress*: have git report its progress in the log, which also keeps *timeout* from striking; default True.
    *retry*: ``(seconds, times)``: when it fails, wait and try again; default None.  *retryFetch*: once more, at once.
    *tags*: fetch all tags, not only those of the history; default False.
    *getDescription*: True, or a dictionary of options of ``git describe``: what it says becomes the property
    "commit-description"; nothing does when it finds no name.
    *clobberOnFailure*: when it fails, remove the directory and try once more from nothing; default False.
    *config*: a dictionary of git settings for these commands, like ``{"http.sslVerify": "true"}``.
    *env*: variable → text to add to the slave's environment, None removes it.
    *timeout*: seconds without output after which a command is killed, default 1200; None: never.

    *sshPrivateKey*: the private key for ssh, usually a ``util.Secret``.  *sshHostKey*: the repository host's public key
    (as in ``ssh-rsa AAAA…``), or *sshKnownHosts*: lines of a known_hosts file; without them the slave's own count.
    *auth_credentials*: ``(user, password)`` for a repository at https://, usually ``("x", util.Secret("token"))``.
    They are for the repository's host alone, and are nowhere after the command.

    A patch that was submitted with the request is applied (``git apply --index -p1``).  Git never prompts: without
    permission to read a repository, the step fails.

    Without effect: *logEnviron* and *lazylogfiles*.
    """

    name = "git"
    haltOnFailure = True
    applies_patch = True

    repourl = argument(checks.word, positional=True)
    branch = argument(_ref, default=None)
    revision = argument(_ref, default=None)
    mode = argument(checks.choice("incremental", "full", "update", "copy", "clobber"), default="incremental")
    method = argument(checks.choice("fresh", "clean", "clobber", "copy"), default=None)
    workdir = argument(checks.path, default=None)
    shallow = argument(_depth, default=False)
    submodules = argument(checks.flag, default=False)
    progress = argument(checks.flag, default=True)
    retry = argument(_retry, default=None)
    retryFetch = argument(checks.flag, default=False)
    tags = argument(checks.flag, default=False)
    getDescription = argument(_description, default=False)
    clobberOnFailure = argument(checks.flag, default=False)
    alwaysUseLatest = argument(checks.flag, default=False)
    codebase = argument(checks.text, default="")
    config = argument(checks.environment, default=None)
    env = argument(checks.environment, default=None)
    timeout = argument(checks.seconds, default=DEFAULT_TIMEOUT, nullable=True)
    sshPrivateKey = argument(checks.word, default=None)
    sshHostKey = argument(checks.word, default=None)
    sshKnownHosts = argument(checks.word, default=None)
    auth_credentials = argument(_credentials, default=None)
    logEnviron = ignored()
    lazylogfiles = ignored()

    def check(self, checker: ArgumentChecker) -> None:
        """
        Refuse arguments that exclude each other.
        """
        if self.method is not None and self.mode in {"copy", "clobber"}:
            checker.note(f'method is for mode="full", and the mode is {self.mode!r}.')
        if self.sshHostKey is not None and self.sshKnownHosts is not None:
            checker.note("sshHostKey and sshKnownHosts exclude each other.")
        if not isinstance(self.repourl, str):
            return
        if SECRET_REFERENCE.search(self.repourl):
            checker.note("repourl has a secret in it.  Use auth_credentials instead.")
        elif self.repourl.startswith("-"):
            checker.wrong("repourl", self.repourl, "the address of a repository")
        elif self.auth_credentials is not None and web_host(self.repourl) is None:
            shown = without_passwords(self.repourl)
            checker.note(f"auth_credentials are for a repository at https://, and this one is {shown!r:.200}.")
        elif self.auth_credentials is not None and split_url(self.repourl).credentials is not None:
            checker.note("repourl has a user and a password in it, and there are auth_credentials.  Give one of them.")

    async def run(self) -> Result:
        """
        Get the sources; after a failure again, as *retry* and *clobberOnFailure* say.
        """
        try:
            branch, revision = self._wanted()
        except InputError as error:
            return self.fail(str(error))
        pause, left = self.retry or (0, int(self.retryFetch))
        clobber = self._way == "clobber"
        while True:
            try:
                return await self._finish(await self._get(branch, revision, clobber=clobber))
            except GitFailedError as failed:
                if failed.result is not Result.FAILURE:
                    return self.fail(failed.sentence, failed.result)
                if self.clobberOnFailure and not clobber:
                    clobber = True
                    self.bench.remark(f"{failed.sentence}  Trying again from nothing.")
                elif left > 0:
                    left -= 1
                    self.bench.remark(f"{failed.sentence}  Trying again in {pause:g} s.")
                    await self.execute(["sleep", f"{pause:g}"], workdir=".", timeout=None)
                else:
                    return self.fail(failed.sentence)

    def _wanted(self) -> tuple[str | None, str | None]:
        """
        Branch and revision: the request's, or else the step's.
        """
        stamp = self.bench.view.sources.get(self.codebase, {})
        found: dict[str, str | None] = {"branch": self.branch, "revision": self.revision}
        for name in found:
            asked = stamp.get(name) or (self.getProperty(name) if not self.codebase else None)
            if not asked or (name == "revision" and self.alwaysUseLatest):
                continue
            if not isinstance(asked, str) or not _REF.match(asked):
                raise InputError(f"The request's {name} is {asked!r:.200}, which is not a valid name for one.")
            found[name] = asked
        return found["branch"], found["revision"]

    async def _get(self, branch: str | None, revision: str | None, *, clobber: bool) -> str:
        copies = self._way == "copy"
        directory = _COPY_FROM if copies else self.workdir
        mode = {"incremental": "keep", "clean": "clean"}.get(self._way, "fresh")
        if clobber:
            await self._slave_does(spec.RemoveDirectory(self.workdir_path(directory)))
        commit = await self._repository(directory).get(branch, revision, mode=mode, submodules=self.submodules)
        if copies:
            await self._copy()
        return commit

    @property
    def _way(self) -> str:
        """
        "incremental", or the method of a full checkout; the modes of Buildbot 0.8 mean one of these.
        """
        if self.mode in {"incremental", "update"}:
            return "incremental"
        return self.mode if self.mode in {"copy", "clobber"} else self.method or "fresh"

    async def _copy(self) -> None:
        build = self.workdir_path(self.workdir)
        await self._slave_does(spec.RemoveDirectory(build))
        await self._slave_does(spec.MakeDirectory(build))
        target = relpath(build, self.bench.directory)
        ran = await self.execute(["cp", "-pR", f"{_COPY_FROM}/.", f"{target}/"], workdir=".", timeout=self.timeout)
        must_succeed(ran, "copy the sources", self.slave_name)

    async def _finish(self, revision: str) -> Result:
        """
        Set the property and the summary, and apply the patch submitted with the request.
        """
        self._set("got_revision", revision)
        if self.getDescription is not False:
            described = await self._repository(self.workdir).describe(self.getDescription)
            if described:
                self._set("commit-description", described)
        self.summary = f"revision {revision[:12]}"
        if (patch := self.bench.input("patch")) is not None:
            return await self._apply(self._repository(self.workdir), patch[0], patch[1], revision)
        return Result.SUCCESS

    def _set(self, name: str, value: str) -> None:
        """
        Set a property of the codebase.
        """
        others = self.getProperty(name)
        found = {**(others if isinstance(others, dict) else {}), self.codebase: value} if self.codebase else value
        self.setProperty(name, found)

    async def _apply(self, repository: Repository, patch: Source, size: int, revision: str) -> Result:
        if size == 0:
            return self.fail("The submitted patch is empty.  Send the output of: git diff --binary")
        ran = await repository.apply(patch)
        result, said = result_of(ran.outcome, self.slave_name)
        if result is Result.SUCCESS:
            self.summary += " with the submitted patch"
            return result
        if ran.outcome.ending is not Ending.EXITED:
            return self.fail(said, result)
        said = complaint(ran)
        if _NO_PATCH.search(said):
            return self.fail("The submitted file is not a patch.  Send the output of: git diff --binary")
        # Without --binary, git writes that a file differs, and not how.
        hint = "  Send the output of: git diff --binary" if "binary patch" in said else ""
        return self.fail(f"The submitted patch does not apply to revision {revision[:12]}: {said}.{hint}")

    # Running commands.

    def _repository(self, directory: str | None) -> Repository:
        hosts = self.sshKnownHosts if self.sshHostKey is None else f"* {self.sshHostKey}"
        url, credentials, user = split_url(self.repourl)
        return Repository(
            url,
            run=partial(self._run, directory),
            settings={name: value for name, value in (self.config or {}).items() if value is not None},
            access=remote_access(
                url,
                key=self.sshPrivateKey,
                known_hosts=hosts,
                credentials=self.auth_credentials or credentials,
                user=user,
            ),
            shallow=self.shallow,
            tags=self.tags or self.getDescription is not False,
            progress=self.progress,
            slave=self.slave_name,
        )

    async def _run(
        self,
        directory: str | None,
        words: Sequence[str],
        *,
        env: Mapping[str, str | None],
        sources: Mapping[str, Source] | None = None,
        **more: Any,
    ) -> CommandResult:
        return await self.do(
            spec.Run(
                argv=tuple(words),
                workdir=self.workdir_path(directory),
                env={**(self.env or {}), **env},
                timeout=self.timeout,
                **more,
            ),
            sources=sources,
        )

    async def _slave_does(self, what: spec.Spec) -> None:
        result, said = result_of((await self.do(what)).outcome, self.slave_name)
        if result is not Result.SUCCESS:
            raise GitFailedError(result, said)


class GitHub(Git):
    """
    A `Git` for repositories of GitHub: the merge of a pull request (a branch like ``refs/pull/7/merge``) is fetched
    whatever its revision was, because GitHub makes it anew when the target moves.
    """

    name = "github"

    def _wanted(self) -> tuple[str | None, str | None]:
        branch, revision = super()._wanted()
        return branch, None if branch is not None and branch.endswith("/merge") else revision


class Gerrit(Git):
    """
    A `Git` for repositories under review by Gerrit: it fetches the change of the property "event.patchSet.ref", or of
    "gerrit_change" (``NUMBER/PATCHSET``), if the change is of this project.  The property "gerrit_branch" gets its ref.
    """

    name = "gerrit"

    def _wanted(self) -> tuple[str | None, str | None]:
        branch, revision = super()._wanted()
        project = self.bench.view.sources.get(self.codebase, {}).get("project")
        if project and project != self.getProperty("event.change.project", project):
            return branch, revision
        number, _, patch_set = str(self.getProperty("gerrit_change", "")).partition("/")
        found: Any = self.getProperty("event.patchSet.ref")
        if number.isdecimal() and patch_set.isdecimal():
            found = f"refs/changes/{int(number) % 100:02}/{int(number)}/{int(patch_set)}"
        if not found:
            return branch, revision
        if not isinstance(found, str) or not _REF.match(found) or not found.startswith("refs/changes/"):
            raise InputError(f"The request's event.patchSet.ref is {found!r:.200}, which is not the ref of a change.")
        self._set("gerrit_branch", found)
        return found, revision
