"""
Commands that run through the slave's wrapper.
"""

import os
import shutil
import subprocess
import tempfile
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper.wrapper import (
    StartRequestError,
    open_below,
    settings,
)
from buildbot_lite.model.outcome import Ending, Outcome
from buildbot_lite.model.spec import Run, secret_reference

from ..needs import NO_BWRAP, needs
from ..process_table import (
    alive,
    arguments,
    other_pids,
)
from .keeper_harness import (
    KeeperConnection,
    KeeperHarness,
    keeper,
    wait_until,
)

# As in docs/security.md.
BWRAP = [
    "bwrap", "--unshare-all", "--die-with-parent", "--new-session",
    "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib",
    "--symlink", "usr/lib64", "/lib64", "--symlink", "usr/sbin", "/sbin",
    "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
    "--bind", "{work}", "{work}", "--ro-bind", "{private}", "{private}", "--chdir", "{workdir}",
]  # fmt: skip


class WrapperTests(SynchronousTestCase):
    """
    Wrappers that exist on every system.
    """

    harness: KeeperHarness
    client: KeeperConnection

    def setUp(self) -> None:
        """
        A keeper.
        """
        running = keeper()
        self.harness, self.client = running.__enter__()
        self.addCleanup(running.__exit__, None, None, None)
        os.makedirs(self.harness.work)
        self.number = 0

    def run_(self, run: Run, wrapper: list[str], workdir: str = "b", **more: Any) -> tuple[Outcome, str]:
        """
        Run a command through *wrapper*; return the outcome and the output.
        """
        self.number += 1
        id = f"c{self.number}"
        workdir = os.path.join(self.harness.work, workdir)
        outcome = self.client.run(id, run, wrapper=wrapper, root=self.harness.work, workdir=workdir, **more)
        return outcome, self.harness.spool(id).decode()

    def test_words(self) -> None:
        """
        Promise 16: the wrapper's words, with placeholders filled in, come before the command's; the command runs in its
        directory.
        """
        words = ("printf", "%s|", "it's", "a\nb", "", "{work}", "$HOME", "-x")
        wrapper = ["sh", "-c", 'echo "$1"; shift; exec "$@"', "wrapper", "{workdir} {work} {id} {private}"]
        outcome, said = self.run_(Run(argv=words), wrapper)
        self.assertTrue(outcome.succeeded)
        private = os.path.join(self.harness.home, "commands", "c1", "private")
        self.assertEqual(said, f"{self.harness.work}/b {self.harness.work} c1 {private}\nit's|a\nb||{{work}}|$HOME|-x|")

    def test_environment(self) -> None:
        """
        Promise 16: variables that the master sets or removes take effect inside the wrapper, and not for the wrapper
        itself.
        """
        seen = os.path.join(self.harness.directory, "seen")
        wrapper = ["sh", "-c", f'env > {seen}; exec "$@"', "wrapper"]
        env = {"LD_PRELOAD": "", "PATH": "/usr/bin:/bin", "QUOTED": "it's\n'x'\n", "HOME": None, "KEEP": "${KEEP}+"}
        outcome, said = self.run_(
            Run(script='printf "%s|" "$PATH" "$QUOTED" "${HOME-none}" "${LD_PRELOAD-none}" "$KEEP"', env=env),
            wrapper,
            env={"KEEP": "kept", "HOME": "/h"},
        )
        self.assertTrue(outcome.succeeded)
        self.assertEqual(said, "/usr/bin:/bin|it's\n'x'\n|none||kept+|")
        with open(seen) as file:
            names = {line.partition("=")[0]: line.strip() for line in file}
        self.assertEqual((names["HOME"], names["KEEP"]), ("HOME=/h", "KEEP=kept"))
        self.assertFalse({"LD_PRELOAD", "QUOTED"} & names.keys())

    def test_preload(self) -> None:
        """
        Promise 16: LD_PRELOAD from the master does not affect the wrapper, which runs outside of the sandbox.
        """
        _, said = self.run_(Run(argv=("true",), env={"LD_PRELOAD": "/evil.so"}), ["env", "-u", "LD_PRELOAD"])
        inside = said.count("/evil.so")
        _, said = self.run_(Run(argv=("true",), env={"LD_PRELOAD": "/evil.so"}), ["env"])
        self.assertEqual(said.count("/evil.so"), inside, "only what is inside the fence complains that it is not there")

    def test_secrets(self) -> None:
        """
        Promise 19: a secret in the environment is in no process's arguments, with a wrapper too.
        """
        run = Run(
            script='grep -aslF -f "$KEY" /proc/[0-9]*/cmdline; wc -c < "$KEY"',
            env={"TOKEN": secret_reference("token")},
            files={"KEY": secret_reference("token")},
        )
        _, said = self.run_(run, ["env"], secrets={"token": "open-sesame-open"})
        self.assertEqual(said, "16\n")

    def test_variable(self) -> None:
        """
        A variable name that no shell can set is refused with a sentence, and nothing runs.
        """
        outcome, said = self.run_(Run(argv=("true",), env={"a.b": "x"}), ["env"])
        self.assertEqual((outcome.ending, said), (Ending.FAILED, ""))
        self.assertIn("'a.b' cannot be set through a wrapper", outcome.sentence)

    def test_descriptor_lost(self) -> None:
        """
        A wrapper that closes descriptor 3 runs nothing.
        """
        outcome, said = self.run_(Run(argv=("echo", "ran")), ["sh", "-c", 'exec 3<&-; exec "$@"', "wrapper"])
        self.assertEqual(outcome.exit_code, 126)
        self.assertIn("does not pass descriptor 3 on", said)
        self.assertNotIn("ran\n", said)

    def test_working_directory(self) -> None:
        """
        Promise 16: a working directory that a wrapper could take for an option is refused.
        """
        for workdir in ("a:/etc", "a,dst=/etc", "a\nb", 'a"'):
            outcome, _ = self.run_(Run(argv=("true",)), ["env"], workdir=workdir)
            self.assertEqual(outcome.ending, Ending.FAILED)
            self.assertIn("wrapper might misunderstand", outcome.sentence)
        self.assertTrue(self.run_(Run(argv=("true",)), ["env"], workdir="a b/c_d-1.0+x@y=z")[0].succeeded)

    def test_links(self) -> None:
        """
        Promise 16: a link that a command created in place of the working directory or of a followed log is not
        followed.
        """
        outside = os.path.join(self.harness.directory, "outside")
        os.mkdir(outside)
        with open(os.path.join(outside, "log"), "w") as file:
            file.write("private\n")
        os.symlink(outside, os.path.join(self.harness.work, "link"))
        for workdir in ("link", "link/deeper"):
            outcome, _ = self.run_(Run(argv=("touch", "x")), ["env"], workdir=workdir)
            self.assertEqual(outcome.ending, Ending.FAILED)
            self.assertIn("cannot be used", outcome.sentence)
        script = f"ln -s {outside}/log log; ln -s {outside} dir; sleep 0.1"
        outcome, _ = self.run_(Run(script=script, logfiles={"one": "log", "two": "dir/log"}), ["env"])
        self.assertEqual(set(outcome.streams) - {"stdio"}, set())
        self.assertEqual(sorted(os.listdir(outside)), ["log"])

    def test_killed(self) -> None:
        """
        Promise 8: a command in a wrapper is killed with all processes that it started.
        """
        self.client.start(
            "long",
            Run(script="sleep 1000 & echo $!; setsid sleep 1000 & echo $!; wait", sigterm_time=0.2),
            wrapper=["sh", "-c", '"$@"; exit 0', "wrapper"],
            root=self.harness.work,
            workdir=self.harness.work,
        )
        wait_until(lambda: self.harness.spool("long").count(b"\n") == 2)
        pids = [int(line) for line in self.harness.spool("long").split()[:2]]
        self.client.say(op="interrupt", id="long", reason="enough")
        self.client.ended("long")
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def test_argument_with_secret(self) -> None:
        """
        Promise 19: a command with a secret in its arguments runs, and a remark warns of it.
        """
        run = Run(argv=("echo", secret_reference("token")))
        outcome = self.client.run("seen", run, {"token": "open-sesame-open"})
        self.assertTrue(outcome.succeeded)
        (remark,) = outcome.remarks
        self.assertIn("The secret token is in this command's arguments", remark.text)
        self.assertEqual(
            self.client.run(
                "unseen", Run(argv=("true",), env={"A": secret_reference("token")}), {"token": "open-sesame-open"}
            ).remarks,
            (),
        )


@needs("bwrap")
class BubblewrapTests(WrapperTests):
    """
    The tests above and the isolation itself, with the bwrap of docs/security.md.
    """

    def setUp(self) -> None:
        """
        Skip where bwrap does not work.
        """
        tried = subprocess.run(
            ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"],
            capture_output=True,
            check=False,
        )
        if tried.returncode:
            self.skipTest(f"{NO_BWRAP}: {tried.stderr.decode().strip()[:100]}")
        super().setUp()

    def test_isolation(self) -> None:
        """
        Promise 16: a command in bwrap sees work and its own private files, and no other file or process of the host.
        """
        tac = os.path.join(self.harness.directory, "slave.tac")
        with open(tac, "w") as file:
            file.write("pb://")
        script = f"""
            cat {tac} {self.harness.home}/commands/*/claim; ls /home /root /etc {self.harness.directory}
            echo mine > ../here; cat $KEY; echo > {self.harness.directory}/x; echo > $KEY; pwd; ls /sys/class/net
        """
        outcome, said = self.run_(Run(script=script, files={"KEY": "the key"}, pty=True), BWRAP)
        self.assertIn("the key", said)
        self.assertIn(f"{self.harness.work}/b", said)
        self.assertNotIn("pb://", said)
        self.assertNotIn("fingerprint", said)
        self.assertEqual(sorted(os.listdir(self.harness.directory)), ["keeper", "slave.tac", "work"])
        self.assertTrue(os.path.exists(os.path.join(self.harness.work, "here")))
        self.assertIsNotNone(outcome.exit_code)

    def test_killed_in_bwrap(self) -> None:
        """
        Promise 8: a command in bwrap is killed with all processes that it started.
        """
        # A unique duration identifies the process: other runs of this test sleep for another one.
        span = f"1234.{os.getpid()}"
        script = f"(setsid setsid sleep {span} &) ; setsid sleep {span} & echo up; wait"
        self.client.start(
            "long",
            Run(script=script, sigterm_time=0.2),
            wrapper=BWRAP,
            root=self.harness.work,
            workdir=self.harness.work,
        )
        wait_until(lambda: b"up" in self.harness.spool("long"))
        self.client.say(op="interrupt", id="long", reason="enough")
        self.client.ended("long")
        self.assertEqual(_sleeping(span), [])


class EnvironmentTests(SynchronousTestCase):
    @given(
        st.dictionaries(
            st.from_regex(rb"\A[A-Z]{1,3}[A-Z0-9]X\Z"),
            st.binary(max_size=20).map(lambda each: each.replace(b"\0", b"")),
            max_size=5,
        )
    )
    def test_any_value(self, env: dict[bytes, bytes]) -> None:
        """
        Promise 16: any value of a variable is quoted for the shell.
        """
        script = settings(env, {b"OLD": b"x"}) + b"\nexec env -0"
        said = subprocess.run(["/bin/sh", "-c", script], env={b"OLD": b"x"}, capture_output=True, check=True).stdout
        found = dict(line.split(b"=", 1) for line in said.split(b"\0") if line)
        self.assertEqual({name: value for name, value in found.items() if name not in (b"PWD", b"_", b"SHLVL")}, env)

    def test_names(self) -> None:
        """
        Promise 16: a name that is not a valid shell variable is refused.
        """
        for name in (b"a b", b"x;id", b"$(id)", b"a-b", b"1a", b"a\n", b""):
            self.assertRaises(StartRequestError, settings, {name: b"x"}, {})


class OpenBelowTests(SynchronousTestCase):
    def test_links_and_parents(self) -> None:
        """
        `open_below` follows no link below the root, and no "..".
        """
        root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, root)
        os.symlink("/", os.path.join(root, "link"))
        for path in ("link", "link/etc", "../x", "a/../../x"):
            self.assertRaises(OSError, open_below, root, path, make=True)
        os.close(open_below(root, "a/./b", make=True))
        self.assertTrue(os.path.isdir(os.path.join(root, "a", "b")))


def _sleeping(span: str) -> list[int]:
    return [pid for pid in other_pids() if arguments(pid)[:2] == ["sleep", span] and alive(pid)]
