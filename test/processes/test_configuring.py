"""
Mistakes in master.cfg, and reconfiguring a running farm.
"""

import os
import signal
import socket

from ..ports import free_port
from ..process_table import alive
from .farm import (
    MASTER_TAC,
    WORDS,
    Daemon,
    Done,
    Farm,
    until,
)
from .farm_case import FarmCase

# Twelve mistakes, one of each kind; MISTAKES has their lines, counted from the first.
TWELVE = """from buildbot_lite.plugins import schedulers, secrets, slave, steps, util
c = BuildmasterConfig = {}
c['slaves'] = [
    slave.BuildSlave("bot1"),
    slave.BuildSlave("bot1"),
    slave.BuildSlave("bot 2"),
    slave.BuildSlave("bot3", max_builds=0),
]
factory = util.BuildFactory([
    steps.ShellCommand(comand="true"),
    steps.ShellCommand(command="true", workdir="/srv/../etc"),
    steps.FileUpload(slavesrc="/secret", masterdest="x"),
])
factory.addStep(steps.ShellCommand)
c['builders'] = [
    util.BuilderConfig(name="one", slavenames=["bot9"], factory=factory),
    util.BuilderConfig(name="two", slavenames=["bot1"], factory=None),
]
c['schedulers'] = [
    schedulers.Submit("one", builderNames=["three"]),
    schedulers.Submit("two", builderNames=["two"], stdin="patches"),
]
c['port'] = "a port"
c['workers'] = []
"""
MISTAKES = {
    5: "two slaves called 'bot1'",
    6: "bot 2",
    7: "max_builds",
    10: "comand",
    11: "/srv/../etc",
    12: "/secret",
    14: "ShellCommand is a class",
    16: "bot9",
    17: "factory",
    20: "three",
    21: "patches",
    23: "a port",
    24: "workers",
}

OF_BUILDBOT = """\
from buildbot.plugins import *
from buildbot.steps.shell import ShellCommand

c = BuildmasterConfig = {}
f = util.BuildFactory()
f.addStep(ShellCommand(command=util.Interpolate("echo %(prop:builddir)s %(prop:buildername)s"), name="echo"))
c["workers"] = []
for n in (1,):
    c["workers"].append(worker.Worker(f"bot{n}", "pass"))
c["builders"] = [util.BuilderConfig(name="hello", slavenames=["bot1"], factory=f)]
c["titleURL"] = "https://farm.example.org/"
c["schedulers"] = [
    schedulers.Submit("hello", builderNames=["hello"])
]
c["www"] = dict(port=8010, authz=util.Authz(allowRules=[util.AnyEndpointMatcher(role="admins")]))
"""


def add_slow(farm: Farm, word: str) -> Farm:
    """
    Add a builder whose two steps print *word*; the first waits until the test lets it end.
    """
    script = f"echo {word}; until test -e $WITNESS/go; do sleep 0.05; done"
    return farm.builder("slow", script, f"echo {word} too")


class ConfigurationMistakesTests(FarmCase):
    """
    A running farm whose master.cfg is edited.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create one slave and two builders.
        """
        return add_slow(Farm("bot1").builder("hello", "echo hello"), "old")

    def edit(self, text: str | None = None) -> None:
        """
        Write master.cfg; after the test it is restored.
        """
        self.farm.write_config(text)

    def tearDown(self) -> None:
        """
        Restore master.cfg.
        """
        self.edit()
        done = self.farm.command("reconfig", str(self.farm.master_directory))
        self.assertEqual((done.code, done.err), (0, ""))

    def check_all(self, said: str) -> None:
        """
        Check that *said* has a line for each mistake, in order, with the line of the call.
        """
        lines = [line for line in said.splitlines() if line.startswith("master.cfg:")]
        # A mistyped argument may also cause the mistake of a missing one at the same call.
        found: dict[int, str] = {}
        for line in lines:
            number = int(line.split(":")[1])
            found[number] = found.get(number, "") + line

        self.assertEqual(list(found), sorted(MISTAKES))
        for number, words in MISTAKES.items():
            self.assertIn(words, found[number])

    def test_checkconfig(self) -> None:
        """
        Promise 11: checkconfig reports more than twelve different mistakes at once, each with its line.
        """
        self.edit(TWELVE)
        done = self.farm.command("checkconfig", str(self.farm.master_directory))

        self.assertEqual((done.code, done.out), (70, b""))
        self.check_all(done.err)

    def test_start(self) -> None:
        """
        Promise 11: a master with mistakes in its configuration reports them on the terminal, and exits.
        """
        directory = self.farm.directory / "bad"
        directory.mkdir()
        (directory / "master.cfg").write_text(TWELVE)
        (directory / "master.tac").write_text(MASTER_TAC)
        master = Daemon("bad", directory, self.farm.env, "master.tac", "ready")
        master.spawn()

        self.assertEqual(master.wait(), 1)
        self.check_all(master.said)
        self.assertNotIn("Traceback", master.said)

    def test_reconfig_with_mistakes(self) -> None:
        """
        Promise 11: reconfig with mistakes reports them and applies nothing.
        """
        before = sorted(path.name for path in (self.farm.master_directory / "furls").iterdir())
        self.edit(TWELVE)
        done = self.farm.command("reconfig", str(self.farm.master_directory))

        self.assertEqual((done.code, done.out), (70, b""))
        self.check_all(done.err)
        self.assertIn("Nothing was applied", done.err)
        self.assertEqual(sorted(path.name for path in (self.farm.master_directory / "furls").iterdir()), before)
        self.assertEqual(self.farm.submit("hello").out, b"hello\n")

    def test_exception(self) -> None:
        """
        Promise 11: a Python exception is reported with its line, without a traceback, after the mistakes before it.
        """
        self.edit(WORDS + "slave.BuildSlave('bot 2')\n\nc['slaves'] = nothing\n")
        for command in ("checkconfig", "reconfig"):
            done = self.farm.command(command, str(self.farm.master_directory))
            self.assertEqual((done.code, done.out), (70, b""))
            before, error = done.err.splitlines()[:2]
            self.assertRegex(before, r"\Amaster\.cfg:3: 'bot 2' cannot be the name of a slave")
            self.assertRegex(error, r"\Amaster\.cfg:5: .*name 'nothing' is not defined")
            self.assertNotIn("Traceback", done.err)

    def test_of_buildbot(self) -> None:
        """
        Promise 8.13, Promise 8.14: a configuration in Buildbot's words runs as it is, with remarks of checkconfig; its
        builds know their directory.
        """
        before = (self.farm.master_directory / "master.cfg").read_text()
        head = "\n".join(line for line in before.splitlines() if line.startswith(("c['location']", "c['minspace']")))
        self.edit(OF_BUILDBOT + head)
        master = str(self.farm.master_directory)
        done = self.farm.command("checkconfig", master)
        self.assertEqual((done.code, done.err), (0, ""))
        remarks = done.out.decode().splitlines()
        self.assertEqual([line.partition(":")[2].partition(":")[0] for line in remarks[:3]], ["9", "11", "15"])
        self.assertIn("is good", remarks[-1])
        done = self.farm.command("reconfig", master)
        self.assertEqual((done.code, done.err), (0, ""))

        work = self.farm.directory / "bot1" / "work"
        self.assertEqual(self.farm.submit("hello").out.decode(), f"{work}/hello hello\n")

    def test_builds_go_on_as_they_began(self) -> None:
        """
        Promise 11: a running build keeps its configuration, also after the master was killed.
        """
        client = self.farm.submitting("slow")
        furl = client.watch_furl()
        until(lambda: client.out == b"old\n", "the build has begun")
        self.addCleanup(add_slow, self.farm, "old")
        add_slow(self.farm, "new")
        self.edit()
        done = self.farm.command("reconfig", str(self.farm.master_directory))
        self.assertEqual((done.code, done.err), (0, ""))
        self.farm.master.kill()
        self.farm.start_master()
        (self.farm.witness / "go").touch()

        self.assertEqual(self.farm.watch(furl).out, b"old\nold too\n")
        self.assertEqual(self.farm.submit("slow").out, b"new\nnew too\n")


class DaemonTests(FarmCase):
    """
    A daemonised master, as ``twistd -y master.tac`` starts it.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create one builder.
        """
        return Farm("bot1").builder("hello", "echo hello")

    @classmethod
    def begin(cls) -> None:
        """
        Start the master with restart, as a user would.
        """
        cls.farm.write_config()
        done = cls.farm.command("restart", str(cls.farm.master_directory))
        assert done.code == 0, done.err
        cls.farm.start_slave()

    def pid(self) -> int:
        """
        Return the daemon's pid.
        """
        return int((self.farm.master_directory / "twistd.pid").read_text())

    def test_hangup(self) -> None:
        """
        Promise 11: SIGHUP applies master.cfg; with a mistake in it nothing changes, and the log has the reason.
        """
        log = self.farm.master_directory / "twistd.log"
        self.farm.builder("more", "echo more").write_config()
        os.kill(self.pid(), signal.SIGHUP)
        until((self.farm.master_directory / "furls" / "more.furl").exists, "it was applied")
        self.assertEqual(self.farm.submit("more").out, b"more\n")

        self.farm.write_config(TWELVE)
        os.kill(self.pid(), signal.SIGHUP)
        until(lambda: "master.cfg:24: " in log.read_text(), "the log says what is wrong")
        self.assertEqual(self.farm.submit("more").out, b"more\n")
        self.farm.write_config()

    def test_stop_when_idle(self) -> None:
        """
        ``stop --when-idle`` waits for running builds; ``restart`` starts the master again, and the slave reattaches.
        """
        client = self.farm.submitting("hello")
        self.assertEqual(client.wait().code, 0)
        pid = self.pid()
        done = self.farm.command("stop", str(self.farm.master_directory), "--when-idle")
        self.assertEqual(done.code, 0, done.err)
        self.assertFalse(alive(pid))
        done = self.farm.command("stop", str(self.farm.master_directory))
        self.assertEqual((done.code, done.err.count("\n")), (70, 1))
        done = self.farm.command("restart", str(self.farm.master_directory))
        self.assertEqual(done.code, 0, done.err)

        self.assertEqual(self.farm.submit("hello").code, 0)

    def test_ports(self) -> None:
        """
        Promise 6.11: reconfig adds and removes a port while clients use it; reconfig and restart refuse a port that
        cannot be bound, and the master continues.
        """
        directory = self.farm.master_directory
        first, second = self.farm.port, free_port()
        old = self.farm.private_furl(self.farm.furl("hello"))
        self.addCleanup(self.farm.write_config)

        def reconfigured(port: object, more: str = "") -> Done:
            self.farm.write_config(more=f"c['port'] = {port!r}\n{more}")
            return self.farm.command("reconfig", str(directory))

        def submitted(furl_file: str) -> int:
            return self.farm.client("flappclient", "--furlfile", furl_file, "run-command").wait().code

        self.assertEqual(reconfigured([first, second]).code, 0)
        self.assertIn(f"@tcp:127.0.0.1:{first},tcp:127.0.0.1:{second}/", self.farm.furl("hello"))
        until(lambda: str(second) in (self.farm.directory / "bot1" / "private" / "hints").read_text(), "it is told")
        self.assertEqual(submitted(old), 0)
        done = reconfigured(second)
        self.assertIn(f"does not listen at port {first} any more.  These strings were last used through it:", done.err)
        self.assertIn("hello", done.err)
        self.assertNotIn("bot1", done.err)
        self.assertNotIn(f":{first}", self.farm.furl("hello"))
        self.assertEqual(submitted(str(directory / "furls" / "hello.furl")), 0)
        self.assertNotEqual(submitted(old), 0)

        with socket.create_server(("", 0)) as other:
            taken = other.getsockname()[1]
            done = reconfigured([second, taken])
            self.assertEqual(done.code, 70)
            self.assertIn(f"cannot listen at tcp:{taken}: Address already in use", done.err)
            self.assertNotIn(str(taken), self.farm.furl("hello"))
            pid = self.pid()
            done = self.farm.command("restart", str(directory))
            self.assertIn("Address already in use", done.err)
            self.assertIn("Nothing was stopped or started.", done.err)
        self.assertTrue(alive(pid))
        self.assertEqual(submitted(str(directory / "furls" / "hello.furl")), 0)
        self.assertIn("records cannot move", reconfigured(second, "c['db'] = 'other.sqlite'\n").err)
        done = reconfigured(first, "c['location'] = ['127.0.0.1', 'nowhere.invalid']\n")
        self.assertEqual(done.code, 0)
        self.assertIn(f"does not lead to this master: nowhere.invalid:{first} (", done.err)

    def test_rotated(self) -> None:
        """
        Promise 6.13: master and slave open a new log when logrotate has moved theirs; SIGHUP ends no slave.
        """
        slave = self.farm.slave()
        logs = [self.farm.master_directory / "twistd.log", slave.log_path]
        for log in logs:
            log.rename(log.with_suffix(".log.1"))
        for log in logs:
            until(log.exists, f"{log} is there again")
        slave.send(signal.SIGHUP)
        until(lambda: "SIGHUP changes nothing" in slave.log_path.read_text(), "it says what SIGHUP does")
        self.assertTrue(slave.alive)
        self.assertEqual(self.farm.submit("hello").code, 0)
        for log in logs:
            # Joined again, for the search of the logs at the end.
            log.write_bytes(log.with_suffix(".log.1").read_bytes() + log.read_bytes())

    def test_never_ends(self) -> None:
        """
        Promise 6.23: a master.cfg that never finishes does not stop the running master.
        """
        directory = self.farm.master_directory
        self.addCleanup(self.farm.write_config)
        self.farm.write_config(more="c['reconfigTimeout'] = 10\n")
        self.assertEqual(self.farm.command("reconfig", str(directory)).code, 0)
        self.farm.write_config(more="while True: pass\n")
        reconfiguring = self.farm.client("buildbot-lite", "reconfig", str(directory))

        self.assertEqual(self.farm.command("queue", str(directory)).code, 0)
        done = reconfiguring.wait()
        self.assertEqual(done.code, 70)
        self.assertIn("Loading master.cfg took too long", done.err)
        self.assertIn("Nothing was applied", done.err)
        self.farm.write_config()
        self.assertEqual(self.farm.command("reconfig", str(directory)).code, 0)
