"""
The documents that ``buildbot-lite watch`` shows: of the farm, of one builder, or of one build.

::

    look ──► status, builders, builds, build, tail ──► by kind and name ──► the screen, or the changed ones as JSON

The builds of a farm are asked for a few at a time, and joined with those known before, so that a look costs the same
however long the history is.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred

from ...deferreds import OneShot
from ...errors import NotFoundError
from ..output.cells import Document, build_name

Question = Mapping[str, Any]
Documents = Mapping[tuple[str, str], Any]
"""By kind (status, builder, build, tail) and name."""

MOST_RUNNING = 200
"""Running builds of which the present step is shown."""
NEWEST = 30
AT_FIRST = 200
"""Builds in the first look, and in every `ANEW`-th."""
ANEW = 20
"""Looks until the list of builders is asked for again: it changes with a new configuration."""
RESULTS = 12
"""Results shown for each builder."""
OPENED_TAIL = 64 << 10
"""Bytes of the log of a step that was opened."""
OF_BUILDER = 100
"""Builds of one builder."""


class Answering(Protocol):
    """
    A link to a master.
    """

    async def ask(self, question: Question) -> Document:
        """
        The answer to *question*.
        """


@define(eq=False)
class CountedChanges:
    """
    An event that happens again and again; *count*: how often so far.
    """

    count: int = 0
    _change: OneShot[None] = field(factory=OneShot)

    def next_change(self) -> Deferred[None]:
        """
        Fires when it happens next.
        """
        return self._change.wait()

    def fire(self) -> None:
        """
        Count the event, and tell all that wait for it.
        """
        self.count += 1
        change, self._change = self._change, OneShot()
        change.fire(None)


class Watched(Protocol):
    """
    What is watched.  *least_pause*: seconds between two looks when there is news; None: as usual.
    """

    @property
    def least_pause(self) -> float | None: ...

    async def look(self, link: Answering) -> None:
        """
        Ask what there is now.
        """

    def documents(self) -> Documents:
        """
        What was found.
        """


@define
class WatchedFarm:
    """
    The whole farm: *results* of each builder's newest builds, number → result, and the running builds with their steps.
    """

    least_pause: ClassVar[float | None] = None
    status: Document = field(factory=dict)
    builders: list[Document] = field(factory=list)
    running: dict[str, Document] = field(factory=dict)
    results: dict[str, dict[int, str]] = field(factory=dict)
    looks: int = 0

    async def look(self, link: Answering) -> None:
        self.status = (await link.ask({"ask": "status"}))["status"]
        running = await link.ask({"ask": "builds", "results": ["running"], "most": MOST_RUNNING})
        self.running = {build_name(each): each for each in running["builds"]}
        anew = self.looks % ANEW == 0
        newest = (await link.ask({"ask": "builds", "most": AT_FIRST if anew else NEWEST}))["builds"]
        unknown = {each["builder"] for each in newest} - {each["builder"] for each in self.builders}
        if anew or unknown & set(self.results):
            self.builders = (await link.ask({"ask": "builders"}))["builders"]
        for build in newest:
            self._note(build)
        self.looks += 1

    def documents(self) -> Documents:
        builders = {("builder", each["builder"]): each for each in self.builders}
        running = {("build", name): each for name, each in self.running.items()}
        return {("status", ""): self.status, **builders, **running}

    def results_of(self, builder: Document) -> list[str]:
        """
        The results of the newest builds that have one, the newest last.
        """
        known = dict(self.results.get(builder["builder"], {}))
        last = builder["last"]
        if last is not None and last["result"] is not None:
            known[last["number"]] = last["result"]
        return [known[number] for number in sorted(known)[-RESULTS:]]

    def _note(self, build: Document) -> None:
        if build["result"] is None:
            return
        known = self.results.setdefault(build["builder"], {})
        known[build["number"]] = build["result"]
        if len(known) > RESULTS:
            del known[min(known)]


@define
class WatchedBuilder:
    """
    One builder: its newest *builds*, and the state of the farm.
    """

    name: str
    least_pause: ClassVar[float | None] = None
    status: Document = field(factory=dict)
    builder: Document = field(factory=dict)
    builds: list[Document] = field(factory=list)

    async def look(self, link: Answering) -> None:
        # The master refuses the name of a builder that it does not know.
        self.builds = (await link.ask({"ask": "builds", "builder": self.name, "most": OF_BUILDER}))["builds"]
        self.status = (await link.ask({"ask": "status"}))["status"]
        if not self.builder:
            builders = (await link.ask({"ask": "builders"}))["builders"]
            # One that was taken out of the configuration still has builds.
            removed = {"builder": self.name, "description": "not in master.cfg any more", "slaves": []}
            self.builder = next((each for each in builders if each["builder"] == self.name), removed)

    def waiting(self) -> list[Document]:
        """
        Its waiting requests.
        """
        return [each for each in self.status.get("waiting", ()) if each["builder"] == self.name]

    def documents(self) -> Documents:
        waiting = {("request", str(each["request"])): each for each in self.waiting()}
        return {("builder", self.name): self.builder, **waiting, **dict(self._named())}

    def _named(self) -> Iterator[tuple[tuple[str, str], Document]]:
        for each in self.builds:
            yield ("build", build_name(each)), each


@define
class WatchedBuild:
    """
    One build, and the end of the log of the step *chosen*, else of its present step, or of the one that failed.
    *tails*: whether the master can tell the end of a log.
    """

    builder: str
    number: int
    chosen: int | None = None
    least_pause: ClassVar[float | None] = 0.25
    build: Document = field(factory=dict)
    tail: Document = field(factory=dict)
    tails: bool = True

    async def look(self, link: Answering) -> None:
        of = {"builder": self.builder, "number": self.number}
        self.build = (await link.ask({"ask": "build", **of}))["build"]
        step = self.step()
        self.tail = {}
        if step is None or not self.tails:
            return
        try:
            size = {} if self.chosen is None else {"bytes": OPENED_TAIL}
            self.tail = (await link.ask({"ask": "tail", **of, "step": str(step["number"]), **size}))["tail"]
        except NotFoundError:
            # A master of an earlier version.
            self.tails = False

    def step(self) -> Document | None:
        """
        The step whose log matters: the chosen or running one, else the one that decided the result, else the last one.
        """
        steps = [each for each in self.build.get("steps", ()) if each["logs"]]
        if self.chosen is not None:
            return next((each for each in steps if each["number"] == self.chosen), None)
        running = [each for each in steps if each["result"] is None and each["finished"] is None]
        deciding = (
            []
            if self.build.get("result") == "SUCCESS"
            else [each for each in steps if each["result"] == self.build.get("result")]
        )
        return next(iter([*running, *deciding, *reversed(steps)]), None)

    def documents(self) -> Documents:
        name = f"{self.builder}/{self.number}"
        return {("build", name): self.build, **({("tail", name): self.tail} if self.tail else {})}
