"""
Shells in kept roots, in a running master: who may enter which, and what becomes of the connection.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import define, field
from rich.console import Console
from twisted.internet.defer import Deferred, succeed

from buildbot_lite.cli.output import job_tables
from buildbot_lite.control.questions import QuestionDesk
from buildbot_lite.control.verbs import granted_verbs
from buildbot_lite.errors import BuildbotLiteError, DatabaseFullError, NotFoundError, RefusedError
from buildbot_lite.master.grants.verbs import ADMIN, CONTROL, SUBMIT, WATCH
from buildbot_lite.model.shell_request import ShellRequest, WindowSize
from buildbot_lite.packages.control.job_questions import JOBS_VERB, SHELL_VERB
from buildbot_lite.packages.control.root_shells import (
    EVENT,
    LONGEST_OPENING,
    MOST_OF_A_GRANT,
    MOST_ON_A_SLAVE,
    RootShells,
)
from buildbot_lite.storage.records import feed
from buildbot_lite.storage.records.grants import Grant
from buildbot_lite.wire.shells import OpenShell, ShellTerminal
from test.master.harness import FakeSlave

from .archives import archive, greet
from .test_job_questions import QuestionCase

HOUR = 3600.0


@define(eq=False)
class ShellSlave(FakeSlave):
    """
    A slave that opens shells.  *opened*: their requests and terminals; *typed*: what their shells were told.
    *late*: unless it is None, shells that the test opens.
    """

    opened: list[tuple[ShellRequest, ShellTerminal]] = field(factory=list)
    typed: list[tuple[Any, ...]] = field(factory=list)
    no_shell: Exception | None = None
    late: list[Deferred[OpenShell]] | None = None

    def open_shell(self, request: ShellRequest, terminal: ShellTerminal) -> Deferred[OpenShell]:
        if self.no_shell is not None:
            raise self.no_shell
        if self.late is not None:
            self.late.append(Deferred())
            return self.late[-1]
        self.opened.append((request, terminal))
        return succeed(self)

    def _told(self, *call: Any) -> Deferred[None]:
        self.typed.append(call)
        return succeed(None)

    def input(self, data: bytes) -> Deferred[None]:
        return self._told("input", data)

    def end_input(self) -> Deferred[None]:
        return self._told("end_input")

    def resize(self, rows: int, columns: int) -> Deferred[None]:
        return self._told("resize", rows, columns)

    def hang_up(self) -> Deferred[None]:
        return self._told("hang_up")


class Client:
    """
    The terminal of a person, which can be lost.
    """

    def __init__(self) -> None:
        self.shown: list[tuple[Any, ...]] = []
        self._lost: list[Callable[[], None]] = []

    def output(self, data: bytes) -> Deferred[None]:
        self.shown.append(("output", data))
        return succeed(None)

    def errors(self, data: bytes) -> Deferred[None]:
        self.shown.append(("errors", data))
        return succeed(None)

    def ended(self, exit_code: int, reason: str) -> Deferred[None]:
        self.shown.append(("ended", exit_code, reason))
        return succeed(None)

    def when_lost(self, callback: Callable[[], None]) -> None:
        self._lost.append(callback)

    def lose(self) -> None:
        """
        Cut the connection.
        """
        for callback in self._lost:
            callback()


class RootShellCase(QuestionCase):
    """
    A job whose builds have failed.
    """

    def setUp(self) -> None:
        super().setUp()
        self.host = self.slave = ShellSlave(behaviour=self.building)
        self.building.failing.add("dpkg-buildpackage")

    def configuration(self) -> str:
        return (
            "from buildbot_lite.packages import DebTarget, Overlay, Plain\n"
            'c["slaves"] = [slave.BuildSlave("bot1", max_builds=3)]\n'
            'c["targets"] = [DebTarget("bookworm", arches=["amd64", "i386"], root=Overlay("bookworm", keep_failed=5)),'
            ' DebTarget("plain", arches=["amd64"], root=Plain())]\n'
        )

    def fail_builds(self, **hello: Any) -> None:
        """
        Submit a package, whose builds fail on a slave that permits shells.
        """
        self.submit()
        self.harness.attach("bot1", self.slave, platform={"machine": "x86_64"}, **{"shells": True, **hello})

    def entering(self, grant: Grant | None = None, client: Client | None = None, **more: Any) -> list[Any]:
        """
        Ask to enter the root of job 1 for amd64, as an admin or the holder of *grant*; the list gets the answer.
        """
        desk = QuestionDesk(self.farm, grant or Grant(0, "farm", ADMIN, "farm", "", None, 0.0, label="root"))
        opening = desk.open_shell({"job": 1, "architecture": "amd64", **more}, client or Client())
        answers: list[Any] = []
        opening.addBoth(answers.append)  # type: ignore[unused-awaitable]  # it takes every answer
        self.harness.settle()
        return answers

    def enter(self, grant: Grant | None = None, client: Client | None = None, **more: Any) -> OpenShell:
        """
        Enter it.
        """
        (answer,) = self.entering(grant, client, **more)
        if hasattr(answer, "raiseException"):
            answer.raiseException()
        shell: OpenShell = answer
        return shell

    def events(self) -> list[dict[str, Any]]:
        """
        What the feed says of shells.
        """
        found: Any = self.harness.read(lambda connection: feed.since(connection, 0, most=10_000))
        return [dict(event.body) for event in found if event.kind == EVENT]


class RootShellTests(RootShellCase):
    """
    A shell, from its opening to its end.
    """

    def test_entered(self) -> None:
        """
        Promise 9.4: the master passes on input, output, sizes and the exit code between a person and the slave that
        keeps the root, and records who entered which root and when.
        """
        self.fail_builds()
        where = self.ask("root", job=1, architecture="amd64")["root"]
        self.assertEqual((where["slave"], where["builder"]), ("bot1", "bookworm-amd64"))
        self.assertEqual(where["until"], self.farm.wall() + 5 * HOUR)
        client = Client()
        shell = self.enter(client=client, command=["make", "check"], size={"rows": 24, "columns": 80}, term="xterm-x")
        ((request, terminal),) = self.host.opened
        self.assertEqual(request.size, WindowSize(24, 80))
        self.assertIn("TERM=xterm-x", request.argv)
        self.assertEqual(request.argv[-5:], ("enter", "roots/kept", "bookworm-amd64-1", "make", "check"))
        for call in (lambda: shell.input(b"x"), lambda: shell.resize(9, 8), shell.end_input):
            self.successResultOf(call())
        for show in (partial(terminal.output, b"o"), partial(terminal.errors, b"e"), partial(terminal.ended, 3, "")):
            self.successResultOf(show())
        self.assertEqual(self.host.typed, [("input", b"x"), ("resize", 9, 8), ("end_input",)])
        self.assertEqual(client.shown, [("output", b"o"), ("errors", b"e"), ("ended", 3, "")])
        self.harness.settle()
        common = {"job": 1, "architecture": "amd64", "slave": "bot1", "grant": 0}
        states: list[dict[str, Any]] = [{"state": "asked"}, {"state": "opened"}, {"state": "closed", "exit_code": 3}]
        self.assertEqual(self.events(), [{**common, **each} for each in states])
        # Late calls do no harm, and reach nobody.
        self.successResultOf(shell.input(b"late"))
        self.failureResultOf(terminal.output(b"late"), RefusedError)
        client.lose()
        self.assertEqual(len(self.host.typed), 3)

    def test_lost_client(self) -> None:
        """
        Promise 9.4: when the person's connection is lost, the slave ends the shell.
        """
        self.fail_builds()
        client = Client()
        self.enter(client=client)
        client.lose()
        self.assertEqual(self.host.typed, [("hang_up",)])
        self.harness.settle()
        self.assertEqual([each["state"] for each in self.events()], ["asked", "opened", "closed"])

    def test_lost_slave(self) -> None:
        """
        Promise 9.4: when the slave is lost, the person reads why the shell ended.
        """
        self.fail_builds()
        client = Client()
        self.enter(client=client)
        self.slave.lose()
        self.harness.settle()
        ((what, code, reason),) = client.shown
        self.assertEqual((what, code), ("ended", 255))
        self.assertIn("bot1 was lost", reason)
        self.refused(RefusedError, self.enter, "not connected now")

    def test_most(self) -> None:
        """
        The holders of one string have at most so many shells; one that ends, or that the slave refuses, makes room.
        """
        self.fail_builds()
        clients = [Client() for _ in range(MOST_OF_A_GRANT)]
        for client in clients:
            self.enter(client=client)
        self.refused(RefusedError, self.enter, "Leave one")
        clients[0].lose()
        self.host.no_shell = RefusedError("4 shells are open on this slave")
        for _ in range(2):
            self.refused(RefusedError, self.enter, "on this slave")
        self.host.no_shell = None
        self.enter()
        self.refused(RefusedError, self.enter, "Leave one")

    def test_late(self) -> None:
        """
        Promise 9.4: a slave that does not answer keeps nobody waiting for more than half a minute, and takes no shell
        from the holders of the string; if the shell comes after all, it is hung up.
        """
        self.fail_builds()
        late: list[Deferred[OpenShell]] = []
        self.host.late = late
        for _ in range(MOST_OF_A_GRANT):
            answers = self.entering()
            self.harness.settle(LONGEST_OPENING - 1.0)
            self.assertEqual(answers, [])
            self.harness.settle(1.0)
            (answer,) = answers
            self.assertIn("has not opened a shell within 30 seconds", str(answer.value))
        self.host.late = None
        self.enter()
        self.assertEqual(self.host.typed, [])
        late[0].callback(self.host)
        late[1].errback(RefusedError("There is no shell."))
        self.harness.settle()
        self.assertEqual(self.host.typed, [("hang_up",)])
        self.assertEqual(self.states(), [*["asked", "not opened"] * MOST_OF_A_GRANT, "asked", "opened"])

    def test_not_opened(self) -> None:
        """
        Promise 9.4: the feed says that a shell was opened when it is: not while the slave is asked, nor if it refuses,
        or the person is gone before it answers; one that cannot be recorded is hung up.
        """
        self.fail_builds()
        late: list[Deferred[OpenShell]] = []
        self.host.late, client = late, Client()
        self.entering(client=client)
        self.assertEqual(self.states(), ["asked"])
        client.lose()
        late[0].callback(self.host)
        self.harness.settle()
        self.assertEqual((self.states(), self.host.typed), (["asked", "not opened"], [("hang_up",)]))
        self.host.late, self.host.no_shell = None, RefusedError("There is no shell.")
        self.refused(RefusedError, self.enter, "no shell")
        self.assertEqual(self.states()[2:], ["asked", "not opened"])
        self.host.no_shell = None
        record = RootShells._record

        async def failing(shells: Any, grant: Any, kept: Any, what: Any) -> None:
            if what["state"] == "opened":
                raise DatabaseFullError
            await record(shells, grant, kept, what)

        self.patch(RootShells, "_record", failing)
        self.refused(DatabaseFullError, self.enter, "disk")
        self.assertEqual((self.states()[4:], len(self.host.typed)), (["asked", "closed"], 2))

    def states(self) -> list[str]:
        """
        The states of shells that the feed tells, in order.
        """
        self.harness.settle()
        return [each["state"] for each in self.events()]

    def test_most_on_a_slave(self) -> None:
        """
        One slave has at most so many shells, whoever uses them; one that ends, or that the slave answers after all,
        makes room.
        """
        self.fail_builds()
        grants = [self.grant(SHELL_VERB, "bookworm", str(number)) for number in range(3)]
        clients = [Client() for _ in range(MOST_ON_A_SLAVE - 1)]
        for number, client in enumerate(clients):
            self.enter(grants[number // MOST_OF_A_GRANT], client)
        late: list[Deferred[OpenShell]] = []
        self.host.late = late
        self.entering(grants[2])
        self.harness.settle(LONGEST_OPENING)
        self.host.late = None
        again = partial(self.enter, grants[2])
        self.refused(RefusedError, again, "on the slave bot1, the most")
        late[0].callback(self.host)
        self.harness.settle()
        again()
        self.refused(RefusedError, again, "on the slave bot1, the most")
        clients[0].lose()
        again()
        self.refused(RefusedError, again, "on the slave bot1, the most")


class RightToEnterTests(RootShellCase):
    """
    Rights, and roots that cannot be entered.
    """

    def test_verbs(self) -> None:
        """
        Promise 9.4: only a string of its own permits shells, and an admin's: none to submit, to watch, to control, or
        for the jobs of a target.
        """
        self.fail_builds()
        for verb, of in ((SUBMIT, "bookworm"), (JOBS_VERB, "bookworm"), (CONTROL, "farm"), (WATCH, "farm")):
            grant = self.grant(verb, of)
            self.refused(RefusedError, partial(self.enter, grant), "permits no shell")
            self.refused(RefusedError, partial(self.ask, "root", grant, job=1, architecture="amd64"), "not permit")
        self.enter(self.grant(SHELL_VERB, "bookworm"))
        self.assertEqual(len(self.host.opened), 1)

    def test_narrow(self) -> None:
        """
        Promise 9.4: a string for shells is for one target, or for the jobs that were submitted with one string; it
        shows these jobs, and changes nothing.
        """
        self.fail_builds()
        own = self.farm.grants.of(SUBMIT, "bookworm")
        assert own is not None
        other = self.grant(SUBMIT, "bookworm")
        verb = {each.name: each for each in granted_verbs(self.farm)}[SHELL_VERB]
        designate: Any = verb.designate
        mine, name = self.successResultOf(Deferred.fromCoroutine(designate(f"bookworm {own.id}")))
        self.assertEqual(name, f"bookworm, jobs of string {own.id}")
        for wrong in ("none", f"plain {own.id}", "bookworm x", "bookworm 999", f"bookworm {own.id} {own.id}"):
            self.failureResultOf(Deferred.fromCoroutine(designate(wrong)), NotFoundError)
        unknown = self.failureResultOf(Deferred.fromCoroutine(designate("none")))
        self.assertEqual(str(unknown.value), "There is no target 'none'.  There are: bookworm, plain.")
        self.enter(self.grant(SHELL_VERB, mine))
        for of in ("plain", f"bookworm {other.id}"):
            grant = self.grant(SHELL_VERB, of)
            self.refused(NotFoundError, partial(self.enter, grant), "There is no job 1")
            self.assertEqual(self.ask("list", grant)["jobs"], [])
        self.assertEqual(len(self.ask("list", self.grant(SHELL_VERB, mine))["jobs"]), 1)
        self.refused(RefusedError, partial(self.ask, "kill", self.grant(SHELL_VERB, mine), job=1), "not permit")

    def test_not_there(self) -> None:
        """
        Promise 9.4: a root that cannot be entered gives one sentence that says why, and what to do.
        """
        self.fail_builds(shells=None)
        self.refused(RefusedError, self.enter, "too old")
        self.host = self.slave = ShellSlave(behaviour=self.building)
        self.harness.attach("bot1", self.slave, shells=False)
        self.refused(RefusedError, self.enter, "shells=True")
        self.host = self.slave = ShellSlave(behaviour=self.building)
        self.harness.attach("bot1", self.slave, shells=True, home="home-2")
        self.refused(RefusedError, self.enter, "another directory")
        self.refused(NotFoundError, partial(self.enter, architecture="armhf"), "for amd64, i386")
        self.refused(BuildbotLiteError, partial(self.enter, command=["x" * 100_001]), "100000 characters")
        self.refused(NotFoundError, partial(self.enter, job=2), "There is no job 2")
        self.harness.clock.advance(5 * HOUR)
        self.refused(RefusedError, self.enter, "package requeue 1")

    def test_shown(self) -> None:
        """
        Promise 9.8: `package show` says until when the root of a build that failed is kept, and how to enter it.
        """
        self.building.said["roots/kept"] = ""
        self.fail_builds()
        job = self.ask("show", job=1)["job"]
        until = {arch["architecture"]: arch["kept_until"] for arch in job["arches"]}
        self.assertEqual(until["amd64"], self.farm.wall() + 5 * HOUR)
        console = Console(width=200, color_system=None, highlight=False)
        with console.capture() as capture:
            console.print(job_tables.job(job))
        self.assertRegex(capture.get(), r"of amd64, at most until [^ ]+ [^ ]+: buildbot-lite package shell 1 amd64 *\n")
        self.harness.clock.advance(5 * HOUR + 1)
        later = self.ask("show", job=1)["job"]
        self.assertEqual({arch["kept_until"] for arch in later["arches"]}, {None})

    def test_not_kept(self) -> None:
        """
        Promise 9.8: nothing is shown of a root that the slave could not keep; and no longer time than the slave was
        told, although the target keeps roots longer now.
        """
        self.building.said["roots/kept"] = "not kept: no room\n"
        self.fail_builds()
        self.assertEqual({arch["kept_until"] for arch in self.ask("show", job=1)["job"]["arches"]}, {None})
        self.building.said["roots/kept"] = ""
        self.run_command("bookworm", archive(greet()))
        self.harness.settle()
        for now, hours in ((9, 5), (2, 2)):
            self.harness.configure(self.configuration().replace("keep_failed=5", f"keep_failed={now}"))
            self.harness.done(self.farm.reconfiguration.apply())
            arches = self.ask("show", job=2)["job"]["arches"]
            self.assertEqual({arch["kept_until"] for arch in arches}, {self.farm.wall() + hours * HOUR})
            self.assertEqual(self.ask("root", job=2, architecture="amd64")["root"]["until"], arches[0]["kept_until"])

    def test_not_failed(self) -> None:
        """
        Only roots of builds that failed are kept, and only where the target says so.
        """
        self.building.failing.clear()
        self.fail_builds()
        self.refused(RefusedError, self.enter, "is done")
        self.building.failing.add("dpkg-buildpackage")
        self.run_command("plain", archive(greet()))
        self.harness.settle()
        self.refused(RefusedError, partial(self.enter, job=2), "keep_failed=HOURS")
