"""
Getting sources with git.

`Git` never clones.  In a new or existing directory it makes a repository if there is none, fetches only the wanted
revision, and checks it out::

    (remove) ─► get ─► (pack) ─► (copy) ─► (patch)

The sequence is the same for a directory that is missing, empty, used before, or half made by a lost build.
`git_commands` has the commands of each stage, `git_credentials` the secrets for "get", the only stage that connects to
the repository.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from ...errors import InputError
from ...model import spec
from ...model.names import REF
from ...model.source_stamps import PatchPlace
from ..config.arguments import ArgumentChecker
from ..slaves.command_streams import Source
from . import argument_checks as checks
from .argument import argument
from .context import CommandResult
from .git_commands import Repository, complaint
from .git_credentials import remote_access
from .source_step import KEPT, SourceStep, check_repository, credentials, ref

__all__ = ["Gerrit", "Git", "GitHub", "GitLab"]

_NO_PATCH = re.compile(r"No valid patches|unrecognized input", re.IGNORECASE)
_DESCRIBE = {
    "match", "exclude", "all", "tags", "exact-match", "first-parent", "abbrev", "candidates", "long", "always",
    "contains", "debug", "dirty",
}  # fmt: skip


def _depth(checker: ArgumentChecker, name: str, value: Any) -> bool | int:
    return value if isinstance(value, bool) else checker.whole(name, value, least=1)


def _description(checker: ArgumentChecker, name: str, value: Any) -> bool | list[str]:
    """
    True or False; or a dictionary of options of ``git describe``, which becomes a list of words.
    """
    if not isinstance(value, Mapping):
        return value if isinstance(value, list) else checker.flag(name, value)
    words = []
    for key, item in value.items():
        if key not in _DESCRIBE:
            known = ", ".join(sorted(_DESCRIBE))
            checker.note(f"{name}: {key!r:.60} is not a supported option of git describe; these are: {known}.")
        elif item is True:
            words.append(f"--{key}")
        elif item is not False and item is not None:
            words.append(f"--{key}={checks.words(checker, f'{name}[{key!r}]', item)}")
    return words


class Git(SourceStep):
    """
    Check out sources with git.  The property *got_revision* gets the full hash of the commit that was checked out.

    *repourl*: the repository: ``https://…``, ``ssh://…``, ``user@host:path``, ``file:///…`` or a path on the slave.  A
    password in it, or a token as in ``https://TOKEN@host``, is never shown, and not kept on the slave.
    *branch*: branch, tag or full ref, for requests that name none; default: the repository's default branch (HEAD).
    *revision*: commit or tag, for requests that name none; default: the newest commit of the branch.

    *mode*: "incremental" (default) keeps the files that earlier builds made; "full" removes them, by *method*:
    "fresh" (default for full): removes every file that is not in the repository;
    "clean": removes those, except what ``.gitignore`` names;
    "clobber": removes the whole directory first, and fetches everything again;
    "copy": keeps a directory "source" beside the build's, and makes the build's a new copy of it.
    The modes of Buildbot 0.8: "update" is incremental, "copy" and "clobber" are full with that method.

    *shallow*: True for the newest commit only, or how many commits; default False: the whole history.
    *submodules*: also check out submodules, recursively; default False.
    *progress*: have git report its progress in the log, so that *timeout* does not end a long fetch; default True.
    *retryFetch*: after a failure, try once more, immediately; default False; without effect if *retry* is given.
    *tags*: fetch all tags, not only those of the fetched history; default False.
    *getDescription*: True, or a dictionary of options of ``git describe``: its output becomes the property
    "commit-description", which is not set when git finds no name; default False.
    *clobberOnFailure*: after a failure, remove the directory and try once more; default False.
    *config*: a dictionary of git settings for these commands, like ``{"http.sslVerify": "true"}``.

    *sshPrivateKey*: the private key for ssh, usually a ``util.Secret``.  *sshHostKey*: the public key of the
    repository's host (as in ``ssh-rsa AAAA…``), or *sshKnownHosts*: lines of a known_hosts file; without them, the
    known_hosts files of the slave's user apply.
    *auth_credentials*: ``(user, password)`` for a repository at https://, usually ``("x", util.Secret("token"))``.
    All of them are sent to the repository's host only, and are removed from the slave after the command.

    A patch that was submitted with the request is applied (``git apply --index -p1``).  Git never prompts: without
    permission to read a repository, the step fails.  All other arguments are those of `SourceStep`.
    """

    name = "git"
    how_to_diff: ClassVar[str] = "git diff --binary"

    repourl = argument(checks.word, positional=True)
    branch = argument(ref, default=None)
    revision = argument(ref, default=None)
    mode = argument(checks.choice("incremental", "full", "update", "copy", "clobber"), default="incremental")
    method = argument(checks.choice("fresh", "clean", "clobber", "copy"), default=None)
    shallow = argument(_depth, default=False)
    submodules = argument(checks.flag, default=False)
    progress = argument(checks.flag, default=True)
    retryFetch = argument(checks.flag, default=False)
    tags = argument(checks.flag, default=False)
    getDescription = argument(_description, default=False)
    clobberOnFailure = argument(checks.flag, default=False)
    config = argument(checks.environment, default=None)
    sshPrivateKey = argument(checks.word, default=None)
    sshHostKey = argument(checks.word, default=None)
    sshKnownHosts = argument(checks.word, default=None)
    auth_credentials = argument(credentials, default=None)

    def check(self, checker: ArgumentChecker) -> None:
        """
        Refuse arguments that exclude each other.
        """
        if self.method is not None and self.mode in {"copy", "clobber"}:
            checker.note(f'method is for mode="full" only; the mode is {self.mode!r}.')
        if self.sshHostKey is not None and self.sshKnownHosts is not None:
            checker.note("sshHostKey and sshKnownHosts exclude each other.")
        check_repository(checker, self.repourl, self.auth_credentials)

    @property
    def way(self) -> str:
        """
        "incremental", or the method of a full checkout; the modes of Buildbot 0.8 mean one of these.
        """
        if self.mode in {"incremental", "update"}:
            return "incremental"
        return self.mode if self.mode in {"copy", "clobber"} else self.method or "fresh"

    def wanted(self) -> tuple[str | None, str | None]:
        revision = self.revision if self.alwaysUseLatest else self.requested("revision", self.revision)
        return self.requested("branch", self.branch), revision

    async def get(self, branch: str | None, revision: str | None, *, clobber: bool) -> str:
        copies = self.way == "copy"
        directory = KEPT if copies else self.workdir
        mode = {"incremental": "keep", "clean": "clean"}.get(self.way, "fresh")
        if clobber:
            await self.slave_does(spec.RemoveDirectory(self.workdir_path(directory)))
        commit = await self._repository(directory).get(branch, revision, mode=mode, submodules=self.submodules)
        if copies:
            await self.fill_build(["cp", "-pR", f"{KEPT}/."])
        return commit

    async def described(self) -> str:
        if self.getDescription is False:
            return ""
        return await self._repository(self.workdir).describe(self.getDescription)

    async def apply(self, patch: Source, place: PatchPlace) -> CommandResult:
        return await self._repository(self.workdir).apply(patch, place)

    def why_not_applied(self, ran: CommandResult, revision: str) -> str:
        message = complaint(ran)
        if _NO_PATCH.search(message):
            return f"The submitted file is not a patch.  Send the output of: {self.how_to_diff}"
        # Without --binary, git writes that a file differs, and not how.
        hint = f"  Send the output of: {self.how_to_diff}" if "binary patch" in message else ""
        return f"The submitted patch does not apply to revision {revision[:12]}: {message}.{hint}"

    # Running commands.

    async def run_in_repository(self, words: Sequence[str], **more: Any) -> CommandResult:
        """
        Run *words*, a command of the checkout, as `execute` does.
        """
        return await self.execute(words, **more)

    def _repository(self, directory: str | None) -> Repository:
        url, access = remote_access(
            self.repourl,
            key=self.sshPrivateKey,
            host_key=self.sshHostKey,
            known_hosts=self.sshKnownHosts,
            credentials=self.auth_credentials,
        )
        return Repository(
            url,
            run=partial(self.run_in_repository, workdir=directory, timeout=self.timeout),
            env=self.env,
            settings=self.config,
            access=access,
            shallow=self.shallow,
            tags=self.tags or self.getDescription is not False,
            progress=self.progress,
            slave=self.slave_name,
        )


class GitHub(Git):
    """
    A `Git` for repositories of GitHub.  For the merge of a pull request (a branch like ``refs/pull/7/merge``), the
    request's revision is ignored: GitHub makes that merge anew whenever the target branch moves.
    """

    name = "github"

    def wanted(self) -> tuple[str | None, str | None]:
        branch, revision = super().wanted()
        return branch, None if branch is not None and branch.endswith("/merge") else revision


class GitLab(Git):
    """
    A `Git` for repositories of GitLab.  The branch of a merge request is ``refs/merge-requests/7/head`` in the target's
    repository.  GitLab keeps it there for forks, too, so nothing is fetched from another repository than *repourl*.
    """

    name = "gitlab"


class Gerrit(Git):
    """
    A `Git` for repositories with reviews in Gerrit.  It fetches the change that the property "gerrit_change"
    (``NUMBER/PATCHSET``) or else "event.patchSet.ref" names, unless "event.change.project" is another project than the
    request's.  The property "gerrit_branch" gets the ref of the change.
    """

    name = "gerrit"

    def wanted(self) -> tuple[str | None, str | None]:
        branch, revision = super().wanted()
        project = self.bench.view.sources.get(self.codebase, {}).get("project")
        if project and project != self.getProperty("event.change.project", project):
            return branch, revision
        number, _, patch_set = str(self.getProperty("gerrit_change", "")).partition("/")
        found: Any = self.getProperty("event.patchSet.ref")
        if number.isdecimal() and patch_set.isdecimal():
            found = f"refs/changes/{int(number) % 100:02}/{int(number)}/{int(patch_set)}"
        if not found:
            return branch, revision
        if not isinstance(found, str) or not REF.match(found) or not found.startswith("refs/changes/"):
            raise InputError(f"The request's event.patchSet.ref is {found!r:.200}, which is not the ref of a change.")
        self.set_of_codebase("gerrit_branch", found)
        return found, revision
