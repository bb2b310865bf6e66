"""
Promises that random failures rarely test, each with the failure that tests it.
"""

import signal
import sqlite3
import time
from contextlib import closing
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from test.needs import needs
from test.processes.farm import Client, until
from test.processes.proxy import Proxy

from . import cuts
from .schedules import MASTER
from .tortured_farm import TorturedFarm

PATIENCE = 180.0
NOWHERE = 9
RETRY, SUCCESS, EXCEPTION = 5, 0, 4


def patient(name: str) -> str:
    """
    Return a command that records its start, and writes lines until the test stops it.
    """
    return (
        f"echo {name} >> $WITNESS/{name}; i=0; while ! test -e $WITNESS/{name}-stop; "
        "do i=$((i + 1)); echo line $i; sleep 0.05; done; echo ended"
    )


class OutageCase(SynchronousTestCase):
    """
    Tests that share one farm; builds run on bot1, and are all there are unless the farm submits others *by_itself*.
    """

    farm: ClassVar[TorturedFarm]
    by_itself: ClassVar[bool] = False
    names: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def setUpClass(cls) -> None:
        """
        Start a farm with a builder for each test.
        """
        super().setUpClass()
        cls.farm = TorturedFarm(disks=False, by_itself=cls.by_itself)
        cls.addClassCleanup(cls.farm.close)
        for name in cls.names:
            cls.farm.builder(name, patient(name), more="slavenames=['bot1']")
        cls.configure()
        cls.farm.start()

    @classmethod
    def configure(cls) -> None:
        """
        Add more builders.
        """

    def begun(self, name: str) -> Client:
        """
        Submit a build; return its client once the build has begun to write.
        """
        client = self.farm.submitting(name)
        client.watch_furl()
        until(lambda: client.out.count(b"\n") > 3, "the command writes", PATIENCE)
        return client

    def check(self, name: str, furl: str) -> str:
        """
        Check that the same build continued, its command ran once and its log is complete; return the watcher's stderr.
        """
        (self.farm.witness / f"{name}-stop").touch()
        done = self.farm.watch(furl, PATIENCE)
        count = done.out.count(b"\n") - 1
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(done.out.decode(), "".join(f"line {i}\n" for i in range(1, count + 1)) + "ended\n")
        self.assertEqual(self.farm.witnessed(name), [name])
        self.assertEqual(self.results(name), [SUCCESS])
        return done.err

    def results(self, builder: str) -> list[int | None]:
        """
        Return the results of the attempts.
        """
        return [
            row[0] for row in self.farm.rows("select result from builds where builder = ? order by number", builder)
        ]


class LinkOutageTests(OutageCase):
    names = ("halfopen", "stopped")

    @classmethod
    def configure(cls) -> None:
        """
        Add a builder that writes more than a slow link carries.
        """
        script = (
            "trap 'touch $WITNESS/slow-dead; exit 1' TERM; echo x >> $WITNESS/slow; head -c 52428800 /dev/zero; "
            "touch $WITNESS/slow-wrote; while :; do sleep 0.1; done"
        )
        cls.farm.builder("slow", script, more="slavenames=['bot1']")

    def test_cuts(self) -> None:
        """
        Promise 1: the slave reconnects after each cut.
        """
        self.assertEqual(len(cuts.measure(self.farm.slave(), self.farm.proxies["bot1"], 5).seconds), 5)

    def test_half_open(self) -> None:
        """
        Promise 2: a slave that reconnects while its old link looks alive to the master is accepted.
        """
        client = self.begun("halfopen")
        old = self.farm.proxies["bot1"]
        old.silence()
        self.farm.slave().kill()
        new = Proxy()
        new.target = self.farm.port
        self.addCleanup(old.close)
        self.farm.proxies["bot1"] = new
        self.farm.write_tac("bot1", new)
        self.farm.start_slave()
        told = self.check("halfopen", client.watch_furl())
        self.assertRegex(told, r"bot1: back after \d+\.\d s: the slave process was restarted")
        self.assertNotIn("duplicate", self.farm.slave().log)
        self.assertNotIn("refused", self.farm.slave().log)

    def test_stopped(self) -> None:
        """
        Promise 3: a build continues after its slave's process was stopped (SIGSTOP) until the master had given up the
        link.
        """
        client = self.begun("stopped")
        self.farm.slave().send(signal.SIGSTOP)
        until(lambda: "bot1: connection lost" in client.err, "the master noticed", PATIENCE)
        self.farm.slave().send(signal.SIGCONT)
        until(lambda: "bot1: reconnected after" in client.err, "it is back", PATIENCE)
        self.check("stopped", client.watch_furl())

    def test_slow_link(self) -> None:
        """
        Promise 6: a link that carries 50 MiB of log at 256 kbit/s is not given up, and a cancelled command is killed.
        """
        proxy = self.farm.proxies["bot1"]
        proxy.throttle(32_000)
        self.addCleanup(proxy.throttle, None)
        client = self.farm.submitting("slow")
        client.watch_furl()
        until((self.farm.witness / "slow-wrote").exists, "all was written", PATIENCE)
        before = self.farm.master.log.count("connection lost")
        # Longer than the tolerated silence.
        until(lambda: len(client.out) > 1_000_000, "a part of it came through", PATIENCE)
        self.assertEqual(self.farm.master.log.count("connection lost"), before)
        ((request,),) = self.farm.rows("select request from builds where builder = 'slow'")
        admin = (self.farm.master_directory / "private" / "admin.furl").read_text().split()[-1]
        done = self.farm.command("cancel", "--furlfile", self.farm.private_furl(admin), str(request))
        self.assertEqual(done.code, 0, done.err)
        until((self.farm.witness / "slow-dead").exists, "it was interrupted", PATIENCE)
        self.assertEqual(self.farm.master.log.count("connection lost"), before)
        proxy.throttle(None)
        self.assertEqual(client.wait(PATIENCE).code, 4)


class MasterOutageTests(OutageCase):
    names = ("locked", "edited", "removed")
    by_itself = True  # `ahead` looks at what timers submit

    @classmethod
    def configure(cls) -> None:
        """
        Add a builder that prints the time.
        """
        cls.farm.builder(
            "clocks",
            f"steps.ShellCommand(command={patient('clocks')!r}, timeout=300, maxTime=3000)",
            more="slavenames=['bot1'], maxTime=3000",
        )

    def test_locked_database(self) -> None:
        """
        Promise 5: after another program has locked the farm's database for 30 seconds, everything continues.
        """
        path = self.farm.master_directory / "records" / "farm.sqlite"
        client = self.begun("locked")
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as other:
            other.execute("begin immediate")
            (self.farm.witness / "locked-stop").touch()
            time.sleep(30)  # the lock's duration is what is tested: nothing is awaited
            self.assertEqual(self.results("locked"), [None])
        self.check("locked", client.watch_furl())
        self.assertEqual(client.wait(PATIENCE).code, 0)

    def ahead(self) -> bool:
        """
        Whether a timer of the master fired by a clock that is ahead.
        """
        return bool(self.farm.rows("select 1 from buildsets where submitted > ?", time.time() + 1800))

    @needs("faketime")
    def test_clocks(self) -> None:
        """
        Promise 5: when the clocks of master and slave jump an hour ahead and back, nothing times out.
        """
        if not self.farm.clocks:
            self.skipTest("libfaketimeMT.so.1 is in no directory of /usr/lib")
        client = self.begun("clocks")
        lost = self.farm.master.log.count("connection lost")
        for hours, name in ((1, MASTER), (1, "bot1"), (0, MASTER), (0, "bot1")):
            self.farm.set_clock(name, 3600 * hours)
            if (hours, name) == (1, MASTER):
                until(self.ahead, "the master saw that its clock is an hour ahead", PATIENCE)
            before = client.out.count(b"\n")
            until(lambda: client.out.count(b"\n") > before + 60, "the log grows", PATIENCE)  # noqa: B023
        self.check("clocks", client.watch_furl())
        self.assertEqual(self.farm.master.log.count("connection lost"), lost)

    def test_edited_while_down(self) -> None:
        """
        Promise 4: master and slave are killed, master.cfg loses the builder, both start: the build finishes with its
        old generation.
        """
        furl = self.begun("edited").watch_furl()
        self.farm.slave().kill()
        self.farm.master.kill()
        self.farm.write_config(without=["edited"])
        self.farm.start_slave_later()
        self.farm.start_master()
        self.check("edited", furl)

    def test_reconfigured(self) -> None:
        """
        Promise 7: a build of a builder that is removed meanwhile finishes.
        """
        client = self.begun("removed")
        self.farm.write_config(without=["removed"])
        admin = (self.farm.master_directory / "private" / "admin.furl").read_text().split()[-1]
        done = self.farm.command("reconfig", "--furlfile", self.farm.private_furl(admin))
        self.assertIn("removed", done.out.decode(), done.err)
        self.check("removed", client.watch_furl())


class MachineOutageTests(OutageCase):
    """
    Promise 8: builds that are retried, with the reason.
    """

    @classmethod
    def configure(cls) -> None:
        """
        Add builders whose first attempt runs until it is killed, and whose attempts share a lock, so that simultaneous
        attempts are detected.

        flock's own exit code (77) distinguishes a held lock from a flock that was killed just before its shell.
        """
        cls.farm.slave_options["bot1"] = "grace=40"
        attempt = (
            "flock -n -E 77 $WITNESS/{0}-lock sh -c 'echo {0} >> $WITNESS/{0}; "
            "if test $(wc -l < $WITNESS/{0}) = 1; then echo first; exec sleep 600; else echo second; fi' "
            "|| if test $? = 77; then echo {0} >> $WITNESS/{0}-violations; fi"
        )
        for name in ("reboot", "partition"):
            cls.farm.builder(name, attempt.format(name), more="slavenames=['bot1', 'bot2']")
        cls.farm.builder(
            "lost",
            "echo x >> $WITNESS/lost; if test $(wc -l < $WITNESS/lost) = 1; then echo first; exec sleep 600; fi",
            more="slavenames=['bot1', 'bot2']",
        )
        cls.farm.builder("never", patient("never"), more="slavenames=['bot1'], onLost='fail'")

    def begin_on_bot1(self, name: str) -> Client:
        """
        Submit a build that runs on bot1; return its client.
        """
        client = self.farm.submitting(name)
        until(lambda: b"first" in client.out, "the first attempt runs", PATIENCE)
        return client

    def first_on_bot1(self, name: str) -> str:
        """
        Return the slave of the first attempt.
        """
        ((slave,),) = self.farm.rows("select slave from builds where builder = ? and number = 1", name)
        return str(slave)

    def test_lost(self) -> None:
        """
        Promise 8: ``buildbot-lite lost`` causes a retry at once, with a warning; the slave that returns is told to
        disown its command.
        """
        bot2 = self.farm.slave("bot2")
        bot2.stop()
        client = self.begin_on_bot1("lost")
        proxy = self.farm.proxies["bot1"]
        self.addCleanup(setattr, proxy, "target", self.farm.port)
        proxy.target = NOWHERE
        proxy.cut()
        bot2.start()
        admin = (self.farm.master_directory / "private" / "admin.furl").read_text().split()[-1]
        said = self.farm.command("lost", "--furlfile", self.farm.private_furl(admin), "bot1")
        self.assertEqual((said.code, said.out), (0, b"lost/1 is given up there, and is tried again.\n"), said.err)
        self.assertIn("two attempts may run at the same time", said.err)
        done = client.wait(PATIENCE)
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(self.results("lost"), [RETRY, SUCCESS])

        self.assertEqual(len(self.farm.held("bot1")), 1)
        proxy.target = self.farm.port
        until(lambda: not self.farm.held("bot1"), "it has disowned what it held", PATIENCE)

    @needs("flock")
    def test_reboot(self) -> None:
        """
        Promise 8: after a reboot of the slave's machine the build ends as RETRY with the reason, and the commands that
        had started are listed.
        """
        client = self.begin_on_bot1("reboot")
        slave = self.first_on_bot1("reboot")
        self.farm.reboot(slave)
        self.farm.start_slave(slave)
        done = client.wait(PATIENCE)
        self.assertEqual(done.code, 0, done.err)
        self.assertIn("the machine was rebooted", done.err)
        self.assertIn("these had started: $ flock", done.err)
        self.assertRegex(done.err, rf"retry 1 of 3 in \d+ s: {slave} was rebooted while the command ran")
        self.assertEqual(self.results("reboot"), [RETRY, SUCCESS])
        self.assertEqual(self.farm.witnessed("reboot-violations"), [])

    @needs("flock")
    def test_partition(self) -> None:
        """
        Promise 8: the command of a slave that is away for longer than its grace is dead before the next attempt begins;
        a command with onLost="fail" continues, and its result counts when the slave is back.
        """
        bot2 = self.farm.slave("bot2")
        bot2.stop()
        never = self.begun("never")
        client = self.begin_on_bot1("partition")
        self.assertEqual(self.first_on_bot1("partition"), "bot1")
        bot2.start()
        proxy = self.farm.proxies["bot1"]
        self.addCleanup(setattr, proxy, "target", self.farm.port)
        proxy.target = NOWHERE
        proxy.cut()
        done = client.wait(PATIENCE)
        self.assertEqual(done.code, 0, done.err)
        self.assertRegex(done.err, r"retry 1 of 3 in \d+ s: bot1 was away for longer than the grace of 0.667 min")
        self.assertEqual(self.results("partition"), [RETRY, SUCCESS])
        self.assertEqual(self.farm.witnessed("partition-violations"), [])
        self.assertEqual(self.results("never"), [None])

        proxy.target = self.farm.port
        self.check("never", never.watch_furl())
        until(lambda: not self.farm.held("bot1"), "it has disowned what it held", PATIENCE)
