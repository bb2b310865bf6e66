"""
The change sources of the configuration in force, each of which a `RunningSource` runs.

A source that a reconfiguration does not change continues; a changed one is stopped before its successor begins, which
has the same name and so the same recorded state.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore, succeed
from twisted.internet.interfaces import IReactorTime

from ....storage.roles import Records
from ...builds.streams import InThread
from ...config.change_sources import ChangeSource
from ...config.generations import Generations
from ..code_time import CodeTime
from .recorder import ChangeRecorder
from .running_source import RunningSource, SourceStatus, SourceSurroundings

T = TypeVar("T")

MOST_AT_ONCE = 4
"""Jobs in threads, such as a run of git, that all sources together have at a time."""


class ChangeSources:
    """
    The sources that run, by name.

    *in_thread* calls a function in a thread.
    """

    def __init__(
        self,
        *,
        basedir: str,
        recorder: ChangeRecorder,
        records: Records,
        generations: Generations,
        clock: IReactorTime,
        wall: Callable[[], float],
        in_thread: InThread,
        code_time: CodeTime,
    ) -> None:
        self._in_thread = in_thread
        self._threads = DeferredSemaphore(MOST_AT_ONCE)
        self._surroundings = SourceSurroundings(
            basedir=basedir,
            recorder=recorder,
            records=records,
            generations=generations,
            clock=clock,
            wall=wall,
            in_thread=self._in_a_thread,
            code_time=code_time,
        )
        self._running: dict[str, RunningSource] = {}

    def configure(self, sources: Mapping[str, ChangeSource]) -> None:
        """
        Run *sources*: stop the others, and start those that are new or changed.
        """
        before, self._running = self._running, {}
        for name, source in sources.items():
            running = before.pop(name, None)
            if running is None:
                running = RunningSource(source, self._surroundings, SourceStatus(), succeed(None))
            elif not source.is_like(running.source):
                running = RunningSource(source, self._surroundings, running.status, running.stop())
            self._running[name] = running
        for each in before.values():
            _ = each.stop()  # its remaining work may end later

    async def stop(self) -> None:
        running, self._running = self._running, {}
        for ended in [each.stop() for each in running.values()]:
            await ended

    def everyone(self) -> Sequence[RunningSource]:
        """
        The sources, in the order of master.cfg.
        """
        return tuple(self._running.values())

    def poll_soon(self, repository: str) -> Sequence[str]:
        """
        Have the sources that poll *repository* poll now; returns their names.
        """
        found = [each for each in self._running.values() if each.polls(repository)]
        for each in found:
            each.poll_soon()
        return [each.source.name for each in found]

    def _in_a_thread(self, work: Callable[[], T]) -> Deferred[T]:
        return self._threads.run(self._in_thread, work)
