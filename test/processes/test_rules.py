"""
Slaves whose own slave.tac forbids things, and masters that try.
"""

import os
import pwd
import subprocess
import tempfile

from ..keeper.test_fence import BWRAP
from ..needs import NO_BWRAP, lacking, needs
from .case import FarmCase
from .farm import Farm

SECRET = "correct-horse-battery-staple"
LOOK = """
    cat ../../../slave.tac ../../../private/*
    cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep '^WITNESS'
    echo "as $(id -un) in $PWD with [$OWN] [$TOKEN] [$HIDDEN] [$LC_ALL]"; echo mine > made; id -u
"""


class RulesCase(FarmCase):
    """
    A farm whose slave has rules.
    """

    rules = ""

    @classmethod
    def make(cls) -> Farm:
        """
        A builder that looks around, and moves files.
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
        Start it with a slave.tac that has more than a string.
        """
        farm = cls.farm
        farm.write_config()
        farm.start_master()
        tac = farm.slave_directory("bot1") / "slave.tac"
        os.chmod(tac.parent, 0o711)
        tac.write_text(tac.read_text().replace("application_for(", f"application_for({cls.rules}, "))
        farm.start_slave()

    def looked(self) -> str:
        """
        What the builder saw.
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
class BubblewrapTests(RulesCase):
    """
    With bwrap, and only some variables.
    """

    rules = f"wrapper={BWRAP!r}, environment=['PATH', 'LC_*']"

    @classmethod
    def setUpClass(cls) -> None:
        """
        Where bwrap works.
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
        Promise 16: a command sees neither the slave's string nor its environment; transfers go on as ever.
        """
        text = self.looked()
        self.assertIn("[] [C.UTF-8]", text)
        self.assertNotIn("WITNESS=", text)


class UserTests(RulesCase):
    """
    With another user.
    """

    rules = "user='nobody'"

    @classmethod
    def setUpClass(cls) -> None:
        """
        Where we are root.
        """
        if os.geteuid() != 0:
            cls.skip = "only root can run commands as somebody else"
            return
        # A TMPDIR of one's own, as some systems have it, is closed to everybody else.
        reach = subprocess.run(
            ["test", "-x", tempfile.gettempdir()], user="nobody", group=65534, extra_groups=[], check=False
        )
        if reach.returncode:
            cls.skip = "nobody else can reach our temporary directory"
            return
        super().setUpClass()

    def test_looking(self) -> None:
        """
        Promise 16: commands run as the user, who cannot read the slave's string; files that the slave makes are theirs.
        """
        text = self.looked()
        self.assertIn("as nobody in ", text)
        self.assertIn(f"\n{pwd.getpwnam('nobody').pw_uid}\n", text)


class MistakenRulesTests(FarmCase):
    """
    A rule that cannot be kept.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Any.
        """
        return Farm("bot1").builder("any", "true")

    def test_wrapper(self) -> None:
        """
        Promise 16: a slave whose wrapper is not there says so in a sentence, and does not run without it.
        """
        self.farm.slave().stop()
        tac = self.farm.slave_directory("bot1") / "slave.tac"
        tac.write_text(tac.read_text().replace("application_for(", "application_for(wrapper=['no-such-fence'], "))
        slave = self.farm.spawn_slave("bot1")
        self.assertEqual(slave.wait(), 1)
        self.assertIn("The wrapper 'no-such-fence' in slave.tac is no program here.", slave.said)
