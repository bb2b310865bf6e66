"""
The command with real masters and slaves, as a new user meets it.
"""

import json
import os
import signal
from pathlib import Path

from test.process_table import alive
from test.processes.farm import (
    Client,
    Done,
    Farm,
    until,
)
from test.processes.farm_case import FarmCase

CONFIG = """
from buildbot_lite.plugins import schedulers, slave, steps, util

c = BuildmasterConfig = {}
c["location"] = ["127.0.0.1"]
c["slaves"] = [slave.BuildSlave("bot1")]
step = steps.ShellCommand
c["builders"] = [
    util.BuilderConfig(name=name, slavenames=["bot1"], factory=util.BuildFactory([step(name="run", command=command)]))
    for name, command in {
        "bytes": ["python3", "-c", "import sys; sys.stdout.buffer.write(bytes(range(256)))"],
        "fails": "echo no; exit 3",
        "gated": "echo begun; while [ ! -e $WITNESS/$BUILDERGATE ]; do sleep 0.05; done; echo done",
        "endless": "echo $$ > $WITNESS/endless; sleep 1000",
    }.items()
]
c["builders"].append(util.BuilderConfig(name="makes", slavenames=["bot1"], factory=util.BuildFactory([
    step(name="make", command="head -c 700000 /dev/zero > big"),
    steps.FileUpload(name="keep", slavesrc="big", masterdest="out/big"),
])))
c["schedulers"] = [schedulers.ForceScheduler("force", builderNames=[each.name for each in c["builders"]])]
""".replace("$BUILDERGATE", "gate")


class Command:
    """
    Runs ``buildbot-lite`` in the directory of a farm of tests.
    """

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.master = str(farm.directory / "master")
        self.bot = str(farm.directory / "bot1")

    def __call__(self, *words: str, stdin: bytes | None = None) -> Done:
        return self.farm.command(*words, stdin=stdin)

    def begin(self, *words: str) -> Client:
        """
        Run it in the background.
        """
        return self.farm.client("buildbot-lite", *words)

    def well(self, *words: str, stdin: bytes | None = None) -> str:
        """
        What it prints when all goes well.
        """
        done = self(*words, stdin=stdin)
        assert done.code == 0, done
        return done.out.decode()


class WholeTests(FarmCase):
    """
    Everything is made, started and stopped by the command alone; the tests go on from where `begin` left it.
    """

    command: Command

    @classmethod
    def make(cls) -> Farm:
        """
        An empty directory.
        """
        farm = Farm()
        farm.master_directory.joinpath("master.tac").unlink()
        return farm

    @classmethod
    def begin(cls) -> None:
        """
        create-master, create-slave, start.
        """
        command = cls.command = Command(cls.farm)
        command.well("create-master", command.master)
        Path(command.master, "master.cfg").write_text(CONFIG)
        command.well("start", command.master)
        furl = command.well("furl", command.master, "bot1")
        command.well("create-slave", command.bot, "-", stdin=furl.encode())
        command.well("start", command.bot)

    def setUp(self) -> None:
        """
        Master and slave are running.
        """
        self.master, self.bot = self.command.master, self.command.bot
        self.pid("master")
        self.pid("bot1")

    def pid(self, of: str) -> int:
        """
        The process in a directory, which is started if there is none.
        """
        path = self.farm.directory / of / "twistd.pid"
        if not path.exists():
            self.command.well("restart", str(path.parent))
        return int(until(path.exists, f"{of} runs") and path.read_text())

    def gate(self) -> Path:
        """
        The file that lets builds of ``gated`` end; it is gone after the test.
        """
        path = self.farm.witness / "gate"
        self.addCleanup(path.unlink, missing_ok=True)
        return path

    def begun(self, builder: str, number: int | None = None) -> int:
        """
        The number of the newest build of *builder*, as soon as its log has begun.
        """

        def looked() -> int:
            done = self.command("builds", self.master, builder, "--json")
            newest = json.loads(done.out)[:1] if done.code == 0 else []
            if newest and newest[0]["result"] is None and newest[0]["steps"] and newest[0]["steps"][0]["logs"]:
                return int(newest[0]["number"])
            return 0

        return until(looked, f"a build of {builder} has begun")

    def test_bytes(self) -> None:
        """
        Promise 6: log prints exactly the bytes that the command wrote.
        """
        forced = self.command("force", self.master, "bytes", "--wait")
        number = json.loads(self.command.well("builds", self.master, "bytes", "--json"))[0]["number"]
        log = self.command("log", self.master, "bytes", str(number), "run")

        self.assertEqual((forced.code, forced.out), (0, bytes(range(256))))
        self.assertEqual((log.code, log.out, log.err), (0, bytes(range(256)), ""))

    def test_exit_code(self) -> None:
        """
        Promise 4: force --wait has the exit code of a submission.
        """
        self.assertEqual(self.command("force", self.master, "fails", "--wait").code, 1)

    def test_ctrl_c(self) -> None:
        """
        Promise 4: Ctrl-C on the client leaves the build running; it is ended by cancel, and whoever waits hears of it.
        """
        waiting = self.command.begin("force", self.master, "gated", "--wait")
        until(lambda: b"begun" in waiting.out, "the log begins")
        waiting.process.send_signal(signal.SIGINT)
        gone = waiting.wait()
        number = self.begun("gated")
        request = gone.err.split()[2]
        following = self.command.begin("log", self.master, "gated", str(number), "--follow")
        until(lambda: b"begun" in following.out, "it goes on")
        self.command.well("cancel", self.master, request)
        told = following.wait()

        self.assertEqual(gone.code, 130)
        self.assertNotIn("Traceback", gone.err)
        self.assertIn(b"=== run\nbegun\n", told.out)
        self.assertEqual(told.code, 0)
        build = until(
            lambda: [
                each
                for each in json.loads(self.command.well("builds", self.master, "gated", "--json"))
                if each["number"] == number and each["result"]
            ],
            "the build ended",
        )[0]
        self.assertEqual(build["result"], "CANCELLED")

    def test_history(self) -> None:
        """
        Promise 6.14: builds are found by who asked, branch, property and result; the last good one and the log of the
        newest too; rebuild asks for the same again.
        """
        furl = self.farm.clients_directory / "control.furl"
        furl.touch(mode=0o600)
        furl.write_text(self.command.well("grant", "control", self.master, "--label", "alice"))
        self.command("force", "--furlfile", str(furl), "fails", "-p", "branch=topic", "--reason", "to see", "--wait")
        self.command("force", self.master, "bytes", "-p", "branch=main", "-p", "revision=1f2e", "--wait")

        listed = json.loads(
            self.command.well("builds", self.master, "--branch", "topic", "--result", "failure", "--json")
        )
        self.assertEqual({each["builder"] for each in listed}, {"fails"})
        self.assertEqual((listed[0]["asked"]["by"], listed[0]["asked"]["reason"]), ("alice", "to see"))
        self.assertIn("alice: to see", self.command.well("builds", self.master, "fails", "--since", "1h"))
        self.assertEqual(json.loads(self.command.well("builds", self.master, "-p", "branch=nowhere", "--json")), [])
        self.assertRegex(self.command.well("last-good", self.master, "bytes"), r"^bytes/\d+  1f2e  20")
        self.assertEqual(self.command("last-good", self.master, "fails").code, 70)
        self.assertEqual(self.command("log", self.master, "fails").out, b"=== run\nno\n--- FAILURE: exit code 3\n")

        again = self.command("rebuild", "--furlfile", str(furl), f"fails/{listed[0]['number']}", "--wait")
        self.assertEqual(again.code, 1, again.err)
        newest = json.loads(self.command.well("builds", self.master, "fails", "-n", "1", "--json"))[0]
        self.assertEqual(
            (newest["branch"], newest["asked"]["reason"]), ("topic", f"rebuild of fails/{listed[0]['number']}")
        )

    def test_artifacts(self) -> None:
        """
        What a build produced is listed and fetched.
        """
        self.command.well("force", self.master, "makes", "--wait")
        (artifact,) = json.loads(self.command.well("artifacts", "list", self.master, "makes", "1", "--json"))
        to = str(self.farm.clients_directory / "to")
        self.command.well("artifacts", "fetch", self.master, "makes", "1", "--to", to)

        self.assertEqual((artifact["name"], artifact["length"]), ("out/big", 700_000))
        self.assertEqual(Path(to, "out", "big").read_bytes(), b"\0" * 700_000)

    def test_reconfig(self) -> None:
        """
        Promise 11: reconfig applies all or nothing; mistakes are printed with their lines.
        """
        path = Path(self.master, "master.cfg")
        self.addCleanup(path.write_text, CONFIG)
        mistakes = "".join(f"c['mistake{n}'] = {n}\n" for n in range(12))
        path.write_text(CONFIG + mistakes)
        refused = self.command("reconfig", self.master)
        path.write_text(CONFIG.replace('BuildSlave("bot1")', 'BuildSlave("bot1"), slave.BuildSlave("bot2")'))
        applied = self.command("reconfig", self.master)

        self.assertEqual((refused.code, refused.err.count("master.cfg:")), (70, 12))
        self.assertIn("slaves added: bot2", applied.out.decode())
        self.assertIn("bot2", Path(self.master, "buildslave.furls").read_text())

    def test_started_twice(self) -> None:
        """
        What runs is not started once more, and to ask for it is no error.
        """
        for directory, kind in ((self.master, "master"), (self.bot, "slave")):
            done = self.command("start", directory)
            self.assertEqual((done.code, done.err), (0, f"The {kind} in {directory} runs already.\n"))

    def test_start_of_a_slave(self) -> None:
        """
        Promise 6.12: start of a slave says that it is connected, refused (with the remedy), or that no master answers.
        """
        self.command.well("stop", self.bot)
        furl = self.command.well("furl", self.master, "bot1").strip()
        other = str(self.farm.directory / "reinstalled")
        self.command.well("create-slave", other, "-", stdin=furl.encode())
        refused = self.command("start", other)
        self.addCleanup(self.command, "stop", other)

        self.assertEqual((refused.code, refused.out), (70, b""))
        self.assertRegex(
            refused.err, r"^The slave in \S+ runs, but the master refuses it: bot1's string belongs .*every minute.*\n$"
        )
        shown = self.command.well("slaves", self.master)
        self.assertRegex(shown, r"bot1 +refused .*buildbot-lite unpin bot1  It asks again by ")

        self.command.well("stop", self.master)
        away = self.command("restart", self.bot)
        self.assertEqual((away.code, away.out), (69, b""))
        self.assertRegex(
            away.err, r"\nThe slave in \S+ runs, but no master answers at tcp:.*The slave keeps trying\.\n$"
        )
        self.command.well("start", self.master)
        until(lambda: " here " in self.command.well("slaves", self.master), "the slave came by itself")
        self.assertIn("is connected to its master.", self.command.well("restart", self.bot))

    def test_restart_goes_on(self) -> None:
        """
        Promise 7: a build outlives the restart of its slave and of its master.
        """
        gate = self.gate()
        self.command.well("force", self.master, "gated")
        number = self.begun("gated")
        before = self.pid("master"), self.pid("bot1")
        self.command.well("restart", self.bot)
        self.command.well("restart", self.master)
        self.assertEqual(len({*before, self.pid("master"), self.pid("bot1")}), 4)
        gate.touch()
        log = self.command("log", self.master, "gated", str(number), "run", "--follow")

        self.assertEqual((log.code, log.out), (0, b"begun\ndone\n"))

    def test_master_when_idle(self) -> None:
        """
        Stop --when-idle waits for the last build, and starts no other.
        """
        gate = self.gate()
        self.command.well("force", self.master, "gated")
        self.begun("gated")
        stopping = self.command.begin("stop", self.master, "--when-idle")
        until(lambda: "runs on bot1" in stopping.err, "it waits")
        self.command.well("force", self.master, "bytes")
        (waiting,) = json.loads(self.command.well("queue", self.master, "--json"))
        self.assertEqual(waiting["why"]["kind"], "stopping")
        self.assertIsNone(stopping.process.poll())
        gate.touch()

        self.assertEqual(stopping.wait().code, 0)
        self.assertFalse(Path(self.master, "twistd.pid").exists())
        self.assertIn("No master runs in", self.command("stop", self.master).err)

    def test_slave_when_idle(self) -> None:
        """
        Promise 10: a slave that drains takes no new builds, which wait for it, and leaves when its last one ended.
        """
        gate = self.gate()
        self.command.well("force", self.master, "gated")
        number = self.begun("gated")
        stopping = self.command.begin("stop", self.bot, "--when-idle")

        def draining() -> bool:
            (slave,) = json.loads(self.command.well("slaves", self.master, "--json"))
            return bool(slave["draining"])

        until(draining, "the slave says that it drains")
        self.command.well("force", self.master, "bytes")
        (waiting,) = json.loads(self.command.well("queue", self.master, "--json"))
        self.assertEqual(waiting["why"]["kind"], "draining")
        self.assertIsNone(stopping.process.poll())
        gate.touch()

        self.assertEqual(stopping.wait().code, 0)
        self.assertEqual(self.command("log", self.master, "gated", str(number), "run").out, b"begun\ndone\n")

    def test_kill(self) -> None:
        """
        Stop --kill ends what a slave runs.
        """
        self.farm.witness.joinpath("endless").unlink(missing_ok=True)
        asked = self.command.well("force", self.master, "endless").split()
        pid = int(until(lambda: self.farm.witnessed("endless"), "the command runs")[0])
        self.command.well("stop", self.bot, "--kill")

        until(lambda: not alive(pid), "the command is gone")
        self.command("cancel", self.master, asked[1])

    def test_kill_left_behind(self) -> None:
        """
        Stop --kill also ends what a slave left running that is gone itself.
        """
        self.farm.witness.joinpath("endless").unlink(missing_ok=True)
        asked = self.command.well("force", self.master, "endless").split()
        pid = int(until(lambda: self.farm.witnessed("endless"), "the command runs")[0])
        self.command.well("stop", self.bot)
        self.assertTrue(alive(pid))
        out = self.command.well("stop", self.bot, "--kill")

        self.assertIn("that an earlier one left running were killed", out)
        until(lambda: not alive(pid), "the command is gone")
        self.assertIn("No slave runs in", self.command("stop", self.bot, "--kill").err)
        self.command("cancel", self.master, asked[1])

    def test_not_running(self) -> None:
        """
        A master that does not run is told from one that does, and restart starts it.
        """
        self.command.well("stop", self.master)
        done = self.command("status", self.master)

        self.assertEqual((done.code, done.out), (69, b""))
        self.assertRegex(
            done.err, r"^No master answers at tcp:127\.0\.0\.1:\d+: .*Start it with: buildbot-lite start DIR\n$"
        )

    def test_closed_pipe(self) -> None:
        """
        A reader that has seen enough ends the command quietly.
        """
        self.command.well("force", self.master, "makes", "--wait")
        self.farm.run(
            f"{self.farm.program('buildbot-lite')} builds {self.master} --json | head -c 1 > {self.farm.witness}/one"
        )

        self.assertEqual(self.farm.witnessed("one"), ["["])

    def test_closed(self) -> None:
        """
        Without standard output, input or error, as some daemons start programs, it is as if nobody listened.
        """
        program, said = self.farm.program("buildbot-lite"), f"{self.farm.witness}/said"
        self.farm.run(f"{program} status {self.master} >&- 2> {said}; echo $? >> {said}")
        self.farm.run(f"{program} create-slave new - <&- 2>> {said} || echo $? >> {said}")
        self.farm.run(f"{program} status nowhere 2>&- || echo $? >> {said}")

        nothing = "There is nothing on standard input.  Give the slave's string there, from buildslave.furls."
        self.assertEqual(self.farm.witnessed("said"), ["0", nothing, "70", "70"])

    def test_full_disk(self) -> None:
        """
        What finds no room is one sentence, from a list as from a log.
        """
        self.command("force", self.master, "bytes", "--wait")
        number = json.loads(self.command.well("builds", self.master, "bytes", "--json"))[0]["number"]
        for words in (f"builds {self.master}", f"log {self.master} bytes {number}"):
            self.farm.run(
                f"{self.farm.program('buildbot-lite')} {words} > /dev/full 2> {self.farm.witness}/said"
                f" || echo $? >> {self.farm.witness}/said"
            )
            self.assertEqual(self.farm.witnessed("said"), ["Standard output: No space left on device.", "70"], words)

    def test_stale_pid_file(self) -> None:
        """
        Promise 6.22: a slave that was killed is started beside its twistd.pid, whose number is another process's now;
        one whose twistd.pid is empty is found all the same.
        """
        file = self.farm.directory / "bot1" / "twistd.pid"
        pid = int(file.read_text())
        self.farm.kill(pid)
        until(lambda: not alive(pid), "it is gone")
        file.write_text(f"{os.getpid()}\n")
        self.assertIn("was started", self.command.well("start", self.command.bot))
        started = int(file.read_text())
        file.write_text("")
        self.assertIn("was started", self.command.well("restart", self.command.bot))
        self.assertFalse(alive(started))
        self.assertTrue(alive(int(file.read_text())))
