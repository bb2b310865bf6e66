"""
`HgPoller`: finds changes by polling a Mercurial repository.  Each poll pulls into a copy without a working directory,
and asks it for the revisions that are no ancestors of the heads of the last poll.  The first poll only notes the heads.
A bookmark that was moved, also back, is a change of its revision.

A branch with several open heads is left alone, with a remark, until they are merged; then all of its new revisions are
changes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from attrs import evolve

from ....child_programs import ProgramError
from ....model.change import LONGEST_COMMENTS, LONGEST_NAME, Change, fitting_files
from ....model.urls import without_passwords
from ...config.change_fields import category_of, change_of, named, repository_address
from ...config.change_sources import PollingChangeSource
from .programs import TooMuchOutputError, output_of

WORKDIR = "hgpoller_work"
MOST_REVISIONS = 500
"""New revisions of one branch or bookmark that become changes in one poll: the newest ones."""
MOST_HEADS = 1000
"""Heads of all followed branches and bookmarks together.  Their names are in the arguments of hg."""
PULL_SECONDS = 3600.0
LOCAL_SECONDS = 600.0
LARGEST_LOG = 8 << 20
"""Bytes of what is read at once: of more, the files and all but the first lines of messages are left out."""

_BOOKMARK = "bookmark:"
_NODE = "{dict(node=node)|json}\n"
_WHOLE = "{dict(node=node,user=user,date=date,desc=desc,files=files)|json}\n"
_SHORT = "{dict(node=node,user=user,date=date,desc=desc|firstline)|json}\n"


class HgPoller(PollingChangeSource):
    """
    Changes of a Mercurial repository.

    *repourl*: its address or path.  A password is given in ``[auth]`` of the ``.hgrc`` of the master's user.
    *branch*, or *branches*: the branches to follow; default "default".  *bookmarks*: bookmarks to follow.  While a
    branch has several open heads, nothing of it is a change.
    *pollInterval*, *pollAtLaunch*, *pollRandomDelayMin*, *pollRandomDelayMax*, *name* (default: *repourl*): see
    `PollingChangeSource`.
    *project*, *category*: of the changes; *category* may be a function of a dictionary of the change.
    *usetimestamps*: a change happened when it was committed (default), or False: when it was found.
    *revlink*: a function of branch and revision that returns the address of a page.
    *workdir*: the directory of its copy, relative to the master's; default "hgpoller_work".  *hgbin*: the program.
    Without effect, because Mercurial keeps UTF-8: *encoding*.
    """

    def __init__(
        self,
        repourl: Any,
        branch: Any = None,
        branches: Any = None,
        bookmarks: Any = None,
        workdir: Any = WORKDIR,
        pollInterval: Any = None,
        hgbin: Any = "hg",
        *,
        usetimestamps: Any = True,
        category: Any = None,
        project: Any = "",
        pollinterval: Any = None,
        encoding: Any = "utf-8",
        name: Any = None,
        pollAtLaunch: Any = None,
        revlink: Any = None,
        pollRandomDelayMin: Any = None,
        pollRandomDelayMax: Any = None,
    ) -> None:
        super().__init__(
            named(name, repourl), pollInterval, pollAtLaunch, pollRandomDelayMin, pollRandomDelayMax,
            pollinterval=pollinterval,
        )  # fmt: skip
        checker = self.arguments
        self.repourl = repository_address(checker, repourl)
        if without_passwords(self.repourl) != self.repourl:
            checker.note("repourl has a password in it: give it in [auth] of the .hgrc of the master's user.")
        if branch is not None and branches is not None:
            checker.note("branch and branches exclude each other.")
        self.branches = checker.texts("branches", _list(branches if branch is None else branch))
        self.bookmarks = checker.texts("bookmarks", _list(bookmarks))
        if not self.branches and not self.bookmarks:
            self.branches = ("default",)
        self.workdir = checker.text("workdir", workdir if workdir is not None else WORKDIR)
        self.hgbin = checker.text("hgbin", hgbin)
        self.usetimestamps = checker.flag("usetimestamps", usetimestamps)
        self.category = category_of(checker, category)
        self.project = checker.text("project", "" if project is None else project)
        self.revlink = cast("Callable[..., Any] | None", checker.optional(checker.function, "revlink", revlink))

    @property
    def repository(self) -> str:
        return self.repourl

    def describe(self) -> str:
        """
        The address and the followed branches and bookmarks.
        """
        return f"{self.repourl}: {', '.join([*self.branches, *self.bookmarks])}"

    async def poll(self) -> None:
        await self._pull()
        state = await self.context.state()
        seen: dict[str, list[str]] = dict(state["heads"]) if state and state.get("url") == self.repourl else {}
        known = await self._present(sorted({node for heads in seen.values() for node in heads})[:MOST_HEADS])
        heads: dict[str, list[str]] = {}
        changes: list[Change] = []
        for key, name, revset in self._followed():
            heads[key] = await self._nodes(f"last(heads({revset}), {MOST_HEADS + 1})")
            if sum(map(len, heads.values())) > MOST_HEADS:
                raise ProgramError(
                    f"{without_passwords(self.repourl)} has more than {MOST_HEADS} heads (the last ones of {name}): "
                    "that is more than a poller can look at."
                )
            if key.startswith(_BOOKMARK):
                changes += await self._moved(name, revset, seen.get(key), heads[key], known)
            elif len(await self._nodes(f"heads({revset}) - closed()")) > 1:
                self.context.remark(f"The branch {name} has several heads: until they are merged, it has no changes.")
                heads[key] = seen.get(key, heads[key])
            elif key in seen and sorted(heads[key]) != sorted(seen[key]):
                # A revision is of one branch only, so the heads of other branches say nothing about it.
                own = [node for node in seen[key] if node in known]
                changes += await self._new_changes(name, revset, own, whole=not seen[key])
        if heads != seen:
            await self.context.record(changes, {"url": self.repourl, "heads": heads})

    async def _moved(
        self, name: str, revset: str, before: list[str] | None, now: list[str], known: Sequence[str]
    ) -> list[Change]:
        """
        The changes of the bookmark *name*, whose revision was *before* (None: it is followed from now on).
        """
        if before is None or before == now or not now:
            return []
        # All others are ancestors of the one that it leads to.
        (node, *_) = now
        found = await self._new_changes(name, revset, known)
        moved = found or [self._change(each, name) for each in await self._revisions(name, node)]
        return [*moved[:-1], evolve(moved[-1], move=f"{'+'.join(before)}..{node} {self.context.wall()}")]

    def _followed(self) -> Sequence[tuple[str, str, str]]:
        """
        Branches and bookmarks: key in the state, name, and the set of revisions (``hg help revsets``).
        """
        branches = [(f"branch:{each}", each, f"present(branch({_quoted(each)}))") for each in self.branches]
        bookmarks = [(f"{_BOOKMARK}{each}", each, f"::present(bookmark({_quoted(each)}))") for each in self.bookmarks]
        return [*branches, *bookmarks]

    async def _new_changes(self, name: str, revset: str, known: Sequence[str], *, whole: bool = False) -> list[Change]:
        """
        The changes of *revset* that are no ancestors of *known*.  *whole*: all are new, if none is known.
        """
        # Unless all are new, and no revision seen before is present, the new revisions are unknown.
        unknown = revset if whole else f"heads({revset})"
        new = f"{revset} - ::({'+'.join(known)})" if known else unknown
        found = await self._revisions(name, f"last(sort({new}, rev), {MOST_REVISIONS + 1})")
        if len(found) > MOST_REVISIONS:
            newest = f"{found[-1]['node']:.10}"
            self.context.remark(
                f"{name} has more new revisions than {MOST_REVISIONS}, up to {newest}: the newest are changes."
            )
        return [self._change(each, name) for each in found[-MOST_REVISIONS:]]

    async def _revisions(self, name: str, revset: str) -> list[dict[str, Any]]:
        """
        The revisions of *revset*, as far as `LARGEST_LOG` permits.
        """
        try:
            return await self._log(revset, _WHOLE)
        except TooMuchOutputError:
            self.context.remark(f"The new revisions of {name} have too many files: their changes name none.")
            return await self._log(revset, _SHORT)

    def _change(self, revision: Mapping[str, Any], branch: str) -> Change:
        node = str(revision["node"])
        fields: dict[str, Any] = {
            "author": str(revision["user"])[:LONGEST_NAME] or "unknown",
            "when_timestamp": _time(revision["date"]) if self.usetimestamps else None,
            "comments": str(revision["desc"])[:LONGEST_COMMENTS],
            "files": fitting_files(map(str, revision.get("files", ()))),
            "revision": node,
            "branch": branch,
            "repository": self.repourl,
            "project": self.project,
            "category": self.category,
            "revlink": "" if self.revlink is None else str(self.revlink(branch, node)),
        }
        return change_of(fields, self.name)

    async def _present(self, nodes: Sequence[str]) -> list[str]:
        if not nodes:
            return []
        return await self._nodes("+".join(f"present({node})" for node in nodes))

    async def _nodes(self, revset: str) -> list[str]:
        return [str(each["node"]) for each in await self._log(revset, _NODE)]

    async def _log(self, revset: str, template: str) -> list[dict[str, Any]]:
        words = ["log", "--template", template, "--rev", revset]
        output = await self._local(words, trying="look at its copy")
        # A surrogate stands for a byte of a file name that is no UTF-8.
        text = output.decode("utf-8", "replace")
        return [_cleaned(json.loads(line)) for line in text.split("\n") if line]

    async def _pull(self) -> None:
        interrupted = os.path.join(self._directory, ".hg", "store", "journal")
        if await self.context.in_thread(lambda: os.path.exists(interrupted)):
            await self._recover()
        if not await self.context.in_thread(lambda: os.path.isdir(os.path.join(self._directory, ".hg"))):
            argv = [self.hgbin, "-y", "init", "--", self._directory]
            await output_of(self.context, argv, trying="make a copy", seconds=LOCAL_SECONDS)
        await self._pulled([])
        if self.bookmarks:
            # In a command of its own, because with these arguments only the bookmarks are pulled.
            there = await self._bookmarks_there()
            await self._pulled([word for each in self.bookmarks if each in there for word in ("--bookmark", each)])
            if missing := [each for each in self.bookmarks if each not in there]:
                self.context.remark(f"The repository does not have the bookmark {', '.join(missing)}.")

    async def _bookmarks_there(self) -> set[str]:
        """
        The bookmarks of the repository.  A pull of one that it does not have would fail.
        """
        argv = [self.hgbin, "-y", "-R", self._directory, "debugpushkey", "--", self.repourl, "bookmarks"]
        output = await output_of(
            self.context, argv, trying=f"list the bookmarks of {self.repourl}", seconds=LOCAL_SECONDS
        )
        # Bytes that are not of ASCII are printed as in a literal of Python's.
        names = (line.partition(b"\t")[0].decode("unicode_escape") for line in output.splitlines())
        return {name.encode("latin-1", "replace").decode("utf-8", "replace") for name in names}

    async def _recover(self) -> None:
        """
        Undo a pull that was killed, which hg does not do by itself; or remove the copy, which is made anew.
        """
        try:
            await self._local(["recover", "--no-verify"], trying="recover its copy")
        except ProgramError:
            await self.context.in_thread(lambda: shutil.rmtree(self._directory))

    async def _local(self, words: Sequence[str], *, trying: str) -> bytes:
        """
        Run hg on the copy.
        """
        argv = [self.hgbin, "-y", "-R", self._directory, *words]
        return await output_of(self.context, argv, trying=trying, seconds=LOCAL_SECONDS, largest=LARGEST_LOG)

    async def _pulled(self, words: Sequence[str]) -> None:
        argv = [self.hgbin, "-y", "-R", self._directory, "pull", "--quiet", *words, "--", self.repourl]
        await output_of(self.context, argv, trying=f"pull from {self.repourl}", seconds=PULL_SECONDS)

    @property
    def _directory(self) -> str:
        digest = hashlib.sha256(self.name.encode()).hexdigest()[:16]
        return os.path.join(self.context.basedir, self.workdir, digest)


def _time(date: Any) -> float | None:
    # [seconds, offset], or just the seconds.
    seconds = date[0] if isinstance(date, list) else date
    return float(seconds) if isinstance(seconds, (int, float)) else None


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"literal:{escaped}"'


def _cleaned(document: Any) -> Any:
    if isinstance(document, str):
        return document.encode("utf-8", "replace").decode().replace("\0", "?")
    if isinstance(document, list):
        return [_cleaned(each) for each in document]
    if isinstance(document, dict):
        return {name: _cleaned(each) for name, each in document.items()}
    return document


def _list(value: Any) -> Any:
    return () if value is None else [value] if isinstance(value, str) else value
