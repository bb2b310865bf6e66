"""
The reasons why requests wait, as ``queue --json`` and ``status`` of a running farm show them.
"""

import json
import re
import signal

from buildbot_lite.model.results import Result

from .farm import (
    MASTER_TAC,
    Client,
    Farm,
    until,
)
from .farm_case import FarmCase

# So long that the request is looked at and cancelled meanwhile, also on a machine that stands still.
LONG_PAUSES = """
from buildbot_lite.master.scheduling import requests
requests.FIRST_BACK_OFF = requests.LONGEST_BACK_OFF = 3600.0
"""


class WaitReasonTests(FarmCase):
    """
    A farm in which every builder waits for another reason.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create a slave for each reason; a slave that is not started is absent.
        """
        farm = Farm("free", "small", "resting", "leaving", "single", "absent")
        farm.slave_options |= {"small": "minspace=1 << 60", "single": "max_builds=1"}
        waits = "until test -e $WITNESS/go; do sleep 0.05; done"
        on = {name: f"slavenames=[{name!r}]" for name in farm.slave_options}
        for name in ("small", "resting", "leaving", "absent"):
            farm.builder(f"on-{name}", "true", more=on[name])
        farm.builder("first", waits, more=on["single"]).builder("second", "true", more=on["single"])
        farm.builder("draining", waits, more=on["leaving"])
        farm.builder("one-at-a-time", waits, more=on["free"])
        farm.builder("refused", "true", more=f"{on['free']}, canStartBuild=lambda *which: False")
        farm.builder("lost", "kill -9 $PPID; sleep 600", more=on["free"])
        farm.builder("removed", "true", more=on["absent"])
        farm.builder("hello", "true", more=on["free"])
        fan = "steps.Trigger(schedulerNames=['runs', 'waits'], waitForFinish=True)"
        farm.builder("fan", fan, more=on["free"])
        farm.builder("runs", waits, more=on["free"], submit=None)
        farm.builder("waits", waits, more=on["absent"], submit=None)
        (farm.master_directory / "master.tac").write_text(LONG_PAUSES + MASTER_TAC)
        farm.config("c['schedulers'] += [schedulers.Triggerable(name, [name]) for name in ('runs', 'waits')]\n")
        return farm

    @classmethod
    def begin(cls) -> None:
        """
        Start all slaves but one.
        """
        cls.farm.write_config()
        cls.farm.start_master()
        for name in ("free", "small", "resting", "leaving", "single"):
            cls.farm.spawn_slave(name)
        for daemon in cls.farm.slaves.values():
            daemon.wait_ready()

    def setUp(self) -> None:
        """
        Make commands wait until the test lets them end.
        """
        self.clients: list[Client] = []
        (self.farm.witness / "go").unlink(missing_ok=True)

    def tearDown(self) -> None:
        """
        Cancel the waiting requests before their obstacles go; then let every build end.
        """
        for waiting in self.queue():
            self.command("cancel", str(waiting["request"]))
        (self.farm.witness / "go").touch()
        for client in self.clients:
            client.wait()

    def command(self, name: str, *words: str) -> bytes:
        """
        Run a command of the client.
        """
        done = self.farm.command(name, str(self.farm.master_directory), *words)
        self.assertEqual((done.code, done.err), (0, ""))
        return done.out

    def queue(self) -> list[dict[str, object]]:
        """
        Return the waiting requests.
        """
        answer = json.loads(self.command("queue", "--json"))
        assert isinstance(answer, list)
        return answer

    def draining(self, name: str) -> bool:
        """
        Return whether the master knows that a slave drains.
        """
        (slave,) = (each for each in json.loads(self.command("slaves", "--json")) if each["slave"] == name)
        return bool(slave["draining"])

    def submit(self, builder: str) -> None:
        """
        Submit a build.
        """
        client = self.farm.submitting(builder)
        client.watch_furl()
        self.clients.append(client)

    def running(self, builder: str) -> None:
        """
        Wait until a build runs.
        """
        query = "select 1 from builds where builder = ? and finished is null"
        until(lambda: self.farm.rows(query, builder), f"a build of {builder} runs")

    def cancel_build(self, builder: str) -> None:
        """
        Cancel the oldest running build.
        """
        query = "select request from builds where builder = ? and finished is null order by id"
        self.command("cancel", str(self.farm.rows(query, builder)[0][0]))

    def waiting(self) -> list[object]:
        """
        Return the builders whose requests wait.
        """
        return [each["builder"] for each in self.queue()]

    def check(self, builder: str, kind: str, sentence: str) -> None:
        """
        Check the reason for which its request waits, in queue and in status.
        """

        def found() -> bool:
            why = [waiting["why"] for waiting in self.queue() if waiting["builder"] == builder]
            answers.append(why)
            return any(isinstance(each, dict) and each["kind"] == kind for each in why)

        answers: list[list[object]] = []
        try:
            until(found, f"{builder} waits because of {kind}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it was {answers[-1]}") from None
        (why,) = (why for why in answers[-1] if isinstance(why, dict) and why["kind"] == kind)
        self.assertRegex(why["sentence"], sentence)
        status = json.loads(self.command("status", "--json"))
        self.assertIn(why["kind"], [waiting["why"]["kind"] for waiting in status["waiting"]])

    def test_absent(self) -> None:
        """
        Promise 10: no slave of the builder is connected; the reason says since when.
        """
        self.submit("on-absent")
        self.check("on-absent", "absent", r"\Aabsent is not connected \(never seen\)\Z")
        self.farm.start_slave("absent")
        self.assertEqual(self.clients.pop().wait().code, 0)
        self.farm.slave("absent").stop()
        self.submit("on-absent")
        since = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}"
        self.check("on-absent", "absent", rf"\Aabsent is not connected \({since}\)\Z")

    def test_busy(self) -> None:
        """
        Promise 10: all its slaves are busy; the reason names the builds.
        """
        self.submit("first")
        self.running("first")
        self.submit("second")
        self.check("second", "busy", r"\Asingle is busy with first/\d+\Z")

    def test_builder_busy(self) -> None:
        """
        Promise 10: a build of the same builder runs on the slave, and the builder is not concurrent.
        """
        self.submit("one-at-a-time")
        self.running("one-at-a-time")
        self.submit("one-at-a-time")
        self.check(
            "one-at-a-time",
            "builder-busy",
            r"\Aone-at-a-time/\d+ already runs on free, one at a time: the builder has no concurrent=True",
        )

    def test_cancel_what_runs(self) -> None:
        """
        Promise 6.22: `cancel` ends a running build, and the next one starts.
        """
        self.submit("one-at-a-time")
        self.running("one-at-a-time")
        self.submit("one-at-a-time")
        first, second = self.clients
        self.cancel_build("one-at-a-time")
        self.assertEqual(first.wait().code, 4)
        self.running("one-at-a-time")
        (self.farm.witness / "go").touch()
        self.assertEqual(second.wait().code, 0)

    def test_cancel_children(self) -> None:
        """
        Promises 6.10 and 6.22: a triggered build can be cancelled alone, and its parent says so; cancelling a parent
        cancels its running and waiting children.
        """
        self.submit("fan")
        self.running("runs")
        self.cancel_build("runs")
        (client,) = self.clients
        until(lambda: re.search(r"# runs: runs/\d+: CANCELLED", client.err), "the parent says so")
        self.assertEqual(self.waiting(), ["waits"])
        self.cancel_build("fan")
        self.assertEqual(client.wait().code, 4)
        self.submit("fan")
        self.running("runs")
        self.cancel_build("fan")
        self.assertEqual(self.clients[1].wait().code, 4)
        self.assertEqual(self.waiting(), [])
        self.assertEqual(self.farm.rows("select count(*) from builds where finished is null"), [(0,)])
        results = self.farm.rows("select result from requests where builder in ('fan', 'runs', 'waits')")
        self.assertEqual(results, [(int(Result.CANCELLED),)] * 6)

    def test_paused(self) -> None:
        """
        Promise 10: its slave is paused; after ``unpause`` it takes the build.
        """
        self.command("pause", "resting")
        self.submit("on-resting")
        self.check("on-resting", "paused", r"\Aresting is paused\Z")
        self.command("unpause", "resting")
        self.assertEqual(self.clients.pop().wait().code, 0)

    def test_draining(self) -> None:
        """
        Promise 10: its slave drains: it takes no new build, and leaves after its last one.
        """
        self.submit("draining")
        self.running("draining")
        self.farm.slave("leaving").send(signal.SIGUSR2)
        until(lambda: self.draining("leaving"), "the master knows that it drains")
        self.submit("on-leaving")
        self.check("on-leaving", "draining", r"\Aleaving is draining\Z")
        (self.farm.witness / "go").touch()
        self.assertEqual(self.clients.pop(0).wait().code, 0)
        self.farm.slave("leaving").wait()

    def test_low_space(self) -> None:
        """
        Promise 10: its slave has less free space than its minspace.
        """
        self.submit("on-small")
        self.check("on-small", "low-space", r"\Asmall has \d+ MiB free, and needs \d+ MiB \(minspace\)\Z")

    def test_refused(self) -> None:
        """
        Promise 10: canStartBuild refuses.
        """
        self.submit("refused")
        self.check("refused", "refused", r"\AcanStartBuild of refused refuses free\Z")

    def test_back_off(self) -> None:
        """
        Promise 10: after the loss of the slave's keeper the request is retried after a pause, or cancelled (promise
        6.22).
        """
        self.submit("lost")
        until(lambda: "# retry 1 of 3 in 3600 s" in self.clients[0].err, "it is to be tried again")
        self.check("lost", "back-off", r"\Aretry 1 begins in \d+ s\Z")
        (waiting,) = self.queue()
        self.command("cancel", str(waiting["request"]))
        self.assertEqual(self.clients.pop().wait().code, 4)
        self.assertEqual(self.queue(), [])

    def test_no_builder(self) -> None:
        """
        Promise 10: its builder was removed from master.cfg.
        """
        self.submit("removed")
        self.farm.write_config(without=["removed"])
        self.addCleanup(self.farm.write_config)
        self.command("reconfig")
        self.check(
            "removed", "no-builder", r"\Abuilder removed is not in master\.cfg any more; add it again, or cancel"
        )

    def test_stopping(self) -> None:
        """
        Promise 10: the master stops when it is idle; the request to stop can be withdrawn.
        """
        self.submit("first")
        self.running("first")
        stopping = self.farm.client("buildbot-lite", "stop", str(self.farm.master_directory), "--when-idle")
        until(lambda: "# first/" in stopping.err, "the master says what it waits for")
        self.submit("hello")
        self.check("hello", "stopping", r"\Athe master will stop when")
        stopping.process.send_signal(signal.SIGINT)
        self.assertEqual(stopping.wait().code, 130)
        self.assertEqual(self.clients.pop().wait().code, 0)

    def test_stopping_twice(self) -> None:
        """
        Promise 6.13: of two requests to stop, the withdrawal of one leaves the other.
        """
        self.submit("first")
        self.running("first")
        stop = ("buildbot-lite", "stop", str(self.farm.master_directory), "--when-idle")
        stopping = [self.farm.client(*stop) for _ in range(2)]
        for each in stopping:
            until(lambda: "# first/" in each.err, "the master says what it waits for")  # noqa: B023 - at once
        self.submit("hello")
        self.check("hello", "stopping", r"\Athe master will stop when")
        stopping[0].process.send_signal(signal.SIGINT)
        self.assertEqual(stopping[0].wait().code, 130)
        self.check("hello", "stopping", r"\Athe master will stop when")
        stopping[1].process.send_signal(signal.SIGINT)
        self.assertEqual(stopping[1].wait().code, 130)
        self.assertEqual(self.clients.pop().wait().code, 0)

    def test_table(self) -> None:
        """
        Promise 10: without --json the same is printed as a table.
        """
        self.submit("on-small")
        self.check("on-small", "low-space", "minspace")
        for command in ("queue", "status"):
            words = " ".join(self.command(command).decode().split())
            self.assertIn("on-small", words)
            self.assertIn("free, and needs", words)
