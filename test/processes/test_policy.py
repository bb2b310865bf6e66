"""
Policies in slave.tac, against masters that try to break them.
"""

import os
import pwd
import shutil
import subprocess
import tempfile

from ..keeper.test_wrapper import BWRAP
from ..needs import (
    NO_BWRAP,
    lacking,
    needs,
)
from .farm import Farm
from .farm_case import FarmCase

SECRET = "correct-horse-battery-staple"
LOOK = """
    cat ../../../slave.tac ../../../private/*
    cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep '^WITNESS'
    echo "as $(id -un) in $PWD with [$OWN] [$TOKEN] [$HIDDEN] [$LC_ALL]"; echo mine > made; id -u
"""


class PolicyCase(FarmCase):
    """
    A farm whose slave has a policy.
    """

    policy = ""

    @classmethod
    def make(cls) -> Farm:
        """
        Create a builder that inspects its environment, and transfers files.
        """
        farm = Farm("bot1", env={"HIDDEN": "hidden"}).secret("token", SECRET)
        os.chmod(farm.directory, 0o711)
        farm.config("c['secretsProviders'] = [secrets.SecretInAFile('secrets')]\n")
        farm.builder(
            "looking",
            f"steps.ShellCommand(command={LOOK!r}, env={{'OWN': \"it's mine\", 'TOKEN': util.Secret('token'),"
            " 'LD_PRELOAD': '/evil.so'})",
            "steps.StringDownload(s='down', slavedest='deep/down')",
            "steps.StringDownload(s=util.Secret('token'), slavedest='token')",
            "echo more >> deep/down; wc -c < token",
            "steps.FileUpload(slavesrc='deep/down', masterdest='up')",
            "steps.RemoveDirectory(dir='looking/build')",
        )
        return farm

    @classmethod
    def begin(cls) -> None:
        """
        Start the farm; slave.tac has the policy.
        """
        farm = cls.farm
        farm.write_config()
        farm.start_master()
        os.chmod(farm.slave_directory("bot1"), 0o711)
        farm.write_slave_tac("bot1", policy=cls.policy)
        farm.start_slave()

    def looked(self) -> str:
        """
        Return the builder's output.
        """
        done = self.farm.submit("looking")
        text = done.out.decode()
        self.assertEqual(done.code, 0, text + done.err)
        self.assertIn(f"with [it's mine] [{'*' * len(SECRET)}] ", text)
        self.assertIn(f"{len(SECRET)}\n", text)
        self.assertNotIn("pb://", text)
        self.assertNotIn("PRIVATE KEY", text)
        return text


@needs("bwrap")
class BubblewrapTests(PolicyCase):
    """
    A policy with bwrap and a few variables.
    """

    policy = f"wrapper={BWRAP!r}, environment=['PATH', 'LC_*']"

    @classmethod
    def setUpClass(cls) -> None:
        """
        Skip where bwrap does not work.
        """
        if lacking("bwrap"):
            return
        tried = subprocess.run(
            ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"],
            check=False,
            capture_output=True,
        )
        if tried.returncode:
            cls.skip = f"{NO_BWRAP}: {tried.stderr.decode().strip()[:100]}"
            return
        super().setUpClass()

    def test_looking(self) -> None:
        """
        Promise 16: a command sees neither the slave's FURL nor its environment; transfers work as always.
        """
        text = self.looked()
        self.assertIn("[] [C.UTF-8]", text)
        self.assertNotIn("WITNESS=", text)


class OtherUserTests(PolicyCase):
    """
    A policy with another user.
    """

    policy = "user='nobody'"

    @classmethod
    def setUpClass(cls) -> None:
        """
        Skip unless run by root.
        """
        if os.geteuid() != 0:
            cls.skip = "only root can run commands as somebody else"
            return
        # A user's own TMPDIR, as on some systems, is closed to other users.
        reach = subprocess.run(
            ["test", "-x", tempfile.gettempdir()], user="nobody", group=65534, extra_groups=[], check=False
        )
        if reach.returncode:
            cls.skip = "nobody else can reach our temporary directory"
            return
        super().setUpClass()

    def test_looking(self) -> None:
        """
        Promise 16: commands run as the configured user, who cannot read the slave's FURL and who owns the files that
        the slave creates.
        """
        text = self.looked()
        self.assertIn("as nobody in ", text)
        self.assertIn(f"\n{pwd.getpwnam('nobody').pw_uid}\n", text)


class PolicyChangeTests(FarmCase):
    """
    A slave whose policy changes, also to an invalid one.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create a builder that creates files.
        """
        return Farm("bot1").builder("any", "rm -rf *; touch made; mkdir below; umask")

    def test_umask(self) -> None:
        """
        Promise 6.23: files and directories of builds get the slave's umask, from its next start on, although the keeper
        is the same.
        """
        build = self.farm.directory / "bot1" / "work" / "any" / "build"
        self.addCleanup(self.farm.write_slave_tac, "bot1")
        keepers = []
        for umask, modes in (("022", (0o644, 0o755)), ("002", (0o664, 0o775)), ("077", (0o600, 0o700))):
            # One that is stopped would take its idle keeper along.
            self.farm.slave().kill()
            self.farm.write_slave_tac("bot1", policy=f"umask=0o{umask}")
            shutil.rmtree(build.parent, ignore_errors=True)
            self.farm.start_slave()
            self.assertEqual(self.farm.submit("any").out, f"0{umask}\n".encode())
            self.assertEqual([(build / name).stat().st_mode & 0o777 for name in ("made", "below")], list(modes))
            self.assertEqual([path.stat().st_mode & 0o777 for path in (build, build.parent)], [modes[1]] * 2)
            keepers.append(self.farm.keeper_pid())
        self.assertEqual(len(set(keepers)), 1)

    def test_wrapper(self) -> None:
        """
        Promise 16: a slave whose wrapper is missing exits with a sentence, and runs nothing without it.
        """
        self.farm.slave().stop()
        self.farm.write_slave_tac("bot1", policy="wrapper=['no-such-wrapper']")
        slave = self.farm.spawn_slave("bot1")
        self.assertEqual(slave.wait(), 1)
        self.assertIn("The wrapper 'no-such-wrapper' in slave.tac is not a program on this machine.", slave.said)
