"""
A slave's machine dies while the master seals the log of a command that has ended there.
"""

import shutil
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.builds import streams
from buildbot_lite.model.hello import Life
from buildbot_lite.model.results import Result
from buildbot_lite.storage.records import builds

from .configurations import GO, master_cfg, run_step
from .harness import FakeSlave, MasterHarness, succeeding

ANOTHER_BOOT = {"boot": "boot-2", "keeper": "keeper-2", "incarnation": "process-2"}


class DeathWhileSealingTests(SynchronousTestCase):
    """
    Either the outcome counts, or the build is tried again with the reason; nothing hangs.
    """

    def setUp(self) -> None:
        """
        A build whose command has ended and whose log is being sealed, when the slave's keeper, its process and the
        machine's memory are gone.
        """
        self.sealing: list[Deferred[bool]] = []

        def seal(*_: Any) -> Deferred[bool]:
            self.sealing.append(Deferred())
            return self.sealing[-1]

        self.seal = self.patch(streams, "seal_stream", seal)
        self.harness = MasterHarness(master_cfg(steps=[run_step("one")], schedulers=[GO]))
        self.addCleanup(shutil.rmtree, self.harness.basedir)
        slave = self.harness.attach()
        self.request = self.harness.submit()
        (started,) = self.before = slave.commands
        self.held = slave.held()
        started.write(b"text")
        self.told = started.end(0, streams={"stdio": b"text"})
        self.assertEqual((len(self.sealing), self.told), (1, []))
        slave.lose()
        self.harness.settle()

    def back(self, life: Life = Life.LOST) -> FakeSlave:
        """
        The slave is back after a reboot, with that *life* of the command; new commands succeed.
        """
        held = tuple(evolve(each, life=life) for each in self.held)
        slave = FakeSlave(behaviour=succeeding, commands=list(self.before))
        return self.harness.attach(slave=slave, held=held, **ANOTHER_BOOT)

    def sealed(self) -> None:
        """
        The log is on the disk.
        """
        self.sealing[0].callback(True)
        self.harness.settle()

    def builds(self) -> list[tuple[Result | None, str]]:
        """
        Result and reason of each build, oldest first.
        """
        return [(each.result, each.reason) for each in reversed(self.harness.read(builds.newest))]

    def check_retried(self, reason: str) -> None:
        """
        Check that the build was tried again because of *reason*, and that the second one succeeded.
        """
        self.harness.settle(10.0)
        (first, why), (second, _) = self.builds()
        self.assertEqual((first, second), (Result.RETRY, Result.SUCCESS))
        self.assertRegex(why, reason)
        self.assertIs(self.harness.request(self.request).result, Result.SUCCESS)

    def test_sealed_first(self) -> None:
        """
        When the log is sealed before the slave is back, its outcome counts; the slave is told to forget the command.
        """
        self.sealed()
        self.assertEqual(self.builds(), [(Result.SUCCESS, "")])
        slave = self.back()
        self.harness.settle(3600.0)
        self.assertEqual((slave.resumed, slave.disowned), ([], [self.before[0].id]))
        self.assertEqual(len(self.builds()), 1)

    def test_outcome_on_the_disk(self) -> None:
        """
        When the rebooted slave has the outcome on its disk, and reports it again, it is one outcome of one build.
        """
        slave = self.back(Life.ENDED)
        self.assertEqual([id for id, _ in slave.resumed], [self.before[0].id])
        again = self.before[0].end(0, streams={"stdio": b"text"})
        self.sealed()
        self.harness.settle(10.0)
        self.assertEqual(self.builds(), [(Result.SUCCESS, "")])
        self.assertEqual((again, len(self.sealing)), ([()], 1))

    def test_back_first(self) -> None:
        """
        When the rebooted slave is back first, its command is lost, which is the reason of the retry; the end of the
        sealing changes nothing.
        """
        self.back()
        self.sealed()
        self.check_retried("rebooted while the command ran")

    def test_never_back(self) -> None:
        """
        When the slave stays away for longer than its grace, the command is lost, although the seal never ends.
        """
        self.harness.settle(3600.0)
        self.assertEqual([result for result, _ in self.builds()], [Result.RETRY])
        self.back()
        self.check_retried("bot1")
        self.sealed()
        self.assertEqual(len(self.builds()), 2)

    def test_master_dies(self) -> None:
        """
        When the master dies, too, before the log is sealed, the next one finds the command lost.
        """
        self.harness.restart()
        self.back()
        self.check_retried("the keeper of bot1, which ran the command, ended")
        self.sealed()
        self.assertEqual(len(self.builds()), 2)

    def test_damaged(self) -> None:
        """
        When the seal finds the log damaged, nobody can send it again: the build is tried again once the slave is back.
        """
        self.sealing[0].callback(False)
        self.harness.settle()
        self.assertEqual([result for result, _ in self.builds()], [None])
        self.back()
        self.check_retried("rebooted while the command ran")
