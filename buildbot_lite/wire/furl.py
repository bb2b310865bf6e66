"""
FURLs: ``pb://TUBID@HINT,HINT/SWISSNUM``.

The TubID is the fingerprint of the master's certificate, a hint is an address of the master, and the swissnum is the
secret.  No exception of this module contains any part of a FURL, except an invalid hint.
"""

import re
from collections.abc import Iterable

from attrs import field, frozen

from ..errors import FurlError
from ..model.hello import MOST_HINTS
from .contract import LONGEST_SWISSNUM

LONGEST_FURL = 4000
PLACEHOLDER = "pb://PUT-THE-SLAVES-STRING-HERE"
"""What slave.tac.sample has in place of the slave's string."""
LARGEST_FURL_FILE = 1 << 16
"""Bytes of a file, or of standard input, in which a FURL is looked for."""

_BASE32 = re.compile(r"[a-z2-7]+\Z")
_TUB_ID_LENGTH = 32
_SWISSNUM = re.compile(r"[A-Za-z0-9._-]+\Z")
_HINT = re.compile(r"(?:tcp:)?(?:\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})\Z")
# Hints without host and port (Tor and the like) are for Foolscap's plugins.
_OTHER_HINT = re.compile(r"(?!tcp:)[a-z0-9-]+:[A-Za-z0-9_.:=\[\]%-]+\Z")
_SHORTEST_SWISSNUM = 8

_COPY = "Copy the whole string, from pb:// to its last character."


@frozen
class Furl:
    """
    The parts of a FURL.  Its `repr` omits the swissnum, its `str` does not.
    """

    tub_id: str
    hints: tuple[str, ...]
    swissnum: str = field(repr=False)

    def __str__(self) -> str:
        return build(self.tub_id, self.hints, self.swissnum)


def parse(text: str) -> Furl:
    """
    The parts of the FURL *text*, without surrounding white space; `FurlError`, with a remedy, if it is invalid.
    """
    text = text.strip()
    if not text:
        raise FurlError(f"There is no FURL here.  {_COPY}")
    if len(text) > LONGEST_FURL:
        raise FurlError(f"This is too long to be a FURL.  {_COPY}")
    if not text.startswith("pb://"):
        raise FurlError(f"A FURL begins with pb://, and this text does not.  {_COPY}")
    if len(text.split()) > 1:
        raise FurlError("A FURL contains no spaces.  Give only the part from pb:// on, without the name before it.")
    if text == PLACEHOLDER:
        raise FurlError(
            "slave.tac has no string yet, but only the sample's placeholder.  Put the slave's string there: on the "
            "master, it is in buildslave.furls, in the line with the slave's name."
        )
    tub_id, at, remainder = text.removeprefix("pb://").partition("@")
    if not at:
        raise FurlError(f"This FURL has no @: a part of it is missing.  {_COPY}")
    addresses, slash, swissnum = remainder.partition("/")
    if not slash or not swissnum:
        raise FurlError(f"This FURL ends too early: the part after the last / is missing.  {_COPY}")
    if len(tub_id) != _TUB_ID_LENGTH or not _BASE32.match(tub_id):
        raise FurlError(f"Between pb:// and @, a FURL has 32 letters a-z and digits 2-7; this one does not.  {_COPY}")
    if not _SHORTEST_SWISSNUM <= len(swissnum) <= LONGEST_SWISSNUM or not _SWISSNUM.match(swissnum):
        raise FurlError(
            f"The part after the last / of this FURL is too short, too long, or has wrong characters.  {_COPY}"
        )
    hints = tuple(addresses.split(","))
    if len(hints) > MOST_HINTS:
        raise FurlError(f"This FURL has more than {MOST_HINTS} addresses.  {_COPY}")
    for hint in hints:
        check_hint(hint)
    return Furl(tub_id, hints, swissnum)


def check_hint(hint: str) -> str:
    """
    *hint*, if it is a valid hint of a FURL; otherwise `FurlError`.
    """
    match = _HINT.match(hint)
    if match and 0 < int(match[1]) < 1 << 16:
        return hint
    if not match and _OTHER_HINT.match(hint) and hint.count(":") > 1:
        return hint
    raise FurlError(f"{hint!r:.100} is not an address to connect to.  Write tcp:HOST:PORT.")


def build(tub_id: str, hints: Iterable[str], swissnum: str) -> str:
    """
    The FURL of *swissnum* at the Tub *tub_id*, with *hints* such as ``tcp:farm.example:9989``.
    """
    return f"pb://{tub_id}@{','.join(hints)}/{swissnum}"


def with_hints(furl: str, hints: Iterable[str]) -> str:
    """
    *furl* with *hints* before its own; duplicates, invalid ones and all after the first `MOST_HINTS` are left out.
    """
    parts = parse(furl)
    usable = []
    for hint in hints:
        try:
            usable.append(check_hint(hint))
        except FurlError:
            continue  # a newer master may send kinds of hints that this version does not know
    hints_kept = tuple(dict.fromkeys((*usable, *parts.hints)))[:MOST_HINTS]
    return build(parts.tub_id, hints_kept, parts.swissnum)


def read_furl(path: str) -> str:
    """
    The first line of the file *path* that begins with ``pb://``; `FurlError` if there is none.
    """
    return furl_in(text_in(path), path)


def furl_in(text: str, where: str) -> str:
    """
    The first line of *text* that begins with ``pb://``; `FurlError` if there is none.  *where*: the place of the text.
    """
    for line in text.splitlines():
        if _is_furl(line.strip()):
            return line.strip()
    raise FurlError(f"No line of {where} begins with pb://.")


def text_in(path: str) -> str:
    """
    The first `LARGEST_FURL_FILE` bytes of the file *path*, decoded; `FurlError` if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return decoded(file.read(LARGEST_FURL_FILE))
    except OSError as error:
        raise FurlError(f"{path} cannot be read: {error.strerror}.") from None


def furls_in(text: str) -> list[str]:
    """
    The FURLs in *text*: each is alone in its line, or follows a name as in ``buildslave.furls``.

    If there are none, the FURLs at the ends of comment lines: the first line of a submission's output is a comment
    that ends with the watch FURL.
    """
    lines = [(line.startswith("#"), line.split()) for line in text.splitlines()]
    furls = [words[-1] for comment, words in lines if not comment and len(words) in {1, 2} and _is_furl(words[-1])]
    return furls or [words[-1] for comment, words in lines if comment and _is_furl(words[-1])]


def decoded(data: bytes) -> str:
    """
    *data* as text, without the byte order mark that some editors write at the beginning of a file.
    """
    return data.decode("utf-8-sig", "replace")


def _is_furl(word: str) -> bool:
    return word.startswith("pb://")
