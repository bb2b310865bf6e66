"""
Getting sources with Mercurial.

Like `Git`, `Mercurial` never clones: it makes a repository if there is none, pulls, and updates::

    prepare ─► pull ─► update ─► (patch)
       ^         |        |
       '---------'--------'   once more in an empty directory, if the old repository cannot be used

The settings, hooks and locks that earlier builds may have left in ``.hg`` are removed before Mercurial reads them.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from ...model import spec
from ...model.outcome import Ending
from ...model.source_stamps import PatchPlace
from ...model.urls import split_url, without_passwords
from ..config.arguments import ArgumentChecker
from ..slaves.command_streams import Source
from . import argument_checks as checks
from .argument import argument
from .context import CommandResult
from .git_credentials import web_host
from .outcomes import last_word, must_succeed
from .source_step import SourceStep, check_repository, credentials, ref, with_branch

__all__ = ["Mercurial"]

# Mercurial's own configuration files (hgrc(5)), and after them the one with the credentials.
_CONFIGURATION = """\
if [ -n "$BUILDBOT_LITE_HGRC" ]; then
    HGRCPATH="/etc/mercurial/hgrc:/etc/mercurial/hgrc.d:$HOME/.hgrc:${XDG_CONFIG_HOME:-$HOME/.config}/hg/hgrc"
    export HGRCPATH="$HGRCPATH:$BUILDBOT_LITE_HGRC"
fi
"""
# Prints the branch of the working directory.
_PREPARE = """\
if [ ! -d .hg ] || [ -L .hg ]; then
    rm -rf .hg && hg init . || exit
fi
rm -rf .hg/hgrc .hg/hgrc-not-shared .hg/sharedpath .hg/wlock .hg/store/lock || exit
if [ -e .hg/store/journal ]; then hg recover || exit; fi
hg branch
"""
_PULL = 'exec hg pull -- "$1"'
# `hg update --clean` does not remove the files that a patch added, so they are removed first.  The last line of the
# output is the commit.
_UPDATE = """\
hg status -an0 | xargs -0 rm -f -- && hg update --clean --rev "$1" || exit
case $2 in
    fresh) hg --config extensions.purge= purge --all || exit ;;
    clean) hg --config extensions.purge= purge || exit ;;
esac
hg log --rev . --template '{node}\\n'
"""
_IMPORT = 'exec hg import --no-commit --strip "$1" ${2:+"--prefix=$2"} -'
_ENVIRONMENT: Mapping[str, str | None] = {
    "HGPLAIN": "1",
    "HGENCODING": "UTF-8",
    "HGRCSKIPREPO": "1",
    "HGMERGE": "internal:fail",
    "LC_ALL": "C",
}


class Mercurial(SourceStep):
    """
    Check out sources with Mercurial.  The property *got_revision* gets the full hash of what was checked out.

    *repourl*: the repository: ``https://…``, ``ssh://…`` or a path on the slave.  A password in it is never shown, and
    not kept on the slave.
    *branchType*: "dirname" (default): the name of the branch is appended to *repourl*; "inrepo": it is a named branch,
    or a bookmark, of the repository.
    *defaultBranch*: the branch for requests that name none; with *alwaysUseLatest*, the branch for all requests.
    *clobberOnBranchChange*: with "inrepo", remove the directory first if the last checkout was of another branch;
    default True.

    *mode*: "incremental" (default) keeps the files that earlier builds made; "full" removes them, by *method*:
    "fresh" (default for full): removes every file that is not in the repository;
    "clean": removes those, except what ``.hgignore`` names;
    "clobber": removes the whole directory first, and pulls everything again.
    The modes of Buildbot 0.8: "update" is incremental, "clobber" is full with that method.

    *auth_credentials*: ``(user, password)`` for a repository at https://, usually ``("x", util.Secret("token"))``.
    They are sent to the repository's host only, and are removed from the slave after the command.

    A patch that was submitted with the request is applied (``hg import --no-commit``).  All other arguments are those
    of `SourceStep`.
    """

    name = "hg"
    how_to_diff: ClassVar[str] = "hg diff --git"

    repourl = argument(checks.word, positional=True)
    defaultBranch = argument(ref, default=None)
    branchType = argument(checks.choice("dirname", "inrepo"), default="dirname")
    clobberOnBranchChange = argument(checks.flag, default=True)
    mode = argument(checks.choice("incremental", "full", "update", "clobber"), default="incremental")
    method = argument(checks.choice("fresh", "clean", "clobber"), default=None)
    auth_credentials = argument(credentials, default=None)

    def check(self, checker: ArgumentChecker) -> None:
        """
        Refuse an address that Mercurial would read as an option, and a password that other users could read.
        """
        check_repository(checker, self.repourl, self.auth_credentials)
        if self.method is not None and self.mode == "clobber":
            checker.note(f'method is for mode="full", and the mode is {self.mode!r}.')

    @property
    def way(self) -> str:
        if self.mode in {"incremental", "update"}:
            return "incremental"
        return "clobber" if self.mode == "clobber" else self.method or "fresh"

    def wanted(self) -> tuple[str | None, str | None]:
        if self.alwaysUseLatest:
            return self.defaultBranch, None
        return self.requested("branch", self.defaultBranch), self.requested("revision", None)

    async def get(self, branch: str | None, revision: str | None, *, clobber: bool) -> str:
        inside = self.branchType == "inrepo"
        url = with_branch(self.repourl, None if inside else branch)
        name = revision or (branch if inside else None) or "default"
        if clobber:
            await self._remove()
        prepared = await self._hg(_PREPARE)
        if prepared.outcome.ending is Ending.EXITED and not clobber and not self._is_useful(prepared, branch):
            return await self.get(branch, revision, clobber=True)
        must_succeed(prepared, "hg could not prepare a repository", self.slave_name)
        pulled = await self._hg(_PULL, split_url(url).url, connects=True)
        if not clobber and "repository is unrelated" in pulled.output():
            return await self.get(branch, revision, clobber=True)
        must_succeed(pulled, f"hg could not pull from {without_passwords(url)}", self.slave_name)
        updated = await self._hg(_UPDATE, quoted(name), self.way, connects=True)
        if updated.outcome.exit_code and not clobber and "unknown revision" not in updated.output():
            return await self.get(branch, revision, clobber=True)
        must_succeed(updated, f"hg could not update to {name}", self.slave_name)
        return last_word(updated, "hg did not report the revision")

    async def apply(self, patch: Source, place: PatchPlace) -> CommandResult:
        words = [str(1 if place.level is None else place.level), "" if place.subdir == "." else place.subdir]
        return await self._hg(_IMPORT, *words, stdin_input="patch", sources={"patch": patch})

    async def _remove(self) -> None:
        await self.slave_does(spec.RemoveDirectory(self.workdir_path(self.workdir)))

    def _is_useful(self, prepared: CommandResult, branch: str | None) -> bool:
        if not prepared.outcome.succeeded:
            return False
        changes = self.branchType == "inrepo" and self.clobberOnBranchChange
        return not changes or prepared.output().split("\n")[-2:-1] == [branch or "default"]

    async def _hg(self, script: str, *words: str, connects: bool = False, **more: Any) -> CommandResult:
        files = {"BUILDBOT_LITE_HGRC": rc} if connects and (rc := self._auth()) else {}
        return await self.execute(
            ["/bin/sh", "-c", _CONFIGURATION + script, "hg-get", *words],
            workdir=self.workdir,
            env={**_ENVIRONMENT, **(self.env or {})},
            files=files,
            timeout=self.timeout,
            **more,
        )

    def _auth(self) -> str:
        """
        The text of a configuration file with the credentials, for the repository's host only (hgrc(5), "auth").
        """
        url, found, token = split_url(self.repourl)
        pair = self.auth_credentials or found or ((token, "") if token else None)
        if pair is None:
            return ""
        user, password = pair
        return f"[auth]\nit.prefix = {web_host(url)}\nit.username = {user}\nit.password = {password}\n"


def quoted(name: str) -> str:
    """
    *name* as a quoted symbol, so that Mercurial does not read it as an expression (``hg help revsets``).
    """
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
