"""
Cursors: where the next page of a list begins, as a text that only this module reads.

A cursor has the key of the last entry of the page before, by which the list is in order: a number or a name.  No entry
gets another key, so each one that is there while somebody goes through the pages is on exactly one of them, whatever
comes and goes meanwhile.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from attrs import frozen

from ...errors import MessageError
from ...model.whole_numbers import whole_number

LONGEST = 1000
"""Characters of a cursor: that of a name of 200 characters has 1,080 if each takes four bytes, and names have 80."""
LARGEST_PLACE = 1 << 62
_DIGITS = 19

T = TypeVar("T")


@frozen
class KeyedPage(Generic[T]):
    """
    One page of a list: its *entries*, and the cursor of the *next*; None at the end.
    """

    entries: Sequence[T]
    next: str | None


def cursor(kind: str, place: int | None) -> str | None:
    """
    The cursor of a list of this *kind* that goes on at the number *place*; None if *place* is.
    """
    return None if place is None else _encoded(kind, str(place))


def place(kind: str, text: str | None) -> int | None:
    """
    The number in the cursor *text*; None if there is none.  `MessageError` if it is no cursor of such a list.
    """
    if text is None:
        return None
    found = whole_number(_decoded(kind, text), _DIGITS)
    if found is None or found >= LARGEST_PLACE:
        raise no_cursor()
    return found


def cursor_of_name(kind: str, name: str | None) -> str | None:
    """
    As `cursor`, of a list that goes on after *name*.
    """
    return None if name is None else _encoded(kind, name)


def name_before(kind: str, text: str | None) -> str:
    """
    The name in the cursor *text*; "" if there is none.  `MessageError` if it is no cursor of such a list.
    """
    return "" if text is None else _decoded(kind, text)


def page_by_name(
    kind: str, text: str | None, entries: Iterable[T], name: Callable[[T], str], most: int
) -> KeyedPage[T]:
    """
    At most *most* of *entries*, in the order of their names, each of which only one has: those after the cursor *text*.
    """
    after = None if text is None else _decoded(kind, text)
    ordered = sorted(entries, key=name)
    first = 0 if after is None else bisect_right(ordered, after, key=name)
    shown = ordered[first : first + most]
    is_last = first + most >= len(ordered)
    return KeyedPage(shown, None if is_last else _encoded(kind, name(shown[-1])))


def _encoded(kind: str, key: str) -> str:
    return urlsafe_b64encode(f"{kind}:{key}".encode("utf-8", "surrogatepass")).decode().rstrip("=")


def _decoded(kind: str, text: str) -> str:
    """
    The key in the cursor *text*.
    """
    try:
        written = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("utf-8", "surrogatepass")
    except (Error, ValueError):
        raise no_cursor() from None
    made, colon, key = written.partition(":")
    if made != kind or not colon:
        raise no_cursor()
    return key


def no_cursor() -> MessageError:
    """
    The refusal of a cursor that no page of the list had.
    """
    return MessageError("This cursor is of no page of this list.  Take the one in next of the page before.")
