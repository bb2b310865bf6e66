"""
Several packages on a slave at a time.
"""

from collections import Counter
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, text
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.scheduling.new_buildset import NewBuildset
from buildbot_lite.master.slaves.slots import Slot, Slots
from buildbot_lite.model.hello import HeldCommand, Life
from buildbot_lite.model.spec import fingerprint
from buildbot_lite.model.wait_reasons import WaitKind
from buildbot_lite.packages.formats.git_request import request_text
from buildbot_lite.packages.records.job_states import JobState
from buildbot_lite.storage.migrations.versions import slots_of_builds
from test.master.harness import FakeSlave, StartedCommand

from .archives import archive, greet
from .test_job_questions import QuestionCase

BUILDING = "dpkg-buildpackage"
LEFT = "it is to remove what a build left there that is over"


class SlotsCase(QuestionCase):
    """
    A slave with *of_slave* whose builds stop where the package is built.
    """

    of_slave = ""

    def setUp(self) -> None:
        super().setUp()
        self.building.held = {BUILDING}
        self.attach()

    def configuration(self) -> str:
        return (
            "from buildbot_lite.packages import DebTarget, Plain\n"
            f'c["slaves"] = [slave.BuildSlave("bot1", {self.of_slave})]\n'
            'c["targets"] = [DebTarget(name, arches=["amd64"], root=Plain()) for name in ("bookworm", "sid")]\n'
            'factory = util.BuildFactory([steps.ShellCommand(command=["true"])])\n'
            'c["builders"] = [util.BuilderConfig("b", ["bot1"], factory)]\n'
            'c["schedulers"] = [schedulers.Submit("b", ["b"])]\n'
        )

    def submit_several(self, count: int, target: str = "bookworm") -> None:
        """
        Submit *count* packages.
        """
        for number in range(count):
            self.run_command(target, archive(greet(Version=f"1.{number}")))

    def restart(self) -> None:
        """
        The master dies, and a new one finds the slave with its commands.
        """
        self.harness.restart()
        self.farm = self.harness.farm
        self.harness.attach("bot1", self.slave, platform={"machine": "x86_64"}, held=self.slave.held())

    def places(self) -> list[str]:
        """
        The directories in which packages are being built.
        """
        return [each.spec.workdir for each in self.building.waiting if hasattr(each.spec, "workdir")]

    def end(self, place: str) -> None:
        """
        End the build in the directory *place*.
        """
        (started,) = [each for each in self.building.waiting if getattr(each.spec, "workdir", "") == place]
        self.building.waiting.remove(started)
        self.building.finish(started)
        self.harness.settle()

    def building_in(self) -> tuple[str, ...] | None:
        """
        The directories of unfinished builds in a welcome of the slave.
        """
        return self.farm.slots.places_on("bot1")

    def reasons(self) -> list[tuple[WaitKind, str]]:
        """
        Why each waiting request waits.
        """
        waiting = self.harness.farm.queue.waiting()
        return [(each.reason.kind, each.reason.sentence) for each in waiting]


class SlotsTests(SlotsCase):
    """
    A slave that may build four packages at a time.
    """

    of_slave = "max_builds=4"

    def test_directories(self) -> None:
        """
        Promise 9.2: a slave builds as many packages at a time as it says, also of one target and architecture, each in
        a directory of its own; the others wait, and the reason names what is built.
        """
        self.submit_several(3)
        self.submit_several(2, "sid")
        amd64 = [f"bookworm-amd64/{name}" for name in ("build", "build-2", "build-3")]
        self.assertEqual(self.places(), [*amd64, "sid-amd64/build"])
        self.assertEqual(self.building_in(), (*amd64, "sid-amd64/build"))
        labels = ", ".join(f"bookworm-amd64/{number}" for number in (1, 2, 3))
        self.assertEqual(self.reasons(), [(WaitKind.BUSY, f"bot1 is busy with {labels}, sid-amd64/1")])
        self.building.release()
        self.harness.settle()
        used: dict[str, set[str]] = {}
        for each in self.slave.commands:
            used.setdefault(each.id.partition("-")[0], set()).add(place_of(each))
        self.assertEqual([len(places) for places in used.values()], [1] * 5)
        self.assertEqual({self.job(number).state for number in range(1, 6)}, {JobState.FINISHED})

    def test_smallest(self) -> None:
        """
        Promise 9.2: a build takes the first directory that no other has, so that there are no more than builds at a
        time.
        """
        self.submit_several(6)
        self.end("bookworm-amd64/build-2")
        self.end("bookworm-amd64/build")
        four = {f"bookworm-amd64/{name}" for name in ("build", "build-2", "build-3", "build-4")}
        self.assertEqual(Counter(self.places()), Counter(four))
        self.assertEqual({place_of(each) for each in self.slave.commands}, four)

    def test_restart(self) -> None:
        """
        Promise 9.2: a master that dies goes on with each build where it was, and begins others elsewhere.
        """
        self.submit_several(3)
        self.end("bookworm-amd64/build")
        self.restart()
        self.assertEqual(len(self.slave.resumed), 2)
        self.assertEqual(self.building_in(), ("bookworm-amd64/build-2", "bookworm-amd64/build-3"))
        self.submit_several(1)
        self.assertEqual(sorted(self.places()), [f"bookworm-amd64/build{number}" for number in ("", "-2", "-3")])
        self.building.release()
        self.harness.settle()
        self.assertEqual({self.job(number).state for number in (2, 3)}, {JobState.FINISHED})
        self.assertEqual(self.building_in(), ())

    def again(self) -> FakeSlave:
        """
        Attach the slave with another keeper, which has lost the commands.
        """
        lost = [HeldCommand(each.id, fingerprint(each.spec), Life.LOST) for each in self.building.waiting]
        self.building.waiting.clear()
        self.slave = FakeSlave(behaviour=self.building)
        self.harness.attach("bot1", self.slave, platform={"machine": "x86_64"}, held=tuple(lost))
        return self.slave

    def test_files_left(self) -> None:
        """
        Promise 9.4: after a build that lost its keeper, the slave attaches again, and its welcome names other builds
        only: when it is tried again, perhaps elsewhere; when its retries are used up; when its job was killed.
        """
        self.submit_several(1)
        for attempt in range(4):
            with self.subTest(attempt=attempt):
                self.slave.lose()
                slave = self.again()
                self.assertEqual((slave.dropped, self.building_in()), ([LEFT], ()))
                self.slave = FakeSlave(behaviour=self.building)
                self.attach()
                self.harness.settle(301)
        self.assertEqual(self.job().state, JobState.FAILED)
        self.submit_several(1)
        self.slave.lose()
        self.ask("kill", job=2)
        self.assertEqual(self.building_in(), ("bookworm-amd64/build",))
        self.assertEqual(self.again().dropped, [LEFT])
        self.assertEqual((self.job(2).state, self.building_in()), (JobState.KILLED, ()))

    def test_nothing_left(self) -> None:
        """
        The slave stays connected when its builds have cleaned up, or share their directories; one that is not connected
        or not in master.cfg attaches some time, or never.
        """
        self.submit_several(1)
        self.building.release()
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.FINISHED)
        self.building.held = {"true"}
        self.harness.submit("b")
        self.assertEqual(self.building_in(), ("b",))
        self.slave.lose()
        slave = self.again()
        self.assertEqual(slave.dropped, [])
        slaves = self.farm.slaves
        for tell in (lambda: slaves.ban("bot1", "revoked"), lambda: slaves.give_up("bot1", "gone"), slave.lose):
            tell()
            before = list(slave.dropped)
            for name in ("bot1", "nobody"):
                slaves.files_left(name)
            self.assertEqual(slave.dropped, before)

    def test_earlier_version(self) -> None:
        """
        Promise 13: a build that an earlier version has begun goes on in the first directory, and has it alone.
        """
        self.submit_several(1)
        self.successResultOf(self.harness.records.write(_upgrade_from_0007))
        self.restart()
        self.submit_several(1)
        self.assertEqual(self.places(), ["bookworm-amd64/build", "bookworm-amd64/build-2"])


class PlacesTests(SynchronousTestCase):
    """
    The directories in which builds go on.
    """

    def test_shared(self) -> None:
        """
        Promise 9.4: builds of ordinary builders share a directory; while that of a build is not known, none is told, so
        that nothing is removed.
        """
        slots = Slots()
        slots.take(1, Slot("b/1", "b", "bot1", "b"))
        slots.take(2, Slot("t-amd64/7", "t-amd64", "bot1", "t-amd64", 2))
        slots.take(3, Slot("c/1", "c", "bot2"))
        self.assertEqual(slots.places_on("bot1"), ("b", "t-amd64/build-2"))
        self.assertIsNone(slots.places_on("bot2"))
        self.assertEqual(slots.places_on("bot3"), ())


class OneTests(SlotsCase):
    """
    A slave without ``max_builds``.
    """

    def test_one(self) -> None:
        """
        Promise 9.2: a slave that does not say how many builds one package at a time, of all targets; the reason says
        so.  Ordinary builders are built beside it.
        """
        self.submit_several(1)
        self.submit_several(1, "sid")
        self.run_command("b")
        self.assertEqual(self.places(), ["bookworm-amd64/build"])
        sentence = "bot1 is busy with bookworm-amd64/1, and builds one package at a time, because it has no max_builds"
        self.assertEqual(self.reasons(), [(WaitKind.BUSY, sentence)])
        self.assertEqual(place_of(self.slave.commands[-1]), "b/build")
        self.assertEqual(self.building_in(), ("bookworm-amd64/build",))
        self.restart()
        self.assertEqual([sentence for _, sentence in self.reasons()], [sentence])
        self.end("bookworm-amd64/build")
        self.assertEqual(self.places(), ["sid-amd64/build"])
        self.building.release()
        self.harness.settle()
        self.assertEqual([self.job(number).state for number in (1, 2)], [JobState.FINISHED] * 2)


class SourcesTests(SlotsCase):
    """
    Source packages that are made from git, two at a time.
    """

    of_slave = "max_builds=2"

    def configuration(self) -> str:
        return super().configuration().replace("root=Plain()", 'root=Plain(), sources="https://git.example.org/{name}"')

    def test_checkout(self) -> None:
        """
        Promise 9.2: each checkout is in the directory of its build, with everything else that makes the source package.
        """
        self.building.held = {"git-get"}
        self.building.said["git-get"] = f"==> commit {'1' * 40}\n"
        self.building.source = archive(greet())
        for _ in range(2):
            self.run_command("bookworm", request_text("greet", "v1.0"))
        slots = ["bookworm-source/build", "bookworm-source/build-2"]
        self.assertEqual(self.places(), [f"{slot}/files/tree" for slot in slots])
        self.building.release()
        self.harness.settle()
        places: dict[str, set[str]] = {}
        for each in self.slave.commands:
            places.setdefault(each.id.partition("-")[0], set()).add(place_of(each))
        of_sources = [found for found in places.values() if any("source" in place for place in found)]
        self.assertEqual(of_sources, [{slot} for slot in slots])
        self.assertEqual({self.job(number).state for number in (1, 2)}, {JobState.FINISHED})


class FewerTests(SlotsCase):
    """
    A slave that may build two packages at a time, and then one.
    """

    of_slave = "max_builds=2"

    def reconfigure(self, of_slave: str) -> None:
        """
        Change what the slave may do, while it builds.
        """
        self.harness.configure(self.configuration().replace(self.of_slave, of_slave))
        self.harness.done(self.farm.reconfiguration.apply())
        self.harness.settle()

    def test_fewer(self) -> None:
        """
        Promise 9.2: when a slave may build fewer packages, those that it builds go on where they are, and none begins
        until there are fewer; then it begins in the first directory.
        """
        self.submit_several(3)
        self.reconfigure("max_builds=1")
        running = ["bookworm-amd64/build", "bookworm-amd64/build-2"]
        self.assertEqual(self.places(), running)
        self.end("bookworm-amd64/build")
        self.assertEqual(self.places(), running[1:])
        self.assertEqual(self.reasons(), [(WaitKind.BUSY, "bot1 is busy with bookworm-amd64/2")])
        self.end("bookworm-amd64/build-2")
        self.assertEqual(self.places(), running[:1])
        self.building.release()
        self.harness.settle()
        self.assertEqual({self.job(number).state for number in (1, 2, 3)}, {JobState.FINISHED})

    def test_unlimited(self) -> None:
        """
        Promise 9.2: a slave that loses its limit while it builds several packages begins the next one after the last of
        them.
        """
        self.submit_several(3)
        self.reconfigure("")
        self.end("bookworm-amd64/build")
        sentence = "bot1 is busy with bookworm-amd64/2, and builds one package at a time, because it has no max_builds"
        self.assertEqual(self.reasons(), [(WaitKind.BUSY, sentence)])
        self.end("bookworm-amd64/build-2")
        self.assertEqual(self.places(), ["bookworm-amd64/build"])


class FairnessTests(SlotsCase):
    """
    Packages of several submitters.  *most*: how many the slave builds at a time.
    """

    of_slave = "max_builds=3"
    most = 3

    def ask_as(self, submitter: int, count: int = 1, priority: int = 0, target: str = "bookworm") -> list[int]:
        """
        The requests of *count* packages of *submitter*.
        """
        new = NewBuildset(
            scheduler=target, builders=[f"{target}-amd64"], reason="", by_grant=submitter, priority=priority
        )
        submitted = self.harness.done(self.farm.requests.submit_all([new] * count, lambda connection: None))
        self.harness.settle()
        return [request.id for each in submitted for request in each.requests]

    def only_first(self, started: StartedCommand) -> None:
        """
        Hold the first command of each build, and let the others fail, so that the build ends with its first one.
        """
        build = started.id.partition("-")[0]
        if build in self.begun:
            started.end(1)
        else:
            self.begun[build] = started
            self.held.append(started)

    def next_begun(self) -> int:
        """
        End the oldest build; returns the request whose build begins then.
        """
        before = set(self.farm.running.live())
        self.held.pop(0).end(1)
        self.harness.settle()
        (new,) = set(self.farm.running.live()) - before
        return new

    def test_one_of_thousands(self) -> None:
        """
        Promise 9.2: 3,000 packages of one submitter delay those of others by no more than one build, however many the
        slave builds at a time; a higher priority comes before all turns.
        """
        self.begun: dict[str, StartedCommand] = {}
        self.held: list[StartedCommand] = []
        self.slave.behaviour = self.only_first
        many = self.ask_as(1, 3000)
        self.assertEqual(list(self.farm.running.live()), many[: self.most])
        (second,) = self.ask_as(2)
        (third,) = self.ask_as(3, target="sid")
        (urgent,) = self.ask_as(1, priority=1)
        self.assertEqual([self.next_begun() for _ in range(4)], [urgent, second, third, many[self.most]])


class FairnessOfOneTests(FairnessTests):
    """
    The same on a slave that builds one package at a time.
    """

    of_slave = ""
    most = 1


def _upgrade_from_0007(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE builds DROP COLUMN slot"))
    with Operations.context(MigrationContext.configure(connection)):
        slots_of_builds.upgrade()


def place_of(started: StartedCommand) -> str:
    """
    The builder's directory, and the one in it, in which a command works.
    """
    spec: Any = started.spec
    path = str(getattr(spec, "workdir", None) or spec.path)
    return "/".join(path.split("/")[:2])
