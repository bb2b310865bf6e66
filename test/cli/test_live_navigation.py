"""
The keys of ``watch``, and where they lead.
"""

from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.watch.documents import WatchedBuild, WatchedBuilder, WatchedFarm
from buildbot_lite.cli.watch.keys import BACK, DOWN, END, HOME, LEAVE, OPEN, PAGE_DOWN, PAGE_UP, UP, KeyDecoder
from buildbot_lite.cli.watch.navigation import Navigation
from buildbot_lite.cli.watch.screen_layout import Space
from buildbot_lite.errors import NotFoundError

from .test_live_views import NOW, build, farm

KEYS = [UP, DOWN, PAGE_UP, PAGE_DOWN, HOME, END, OPEN, BACK]


class Gone:
    """
    A master that knows nothing of what it is asked for.
    """

    async def ask(self, question: Any) -> Any:
        raise NotFoundError(f"There is no {question['ask']}.")


def drawn(navigation: Navigation, width: int = 80, height: int = 24) -> tuple[list[str], str]:
    """
    The lines of the screen, and the selected one, at the time of the documents, however long that takes.
    """
    with mock.patch("time.time", return_value=NOW):
        lines = navigation.lines(Space(width, height, NOW))
    marked = [line.plain.rstrip() for line in lines if any(str(span.style) == "reverse" for span in line.spans)]
    return [line.plain for line in lines], "".join(marked)


class KeyTests(SynchronousTestCase):
    def test_sequences(self) -> None:
        """
        Keys are known in the sequences of xterm and the Linux console, also if they come in pieces; other sequences,
        such as those of function keys and pasted text, are ignored.
        """
        decoder = KeyDecoder()
        self.assertEqual(
            decoder.keys(b"\x1b[A\x1bOBjk\x1b[5~ \x1b[1~G"), [UP, DOWN, DOWN, UP, PAGE_UP, PAGE_DOWN, HOME, END]
        )
        self.assertEqual(decoder.keys(b"\r\x7fhl"), [OPEN, BACK, BACK, OPEN])
        self.assertEqual(
            [decoder.keys(piece) for piece in (b"\x1b", b"[", b"6", b"~q")], [[], [], [], [PAGE_DOWN, LEAVE]]
        )
        self.assertEqual(decoder.keys(b"\x1b[15~\x1b[200~x\x1b[1;5A\x1bOP"), [])

    @given(st.lists(st.binary(max_size=40), max_size=10))
    def test_any_bytes(self, pieces: list[bytes]) -> None:
        """
        Whatever a terminal sends, the decoder keeps little of it.
        """
        decoder = KeyDecoder()
        for piece in pieces:
            decoder.keys(piece)
            self.assertLess(len(decoder._begun), 40)


class NavigationTests(SynchronousTestCase):
    def navigation(self, watched: Any) -> Navigation:
        """
        A navigation whose screen was drawn.
        """
        navigation = Navigation(watched)
        drawn(navigation)
        return navigation

    def press(self, navigation: Navigation, *keys: str) -> str:
        """
        The selected line after these keys.
        """
        for key in keys:
            navigation.press(key)
        return drawn(navigation)[1]

    def test_up_and_down(self) -> None:
        """
        Promise 10.8: the keys lead through all rows, also those that the overview leaves out, and Backspace to the
        overview.
        """
        navigation = self.navigation(farm(100))
        overview, marked = drawn(navigation)
        self.assertEqual(marked, "")
        self.assertRegex("\n".join(overview), "… [0-9]+ more")
        self.assertRegex(self.press(navigation, DOWN), "^hello  SWF")
        self.assertRegex(self.press(navigation, DOWN), "^hello/13")
        self.assertRegex(self.press(navigation, UP), "^hello  SWF")
        self.assertRegex(self.press(navigation, UP), "^hello  SWF")
        self.assertRegex(self.press(navigation, END), "^s99 ")
        self.assertRegex(self.press(navigation, PAGE_UP), "^s78 ")
        self.assertRegex(self.press(navigation, PAGE_DOWN), "^s99 ")
        self.assertRegex(self.press(navigation, HOME), "^hello  SWF")
        self.assertEqual(self.press(navigation, BACK), "")
        self.assertRegex("\n".join(drawn(navigation)[0]), "… [0-9]+ more")

    def test_open_and_back(self) -> None:
        """
        Promise 10.8: Enter leads from the farm to a build, from there to the log of a step, and Backspace back to the
        same row; each time it is looked at the new one at once.
        """
        navigation = self.navigation(farm())
        self.press(navigation, DOWN, DOWN, OPEN)
        self.assertEqual(navigation._view.watched, WatchedBuild("hello", 13))
        self.assertEqual(navigation.turns.count, 1)
        navigation._view.watched = build()
        self.assertRegex(self.press(navigation, DOWN, DOWN), "^ 1 ")
        self.press(navigation, OPEN)
        self.assertEqual(navigation._view.watched, WatchedBuild("hello", 12, 1))
        self.assertRegex(self.press(navigation, BACK), "^ 1 ")
        self.assertRegex(self.press(navigation, BACK), "^hello/13")

    def test_way_back(self) -> None:
        """
        From a build that the user named, the way back leads to its builder and the farm.
        """
        navigation = self.navigation(build())
        self.press(navigation, BACK)
        self.assertEqual(navigation._view.watched, WatchedBuilder("hello"))
        self.press(navigation, BACK, BACK)
        self.assertIsInstance(navigation._view.watched, WatchedFarm)

    def test_selected_row_stays(self) -> None:
        """
        The selected row is the same when rows come before it, and at the end it is always the last one.
        """
        watched = farm(5)
        navigation = self.navigation(watched)
        selected = self.press(navigation, DOWN, DOWN)
        first, *_ = watched.builders
        watched.builders = [{**first, "builder": f"a{number}"} for number in range(50)] + watched.builders
        self.assertEqual(drawn(navigation)[1], selected)
        running = build()
        navigation = self.navigation(running)
        self.assertEqual(self.press(navigation, END), "new")
        running.tail = {**running.tail, "text": running.tail["text"] + "newer\n"}
        self.assertEqual(drawn(navigation)[1], "newer")

    def test_long_log(self) -> None:
        """
        The keys lead through more of a log than the terminal has lines.
        """
        watched = build()
        watched.tail = {**watched.tail, "text": "".join(f"line {number}\n" for number in range(500))}
        navigation = self.navigation(watched)
        self.press(navigation, END)
        for _ in range(10):
            navigation.press(PAGE_UP)
        self.assertEqual(drawn(navigation)[1], f"line {499 - 10 * 21}")

    def test_gone(self) -> None:
        """
        A build that is gone when it is opened is left again, with a sentence; one that the user named is an error.
        """
        navigation = self.navigation(farm())
        self.press(navigation, DOWN, DOWN, OPEN)
        self.successResultOf(Deferred.fromCoroutine(navigation.look(Gone())))
        self.assertEqual(navigation.problem, "There is no build.")
        self.assertRegex(drawn(navigation)[1], "^hello/13")
        named = Navigation(WatchedBuild("hello", 1))
        self.failureResultOf(Deferred.fromCoroutine(named.look(Gone())), NotFoundError)
        drawn(named)
        self.press(named, BACK, BACK)
        self.failureResultOf(Deferred.fromCoroutine(named.look(Gone())), NotFoundError)

    def test_left_meanwhile(self) -> None:
        """
        What is heard of a build that was left meanwhile does not matter any more.
        """
        answer: Deferred[Any] = Deferred()

        class Slow:
            async def ask(self, question: Any) -> Any:
                return await answer

        navigation = self.navigation(build())
        looking = Deferred.fromCoroutine(navigation.look(Slow()))
        self.press(navigation, BACK)
        answer.errback(NotFoundError("There is no build."))
        self.successResultOf(looking)
        self.assertEqual(navigation.problem, "")

    @given(st.lists(st.sampled_from(KEYS), max_size=20), st.integers(1, 100), st.integers(1, 40))
    def test_every_way(self, keys: list[str], width: int, height: int) -> None:
        """
        Whatever is pressed, in a terminal of any size, the screen has its lines, and what is selected is on it.
        """
        navigation = Navigation(farm(30, 10))
        for key in keys:
            lines = navigation.lines(Space(width, height, NOW))
            self.assertEqual(len(lines), height)
            self.assertTrue(all(line.cell_len <= width for line in lines))
            if navigation._view.selected is not None and height > 2:
                self.assertTrue(any(str(span.style) == "reverse" for line in lines for span in line.spans))
            navigation.press(key)
