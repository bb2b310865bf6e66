"""
Mistakes in configurations, and their places.
"""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.config.argument_fit import NotingType
from buildbot_lite.master.config.executed_line import SourceLine, current_line
from buildbot_lite.master.config.mistakes import (
    MISSING,
    MOST_MISTAKES,
    Mistake,
    MistakesError,
    collecting,
    note,
    once_loaded,
)


class Thing(metaclass=NotingType):
    """
    An object of a configuration.
    """

    def __init__(self, name: Any, size: Any = 1, *, colour: Any = "red") -> None:
        self.place = current_line(self)
        self.name, self.size, self.colour = name, size, colour
        if size == "wrong":
            note("That is no size.", of=self)


def executed(text: str, **names: object) -> tuple[dict[str, Any], list[Mistake]]:
    """
    The names that *text* defines when it is run as a configuration, and its mistakes.
    """
    namespace: dict[str, Any] = {"Thing": Thing, "note": note, **names}
    with collecting({"<cfg>": "master.cfg"}) as mistakes:
        exec(compile(text, "<cfg>", "exec"), namespace)
    return namespace, mistakes.found


class NoteTests(SynchronousTestCase):
    def test_line(self) -> None:
        """
        A mistake has the line of the call in the configuration, also in a loop, in a function, or in a call of several
        lines.
        """
        text = (
            "def make(size):\n"
            "    return Thing('a', size)\n"
            "for size in (1, 'wrong'): Thing('b', size)\n"
            "make('wrong')\n"
            "Thing(\n"
            "    'c',\n"
            "    'wrong',\n"
            ")\n"
        )
        self.assertEqual([mistake.place.line for mistake in executed(text)[1]], [3, 2, 5])

    def test_line_of_a_subclass(self) -> None:
        """
        An object of a class that the configuration defines has the line that creates it, not that of super().__init__.
        """
        text = (
            "class Mine(Thing):\n"
            "    def __init__(self, other, **kw):\n"
            "        super().__init__('mine', other, **kw)\n"
            "one = Mine('wrong')\n"
        )
        names, found = executed(text)
        self.assertEqual([str(mistake) for mistake in found], ["master.cfg:4: That is no size."])
        self.assertEqual(names["one"].place, SourceLine("master.cfg", 4))

    def test_outside(self) -> None:
        """
        Outside a load, a mistake is raised at once, and objects have no place.
        """
        self.assertRaisesRegex(ConfigError, "That is no size", Thing, "a", "wrong")
        self.assertRaisesRegex(ConfigError, "no argument 'color'.  Did you mean 'colour'", Thing, "a", color=1)
        self.assertRaisesRegex(ConfigError, "needs the argument 'name'", Thing)
        self.assertIsNone(Thing("a").place)
        once_loaded(lambda config: "never asked")

    def test_type_error_inside(self) -> None:
        """
        A TypeError inside a constructor is not reported as a wrong argument.
        """

        class Broken(Thing):
            def __init__(self) -> None:
                super().__init__(len(3))  # type: ignore[arg-type]  # on purpose

        self.assertRaisesRegex(TypeError, "has no len", Broken)

    def test_arguments_that_do_not_fit(self) -> None:
        """
        Unknown, missing, repeated and superfluous arguments are each noted, and the object is created.
        """
        names, found = executed("t = Thing(colr='blue', size=2)\nThing('a', 1, 2)\nThing('a', name='b')\nThing()\n")
        self.assertEqual(
            [str(mistake) for mistake in found],
            [
                "master.cfg:1: Thing has no argument 'colr'.  Did you mean 'colour'?",
                "master.cfg:1: Thing needs the argument 'name'.",
                "master.cfg:2: Thing takes at most 2 arguments without a name, and was given 3.",
                "master.cfg:3: Thing was given 'name' twice.",
                "master.cfg:4: Thing needs the argument 'name'.",
            ],
        )
        self.assertIs(names["t"].name, MISSING)
        self.assertEqual((names["t"].size, repr(names["t"].name)), (2, "MISSING"))

    def test_once(self) -> None:
        """
        The same mistake at the same line is noted once.
        """
        self.assertEqual(len(executed("for n in range(3): note('Wrong.')")[1]), 1)

    def test_bounded(self) -> None:
        """
        At most 200 mistakes are kept.
        """
        self.assertEqual(len(executed("for n in range(1000): note(f'Wrong {n}.')")[1]), MOST_MISTAKES)

    def test_later(self) -> None:
        """
        A check that runs after the load belongs to the line that registered it.
        """
        with collecting({"<cfg>": "master.cfg"}) as mistakes:
            text = "\nonce_loaded(lambda config: f'No {config}.')\nonce_loaded(lambda config: None)"
            exec(compile(text, "<cfg>", "exec"), {"once_loaded": once_loaded})
            self.assertEqual(mistakes.found, [])
            mistakes.check("sheep")
        self.assertEqual([str(mistake) for mistake in mistakes.found], ["master.cfg:2: No sheep."])

    def test_nested_loads(self) -> None:
        """
        Nested loads have separate mistakes.
        """
        with collecting({}) as outer:
            with collecting({}) as inner:
                note("Inside.")
            note("Outside.", SourceLine("x.py", 3))
        self.assertEqual([str(mistake) for mistake in inner.found], ["master.cfg: Inside."])
        self.assertEqual([str(mistake) for mistake in outer.found], ["x.py:3: Outside."])

    def test_nothing_wrong(self) -> None:
        """
        Without mistakes, nothing is raised.
        """
        with collecting({}) as mistakes:
            mistakes.raise_any()


class MistakesErrorTests(SynchronousTestCase):
    @given(st.lists(st.tuples(st.sampled_from(["master.cfg", "a.py", "z.py"]), st.integers(0, 9), st.text(max_size=3))))
    def test_sorted(self, found: list[tuple[str, int, str]]) -> None:
        """
        Mistakes are sorted by file (master.cfg first) and line; within a line they keep their order.  None is lost.
        """
        mistakes = [Mistake(SourceLine(file, line), text) for file, line, text in found]
        told = MistakesError(mistakes).mistakes
        self.assertEqual(sorted(told), sorted(mistakes))
        keys = [(at.place.file != "master.cfg", at.place.file, at.place.line) for at in told]
        self.assertEqual(keys, sorted(keys))
        first = [at.sentence for at in mistakes if at.place == SourceLine("a.py", 1)]
        self.assertEqual([at.sentence for at in told if at.place == SourceLine("a.py", 1)], first)
