"""
Windows of logs.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.web.logs import windows
from buildbot_lite.web.logs.windows import LogRow, LogWindow, start_before, window

from .test_log_search import Bytes

ALL = 1 << 40


def tail(content: bytes) -> LogWindow:
    """
    The window at the end of *content*.
    """
    reader = Bytes(content)
    return window(reader, start_before(reader, len(content)), ALL)


class WindowTests(SynchronousTestCase):
    def test_tail(self) -> None:
        """
        The tail has the last lines; a line without its line feed is shown, and a window that goes on begins with it.
        """
        shown = tail(b"one\ntwo\nthr")
        self.assertEqual([row.html for row in shown.rows], ["one", "two", "thr"])
        self.assertEqual((shown.start, shown.end, shown.next), (0, 11, 8))
        self.assertEqual(tail(b"one\ntwo\n").next, 8)
        self.assertEqual(tail(b""), LogWindow(0, 0, 0, ()))
        many = tail(b"x\n" * 1000)
        self.assertEqual((len(many.rows), many.start, many.end), (500, 1000, 2000))

    def test_colours_go_on(self) -> None:
        """
        A window has the colours that were set shortly before it.
        """
        content = b"\x1b[32mgreen\nstill\n"
        shown = window(Bytes(content), content.index(b"still"), ALL)
        self.assertEqual(shown.rows[0].html, '<span class="f2">still</span>')

    def test_long_line(self) -> None:
        """
        Of a line that is longer than a window, the beginning is shown, and of one at the tail the end; neither is read
        as a whole.
        """
        content = b"first\n" + b"x" * (10 << 20) + b"END"
        [row] = tail(content).rows
        self.assertTrue(row.html.endswith("END"))
        self.assertEqual((row.begins, row.ends, row.hidden), (False, False, 0))
        shown = window(Bytes(content), 6, ALL)
        self.assertEqual(shown.rows[0].hidden, shown.end - 6 - 4000)
        self.assertLess(shown.end, 5 << 20)
        content = b"x" * (1 << 20) + b"\nlast"
        shown = window(Bytes(content), 0, ALL)
        self.assertEqual((shown.rows[0].hidden, shown.end), ((1 << 20) - 4000, (1 << 20) + 1))

    def test_before_lines_that_fit(self) -> None:
        """
        A window that has no room for so many lines begins with one: the line before, which fits, is whole in the window
        before.
        """
        self.patch(windows, "BYTES", 64)
        for length in (3, 20, 62, 63):
            text = (b"x" * length + b"\n") * 10
            end = len(text)
            while end:
                shown = tail(text[:end])
                self.assertTrue(all(row.begins and row.ends for row in shown.rows), (length, end))
                self.assertEqual(shown.end, end)
                self.assertLess(shown.start, end)
                end = shown.start

    def test_before_a_long_line(self) -> None:
        """
        Above the lines after a very long one, its end is shown.
        """
        long, last = tail(b"first\n" + b"x" * (1 << 20) + b"END\nlast\n").rows
        self.assertTrue(long.html.endswith("xEND"))
        self.assertEqual((long.begins, last.html), (False, "last"))

    def test_long_progress(self) -> None:
        """
        Of a long line that is overwritten again and again, the last state is shown, also before its end has come.
        """
        states = b"".join(b"\r%6d of 100000" % number for number in range(100_000))
        for end in (b"", b"\n", b"\r"):
            shown = window(Bytes(b"start\n" + states + end), 6, ALL)
            self.assertEqual([(row.html, row.hidden) for row in shown.rows], [(" 99999 of 100000", 0)])
            self.assertEqual(shown.end, shown.length)

    def test_bounded(self) -> None:
        """
        A window has a bounded number of bytes of HTML, whatever the log contains.
        """
        shown = tail(b"\x00" * 2000 + b"\n" + (b"\x1b[1m\x00\x1b[m\x00" * 400 + b"\n") * 200)
        self.assertLess(sum(len(row.html) for row in shown.rows), windows.HTML + 300_000)

    @given(st.lists(st.sampled_from([b"c", b"cc", b"\n", b"c" * 30, b"\n\n"]), max_size=120).map(b"".join))
    def test_all_is_shown(self, content: bytes) -> None:
        """
        Going from window to window, forwards or backwards, one sees each line once.
        """
        self.patch(windows, "BYTES", 64)
        self.patch(windows, "LONGEST_LINE", 16)
        reader = Bytes(content)
        lines = content.removesuffix(b"\n").split(b"\n") if content else []

        def text(rows: list[LogRow]) -> list[str]:
            # What is not shown of a long line are the letters that the test has in such lines.
            whole = "".join(f"{chr(10) * row.begins}{row.html}{'c' * row.hidden}" for row in rows)
            return whole.split("\n")[1:]

        forwards: list[LogRow] = []
        at = 0
        while at < len(content):
            shown = window(reader, at, ALL, 5)
            self.assertGreater(shown.end, at)
            forwards += shown.rows
            at = shown.end
        backwards: list[LogRow] = []
        at = len(content)
        while at > 0:
            start = start_before(reader, at, 5)
            shown = window(reader, start, at, 5)
            self.assertLess(start, at)
            self.assertEqual(shown.end, at)
            backwards = [*shown.rows, *backwards]
            at = start
        self.assertEqual(text(backwards), [line.decode() for line in lines])
        self.assertEqual(text(forwards), [line.decode() for line in lines])
