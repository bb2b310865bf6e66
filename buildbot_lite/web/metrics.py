"""
Pages for programs that watch the farm: metrics, and whether this process and the farm are well.
"""

from typing import Any

from attrs import define, field
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from ..deferreds import OneShot
from ..errors import StorageError
from ..storage.records import retention
from ..storage.records.ended_builds import EndedBuild, ended_after
from .counted_builds import CountedBuilds, keep, load
from .farm_metrics import FarmNumbers, exposition, numbers_of_master
from .page_request import PageRequest
from .view import TEXT, FarmView, Reply, Route

FRESH = 5.0
"""Seconds for which the same metrics are given again."""
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_MOST_READS = 20
"""Reads of the feed for one answer; what is left is counted with the next one."""


@define(eq=False)
class Metrics:
    """
    The metrics of one farm.  *path*: the file of its counts, None: they are kept in memory only.
    """

    path: str | None = None
    _counted: CountedBuilds | None = None
    _text: bytes = b""
    _made: float = float("-inf")
    _making: OneShot[bytes] | None = None
    _oldest: tuple[float | None, float | None] = field(default=(None, None))

    async def text(self, view: FarmView) -> bytes:
        """
        The metrics, made anew at most once in `FRESH` seconds, however many ask.
        """
        if view.live.clock() - self._made < FRESH:
            return self._text
        making = self._making
        if making is None:
            making = self._making = OneShot()
            work = Deferred.fromCoroutine(self._make(view))
            work.addBoth(making.fire)  # type: ignore[unused-awaitable]  # its waiters get the result
        return await making.wait()

    async def _make(self, view: FarmView) -> bytes:
        try:
            counted = await self._count(view)
            status = await view.live.answer("status")
            master = await view.live.answer("metrics")
            places = view.places()
            numbers = FarmNumbers(
                counted=counted,
                status=status,
                master=numbers_of_master(master),
                is_here=view.live.away_since is None and bool(status),
                oldest=self._oldest,
                disks={"logs": places.streams, "artifacts": places.artifacts},
                now=view.wall(),
            )
            self._text, self._made = exposition(numbers), view.live.clock()
            return self._text
        finally:
            self._making = None

    async def _count(self, view: FarmView) -> CountedBuilds:
        """
        The counts, with the builds that ended since.  While the database cannot be read, they stay as they are.
        """
        counted = self._counted
        if counted is None:
            counted = self._counted = CountedBuilds() if self.path is None else load(self.path)
        before = counted.seq
        try:
            for _ in range(_MOST_READS):
                builds, upto, more = await view.records.read(_ended_after(counted.seq))
                counted.add(builds, upto)
                if not more:
                    break
            self._oldest = await view.records.read(retention.oldest)
        except StorageError:
            pass
        if counted.seq != before and self.path is not None:
            keep(self.path, counted)
        return counted


def _ended_after(seq: int) -> Any:
    def read(connection: Connection) -> tuple[list[EndedBuild], int, bool]:
        return ended_after(connection, seq)

    return read


async def metrics(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/metrics``.
    """
    return Reply(200, await view.metrics.text(view), EXPOSITION)


async def healthz(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/healthz``: this process answers.
    """
    return Reply(200, b"ok\n", TEXT)


async def readyz(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/readyz``: 200 if the records can be read and the master answers; 503 if not, with the reason.
    """
    try:
        await view.records.read(lambda connection: None)
    except StorageError as error:
        return await _not_ready(view, str(error), "The records cannot be read.")
    await view.live.answer("www")
    if view.live.away_since is not None:
        ago = max(0.0, view.wall() - view.live.away_since)
        since = f"The master has not answered for {ago:.0f} s.  Pages show what is stored."
        return await _not_ready(view, since, "The master does not answer.")
    return Reply(200, b"ready\n", TEXT)


async def _not_ready(view: FarmView, sentence: str, to_strangers: str) -> Reply:
    """
    The answer with *sentence*, or on a private farm, of which anybody can ask this, with *to_strangers*.
    """
    private = (await view.live.answer("www")).get("private", True)
    return Reply(503, f"{to_strangers if private else sentence}\n".encode(), TEXT)


ROUTES = (
    Route("/metrics", metrics, kept=0),
    Route("/healthz", healthz, kept=0, is_open=True),
    Route("/readyz", readyz, kept=0, is_open=True),
)
