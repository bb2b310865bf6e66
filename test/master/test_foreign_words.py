"""
Words of Buildbot's that are not here, and its import paths.
"""

import os
import textwrap

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite import plugins
from buildbot_lite.master.config.buildbot_helpers import ComparableMixin, bytes2unicode, unicode2bytes
from buildbot_lite.master.config.buildbot_table import Treatment
from buildbot_lite.master.config.buildbot_words import WORDS, document
from buildbot_lite.master.config.keys import OWN_KEYS
from buildbot_lite.master.config.loading import load
from buildbot_lite.master.config.master_config import DEFAULT_DB
from buildbot_lite.master.config.mistakes import MistakesError
from buildbot_lite.model.results import Result

from .configurations import configured, loaded, mistakes_in, remarks_in, sentences_in

DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs")


class PlaceholderTests(SynchronousTestCase):
    def test_all_at_once(self) -> None:
        """
        Promise 8.14: words that are not here, in whatever way they are used, are noted once each with line and remedy,
        and loading goes on to the end.
        """
        found = mistakes_in(
            """
            from abc import ABC
            from buildbot_lite.plugins import secrets, worker
            from buildbot.status import html, words
            from buildbot.nonsense.deep import Thing
            class Mine(steps.Frobnicate, ABC):
                level = steps.Frobnicate.level + 1
                def __init__(self, x, **kwargs):
                    super().__init__(x, unknown=len(self.nothing), **kwargs)
                    self.addFactoryArguments(x=x["y"] % 3)
            class Both(util.FrobMixin, steps.ShellCommand):
                pass
            class Broken(steps.Frobnicate):
                def __init__(self):
                    raise KeyError("what the base would have had")
            @util.frobnicator(3)
            def decorated(props):
                return 1
            f = util.BuildFactory([Mine(3), Broken()])
            f.addStep(Both(command=["true"], frob=1))
            f.addStep(steps.ShellCommand(command=decorated, env={"A": util.Frob("x")}))
            f.addSteps(steps.Frobnicate.many())
            c["workers"] = [worker.FrobWorker("bot1", "pass")]
            c["workers"] += [worker.FrobWorker(f"bot{n}") for n in (2, 3)]
            c["builders"] = [
                util.BuilderConfig(name="b", slavenames=["bot1", "bot2"], factory=f, properties={"x": util.Frob("y")})
            ]
            c["schedulers"] = [schedulers.Frob(name="s", builderNames=[b.name for b in c["builders"]])]
            c["schedulers"].append(schedulers.Triggerable("t", builderNames=["b", *schedulers.Frob.names]))
            f.addStep(steps.Trigger(schedulerNames=["s", "t"], waitForFinish=True))
            c["titel"] = "x"
            """
        )
        self.assertEqual(
            [(mistake.place.line, mistake.sentence.partition("  There are: ")[0]) for mistake in found],
            [
                (7, "There is no module buildbot.nonsense here.  Import words from buildbot_lite.plugins."),
                (8, "steps has no 'Frobnicate'."),
                (13, "util has no 'FrobMixin'."),
                (18, "util has no 'frobnicator'."),
                (23, "util has no 'Frob'."),
                (25, "slave has no 'FrobWorker'."),
                (30, "schedulers has no 'Frob'."),
                (33, "There is no c['titel'].  Did you mean 'title'?"),
            ],
        )

    def test_exception_after_a_placeholder(self) -> None:
        """
        An exception that ends the load hides nothing that was noted before it.
        """
        found = sentences_in("steps.Frobnicate()\nx = {}['key']\n")
        self.assertEqual(found, ["steps has no 'Frobnicate'.", "KeyError: 'key'"])

    def test_missing_module(self) -> None:
        """
        A module that is not installed is a mistake with its line, and what follows is looked at as well.
        """
        found = mistakes_in("import no_such_thing.deep\nx = no_such_thing.deep.y(1)\nfrom other_thing import z\nz()\n")
        self.assertEqual(
            [str(mistake) for mistake in found],
            [
                "master.cfg:3: No module named 'no_such_thing'.",
                "master.cfg:5: No module named 'other_thing'.",
            ],
        )

    def test_stars(self) -> None:
        """
        ``import *`` from a module of Buildbot's brings the words that are documented there, wherever they are here.
        """
        for path, words in {
            "schedulers.forcesched": "ForceScheduler StringParameter FixedParameter BuildslaveChoiceParameter",
            "schedulers.filter": "ChangeFilter",
            "changes.filter": "ChangeFilter",
            "status.results": "SUCCESS FAILURE Results",
            "status.builder": "SUCCESS FAILURE Results",
            "process.buildstep": "BuildStep SUCCESS",
        }.items():
            with self.subTest(path=path):
                self.assertEqual(mistakes_in(f"from buildbot.{path} import *\nx = [{words.replace(' ', ', ')}]"), [])

    def test_undefined_names(self) -> None:
        """
        A name that is not defined is noted with its line, in functions and classes, too; one of Buildbot's that an
        ``import *`` did not bring has its remedy.
        """
        found = mistakes_in(
            """
            from buildbot.schedulers.forcesched import *
            x = unicode("x")
            def f():
                return [frob for n in xrange(3)]
            class C(frob):
                y = Try_Userpass("a", ["b"])
            f()
            try:
                sorted_by = cmp
            except NameError:
                sorted_by = None
            """
        )
        self.assertEqual(
            [(mistake.place.line, mistake.sentence[:50]) for mistake in found],
            [
                (5, "The name 'unicode' is not defined.  It is a name o"),
                (7, "The name 'xrange' is not defined.  It is a name of"),
                (8, "The name 'frob' is not defined."),
                (9, "schedulers.Try_Userpass is not here.  Write schedu"),
            ],
        )

    def test_code_that_tries(self) -> None:
        """
        Code that tries whether there is a word or a module gets the exception, and makes no mistake.
        """
        config = configured(
            """
            found = []
            try:
                from buildbot.plugins import frobnicators
            except ImportError:
                found.append("plugins")
            try:
                import no_such_thing
            except (ImportError, ValueError):
                found.append("module")
            try:
                steps.Frobnicate
            except AttributeError:
                found.append("word")
            try:
                import buildbot.nonsense
            except Exception:
                found.append("path")
            c["title"] = " ".join(found)
            """
        )
        self.assertEqual(config.title, "plugins module word path")

    def test_code_that_tries_elsewhere(self) -> None:
        """
        So does code that is called or imported by code that tries.
        """
        files = {
            "master.cfg": """
                from contextlib import suppress
                from buildbot_lite.plugins import steps
                def word():
                    return steps.Frobnicate
                found = []
                try:
                    word()
                except AttributeError:
                    found.append("call")
                try:
                    import optional
                except ImportError:
                    found.append("module")
                with suppress(ImportError):
                    import no_such_thing
                    found.append("wrong")
                c = {"title": " ".join(found)}
                """,
            "optional.py": "import no_such_thing\n",
        }
        self.assertEqual(loaded(self.mktemp(), files).config.title, "call module")

    def test_outside_a_load(self) -> None:
        """
        Outside of a load, and in a build, a word that is not here is an AttributeError with the same sentence.
        """
        self.assertRaisesRegex(
            AttributeError, "schedulers.Try_Userpass is not here", getattr, plugins.schedulers, "Try_Userpass"
        )
        self.assertRaisesRegex(
            AttributeError, "plugins has no 'stepps'.  Did you mean 'steps'", getattr, plugins, "stepps"
        )

    def test_other_things(self) -> None:
        """
        Promise 8.14: a word that Buildbot has is never guessed to be another one.
        """
        for word in WORDS.values():
            self.assertNotIn("Did you mean", word.sentence)
        for text in ("slave.LocalWorkers", "steps.ShellArg"):
            (sentence,) = sentences_in(text)
            self.assertNotIn("Did you mean", sentence)

    def test_own_class_with_a_wrong_argument(self) -> None:
        """
        An unknown argument of ``super().__init__`` is noted, and loading goes on.
        """
        found = mistakes_in(
            """
            class Mine(slave.BuildSlave):
                def __init__(self, name, **kwargs):
                    super().__init__(name, frob=1, **kwargs)
            c["slaves"] = [Mine("bot1"), Mine("bot2", max_builds=0)]
            """
        )
        self.assertEqual(
            [str(mistake)[:46] for mistake in found],
            ["master.cfg:6: BuildSlave has no argument 'frob", "master.cfg:7: Mine 'bot2': max_builds must be "],
        )

    def test_steps_of_0_7(self) -> None:
        """
        A factory takes a class of steps with its arguments, as Buildbot 0.7 had it.
        """
        config = configured(
            """
            f = util.BuildFactory()
            f.addStep(steps.ShellCommand, command=["make"], name="make")
            f.addStep(util.s(steps.ShellCommand, command=["check"]))
            c["slaves"] = [slave.BuildSlave("bot1")]
            c["builders"] = [util.BuilderConfig("b", ["bot1"], f)]
            """
        )
        one, two = config.builders["b"].steps
        self.assertEqual((one.name, one.command, two.command), ("make", ["make"], ["check"]))
        self.assertEqual(len(mistakes_in("util.BuildFactory().addStep(steps.ShellCommand, comand=['x'])")), 1)

    def test_one_mistake_one_note(self) -> None:
        """
        A misspelt argument is not missed as well, nor is the key of a word that was noted.
        """
        self.assertEqual(
            sentences_in("util.BuilderConfig(name='b', slavnames=['a'], factory=util.BuildFactory())"),
            ["BuilderConfig has no argument 'slavnames'.  Did you mean 'slavenames'?"],
        )
        self.assertEqual(len(sentences_in("c['services'] = [reporters.Frob()]")), 1)

    def test_slaves_that_are_not_known(self) -> None:
        """
        Where the slaves are not known, because the word for them is missing, no name of one is wrong; what a missing
        function was called with is nowhere proposed as a name.
        """
        builder = "c['builders'] = [util.BuilderConfig('b', 'bot1', util.BuildFactory())]"
        self.assertEqual(len(sentences_in(f"c['slaves'] = bots\n{builder}")), 1)
        self.assertEqual(
            sentences_in(f"frob('bot')\nc['slaves'] = [slave.BuildSlave('other')]\n{builder}"),
            [
                "The name 'frob' is not defined.",
                "The builder 'b' names the slave 'bot1', which does not exist.  There are: other.",
            ],
        )

    def test_without_names(self) -> None:
        """
        Nor is one where something that is no slave, or no list of builders, stands for them.
        """
        for text, said in {
            "c['slaves'] = [('bot1', 'x')]\nc['builders'] = [util.BuilderConfig('b', 'bot1', util.BuildFactory())]": (
                "c['slaves'] has ('bot1', 'x') in it, which is not a BuildSlave."
            ),
            "c['builders'] = 'text'\nc['schedulers'] = [schedulers.ForceScheduler('f', ['b'])]": (
                "c['builders'] must be a list, not 'text'."
            ),
        }.items():
            with self.subTest(text=text):
                self.assertEqual(sentences_in(text), [said])


class KeyTests(SynchronousTestCase):
    def test_asked_for(self) -> None:
        """
        Code that asks with hasattr or getattr whether a word exists gets the answer, and makes no mistake.
        """
        configured(
            "if hasattr(slave, 'DockerLatentWorker') or hasattr(slave, 'Nothing'):\n    raise ValueError\n"
            "assert getattr(util, 'Nothing', 7) == 7\n"
        )
        found = sentences_in("getattr(slave, 'Nothing')\nhasattr(c, 'x') or slave.Nothing2\n")
        said = [each.partition(".  ")[0] for each in found]
        self.assertEqual(said, ["slave has no 'Nothing'", "slave has no 'Nothing2'"])

    def test_lines(self) -> None:
        """
        Promise 8.14: a key that is set by ``c.update``, in a loop over a dictionary or in a module has a line.
        """
        files = {
            "master.cfg": (
                "import more\n"
                "c = {}\n"
                "c.update(frob=1)\n"
                "c.update({'grob': 2})\n"
                "more.fill(c)\n"
                "other = c\n"
                "other['drob'] = 3\n"
            ),
            "more.py": "def fill(config):\n    config['krob'] = 1\n",
        }
        with self.assertRaises(MistakesError) as caught:
            loaded(self.mktemp(), files)
        self.assertEqual(
            [str(mistake) for mistake in caught.exception.mistakes],
            [
                "master.cfg:3: There is no c['frob'].",
                "master.cfg:4: There is no c['grob'].",
                "master.cfg:7: There is no c['drob'].",
                "more.py:2: There is no c['krob'].",
            ],
        )

    def test_other_names(self) -> None:
        """
        Keys by Buildbot's other names are what they mean.
        """
        for text in (
            "c['workers'] = [worker.Worker('bot1', 'pass')]; c['protocols'] = {'pb': {'port': 9989}}",
            "c['bots'] = [slave.BuildSlave('bot1')]; c['slavePortnum'] = 9989",
            "c['bots'] = [slave.BuildSlave('bot1')]; c['slavePortnum'] = 9989; c['protocols'] = {'pb': {'port': 9989}}",
            "c['bots'] = [worker.Worker('bot1')]; c['slavePortnum'] = 'tcp:9989'; c['db_url'] = 'sqlite:///state.sqlite'",
        ):
            with self.subTest(text):
                config = configured("from buildbot_lite.plugins import worker\n" + text)
                self.assertEqual(config.db, "state.sqlite" if "db_url" in text else DEFAULT_DB)
                self.assertEqual((set(config.slaves), config.ports), ({"bot1"}, ("tcp:9989",)))

    def test_status(self) -> None:
        """
        The reporters among the status targets of Buildbot 0.8 are services; its web pages are a remark.
        """
        text = """
            from buildbot.status import html, mail
            c["status"] = [html.WebStatus(http_port=8010)]
            c["status"].append(mail.MailNotifier(fromaddr="farm@example.org"))
            """
        self.assertEqual(list(configured(text).services), ["MailNotifier"])
        self.assertIs(plugins.status.MailNotifier, plugins.reporters.MailNotifier)
        self.assertEqual([line[:35] for line in remarks_in(text)], ["master.cfg:5: status.WebStatus has "])
        self.assertEqual(len(mistakes_in("c['status'] = [3]")), 1)

    def test_two_names(self) -> None:
        """
        A key that is there under two names with different values is a mistake.
        """
        (mistake,) = mistakes_in("c['slaves'] = []\nc['workers'] = [slave.BuildSlave('bot1')]\n")
        self.assertEqual(str(mistake), "master.cfg:4: c['workers']: c['slaves'] means the same; keep one of them.")
        for wrong in ("{}", "{'pb': 3}", "{'pb': {}}", "{'pb': {'port': 'x'}}"):
            self.assertEqual(len(mistakes_in(f"c['protocols'] = {wrong}")), 1, wrong)

    def test_taken(self) -> None:
        """
        A key without which nothing changes is a remark with its line; the configuration is good.
        """
        remarks = remarks_in(
            "c['titleURL'] = 'x'\nc['logMaxSize'] = 3\nc['manhole'] = util.PasswordManhole(1, 'a', 'b')\n"
        )
        self.assertEqual(
            [remark.partition(" here: ")[0] for remark in remarks],
            [
                "master.cfg:3: c['titleURL'] has no effect",
                "master.cfg:4: c['logMaxSize'] has no effect",
                "master.cfg:5: util.PasswordManhole has no effect",
            ],
        )

    def test_rights(self) -> None:
        """
        Promise 10.1: the rights of web pages, however many words they need, are one remark.
        """
        remarks = remarks_in(
            """
            authz = util.Authz(
                allowRules=[util.AnyEndpointMatcher(role="admins"), util.ForceBuildEndpointMatcher(role="x")],
                roleMatchers=[util.RolesFromGroups(groupPrefix="a"), util.RolesFromUsername(["x"], usernames=["y"])],
            )
            c["www"] = dict(port=8010, auth=util.UserPasswordAuth({"me": "secret"}), authz=authz, plugins={})
            """
        )
        self.assertEqual([line.partition(" ")[0] for line in remarks], ["master.cfg:4:", "master.cfg:8:"])
        self.assertIn("docs/security.md", remarks[0])
        self.assertIn("c['www']['plugins'] has no effect here: waterfall", remarks[1])

    def test_refused(self) -> None:
        """
        A word without which something would change is a mistake that says what to do instead.
        """
        for text, remedy in {
            "c['www'] = {'change_hook_dialects': {'github': {}}}": "util.Secret(",
            "c['status'] = [plugins.status.WebStatus(8010, change_hook_dialects={})]": "status.WebStatus(change_hook",
            "c['status'] = [plugins.status.GitHubStatus('token')]": "c['services']",
            "c['slaves'] = [slave.LocalSlave('a')]": "create-slave local -",
            "c['change_source'] = plugins.changes.PBChangeSource()": "a string of its own",
            "c['schedulers'] = [schedulers.Try_Userpass('a', ['b'], port=1, userpass=[])]": 'stdin="patch"',
            "c['db_url'] = 'mysql://me:sesame@db/farm'": "a file of SQLite",
        }.items():
            (sentence,) = sentences_in(f"from buildbot_lite import plugins\n{text}\n")
            self.assertIn(remedy, sentence)
            self.assertNotIn("sesame", sentence)

    def test_password(self) -> None:
        """
        A slave's password is taken with one remark, however many slaves have one.
        """
        remarks = remarks_in("c['slaves'] = [\n slave.BuildSlave('a', 'x'),\n slave.BuildSlave('b', 'y')]\n")
        self.assertEqual([line[:25] for line in remarks], ["master.cfg:4: BuildSlave:"])


class HelperTests(SynchronousTestCase):
    def test_text_and_bytes(self) -> None:
        """
        Text and bytes become each other; everything else stays.
        """
        self.assertEqual([bytes2unicode(each) for each in (b"\xc3\xa9", "x", None)], ["é", "x", None])
        self.assertEqual([unicode2bytes(each) for each in ("é", b"x", None)], [b"\xc3\xa9", b"x", None])
        self.assertEqual((bytes2unicode(b"\xff", errors="replace"), unicode2bytes("é", "latin-1")), ("\ufffd", b"\xe9"))

    def test_comparable(self) -> None:
        """
        Objects of one class with equal attributes are equal, also those attributes that a base class names.
        """

        class Base(ComparableMixin):
            compare_attrs = ("a",)

            def __init__(self, a: int, b: int, c: int = 0) -> None:
                self.a, self.b, self.c = a, b, c

        class Other(Base):
            compare_attrs = ("b",)

        self.assertEqual((Other(1, 2, 3), hash(Other(1, 2, 3))), (Other(1, 2, 4), hash(Other(1, 2, 4))))
        for other in (Other(0, 2), Other(1, 0), Base(1, 2)):
            self.assertNotEqual(Other(1, 2), other)

    def test_lookup(self) -> None:
        """
        A class may declare that it looks up mail addresses.
        """
        config = configured(
            """
            from buildbot.interfaces import IEmailLookup
            from buildbot.plugins import reporters
            from zope.interface import implementer
            @implementer(IEmailLookup)
            class Lookup:
                def getAddress(self, name):
                    return name + "@example.org"
            c["services"] = [reporters.MailNotifier(fromaddr="farm@example.org", lookup=Lookup())]
            """
        )
        self.assertEqual(len(config.services), 1)

    def test_error(self) -> None:
        """
        A configuration reports mistakes of its own.
        """
        found = mistakes_in("from buildbot import config\nconfig.error('There is no key.')\nsteps.Frobnicate\n")
        self.assertEqual(str(found[0]), "master.cfg:4: There is no key.")
        self.assertEqual(len(found), 2)


class TableTests(SynchronousTestCase):
    def test_document(self) -> None:
        """
        docs/buildbot.md is what the table makes: python -m buildbot_lite.master.config.buildbot_words
        """
        with open(os.path.join(DOCS, "buildbot.md")) as file:
            self.assertEqual(file.read(), document())

    def test_nothing_twice(self) -> None:
        """
        What is taken or refused for good is not there as well.
        """
        for (where, name), word in WORDS.items():
            if word.treatment in (Treatment.TAKEN, Treatment.REFUSED):
                self.assertFalse(where == "c" and name in OWN_KEYS, name)
                self.assertNotIn(name, dir(getattr(plugins, where, None)), where)

    def test_each_word(self) -> None:
        """
        Each word of the table loads as a placeholder, with one remark or one mistake that ends as a sentence does.
        """
        for (where, name), word in WORDS.items():
            if where not in plugins.__all__ or name in dir(getattr(plugins, where)):
                continue
            text = f"from buildbot_lite import plugins\nx = plugins.{where}.{name}('a', b=1)\nclass Y(type(x)): pass\n"
            with self.subTest(text):
                said = remarks_in(text) if word.treatment is Treatment.TAKEN else sentences_in(text)
                self.assertEqual(len(said), 1)
                self.assertRegex(said[0], r"[.]$")


class PathTests(SynchronousTestCase):
    def test_paths(self) -> None:
        """
        Old and new import paths of Buildbot's lead to the words, also with the name of buildbot_lite.
        """
        for top in ("buildbot", "buildbot_lite"):
            config = configured(
                f"""
                from {top}.plugins import *
                from {top}.plugins import worker, steps as more_steps
                import {top}.process.factory
                from {top}.process.factory import BuildFactory
                from {top}.process import factory, properties
                from {top}.process.properties import Interpolate, renderer
                from {top}.config import BuilderConfig
                from {top}.buildslave import BuildSlave
                from {top}.worker import Worker
                from {top}.steps.shell import ShellCommand, Compile
                from {top}.steps.source.git import Git
                from {top}.steps import shell, transfer
                from {top}.schedulers.forcesched import ForceScheduler
                from {top}.schedulers import basic, triggerable
                from {top}.status.results import SUCCESS
                from {top}.status.builder import FAILURE
                from {top}.process.results import WARNINGS
                from {top}.steps.transfer import *
                from {top}.changes.svnpoller import SVNPoller, split_file_branches
                from {top} import config, locks, plugins
                found = [
                    steps.ShellCommand is shell.ShellCommand is ShellCommand is more_steps.ShellCommand,
                    util.BuildFactory is BuildFactory is factory.BuildFactory is {top}.process.factory.BuildFactory,
                    BuildSlave is Worker is worker.Worker is slave.BuildSlave,
                    Git is steps.Git, FileUpload is steps.FileUpload is transfer.FileUpload,
                    ForceScheduler is schedulers.ForceScheduler, triggerable.Triggerable is schedulers.Triggerable,
                    BuilderConfig is util.BuilderConfig is config.BuilderConfig, plugins.util is util,
                    properties.Interpolate is Interpolate, shell.TestNewStyle is steps.Test,
                    SVNPoller is changes.SVNPoller, split_file_branches is util.svn.split_file_branches,
                    (SUCCESS, WARNINGS, FAILURE) == (util.SUCCESS, util.WARNINGS, util.FAILURE),
                ]
                c["title"] = str(all(found))
                """
            )
            self.assertEqual(config.title, "True", top)

    def test_own_modules(self) -> None:
        """
        What buildbot_lite has of its own is itself.
        """
        config = configured(
            """
            import buildbot_lite.testing
            from buildbot_lite import plugins, testing
            from buildbot_lite.model.results import Result
            from buildbot_lite.model import spec
            c["title"] = f"{buildbot_lite.testing is testing} {Result.SUCCESS is util.SUCCESS} {spec.__name__}"
            """
        )
        self.assertEqual(config.title, "True True buildbot_lite.model.spec")
        self.assertEqual(Result.SUCCESS, plugins.util.SUCCESS)

    def test_only_in_a_configuration(self) -> None:
        """
        Nobody else finds a module called buildbot, neither during a load nor afterwards.
        """
        configured("import buildbot.plugins, buildbot_lite.steps.shell\n")
        self.assertRaises(ImportError, __import__, "buildbot.plugins")
        self.assertRaises(ImportError, __import__, "buildbot_lite.steps.shell")

    def test_import_in_a_build(self) -> None:
        """
        A function of the configuration imports from Buildbot's paths when it runs later, too.
        """
        directory = self.mktemp()
        master = """
            c = {"title": "x"}
            def later():
                from buildbot.process.results import SUCCESS
                from buildbot_lite.steps.shell import ShellCommand
                return SUCCESS, ShellCommand
            from buildbot.plugins import schedulers
            c["schedulers"] = [schedulers.Submit("s", builderNames=["b"])]
            c["schedulers"][0].later = later
            """
        master += """
            from buildbot.plugins import util, worker
            c["builders"] = [util.BuilderConfig("b", ["bot1"], util.BuildFactory())]
            c["workers"] = [worker.Worker("bot1")]
            """
        generation = loaded(directory, {"master.cfg": textwrap.dedent(master)})
        found = generation.config.schedulers["s"].later()  # type: ignore[attr-defined]  # set in the configuration
        self.assertEqual(found, (Result.SUCCESS, plugins.steps.ShellCommand))

    def test_local_module_secrets(self) -> None:
        """
        A module called secrets beside master.cfg is the one that is imported there; others get Python's.
        """
        files = {
            "master.cfg": """
                import importlib
                import secrets
                from secrets import TOKEN
                import numbers_of_others
                importlib.reload(secrets)
                c = {"title": f"{secrets.TOKEN} {TOKEN} {numbers_of_others.n}"}
                """,
            "secrets.py": "TOKEN = 'ours'\n",
            "numbers_of_others.py": "from json import JSONDecoder\nimport secrets\nn = secrets.TOKEN\n",
        }
        directory = self.mktemp()
        generation = loaded(directory, files)
        self.assertEqual(generation.config.title, "ours ours ours")
        self.assertEqual(set(generation.files), set(files))
        self.assertEqual(load("/nowhere", files=generation.files).config.title, "ours ours ours")
        self.assertTrue(hasattr(__import__("secrets"), "token_hex"))
        self.assertEqual(
            load("/nowhere", "import secrets\nc = {'title': secrets.token_hex(4)}").files.keys(), {"master.cfg"}
        )
