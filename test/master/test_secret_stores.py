"""
Secrets from environment variables and from ``pass``.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from typing import ClassVar
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.config import secret_stores
from buildbot_lite.plugins import secrets
from buildbot_lite.slave.directory import inherited

from ..keeper.keeper_harness import wait_until
from ..needs import needs
from ..process_table import alive
from .configurations import configured, mistakes_in


class EnvironmentTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        Set variables, which are removed at the end.
        """
        variables = {
            "BUILDBOT_SECRET_token": "hunter2hunter2",
            "BUILDBOT_SECRET_DEPLOY_KEY": "line 1\nline 2",
            "OTHER": "x",
        }
        patch = mock.patch.dict(os.environ, variables)
        patch.start()
        self.addCleanup(patch.stop)
        self.addCleanup(secret_stores._variables.clear)

    def test_value(self) -> None:
        """
        Promise 19: a secret is the environment variable of its name, as written or in capitals.
        """
        config = configured("c['secretsProviders'] = [secrets.SecretInEnvironment()]")
        self.assertEqual(config.secret("token"), "hunter2hunter2")
        self.assertEqual(config.secret("deploy-key"), "line 1\nline 2")
        self.assertIn("in any of the secretsProviders", str(self.assertRaises(ConfigError, config.secret, "other")))
        self.assertEqual(config.secrets_providers[0].names("."), ["DEPLOY_KEY", "token"])

    def test_taken(self) -> None:
        """
        Promise 19: child processes do not inherit the variables; a second configuration in the same process still finds
        them.
        """
        configured("c['secretsProviders'] = [secrets.SecretInEnvironment()]")
        self.assertEqual([name for name in os.environ if "SECRET" in name], [])
        self.assertEqual(os.environ["OTHER"], "x")
        again = configured("c['secretsProviders'] = [secrets.SecretInEnvironment('BUILDBOT_SECRET_')]")
        self.assertEqual(again.secret("token"), "hunter2hunter2")

    def test_overwritten(self) -> None:
        """
        Promise 19: the variables are overwritten in /proc/PID/environ, which ``ps e`` shows.
        """
        script = (
            "from buildbot_lite.plugins import secrets\n"
            "before = open('/proc/self/environ', 'rb').read()\n"
            "found = secrets.SecretInEnvironment('MY_').value('.', 'token')\n"
            "after = open('/proc/self/environ', 'rb').read()\n"
            "print(found, b'sesame' in before, b'sesame' in after, b'OTHER=x' in after)"
        )
        env = {**os.environ, "MY_token": "open-sesame"}
        said = subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, check=True, text=True
        ).stdout
        self.assertEqual(said.split(), ["open-sesame", "True", "False", "True"])

    def test_never_inherited(self) -> None:
        """
        Promise 19: commands of a slave or of the master never inherit the variables.
        """
        self.assertEqual(inherited({"BUILDBOT_SECRET_x": "hunter2hunter2", "PATH": "/bin"}), {"PATH": "/bin"})

    def test_prefix(self) -> None:
        """
        A prefix that matches all variables is a mistake, and removes none.
        """
        for prefix in ("''", "'P='", "7"):
            mistakes = mistakes_in(f"c['secretsProviders'] = [secrets.SecretInEnvironment({prefix})]")
            self.assertIn("prefix must be", mistakes[0].sentence)
        self.assertIn("PATH", os.environ)

    def test_unusable(self) -> None:
        """
        A secret that is too short to mask is refused, and its value is not shown.
        """
        with mock.patch.dict(os.environ, {"BUILDBOT_SECRET_pin": "1234"}):
            (mistake,) = mistakes_in(
                "c['secretsProviders'] = [secrets.SecretInEnvironment()]\nutil.Interpolate('%(secret:pin)s')"
            )
        self.assertIn("fewer than 6 bytes", mistake.sentence)
        self.assertNotIn("1234", mistake.sentence)


class FakePassTests(SynchronousTestCase):
    """
    SecretInPass with a fake ``pass``.
    """

    def setUp(self) -> None:
        """
        A password store with empty entries.
        """
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.store = os.path.join(self.directory, "store")
        os.mkdir(self.store)
        for name in ("token", "key"):
            open(os.path.join(self.store, f"{name}.gpg"), "wb").close()
        patch = mock.patch.dict(os.environ, {"PATH": f"{self.directory}:{os.environ['PATH']}"})
        patch.start()
        self.addCleanup(patch.stop)

    def program(self, script: str) -> None:
        """
        Write a fake ``pass``.
        """
        path = os.path.join(self.directory, "pass")
        with open(path, "w") as file:
            file.write(f"#!/bin/sh\n{script}\n")
        os.chmod(path, 0o755)

    def test_unanswered(self) -> None:
        """
        Promise 19: a ``pass`` that does not answer is killed with its children, and the error says what to do.
        """
        self.program(f"sleep 1000 & echo $! > {self.directory}/pid; wait")
        # The program must be able to start on a busy machine.
        self.patch(secret_stores, "PASS_TIMEOUT", 5.0)
        provider = secrets.SecretInPass(dirname=self.store)
        error = self.assertRaises(ConfigError, provider.value, ".", "token")
        self.assertIn("did not answer", str(error))
        with open(f"{self.directory}/pid") as file:
            pid = int(file.read())
        wait_until(lambda: not alive(pid))

    def test_failure(self) -> None:
        """
        The error has what ``pass`` wrote to stderr, not what it wrote to stdout.
        """
        self.program("echo hunter2hunter2; echo gpg: no secret key >&2; exit 2")
        error = self.assertRaises(ConfigError, secrets.SecretInPass(dirname=self.store).value, ".", "token")
        self.assertEqual(str(error), "The secret 'token' cannot be read: pass says: gpg: no secret key")

    def test_passphrase(self) -> None:
        """
        Promise 19: the passphrase goes through a pipe, not through an argument or a variable.
        """
        self.program('fd=${PASSWORD_STORE_GPG_OPTS##*=}; env | grep -q open.sesame && exit 1; cat "/dev/fd/$fd"')
        provider = secrets.SecretInPass("open sesame", dirname=self.store)
        self.assertEqual(provider.value(".", "token"), "open sesame")
        self.assertNotIn("sesame", repr(provider))

    def test_names(self) -> None:
        """
        A configuration is checked without decrypting; an unknown entry is a mistake at the line that names it.
        """
        self.program(f"touch {self.directory}/ran")
        (mistake,) = mistakes_in(
            f"c['secretsProviders'] = [secrets.SecretInPass(dirname={self.store!r})]\n"
            "util.Interpolate('%(secret:token)s')\nutil.Interpolate('%(secret:tokken)s')"
        )
        self.assertEqual(mistake.place.line, 5)
        self.assertFalse(os.path.exists(f"{self.directory}/ran"))

    def test_mistakes(self) -> None:
        """
        A missing store, and a passphrase that is not text, are mistakes; the passphrase is not shown.
        """
        self.program("exit 0")
        (mistake,) = mistakes_in("c['secretsProviders'] = [secrets.SecretInPass(dirname='/none')]")
        self.assertIn("password store /none cannot be read", mistake.sentence)
        (mistake,) = mistakes_in(f"c['secretsProviders'] = [secrets.SecretInPass(314159, dirname={self.store!r})]")
        self.assertNotIn("314159", mistake.sentence)
        with mock.patch.dict(os.environ, {"PATH": "/none"}):
            (mistake,) = mistakes_in(f"c['secretsProviders'] = [secrets.SecretInPass(dirname={self.store!r})]")
        self.assertIn("apt install pass", mistake.sentence)

    def test_names_of_entries(self) -> None:
        """
        No secret name leads out of the store.
        """
        self.program("echo hunter2hunter2")
        provider = secrets.SecretInPass(dirname=self.store)
        for name in ("../store/token", "-token", ".token", "none"):
            self.assertIs(provider.value(".", name), None)

    def test_slow(self) -> None:
        """
        Promise 19: the master reads secrets of ``pass`` in a thread, and secrets of the environment directly.
        """
        self.program("exit 0")
        self.assertTrue(
            configured(f"c['secretsProviders'] = [secrets.SecretInPass(dirname={self.store!r})]").slow_secrets
        )
        self.assertFalse(configured("c['secretsProviders'] = [secrets.SecretInEnvironment()]").slow_secrets)


@needs("pass", "gpg")
class RealPassTests(SynchronousTestCase):
    """
    SecretInPass with real ``pass`` and gpg in a temporary home.
    """

    PASSPHRASE: ClassVar = "open sesame"

    def setUp(self) -> None:
        """
        A key with a passphrase, and a store with two entries.
        """
        # gpg-agent's socket needs a short path.
        self.home = tempfile.mkdtemp(dir="/tmp", prefix="gpg-")
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        patch = mock.patch.dict(os.environ, {"HOME": self.home, "GNUPGHOME": self.home})
        patch.start()
        self.addCleanup(patch.stop)
        os.environ.pop("PASSWORD_STORE_DIR", None)
        self.run_("gpg", "--batch", "--quiet", "--passphrase", self.PASSPHRASE, "--quick-generate-key", "farm")
        self.addCleanup(self.run_, "gpgconf", "--kill", "gpg-agent")
        self.run_("pass", "init", "farm")
        self.run_("pass", "insert", "--multiline", "token", stdin=b"hunter2hunter2\nuser: bot1\n")
        self.run_("pass", "insert", "--multiline", "key", stdin=b"-----BEGIN KEY-----\nabcdef\n-----END KEY-----\n")
        self.run_("gpgconf", "--kill", "gpg-agent")  # which caches the passphrase

    def run_(self, *command: str, stdin: bytes = b"") -> None:
        """
        Run a program with this standard input.
        """
        subprocess.run(command, input=stdin, check=True, capture_output=True)

    def test_value(self) -> None:
        """
        Promise 19: the value is the entry's first line, or the whole entry if it is a key.
        """
        provider = secrets.SecretInPass(self.PASSPHRASE)
        self.assertEqual(provider.names("."), ["key", "token"])
        self.assertEqual(provider.value(".", "token"), "hunter2hunter2")
        self.assertEqual(provider.value(".", "key"), "-----BEGIN KEY-----\nabcdef\n-----END KEY-----")

    def test_wrong_passphrase(self) -> None:
        """
        A wrong passphrase raises an error with gpg's message.
        """
        error = self.assertRaises(ConfigError, secrets.SecretInPass("sesame").value, ".", "token")
        self.assertIn("pass says: gpg:", str(error))

    def test_off_the_reactor(self) -> None:
        """
        SecretInPass works in a thread other than the main thread.
        """
        found: list[str | None] = []
        thread = threading.Thread(
            target=lambda: found.append(secrets.SecretInPass(self.PASSPHRASE).value(".", "token"))
        )
        thread.start()
        thread.join()
        self.assertEqual(found, ["hunter2hunter2"])
