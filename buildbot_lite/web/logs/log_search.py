"""
Search for a text in a whole log, in pieces.

::

    log        … a line⏎  another li│ne with the text⏎  a third …
    read       ─────────── piece ────│──────── piece ───────│─…
    searched   up to its last line feed, then the rest with the next piece

One request looks at a bounded number of bytes and finds a bounded number of lines; the next one goes on at its
`SearchState`.  A search can also go back from there to the beginning, in the same way.  Only fixed texts are searched:
a stranger's regular expression can take for ever.

Colours within the text do not hide it, because SGR sequences are removed before.  Without regard to case, texts are
compared in the form of `str.lower`.
"""

import re
from collections.abc import Callable
from typing import TypeAlias

from attrs import evolve, frozen

from ...errors import LimitError
from ...storage.compressed_streams import StreamReader
from .line_index import after_nth_newline

LONGEST_TEXT = 200
"""Characters of a text to search for."""
MOST_FOUND = 200
"""Lines that one request finds."""
PIECE = 128 << 10
LONGEST_HELD = 4 * PIECE
"""Bytes of a line that are searched together."""
_AROUND = 100
_FAR = 1000
_SGR = re.compile(rb"\x1b\[[0-9;:]{0,100}m")


@frozen
class FoundLine:
    """
    A line that contains the text: its *number*; the *offset* at which it begins or, in a long line, of a place shortly
    before the text, which is *far* from its beginning; the bytes *before*, of and *after* its first match, cut to a
    hundred on each side.
    """

    number: int
    offset: int
    before: bytes
    text: bytes
    after: bytes
    far: bool = False


@frozen
class SearchState:
    """
    The next byte to search is at *offset*, in line *line*; going back, it is the one before.  *skips*: the text was
    found in this line already, so its rest is not searched.
    """

    offset: int = 0
    line: int = 1
    skips: bool = False


SearchRun: TypeAlias = Callable[..., tuple[list[FoundLine], SearchState]]
"""`TextSearch.run` or `TextSearch.run_back`."""


class TextSearch:
    """
    A search for *text* in a log.  `LimitError` if it is empty, has several lines or more than `LONGEST_TEXT`
    characters.
    """

    def __init__(self, text: str, *, ignores_case: bool = False) -> None:
        if not 0 < len(text) <= LONGEST_TEXT or "\n" in text:
            raise LimitError(f"A text to search for has 1 to {LONGEST_TEXT} characters, in one line.")
        self._ignores_case = ignores_case
        self._is_ascii = text.isascii()
        self._text = (text.lower() if ignores_case else text).encode("utf-8", "replace")

    def run(
        self, reader: StreamReader, state: SearchState, *, size: int, most: int = MOST_FOUND
    ) -> tuple[list[FoundLine], SearchState]:
        """
        Look at *size* bytes from *state* on, and a piece more: at most *most* lines with the text, and the state to go
        on at, whose offset at the end is the length of the log.

        Blocks: call it in a thread.
        """
        found: list[FoundLine] = []
        stop = state.offset + size
        held = b""
        inside = state.offset > 0 and reader.read(state.offset - 1, 1) != b"\n"
        while len(found) < most and state.offset < stop:
            piece = reader.read(state.offset + len(held), PIECE)
            held += piece
            usable, kept = self._usable(held, at_end=len(piece) < PIECE)
            if usable:
                lines, after = self._search(held[:usable], state, most - len(found), inside=inside)
                if not lines:  # otherwise the rest of that line is not searched
                    after = evolve(after, offset=after.offset - kept)
                inside = kept > 0 and not lines
                held = held[after.offset - state.offset :]
                found, state = found + lines, after
            if not piece:
                break
        return found, state

    def run_back(
        self, reader: StreamReader, state: SearchState, *, size: int, most: int = MOST_FOUND
    ) -> tuple[list[FoundLine], SearchState]:
        """
        As `run`, but from *state* back to the beginning: the nearest line comes first, and the offset at the end is 0.
        In a line that is searched in parts, not always its first match is found.
        """
        found: list[FoundLine] = []
        stop = max(0, state.offset - size)
        while len(found) < most and state.offset > stop:
            text, is_whole = _before(reader, state.offset)
            if not text:
                break  # the file was removed
            lines, state = self._search_back(text, state, most - len(found), is_whole=is_whole)
            found += lines
        return found, state

    def _overlap(self) -> int:
        """
        Bytes of a part of a long line that are searched again with the next part, because the text may be on both.
        """
        # 4: another case of a letter has at most so many bytes for each of its own.
        return 4 * len(self._text) + _AROUND

    def _usable(self, held: bytes, *, at_end: bool) -> tuple[int, int]:
        """
        How many bytes of *held* are searched without those that follow, and how many of these are searched again with
        them: whole lines, or all of a line that is very long, at whose end the text may begin.
        """
        whole = len(held) if at_end else held.rfind(b"\n") + 1
        if whole or len(held) < LONGEST_HELD:
            return whole, 0
        return len(held), self._overlap()

    def _search(
        self, text: bytes, state: SearchState, most: int, *, inside: bool
    ) -> tuple[list[FoundLine], SearchState]:
        """
        Search *text*, which begins at *state*, to its end or to the end of the last line that may be found.  *inside*:
        its first line began before.
        """
        if state.skips:
            end = text.find(b"\n") + 1
            if not end:
                return [], evolve(state, offset=state.offset + len(text))
            text, state, inside = text[end:], SearchState(state.offset + end, state.line + 1), False
        plain = _SGR.sub(b"", text) if b"\x1b" in text else text
        folded = self._folded(plain)
        found: list[FoundLine] = []
        lines = line_at = at = 0
        while len(found) < most and (begin := folded.find(self._text, at)) >= 0:
            lines += folded.count(b"\n", line_at, begin)
            line_at = folded.rfind(b"\n", 0, begin) + 1
            line_end = folded.find(b"\n", begin)
            line = folded[line_at : line_end if line_end >= 0 else None]
            is_far = inside and not line_at
            found.append(self._found(text, plain, state, lines, line, begin - line_at, is_far=is_far))
            if line_end < 0:
                return found, SearchState(state.offset + len(text), state.line + lines, skips=True)
            at = line_end
        if len(found) < most:
            return found, SearchState(state.offset + len(text), state.line + lines + folded.count(b"\n", line_at))
        after = lines + 1
        return found, SearchState(state.offset + _line_start(text, after), state.line + after)

    def _search_back(
        self, text: bytes, state: SearchState, most: int, *, is_whole: bool
    ) -> tuple[list[FoundLine], SearchState]:
        """
        Search *text*, which ends at *state*, back to its beginning or that of the last line that may be found.
        *is_whole*: it begins with a line.
        """
        start = state.offset - len(text)
        if state.skips:
            text = text[: text.rfind(b"\n") + 1]
            if not text:
                return [], SearchState(start, state.line, skips=True)
        lines = text.count(b"\n")
        first = SearchState(start, state.line - lines)
        plain = _SGR.sub(b"", text) if b"\x1b" in text else text
        folded = self._folded(plain)
        found: list[FoundLine] = []
        line_at = len(folded)
        while len(found) < most and (at := folded.rfind(self._text, 0, line_at)) >= 0:
            lines -= folded.count(b"\n", at, line_at)
            line_at = folded.rfind(b"\n", 0, at) + 1
            line_end = folded.find(b"\n", at)
            line = folded[line_at : line_end if line_end >= 0 else None]
            is_far = not is_whole and not line_at
            found.append(self._found(text, plain, first, lines, line, line.find(self._text), is_far=is_far))
        if not is_whole and not found:
            return found, evolve(first, offset=start + self._overlap())
        if not is_whole:
            return found, evolve(first, skips=True)
        if len(found) < most:
            return found, first
        return found, SearchState(start + _line_start(text, lines), first.line + lines)

    def _folded(self, plain: bytes) -> bytes:
        """
        The form of *plain* in which the text is looked for; it has the same lines.
        """
        if not self._ignores_case:
            return plain
        return plain.lower() if self._is_ascii else plain.decode("utf-8", "replace").lower().encode()

    def _found(
        self, text: bytes, plain: bytes, state: SearchState, lines: int, folded: bytes, at: int, *, is_far: bool
    ) -> FoundLine:
        """
        The match at byte *at* of the line *folded*, which in *text* and *plain* is preceded by so many *lines*.
        *is_far*: the line began before.
        """
        start = _line_start(plain, lines)
        line = plain[start : start + len(folded)]
        # With another number of bytes, the place in the line is known only in its folded form.
        shown = line if b"\n" not in line and plain[start + len(folded) :][:1] in {b"", b"\n"} else folded
        end = at + len(self._text)
        is_far = is_far or at > _FAR
        return FoundLine(
            state.line + lines,
            state.offset + _line_start(text, lines) + (max(0, at - _AROUND) if is_far else 0),
            shown[max(0, at - _AROUND) : at],
            shown[at:end],
            shown[end : end + _AROUND],
            is_far,
        )


def _line_start(text: bytes, lines: int) -> int:
    return after_nth_newline(text, lines) if lines else 0


def _before(reader: StreamReader, end: int) -> tuple[bytes, bool]:
    """
    The lines before byte *end*, about a piece of them, and whether the first one is there from its beginning: of a very
    long line, the last part is returned.  Nothing if they cannot be read.
    """
    for size in (PIECE, LONGEST_HELD):
        start = max(0, end - size)
        text = reader.read(start, end - start)
        if len(text) < end - start:
            return b"", False
        if not start:
            return text, True
        if first := text.find(b"\n", 0, -1) + 1:
            return text[first:], True
    return text, False
