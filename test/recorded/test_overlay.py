"""
Builds of packages that an earlier version has begun, after an upgrade.

``overlay.journal.json.gz`` is the journal of a whole build in an `Overlay`, as version 871f35bc wrote it: step,
ordinal, kind, fingerprint, intent and outcome of each entry.  The scripts of the root are in its commands, so a version
that changes a script asks for other commands.
"""

import gzip
import json
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection

from buildbot_lite.model.hello import HeldCommand, Life
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import Spec, fingerprint, from_document
from buildbot_lite.packages.records import job_lists
from buildbot_lite.packages.records.job_states import JobState
from buildbot_lite.packages.records.jobs import JobFilter
from buildbot_lite.storage import schema
from buildbot_lite.storage.records import builds, journal
from test.master.harness import FakeSlave, StartedCommand
from test.packages.test_job_service import JobCase

RECORDING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "overlay.journal.json.gz")
BACK_OFF = 3600.0
"""Seconds; longer than any pause before a retry."""

Entry = Sequence[Any]


class UpgradeTests(JobCase):
    """
    A master that finds the journal of a build in its records.
    """

    def configuration(self) -> str:
        return (
            "from buildbot_lite.packages import DebTarget, Overlay\n"
            'c["slaves"] = [slave.BuildSlave("bot1")]\n'
            'c["maxRetries"] = 0\n'
            'c["targets"] = [DebTarget("bookworm", ["amd64"], Overlay("bookworm"), version_suffix="+farm1")]\n'
        )

    def test_recorded(self) -> None:
        """
        Promise 9.2: wherever a build of an earlier version was when the master was upgraded, its command is ended,
        the build starts again, though no retry is permitted, and the job is finished.
        """
        with gzip.open(RECORDING) as file:
            recorded: list[Entry] = json.load(file)
        self.assertEqual(len(recorded), 13)
        for cut in range(1, len(recorded) + 1):
            with self.subTest(cut=cut):
                self.upgrade(recorded[:cut])

    def test_one_change(self) -> None:
        """
        Promise 9.2: so does a build of a version of which only the command that runs was another, whichever that
        is.
        """
        change = "UPDATE journal SET fingerprint = 'other' WHERE outcome IS NULL AND build = ?"
        for place in range(13):
            with self.subTest(place=place):
                started, build = self.until_command(place)
                self.successResultOf(
                    self.farm.records.write(lambda c, id=build.id: c.exec_driver_sql(change, (id,)).rowcount)  # type: ignore[misc]  # lambda
                )
                self.check_upgrade(build, started.id, started.spec)

    def until_command(self, place: int) -> tuple[StartedCommand, builds.Build]:
        """
        Submit a package, and let its build run until it has begun the command *place*, counted from 0.
        """
        slave = FakeSlave()
        slave.behaviour = lambda started: self.building(started) if len(slave.commands) <= place else None
        self.harness.attach("bot1", slave, platform={"machine": "x86_64"})
        self.submit()
        self.harness.settle()
        self.assertEqual(len(slave.commands), place + 1)
        return slave.commands[-1], self.harness.read(builds.newest)[0]

    def upgrade(self, entries: Sequence[Entry]) -> None:
        """
        Let a build have *entries* in its journal, the last one without an outcome, when a new master starts.
        """
        started, build = self.until_command(0)
        self.successResultOf(self.farm.records.write(partial(_replace_journal, build=build.id, entries=entries)))
        step, ordinal, *_, intent, _ = entries[-1]
        running = f"{started.id.rpartition('-')[0].rpartition('-')[0]}-{step}-{ordinal}"
        self.check_upgrade(build, running, from_document(intent["spec"]))

    def check_upgrade(self, build: builds.Build, running: str, spec: Spec) -> None:
        """
        Start a new master, to which the slave comes back with the command *running* of *build*, and check what becomes
        of it.
        """
        self.harness.restart()
        self.farm = self.harness.farm
        slave = FakeSlave(behaviour=self.building)
        held = HeldCommand(running, fingerprint(spec), Life.RUNNING)
        self.harness.attach("bot1", slave, platform={"machine": "x86_64"}, held=(held,))
        # To remove what the first build left.
        self.assertEqual(len(slave.dropped), 1)
        again = FakeSlave(behaviour=self.building)
        self.harness.attach("bot1", again, platform={"machine": "x86_64"})
        self.harness.settle(BACK_OFF)
        first, *others = self.harness.builds(build.request)
        self.assertEqual([first.result, *[each.result for each in others]], [Result.RETRY, Result.SUCCESS])
        self.assertIn("of its journal", first.reason)
        self.assertEqual(slave.disowned, [running])
        (job,) = self.harness.read(partial(job_lists.page, wanted=JobFilter(), most=1))
        self.assertEqual((job.state, job.reason), (JobState.FINISHED, ""))
        again.lose()
        self.harness.settle()


def _replace_journal(connection: Connection, build: int, entries: Sequence[Entry]) -> None:
    connection.execute(schema.journal.delete().where(schema.journal.c.build == build))
    for place, (step, ordinal, kind, digest, intent, outcome) in enumerate(entries, 1):
        journal.begin(connection, build, step, ordinal, kind=kind, fingerprint=digest, intent=intent, now=1.0)
        if place < len(entries):
            journal.end(connection, build, step, ordinal, outcome=outcome, now=2.0)
