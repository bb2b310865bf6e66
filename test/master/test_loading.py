"""
Loading of a master.cfg: a configuration, or all mistakes in it.
"""

import os
import sys
import textwrap
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.config.executed_line import SourceLine
from buildbot_lite.master.config.loading import hash_of, load
from buildbot_lite.master.config.mistakes import MistakesError
from buildbot_lite.model.properties import Properties
from buildbot_lite.model.rendering import View, render_now

from .configurations import (
    HEAD,
    configured,
    loaded,
    mistakes_in,
    sentences_in,
    write,
)

# A comment with 1 marks each line at which a mistake begins.
TWELVE_MISTAKES = """\
from buildbot_lite.plugins import schedulers, secrets, slave, steps, util
from local import builder_for
c = BuildmasterConfig = {}
c["slaves"] = [
    slave.BuildSlave("bot1", max_build=3),  # 1: unknown argument
    slave.BuildSlave("bot 2"),  # 1: a name that cannot be
    slave.BuildSlave("bot3", grace="soon"),  # 1: a wrong type
    slave.BuildSlave("bot1"),  # 1: the second of that name
]
factory = util.BuildFactory()
factory.addStep(
    steps.BuildStep,
)  # the call begins two lines above
c["builders"] = [
    util.BuilderConfig(name="all", slavenames=["bot1", "bot9"], factory=factory),  # 1: an unknown slave
    util.BuilderConfig(name="none", slavenames=[], factory=factory),  # 1: without slaves
    util.BuilderConfig(name="bare", slavenames=["bot1"]),  # 1: no factory
    builder_for("other"),
]
c["schedulers"] = [
    schedulers.Submit("go", builderNames=["al"], stdin="patch"),  # 1: an unknown builder
    schedulers.Submit("try", builderNames=["all"], stdin="html"),  # 1: not one of the choices
]
c["titel"] = "Ours"  # 1: an unknown key
c["port"] = "tcp:99999"  # 1: a value that cannot be
text = util.Interpolate("%(prop:a")  # 1: unreadable
key = util.Secret("deploy")  # 1: an unknown secret
"""
LOCAL = """\
from buildbot_lite.plugins import util

def builder_for(name):
    return util.BuilderConfig(
        name=name, slavenames=["bot1"], factory=util.BuildFactory(), env={"A": 1})
"""


class MistakesTests(SynchronousTestCase):
    def test_all_at_once(self) -> None:
        """
        Promise 11: all mistakes are reported, each once, with the line of the call that made it, in order.
        """
        directory = self.mktemp()
        with self.assertRaises(MistakesError) as caught:
            loaded(directory, {"master.cfg": TWELVE_MISTAKES, "local.py": LOCAL})
        expected = [
            SourceLine("master.cfg", n) for n, line in enumerate(TWELVE_MISTAKES.splitlines(), 1) if "# 1" in line
        ]
        expected.append(SourceLine("master.cfg", 11))  # the step that is a class
        found = [mistake.place for mistake in caught.exception.mistakes]
        self.assertEqual(found, [*sorted(expected), SourceLine("local.py", 4)])
        self.assertGreaterEqual(len(found), 12)
        self.assertEqual(len({mistake.sentence for mistake in caught.exception.mistakes}), len(found))
        self.assertIn("master.cfg:5: BuildSlave has no argument 'max_build'.", str(caught.exception))

    def test_exception(self) -> None:
        """
        Promise 11: a Python exception is reported with the line of the configuration that caused it, after the mistakes
        that were made before it.
        """
        found = mistakes_in("slave.BuildSlave('bad name')\n1 / 0\nslave.BuildSlave('x y')\n")
        self.assertEqual([mistake.place.line for mistake in found], [3, 4])
        self.assertEqual(str(found[1]), "master.cfg:4: ZeroDivisionError: division by zero")

    def test_exception_in_a_module(self) -> None:
        """
        An exception in a module beside master.cfg, or in the standard library called from there, has the module's line.
        """
        directory = self.mktemp()
        files = {"master.cfg": "import local\n", "local.py": "import json\n\njson.loads('{')\n"}
        with self.assertRaises(MistakesError) as caught:
            loaded(directory, files)
        self.assertEqual([mistake.place for mistake in caught.exception.mistakes], [SourceLine("local.py", 3)])

    def test_syntax(self) -> None:
        """
        A syntax error has the line that Python reports, also in a module.
        """
        self.assertEqual([mistake.place for mistake in mistakes_in("x = (\n")], [SourceLine("master.cfg", 3)])
        with self.assertRaises(MistakesError) as caught:
            loaded(self.mktemp(), {"master.cfg": "import local\n", "local.py": "\nif:\n"})
        self.assertIn("local.py:2: SyntaxError", str(caught.exception))

    def test_exit(self) -> None:
        """
        `sys.exit` in a configuration is a mistake, and does not end the process.
        """
        self.assertEqual(sentences_in("import sys\nsys.exit('enough')"), ["SystemExit: enough"])

    def test_misspelt_word(self) -> None:
        """
        For an unknown name in a plugin module, a similar one is suggested.
        """
        self.assertEqual(
            [str(mistake) for mistake in mistakes_in("util.BuilderConfg()")],
            ["master.cfg:3: util has no 'BuilderConfg'.  Did you mean 'BuilderConfig'?"],
        )

    def test_missing_module(self) -> None:
        """
        A failed import has its line.
        """
        self.assertEqual(mistakes_in("import no_such_thing")[0].place, SourceLine("master.cfg", 3))

    def test_nothing_defined(self) -> None:
        """
        A master.cfg without `c` is refused with the line with which to begin.
        """
        with self.assertRaisesRegex(MistakesError, "begins with: c = BuildmasterConfig"):
            load("/nowhere", "x = 1")

    def test_plain_c(self) -> None:
        """
        A dictionary `c` is enough; keys in its braces have their lines too.
        """
        self.assertEqual(load("/nowhere", "c = {'title': 'Ours'}").config.title, "Ours")
        with self.assertRaises(MistakesError) as caught:
            load("/nowhere", "c = {\n'title': 'Ours',\n'titel': 3}")
        self.assertEqual(caught.exception.mistakes[0].place, SourceLine("master.cfg", 3))

    def test_unreadable(self) -> None:
        """
        A master.cfg that is missing, or is not text, is refused with a sentence.
        """
        directory = self.mktemp()
        os.mkdir(directory)
        self.assertRaisesRegex(ConfigError, "No such file", load, directory)
        with open(os.path.join(directory, "master.cfg"), "wb") as file:
            file.write(b"\xff\xfe")
        self.assertRaisesRegex(ConfigError, "not text", load, directory)

    def test_not_utf8_with_cookie(self) -> None:
        """
        A coding cookie for another encoding is respected (PEP 263).
        """
        directory = self.mktemp()
        os.mkdir(directory)
        with open(os.path.join(directory, "master.cfg"), "wb") as file:
            file.write(b"# -*- coding: latin-1 -*-\nc = {'title': '\xe9'}\n")
        self.assertEqual(load(directory).config.title, "é")

    def test_basedir(self) -> None:
        """
        `basedir` and `__file__` are defined, as in Buildbot.
        """
        config = configured("import os\nc['title'] = os.path.basename(basedir) + os.path.basename(__file__)", "/a/farm")
        self.assertEqual(config.title, "farmmaster.cfg")


class GenerationTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A farm whose configuration consists of several files.
        """
        self.directory = os.path.abspath(self.mktemp())
        self.files = {
            "master.cfg": """
                from local import title
                from pack.inner import word
                c = {"title": title + word()}
                """,
            "local.py": "title = 'one'\n",
            "pack/__init__.py": "",
            "pack/inner.py": "def word():\n    from . import other\n    import lazy\n    return other.w + lazy.w\n",
            "pack/other.py": "w = '-other'\n",
            "lazy.py": "w = '-lazy'\n",
            "stranger.py": "raise SystemExit('nobody imported me')\n",
        }

    def test_recorded_files(self) -> None:
        """
        A generation records the text of each file that it can import from the directory, and of no other.
        """
        generation = loaded(self.directory, self.files)
        self.assertEqual(generation.config.title, "one-other-lazy")
        self.assertEqual(set(generation.files), set(self.files) - {"stranger.py"})
        self.assertEqual(generation.hash, hash_of(generation.files))

    def test_beside(self) -> None:
        """
        ``from .name import …`` in master.cfg means the module beside it, as it did in Python 2; its text is recorded,
        also if only a function imports it.
        """
        files = {
            "master.cfg": """
                from . import local
                from .local import *
                from .pack.inner import word
                def later():
                    from .lazy import w
                    return w
                c = {"title": local.title + title + word}
                """,
            "local.py": "title = 'one'\n",
            "pack/__init__.py": "",
            "pack/inner.py": "from .other import word\n",
            "pack/other.py": "word = 'two'\n",
            "lazy.py": "w = 'lazy'\n",
        }
        generation = loaded(self.directory, files)
        self.assertEqual(generation.config.title, "oneonetwo")
        self.assertEqual(set(generation.files), set(files))
        self.assertEqual(load("/nowhere", files=generation.files).config.title, "oneonetwo")

    def test_hash(self) -> None:
        """
        The hash depends on the texts of exactly the files that can be imported.
        """
        first = loaded(self.directory, self.files).hash
        self.assertEqual(load(self.directory).hash, first)
        write(self.directory, {"stranger.py": "# changed"})
        self.assertEqual(load(self.directory).hash, first)
        write(self.directory, {"lazy.py": "w = '-busy'"})
        self.assertNotEqual(load(self.directory).hash, first)

    def test_old_beside_new(self) -> None:
        """
        An old generation is loaded from its recorded texts alone, next to a new one, and has the same hash again.
        """
        old = loaded(self.directory, self.files)
        new = loaded(self.directory, {"local.py": "title = 'two'", "pack/other.py": "w = '-new'"})
        again = load(self.directory, files=old.files)
        self.assertEqual(
            [at.config.title for at in (old, new, again)], ["one-other-lazy", "two-new-lazy", "one-other-lazy"]
        )
        self.assertEqual((again.hash, dict(again.files)), (old.hash, dict(old.files)))

    def test_old_without_its_directory(self) -> None:
        """
        An old generation needs no file of the directory.
        """
        old = loaded(self.directory, self.files)
        os.rename(self.directory, self.directory + ".gone")
        self.assertEqual(load(self.directory, files=old.files).config.title, "one-other-lazy")

    def test_never_from_the_directory(self) -> None:
        """
        A file that was created later is not imported by an old generation, even if it is on Python's path.
        """
        master = "try:\n    import late\nexcept ImportError:\n    late = None\nc = {'title': str(bool(late))}\n"
        old = loaded(self.directory, {"master.cfg": master})
        write(self.directory, {"late.py": ""})
        self.patch(sys, "path", [self.directory, *sys.path])
        self.assertEqual(load(self.directory, files=old.files).config.title, "False")
        self.assertEqual(load(self.directory).config.title, "True")

    def test_imports_during_builds(self) -> None:
        """
        When a renderer imports a module during a build, it gets the text of its own generation.
        """
        master = """
            from buildbot_lite.plugins import util
            @util.renderer
            def word(props):
                import lazy
                return lazy.w
            c = {}
            c["builders"] = [util.BuilderConfig("b", ["bot1"], util.BuildFactory(), env={"word": word})]
            c["slaves"] = [__import__("buildbot_lite.plugins").plugins.slave.BuildSlave("bot1")]
            """
        old = loaded(self.directory, {"master.cfg": master, "lazy.py": "w = 'old'"})
        new = loaded(self.directory, {"lazy.py": "w = 'new'"})
        again = load(self.directory, files=old.files)
        view = View(Properties())
        for _ in range(2):
            words = [render_now(at.config.builders["b"].env["word"], view) for at in (new, old, again)]
            self.assertEqual(words, ["new", "old", "old"])

    def test_computed_import(self) -> None:
        """
        A module that is imported by a computed name during the load is recorded.
        """
        master = "import importlib\nc = {'title': importlib.import_module('lo' + 'cal').title}\n"
        old = loaded(self.directory, {"master.cfg": master, "local.py": "title = 'one'"})
        self.assertEqual(set(old.files), {"master.cfg", "local.py"})
        self.assertEqual(load("/nowhere", files=old.files).config.title, "one")

    def test_own_path(self) -> None:
        """
        Promise 6.22: a module in a directory that master.cfg adds to sys.path is read again by each load, is recorded,
        and has the text of its own generation in later imports.
        """
        master = """
            import os, sys
            sys.path.insert(0, os.path.join(basedir, "lib"))
            import words
            from deep.inner import more
            from buildbot_lite.plugins import slave, util
            @util.renderer
            def word(props):
                import later
                return later.w
            c = {"title": words.w + more, "slaves": [slave.BuildSlave("bot1")]}
            c["builders"] = [util.BuilderConfig("b", ["bot1"], util.BuildFactory(), env={"word": word})]
            """
        path = list(sys.path)
        old = loaded(
            self.directory,
            {
                "master.cfg": master,
                "lib/words.py": "w = 'old'",
                "lib/later.py": "w = 'old'",
                "lib/deep/inner.py": "more = ''",
            },
        )
        self.assertEqual(sys.path, path)
        new = loaded(
            self.directory,
            {"lib/words.py": "w = 'new'", "lib/later.py": "w = 'new'", "lib/deep/inner.py": "more = '!'"},
        )
        write(self.directory, {"lib/later.py": "w = 'newest'"})
        again = load(self.directory, files=old.files)

        self.assertEqual([at.config.title for at in (old, new, again)], ["old", "new!", "old"])
        self.assertEqual(set(old.files), {"master.cfg", "lib/words.py", "lib/later.py", "lib/deep/inner.py"})
        words = [render_now(at.config.builders["b"].env["word"], View(Properties())) for at in (old, new, again)]
        self.assertEqual(words, ["old", "new", "old"])
        self.assertNotEqual(old.hash, new.hash)

    def test_path_elsewhere(self) -> None:
        """
        A module outside the master's directory is treated in the same way, and recorded by its whole path.
        """
        elsewhere = os.path.realpath(self.mktemp())
        write(elsewhere, {"words.py": "w = 'old'"})
        master = f"import sys\nsys.path.append({elsewhere!r})\nimport words\nc = {{'title': words.w}}\n"
        old = loaded(self.directory, {"master.cfg": master})
        write(elsewhere, {"words.py": "w = 'new'"})

        self.assertEqual(load(self.directory).config.title, "new")
        self.assertEqual(load(self.directory, files=old.files).config.title, "old")
        self.assertEqual(set(old.files), {"master.cfg", os.path.join(elsewhere, "words.py")})

    def test_directory_without_init(self) -> None:
        """
        Promise 6.22: modules in a directory without ``__init__.py`` are read again by each load.
        """
        old = loaded(self.directory, {"master.cfg": "from lib import x\nc = {'title': x.w}\n", "lib/x.py": "w = 'old'"})
        new = loaded(self.directory, {"lib/x.py": "w = 'new'"})
        os.rename(self.directory, self.directory + ".gone")
        again = load(self.directory, files=old.files)

        self.assertEqual([at.config.title for at in (old, new, again)], ["old", "new", "old"])

    def test_installed_first(self) -> None:
        """
        A directory at the end of sys.path, or a directory with a package's name, hides no installed package.
        """
        master = """
            import sys
            sys.path.append(basedir + "/lib")
            import attrs, click
            c = {"title": str(hasattr(attrs, "frozen") and hasattr(click, "echo"))}
            """
        generation = loaded(self.directory, {"master.cfg": master, "lib/attrs.py": "1 / 0", "click/x.py": ""})
        self.assertEqual((generation.config.title, set(generation.files)), ("True", {"master.cfg"}))

    def test_nothing_left_behind(self) -> None:
        """
        Loading leaves no modules and no finders behind, also when it fails.
        """
        before = (set(sys.modules), list(sys.meta_path))
        loaded(self.directory, self.files)
        self.assertRaises(MistakesError, loaded, self.directory, {"master.cfg": "import local\nimport pack.inner\n1/0"})
        self.assertEqual((set(sys.modules), list(sys.meta_path)), before)
        self.assertFalse(os.path.exists(os.path.join(self.directory, "__pycache__")))

    def test_modules_of_the_master(self) -> None:
        """
        A module of the same name that the master itself has imported is unchanged after the load.
        """
        loaded(self.directory, self.files)
        mine: Any = object()
        sys.modules["local"] = mine
        self.addCleanup(sys.modules.pop, "local")
        self.assertEqual(len(load(self.directory, files={"master.cfg": "c = {}"}).files), 1)
        self.assertIs(sys.modules["local"], mine)

    def test_standard_library_wins(self) -> None:
        """
        A file with the name of a module of the standard library does not hide that module.
        """
        files = {"master.cfg": "import json\nc = {'title': json.dumps([1])}\n", "json.py": "1/0\n"}
        generation = loaded(self.directory, files)
        self.assertEqual((generation.config.title, set(generation.files)), ("[1]", {"master.cfg"}))

    def test_optional_module_that_fails(self) -> None:
        """
        A module whose import failed is not found half-initialised by a second import, during the load or in a build.
        """
        master = """
            from buildbot_lite.plugins import slave, util
            def tried():
                try:
                    import broken
                except ZeroDivisionError:
                    return "failed"
                return "found"
            c = {"title": tried() + tried(), "slaves": [slave.BuildSlave("bot1")]}
            word = util.renderer(lambda props: tried())
            c["builders"] = [util.BuilderConfig("b", ["bot1"], util.BuildFactory(), env={"A": [word, word]})]
            """
        generation = loaded(self.directory, {"master.cfg": master, "broken.py": "x = 1\n1 / 0\n"})
        self.assertEqual(set(generation.files), {"master.cfg", "broken.py"})
        self.assertEqual(generation.config.title, "failedfailed")
        words = generation.config.builders["b"].env["A"]
        self.assertEqual(render_now(words, View(Properties())), ["failed", "failed"])

    def test_dataclasses(self) -> None:
        """
        Classes of a configuration find their module during the load, as dataclasses need.
        """
        master = """
            from __future__ import annotations
            from dataclasses import dataclass
            @dataclass
            class Target:
                name: str
            c = {"title": Target("all").name}
            """
        self.assertEqual(loaded(self.directory, {"master.cfg": master}).config.title, "all")

    def test_too_many_files(self) -> None:
        """
        A package of more than 500 files is refused.
        """
        files = {f"pack/m{n}.py": "" for n in range(500)}
        write(self.directory, files)
        with self.assertRaisesRegex(ConfigError, "more than 500 files"):
            loaded(self.directory, {"master.cfg": "import pack\nc = {}", "pack/__init__.py": ""})

    def test_old_generation_checks_nothing_outside(self) -> None:
        """
        A secret that was removed later does not prevent the load of an old generation.
        """
        text = HEAD + textwrap.dedent(
            """
            c["secretsProviders"] = [secrets.SecretInAFile("secrets")]
            key = util.Secret("key")
            """
        )
        write(self.directory, {"secrets/key": "hunter2hunter2"})
        os.chmod(os.path.join(self.directory, "secrets/key"), 0o600)
        old = loaded(self.directory, {"master.cfg": text})
        os.remove(os.path.join(self.directory, "secrets/key"))
        self.assertEqual(load(self.directory, files=old.files).hash, old.hash)
        with self.assertRaisesRegex(MistakesError, "master.cfg:5: There is no secret 'key'"):
            load(self.directory)
