"""
Secrets in a whole farm, and the search for them in its files.
"""

import base64
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from unittest import mock
from urllib.parse import quote, quote_plus

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.storage.swissnums import digest_of, keep
from buildbot_lite.wire.certificate import load_or_create

from ..process_table import read_proc
from .farm import Farm
from .farm_case import FarmCase
from .leaks import (
    NOTED,
    leaks_of,
    swissnums_of,
)

SECRET = "correct-horse-battery-staple"
LINES = "-----BEGIN KEY-----\nabcdefghijklmnop\nqrstuvwxyz012345\n-----END KEY-----"
STRING = "pb://" + "a" * 32 + "@tcp:127.0.0.1:9989/" + "b" * 32


class SecretsTests(FarmCase):
    """
    A farm with two secrets, and commands that print them.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create the farm; its files are searched for the secrets at the end.
        """
        farm = Farm("bot1").secret("password", SECRET).secret("key", LINES)
        farm.config("c['secretsProviders'] = [secrets.SecretInAFile('secrets')]\n")
        printing = (
            "echo $PASSWORD; echo $0 | fold -w 7; printf %s $PASSWORD | wc -c; sh -xc 'echo $PASSWORD'; cat; exit 1"
        )
        farm.builder(
            "printing",
            f"steps.ShellCommand(command=['/bin/sh', '-c', {printing!r}, util.Secret('password')],"
            "env={'PASSWORD': util.Interpolate('%(secret:password)s')}, stdin=util.Secret('key'))",
            "steps.StringDownload(s=util.Interpolate('key: %(secret:key)s'), slavedest='key')",
            "cat key",
            "steps.SetPropertyFromCommand(command='cat key', property='stolen')",
            "steps.MasterShellCommand(command=['echo', util.Secret('password')])",
            "steps.ShellCommand(command=['no-such-program', util.Secret('password')])",
        )
        return farm

    def test_printed(self) -> None:
        """
        Promise 14: commands get the secrets; logs, records, remarks and the client's terminal have stars instead.
        """
        done = self.farm.submit("printing")

        self.assertIn(f"{len(SECRET)}\n".encode(), done.out, "the command had it")
        self.assertIn(b"*" * len(SECRET), done.out)
        for value in (SECRET, *LINES.splitlines()):
            self.assertNotIn(value.encode(), done.out)
            self.assertNotIn(value, done.err)
        self.assertEqual(self.farm.log("printing", 1).count(SECRET.encode()), 0)
        key = self.farm.directory / "bot1" / "work" / "printing" / "build" / "key"
        self.assertEqual(key.read_text(), f"key: {LINES}")
        self.assertEqual(key.stat().st_mode & 0o077, 0)

    def test_environments_of_processes(self) -> None:
        """
        Promise 14: no process of the farm has a FURL in its arguments or its environment.
        """
        swissnums = swissnums_of(self.farm.master_directory)
        self.assertGreaterEqual(len(swissnums), 3)
        for pid in self.farm.processes():
            for name in ("cmdline", "environ"):
                text = read_proc(pid, name).decode(errors="replace")
                self.assertFalse([swissnum for swissnum in swissnums.values() if swissnum in text])


class SecretProviderTests(FarmCase):
    """
    A farm with secrets from the environment and from ``pass``, which are printed in many encodings.
    """

    KEY = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEAx5Yd\n7Qm2Z8vJ0pL/aT+w3u==\n-----END KEY-----"
    TOKEN = "t0k/en+of the=master?"

    @classmethod
    def make(cls) -> Farm:
        """
        Create the farm with a fake ``pass``; test/master/test_secret_stores.py uses the real one.
        """
        farm = Farm("bot1")
        store = farm.directory / "home" / "store"
        store.mkdir()
        (store / "key.gpg").touch()
        (farm.directory / "home" / "key").write_text(cls.KEY)
        program = farm.directory / "home" / "pass"
        program.write_text('#!/bin/sh\nexec cat "$HOME/$2"\n')
        program.chmod(0o755)
        path = f"{program.parent}:{farm.env['PATH']}"
        farm.master.env = {**farm.env, "PATH": path, "BUILDBOT_SECRET_TOKEN": cls.TOKEN}
        farm.config(
            f"c['secretsProviders'] = [secrets.SecretInEnvironment(), secrets.SecretInPass(dirname={str(store)!r})]\n"
        )
        encode = (
            "import os, base64, quopri, time, urllib.parse as u; t = os.environ['TOKEN'];"
            " print(u.quote(t), u.quote_plus(t), t.replace('/', chr(92) + '/'), quopri.encodestring(t.encode()));"
        )
        encode += " [print(c, end='', flush=True) or time.sleep(0.002) for c in t];"
        encode += " [print(base64.b64encode(b'x' * n + t.encode() + b'yz').decode()) for n in range(3)]"
        script = f"""
            KEY=$PWD/key; export KEY; umask 077; cat > $KEY
            echo "$TOKEN"; cat "$KEY"; sed 's/^/  > /' "$KEY"; base64 "$KEY"; base64 -w 30 "$KEY"; base64 -w 0 "$KEY"
            python3 -c "{encode}"
            printf %s "$TOKEN" > token; grep -aslF -f token /proc/[0-9]*/cmdline && echo in ps; true
        """
        farm.builder(
            "printing",
            "env",
            f"steps.ShellCommand(command={script!r}, env={{'TOKEN': util.Secret('token'),"
            " 'KEY_TEXT': util.Secret('key')}, stdin=util.Secret('key'))",
            "env",
            "steps.SetPropertyFromCommand(command='cat key; exit 0', property='stolen')",
            "steps.MasterShellCommand(command='env')",
            "steps.SetProperty(property='note', value=util.Interpolate('%(prop:stolen)s again'))",
        )
        return farm

    def test_everywhere(self) -> None:
        """
        Promise 19, Promise 6.18: the secrets are in no log, record or remark, not on the terminal, and in no process
        that did not request them, in no encoding.
        """
        done = self.farm.submit("printing")
        self.assertEqual(done.code, 0, done.err)
        forms = [self.TOKEN, *self.KEY.splitlines(), quote(self.TOKEN), quote_plus(self.TOKEN)]
        forms += [self.TOKEN.replace("/", "\\/"), self.TOKEN.replace("=", "=3D")]
        for text in (self.TOKEN, self.KEY):
            for before in range(3):
                whole = base64.b64encode(bytes(before) + text.encode()).decode()[4:-4]
                forms += [whole[at : at + 16] for at in range(0, len(whole) - 16, 7)]
        self.assertNotIn(b"in ps", done.out)
        for form in forms:
            self.assertNotIn(form.encode(), done.out)
            self.assertNotIn(form, done.err)
        self.farm.secret_values += forms
        held = self.farm.directory / "home" / "key"
        held.unlink()
        try:
            self.assertEqual(leaks_of(self.farm.directory, forms), [])
        finally:
            held.write_text(self.KEY)
        for pid in self.farm.processes():
            for name in ("cmdline", "environ"):
                text = read_proc(pid, name).decode(errors="replace")
                self.assertFalse([form for form in forms if form in text], f"{pid} {name}")

    @classmethod
    def tearDownClass(cls) -> None:
        """
        Remove the file in which the test itself wrote a secret.
        """
        (cls.farm.directory / "home" / "key").unlink(missing_ok=True)
        super().tearDownClass()


class LeakSearchTests(SynchronousTestCase):
    """
    The search for leaks.
    """

    def leaks(self, files: dict[str, str], secrets: list[str]) -> list[str]:
        """
        Return the leaks among *files*.
        """
        with tempfile.TemporaryDirectory() as directory, mock.patch.dict("os.environ", {NOTED: ""}):
            for name, text in files.items():
                path = Path(directory, name)
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                path.touch(mode=0o600)
                path.write_text(text)
            private = Path(directory, "master", "private")
            private.mkdir(parents=True, mode=0o700)
            load_or_create(str(private / "tub.pem"))
            keep(str(private), ["c" * 32])
            database = Path(directory, "master", "records", "farm.sqlite")
            database.parent.mkdir(parents=True, mode=0o700)
            database.touch(mode=0o600)
            with closing(sqlite3.connect(database)) as connection, connection:
                connection.execute("create table grants (id integer, verb text, object text, digest text, salt text)")
                connection.execute("insert into grants values (1, 'slave', 'x', ?, null)", [digest_of("c" * 32)])
                connection.execute("create table remarks (text text)")
                connection.execute("insert into remarks values (?)", [files.get("remark", "")])
                connection.execute("insert into remarks values (?)", [files.get("removed", "")])
            with closing(sqlite3.connect(database)) as connection, connection:
                connection.execute("delete from remarks where rowid = 2")
            return sorted(leaks_of(Path(directory), secrets))

    def test_where_they_may_be(self) -> None:
        """
        Promise 14: the search accepts FURLs in the files made for them, and in the slave's directory.
        """
        files = {
            "master/furls/bot1.furl": STRING,
            "master/buildslave.furls": f"bot1 {STRING}",
            "bot1/slave.tac": STRING,
        }
        self.assertEqual(self.leaks({**files, "master/secrets/password": SECRET}, [SECRET]), [])

    def test_gone_meanwhile(self) -> None:
        """
        A file that disappears during the search is no error.
        """
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "spool").write_text(STRING)
            with mock.patch("builtins.open", side_effect=FileNotFoundError):
                self.assertEqual(leaks_of(Path(directory)), [])

    def test_where_they_may_not_be(self) -> None:
        """
        Promise 14: the search finds FURLs, whole or only their secret part, in logs, streams and records.
        """
        files = {
            "master/twistd.log": f"connecting to {STRING}",
            "bot1/twistd.log": "looked up " + "c" * 32,
            "bot1/keeper/commands/1/stdio": f"the password is {SECRET}",
            "remark": f"see {STRING}",
            "removed": "c" * 32,
        }
        self.assertEqual(
            self.leaks(files, [SECRET]),
            [
                "bot1/keeper/commands/1/stdio holds a secret",
                "bot1/twistd.log holds a string",
                "master/records/farm.sqlite holds a string",
                "master/records/farm.sqlite: the table remarks holds a string",
                "master/twistd.log holds a string",
                "remark holds a string",
                "removed holds a string",
            ],
        )
