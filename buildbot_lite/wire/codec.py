"""
Encoding of the small documents that no module of ``model/`` owns.
"""

import json
from collections.abc import Iterable, Mapping

from ..errors import MessageError
from ..model.json_reader import JsonReader, encode
from .contract import (
    LARGEST_LENGTHS,
    LONGEST_ID,
    LONGEST_NAME,
)

_MOST_STREAMS = 200
MOST_BYTES = 1 << 62


def lengths_to_bytes(lengths: Mapping[str, int]) -> bytes:
    """
    The JSON of *lengths*, in bytes by stream.
    """
    return encode(dict(lengths))


def lengths_from_bytes(data: bytes) -> dict[str, int]:
    """
    Length in bytes by stream; `MessageError` if *data* is invalid.
    """
    reader = JsonReader.decode(data, "the lengths", LARGEST_LENGTHS)
    if len(reader.document) > _MOST_STREAMS:
        raise MessageError(f"There are lengths of more than {_MOST_STREAMS} streams.")
    return {name: reader.integer(name) for name in reader.document}


def streams_to_bytes(streams: Iterable[str]) -> bytes:
    """
    The JSON of the names *streams*.
    """
    return encode(list(streams))


def streams_from_bytes(data: bytes) -> tuple[str, ...]:
    """
    The names of streams; `MessageError` if *data* is invalid.
    """
    try:
        streams = json.loads(data)
    except (ValueError, RecursionError):
        raise MessageError("The names of streams are not JSON.") from None
    if not isinstance(streams, list) or len(streams) > _MOST_STREAMS:
        raise MessageError(f"The names of streams are not a list, or are more than {_MOST_STREAMS}.")
    if not all(isinstance(name, str) and 0 < len(name) <= LONGEST_NAME for name in streams):
        raise MessageError(f"The name of a stream is not a text of 1 to {LONGEST_NAME} characters.")
    return tuple(streams)


def text(data: bytes, limit: int = LONGEST_ID) -> str:
    """
    The name in *data*: 1 to *limit* bytes of UTF-8; `MessageError` otherwise.
    """
    try:
        name = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MessageError("A name is not UTF-8.") from None
    if not 0 < len(data) <= limit:
        raise MessageError("A name is empty or too long.")
    return name


def not_negative(number: int) -> int:
    """
    *number*, an offset or a size; `MessageError` if it is negative or larger than `MOST_BYTES`.
    """
    if not 0 <= number <= MOST_BYTES:
        raise MessageError("An offset or a size is negative, or larger than any file.")
    return number
