"""
The command with real masters and slaves, in the order of a new user's steps.
"""

import json
import os
import re
import signal
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

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
        "gated": "echo wait_for_build; while [ ! -e $WITNESS/gate ]; do sleep 0.05; done; echo done",
        "endless": "echo $$ > $WITNESS/endless; sleep 1000",
    }.items()
]
c["builders"].append(util.BuilderConfig(name="makes", slavenames=["bot1"], factory=util.BuildFactory([
    step(name="make", command="head -c 700000 /dev/zero > big"),
    steps.FileUpload(name="keep", slavesrc="big", masterdest="out/big"),
])))
c["schedulers"] = [schedulers.ForceScheduler("force", builderNames=[each.name for each in c["builders"]])]
"""


class Command:
    """
    Runs ``buildbot-lite`` on a farm of the tests.
    """

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.master = str(farm.directory / "master")
        self.bot = str(farm.directory / "bot1")

    def __call__(self, *words: str, stdin: bytes | None = None) -> Done:
        return self.farm.command(*words, stdin=stdin)

    def begin(self, *words: str) -> Client:
        """
        Run the command in the background.
        """
        return self.farm.client("buildbot-lite", *words)

    def well(self, *words: str, stdin: bytes | None = None) -> str:
        """
        The output of a command that must succeed.
        """
        done = self(*words, stdin=stdin)
        assert done.code == 0, done
        return done.out.decode()


class CommandTests(FarmCase):
    """
    Everything is created, started and stopped by the command; the tests continue from the state that `begin` made.
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
        Run create-master, create-slave and start.
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
        Master and slave run.
        """
        self.master, self.bot = self.command.master, self.command.bot
        self.pid("master")
        self.pid("bot1")

    def pid(self, of: str) -> int:
        """
        The process in a directory, which is started if none runs.
        """
        path = self.farm.directory / of / "twistd.pid"
        if not path.exists():
            self.command.well("restart", str(path.parent))
        return int(until(path.exists, f"{of} runs") and path.read_text())

    def gate(self) -> Path:
        """
        The file that lets builds of ``gated`` end; it is removed after the test.
        """
        path = self.farm.witness / "gate"
        self.addCleanup(path.unlink, missing_ok=True)
        return path

    def wait_for_build(self, builder: str, number: int | None = None) -> int:
        """
        The number of the newest build of *builder*, when its log has wait_for_build.
        """

        def looked() -> int:
            done = self.command("builds", self.master, builder, "--json")
            newest = json.loads(done.out)[:1] if done.code == 0 else []
            if newest and newest[0]["result"] is None and newest[0]["steps"] and newest[0]["steps"][0]["logs"]:
                return int(newest[0]["number"])
            return 0

        return until(looked, f"a build of {builder} has wait_for_build")

    def test_bytes(self) -> None:
        """
        Promise 6: `log` prints exactly the bytes that the command wrote.
        """
        forced = self.command("force", self.master, "bytes", "--wait")
        number = json.loads(self.command.well("builds", self.master, "bytes", "--json"))[0]["number"]
        log = self.command("log", self.master, "bytes", str(number), "run")

        self.assertEqual((forced.code, forced.out), (0, bytes(range(256))))
        self.assertEqual((log.code, log.out, log.err), (0, bytes(range(256)), ""))

    def test_exit_code(self) -> None:
        """
        Promise 4: `force --wait` has the exit code of a submission.
        """
        self.assertEqual(self.command("force", self.master, "fails", "--wait").code, 1)

    def test_ctrl_c(self) -> None:
        """
        Promise 4: Ctrl-C on the client does not stop the build; `cancel` ends it, and a client that follows ends too.
        """
        waiting = self.command.begin("force", self.master, "gated", "--wait")
        until(lambda: b"wait_for_build" in waiting.out, "the log begins")
        waiting.process.send_signal(signal.SIGINT)
        gone = waiting.wait()
        number = self.wait_for_build("gated")
        request = gone.err.split()[2]
        looking = self.command.begin("log", self.master, "gated", str(number), "--follow")
        until(lambda: b"wait_for_build" in looking.out, "the log is followed")
        looking.process.send_signal(signal.SIGINT)
        looked = looking.wait()
        following = self.command.begin("log", self.master, "gated", str(number), "--follow")
        until(lambda: b"wait_for_build" in following.out, "it goes on")
        self.command.well("cancel", self.master, request)
        told = following.wait()

        self.assertEqual(gone.code, 130)
        self.assertNotRegex(gone.err, "Traceback|lost the connection")
        self.assertEqual((looked.code, looked.err), (130, "\n"))
        self.assertIn(b"=== run\nwait_for_build\n", told.out)
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
        Promise 6.14: `builds` filters by submitter, branch, property and result; `last-good`, `log` of the newest build
        and `rebuild` work.
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
        Artifacts are listed and fetched.
        """
        self.command.well("force", self.master, "makes", "--wait")
        (artifact,) = json.loads(self.command.well("artifacts", "list", self.master, "makes", "1", "--json"))
        to = str(self.farm.clients_directory / "to")
        self.command.well("artifacts", "fetch", self.master, "makes", "1", "--to", to)

        self.assertEqual((artifact["name"], artifact["length"]), ("out/big", 700_000))
        self.assertEqual(Path(to, "out", "big").read_bytes(), b"\0" * 700_000)

    def test_reconfig(self) -> None:
        """
        Promise 11: `reconfig` applies all or nothing, and prints mistakes with their lines.
        """
        path = Path(self.master, "master.cfg")
        self.addCleanup(path.write_text, CONFIG)
        mistakes = "".join(f"c['mistake{n}'] = {n}\n" for n in range(12))
        path.write_text(CONFIG + mistakes)
        refused = self.command("reconfig", self.master)
        path.write_text(CONFIG + "c['slaves'].append(slave.BuildSlave('bot2'))\n")
        applied = self.command("reconfig", self.master)

        self.assertEqual((refused.code, refused.err.count("master.cfg:")), (70, 12))
        self.assertIn("slaves added: bot2", applied.out.decode())
        self.assertIn("bot2", Path(self.master, "buildslave.furls").read_text())

    def test_started_twice(self) -> None:
        """
        `start` of a running process changes nothing and succeeds.
        """
        web = f"The web process in {self.master}/web runs already, at {self.address()}\n"
        for directory, said in (
            (self.master, f"The master in {self.master} runs already.\n{web}"),
            (self.bot, f"The slave in {self.bot} runs already.\n"),
        ):
            done = self.command("start", directory)
            self.assertEqual((done.code, done.err), (0, said))

    def address(self) -> str:
        """
        The address that the web process tells.
        """
        return Path(self.master, "web", "address").read_text().strip()

    def test_web_process(self) -> None:
        """
        `start`, `stop` and `restart` of a farm act on its web process, too, which starts last and stops first; those of
        its own directory act on it alone.  `start` names the address, at which it answers.
        """
        self.command.well("restart", self.master)
        web, master = f"{self.master}/web", self.pid("master")
        self.assertEqual(self.command.well("stop", web), f"The web process in {web} has stopped.\n")
        started = self.command("start", self.master)
        self.assertEqual(started.err, f"The master in {self.master} runs already.\n")
        self.assertEqual(started.out.decode(), f"The web process in {web} was started, at {self.address()}\n")
        with self.assertRaises(HTTPError) as refused, urlopen(f"{self.address()}change_hook/github", timeout=60):
            pass
        self.assertEqual(refused.exception.code, 405)
        refused.exception.close()
        with urlopen(self.address(), timeout=60) as page:
            self.assertEqual(page.status, 200)
        self.command.well("restart", web)
        self.assertEqual(self.pid("master"), master)

        said = self.command.well("stop", self.master)
        self.assertEqual(said, f"The web process in {web} has stopped.\nThe master in {self.master} has stopped.\n")
        nothing = self.command("stop", self.master)
        self.assertEqual(nothing.code, 70)
        self.assertRegex(nothing.err, r"\ANo web process runs in .*\nNo master runs in .*\n\Z")
        again = self.command.well("restart", self.master)
        self.assertEqual(
            again,
            f"The master in {self.master} was started.\nThe web process in {web} was started, at {self.address()}\n",
        )

    def test_web_process_fails(self) -> None:
        """
        A web process that cannot start does not keep its master from starting, and the command fails with the reason.
        """
        tac = Path(self.master, "web", "web.tac")
        self.addCleanup(self.command, "start", f"{self.master}/web")
        self.addCleanup(tac.write_text, tac.read_text())
        tac.write_text(tac.read_text().replace('# port="tcp:8010:interface=127.0.0.1"', 'port="nowhere"'))
        done = self.command("restart", self.master)

        self.assertEqual(done.code, 70)
        self.assertTrue(done.out.decode().endswith(f"The master in {self.master} was started.\n"), done)
        self.assertIn("'nowhere' is no port.", done.err)
        self.assertIn("The web process did not start.", done.err)
        self.assertEqual(self.command("status", self.master).code, 0)

    def test_start_of_a_slave(self) -> None:
        """
        Promise 6.12: `start` of a slave says that it is connected, refused (with the remedy), or that no master
        answers.
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
        unpin = re.escape(f"buildbot-lite unpin {self.master} bot1")
        self.assertRegex(shown, rf"bot1 +refused .*{unpin}  The next attempt is by ")

        self.command.well("stop", self.master)
        away = self.command("restart", self.bot)
        self.assertEqual((away.code, away.out), (69, b""))
        self.assertRegex(
            away.err, r"\nThe slave in \S+ runs, but no master answers at tcp:.*The slave keeps trying\.\n$"
        )
        self.command.well("start", self.master)
        until(lambda: " here " in self.command.well("slaves", self.master), "the slave came by itself")
        self.assertIn("is connected to its master.", self.command.well("restart", self.bot))

    def test_build_over_restarts(self) -> None:
        """
        Promise 7: a build continues over restarts of its slave and its master.
        """
        gate = self.gate()
        self.command.well("force", self.master, "gated")
        number = self.wait_for_build("gated")
        before = self.pid("master"), self.pid("bot1")
        self.command.well("restart", self.bot)
        self.command.well("restart", self.master)
        self.assertEqual(len({*before, self.pid("master"), self.pid("bot1")}), 4)
        gate.touch()
        log = self.command("log", self.master, "gated", str(number), "run", "--follow")

        self.assertEqual((log.code, log.out), (0, b"wait_for_build\ndone\n"))

    def test_master_when_idle(self) -> None:
        """
        `stop --when-idle` of a master waits for the last build, and no other starts.
        """
        gate = self.gate()
        self.command.well("force", self.master, "gated")
        self.wait_for_build("gated")
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
        Promise 10: a draining slave gets no new builds, which wait, and leaves after its last build.
        """
        gate = self.gate()
        self.command.well("force", self.master, "gated")
        number = self.wait_for_build("gated")
        stopping = self.command.begin("stop", self.bot, "--when-idle")

        def draining() -> bool:
            slaves = json.loads(self.command.well("slaves", self.master, "--json"))
            return any(slave["draining"] for slave in slaves)

        until(draining, "the slave says that it drains")
        self.command.well("force", self.master, "bytes")
        (waiting,) = json.loads(self.command.well("queue", self.master, "--json"))
        self.assertEqual(waiting["why"]["kind"], "draining")
        self.assertIsNone(stopping.process.poll())
        gate.touch()

        self.assertEqual(stopping.wait().code, 0)
        self.assertEqual(self.command("log", self.master, "gated", str(number), "run").out, b"wait_for_build\ndone\n")

    def test_kill(self) -> None:
        """
        `stop --kill` of a slave kills its commands.
        """
        self.farm.witness.joinpath("endless").unlink(missing_ok=True)
        asked = self.command.well("force", self.master, "endless").split()
        pid = int(until(lambda: self.farm.witnessed("endless"), "the command runs")[0])
        self.command.well("stop", self.bot, "--kill")

        until(lambda: not alive(pid), "the command is gone")
        self.command("cancel", self.master, asked[1])

    def test_kill_of_orphans(self) -> None:
        """
        `stop --kill` also kills commands that an earlier process of the slave left running.
        """
        self.farm.witness.joinpath("endless").unlink(missing_ok=True)
        asked = self.command.well("force", self.master, "endless").split()
        pid = int(until(lambda: self.farm.witnessed("endless"), "the command runs")[0])
        stopped = self.command("stop", self.bot)
        self.assertEqual(stopped.code, 0, stopped)
        self.assertIn("A command of its builds goes on without it, for at most 29 min 30 s;", stopped.err)
        self.assertTrue(alive(pid))
        out = self.command.well("stop", self.bot, "--kill")

        self.assertIn("that an earlier one left running were killed", out)
        until(lambda: not alive(pid), "the command is gone")
        self.assertIn("No slave runs in", self.command("stop", self.bot, "--kill").err)
        self.command("cancel", self.master, asked[1])

    def test_not_running(self) -> None:
        """
        Commands say that a master does not run; `restart` starts it.
        """
        self.command.well("stop", self.master)
        done = self.command("status", self.master)

        self.assertEqual((done.code, done.out), (69, b""))
        self.assertRegex(done.err, r"^No master answers at tcp:127\.0\.0\.1:\d+: .*, start it on its own machine: ")
        self.assertTrue(done.err.endswith(f": buildbot-lite start {self.master}\n"), done.err)

    def test_closed_pipe(self) -> None:
        """
        When the reader closes the pipe, the command ends quietly.
        """
        self.command.well("force", self.master, "makes", "--wait")
        self.farm.run(
            f"{self.farm.program('buildbot-lite')} builds {self.master} --json | head -c 1 > {self.farm.witness}/one"
        )

        self.assertEqual(self.farm.witnessed("one"), ["["])

    def test_closed(self) -> None:
        """
        The command works without standard output, input or error, as some daemons start programs.
        """
        program, said = self.farm.program("buildbot-lite"), f"{self.farm.witness}/said"
        self.farm.run(f"{program} status {self.master} >&- 2> {said}; echo $? >> {said}")
        self.farm.run(f"{program} create-slave new - <&- 2>> {said} || echo $? >> {said}")
        self.farm.run(f"{program} status nowhere 2>&- || echo $? >> {said}")

        nothing = (
            "There is nothing on standard input, where the string was expected.  (If a command before the pipe failed, "
            "mend that first.)"
        )
        self.assertEqual(self.farm.witnessed("said"), ["0", nothing, "70", "70"])

    def test_full_disk(self) -> None:
        """
        A full disk under standard output is one sentence, for a list and for a log.
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
        Promise 6.22: a killed slave starts despite a twistd.pid whose number another process has; a slave whose
        twistd.pid is empty is found.
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
