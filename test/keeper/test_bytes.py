"""
Input and output of commands: spools contain the exact output, and commands get the exact input.
"""

import hashlib
import os
import resource
import signal
import sys

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.outcome import Ending, Outcome, Why
from buildbot_lite.model.spec import Run, secret_reference

from ..growing_limits import within_limits
from .keeper_harness import KeeperHarness, wait_until

SECRET = "hush-hush-secret"
KEY = "-----BEGIN-----\nAAAAB3NzaC1yc2E\nxyz\n-----END-----\n"


class BytesTests(SynchronousTestCase):
    arguments: tuple[str, ...] = ()

    def setUp(self) -> None:
        """
        A keeper and a client.
        """
        # As under nohup, or in the background of a script.  Commands must not inherit it.
        self.addCleanup(signal.signal, signal.SIGQUIT, signal.signal(signal.SIGQUIT, signal.SIG_IGN))
        self.harness = KeeperHarness(*self.arguments)
        self.addCleanup(self.harness.close)
        self.harness.start_keeper()
        self.client = self.harness.client()

    def python(self, code: str, **more: object) -> Run:
        """
        Return a command that executes *code*.
        """
        return Run(argv=(sys.executable, "-c", f"import os, sys\n{code}"), **more)  # type: ignore[arg-type]  # any field

    def test_every_byte(self) -> None:
        """
        Promise 6: all 256 byte values, NULs, and a missing final newline are kept.
        """
        self.client.run("a-1", self.python("os.write(1, bytes(range(256)) * 3)"))
        self.assertEqual(self.harness.spool("a-1"), bytes(range(256)) * 3)

    def test_reopened_stderr(self) -> None:
        """
        Promise 6: ``echo x > /dev/stderr`` in the middle of a script adds a line, and overwrites nothing.
        """
        self.client.run("a-1", Run(script="echo one; echo two > /dev/stderr; echo three > /dev/stdout; echo four"))
        self.assertEqual(self.harness.spool("a-1"), b"one\ntwo\nthree\nfour\n")

    def test_large(self) -> None:
        """
        Promise 6: 100 MiB in writes of every size arrive complete, with their checksum.
        """
        code = (
            "import random, hashlib\nchance = random.Random(1)\nblock = chance.randbytes(1 << 20)\nleft = 100 << 20\n"
            "digest = hashlib.sha256()\n"
            "while left:\n"
            "    part = block[:min(left, chance.choice((1, 63, 4096, 65537, 1 << 20)))]\n"
            "    left -= len(part)\n    digest.update(part)\n"
            "    while part:\n        part = part[os.write(1, part):]\n"
            "open('digest', 'w').write(digest.hexdigest())\n"
        )
        outcome = self.client.run("a-1", self.python(code))
        with open(os.path.join(self.harness.work, "digest")) as digest:
            self.assertEqual(outcome.streams["stdio"].sha256, digest.read())
        self.assertEqual(outcome.streams["stdio"].length, 100 << 20)

    def test_separate_stderr(self) -> None:
        """
        Standard error is a stream of its own if the spec says so.
        """
        self.client.run("a-1", Run(script="echo out; echo err >&2", separate_stderr=True))
        self.assertEqual((self.harness.spool("a-1"), self.harness.spool("a-1", "stderr")), (b"out\n", b"err\n"))

    def test_silent(self) -> None:
        """
        An empty stream has no spool and no seal in the outcome.
        """
        outcome = self.client.run("a-1", Run(argv=("true",)))
        self.assertEqual(outcome.streams, {})
        self.assertEqual(os.listdir(os.path.join(self.harness.home, "commands")), [])

    def test_terminal(self) -> None:
        """
        A command with a pty has a terminal of its own; its log has the bytes as they were written, without CR.
        """
        code = "print(os.isatty(1), os.isatty(2), os.isatty(0)); os.close(os.open('/dev/tty', os.O_RDWR)); print('é')"
        outcome = self.client.run("a-1", self.python(code, pty=True, env={"PYTHONIOENCODING": "utf-8"}))
        self.assertTrue(outcome.succeeded)
        self.assertEqual(self.harness.spool("a-1"), "True True False\né\n".encode())

    def test_terminal_large(self) -> None:
        """
        The end of a long output to a terminal is kept when the last process closes the terminal.
        """
        self.client.run("a-1", self.python("print('x' * 99 + '\\n', end='', flush=True)\n" * 50, pty=True))
        self.assertEqual(self.harness.spool("a-1"), (b"x" * 99 + b"\n") * 50)

    def test_stdin(self) -> None:
        """
        Text on standard input is written completely, also when it is longer than a pipe's buffer or than the command
        reads.
        """
        text = "0123456789abcdef" * 20000
        self.client.run("a-1", Run(argv=("cat",), stdin=text))
        self.assertEqual(self.harness.spool("a-1"), text.encode())
        self.assertTrue(self.client.run("a-2", Run(argv=("head", "-c", "1"), stdin=text)).succeeded)

    def test_stdin_file(self) -> None:
        """
        Standard input is the given file; without one it is empty.
        """
        path = os.path.join(self.harness.directory, "input")
        with open(path, "wb") as source:
            source.write(bytes(range(256)))
        self.client.run("a-1", Run(argv=("cat",)), stdin_path=path)
        self.assertEqual(self.harness.spool("a-1"), bytes(range(256)))
        self.assertTrue(self.client.run("a-2", Run(argv=("cat",))).succeeded)
        outcome = self.client.run("a-3", Run(argv=("cat",)), stdin_path=path + "-not")
        self.assertEqual(outcome.ending, Ending.FAILED)
        self.assertIn("input", outcome.sentence)

    def test_initial_state(self) -> None:
        """
        A command gets its directory, PWD, umask 022, default signal handlers, its own session, and no other
        descriptors.
        """
        code = (
            "import signal\nprint(os.getcwd() == os.environ['PWD'] == sys.argv[1])\nprint(oct(os.umask(0)))\n"
            "fds = sorted(os.listdir('/proc/self/fd'))\nprint(os.getsid(0) == os.getpid(), fds[:3], len(fds))\n"
            "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
            "pythons_own = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1\n"
            "ordinary = 0x7fffffff & ~pythons_own\n"
            "print(int(status['SigIgn'], 16) & ordinary, int(status['SigBlk'], 16))\n"
        )
        directory = os.path.join(self.harness.work, "deep", "er")
        run = Run(argv=(sys.executable, "-c", f"import os, sys\n{code}", directory))
        self.client.run("a-1", run, workdir=directory)
        self.assertEqual(self.harness.spool("a-1").decode(), "True\n0o22\nTrue ['0', '1', '2'] 4\n0 0\n")

    def test_umask(self) -> None:
        """
        Promise 6.23: a command gets the umask of its request; the next one, without any, the default.
        """
        self.client.run("a-1", Run(script="umask"), umask=0o007)
        self.client.run("a-2", Run(script="umask"))
        self.assertEqual((self.harness.spool("a-1"), self.harness.spool("a-2")), (b"0007\n", b"0022\n"))

    def test_default_pipe_signal(self) -> None:
        """
        SIGPIPE ends a writer without a reader: commands do not inherit that Python ignores it.
        """
        self.client.run("a-1", Run(script="(yes; echo $? >&2) | head -n 1"))
        self.assertEqual(sorted(self.harness.spool("a-1").splitlines()), [b"141", b"y"])

    def test_cannot_run(self) -> None:
        """
        A command that cannot be started fails with a sentence that gives the reason.
        """
        script = os.path.join(self.harness.directory, "script")
        with open(script, "w") as source:
            source.write("#!/no/such/interpreter\n")
        for number, (run, more, words) in enumerate(
            (
                (Run(argv=("no-such-program",)), {}, "No such program: 'no-such-program'"),
                (Run(argv=("./no-such-program",)), {}, "No such program"),
                (Run(argv=(self.harness.directory,)), {}, "permission denied"),
                (Run(argv=(script,)), {}, "permission denied"),
                (Run(argv=("true", "x" * 3_000_000)), {}, "too long"),
                (Run(argv=("true",)), {"workdir": f"{script}/x"}, "working directory"),
                (Run(argv=()), {}, "no command"),
            )
        ):
            outcome = self.client.run(f"a-{number}", run, None, **more)
            self.assertEqual(outcome.ending, Ending.FAILED)
            self.assertIn(words, outcome.sentence)
        os.chmod(script, 0o700)
        self.assertIn("interpreter", self.client.run("b-1", Run(argv=(script,))).sentence)

    def test_script_without_interpreter(self) -> None:
        """
        A script without "#!" is run by the shell, as a shell would do.
        """
        script = os.path.join(self.harness.directory, "script")
        with open(script, "w") as source:
            source.write("echo $1\n")
        os.chmod(script, 0o700)
        self.client.run("a-1", Run(argv=(script, "hello")))
        self.assertEqual(self.harness.spool("a-1"), b"hello\n")

    def test_usage(self) -> None:
        """
        The outcome has the elapsed time and the resource usage.
        """
        outcome = self.client.run("a-1", self.python("sum(range(3000000))"))
        self.assertGreater(outcome.usage["user"], 0.01)
        self.assertGreater(outcome.usage["peak"], 1000)
        self.assertGreater(outcome.elapsed, 0.01)

    def test_slow_client(self) -> None:
        """
        Growth events for a client that does not read are merged, so their number is bounded.
        """
        before = len(self.client.seen)
        self.client.start("a-1", Run(script="head -c 60000000 /dev/zero; touch done"))
        wait_until(lambda: os.path.exists(os.path.join(self.harness.work, "done")))
        self.client.ended("a-1")
        self.assertLess(len(self.client.seen) - before, 600)


class PortableBytesTests(BytesTests):
    """
    The tests above, without Linux's facilities.
    """

    arguments = ("--without=pidfd,subreaper,inotify,spawn",)


class SecretTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A keeper and a client.
        """
        self.harness = KeeperHarness()
        self.addCleanup(self.harness.close)
        self.harness.start_keeper()
        self.client = self.harness.client()

    def everything_written(self) -> bytes:
        """
        Return the contents of all files in the keeper's directory.
        """
        found = []
        for directory, _directories, files in os.walk(self.harness.home):
            for name in files:
                path = os.path.join(directory, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "rb") as source:
                        found.append(source.read())
        return b"\n".join(found)

    def test_masked(self) -> None:
        """
        Promise 14, Invariant I7: a command gets its secret; the stored output has stars of the same length instead.
        """
        reference = secret_reference("token")
        run = Run(
            script='printf "%s|%s|" "$T" "$0"; cat; printf "%s" "$T" | sha256sum',
            env={"T": reference},
            stdin=f"{reference}|",
        )
        self.client.run("a-1", run, {"token": SECRET})
        stars = "*" * len(SECRET)
        digest = hashlib.sha256(SECRET.encode()).hexdigest()
        self.assertEqual(self.harness.spool("a-1").decode(), f"{stars}|/bin/sh|{stars}|{digest}  -\n")
        self.assertNotIn(SECRET.encode(), self.everything_written())

    def test_split(self) -> None:
        """
        A secret is masked when it is written in two pieces with a pause between them, and through a terminal.
        """
        for number, pty in enumerate((False, True)):
            script = 'printf "%s" "${T%-*}"; sleep 0.1; printf "%s" "-${T##*-}"; printf "\\nhush-"'
            run = Run(script=script, env={"T": secret_reference("token")}, pty=pty)
            self.client.run(f"a-{number}", run, {"token": SECRET})
            self.assertEqual(self.harness.spool(f"a-{number}"), b"*" * len(SECRET) + b"\nhush-")

    def test_private_file(self) -> None:
        """
        A private file has mode 0600, is removed when the command ends, and its lines are masked, too.
        """
        run = Run(script='stat -c %a "$F"; cat "$F"; echo "$F"', files={"F": secret_reference("key")})
        self.client.run("a-1", run, {"key": KEY})
        mode, *stars, path = self.harness.spool("a-1").decode().splitlines()
        self.assertEqual((mode, "\n".join(stars)), ("600", "*" * len(KEY.strip())))
        self.assertFalse(os.path.exists(path))
        self.assertNotIn(b"AAAAB3NzaC1yc2E", self.everything_written())

    def test_private_file_of_a_lost_command(self) -> None:
        """
        The next keeper removes the private files of a lost command.
        """
        keeper = self.harness.processes[0]
        self.client.start("a-1", Run(script='echo "$F"; sleep 600', files={"F": secret_reference("key")}), {"key": KEY})
        self.client.wait_for_output("a-1", b"\n")
        path = self.harness.spool("a-1").decode().strip()
        self.assertTrue(os.path.exists(path))
        keeper.kill()
        keeper.wait()
        self.harness.start_keeper()
        self.harness.client()
        self.assertFalse(os.path.exists(path))

    def test_sentence(self) -> None:
        """
        The error of a command that could not be started does not contain its secret.
        """
        outcome = self.client.run("a-1", Run(argv=(secret_reference("token"),)), {"token": SECRET})
        self.assertIn("No such program: '****", outcome.sentence)
        self.assertNotIn(SECRET.encode(), self.everything_written())

    def test_too_short(self) -> None:
        """
        A secret that is too short to be masked is refused.
        """
        outcome = self.client.run("a-1", Run(argv=("echo", secret_reference("token"))), {"token": "short"})
        self.assertEqual(outcome.ending, Ending.FAILED)
        self.assertNotIn(b"short", self.everything_written())


class DiskTests(SynchronousTestCase):
    """
    The spool of a command is redirected to ``/dev/full``, which never has space.
    """

    def started(self, *arguments: str, timeout: float | None = None) -> None:
        """
        Start a command that writes when the test says so, into a spool without space.
        """
        self.harness = KeeperHarness(*arguments)
        self.addCleanup(self.harness.close)
        self.harness.start_keeper()
        self.client = self.harness.client()
        script = "read x; for i in $(seq 60000); do echo line $i; done; echo over > over"
        self.fifo = os.path.join(self.harness.directory, "fifo")
        os.mkfifo(self.fifo)
        # Open for both, so that neither this test nor the command waits for the other (fifo(7)).
        door = os.open(self.fifo, os.O_RDWR)
        self.addCleanup(os.close, door)
        self.client.start("a-1", Run(script=f"exec < {self.fifo}; {script}", timeout=timeout, sigterm_time=0.1))
        self.client.until("claimed")
        self.spool = os.path.join(self.harness.home, "commands", "a-1", "stdio")
        os.mkdir(os.path.dirname(self.spool))
        os.symlink("/dev/full", self.spool)
        os.write(door, b"go\n")

    def test_waits(self) -> None:
        """
        While the disk is full the command waits, and its timeout does not count; then it continues, and no output is
        missing.
        """

        def attempt(seconds: float) -> Outcome | None:
            self.started(timeout=seconds)
            # Longer than its timeout, which does not count while the command waits for the keeper.
            self.client.run("b-1", Run(argv=("sleep", f"{1.5 * seconds}")))
            self.assertFalse(os.path.exists(os.path.join(self.harness.work, "over")))
            os.unlink(self.spool)
            outcome = self.client.ended("a-1")
            return None if outcome.why is Why.TIMEOUT else outcome

        outcome = within_limits(attempt)
        self.assertTrue(outcome.succeeded)
        self.assertEqual(self.harness.spool("a-1"), b"".join(b"line %d\n" % (i + 1) for i in range(60000)))
        self.assertIn("disk is full", outcome.remarks[0].text)

    def test_gives_up(self) -> None:
        """
        When there is no space for too long, the command is killed with the ending "disk full".
        """
        self.started("--disk-patience=0.3")
        outcome = self.client.ended("a-1")
        self.assertEqual((outcome.ending, outcome.why, outcome.sentence), (Ending.KILLED, Why.DISK_FULL, "disk full"))

    def test_gives_up_on_the_ended(self) -> None:
        """
        When there is no space for too long, a command that has exited, with unwritten output, ends as "disk full".
        """
        self.harness = KeeperHarness("--disk-patience=0.3")
        self.addCleanup(self.harness.close)
        self.harness.start_keeper()
        self.client = self.harness.client()
        path = os.path.join(self.harness.home, "commands", "a-1", "stdio")
        outcome = self.client.run(
            "a-1", Run(argv=("/bin/sh", "-c", "mkdir ${0%/*}; ln -s /dev/full $0; echo words", path))
        )
        self.assertEqual((outcome.why, outcome.exit_code), (Why.DISK_FULL, 0))

    def test_full_at_the_end_of_one_that_leaves_others(self) -> None:
        """
        A command that leaves a process behind with its output open ends when there is space again.
        """
        self.harness = KeeperHarness()
        self.addCleanup(self.harness.close)
        self.harness.start_keeper()
        self.client = self.harness.client()
        path = os.path.join(self.harness.home, "commands", "a-1", "stdio")
        script = "mkdir ${0%/*}; ln -s /dev/full $0; sleep 600 & echo $! > left; echo words"
        self.client.start("a-1", Run(argv=("/bin/sh", "-c", script, path), leave_running=True))
        wait_until(self.reaped)
        os.unlink(path)
        self.assertTrue(self.client.ended("a-1").succeeded)
        self.assertEqual(self.harness.spool("a-1"), b"words\n")
        with open(os.path.join(self.harness.work, "left")) as left:
            os.kill(int(left.read()), signal.SIGKILL)

    def reaped(self) -> bool:
        """
        Return whether the keeper knows that the main process has ended.
        """
        mains = [record["pid"] for record in self.harness.records() if record["record"] == "spawned"]
        return bool(mains) and not os.path.exists(f"/proc/{mains[0]}")

    def test_other_trouble(self) -> None:
        """
        A spool that cannot be written for another reason ends the command at once, with the reason.
        """
        self.harness = KeeperHarness()
        self.addCleanup(self.harness.close)
        self.harness.start_keeper()
        path = os.path.join(self.harness.home, "commands", "a-1", "stdio")
        outcome = self.harness.client().run(
            "a-1", Run(argv=("/bin/sh", "-c", "mkdir -p $0; echo words; sleep 600", path))
        )
        self.assertEqual(outcome.why, Why.DISK_FULL)
        self.assertIn("cannot be written", outcome.sentence)

    def test_no_room_for_complaints(self) -> None:
        """
        The outcome is sent even when there is no space for the outcome or for the log line about that.
        """
        harness = KeeperHarness()
        self.addCleanup(harness.close)
        with open("/dev/full", "wb") as full:
            keeper = harness.start_keeper(stderr=full)
        client = harness.client()
        fifo = os.path.join(harness.directory, "fifo")
        os.mkfifo(fifo)
        client.start("a-1", Run(script=f"exec < {fifo}; read x; echo words"))
        client.until("claimed")
        # The records can take no byte more; the spool is shorter than they are.
        size = os.path.getsize(os.path.join(harness.home, "claims"))
        _, hard = resource.prlimit(keeper.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(keeper.pid, resource.RLIMIT_FSIZE, (size, hard))
        with open(fifo, "w") as door:
            door.write("go\n")
        self.assertTrue(client.ended("a-1").succeeded)
        self.assertEqual([record["record"] for record in harness.records()], ["claim", "spawned"])
        resource.prlimit(keeper.pid, resource.RLIMIT_FSIZE, (hard, hard))
        self.assertTrue(client.run("b-1", Run(argv=("true",))).succeeded)
