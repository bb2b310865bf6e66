"""
Cursors: where the next page of a list begins, as a text that only this module reads.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error

from ...errors import MessageError
from ...model.whole_numbers import whole_number

LONGEST = 400
LARGEST_PLACE = 1 << 62
_DIGITS = 19


def cursor(kind: str, place: int | None) -> str | None:
    """
    The cursor of a list of this *kind* that goes on at *place*; None if *place* is.
    """
    return None if place is None else urlsafe_b64encode(f"{kind}:{place}".encode()).decode().rstrip("=")


def place(kind: str, text: str | None) -> int | None:
    """
    The place in the cursor *text*; None if there is none.  `MessageError` if it is no cursor of such a list.
    """
    if text is None:
        return None
    try:
        made, _, number = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(":")
        found = whole_number(number, _DIGITS)
        if made == kind and found is not None and found < LARGEST_PLACE:
            return found
    except (Error, ValueError):
        pass
    raise MessageError("This cursor is of no page of this list.  Take the one in next of the page before.")
