"""
Farms in memory whose schedulers work.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

from attrs import evolve, frozen
from sqlalchemy import Connection
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from buildbot_lite.master.config.loading import Generation
from buildbot_lite.master.farm import Environment, Farm
from buildbot_lite.model.change import Change
from buildbot_lite.model.properties import Properties
from buildbot_lite.storage.records import buildsets, changes, requests

from . import harness
from .harness import MasterHarness

HEAD = """
c["slaves"] = [slave.BuildSlave("bot1"), slave.BuildSlave("bot2")]
c["builders"] = [
    util.BuilderConfig(name, ["bot1", "bot2"], util.BuildFactory([steps.ShellCommand(command=["run", name])]))
    for name in ("b", "other", "third")
]
"""


@frozen
class Submitted:
    """
    A buildset as it is recorded.  *changes*: their revisions.
    """

    id: int
    scheduler: str
    builders: tuple[str, ...]
    reason: str
    source: Any
    properties: Properties
    changes: tuple[str | None, ...]
    priority: int
    input: int | None


class ScheduledFarm(MasterHarness):
    """
    A farm with the builders b, other and third, and the *schedulers*, a text.
    """

    zone = "Europe/Berlin"

    def __init__(self, schedulers: str, before: str = "") -> None:
        self._count = 0
        super().__init__(f"{HEAD}{before}\nc['schedulers'] = [{schedulers}]\n")

    def reconfigure(self, schedulers: str, before: str = "") -> None:
        """
        Apply another list of *schedulers*.
        """
        self.configure(f"{HEAD}{before}\nc['schedulers'] = [{schedulers}]\n")
        self.done(self.farm.reconfiguration.apply())
        self.settle()

    def change(self, **more: Any) -> Change:
        """
        Record a change; its revision is r1, r2 and so on, its branch main.
        """
        self._count += 1
        values: dict[str, Any] = {"revision": f"r{self._count}", "branch": "main", "author": "A <a@example.org>"}
        change = Change(source="test", **{**values, **more})
        self.done(self.farm.changes.add([change]))
        self.settle()
        return change

    def submitted(self) -> Sequence[Submitted]:
        """
        All buildsets, oldest first.
        """
        found: list[Submitted] = self.read(_all)
        return found

    @property
    def built(self) -> list[tuple[str | None, ...]]:
        """
        The changes of each buildset, by revision.
        """
        return [each.changes for each in self.submitted()]

    def scheduler_calls(self) -> list[Any]:
        """
        When the schedulers look again.
        """
        return [call for call in self.clock.getDelayedCalls() if "Wakeup" in str(call)]

    @contextmanager
    def log_lines(self) -> Iterator[list[str]]:
        """
        The lines of the log in this context.
        """
        lines: list[str] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            lines.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        try:
            yield lines
        finally:
            globalLogPublisher.removeObserver(observe)

    def _farm(self, generation: Generation) -> Farm:
        def in_zone(environment: Environment) -> Farm:
            return Farm(evolve(environment, zone=lambda: ZoneInfo(self.zone)))

        with mock.patch.object(harness, "Farm", in_zone):
            return super()._farm(generation)

    def described(self, name: str) -> Any:
        """
        What `SchedulerEngine.describe` says.
        """
        return self.farm.schedulers.describe(self.farm.config.schedulers[name])


def _all(connection: Connection) -> list[Submitted]:
    found = []
    for id in range(1, buildsets.last(connection) + 1):
        buildset = buildsets.get(connection, id)
        assert buildset is not None
        own = requests.of_buildset(connection, id)
        found.append(
            Submitted(
                id,
                buildset.scheduler,
                tuple(each.builder for each in own),
                buildset.reason,
                buildset.source,
                Properties.from_document(buildset.properties),
                tuple(each.change.revision for each in changes.of_buildset(connection, id)),
                own[0].priority,
                buildset.input,
            )
        )
    return found
