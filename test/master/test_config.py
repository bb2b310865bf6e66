"""
The keys of a configuration, and the rules that concern several of them.
"""

import os
import sys
from pkgutil import resolve_name
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.extensions import configuration_keys
from buildbot_lite.master.config.assembly import assemble
from buildbot_lite.master.config.executed_line import SourceLine
from buildbot_lite.master.config.generations import Generations
from buildbot_lite.master.config.keys import OWN_KEYS, AnyKey, Key
from buildbot_lite.master.config.loading import Generation, hash_of, load
from buildbot_lite.master.config.master_config import DEFAULT_DB
from buildbot_lite.master.config.mistakes import MistakesError, collecting
from buildbot_lite.master.trial_load import KEYS
from buildbot_lite.model.registry import Registry
from buildbot_lite.model.time_limit import allow_interruptions
from buildbot_lite.storage.generation_texts import GenerationTexts
from buildbot_lite.storage.roles import Records

from .configurations import (
    configured,
    mistakes_in,
    sentences_in,
    write,
)

SAMPLE = os.path.join(os.path.dirname(__file__), "..", "..", "master.cfg.sample")

FARM = """
c["slaves"] = [slave.BuildSlave("bot1"), slave.BuildSlave("bot2")]
c["builders"] = [
    util.BuilderConfig("a", ["bot1", "bot2"], util.BuildFactory()),
    util.BuilderConfig("b", ["bot2"], util.BuildFactory()),
]
c["schedulers"] = [
    schedulers.Submit("submit", ["a", "b"]),
    schedulers.ForceScheduler("force", ["b"]),
    schedulers.Triggerable("trigger", ["a"]),
]
"""


class KeysTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        """
        An empty configuration makes a farm without slaves, builders and schedulers.
        """
        config = configured("")
        self.assertEqual((config.slaves, config.builders, config.schedulers), ({}, {}, {}))
        self.assertEqual((config.ports, config.location, config.db), ((), (), "records/farm.sqlite"))
        self.assertEqual((config.title, config.buildbot_url, config.max_retries), ("Build farm", None, 3))
        self.assertEqual(config.secrets_providers, ())

    def test_farm(self) -> None:
        """
        Slaves, builders and schedulers are found by name and by kind.
        """
        config = configured(FARM)
        self.assertEqual((list(config.slaves), list(config.builders)), (["bot1", "bot2"], ["a", "b"]))
        self.assertEqual(list(config.schedulers), ["submit", "force", "trigger"])
        self.assertEqual((list(config.submits), list(config.triggerables)), (["submit"], ["trigger"]))
        self.assertEqual([builder.name for builder in config.builders_on("bot1")], ["a"])
        forced = config.forced_by("b")
        self.assertEqual(forced and forced.name, "force")
        self.assertIsNone(config.forced_by("a"))

    def test_port(self) -> None:
        """
        `port` is a port number, an endpoint, or a list of them; anything else is a mistake.
        """
        self.assertEqual(configured("c['port'] = 9989").ports, ("tcp:9989",))
        self.assertEqual(configured("c['port'] = '9989'").ports, ("tcp:9989",))
        self.assertEqual(configured("c['port'] = [9989, 'tcp6:9990']").ports, ("tcp:9989", "tcp6:9990"))
        for endpoint in ("tcp:9989:interface=127.0.0.1", "tcp6:9989", r"tcp:9989:interface=\\:\\:1"):
            self.assertEqual(configured(f"c['port'] = '{endpoint}'").ports, (endpoint.replace("\\\\", "\\"),))
        for wrong in (
            *("0", "65536", "'ssl:1'", "'tcp:x'", "True", "['tcp:0']", "-1", "'tcp:1:port=2'"),
            *("[]", "[1, 1]", "[1, 'tcp:1']", "[1, 2, 3, 4, 5, 6]", "'tcp:1:backlog=x'", "{}"),
        ):
            self.assertEqual(len(mistakes_in(f"c['port'] = {wrong}")), 1, wrong)

    def test_location(self) -> None:
        """
        `location` is one host or several, each with or without a port.
        """
        self.assertEqual(configured("c['location'] = 'farm.example.org'").location, ("farm.example.org",))
        several = ("192.0.2.7:1", "tcp:farm:2", "[2001:db8::1]", "[::1]:3")
        self.assertEqual(configured(f"c['location'] = {list(several)!r}").location, several)
        for wrong in ("'a b'", "'http://farm'", "'farm:0'", "'farm:65536'", "3", "['x', 3]", "['h'] * 11", "''"):
            self.assertEqual(len(mistakes_in(f"c['location'] = {wrong}")), 1, wrong)

    def test_too_many_hints(self) -> None:
        """
        It is a mistake if hosts and ports combine to more connection hints than a FURL may have.
        """
        self.assertEqual(mistakes_in("c['port'] = [1, 2, 3]; c['location'] = ['h', 'h:1'] * 5"), [])
        (sentence,) = sentences_in("c['port'] = [1, 2, 3, 4]; c['location'] = ['h', 'h:1'] * 5")
        self.assertIn("more than the 20 addresses", sentence)

    def test_db(self) -> None:
        """
        `db` names an SQLite file in any of the accepted notations; other databases are mistakes.
        """
        for written, file in {
            "'farm.db'": "farm.db",
            "'/var/farm.db'": "/var/farm.db",
            "'sqlite:///farm.db'": "farm.db",
            "'sqlite:////var/farm.db'": "/var/farm.db",
            "{'db_url': 'sqlite:///state.sqlite'}": "state.sqlite",
            "'sqlite:///state.sqlite?serialize_access=1'": "state.sqlite",
            "'sqlite://'": DEFAULT_DB,
        }.items():
            self.assertEqual(configured(f"c['db'] = {written}").db, file)
        for wrong in ("3", "''", "'sqlite:///'", "':memory:'", "'a/'", "{}"):
            self.assertEqual(len(mistakes_in(f"c['db'] = {wrong}")), 1, wrong)

    def test_own_directories(self) -> None:
        """
        Database, secrets and copies of repositories may be anywhere; their directories are the master's own, and its
        directory, or one around it, is not among them.
        """
        keys = os.path.realpath(self.mktemp())
        os.mkdir(keys)
        config = configured(
            f"""
c["db"] = "state/farm.sqlite"
c["secretsProviders"] = [secrets.SecretInAFile({keys!r})]
c["change_source"] = [
    changes.GitPoller("https://example.org/a", workdir="/srv/mirrors"),
    changes.HgPoller("https://example.org/b", workdir="."),
    changes.HgPoller("https://example.org/c", workdir=".."),
]
"""
        )
        own = config.own_directories("/farms/one")
        self.assertEqual(own, tuple(sorted([keys, "/farms/one/state", "/srv/mirrors"])))

    def test_db_keeps_passwords(self) -> None:
        """
        The sentence about an unsupported database does not show its password.
        """
        (sentence,) = sentences_in("c['db'] = 'postgresql://me:sesame@db/farm'")
        self.assertIn("postgresql://…@db/farm", sentence)
        self.assertNotIn("sesame", sentence)

    def test_others(self) -> None:
        """
        The title, the URL and the number of retries are checked.
        """
        config = configured("c['title'] = 'Ours'; c['buildbotURL'] = 'https://farm.example.org'; c['maxRetries'] = 0")
        self.assertEqual(
            (config.title, config.buildbot_url, config.max_retries), ("Ours", "https://farm.example.org/", 0)
        )
        for wrong in (
            "c['title'] = 3",
            "c['buildbotURL'] = 'farm'",
            "c['buildbotURL'] = 'http://[x/'",
            "c['maxRetries'] = -1",
            "c['maxRetries'] = 101",
            "c['secretsProviders'] = secrets.SecretInAFile",
            "c['secretsProviders'] = ['secrets']",
            "c['slaves'] = slave.BuildSlave('bot1')",
        ):
            (mistake,) = mistakes_in(wrong)
            self.assertEqual(mistake.place, SourceLine("master.cfg", 3), wrong)

    def test_unknown_keys(self) -> None:
        """
        An unknown key is reported at its line, with the similar key, or what this master offers for Buildbot's key.
        """
        found = mistakes_in("c['buidlers'] = 1\nc['changes'] = 1\nc['machines'] = 1\nc['xyzzy'] = 1\nc[3] = 1\n")
        self.assertEqual(
            [str(mistake) for mistake in found],
            [
                "master.cfg: There is no c[3].  Keys are text.",
                "master.cfg:3: There is no c['buidlers'].  Did you mean 'builders'?",
                "master.cfg:4: c['changes'] is not here.  Change sources are listed in c['change_source'].",
                (
                    "master.cfg:5: c['machines'] comes later here.  No slave is started on demand.  Give the image of "
                    "the machine a slave's string and pin=False, and start it by other means."
                ),
                "master.cfg:6: There is no c['xyzzy'].",
            ],
        )

    @given(
        st.dictionaries(
            st.sampled_from(sorted(OWN_KEYS)), st.none() | st.integers() | st.text() | st.lists(st.text()) | st.just({})
        )
    )
    def test_anything(self, c: dict[str, object]) -> None:
        """
        Whatever the values of the keys are, `assemble` returns a configuration and mistakes; it never raises.
        """
        with collecting({}) as mistakes:
            config = assemble(c, "/nowhere", {})
        for mistake in mistakes.found:
            self.assertTrue(mistake.sentence.endswith((".", "?")), mistake.sentence)
        self.assertIsInstance(config.ports, tuple)


class ConsistencyTests(SynchronousTestCase):
    def refused(self, text: str, *expected: str) -> None:
        """
        *text* has exactly the mistakes *expected*.
        """
        self.assertEqual([str(mistake) for mistake in mistakes_in(text)], list(expected))

    def test_twice(self) -> None:
        """
        Two objects of one kind with the same name are a mistake, reported at the second.
        """
        self.refused(
            FARM + "c['slaves'].append(slave.BuildSlave('bot1'))\n",
            "master.cfg:14: There are two slaves called 'bot1'; the first is at master.cfg:4.",
        )
        self.refused(
            FARM + "c['schedulers'].append(schedulers.Triggerable('force', ['a']))\n",
            "master.cfg:14: There are two schedulers called 'force'; the first is at master.cfg:11.",
        )
        text = FARM + "from buildbot.status import mail\nc['status'] = [mail.MailNotifier('a@b') for each in '12']\n"
        self.refused(
            text,
            "master.cfg:15: There are two services called 'MailNotifier'; the first is at master.cfg:15.  "
            "Give one of them another name=….",
        )

    def test_unknown_names(self) -> None:
        """
        A builder that names an unknown slave, or a scheduler that names an unknown builder, is a mistake.
        """
        self.refused(
            FARM
            + "c['builders'].append(util.BuilderConfig('c', ['bot3'], util.BuildFactory()))\n"
            + "c['schedulers'].append(schedulers.Triggerable('t', ['a', 'd']))\n",
            "master.cfg:14: The builder 'c' names the slave 'bot3', which does not exist.  There are: bot1, bot2.",
            "master.cfg:15: The scheduler 't' names the builder 'd', which does not exist.  There are: a, b, c.",
        )

    def test_wrong_kind(self) -> None:
        """
        An object of the wrong kind, or a class instead of an object, is a mistake.
        """
        self.refused(
            "c['slaves'] = ['bot1', slave.BuildSlave]",
            "master.cfg:3: c['slaves'] has 'bot1' in it, which is not a BuildSlave.",
            "master.cfg:3: c['slaves'] has the class BuildSlave (write BuildSlave(…)) in it, "
            "which is not a BuildSlave.",
        )

    def test_shared_directory(self) -> None:
        """
        Two builders whose names make the same directory are a mistake, also on a file system that ignores case.
        """
        self.refused(
            FARM + "c['builders'] += [util.BuilderConfig(n, ['bot1'], util.BuildFactory()) for n in ('x y', 'X_y')]\n",
            "master.cfg:14: The builders 'x y' and 'X_y' would share the directory 'X_y' on their slaves; "
            "rename one of them.",
        )

    def test_shared_furl_file(self) -> None:
        """
        A slave and a Submit scheduler of the same name are a mistake, because both need the same file in furls/; a
        ForceScheduler has no such file.
        """
        self.refused(
            FARM
            + "c['schedulers'].append(schedulers.Submit('bot1', ['a']))\n"
            + "c['schedulers'].append(schedulers.ForceScheduler('bot2', ['a']))\n",
            "master.cfg:14: A slave and a Submit scheduler are both called 'bot1'; each has its string in "
            "furls/bot1.furl, so rename one of them.",
        )


class SampleTests(SynchronousTestCase):
    def test_sample(self) -> None:
        """
        The sample master.cfg has no mistakes; it has two slaves and three builders.
        """
        with open(SAMPLE) as file:
            config = load("/nowhere", file.read()).config
        self.assertEqual((list(config.slaves), list(config.builders)), (["bot1", "bot2"], ["hello", "try", "tarball"]))
        self.assertEqual(
            {name: (at.stdin, at.file) for name, at in config.submits.items()},
            {"hello": ("none", None), "try": ("patch", None), "tarball": ("none", "tar")},
        )


class SecretsTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A farm with a directory of secrets.
        """
        self.directory = os.path.abspath(self.mktemp())
        self.keep("key", "hunter2hunter2\n")

    def keep(self, name: str, value: str, mode: int = 0o600) -> None:
        """
        Write a secret.
        """
        write(self.directory, {f"secrets/{name}": value})
        os.chmod(os.path.join(self.directory, "secrets", name), mode)

    def secret(self, name: str, arguments: str = "'secrets'") -> str:
        """
        The secret's value, as the master reads it.
        """
        text = f"c['secretsProviders'] = [secrets.SecretInAFile({arguments})]"
        return configured(text, self.directory).secret(name)

    def test_value(self) -> None:
        """
        A secret is its file's contents, without surrounding white space unless strip=False.
        """
        self.assertEqual(self.secret("key"), "hunter2hunter2")
        self.assertEqual(self.secret("key", "'secrets', strip=False"), "hunter2hunter2\n")

    def test_suffixes(self) -> None:
        """
        A suffix is not part of the secret's name; with suffixes, a file without one of them is no secret.
        """
        self.keep("other.txt", "open sesame")
        self.assertEqual(self.secret("other", "'secrets', suffixes=['.txt']"), "open sesame")
        self.assertRaises(ConfigError, self.secret, "key", "'secrets', suffixes=['.txt']")

    def test_refused(self) -> None:
        """
        A secret file is refused if others may read it, if it is too short to mask, too large, not text, or not a plain
        file.
        """
        self.keep("open", "hunter2hunter2", 0o640)
        self.keep("short", "12345\n")
        self.keep("large", "x" * (65 << 10))
        self.keep("nul", "hunter2\0hunter2")
        self.keep("bytes", "")
        os.mkdir(os.path.join(self.directory, "secrets", "dir"), 0o700)
        with open(os.path.join(self.directory, "secrets", "bytes"), "wb") as file:
            file.write(b"\xff" * 10)
        for name, sentence in {
            "open": "Run: chmod 600 secrets/open",
            "short": "fewer than 6 bytes",
            "large": "more than 65536 bytes",
            "nul": "a NUL byte",
            "bytes": "not UTF-8",
            "dir": "not a plain file",
            "none": "in any of the secretsProviders",
            "../secrets/key": "in any of",
            ".hidden": "in any of",
        }.items():
            with self.assertRaises(ConfigError, msg=name) as caught:
                self.secret(name)
            self.assertIn(sentence, str(caught.exception))
            self.assertNotIn("hunter2", str(caught.exception))

    def test_no_horizon(self) -> None:
        """
        Promise 8.6: c['changeHorizon'] = 0 is none, as in Buildbot.
        """
        for value, expected in ((0, None), (None, None), (1, 1)):
            self.assertEqual(configured(f"c['changeHorizon'] = {value}").change_horizon, expected)

    def test_get(self) -> None:
        """
        Asking a provider for the value while master.cfg is read, as Buildbot's may be asked, is a mistake with the
        remedy, and does not end the load.
        """
        for provider in ("SecretInAFile('secrets')", "SecretInPass()", "SecretInEnvironment('CI_')"):
            with self.subTest(provider):
                text = f"value = secrets.{provider}.get('key') + 'more'\nutil.Nothing\n"
                said = [mistake.sentence for mistake in mistakes_in(text, self.directory)]
                self.assertTrue(any("Write util.Secret('key') instead." in each for each in said), said)
                self.assertTrue(any("Nothing" in each for each in said), said)

    def test_no_directory(self) -> None:
        """
        A missing directory of secrets is a mistake at the line that names the directory; so is a secret that others may
        read.
        """
        self.assertEqual(
            [str(mistake) for mistake in mistakes_in("c['secretsProviders'] = [secrets.SecretInAFile('none')]")],
            ["master.cfg:3: The secrets' directory 'none' cannot be read: No such file or directory."],
        )
        used = "c['secretsProviders'] = [secrets.SecretInAFile('none')]\nutil.Secret('a'), util.Secret('b')\n"
        self.assertEqual(len(mistakes_in(used)), 1)
        self.keep("key", "hunter2hunter2", 0o644)
        text = "c['secretsProviders'] = [secrets.SecretInAFile('secrets')]\nutil.Interpolate('%(secret:key)s')\n"
        (mistake,) = mistakes_in(text, self.directory)
        self.assertEqual((mistake.place.line, mistake.sentence[-26:]), (4, "Run: chmod 600 secrets/key"))

    def test_first_provider_wins(self) -> None:
        """
        The first provider that has a secret wins.
        """
        write(self.directory, {"more/key": "another value", "more/third": "third value"})
        for name in ("key", "third"):
            os.chmod(os.path.join(self.directory, "more", name), 0o600)
        text = "c['secretsProviders'] = [secrets.SecretInAFile(d) for d in ('secrets', 'more')]"
        config = configured(text, self.directory)
        self.assertEqual((config.secret("key"), config.secret("third")), ("hunter2hunter2", "third value"))
        self.assertEqual(config.secrets_providers[1].names(self.directory), ["key", "third"])


class ExtensionTests(SynchronousTestCase):
    """
    Keys that other packages add.
    """

    def setUp(self) -> None:
        self.keys: Registry[AnyKey] = Registry("key of c", OWN_KEYS.values())
        self.keys.add(Key("pages", lambda checker, value: checker.whole("the port", value, most=65535), 8010))
        self.directory = self.mktemp()
        os.mkdir(self.directory)

    def generation(self, text: str) -> Generation:
        """
        A configuration that is loaded with the additional key.
        """
        return load(self.directory, text, keys=self.keys)

    def test_value(self) -> None:
        """
        The value of an additional key is checked; without a value it has its default.
        """
        self.assertEqual(self.generation("c = {'pages': 80}").config.extension("pages"), 80)
        self.assertEqual(self.generation("c = {}").config.extension("pages"), 8010)
        with self.assertRaisesRegex(
            MistakesError, r"^master.cfg:1: c\['pages'\]: the port must be a whole number from 0 to"
        ):
            self.generation("c = {'pages': 'x'}")

    def test_suggested(self) -> None:
        """
        An additional key is suggested for a misspelt one; without its package the key is unknown.
        """
        with self.assertRaisesRegex(MistakesError, "There is no c\\['pagess'\\].  Did you mean 'pages'?"):
            self.generation("c = {'pagess': 80}")
        with self.assertRaisesRegex(MistakesError, r"There is no c\['pages'\]"):
            load(self.directory, "c = {'pages': 80}")

    def test_taken(self) -> None:
        """
        A package cannot replace a key of the master.
        """
        with self.assertRaisesRegex(ValueError, "There are two entries for the key of c 'title'"):
            self.keys.add(Key("title", lambda checker, value: value))

    def test_kept(self) -> None:
        """
        Later and stored configurations are loaded with the same additional keys as the first.
        """
        first = self.generation("c = {'pages': 80}")
        write(self.directory, {"master.cfg": "c = {'pages': 81}"})
        generations = Generations(self.directory, current=first, records=cast("Records", None), wall=lambda: 0.0)

        following = generations.load(60)

        self.assertEqual(following.config.extension("pages"), 81)
        self.assertIs(following.keys, self.keys)
        GenerationTexts(os.path.join(self.directory, "private")).keep(following.hash, following.files)
        stored = generations.with_hashes([following.hash])[following.hash]
        self.assertEqual(stored.config.extension("pages"), 81)

    def test_slow_earlier_configuration(self) -> None:
        """
        Loading a stored configuration has a limit of its own, in which the watch on the reactor does not interrupt it.
        """
        slow = """
import signal, time
from buildbot_lite.model import time_limit
time_limit._is_asked = True  # as the watch asks, from another thread
signal.raise_signal(signal.SIGALRM)
c = {}
"""
        current, endless = self.generation("c = {}"), "while True:\n    pass\n"
        generations = Generations(self.directory, current=current, records=cast("Records", None), wall=lambda: 0.0)
        allow_interruptions()
        texts = GenerationTexts(os.path.join(self.directory, "private"))
        for limit, text, expected in ((None, slow, True), (0.1, endless, False)):
            if limit is not None:
                self.patch(sys.modules[Generations.__module__], "LONGEST_EARLIER_LOAD", limit)
            files = {"master.cfg": text}
            texts.keep(hash_of(files), files)
            self.assertEqual(hash_of(files) in generations.with_hashes([hash_of(files)]), expected)

    def test_trial(self) -> None:
        """
        The process that tries a master.cfg knows the same keys as the master.
        """
        self.assertEqual(list(resolve_name(KEYS)()), list(configuration_keys()))
