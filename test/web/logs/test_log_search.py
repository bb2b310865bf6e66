"""
Search in logs.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import LimitError
from buildbot_lite.web.logs import log_search
from buildbot_lite.web.logs.log_search import FoundLine, SearchState, TextSearch


class Bytes:
    """
    A `StreamReader` of bytes.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def length(self) -> int:
        return len(self._content)

    def read(self, offset: int, size: int) -> bytes:
        return self._content[offset : offset + size]

    def close(self) -> None:
        pass


def found(search: TextSearch, content: bytes, *, size: int = 1 << 30, most: int = 1 << 30) -> list[FoundLine]:
    """
    All lines that *search* finds in *content*, by as many requests as it takes.
    """
    lines: list[FoundLine] = []
    state = SearchState()
    while state.offset < len(content):
        more, after = search.run(Bytes(content), state, size=size, most=most)
        assert after.offset > state.offset, "it stays where it is"
        lines, state = lines + more, after
    return lines


def found_back(search: TextSearch, content: bytes, *, size: int = 1 << 30, most: int = 1 << 30) -> list[FoundLine]:
    """
    As `found`, from the end to the beginning; in the order of the lines.
    """
    lines: list[FoundLine] = []
    state = SearchState(len(content), content.count(b"\n") + 1)
    while state.offset:
        more, after = search.run_back(Bytes(content), state, size=size, most=most)
        assert after.offset < state.offset, "it stays where it is"
        lines, state = lines + more, after
    return lines[::-1]


class LogSearchTests(SynchronousTestCase):
    def numbers(self, text: str, content: bytes, *, ignores_case: bool = False) -> list[int]:
        """
        The numbers of the lines of *content* with *text*.
        """
        return [line.number for line in found(TextSearch(text, ignores_case=ignores_case), content)]

    def test_lines(self) -> None:
        """
        The lines with the text are found once each, with their numbers, offsets and what is around.
        """
        self.assertEqual(
            found(TextSearch("err"), b"no\nan error, error\n\nerr"),
            [FoundLine(2, 3, b"an ", b"err", b"or, error"), FoundLine(4, 20, b"", b"err", b"")],
        )

    def test_case(self) -> None:
        """
        Without regard to case, letters of any script are found, also where their other case has another length.
        """
        content = "Error\nERROR\nÜbung\nüBUNG\nİstanbul error\n".encode() + b"\xff\xc3\x9cbung\n"
        self.assertEqual(self.numbers("error", content), [5])
        self.assertEqual(self.numbers("eRRor", content, ignores_case=True), [1, 2, 5])
        self.assertEqual(self.numbers("übung", content, ignores_case=True), [3, 4, 6])
        [line] = found(TextSearch("ÜBUNG", ignores_case=True), b"an \xc3\x9cbung!")
        self.assertEqual((line.before, line.text, line.after), (b"an ", b"\xc3\x9cbung", b"!"))

    def test_colours(self) -> None:
        """
        Colours within the text do not hide it, and numbers and offsets are those of the log as it is.
        """
        content = b"\x1b[1mone\x1b[0m\n\x1b[31mfatal\x1b[0m: no\n"
        [line] = found(TextSearch("fatal: no"), content)
        self.assertEqual((line.number, line.offset, line.text), (2, content.index(b"\n") + 1, b"fatal: no"))

    def test_long_line(self) -> None:
        """
        In a line that is longer than what is searched together, the text is found wherever it is, once; the offset is
        shortly before it.
        """
        self.patch(log_search, "PIECE", 1000)
        self.patch(log_search, "LONGEST_HELD", 2000)
        for at in range(1700, 2100, 7):
            content = b"x" * at + b"needle" + b"x" * 9000 + b"needle\nneedle"
            first, second = found(TextSearch("needle"), content)
            self.assertEqual((first.number, second.number), (1, 2))
            self.assertTrue(0 <= at - first.offset <= 1000, (at, first.offset))
            self.assertEqual(second.offset, content.rindex(b"needle"))
            for each in (first, second):
                self.assertEqual(each.far, each is first)
            first, second = found_back(TextSearch("needle"), content)
            self.assertEqual((first.number, first.far, second.number, second.far), (1, True, 2, False))
            self.assertTrue(content[first.offset : first.offset + 2000].count(b"needle"), (at, first.offset))

    def test_parts_of_a_line(self) -> None:
        """
        What is found at the beginning of a later part of a long line is far from the beginning of the line.
        """
        self.patch(log_search, "PIECE", 1000)
        self.patch(log_search, "LONGEST_HELD", 2000)
        content = b"x" * 2050 + b"needle" + b"x" * 3000
        [line] = found(TextSearch("needle"), content)
        self.assertEqual((line.offset, line.far), (1950, True))
        lines, _ = TextSearch("needle").run(Bytes(content), SearchState(2000, 1), size=10_000)
        self.assertEqual([(each.offset, each.far) for each in lines], [(2000, True)])

    @given(
        st.lists(st.sampled_from([b"a", b"b", b"ab", b"\n", b"\x1b[1m", b"A"]), max_size=80).map(b"".join),
        st.sampled_from(["a", "ab", "aab", "bb"]),
        st.integers(1, 40),
        st.integers(1, 3),
    )
    def test_pieces(self, content: bytes, text: str, size: int, most: int) -> None:
        """
        Whatever the sizes of pieces and requests, the same lines are found as by a look at the whole.
        """
        self.patch(log_search, "PIECE", 7)
        plain = content.replace(b"\x1b[1m", b"")
        wanted = [number for number, line in enumerate(plain.split(b"\n"), 1) if text.encode() in line]
        lines = found(TextSearch(text), content, size=size, most=most)
        self.assertEqual([line.number for line in lines], wanted)
        self.assertEqual(found_back(TextSearch(text), content, size=size, most=most), lines)
        starts = [0, *(index + 1 for index, byte in enumerate(content) if byte == ord("\n"))]
        for line in lines:
            self.assertEqual(line.offset, starts[line.number - 1])

    def test_boundaries(self) -> None:
        """
        In a line that is too long to be searched at once, the text is found once, in both directions, wherever the
        boundaries of the parts are.
        """
        self.patch(log_search, "PIECE", 20)
        self.patch(log_search, "LONGEST_HELD", 40)
        self.patch(log_search, "_AROUND", 4)
        for before in (0, 1, 30, 77):
            for after in range(100):
                content = b"\n" + b"c" * before + b"ab" + b"c" * after + b"\nab\n"
                for look in (found, found_back):
                    numbers = [line.number for line in look(TextSearch("ab"), content, size=after + 1)]
                    self.assertEqual(numbers, [2, 3], (before, after, look))

    def test_not_readable(self) -> None:
        """
        Where bytes cannot be read any more, a search stays where it is.
        """
        cut = Bytes(b"x\n" * 10)
        state = SearchState(30, 16)
        for look in (TextSearch("x").run, TextSearch("x").run_back):
            self.assertEqual(look(cut, state, size=1 << 20), ([], state))

    def test_bounds(self) -> None:
        """
        One request looks at a bounded number of bytes and finds a bounded number of lines.
        """
        lines, state = TextSearch("x").run(Bytes(b"x\n" * 1000), SearchState(), size=1 << 20)
        self.assertEqual((len(lines), state), (200, SearchState(400, 201)))
        lines, state = TextSearch("x").run_back(Bytes(b"x\n" * 1000), SearchState(2000, 1001), size=1 << 20)
        self.assertEqual((len(lines), state), (200, SearchState(1600, 801)))
        self.patch(log_search, "PIECE", 100)
        lines, state = TextSearch("y").run(Bytes(b"x\n" * 1000), SearchState(), size=300)
        self.assertEqual((lines, state), ([], SearchState(300, 151)))
        lines, state = TextSearch("y").run_back(Bytes(b"x\n" * 1000), SearchState(2000, 1001), size=300)
        self.assertEqual((lines, state.offset >= 1600), ([], True))

    def test_refused_texts(self) -> None:
        """
        A text that is empty, has several lines or is too long is refused with a sentence.
        """
        for text in ("", "a\nb", "x" * 201):
            self.assertRaisesRegex(LimitError, "1 to 200 characters", TextSearch, text)
