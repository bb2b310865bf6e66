"""
What Twisted remembers of the names of headers.

It keeps ten thousand names in their usual spelling, for good, of whatever length (`_NameEncoder`): names of 16 KB,
which strangers may send, would take 320 MB that no connection holds any more.
"""

from typing import Any

from twisted.web import http_headers

MOST_NAMES = 500
LONGEST_NAME = 64


class _ShortNames(dict[bytes | str, bytes]):
    """
    The usual spelling of at most `MOST_NAMES` names, each of at most `LONGEST_NAME` bytes.  Others are spelled anew
    each time.
    """

    def __setitem__(self, name: bytes | str, spelling: bytes) -> None:
        if len(self) < MOST_NAMES and len(name) <= LONGEST_NAME:
            super().__setitem__(name, spelling)


def remember_few_names() -> None:
    """
    From now on, Twisted remembers some short names only, in the whole process.
    """
    encoder: Any = http_headers._nameEncoder  # noqa: SLF001 - Twisted has no other way
    encoder._canonicalHeaderCache = _ShortNames(encoder._canonicalHeaderCache)  # noqa: SLF001 - see above
