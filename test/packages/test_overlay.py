"""
The program of `Overlay`, run over a small base with a shell and the programs that the tests need.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from unittest import SkipTest
from uuid import uuid4

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import InputError
from buildbot_lite.packages.building.debian_roots import Overlay
from buildbot_lite.packages.building.kept_roots import KEPT, any_expired, entering, removing_expired
from buildbot_lite.packages.building.leftovers import MARKS, marked, removing_left
from buildbot_lite.packages.building.mock import Mock
from buildbot_lite.packages.building.overlay import overlay
from buildbot_lite.packages.building.plain import Plain
from buildbot_lite.packages.building.root import FILES, RESULTS, ROOT
from buildbot_lite.packages.building.sbuild import Sbuild
from buildbot_lite.packages.building.steps import ONLY_FILES

from ..growing_limits import LIMITS, within_limits
from ..needs import NO_SOURCES, needs
from ..process_table import alive, arguments, kill, other_pids, read_proc
from ..waiting_program import WaitingProgram

PROGRAMS = ("sh", "env", "rm", "mv", "rmdir", "sleep", "dd", "cat", "cp", "chmod", "mkdir", "ls", "touch")
LONG = f"98765.{os.getpid()}"
OVER_LIMIT, DAMAGED = 98, 99


def make_base(directory: Path, *more: str) -> None:
    """
    A directory with PROGRAMS and *more* of this machine, and the libraries that they need.
    """
    for name in ("bin", "etc", "tmp", "var", "proc", "dev"):
        (directory / name).mkdir(parents=True)
    for program in (*PROGRAMS, *more):
        path = shutil.which(program)
        if path is None:
            raise SkipTest(f"{program} is not installed (Debian: apt install coreutils)")
        shutil.copy(path, directory / "bin" / program)
        libraries = subprocess.run(["ldd", path], capture_output=True, check=False, text=True, timeout=60).stdout
        for library in re.findall(r"/\S+", libraries):
            copy = directory / library.lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, copy)


def _in_group(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group and alive(pid)
    except ProcessLookupError:
        return False


@needs("mmdebstrap", "newuidmap", "flock", "setpriv")
class OverlayProgramTests(SynchronousTestCase):
    """
    The effects that a build may have on the machine, and the removal of what it leaves.
    """

    def setUp(self) -> None:
        super().setUp()
        self.slave = Path(tempfile.mkdtemp()).resolve()
        self.environment = dict(os.environ)
        self.work = self.slave / "work"
        self.addCleanup(self.remove)
        self.directory = self.work / "builder" / "build"
        (self.directory / FILES / RESULTS).mkdir(parents=True)
        self.begin = self.root().begin("amd64")[0]
        self.bases = (self.directory / self.begin[6]).resolve()
        self.base = self.bases / "base.1.1"
        make_base(self.base)
        Path(f"{self.base}.made").touch()
        (self.bases / "current").symlink_to(self.base.name)

    def remove(self) -> None:
        """
        Remove everything, also files of subordinate users.
        """
        self.run_words(Overlay("bookworm").end())
        self.run_words(overlay("remove", str(self.work / KEPT)))
        shutil.rmtree(self.slave)

    def root(self, **arguments: int) -> Overlay:
        """
        A root with these limits.
        """
        return Overlay("bookworm", **arguments)

    def run_words(self, words: Sequence[str]) -> tuple[int, str]:
        """
        The exit code and the last line of its output.
        """
        ran = subprocess.run(
            words,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=120,
            env=self.environment,
        )
        if "does not let" in ran.stderr:
            raise SkipTest(ran.stderr)
        return ran.returncode, (ran.stdout + ran.stderr).strip().rpartition("\n")[2]

    def built(self, script: str, **limits: int) -> tuple[int, str]:
        """
        The same of a build in a root of its own.
        """
        self.assertEqual(self.run_words(self.begin), (0, ""))
        return self.run_words(self.root(**limits).build("amd64", script))

    def test_no_namespaces(self) -> None:
        """
        Where the kernel refuses namespaces to ordinary users, as in many containers, the build ends with one sentence.
        The process that `unshare` began for ``--map-auto`` would wait then for ever, with its descriptors (util-linux
        2.38).
        """
        programs = self.slave / "programs"
        programs.mkdir()
        left = self.slave / "left"
        for name, script in {
            "id": "echo 1000",
            "unshare": f"case $* in *--map-auto*) sleep 1000 & echo $! >{left} ;; esac\n"
            "echo 'unshare: unshare failed: Operation not permitted' >&2\nexit 1",
        }.items():
            (programs / name).write_text(f"#!/bin/sh\n{script}\n")
            (programs / name).chmod(0o755)

        def end() -> None:
            if left.exists():
                os.kill(int(left.read_text()), signal.SIGKILL)

        environment = {**self.environment, "PATH": f"{programs}:{os.environ['PATH']}"}
        try:
            ran = subprocess.run(
                self.begin,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                text=True,
                timeout=60,
                env=environment,
            )
        finally:
            end()
        self.assertEqual(ran.returncode, 96)
        self.assertIn(
            "does not let 1000 make namespaces (unshare: unshare failed: Operation not permitted)", ran.stderr
        )
        self.assertFalse(left.exists())

    def test_slow_programs(self) -> None:
        """
        The machine's programs with which a root is entered are loaded from the machine, however long that takes: those
        of a root may be of another architecture.
        """
        programs = self.slave / "programs"
        programs.mkdir()
        slow = programs / "setpriv"
        slow.write_text(f'#!/bin/sh\n{shutil.which("sleep")} 0.5\nexec {shutil.which("setpriv")} "$@"\n')
        slow.chmod(0o755)
        self.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
        self.assertEqual(self.built("echo built"), (0, "built"))

    def test_ended(self) -> None:
        """
        Promise 9.4: a build that takes the machine's memory, processes or disk is ended with a sentence for each, and
        none of its processes stays.
        """
        fill = "while :; do dd if=/dev/zero of=/{}/$((i=i+1)) bs=1M count=20; sleep 0.1; done"
        cases = [
            (
                "i=0; while [ $i -lt 100 ]; do sleep LONG & i=$((i+1)); done; wait",
                "processes",
                30,
                "more than 30 processes",
            ),
            (fill.format("var"), "disk", 100 << 20, "it wrote more than 104 MB"),
            (fill.format("build/out"), "disk", 100 << 20, "it wrote more than 104 MB"),
            ("dd if=/dev/zero of=/dev/null bs=200M", "memory", 100 << 20, "it used more than 104 MB of memory"),
        ]
        for script, limit, value, sentence in cases:
            code, said = self.built(script.replace("LONG", LONG), **{limit: value})
            self.assertEqual((code, said.partition(":")[0]), (OVER_LIMIT, "The build was ended"), said)
            self.assertIn(sentence, said)
            self.assertEqual(self.running(), [])
            shutil.rmtree(self.directory / FILES / RESULTS)
            (self.directory / FILES / RESULTS).mkdir()

    def test_exit_codes(self) -> None:
        """
        Promise 9.4: a build cannot end with an exit code that means something else than that it failed; a command of
        somebody who enters its root can.
        """
        for code, seen in ((95, 95), (OVER_LIMIT, 1), (DAMAGED, 1), (100, 100)):
            self.assertEqual(self.built(f"exit {code}"), (seen, ""))
        words = self.kept("b-1")
        self.assertEqual(self.run_words([*words, "sh", "-c", f"exit {OVER_LIMIT}"]), (OVER_LIMIT, ""))

    def running(self) -> list[str]:
        """
        The processes of the test's own that run for so long.
        """
        found = []
        for each in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                words = Path("/proc", each, "cmdline").read_text().split("\0")
                found += [each] if words[:2] == ["sleep", LONG] else []
        return found

    def test_quiet(self) -> None:
        """
        A build within the limits has its own exit code, and the device files and directories that programs expect.
        """
        script = "ls /dev/pts/ptmx /dev/fd/0 /dev/shm >/dev/null; echo hi >/build/out/x; touch /etc/touched; exit 7"
        self.assertEqual(self.built(script), (7, ""))
        self.assertEqual((self.directory / FILES / RESULTS / "x").read_text(), "hi\n")
        self.assertFalse((self.base / "etc" / "touched").exists())

    def test_lengths(self) -> None:
        """
        Each text of overlay.sh fits into a pipe at once, so that sh starts no process to write it.
        """
        text = files("buildbot_lite.packages.building").joinpath("overlay.sh").read_text("utf-8")
        found = re.findall(r"^(\w+)=\$\(cat <<'(\w+)'\n(.*?)^\2$", text, re.MULTILINE | re.DOTALL)
        self.assertEqual([name for name, _, _ in found], ["watching", "mounting"])
        self.assertEqual({name: len(each.encode()) for name, _, each in found if len(each.encode()) > 4096}, {})

    def test_no_helpers(self) -> None:
        """
        Of the processes that watch a build, none is left when it has ended; otherwise each build would have a remark
        about killed processes.
        """
        self.assertEqual(self.run_words(self.begin), (0, ""))
        # Orphans, also those that have ended, are given to this one.
        alone = (
            "import ctypes, os, subprocess, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); "
            "code = subprocess.call(sys.argv[1:]); "
            "sys.exit(code or open(f'/proc/self/task/{os.getpid()}/children').read() or None)"
        )
        words = self.root().build("amd64", "sleep 0.2")
        self.assertEqual(self.run_words([sys.executable, "-c", alone, *words]), (0, ""))

    def killed_at(self, waiting: WaitingProgram, path: Path) -> None:
        """
        Kill a build when *waiting* is called, and let that go on when its parent is gone; nothing of the build may run
        then, or stay.  *path*: the directory in which programs are found first.
        """
        self.assertEqual(self.run_words(self.begin), (0, ""))
        words = self.root().build("amd64", f"touch /build/out/began; sleep {LONG}")
        environment = {**self.environment, "PATH": f"{path}:{os.environ['PATH']}"}
        with subprocess.Popen(words, cwd=self.directory, env=environment) as build:
            _, parent = waiting.wait_for_call()
            # In namespaces of its own, a process does not know its parent.
            parent = parent or self.namespaces_of(build.pid)
            build.kill()
            build.wait(60)
            waiting.go_on(when_gone=parent)
        deadline = time.monotonic() + 60
        while left := [pid for pid in other_pids() if any(LONG in word for word in arguments(pid)) and alive(pid)]:
            for pid in left if time.monotonic() > deadline else ():
                kill(pid)
            self.assertLess(time.monotonic(), deadline, left)
            time.sleep(0.05)
        self.assertEqual(os.listdir(self.directory / FILES / RESULTS), [])

    def test_killed_before_the_promise(self) -> None:
        """
        Promise 9.4: a command in a root does not begin when the process that starts it is killed before it has asked
        the kernel to be killed with that process.
        """
        setpriv = WaitingProgram(self.slave, "setpriv", '[ "$8" = unshare ]')
        self.killed_at(setpriv, setpriv.path.parent)

    def test_namespaces_killed_before_the_promise(self) -> None:
        """
        Promise 9.4: nor does the first process in the namespaces, when the process that made them is killed before
        that.
        """
        first = WaitingProgram(self.slave, "env", "true")
        programs = self.slave / "programs"
        programs.mkdir()
        unshare = programs / "unshare"
        real = shutil.which("unshare")
        # It cannot be stopped between its two steps, so it does not take the second one.
        unshare.write_text(
            f'#!/bin/sh\n[ "${{4-}}" = --kill-child ] || exec {real} "$@"\n'
            f'shift 8\nexec {real} --mount --pid --fork --ipc --uts --net --mount-proc {first.path} "$@"\n'
        )
        unshare.chmod(0o755)
        self.killed_at(first, programs)

    def namespaces_of(self, watching: int) -> int:
        """
        The process that made the namespaces of the build that *watching* watches.
        """
        (found,) = (
            pid
            for pid in other_pids()
            if arguments(pid)[0].endswith("unshare") and b"\nPPid:\t%d\n" % watching in read_proc(pid, "status")
        )
        return found

    def test_once(self) -> None:
        """
        Promise 9.4: after a build in a root, no more commands build or install in that root.
        """
        root = self.root()
        self.assertEqual(self.built("true"), (0, ""))
        for words in (root.build("amd64", "true"), root.prepare("amd64", "true", network=True)):
            code, said = self.run_words(words)
            self.assertEqual(code, DAMAGED)
            self.assertIn("Something was built in this root", said)

    def test_list(self) -> None:
        """
        Promise 9.4: the list of installed packages is that from before the build, whatever the build writes; no file of
        the slave's own becomes that list.
        """
        out = self.directory / FILES / RESULTS
        (out / "installed.txt").write_text("gcc 12\n")
        self.assertEqual(self.built("echo none >out/installed.txt"), (0, ""))
        words = ["/bin/sh", "-euc", ONLY_FILES, "only-files", f"{FILES}/{RESULTS}", ROOT]
        self.assertEqual(self.run_words(words), (0, ""))
        self.assertEqual((out / "installed.txt").read_text(), "gcc 12\n")
        (self.slave / "secret").write_text("secret\n")
        (out / "installed.txt").unlink()
        (out / "installed.txt").symlink_to(self.slave / "secret")
        self.assertEqual(self.built("true"), (0, ""))
        self.assertEqual(self.run_words(words), (0, ""))
        self.assertEqual(os.listdir(out), [])

    def test_replaced(self) -> None:
        """
        Promise 9.4: programs and directories that were replaced in a root are not used to begin the next command.
        """
        self.assertEqual(self.run_words(self.begin), (0, ""))
        replace = "for p in chroot umount setpriv pivot_root; do echo 'echo ran >/build/out/ran' >/bin/$p"
        replace += "; chmod 755 /bin/$p; done"
        links = "mv /etc /other; cp -s /other /etc || true"
        root = self.root()
        self.assertEqual(self.run_words(root.prepare("amd64", f"{replace}; {links}"))[0], 0)
        code, said = self.run_words(root.build("amd64", "ls -d /dev/.machine /dev/.tools 2>&1 | cat; ls /build"))
        self.assertEqual((code, said), (0, "out"))
        self.assertEqual(os.listdir(self.directory / FILES / RESULTS), [])

    def test_private(self) -> None:
        """
        Other users of the machine do not reach what a build makes, for example a program with the set-user-ID bit.
        """
        self.assertEqual(self.run_words(self.begin), (0, ""))
        for path in (self.directory, self.directory / ROOT):
            self.assertEqual(path.stat().st_mode & 0o777, 0o700)

    def test_swept(self) -> None:
        """
        Promise 9.4: the next build removes the rest of a base whose making was killed, and bases that no root uses; a
        base in use stays.
        """
        temporary = Path(tempfile.mkdtemp())
        (temporary / "mmdebstrap.x").mkdir()
        (self.bases / ".temporary").symlink_to(temporary)
        (self.bases / ".incoming").mkdir()
        self.assertEqual(self.run_words(self.begin), (0, ""))
        self.assertFalse(temporary.exists())
        self.assertEqual({each.name for each in self.bases.glob(".*")}, {".lock"})
        newer = self.bases / "base.2.2"
        newer.mkdir()
        Path(f"{newer}.made").touch()
        (self.bases / "current").unlink()
        (self.bases / "current").symlink_to(newer.name)
        other = self.work / "other" / "build"
        other.mkdir(parents=True)
        self.directory, first = other, self.directory
        self.assertEqual(self.run_words(self.begin), (0, ""))
        self.assertTrue(self.base.exists())
        self.directory = first
        self.assertEqual(self.run_words(self.begin), (0, ""))
        self.assertTrue(self.base.exists())
        self.assertEqual(self.run_words(self.begin), (0, ""))
        self.assertFalse(self.base.exists())

    def test_mounted(self) -> None:
        """
        Promise 9.4: if the making of a base is killed, its mounts end with it, so that the rest can be removed.
        """
        programs = self.slave / "programs"
        programs.mkdir()
        mmdebstrap = programs / "mmdebstrap"
        # Only root can mount there, so only root's mounts could stay.
        mmdebstrap.write_text('#!/bin/sh\nmkdir "$TMPDIR/dev"\nmount -t tmpfs dev "$TMPDIR/dev"\nkill -9 $$\n')
        mmdebstrap.chmod(0o755)
        # Without a base, there is none to be used in its place.
        self.bases.rename(self.slave / "bases")
        code, _ = self.run_words(["env", f"PATH={programs}:{os.environ['PATH']}", *self.begin])
        self.assertNotEqual(code, 0)
        temporary = (self.bases / ".temporary").readlink()
        self.assertTrue((temporary / "dev").is_dir())
        for each in (self.slave / "bases").iterdir():
            each.rename(self.bases / each.name)
        self.assertEqual(self.run_words(self.begin), (0, ""))
        self.assertFalse(temporary.exists())

    def test_without_arch_test(self) -> None:
        """
        Promise 9.4: a base for another architecture that the machine runs, such as i386, is made without the program
        arch-test, which mmdebstrap only recommends.  Where it is, mmdebstrap asks it.
        """
        programs = self.slave / "programs"
        programs.mkdir()
        for program in Path("/usr/bin").iterdir():
            if program.name not in ("arch-test", "mmdebstrap"):
                (programs / program.name).symlink_to(program)
        mmdebstrap, asked = programs / "mmdebstrap", self.slave / "asked"
        mmdebstrap.write_text(
            f"#!/bin/sh\ncase $* in *check/qemu*) ;; *) arch-test i386 || exit 1 ;; esac\n"
            f"while [ $# -gt 2 ]; do shift; done\ntar -C {self.base} -cf $1 .\n"
        )
        mmdebstrap.chmod(0o755)
        self.environment["PATH"] = str(programs)
        begin = self.root().begin("i386")[0]
        self.assertEqual(self.run_words(begin), (0, "making a root of bookworm for i386"))
        (programs / "arch-test").write_text(f"#!/bin/sh\necho $* >{asked}\n")
        (programs / "arch-test").chmod(0o755)
        ((self.directory / begin[6]).resolve() / "current").unlink()
        self.assertEqual(self.run_words(begin), (0, "making a root of bookworm for i386"))
        self.assertEqual(asked.read_text(), "i386\n")

    def test_not_made_again(self) -> None:
        """
        Promise 9.4: a base that is too old, and cannot be made again now, is used all the same, with a sentence; the
        next attempt is some minutes later.
        """
        programs = self.slave / "programs"
        programs.mkdir()
        attempts = self.slave / "attempts"
        mmdebstrap = programs / "mmdebstrap"
        mmdebstrap.write_text(f"#!/bin/sh\necho >>{attempts}\necho E: no mirror >&2\nexit 1\n")
        mmdebstrap.chmod(0o755)
        self.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
        os.utime(f"{self.base}.made", (0, 86400))
        for _ in range(2):
            code, said = self.run_words(self.begin)
            self.assertEqual(code, 0)
            self.assertRegex(
                said, "^warning: the base of bookworm for amd64 could not .* so that of 1970-01-0. .* used"
            )
        self.assertEqual(attempts.read_text(), "\n")
        self.assertEqual(self.run_words(self.root().build("amd64", "echo built")), (0, "built"))
        os.utime(self.bases / ".failed", (0, time.time() - 600))
        # The archive is the last argument but one.
        mmdebstrap.write_text(f"#!/bin/sh\nwhile [ $# -gt 2 ]; do shift; done\ntar -C {self.base} -cf $1 .\n")
        code, _ = self.run_words(self.begin)
        self.assertEqual(code, 0)
        self.assertNotEqual((self.bases / "current").readlink().name, self.base.name)
        self.assertFalse((self.bases / ".failed").exists())

    def test_hanging_mirror(self) -> None:
        """
        Promise 9.4: a mirror that does not answer holds a build up for a time only, when there is an old base; the next
        build uses that one at once, also if this one was killed.
        """
        programs = self.slave / "programs"
        programs.mkdir()
        seen = self.slave / "seen"
        mmdebstrap = programs / "mmdebstrap"
        mmdebstrap.write_text(f"#!/bin/sh\nls -A {self.bases} >>{seen}\nexec sleep 1000\n")
        mmdebstrap.chmod(0o755)
        self.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
        os.utime(f"{self.base}.made", (0, 86400))

        def attempt(seconds: float) -> str | None:
            for left in (seen, self.bases / ".failed"):
                left.unlink(missing_ok=True)
            limited = [word.replace("LONGEST_AGAIN=1200", f"LONGEST_AGAIN={seconds:g}") for word in self.begin]
            for _ in range(2):
                code, said = self.run_words(limited)
                self.assertEqual((code, "could not be made again" in said), (0, True), said)
            # Nothing, if the program was ended before it had looked.
            return (seen.exists() and seen.read_text()) or None

        self.assertEqual(within_limits(attempt, LIMITS[:2]).split().count(".failed"), 1)

    def no_base(self) -> Path:
        """
        Let there be no base, but a program that makes one when it is told to; returns a file with a line for each time
        that the program began.
        """
        self.bases.rename(self.slave / "bases")
        # The archive is the last argument but one.
        tar = f"while [ $# -gt 2 ]; do shift; done\nexec tar -C {self.slave}/bases/{self.base.name} -cf $1 .\n"
        return self.make_when_told(tar)

    def make_when_told(self, script: str) -> Path:
        """
        Let mmdebstrap be *script*, when it is told to go on; returns a file with a line for each time that it began.
        """
        programs = self.slave / "programs"
        programs.mkdir()
        attempts, self.entered, go = (self.slave / name for name in ("attempts", "entered", "go"))
        for fifo in (self.entered, go):
            os.mkfifo(fifo)
        mmdebstrap = programs / "mmdebstrap"
        mmdebstrap.write_text(f"#!/bin/sh\necho >>{attempts}\necho >{self.entered}\nread -r line <{go}\n{script}")
        mmdebstrap.chmod(0o755)
        self.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
        # Who writes to it need not wait for a reader.
        self.telling = os.open(go, os.O_RDWR)
        self.addCleanup(os.close, self.telling)
        return attempts

    def beginning(self, name: str) -> "subprocess.Popen[str]":
        """
        Another build, which begins.
        """
        directory = self.work / name / "build"
        (directory / FILES / RESULTS).mkdir(parents=True)
        begun = subprocess.Popen(
            self.begin,
            cwd=directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.addCleanup(self.end, begun)
        return begun

    def end(self, begun: "subprocess.Popen[str]") -> None:
        """
        End *begun*, as a keeper does: with all that it has started.
        """
        for pid in other_pids():
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(pid) == begun.pid:
                    os.kill(pid, signal.SIGKILL)
        begun.wait(60)
        assert begun.stderr is not None
        begun.stderr.close()

    def said_first(self, begun: "subprocess.Popen[str]") -> str:
        """
        What *begun* says first.
        """
        assert begun.stderr is not None
        return begun.stderr.readline()

    def test_two_at_once(self) -> None:
        """
        Promise 9.4: of two builds that need a base that is not there, one makes it, and the other one says that it
        waits, and uses the same.
        """
        attempts = self.no_base()
        first = self.beginning("first")
        self.assertEqual(self.line_of(self.entered), "\n")
        second = self.beginning("second")
        self.assertIn("uses or makes the bases: waiting for it", self.said_first(second))
        os.write(self.telling, b"go\n")
        self.assertEqual((first.wait(60), second.wait(60)), (0, 0))
        self.assertEqual(attempts.read_text(), "\n")
        bases = {(self.work / name / "build" / ROOT / "base").resolve() for name in ("first", "second")}
        self.assertEqual(bases, {(self.bases / "current").resolve()})

    def test_made_again_at_once(self) -> None:
        """
        Promise 9.4: of two builds that find the base too old at once, mmdebstrap itself makes a new one for one of
        them, and the other one waits and uses the same; nothing stays of the old base, which none uses.
        """
        # A base of one program, so that it is made in seconds.
        script = (
            "for word; do shift; case $word in --variant=*) word=--variant=extract;; "
            '--include=*) word=--include=busybox-static;; esac; set -- "$@" "$word"; done\n'
            f'exec {shutil.which("mmdebstrap")} "$@"\n'
        )
        attempts = self.make_when_told(script)
        os.utime(f"{self.base}.made", (0, 86400))
        first = self.beginning("first")
        self.assertEqual(self.line_of(self.entered), "\n")
        second = self.beginning("second")
        self.assertIn("uses or makes the bases: waiting for it", self.said_first(second))
        os.write(self.telling, b"go\n")
        said = [each.communicate(timeout=300)[1] for each in (first, second)]
        if "could not be made again" in said[0]:
            raise SkipTest(NO_SOURCES)
        self.assertEqual((first.returncode, second.returncode), (0, 0), said)
        self.assertEqual(attempts.read_text(), "\n")
        made = (self.bases / "current").resolve()
        bases = {(self.work / name / "build" / ROOT / "base").resolve() for name in ("first", "second")}
        self.assertEqual(bases, {made})
        self.assertTrue((made / "bin" / "busybox").exists())
        names = {each.name for each in self.bases.iterdir()}
        self.assertEqual(names, {".lock", "current", made.name, f"{made.name}.made", f"{made.name}.uses"})

    def test_killed_maker(self) -> None:
        """
        Promise 9.4: when the build that makes the base is killed, the one that waits for it makes the base, and removes
        the rest of the first.
        """
        attempts = self.no_base()
        first = self.beginning("first")
        self.assertEqual(self.line_of(self.entered), "\n")
        temporary = (self.bases / ".temporary").readlink()
        second = self.beginning("second")
        self.assertIn("waiting for it", self.said_first(second))
        self.end(first)
        self.assertEqual(self.line_of(self.entered), "\n")
        os.write(self.telling, b"go\n")
        self.assertEqual(second.wait(60), 0)
        self.assertEqual(attempts.read_text(), "\n\n")
        self.assertFalse(temporary.exists())
        self.assertEqual({each.name for each in self.bases.glob(".*")}, {".lock"})

    def test_longest_wait(self) -> None:
        """
        Promise 9.4: a base that cannot be made in time fails the build that makes it and those that wait for it, with a
        sentence for each.
        """
        self.no_base()
        self.beginning("first")
        self.assertEqual(self.line_of(self.entered), "\n")
        self.begin = [word.replace("LONGEST_WAIT=3500", "LONGEST_WAIT=1") for word in self.begin]
        second = self.beginning("second")
        self.assertIn("waiting for it", self.said_first(second))
        self.assertIn("have used or made the bases for more than", self.said_first(second))
        self.assertEqual(second.wait(60), 1)
        other = Overlay("trixie").begin("amd64")[0]
        self.begin = [word.replace("LONGEST_MAKING=3400", "LONGEST_MAKING=1") for word in other]
        third = self.beginning("third")
        said = [self.said_first(third) for _ in range(2)]
        self.assertIn("the making of a root of trixie for amd64 was ended: it took too long", said[1])
        self.assertEqual(third.wait(60), 124)

    def test_unused(self) -> None:
        """
        Promise 9.4: bases of another kind that no build has begun with for four weeks are removed, unless a root uses
        them or somebody holds their lock.
        """
        old, used, locked, young = (
            self.bases.parent / f"bookworm-{name}" for name in ("old", "used", "locked", "young")
        )
        for each in (old, used, locked, young):
            base = each / "base.1.1"
            base.mkdir(parents=True)
            Path(f"{base}.made").touch()
            (each / "current").symlink_to(base.name)
            (each / ".lock").touch()
            os.utime(each / ".lock", (0, 0))
        # A build that began long ago.
        root = self.work / "other" / ROOT
        root.mkdir(parents=True)
        (root / "base").symlink_to(used / "base.1.1")
        (used / "base.1.1.uses").mkdir()
        (used / "base.1.1.uses" / "1").symlink_to(root)
        four_weeks = 28 * 86400
        os.utime(young / ".lock", (0, time.time() - four_weeks + 3600))
        with (locked / ".lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertEqual(self.run_words(self.begin), (0, ""))
        left = {each.name: (each / "base.1.1").exists() for each in (old, used, locked, young)}
        self.assertEqual(
            left, {"bookworm-old": False, "bookworm-used": True, "bookworm-locked": True, "bookworm-young": True}
        )
        self.assertEqual(os.listdir(old), [".lock"])
        # A build that begins has used its base.
        lock_file = self.bases / ".lock"
        os.utime(lock_file, (0, 0))
        self.assertEqual(self.run_words(self.begin), (0, ""))
        self.assertGreater(lock_file.stat().st_mtime, 0)
        self.assertTrue(self.base.exists())
        shutil.rmtree(root)
        self.assertEqual(self.run_words(self.begin), (0, ""))
        self.assertFalse((used / "base.1.1").exists())

    def test_left(self) -> None:
        """
        Promise 9.4: what a build has left, also with a root that sbuild made elsewhere, is found and removed without
        another build; nothing where another build has begun, where a build has ended, or behind a link.
        """
        session = self.slave / "session"
        (session / "root.x" / "build").mkdir(parents=True)
        claim, beside = self.root().claim(), self.directory.parent
        for name in ("build-2", "build-3", "build-4"):
            (beside / name).mkdir()
            subprocess.run(claim, cwd=beside / name, check=True, timeout=60)
            (beside / name / ROOT / "upper").mkdir(parents=True)
            (beside / name / FILES).mkdir()
        (beside / "build-2" / ROOT / "session").symlink_to(session)
        (beside / "build-9").symlink_to("build-3")
        (self.work / "linked").symlink_to("builder")
        mark = (self.work / MARKS / "builder" / "build-3").read_text()
        for linked in ("builder/build-9", "linked/build-3", "gone/build"):
            (self.work / MARKS / linked).parent.mkdir(exist_ok=True)
            (self.work / MARKS / linked).write_text(mark)
        found = marked(self.work)
        self.assertEqual(set(found), {f"builder/build-{number}" for number in (2, 3, 4)})
        self.assertEqual(len(set(found.values())), 3)
        subprocess.run(claim, cwd=beside / "build-3", check=True, timeout=60)
        self.assertEqual(list((beside / "build-3").iterdir()), [])
        (beside / "build-3" / FILES).mkdir()
        subprocess.run(self.root().end(), cwd=beside / "build-4", check=True, timeout=60)
        (beside / "build-4" / FILES).mkdir()
        subprocess.run(removing_left(found), cwd=self.work, check=True, timeout=60)
        left = {str(each.relative_to(beside)) for each in beside.glob("build-*/*")}
        self.assertEqual(left, {f"build-{number}/{FILES}" for number in (3, 4, 9)})
        self.assertEqual(set(marked(self.work)), {"builder/build-3"})
        self.assertFalse(session.exists())

    def test_left_link(self) -> None:
        """
        Promise 9.4: of what a build has left, a link is removed, wherever it leads; it keeps no later build from
        beginning.
        """
        self.assertEqual(self.run_words(self.root().claim()), (0, ""))
        for leads_to in ("/proc", "/", "nowhere"):
            (self.directory / FILES).symlink_to(leads_to)
            self.assertEqual(self.run_words(self.root().claim()), (0, ""))
            self.assertEqual(os.listdir(self.directory), [])

    def test_left_again(self) -> None:
        """
        Promise 9.4: after a removal that was interrupted, the rest is found again; one directory that cannot be removed
        keeps no other.
        """
        self.assertEqual(self.run_words(self.root().claim()), (0, ""))
        mark = (self.work / MARKS / "builder" / "build").read_text()
        (self.directory / FILES / RESULTS).mkdir(parents=True)
        self.assertEqual(self.built("mkdir -p /var/x; false"), (1, ""))
        programs = self.slave / "programs"
        programs.mkdir()
        (programs / "unshare").write_text("#!/bin/sh\nexit 1\n")
        (programs / "rm").write_text("#!/bin/sh\nexit 1\n")
        for program in programs.iterdir():
            program.chmod(0o755)
        environment = {**self.environment, "PATH": f"{programs}:{self.environment['PATH']}"}
        found = {"nowhere/build": "1", **marked(self.work)}
        self.assertEqual(found["builder/build"], mark.strip())
        failed = subprocess.run(removing_left(found), cwd=self.work, check=False, timeout=60, env=environment)
        self.assertEqual((failed.returncode, marked(self.work)), (1, {"builder/build": mark.strip()}))
        again = subprocess.run(removing_left(found), cwd=self.work, check=False, timeout=60)
        self.assertEqual((again.returncode, marked(self.work), os.listdir(self.directory)), (1, {}, []))

    def test_left_in_a_checkout(self) -> None:
        """
        Promise 9.4: what other builders check out into their directories is never taken for the mark of a build, nor
        are its links followed.
        """
        precious, checkout = self.slave / "precious", self.work / "ci" / "build"
        precious.mkdir()
        (checkout / ROOT).mkdir(parents=True)
        (checkout / ROOT / "session").symlink_to(precious)
        (checkout / "begun").write_text(f"{uuid4()}\n")
        (checkout / MARKS).parent.mkdir()
        (checkout / MARKS).write_text(f"{uuid4()}\n")
        self.assertEqual(marked(self.work), {})

    def test_left_to_another_kind(self) -> None:
        """
        Promise 9.4: a build with another kind of root that begins meanwhile in the same directory loses nothing.
        """
        self.assertEqual(self.run_words(self.root().claim()), (0, ""))
        for root in (Plain(), Sbuild("bookworm"), Mock("fedora-40-x86_64")):
            found = marked(self.work)
            self.assertEqual(set(found), {"builder/build"})
            self.assertEqual(self.run_words(root.claim()), (0, ""))
            (self.directory / FILES).mkdir()
            subprocess.run(removing_left(found), cwd=self.work, check=True, timeout=60)
            self.assertEqual(os.listdir(self.directory), [FILES])

    def test_left_names(self) -> None:
        """
        Directories that a shell could take for an option or for words are removed as any other.
        """
        for name in ("-P", "a b", "*"):
            (self.work / name / "build" / FILES).mkdir(parents=True)
            subprocess.run(self.root().claim(), cwd=self.work / name / "build", check=True, timeout=60)
        other = self.slave / "other"
        shutil.copytree(self.work, other)
        environment = {**self.environment, "CDPATH": str(other)}
        subprocess.run(removing_left(marked(self.work)), cwd=self.work, check=True, timeout=60, env=environment)
        self.assertEqual((marked(self.work), len(marked(other))), ({}, 3))

    def test_left_mounted(self) -> None:
        """
        Promise 9.4: nothing is removed through what is mounted in the directory of a build; a sentence says where.
        """
        self.directory = self.work / "a builder" / "build"
        place = self.directory / FILES / "there"
        place.mkdir(parents=True)
        self.assertEqual(self.run_words(self.root().claim()), (0, ""))
        precious = self.slave / "precious"
        precious.mkdir()
        (precious / "file").touch()
        place.mkdir(parents=True)
        mounting = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"]), "sh", "-euc"]
        mounting += ['mount --bind "$1" "$2"; cd "$3"; shift 3; exec "$@"', "sh", str(precious)]
        sweeping = removing_left(marked(self.work))
        for mounted, where, words in (
            (place, self.directory, self.root().claim()),
            (place.parent, self.directory, self.root().end()),
            (place, self.work, sweeping),
        ):
            code, said = self.run_words([*mounting, str(mounted), str(where), *words])
            if "ermission denied" in said or "not permitted" in said:
                raise SkipTest(said)
            self.assertTrue((precious / "file").exists())
            self.assertEqual((code, said), (1, f"{mounted} is mounted, and what is there would be removed: umount it"))
        subprocess.run(sweeping, cwd=self.work, check=True, timeout=60)
        self.assertEqual((os.listdir(self.directory), os.listdir(precious)), ([], ["file"]))

    def test_no_flock(self) -> None:
        """
        On a machine without flock, a build ends with a sentence that says so.
        """
        programs = self.slave / "programs"
        programs.mkdir()
        for program in ("sh", "id", "cat"):
            (programs / program).symlink_to(shutil.which(program) or "")
        self.environment["PATH"] = str(programs)
        claimed = self.run_words(self.root().claim())
        self.environment["PATH"] = os.environ["PATH"]
        self.assertEqual(claimed, (97, "This machine has no flock (it is in util-linux)."))

    def test_left_waits(self) -> None:
        """
        Promise 9.4: a build that begins where something is being removed says that it waits, until that has ended.
        """
        self.assertEqual(self.run_words(self.root().claim()), (0, ""))
        found = marked(self.work)
        fifo, programs = self.slave / "fifo", self.slave / "programs"
        os.mkfifo(fifo)
        programs.mkdir()
        (programs / "rm").write_text(f'#!/bin/sh\ncat {fifo}\nexec {shutil.which("rm")} "$@"\n')
        (programs / "rm").chmod(0o755)
        environment = {**self.environment, "PATH": f"{programs}:{self.environment['PATH']}"}
        removing = subprocess.Popen(removing_left(found), cwd=self.work, env=environment)
        self.addCleanup(removing.wait, 60)
        # It opens when it removes, so it has the lock.
        with fifo.open("w"):
            claiming = subprocess.Popen(self.root().claim(), cwd=self.directory, stderr=subprocess.PIPE, text=True)
            self.addCleanup(claiming.communicate, timeout=60)
            self.assertIn("waiting until what an earlier build left in", self.said_first(claiming))
            self.assertEqual(marked(self.work), found)
            self.assertIsNone(claiming.poll())
            (programs / "rm").write_text(f'#!/bin/sh\nexec {shutil.which("rm")} "$@"\n')
        self.assertEqual((removing.wait(60), claiming.wait(60)), (0, 0))
        self.assertEqual(set(marked(self.work)), set(found))
        self.assertNotEqual(marked(self.work), found)

    def test_kept(self) -> None:
        """
        Promise 9.4: the root of a failed build is kept for a time, with the files of the build, and can be entered; it
        has no network, and is removed when its time is over.
        """
        root = self.root(keep_failed=2)
        self.assertEqual(self.built("echo bad >/etc/made; echo result >/build/out/x; false"), (1, ""))
        keep = root.keep("amd64", "bookworm-amd64-7")
        assert keep is not None
        self.assertEqual(self.run_words(keep), (0, ""))
        self.assertEqual(os.listdir(self.directory), [])
        slave = self.slave
        words = entering(slave, "bookworm-amd64-7")
        ran = subprocess.run(
            words, input="cat /etc/made /build/out/x; exit 5\n", capture_output=True, check=False, text=True, timeout=60
        )
        self.assertEqual((ran.returncode, ran.stdout.splitlines()[-2:]), (5, ["bad", "result"]), ran)
        error = self.assertRaises(InputError, entering, slave, "bookworm-amd64-8")
        self.assertIn("kept are: bookworm-amd64-7", str(error))
        (self.work / KEPT / "bookworm-amd64-7" / "until").write_text("1\n")
        self.assertEqual(self.run_words(self.begin), (0, ""))
        self.assertEqual(os.listdir(self.work / KEPT), [])

    def kept(self, name: str) -> Sequence[str]:
        """
        Keep a root under *name*; the words that enter it.
        """
        self.assertEqual(self.built("false"), (1, ""))
        keep = self.root(keep_failed=1).keep("amd64", name)
        assert keep is not None
        self.assertEqual(self.run_words(keep), (0, ""))
        return entering(self.slave, name)

    def test_entered_alone(self) -> None:
        """
        Promise 9.4: only one at a time is in a kept root, which is not removed meanwhile; when the process that holds
        it is killed, nothing of it stays, and the root is free.
        """
        words = self.kept("b-1")
        inside = subprocess.Popen(
            [*words, "sh", "-c", f"echo in; exec sleep {LONG}"],
            stdout=subprocess.PIPE,
            env=self.environment,
            start_new_session=True,
        )
        self.addCleanup(inside.wait, 60)
        assert inside.stdout is not None
        with inside.stdout:
            self.assertEqual(inside.stdout.readline(), b"in\n")
            code, said = self.run_words([*words, "true"])
            self.assertEqual((code, "Somebody else is in this root" in said), (DAMAGED, True), said)
            (self.work / KEPT / "b-1" / "until").write_text("1\n")
            self.assertEqual(self.run_words(self.begin), (0, ""))
            self.assertEqual(os.listdir(self.work / KEPT), ["b-1"])
            inside.kill()
            # All that could write to it are gone.
            self.assertEqual(inside.stdout.read(), b"")
        group = inside.pid
        deadline = time.monotonic() + 60
        while any(_in_group(pid, group) for pid in other_pids()):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertEqual(self.run_words([*words, "sh", "-c", "echo free"]), (0, "free"))
        self.assertEqual(self.run_words(self.begin), (0, ""))
        self.assertEqual(os.listdir(self.work / KEPT), [])
        code, said = self.run_words([*words, "true"])
        self.assertEqual((code, said), (DAMAGED, "The root of b-1 is not kept on this machine (any more)."))

    def test_removed_by_time(self) -> None:
        """
        Promise 9.4: a kept root whose time is over is removed without another build, but not while somebody is in it.
        """
        enter = self.kept("b-1")
        until = self.work / KEPT / "b-1" / "until"
        now = time.time()
        self.assertFalse(any_expired(self.work, now))
        self.assertTrue(any_expired(self.work, now + 9 * 3600))
        until.write_text("1\n")
        self.assertTrue(any_expired(self.work, now))
        self.directory = self.work
        with until.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertEqual(self.run_words(removing_expired()), (0, ""))
            self.assertTrue(until.exists())
        self.assertEqual(self.run_words(removing_expired()), (0, ""))
        self.assertEqual(os.listdir(self.work / KEPT), [])
        self.assertFalse(any_expired(self.work, now))
        self.assertNotEqual(self.run_words(enter)[0], 0)

    def test_no_files(self) -> None:
        """
        Promise 9.4: what a build has put in the place of the files of a kept root is removed, and not waited for.
        """
        for number, name in enumerate(("until", "kilobytes")):
            kept = self.work / KEPT / f"b-{number}"
            kept.mkdir(parents=True)
            for file in ("until", "kilobytes"):
                (kept / file).write_text("99999999999\n")
            (kept / name).unlink()
            os.mkfifo(kept / name)
        self.directory = self.work
        self.assertEqual(self.run_words(removing_expired()), (0, ""))
        self.assertEqual(os.listdir(self.work / KEPT), [])

    def test_interrupted_keeping(self) -> None:
        """
        Promise 9.4: when the keeping of a root was killed, its rest is removed by the next build, and not while a root
        is being kept.
        """
        incoming = self.work / KEPT / ".incoming"
        (incoming / "root" / "upper").mkdir(parents=True)
        keeping = os.open(self.work / KEPT, os.O_RDONLY)
        try:
            fcntl.flock(keeping, fcntl.LOCK_EX)
            self.assertEqual(self.run_words(self.begin), (0, ""))
            self.assertTrue(incoming.exists())
        finally:
            os.close(keeping)
        self.assertEqual(self.run_words(self.begin), (0, ""))
        self.assertFalse(incoming.exists())

    def test_two_sweeps(self) -> None:
        """
        Promise 9.4: of two builds that begin at the same time, one removes what is kept no longer, and the other one
        leaves that to it; neither fails.
        """
        kept, programs = self.work / KEPT, self.slave / "programs"
        for name in (".removed.b-0", "b-1", "b-2"):
            (kept / name / "root").mkdir(parents=True)
        (kept / ".removed.b-0" / "root" / "made").write_text("fedora-40-x86_64 unique\n")
        for name in ("b-1", "b-2"):
            for file in ("until", "kilobytes"):
                (kept / name / file).write_text("1\n")
        programs.mkdir()
        entered, go = self.slave / "entered", self.slave / "go"
        for fifo in (entered, go):
            os.mkfifo(fifo)
        waiting = programs / "mock"
        waiting.write_text(f"#!/bin/sh\necho >{entered}\nread -r line <{go}\n")
        waiting.chmod(0o755)
        self.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
        # Who writes to it need not wait for a reader.
        telling = os.open(go, os.O_RDWR)
        self.addCleanup(os.close, telling)
        own, other = self.directory, self.work / "other" / "build"
        (other / FILES / RESULTS).mkdir(parents=True)
        # Those of one suite wait for each other, to use its base.
        words = Overlay("trixie").begin("amd64")[0]
        bases = (other / words[6]).resolve()
        make_base(bases / "base.1.1")
        (bases / "base.1.1.made").touch()
        (bases / "current").symlink_to("base.1.1")
        first = subprocess.Popen(self.begin, cwd=own, env=self.environment, stderr=subprocess.PIPE, text=True)
        try:
            # It has begun to remove, and goes on when it is told to.
            self.assertEqual(self.line_of(entered), "\n")
            self.directory = other
            self.assertEqual(self.run_words(words), (0, ""))
            self.assertEqual(sorted(os.listdir(kept)), [".removed.b-0", "b-1", "b-2"])
        finally:
            self.directory = own
            os.write(telling, b"go\n")
            _, said = first.communicate(timeout=60)
        self.assertEqual((first.returncode, os.listdir(kept)), (0, []), said)

    def line_of(self, fifo: Path) -> str:
        """
        A line that somebody writes into *fifo*, within a minute.
        """
        ran = subprocess.run(["head", "-n", "1", fifo], capture_output=True, check=True, text=True, timeout=60)
        return ran.stdout

    def test_leftover(self) -> None:
        """
        Promise 9.4: what cannot be removed of a kept root stops neither the removal of one with the same name nor the
        build that begins.
        """
        self.kept("b-1")
        (self.work / KEPT / "b-1" / "until").write_text("1\n")
        left = self.work / KEPT / ".removed.b-1" / "root"
        left.mkdir(parents=True)
        (left / "made").write_text("fedora-40-x86_64 unique\n")
        programs = self.slave / "programs"
        programs.mkdir()
        refusing = programs / "mock"
        refusing.write_text("#!/bin/sh\nexit 60\n")
        refusing.chmod(0o755)
        self.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
        self.assertEqual(self.run_words(self.begin), (0, ""))
        self.assertEqual(os.listdir(self.work / KEPT), [".removed.b-1"])
        refusing.write_text("#!/bin/sh\n")
        self.assertEqual(self.run_words(self.begin), (0, ""))
        self.assertEqual(os.listdir(self.work / KEPT), [])

    def test_most_kept(self) -> None:
        """
        Of the kept roots, the newest ones stay.
        """
        for number in range(7):
            self.assertEqual(self.built("false"), (1, ""))
            keep = self.root(keep_failed=1).keep("amd64", f"b-{number}")
            assert keep is not None
            self.assertEqual(self.run_words(keep), (0, ""))
            os.utime(self.work / KEPT / f"b-{number}" / "until", (number, number))
            (self.directory / FILES / RESULTS).mkdir(parents=True)
        self.assertEqual(sorted(os.listdir(self.work / KEPT)), [f"b-{number}" for number in range(2, 7)])
