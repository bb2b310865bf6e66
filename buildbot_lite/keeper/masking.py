"""
Secrets out of a stream, as it is written.

Every byte that belongs to an occurrence of a secret becomes ``*``; so the stream keeps its length and nothing moves.
A secret of several lines (a key) is looked for as a whole, and line by line, because tools indent and cut.

What a chunk ends with may be the beginning of a secret.  Such a tail is held back until the next chunk, or the end,
decides.  The result does not depend on where the chunks were cut; a test holds that against the plain definition.

`bytes.find` for each pattern is faster than one regular expression: it runs at memory speed where the first bytes
of a secret are rare.
"""

from collections.abc import Iterable

SHORTEST = 6
_STAR = b"*"


def patterns(secrets: Iterable[bytes]) -> list[bytes]:
    """
    What to look for: each secret without the white space around it, and each of its lines of at least 6 bytes.

    (A key's last newline is no secret, and a log in which it is a star is hard to read.)
    """
    found: dict[bytes, None] = {}
    for secret in secrets:
        whole = secret.strip()
        for part in (whole if len(whole) >= SHORTEST else secret, *(line.strip() for line in secret.splitlines())):
            if len(part) >= SHORTEST:
                found[part] = None
    return sorted(found, key=len, reverse=True)


class Masker:
    """
    Masks one stream.
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._patterns = patterns(secrets)
        self._held = b""
        # So many bytes at the beginning of what is held belong to a secret that began before them.
        self._covered = 0

    def feed(self, data: bytes) -> bytes:
        """
        What may be written now that *data* has come: of everything so far, all but what is still undecided.
        """
        if not self._patterns:
            return data
        buffer = self._held + data if self._held else data
        return self._masked(buffer, min((self._undecided(buffer, p) for p in self._patterns), default=len(buffer)))

    def flush(self) -> bytes:
        """
        The stream is over: the rest of it.
        """
        return self._masked(self._held, len(self._held))

    def text(self, text: str) -> str:
        """
        *text*, a line of ours that may quote the command, masked as a whole.
        """
        whole = text.encode("utf-8", "surrogateescape")
        for pattern in self._patterns:
            whole = whole.replace(pattern, _STAR * len(pattern))
        return whole.decode("utf-8", "replace")

    def _masked(self, buffer: bytes, decided: int) -> bytes:
        masked: bytearray | None = None
        covered = self._covered
        if covered:
            masked = bytearray(buffer)
            masked[:covered] = _STAR * covered
        for pattern in self._patterns:
            at = buffer.find(pattern, 0)
            # One that begins among the undecided is found again when they are decided.
            while 0 <= at < decided:
                masked = bytearray(buffer) if masked is None else masked
                masked[at : at + len(pattern)] = _STAR * len(pattern)
                covered = max(covered, at + len(pattern))
                at = buffer.find(pattern, at + 1)
        self._covered = max(0, covered - decided)
        self._held = buffer[decided:]
        if masked is None:
            return buffer if decided == len(buffer) else buffer[:decided]
        return bytes(masked[:decided])

    @staticmethod
    def _undecided(buffer: bytes, pattern: bytes) -> int:
        """
        Where the longest end of *buffer* begins that is also a beginning of *pattern*; its length if there is none.
        """
        length = len(buffer)
        first = pattern[:1]
        at = buffer.find(first, max(0, length - len(pattern) + 1))
        while at >= 0:
            if pattern.startswith(buffer[at:]):
                return at
            at = buffer.find(first, at + 1)
        return length
