"""
`SVNPoller`: finds changes by polling a Subversion repository.

Each poll asks for the newest revision, and for the log since the last one that was seen, oldest first.  A revision is a
change on each branch of which it changed files.  The first poll only notes the newest revision.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET

from attrs import field, frozen

from ....child_programs import ProgramError
from ....errors import BuildbotLiteError
from ....model.change import LONGEST_COMMENTS, LONGEST_NAME, Change, fitting_files
from ....model.rendering import is_renderable
from ....model.urls import without_passwords
from ...builds.redaction import Redaction
from ...config.change_fields import category_of, change_of, named
from ...config.change_sources import PollingChangeSource
from .programs import TooMuchOutputError, output_of
from .secrets import rendered

SECONDS = 600.0
LARGEST_LOG = 8 << 20
"""Bytes of the log that is read at once: of many revisions, or of many files, fewer revisions are."""


def split_file_alwaystrunk(path: str) -> dict[str, Any]:
    """
    Every file is of the trunk.
    """
    return {"path": path}


def split_file_branches(path: str) -> dict[str, Any] | None:
    """
    trunk/FILE is of no branch, branches/NAME/FILE of the branch branches/NAME; other files are left out.
    """
    first, _, remainder = path.partition("/")
    if first == "trunk":
        return {"path": remainder}
    name, slash, file = remainder.partition("/")
    if first != "branches" or not name:
        return None
    return {"branch": f"branches/{name}", "path": file if slash else ""}


def split_file_projects_branches(path: str) -> dict[str, Any] | None:
    """
    As `split_file_branches` within a directory for each project, which is the project of the change.
    """
    project, slash, remainder = path.partition("/")
    found = split_file_branches(remainder) if slash else None
    return None if found is None else {**found, "project": project}


@frozen
class SvnRevision:
    """
    An entry of ``svn log``.  *paths*: path from the repository's root, of a directory with a slash at its end → action.
    """

    number: int
    author: str
    date: str
    message: str
    paths: Mapping[str, str]


@frozen
class SvnLogin:
    """
    The login at the repository; None: without a name.
    """

    user: str | None
    password: str | None = field(repr=False)


class SVNPoller(PollingChangeSource):
    """
    Changes of a Subversion repository, or of a directory of it.

    *repourl* (or *svnurl*): its address.  *split_file*: a function of the path of a file below it, or of a directory,
    with a slash at its end, which returns None (the file does not count), a pair of branch and path, or a dictionary
    with path and perhaps branch, project, codebase, repository; default: all are of no branch.  See ``util.svn``.  A
    subclass may have a method of that name instead.
    *svnuser*, *svnpasswd*: for the repository; each may be a ``util.Secret``.  *svnpasswd* is never an argument of svn.
    *histmax*: how many revisions a poll looks at, default 100; the next poll, at once, looks at the next ones.
    *pollInterval*, *pollAtLaunch*, *pollRandomDelayMin*, *pollRandomDelayMax*, *name* (default: *repourl*): see
    `PollingChangeSource`.
    *project*, *category*: of the changes; *category* may be a function of a dictionary of the change.
    *revlinktmpl*: the address of a page about a revision, with "%s" for its number.
    *svnbin*: the program.  *extra_args*: more arguments of it.
    Without effect, because the last revision is in the farm's records: *cachepath*.
    """

    split_file: Callable[..., Any] = staticmethod(split_file_alwaystrunk)

    def __init__(
        self,
        repourl: Any = None,
        split_file: Any = None,
        svnuser: Any = None,
        svnpasswd: Any = None,
        pollInterval: Any = None,
        histmax: Any = 100,
        svnbin: Any = "svn",
        revlinktmpl: Any = "",
        category: Any = None,
        project: Any = "",
        cachepath: Any = None,
        pollinterval: Any = None,
        extra_args: Any = None,
        name: Any = None,
        pollAtLaunch: Any = None,
        *,
        svnurl: Any = None,
        pollRandomDelayMin: Any = None,
        pollRandomDelayMax: Any = None,
    ) -> None:
        address = svnurl if repourl is None else repourl
        super().__init__(
            named(name, address), pollInterval, pollAtLaunch, pollRandomDelayMin, pollRandomDelayMax,
            pollinterval=pollinterval,
        )  # fmt: skip
        checker = self.arguments
        self.repourl = checker.text("repourl", address).rstrip("/")
        if "://" not in self.repourl or self.repourl.startswith("-") or not self.repourl.isprintable():
            checker.wrong("repourl", address, 'an address like "https://svn.example.org/repos/project"')
        elif without_passwords(self.repourl) != self.repourl:
            checker.note("repourl has a password in it: give svnuser, and svnpasswd as a util.Secret.")
        given = self.split_file if split_file is None else split_file
        self.split_file = checker.function("split_file", given) or split_file_alwaystrunk
        self.user = svnuser if is_renderable(svnuser) else checker.optional(checker.text, "svnuser", svnuser)
        self.password = svnpasswd
        self.histmax = checker.whole("histmax", histmax, least=1, most=1000)
        self.svnbin = checker.text("svnbin", svnbin)
        self.revlinktmpl = checker.text("revlinktmpl", revlinktmpl or "")
        self.category = category_of(checker, category)
        self.project = checker.text("project", "" if project is None else project)
        self.extra_args = checker.texts("extra_args", () if extra_args is None else extra_args)

    @property
    def repository(self) -> str:
        return self.repourl

    async def poll(self) -> None:
        redaction = Redaction()
        login = SvnLogin(
            await rendered(self.context, redaction, self.user), await rendered(self.context, redaction, self.password)
        )
        if login.password:
            redaction.hide("svnpasswd", login.password)
        try:
            await self._poll(login)
        except BuildbotLiteError as error:
            raise type(error)(redaction.text(str(error))) from None

    async def _poll(self, login: SvnLogin) -> None:
        info = _parsed(await self._svn(["info", "--xml"], self.repourl, login))
        entry, root, url = info.find(".//entry"), info.findtext(".//root") or "", info.findtext(".//url") or ""
        if not root or not url.startswith(root):
            raise ProgramError(f"svn does not say where {self.repourl} is in its repository.")
        newest = int(entry.get("revision") or 0) if entry is not None else 0
        state = await self.context.state()
        if state is None or state.get("url") != self.repourl:
            await self.context.record([], {"url": self.repourl, "last": newest})
            return
        last = int(state["last"])
        if newest <= last:
            return
        most, revisions = await self._log(last + 1, newest, login)
        # As svn spells both: in repourl the host may be in capitals, or the port be the usual one.
        prefix = unquote(url.removeprefix(root)).strip("/")
        changes = [change for each in revisions for change in self._changes(each, prefix)]
        whole = len(revisions) < most
        seen = newest if whole else revisions[-1].number
        await self.context.record(changes, {"url": self.repourl, "last": seen})
        if not whole:
            self.context.poll_soon()

    async def _log(self, first: int, newest: int, login: SvnLogin) -> tuple[int, list[SvnRevision]]:
        """
        The revisions from *first* on, at most so many as the number beside them.
        """
        most = self.histmax
        words = ["log", "--xml", f"--revision={first}:{newest}"]
        while True:
            try:
                log = await self._svn([*words, "--verbose", f"--limit={most}"], self.repourl, login)
                return most, list(_revisions(_parsed(log)))
            except TooMuchOutputError:
                if most == 1:
                    break
                most //= 2
        # A single revision with too many files: nothing says of which branches it is.
        (one, *_) = list(_revisions(_parsed(await self._svn([*words, "--limit=1"], self.repourl, login))))
        self.context.remark(f"Revision {one.number} has too many files to be read, and is no change.")
        return 1, [one]

    def _changes(self, revision: SvnRevision, prefix: str) -> list[Change]:
        """
        The changes of *revision* below *prefix*: one for each branch, project, codebase and repository.
        """
        found: dict[tuple[Any, ...], list[str]] = {}
        for path, action in revision.paths.items():
            inside = path.lstrip("/")
            if prefix and not f"{inside}/".startswith(f"{prefix}/"):
                continue
            split = _split(self.split_file(inside.removeprefix(prefix).lstrip("/")))
            if split is None:
                continue
            file = str(split["path"]).removesuffix("/")
            if not file and action == "D":
                continue  # a branch that was removed has nothing to build
            of = tuple(split.get(name) for name in ("branch", "project", "codebase", "repository"))
            found.setdefault(of, []).append(file)
        return [self._change(revision, of, files) for of, files in found.items()]

    def _change(self, revision: SvnRevision, of: tuple[Any, ...], files: list[str]) -> Change:
        branch, project, codebase, repository = of
        number = str(revision.number)
        fields: dict[str, Any] = {
            "author": revision.author[:LONGEST_NAME] or "unknown",
            "when_timestamp": _time(revision.date),
            "comments": revision.message[:LONGEST_COMMENTS],
            "files": fitting_files(filter(None, files)),
            "revision": number,
            "branch": None if branch is None else str(branch)[:LONGEST_NAME],
            "repository": repository or self.repourl,
            "project": project or self.project,
            "codebase": codebase or "",
            "category": self.category,
            "revlink": self.revlinktmpl % quote(number) if "%s" in self.revlinktmpl else self.revlinktmpl,
        }
        return change_of(fields, self.name)

    async def _svn(self, words: list[str], url: str, login: SvnLogin) -> bytes:
        user = [] if login.user is None else [f"--username={login.user}"]
        secret = [] if login.password is None else ["--password-from-stdin", "--no-auth-cache"]
        argv = [self.svnbin, *words, "--non-interactive", *user, *secret, *self.extra_args, "--", f"{url}@"]
        given = (login.password or "").encode()
        return await output_of(
            self.context, argv, trying=f"look at {url}", seconds=SECONDS, stdin=given, largest=LARGEST_LOG
        )


def _parsed(output: bytes) -> ET.Element:
    try:
        return ET.fromstring(output)  # noqa: S314 - svn makes it; texts of others are escaped in it
    except ET.ParseError as error:
        raise ProgramError(f"What svn printed is no XML: {error}.") from None


def _revisions(log: ET.Element) -> Iterator[SvnRevision]:
    for entry in log.iter("logentry"):
        yield SvnRevision(
            number=int(entry.get("revision") or 0),
            author=entry.findtext("author") or "",
            date=entry.findtext("date") or "",
            message=entry.findtext("msg") or "",
            paths={_path(path): path.get("action") or "" for path in entry.iter("path")},
        )


def _path(element: ET.Element) -> str:
    path = (element.text or "").rstrip("/")
    return f"{path}/" if element.get("kind") == "dir" else path


def _split(result: Any) -> dict[str, Any] | None:
    """
    The result of a split_file function, as a dictionary.
    """
    if result is None:
        return None
    if isinstance(result, Mapping):
        return {"path": "", **result}
    branch, path = result
    return {"branch": branch, "path": path}


def _time(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
