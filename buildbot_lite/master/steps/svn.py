"""
Getting sources with Subversion::

    (look ─► clean) ─► checkout ─► (externals) ─► (copy, export) ─► (patch)
       |       |          ^
       '-------'- remove -'   if there is no working copy of that address, or it cannot be cleaned

``svn checkout`` in a working copy of the same address updates it.  A password is sent to the repository's own host
only: externals (``svn:externals``) are fetched without it if any of them is on another host.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

from ...model import spec
from ...model.source_stamps import PatchPlace
from ...model.spec import SECRET_REFERENCE
from ...model.urls import same_host, without_passwords
from ..config.arguments import ArgumentChecker
from ..slaves.command_streams import Source
from . import argument_checks as checks
from .argument import argument
from .context import CommandResult
from .outcomes import last_word, must_succeed
from .source_step import KEPT, SourceStep, ref, with_branch

__all__ = ["SVN"]

_REVISION = re.compile(r"r?[0-9]{1,18}\Z|HEAD\Z")
_LARGEST_STATUS = 16 << 20
_MOST_AT_ONCE = 500  # paths in one command
# Without the test, svn would find the working copy of a directory above.
_LOOK = 'test -d .svn && test ! -L .svn && exec svn info --non-interactive --show-item url "$@"'
_STATUS = "svn cleanup --non-interactive && exec svn status --non-interactive --xml --no-ignore"
# Unversioned files with the names of versioned ones become local changes, which "revert" undoes.
_CHECKOUT = 'svn checkout "$@" && exec svn revert --non-interactive -q -R .'
# `svn diff --git` writes the paths of files in the repository; other programs, paths relative to the working copy.  So
# several values of --strip are tried.  `svn patch` succeeds even if it rejects parts of the patch, but reports them.
_PATCH = """\
cat > .svn/submitted || exit
root=$(svn info --show-item relative-url .) || exit
depth=$(printf %s "${root#^}" | tr -cd / | wc -c)
[ "$root" != ^/ ] || depth=0
for strip in ${1:-$((depth)) 0 1}; do
    said=$(svn patch --dry-run --strip "$strip" .svn/submitted "$2") || continue
    case $said in
        *"Summary of conflicts"* | *Skipped*) ;;
        ?*) svn patch --strip "$strip" .svn/submitted "$2" && exec rm -f .svn/submitted ;;
    esac
done
rm -f .svn/submitted
[ -z "$said" ] && echo "error: it is not a patch" || printf '%s\\nerror: parts of it were rejected\\n' "$said"
exit 1
"""
# Messages in English, and file names in UTF-8.
_ENVIRONMENT: Mapping[str, str | None] = {"LC_ALL": "C.UTF-8", "LANGUAGE": None}


class SVN(SourceStep):
    """
    Check out sources with Subversion.  The property *got_revision* gets the number of the revision.

    *repourl* (in Buildbot 0.8 *svnurl*): the address of what to check out; the branch is usually put into it with
    ``util.Interpolate``.  Or *baseURL*, to which the request's branch, or else *defaultBranch*, is appended.
    *username*, *password*: for the repository; *password* is usually a ``util.Secret``.  It is passed on standard input
    and never stored, which needs Subversion 1.10 on the slave.
    *extra_args*: further words for ``svn checkout``.
    *depth*: "empty", "files", "immediates" or "infinity", for a sparse checkout.
    *preferLastChangedRev*: *got_revision* is the last revision that changed something below *repourl*; default False:
    it is the revision of the whole repository.

    *mode*: "incremental" (default) keeps the files that earlier builds made; "full" removes them, by *method*:
    "fresh" (default for full): removes every file that is not in the repository;
    "clean": removes those, except what is ignored;
    "clobber": removes the whole directory first, and gets everything again;
    "copy": keeps a directory "source" beside the build's, and makes the build's a new copy of it;
    "export": the same, without the ``.svn`` in the copy.
    *keep_on_purge*: files and directories that "fresh" and "clean" do not remove.
    The modes of Buildbot 0.8: "update" is incremental, "copy", "clobber" and "export" are full with that method.

    A patch that was submitted with the request is applied (``svn patch``).  All other arguments are those of
    `SourceStep`.
    """

    name = "svn"
    how_to_diff: ClassVar[str] = "svn diff --git"

    repourl = argument(checks.word, default=None, positional=True, aliases=("svnurl",))
    baseURL = argument(checks.word, default=None)
    defaultBranch = argument(ref, default=None)
    mode = argument(checks.choice("incremental", "full", "update", "copy", "clobber", "export"), default="incremental")
    method = argument(checks.choice("fresh", "clean", "clobber", "copy", "export"), default=None)
    username = argument(checks.word, default=None)
    password = argument(checks.text, default=None)
    extra_args = argument(checks.texts, default=())
    keep_on_purge = argument(checks.texts, default=())
    depth = argument(checks.choice("empty", "files", "immediates", "infinity"), default=None)
    preferLastChangedRev = argument(checks.flag, default=False)

    def check(self, checker: ArgumentChecker) -> None:
        """
        Refuse an address that svn could read as an option, and credentials that other users could read.
        """
        if (self.repourl is None) == (self.baseURL is None):
            checker.note("give either repourl or baseURL.")
        if self.method is not None and self.mode not in {"full", "incremental"}:
            checker.note(f'method is for mode="full" only; the mode is {self.mode!r}.')
        for name, value in {"repourl": self.repourl, "baseURL": self.baseURL, "username": self.username}.items():
            if not isinstance(value, str):
                continue
            if SECRET_REFERENCE.search(value):
                checker.note(f"{name} has a secret in it, and other users of the slave can read the arguments of svn.")
            elif value.startswith("-"):
                checker.wrong(name, value, "text that does not begin with a dash")
            elif name != "username" and ("://" not in value or without_passwords(value) != value):
                checker.wrong(
                    name, without_passwords(value), 'an address like "https://svn.example.org/app" without a password'
                )
        if self.password is not None and self.username is None:
            checker.note("password needs a username.")

    @property
    def way(self) -> str:
        if self.mode in {"incremental", "update"}:
            return "incremental"
        return self.method or "fresh" if self.mode == "full" else self.mode

    def wanted(self) -> tuple[str | None, str | None]:
        branch = None if self.baseURL is None else self.requested("branch", self.defaultBranch)
        return branch, None if self.alwaysUseLatest else self.requested("revision", None, _REVISION)

    async def get(self, branch: str | None, revision: str | None, *, clobber: bool) -> str:
        url = str(self.repourl if self.baseURL is None else with_branch(self.baseURL, branch)).rstrip("/")
        if clobber or not (await self._is_copy_of(url) and await self._clean()):
            await self.slave_does(spec.RemoveDirectory(self.workdir_path(self._directory)))
        await self._check_out(url, (revision or "HEAD").removeprefix("r"))
        if self.way == "copy":
            await self.fill_build(["cp", "-pR", f"{KEPT}/."])
        elif self.way == "export":
            await self._export()
        return await self._revision("last-changed-revision" if self.preferLastChangedRev else "revision")

    async def apply(self, patch: Source, place: PatchPlace) -> CommandResult:
        # An exported directory is not a working copy, so the patch is applied to the kept one, which is exported again.
        exports = self.way == "export"
        argv = [
            "/bin/sh",
            "-c",
            _PATCH,
            "svn-patch",
            "" if place.level is None else str(place.level),
            _target(place.subdir),
        ]
        directory = KEPT if exports else self.workdir
        ran = await self._svn(argv, directory, stdin_input="patch", sources={"patch": patch})
        if exports and ran.outcome.succeeded:
            await self._export()
        return ran

    async def _export(self) -> None:
        await self.fill_build(["svn", "export", "--non-interactive", "-q", "--force", KEPT])

    async def _revision(self, item: str) -> str:
        ran = await self._svn(["svn", "info", "--non-interactive", "--show-item", item, "."])
        must_succeed(ran, "svn could not read the revision", self.slave_name)
        return last_word(ran, "svn did not report the revision")

    @property
    def _directory(self) -> str | None:
        return KEPT if self.way in {"copy", "export"} else self.workdir

    async def _is_copy_of(self, url: str) -> bool:
        ran = await self._svn(["/bin/sh", "-c", _LOOK, "svn-look", "."])
        lines = ran.output().split()
        return ran.outcome.succeeded and bool(lines) and unquote(lines[-1]).rstrip("/") == unquote(url)

    async def _clean(self) -> bool:
        """
        Undo the changes of builds and patches, and remove the files that the method removes; return whether it worked.
        """
        ran = await self._svn(["/bin/sh", "-c", _STATUS, "svn-status"])
        if not ran.outcome.succeeded:
            return False
        try:
            found = _entries(ran.output(limit=_LARGEST_STATUS))
        except ET.ParseError:
            return False
        unwanted = {"added", *({"unversioned"} if self.way in {"clean", "fresh"} else ())}
        unwanted |= {"ignored"} if self.way == "fresh" else set()
        kept = {each.strip("/") for each in self.keep_on_purge}
        paths = [path for path, item in found if item in unwanted and (item == "added" or path not in kept)]
        commands = [["svn", "revert", "--non-interactive", "-q", "-R", "."]]
        commands += [["rm", "-rf", "--", *paths[at : at + _MOST_AT_ONCE]] for at in range(0, len(paths), _MOST_AT_ONCE)]
        for each in commands:
            if not (await self._svn(each)).outcome.succeeded:
                return False
        return True

    async def _check_out(self, url: str, revision: str) -> None:
        words = ["--non-interactive", "--force", "-r", revision, *self.extra_args]
        words += [f"--depth={self.depth}"] if self.depth is not None else []
        if self.password is not None:
            words.append("--ignore-externals")
        address = [f"{url}@{revision}", "."]
        argv = ["/bin/sh", "-c", _CHECKOUT, "svn-checkout", *words, *self._credentials, *address]
        ran = await self._svn(argv, stdin=self._password)
        must_succeed(ran, f"svn could not check out {url} at {revision}", self.slave_name)
        if self.password is not None and "--ignore-externals" not in self.extra_args:
            await self._get_externals(url)

    async def _get_externals(self, url: str) -> None:
        ran = await self._svn(["svn", "propget", "--non-interactive", "-R", "--xml", "svn:externals", "."])
        must_succeed(ran, "svn could not read svn:externals", self.slave_name)
        try:
            texts = [each.text or "" for each in ET.fromstring(ran.output(limit=_LARGEST_STATUS)).iter("property")]  # noqa: S314 - expat bounds entities
        except (ET.ParseError, TypeError):
            texts = ["unreadable://"]
        if not any(text.strip() for text in texts):
            return
        # A build may have changed the definitions, so the password is used only if all name the repository's own host.
        own = all(is_on_host(word, url) for text in texts for word in text.split())
        words = ["svn", "update", "--non-interactive", *(self._credentials if own else ["--no-auth-cache"])]
        ran = await self._svn(
            [*words, "-r", await self._revision("revision"), "."], stdin=self._password if own else None
        )
        must_succeed(ran, "svn could not get the externals (svn:externals)", self.slave_name)

    @property
    def _credentials(self) -> Sequence[str]:
        user = [] if self.username is None else [f"--username={self.username}"]
        return ["--no-auth-cache", *user, *([] if self.password is None else ["--password-from-stdin"])]

    @property
    def _password(self) -> str | None:
        return None if self.password is None else f"{self.password}\n"

    async def _svn(self, argv: Sequence[str], directory: str | None = None, **more: Any) -> CommandResult:
        env = {**_ENVIRONMENT, **(self.env or {})}
        return await self.execute(argv, workdir=directory or self._directory, env=env, timeout=self.timeout, **more)


def _target(subdir: str) -> str:
    """
    The word that is *subdir* for svn, also if it looks like an option or has what looks like a peg revision.
    """
    path = "." if subdir == "." else f"./{subdir}"
    return f"{path}@" if "@" in path else path


def _entries(text: str) -> list[tuple[str, str]]:
    """
    The path and the state of each entry in the output of ``svn status --xml``.
    """
    found = []
    for entry in ET.fromstring(text).iter("entry"):  # noqa: S314 - expat bounds entities
        status = entry.find("wc-status")
        if status is not None:
            found.append((entry.get("path", ""), status.get("item", "")))
    return [(path, item) for path, item in found if path and path != "." and not path.startswith("-")]


def is_on_host(word: str, url: str) -> bool:
    """
    Whether *word* of a definition of externals is on the host of *url*, or is not an address.
    """
    if word.startswith("//"):
        word = f"{urlsplit(url).scheme}:{word}"
    if "://" not in word:
        return True
    return same_host(word, url)
