r"""
The keys of a terminal, from the bytes that it sends.

::

    "\x1b[A"  ──► up          "j" ──► down          "\x1b[5" │ "~" ──► page up, with the next bytes

The sequences are those of xterm in its normal and its application mode ("XTerm Control Sequences", PC-style function
keys) and of the Linux console.
"""

import re

LEAVE, UP, DOWN, PAGE_UP, PAGE_DOWN, HOME, END, OPEN, BACK = (
    "leave", "up", "down", "page up", "page down", "home", "end", "open", "back",
)  # fmt: skip

_KEYS = {
    b"q": LEAVE, b"Q": LEAVE, b"\x04": LEAVE,
    b"\x1b[A": UP, b"\x1bOA": UP, b"k": UP,
    b"\x1b[B": DOWN, b"\x1bOB": DOWN, b"j": DOWN,
    b"\x1b[5~": PAGE_UP, b"b": PAGE_UP, b"\x1b[6~": PAGE_DOWN, b" ": PAGE_DOWN,
    b"\x1b[H": HOME, b"\x1bOH": HOME, b"\x1b[1~": HOME, b"\x1b[7~": HOME, b"g": HOME,
    b"\x1b[F": END, b"\x1bOF": END, b"\x1b[4~": END, b"\x1b[8~": END, b"G": END,
    b"\r": OPEN, b"\n": OPEN, b"\x1b[C": OPEN, b"\x1bOC": OPEN, b"l": OPEN,
    b"\x7f": BACK, b"\x08": BACK, b"\x1b[D": BACK, b"\x1bOD": BACK, b"h": BACK,
}  # fmt: skip
_SEQUENCE = re.compile(rb"\x1b\[[0-?]{0,20}[ -/]{0,5}[@-~]|\x1bO.|[^\x1b]|\x1b", re.DOTALL)
_BEGUN = re.compile(rb"\x1b(?:O|\[[0-?]{0,20}[ -/]{0,5})?\Z")


class KeyDecoder:
    """
    Names the keys in what a terminal sends; others are ignored.
    """

    def __init__(self) -> None:
        self._begun = b""

    def keys(self, data: bytes) -> list[str]:
        """
        The keys in *data*, in order; a sequence whose end has not come yet is continued by the next data.
        """
        data = self._begun + data
        begun = _BEGUN.search(data)
        self._begun = begun[0] if begun is not None else b""
        whole = data[: len(data) - len(self._begun)]
        return [_KEYS[each] for each in _SEQUENCE.findall(whole) if each in _KEYS]
