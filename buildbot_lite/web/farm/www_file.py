"""
What the master told last about its pages (``c['www']``), kept in ``www.json`` for a start while the master is away.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ...errors import MessageError
from ...model.json_reader import JsonReader, encode
from ...storage.files import write_whole

WWW = "www.json"
"""The file, in the directory of the web process."""
LARGEST_WWW = 4 << 20


def www_told(directory: str) -> Mapping[str, Any]:
    """
    What is kept in *directory*; empty if nothing is, or nothing that can be read.
    """
    with suppress(OSError, MessageError), open(os.path.join(directory, WWW), "rb") as file:
        return JsonReader.decode(file.read(LARGEST_WWW + 1), WWW, LARGEST_WWW).document
    return {}


def keep_www(directory: str, told: Mapping[str, Any]) -> None:
    """
    Keep *told* in *directory*.  `OSError`, `StorageError`.
    """
    write_whole(os.path.join(directory, WWW), encode(dict(told)))
