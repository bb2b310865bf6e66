"""
Secrets out of the environment, and out of ``pass``.
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
from .farms import configured, mistakes_in


class EnvironmentTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        Variables, which are in nobody's way afterwards.
        """
        given = {
            "BUILDBOT_SECRET_token": "hunter2hunter2",
            "BUILDBOT_SECRET_DEPLOY_KEY": "line 1\nline 2",
            "OTHER": "x",
        }
        patch = mock.patch.dict(os.environ, given)
        patch.start()
        self.addCleanup(patch.stop)
        self.addCleanup(secret_stores._taken.clear)

    def test_value(self) -> None:
        """
        Promise 19: a secret is the variable of its name, in plain characters, or in capitals.
        """
        config = configured("c['secretsProviders'] = [secrets.SecretInEnvironment()]")
        self.assertEqual(config.secret("token"), "hunter2hunter2")
        self.assertEqual(config.secret("deploy-key"), "line 1\nline 2")
        self.assertIn("in any of the secretsProviders", str(self.assertRaises(ConfigError, config.secret, "other")))
        self.assertEqual(config.secrets_providers[0].names("."), ["DEPLOY_KEY", "token"])

    def test_taken(self) -> None:
        """
        Promise 19: children do not inherit them; another configuration of the same process finds them again.
        """
        configured("c['secretsProviders'] = [secrets.SecretInEnvironment()]")
        self.assertEqual([name for name in os.environ if "SECRET" in name], [])
        self.assertEqual(os.environ["OTHER"], "x")
        again = configured("c['secretsProviders'] = [secrets.SecretInEnvironment('BUILDBOT_SECRET_')]")
        self.assertEqual(again.secret("token"), "hunter2hunter2")

    def test_blotted_out(self) -> None:
        """
        Promise 19: ``ps e`` and /proc do not show them any more.
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
        Promise 19: commands of a slave, and of the master, do not have them, whoever started it.
        """
        self.assertEqual(inherited({"BUILDBOT_SECRET_x": "hunter2hunter2", "PATH": "/bin"}), {"PATH": "/bin"})

    def test_prefix(self) -> None:
        """
        A prefix that would take everything is a mistake, and takes nothing.
        """
        for prefix in ("''", "'P='", "7"):
            mistakes = mistakes_in(f"c['secretsProviders'] = [secrets.SecretInEnvironment({prefix})]")
            self.assertIn("prefix must be", mistakes[0].sentence)
        self.assertIn("PATH", os.environ)

    def test_unusable(self) -> None:
        """
        One that is too short to be masked is refused, and not shown.
        """
        with mock.patch.dict(os.environ, {"BUILDBOT_SECRET_pin": "1234"}):
            (mistake,) = mistakes_in(
                "c['secretsProviders'] = [secrets.SecretInEnvironment()]\nutil.Interpolate('%(secret:pin)s')"
            )
        self.assertIn("fewer than 6 bytes", mistake.sentence)
        self.assertNotIn("1234", mistake.sentence)


class FakePassTests(SynchronousTestCase):
    """
    With a program of ours for ``pass``.
    """

    def setUp(self) -> None:
        """
        A store with an empty entry, and a place for the program.
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
        What ``pass`` does.
        """
        path = os.path.join(self.directory, "pass")
        with open(path, "w") as file:
            file.write(f"#!/bin/sh\n{script}\n")
        os.chmod(path, 0o755)

    def test_unanswered(self) -> None:
        """
        Promise 19: ``pass`` that does not answer is killed, with what it started; the sentence says what to do.
        """
        self.program(f"sleep 1000 & echo $! > {self.directory}/pid; wait")
        # Long enough for it to begin on a busy machine.
        self.patch(secret_stores, "PATIENCE", 5.0)
        provider = secrets.SecretInPass(dirname=self.store)
        error = self.assertRaises(ConfigError, provider.value, ".", "token")
        self.assertIn("did not answer", str(error))
        with open(f"{self.directory}/pid") as file:
            pid = int(file.read())
        wait_until(lambda: not alive(pid))

    def test_failure(self) -> None:
        """
        What ``pass`` complains of is told, but not what it printed.
        """
        self.program("echo hunter2hunter2; echo gpg: no secret key >&2; exit 2")
        error = self.assertRaises(ConfigError, secrets.SecretInPass(dirname=self.store).value, ".", "token")
        self.assertEqual(str(error), "The secret 'token' cannot be had: pass says: gpg: no secret key")

    def test_passphrase(self) -> None:
        """
        Promise 19: the passphrase comes through a pipe; it is in no argument and no variable.
        """
        self.program('fd=${PASSWORD_STORE_GPG_OPTS##*=}; env | grep -q open.sesame && exit 1; cat "/dev/fd/$fd"')
        provider = secrets.SecretInPass("open sesame", dirname=self.store)
        self.assertEqual(provider.value(".", "token"), "open sesame")
        self.assertNotIn("sesame", repr(provider))

    def test_names(self) -> None:
        """
        A configuration is checked without decrypting anything; an unknown entry is a mistake at the line that names it.
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
        A store that is not there is a mistake, and so is a passphrase that is no text, which is not shown.
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
        No name leads out of the store.
        """
        self.program("echo hunter2hunter2")
        provider = secrets.SecretInPass(dirname=self.store)
        for name in ("../store/token", "-token", ".token", "none"):
            self.assertIs(provider.value(".", name), None)

    def test_slow(self) -> None:
        """
        Promise 19: the master asks for it in a thread, and for what is at hand at once.
        """
        self.program("exit 0")
        self.assertTrue(
            configured(f"c['secretsProviders'] = [secrets.SecretInPass(dirname={self.store!r})]").slow_secrets
        )
        self.assertFalse(configured("c['secretsProviders'] = [secrets.SecretInEnvironment()]").slow_secrets)


@needs("pass", "gpg")
class RealPassTests(SynchronousTestCase):
    """
    With ``pass`` and gpg, in a home of their own.
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
        self.run_("pass", "insert", "--multiline", "token", given=b"hunter2hunter2\nuser: bot1\n")
        self.run_("pass", "insert", "--multiline", "key", given=b"-----BEGIN KEY-----\nabcdef\n-----END KEY-----\n")
        self.run_("gpgconf", "--kill", "gpg-agent")  # which remembers the passphrase

    def run_(self, *command: str, given: bytes = b"") -> None:
        """
        Run a program.
        """
        subprocess.run(command, input=given, check=True, capture_output=True)

    def test_value(self) -> None:
        """
        Promise 19: the value is an entry's first line, or all of a key.
        """
        provider = secrets.SecretInPass(self.PASSPHRASE)
        self.assertEqual(provider.names("."), ["key", "token"])
        self.assertEqual(provider.value(".", "token"), "hunter2hunter2")
        self.assertEqual(provider.value(".", "key"), "-----BEGIN KEY-----\nabcdef\n-----END KEY-----")

    def test_wrong_passphrase(self) -> None:
        """
        With a wrong passphrase there is a sentence.
        """
        error = self.assertRaises(ConfigError, secrets.SecretInPass("sesame").value, ".", "token")
        self.assertIn("pass says: gpg:", str(error))

    def test_off_the_reactor(self) -> None:
        """
        It works in a thread that is not the main one.
        """
        found: list[str | None] = []
        thread = threading.Thread(
            target=lambda: found.append(secrets.SecretInPass(self.PASSPHRASE).value(".", "token"))
        )
        thread.start()
        thread.join()
        self.assertEqual(found, ["hunter2hunter2"])
