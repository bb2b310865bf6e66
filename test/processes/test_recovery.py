"""
Failures that a build survives: cut and silent connections, and kill -9 of each process.
"""

import hashlib
import json
import signal
import time
from pathlib import Path

from buildbot_lite.wire.contract import SILENCE

from .farm import (
    Client,
    Farm,
    until,
)
from .farm_case import FarmCase

SEED = 20261122
CUTS = 50


def counted(name: str) -> str:
    """
    Return a command that records its start, writes until the test stops it, and prints the number of its lines.
    """
    return (
        f"echo {name} >> $WITNESS/{name}; echo begun; i=0; "
        f"while ! test -e $WITNESS/{name}-stop; do i=$((i + 1)); echo line $i; sleep 0.01; done; "
        f"echo $i > $WITNESS/{name}-count; echo ended"
    )


class RecoveryTests(FarmCase):
    """
    A farm behind a proxy that can cut connections.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create a builder for each failure.
        """
        farm = Farm("bot1", proxied=True)
        names = (
            "cut", "slave-killed", "slave-stopped", "master-killed", "master-stopped", "both-killed", "silent", "paused"
        )  # fmt: skip
        for name in (*names, "cancelled"):
            farm.builder(name, counted(name))
        farm.config("db = util.MasterLock('db')\n")
        step = "steps.ShellCommand(command={!r}, locks=[db.access('exclusive')])"
        farm.builder("holder", step.format(counted("holder")))
        farm.builder("contender", step.format("! test -e $WITNESS/holder-running && echo mine"))
        farm.builder("whole", "true", more="locks=[db.access('counting')]")
        once = (
            "echo x >> $WITNESS/keeper; test $(wc -l < $WITNESS/keeper) = 2 || { echo $PPID; sleep 600; }; echo second"
        )
        farm.builder("keeper-killed", once)
        farm.builder("followed", counted("followed") + "; exit 3")
        farm.config("c['schedulers'].append(schedulers.ForceScheduler('force', builderNames=['followed']))\n")
        return farm.builder("many-cuts", "echo x >> $WITNESS/many; seq 1 7000000")

    def setUp(self) -> None:
        """
        Start slave and master, if the last test killed them.
        """
        if not self.farm.master.alive:
            self.farm.start_master()
        if not self.farm.slave().alive:
            self.farm.start_slave()

    def begun(self, name: str) -> Client:
        """
        Submit a build; return its client once the build has begun to write.
        """
        client = self.farm.submitting(name)
        client.watch_furl()
        until(lambda: client.out.count(b"\n") > 20, "the command writes")
        return client

    def check(self, name: str, furl: str) -> None:
        """
        Check that the build's command ran once, and that its log is complete.
        """
        (self.farm.witness / f"{name}-stop").touch()
        done = self.farm.watch(furl)
        count = int(*self.farm.witnessed(f"{name}-count"))
        wanted = "begun\n" + "".join(f"line {i}\n" for i in range(1, count + 1)) + "ended\n"

        self.assertEqual((done.code, done.out), (0, wanted.encode()), done.err)
        self.assertEqual(self.farm.log(name, 1), wanted.encode())
        self.assertEqual(self.farm.witnessed(name), [name])
        self.assertEqual(self.farm.rows("select number, result from builds where builder = ?", name), [(1, 0)])

    def lines(self, name: str) -> int:
        """
        Return the number of lines of its log on the master.
        """
        return self.farm.log(name, 1).count(b"\n")

    def test_cut(self) -> None:
        """
        Promise 7: after one cut the build continues, and its client only gets a remark.
        """
        client = self.begun("cut")
        furl = client.watch_furl()
        assert self.farm.proxy is not None
        self.farm.proxy.cut()
        until(lambda: "bot1: reconnected after" in client.err, "the client was told of the new connection")
        before = self.lines("cut")
        until(lambda: self.lines("cut") > before + 20, "the log grows again")
        self.check("cut", furl)

        done = client.wait()
        self.assertEqual(done.code, 0)
        self.assertIn("# bot1: connection lost; waiting for it to come back\n", done.err)

    def test_many_cuts(self) -> None:
        """
        Promise 7: after 50 cuts at random there is one run, the exact log, and the right exit code.
        """
        assert self.farm.proxy is not None
        self.farm.proxy.cut_at_random(CUTS, least=2_000, most=1_500_000, seed=SEED)
        done = self.farm.submit("many-cuts", within=600)

        self.assertEqual(done.code, 0)
        self.assertEqual(self.farm.proxy.cuts, CUTS)
        wanted = hashlib.sha256("".join(f"{i}\n" for i in range(1, 7_000_001)).encode()).hexdigest()
        self.assertEqual(hashlib.sha256(done.out).hexdigest(), wanted)
        self.assertEqual(hashlib.sha256(self.farm.log("many-cuts", 1)).hexdigest(), wanted)
        self.assertEqual(self.farm.witnessed("many"), ["x"])

    def test_silence(self) -> None:
        """
        Promise 7: a silent link is given up, and the build continues over a new one.
        """
        client = self.begun("silent")
        assert self.farm.proxy is not None
        self.farm.proxy.silence()
        until(lambda: "bot1: connection lost" in client.err, "the master noticed the silence")
        self.farm.proxy.speak()
        until(lambda: "bot1: reconnected" in client.err, "the slave connected again")
        self.check("silent", client.watch_furl())

    def test_both_paused(self) -> None:
        """
        Promise 7: a pause of master and slave (SIGSTOP), as of a machine that its host does not run, loses no link,
        although it is longer than the silence after which a link is given up.
        """
        client = self.begun("paused")
        attached = self.farm.slave().log.count("attached to the master")
        for process in (self.farm.master, self.farm.slave()):
            self.addCleanup(process.send, signal.SIGCONT)
            process.send(signal.SIGSTOP)
        time.sleep(SILENCE + 2)
        for process in (self.farm.master, self.farm.slave()):
            process.send(signal.SIGCONT)
        before = self.lines("paused")
        until(lambda: self.lines("paused") > before + 20, "the log grows again")
        self.check("paused", client.watch_furl())

        self.assertNotIn("connection lost", client.wait().err)
        self.assertEqual(self.farm.slave().log.count("attached to the master"), attached)

    def test_slave_killed(self) -> None:
        """
        Promise 7: after kill -9 of the slave's twistd its keeper continues, and the next twistd takes over.
        """
        client = self.begun("slave-killed")
        self.farm.slave().kill()
        until(lambda: "bot1: connection lost" in client.err, "the master noticed")
        self.farm.start_slave()
        self.check("slave-killed", client.watch_furl())
        self.assertRegex(client.wait().err, r"# bot1: back after \d+\.\d s: the slave process was restarted")

    def test_slave_stopped(self) -> None:
        """
        Promise 7: a slave that is stopped and started again keeps its commands.
        """
        client = self.begun("slave-stopped")
        self.assertEqual(self.farm.slave().stop(), -signal.SIGTERM)
        self.farm.start_slave()
        self.check("slave-stopped", client.watch_furl())

    def test_master_killed(self) -> None:
        """
        Promise 7: after kill -9 of the master during a command the client is disconnected, and its watch FURL shows the
        whole build.
        """
        client = self.begun("master-killed")
        furl = client.watch_furl()
        self.farm.master.kill()
        self.assertEqual(client.wait().code, 3)
        self.farm.start_master()
        self.check("master-killed", furl)

    def test_master_killed_while_two_contend_for_a_lock(self) -> None:
        """
        Promise 8.4: after kill -9 of the master, the step that held a lock still holds it.  The waiting steps get it
        when that step has ended; a dead build holds nothing.
        """
        client = self.begun("holder")
        furl = client.watch_furl()
        (self.farm.witness / "holder-running").touch()
        contender, whole = self.farm.submitting("contender"), self.farm.submitting("whole")
        until(lambda: "# waits: lock db is held by holder/1" in contender.err, "the second step waits")
        furls = [each.watch_furl() for each in (contender, whole)]
        self.farm.master.kill()
        self.farm.start_master()
        directory, reason = str(self.farm.master_directory), "lock db is held by holder/1"

        def waiting() -> bool:  # until its slave is back, that is the reason
            (request,) = json.loads(self.farm.command("queue", directory, "--json").out)
            return bool(request["why"]["sentence"] == reason)

        until(waiting, "the request waits for the lock, not for the slave")
        (build,) = json.loads(self.farm.command("builds", directory, "contender", "--json").out)
        self.assertEqual(build["waits_for"], reason)
        self.assertEqual(self.farm.rows("select count(*) from builds where builder = 'whole'"), [(0,)])
        (self.farm.witness / "holder-running").unlink()
        self.check("holder", furl)
        self.assertEqual([self.farm.watch(each).code for each in furls], [0, 0])
        self.assertEqual(self.farm.submit("whole").code, 0)

    def test_master_stopped(self) -> None:
        """
        Promise 7: a stopped master leaves its builds running, and continues them after the next start.
        """
        client = self.begun("master-stopped")
        furl = client.watch_furl()
        self.assertEqual(self.farm.master.stop(), -signal.SIGTERM)
        self.assertEqual(client.wait().code, 3)
        self.farm.start_master()
        self.check("master-stopped", furl)

    def test_cancelled_while_taken_up(self) -> None:
        """
        Promise 6.22: a build that is cancelled after a restart of the master, before its slave is back, ends when the
        slave is back.
        """
        client = self.begun("cancelled")
        furl, request = client.watch_furl(), client.err.split()[2].rstrip(":")
        self.farm.slave().kill()
        self.farm.master.kill()
        self.farm.start_master()
        done = self.farm.command("cancel", str(self.farm.master_directory), request)
        self.assertEqual((done.code, done.err), (0, ""))
        self.farm.start_slave()
        done = self.farm.watch(furl)

        self.assertEqual(done.code, 4, done.err)
        self.assertEqual(self.farm.witnessed("cancelled"), ["cancelled"])
        self.assertEqual(self.farm.witnessed("cancelled-count"), [])

    def test_followed_over_restarts(self) -> None:
        """
        Promise 6.12: force --wait and log --follow continue over restarts: each byte once, and the exit code of the
        build.
        """
        master = str(self.farm.master_directory)
        waiting = self.farm.client("buildbot-lite", "force", master, "followed", "--wait")
        until(lambda: waiting.out.count(b"\n") > 20, "the command writes")
        following = self.farm.client("buildbot-lite", "log", master, "followed/1", "0", "--follow")
        watch = self.farm.clients_directory / "watch.furl"
        watch.touch(mode=0o600)
        furl = self.farm.command("grant", "watch", master, waiting.err.split()[2]).out.decode()
        watch.write_text(f"# request 1: watch with {furl}")
        watching = self.farm.client("buildbot-lite", "follow", str(watch))
        until(lambda: b"begun" in watching.out, "the watch string is followed, too")
        for end in (self.farm.master.kill, self.farm.master.stop):
            until(lambda: following.out.count(b"\n") > 20, "both follow")
            before, printed = waiting.err.count("lost the connection"), waiting.out.count(b"\n")
            end()
            until(lambda: waiting.err.count("lost the connection") > before, "the loss is said")  # noqa: B023 - at once
            self.farm.start_master()
            until(lambda: waiting.out.count(b"\n") > printed + 20, "it goes on")  # noqa: B023 - at once
        (self.farm.witness / "followed-stop").touch()
        count = int(*until(lambda: self.farm.witnessed("followed-count"), "the command ends"))
        wanted = "begun\n" + "".join(f"line {i}\n" for i in range(1, count + 1)) + "ended\n"

        waited, followed, watched = waiting.wait(), following.wait(), watching.wait()
        self.assertEqual((waited.code, waited.out), (1, wanted.encode()), waited.err)
        self.assertEqual((followed.code, followed.out), (0, wanted.encode()), followed.err)
        self.assertEqual((watched.code, watched.out), (1, wanted.encode()), watched.err)
        self.assertEqual(waited.err.count("# followed/1 runs on bot1\n"), 1, waited.err)

    def test_both_killed(self) -> None:
        """
        Promise 7: a build continues after kill -9 of master and slave together.
        """
        furl = self.begun("both-killed").watch_furl()
        self.farm.slave().kill()
        self.farm.master.kill()
        self.farm.start_slave_later()
        self.farm.start_master()
        self.check("both-killed", furl)

    def test_keeper_killed(self) -> None:
        """
        Promise 4: when the keeper dies its command is lost; the request is retried, and the exit code is that of the
        retry.
        """
        client = self.farm.submitting("keeper-killed")
        until(lambda: client.out.endswith(b"\n"), "the command runs")
        keeper = int(client.out)
        self.assertEqual(keeper, self.farm.keeper_pid())
        self.assertIn(b"buildbot_lite.keeper", Path(f"/proc/{keeper}/cmdline").read_bytes())
        self.farm.kill(keeper)
        done = client.wait()

        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(done.out, f"{keeper}\nsecond\n".encode())
        self.assertRegex(done.err, r"# retry 1 of 3 in 2 s: The keeper that ran it ended")
        results = self.farm.rows("select result from builds where builder = 'keeper-killed' order by number")
        self.assertEqual(results, [(5,), (0,)])
