"""
Whole numbers in texts of others.
"""

DIGITS = 15
"""Of a number in an address, which a database and JSON have room for."""


def whole_number(text: str, digits: int = DIGITS) -> int | None:
    """
    The number that *text* has in at most so many decimal *digits*; None if it is none.

    `str.isdigit` takes the digits of other scripts, and some that `int` refuses, as it does very long numbers.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None
