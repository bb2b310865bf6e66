"""
Masks secrets in a stream while it is written.

::

    secrets --> patterns: short (`find` for each) | long, pieces of base64 (one pass over 8-byte words)
    held + data --> masked up to the undecided bytes, which are held

Every byte of every occurrence of a secret becomes ``*``, so the stream keeps its length and no offset changes.  A
secret of several lines (a key) is searched as a whole and line by line, because tools indent and cut it.  Each is also
searched in the forms in which programs write it (`spellings`): escaped for URLs, JSON, XML, shells; and in base64 (both
alphabets), at each of the three alignments.  Tools break base64 into lines anywhere, so any 16 characters of it are
masked.

The end of a chunk may be the beginning of a secret; such bytes are held back until the next chunk, or the end of the
stream, decides.  The result does not depend on how the stream was cut into chunks.  A test compares it with the
definition: each byte of each occurrence of each of the `patterns` is masked.

Speed: at any position, a pattern of 15 bytes or more covers a whole aligned word of 8 bytes, which is one of the
pattern's own 8-byte words.  So one pass in C over the aligned words (a set of numbers, ``isdisjoint``) shows whether
there is any long pattern.  Its time does not depend on their number; a key of 27 lines has thousands.  Rejected: one
``find`` for each pattern (the time grows with the lines of a key), and one regular expression (slower than both).
"""

import sys
from collections.abc import Iterable, Iterator

from .spellings import escaped, in_base64

SHORTEST = 6
"""Bytes of the shortest secret, or line of a secret, that is masked."""
_STAR = b"*"
# Bytes of a word in the fast pass.
_WORD = 8
# Characters of a secret's base64 that are masked wherever they occur.
_PIECE = 16
# Bytes of the shortest pattern that covers an aligned word at any position.
_LONG = 2 * _WORD - 1


def patterns(secrets: Iterable[bytes]) -> list[bytes]:
    """
    All byte strings to mask: the secrets and their encodings; of base64, every 16 consecutive characters.
    """
    texts = SecretTexts.of(secrets)
    pieces = {text[at : at + _PIECE] for text in texts.broken for at in range(len(text) - _PIECE + 1)}
    return sorted(pieces.union(texts.whole), key=len, reverse=True)


class SecretTexts:
    """
    The byte strings to search for as a *whole*, and those that may be *broken* into lines (base64).
    """

    def __init__(self, whole: list[bytes], broken: list[bytes]) -> None:
        self.whole = whole
        self.broken = broken

    @classmethod
    def of(cls, secrets: Iterable[bytes]) -> "SecretTexts":
        """
        The texts of *secrets*, each without white space at its ends.

        (The last newline of a key is not secret, and a log with masked newlines is hard to read.)
        """
        whole: dict[bytes, None] = {}
        broken: dict[bytes, None] = {}
        for secret in secrets:
            stripped = secret.strip()
            lines = [line.strip() for line in secret.splitlines()]
            parts = dict.fromkeys((stripped if len(stripped) >= SHORTEST else secret, *lines))
            for number, part in enumerate(parts):
                if len(part) >= SHORTEST:
                    whole.update(dict.fromkeys([part, *escaped(part)]))
                    encoded = dict.fromkeys(in_base64(part))
                    whole.update(dict.fromkeys(text for text in encoded if len(text) < _PIECE))
                    # The base64 of the whole secret contains that of each line.
                    if number == 0:
                        broken.update(dict.fromkeys(text for text in encoded if len(text) >= _PIECE))
        return cls(list(whole), list(broken))


class Search:
    """
    Searches chunks for secrets.  Stateless: many streams may share it.
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        texts = SecretTexts.of(secrets)
        self._short = [text for text in texts.whole if len(text) < _LONG]
        self._heads: dict[int, list[tuple[bytes, int]]] = {}
        for text in texts.whole:
            for at in range(_WORD if len(text) >= _LONG else 0):
                self._heads.setdefault(_number(text[at : at + _WORD]), []).append((text, at))
        self._marks = set(self._heads)
        for text in texts.broken:
            for shift in range(_WORD):
                self._marks.update(_words(text, shift))
        self._whole = texts.whole
        self._broken = b"\0".join(texts.broken)
        self._pieces: set[bytes] | None = None
        # For `undecided`: all beginnings of up to 7 bytes; all longer texts, in which the last 8 bytes are searched.
        self._beginnings = {text[:size] for text in texts.whole for size in range(1, min(_WORD, len(text)))}
        longer = [text for text in texts.whole if len(text) > _WORD]
        self._of_one_line = b"\0".join(text for text in longer if b"\n" not in text)
        self._of_several_lines = b"\0".join(text for text in longer if b"\n" in text)

    def __bool__(self) -> bool:
        return bool(self._whole)

    def found(self, buffer: bytes) -> Iterator[tuple[int, int]]:
        """
        Begin and end of each range to mask; a range may be repeated.
        """
        for text in self._short:
            at = buffer.find(text)
            while at >= 0:
                yield at, at + len(text)
                at = buffer.find(text, at + 1)
        if not self._marks.isdisjoint(_words(buffer, 0)):
            yield from self._found_long(buffer)

    def undecided(self, buffer: bytes) -> int:
        """
        The offset of the longest end of *buffer* that may be the beginning of a secret; its length if there is none.
        """
        length = len(buffer)
        held = 0
        for size in range(1, min(_WORD, length + 1)):
            if buffer[length - size :] in self._beginnings:
                held = size
        last = buffer[-_WORD:]
        # Most chunks end with a newline, and few texts contain one.
        if length >= _WORD and (last in self._of_several_lines or (b"\n" not in last and last in self._of_one_line)):
            for text in self._whole:
                at = text.rfind(last, 0, -1)
                while at >= 0 and not buffer.endswith(text[: at + _WORD]):
                    at = text.rfind(last, 0, at + _WORD - 1)
                held = max(held, at + _WORD if at >= 0 else 0)
        size = 1
        while size < _PIECE and size <= length and buffer[length - size :] in self._broken:
            # NUL separates the texts; base64 does not contain it.
            held = max(held, 0 if b"\0" in buffer[length - size :] else size)
            size += 1
        return length - held

    def _found_long(self, buffer: bytes) -> Iterator[tuple[int, int]]:
        if self._pieces is None:
            # Computed only when first needed.
            texts = self._broken.split(b"\0")
            self._pieces = {text[at : at + _PIECE] for text in texts for at in range(len(text) - _PIECE + 1)}
        for number, word in enumerate(_words(buffer, 0)):
            if word in self._marks:
                here = number * _WORD
                for text, at in self._heads.get(word, ()):
                    if here >= at and buffer.startswith(text, here - at):
                        yield here - at, here - at + len(text)
                for at in range(max(0, here - _WORD), here + 1):
                    if buffer[at : at + _PIECE] in self._pieces:
                        yield at, at + _PIECE


class Masker:
    """
    Masks one stream.  *secrets*: their values, or a shared `Search` for them.
    """

    def __init__(self, secrets: "Iterable[bytes] | Search") -> None:
        self._search = secrets if isinstance(secrets, Search) else Search(secrets)
        self._held = b""
        # The number of bytes, at the beginning of the held ones, that belong to a secret which began before them.
        self._covered = 0

    def feed(self, data: bytes) -> bytes:
        """
        Take *data*; return the bytes that are decided now, masked.
        """
        if not self._search:
            return data
        buffer = self._held + data if self._held else data
        return self._masked(buffer, self._search.undecided(buffer))

    def flush(self) -> bytes:
        """
        Return the bytes that are held back, masked, because the stream is complete.
        """
        return self._masked(self._held, len(self._held))

    def text(self, text: str) -> str:
        """
        *text*, a message that may quote the command, masked.
        """
        return masked_text(self._search, text)

    def _masked(self, buffer: bytes, decided: int) -> bytes:
        masked: bytearray | None = None
        covered = self._covered
        if covered:
            masked = bytearray(buffer)
            masked[:covered] = _STAR * covered
        for begin, end in self._search.found(buffer):
            # A range that begins in the undecided bytes is found again when they are decided.
            if begin < decided:
                masked = bytearray(buffer) if masked is None else masked
                masked[begin:end] = _STAR * (end - begin)
                covered = max(covered, end)
        self._covered = max(0, covered - decided)
        self._held = buffer[decided:]
        if masked is None:
            return buffer if decided == len(buffer) else buffer[:decided]
        return bytes(masked[:decided])


def masked_text(search: Search, text: str) -> str:
    """
    *text* with every secret replaced by stars.
    """
    whole = text.encode("utf-8", "surrogateescape")
    masked = bytearray(whole)
    for begin, end in search.found(whole):
        masked[begin:end] = _STAR * (end - begin)
    return text if masked == whole else masked.decode("utf-8", "replace")


def _words(data: bytes, shift: int) -> memoryview:
    """
    The 8-byte words of *data* from *shift* on, as numbers; an incomplete last word is left out.
    """
    return memoryview(data)[shift : shift + (len(data) - shift) // _WORD * _WORD].cast("Q")


def _number(word: bytes) -> int:
    return int.from_bytes(word, sys.byteorder)
