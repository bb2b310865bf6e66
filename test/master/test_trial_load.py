"""
Loading of a master.cfg in a child process with limits.
"""

import os
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master import trial_load
from buildbot_lite.master.config import secret_stores
from buildbot_lite.master.trial_load import TrialLoad, TrialResult
from buildbot_lite.wire.endpoint import Endpoint, open_port

from ..process_table import other_pids, read_proc
from .configurations import HEAD, write


class TrialLoadTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A master's directory.
        """
        self.directory = self.mktemp()
        os.mkdir(self.directory)

    def try_load(self, text: str, *, seconds: float = 60.0, ports: str | None = None) -> TrialResult:
        """
        The result of the trial of *text*.
        """
        write(self.directory, {"master.cfg": HEAD + text})
        return TrialLoad(self.directory, seconds=seconds, ports=ports).run(quiet=True)

    def refused(self, text: str, *, seconds: float = 60.0, ports: str | None = None) -> str:
        """
        The sentence with which *text* is refused.
        """
        with self.assertRaises(ConfigError) as caught:
            self.try_load(text, seconds=seconds, ports=ports)
        return str(caught.exception)

    def test_good(self) -> None:
        """
        The trial of a good master.cfg counts its objects; its output does not disturb, and it runs in the master's
        directory.
        """
        text = "print('hello'); open('master.cfg').close(); c['slaves'] = [slave.BuildSlave('bot1')]"
        self.assertEqual(self.try_load(text), TrialResult(1, 0, 0))

    def test_mistakes(self) -> None:
        """
        All mistakes are reported with their lines.
        """
        said = self.refused("c['nonsense'] = 1\nc['titel'] = 2\n")
        self.assertEqual([line[:13] for line in said.splitlines()], ["master.cfg:3:", "master.cfg:4:"])

    def test_without_end(self) -> None:
        """
        Promise 6.23: a master.cfg that never ends is interrupted, and the mistake has the current line.
        """
        write(self.directory, {"master.cfg": "x = 1\nwhile True: pass\n"})
        with self.assertRaises(ConfigError) as caught:
            TrialLoad(self.directory, seconds=1.0).run()
        self.assertIn("master.cfg:2: Loading master.cfg took too long", str(caught.exception))

    def test_not_interruptible(self) -> None:
        """
        Promise 6.23: a master.cfg that cannot be interrupted is killed with all its child processes.
        """
        self.patch(trial_load, "MARGIN", 1.0)
        said = self.refused(
            "import os, signal\nos.environ['TRIAL_OF_A_TEST'] = '1'\n"
            "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n"
            "os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '1000')\nwhile True: pass\n",
            seconds=1.0,
        )
        self.assertIn("had not ended after 1 s", said)
        self.assertEqual([pid for pid in other_pids() if b"TRIAL_OF_A_TEST=1" in read_proc(pid, "environ")], [])

    def test_exits(self) -> None:
        """
        Promise 6.23: a master.cfg that exits or kills its process is refused.
        """
        self.assertIn("ended with exit code 0 before", self.refused("import os; os._exit(0)"))
        self.assertIn("was ended by signal 9", self.refused("import os; os.kill(os.getpid(), 9)"))

    def test_memory(self) -> None:
        """
        Promise 6.23: a master.cfg that needs too much memory is refused.
        """
        self.assertIn("master.cfg:3: Loading master.cfg needed more memory", self.refused("x = bytearray(1 << 40)"))

    def test_secrets(self) -> None:
        """
        Secrets that were taken from the environment are known in the trial, and not in its child processes.
        """
        text = (
            "c['secretsProviders'] = [secrets.SecretInEnvironment('OF_A_TRIAL_')]\nx = util.Secret('token')\n"
            "import subprocess\nassert b'sesame' not in subprocess.check_output(['env'])\n"
            "assert b'sesame' not in open('/proc/self/environ', 'rb').read()\n"
        )
        with mock.patch.dict(secret_stores._variables, {"OF_A_TRIAL_token": "sesame-99"}):
            self.assertEqual(self.try_load(text), TrialResult(0, 0, 0))
        self.assertIn("There is no secret 'token'", self.refused(text))

    def test_permissions(self) -> None:
        """
        Promise 6.18: the master does not start while others may read the farm's FURLs or records.
        """
        self.assertEqual(self.try_load("c['slaves'] = [slave.BuildSlave('a')]\n", ports="free").slaves, 1)
        write(self.directory, {"elsewhere.sqlite": "", "submit.furls": ""})
        paths = [os.path.abspath(os.path.join(self.directory, name)) for name in ("submit.furls", "elsewhere.sqlite")]
        for path in paths:
            os.chmod(path, 0o644)
        said = self.refused("c['db'] = 'elsewhere.sqlite'\n", ports="free")
        self.assertIn(f"chmod go= {paths[0]} {paths[1]}", said)
        for path in paths:
            os.chmod(path, 0o600)
        self.try_load("c['db'] = 'elsewhere.sqlite'\n", ports="free")

    def test_ports(self) -> None:
        """
        Promise 6.11: with a check of ports, a busy port is refused.
        """
        with open_port(Endpoint(0)) as other:
            text = f"c['port'] = {other.getsockname()[1]}; c['location'] = 'farm'"
            self.assertIn("Address already in use", self.refused(text, ports="free"))
            self.assertEqual(self.try_load(text), TrialResult(0, 0, 0))
