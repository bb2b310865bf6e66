"""
A request of the master to open a shell on a slave, as JSON.
"""

from attrs import asdict, frozen

from ..errors import MessageError
from .json_reader import JsonReader, encode

LARGEST_SHELL_REQUEST = 256 << 10
"""Bytes of a request."""
MOST_WORDS = 1000
LARGEST_SIDE = 10_000
"""The most rows or columns of a terminal."""


@frozen
class WindowSize:
    """
    The size of a terminal in characters.  `MessageError` if a side is not from 1 to `LARGEST_SIDE`.
    """

    rows: int
    columns: int

    def __attrs_post_init__(self) -> None:
        if not (1 <= self.rows <= LARGEST_SIDE and 1 <= self.columns <= LARGEST_SIDE):
            raise MessageError(f"A terminal has from 1 to {LARGEST_SIDE} rows and columns.")


@frozen
class ShellRequest:
    """
    Run *argv* in the slave's ``work`` directory, on a terminal of *size*; None: with pipes.
    """

    argv: tuple[str, ...]
    size: WindowSize | None = None

    def to_bytes(self) -> bytes:
        """
        The request as sent.  `MessageError` if it is larger than `LARGEST_SHELL_REQUEST`.
        """
        data = encode({"argv": list(self.argv), "size": None if self.size is None else asdict(self.size)})
        if len(data) > LARGEST_SHELL_REQUEST:
            raise MessageError(f"The command has more than {LARGEST_SHELL_REQUEST} bytes.  Give a shorter one.")
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> "ShellRequest":
        """
        The request in *data*; `MessageError` if it is not valid.
        """
        reader = JsonReader.decode(data, "the request for a shell", LARGEST_SHELL_REQUEST)
        argv = tuple(reader.texts("argv", most=MOST_WORDS))
        if not argv or not all(_is_word(word) for word in argv):
            raise MessageError("The command of the shell is empty, or a word of it cannot be an argument of a program.")
        return cls(
            argv, reader.optional("size", lambda name: window_size(JsonReader(reader.mapping(name), f"the {name}")))
        )


def window_size(reader: JsonReader) -> WindowSize:
    """
    The size in *reader*; `MessageError` if it is not valid.
    """
    return WindowSize(reader.integer("rows"), reader.integer("columns"))


def _is_word(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
