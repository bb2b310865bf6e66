"""
Who holds bytes of strangers in this process, and how many for sure.

::

    ByteBudget, `MOST_IN_ALL` ──┬── heads: of requests, and what is sent behind them
                                ├── forms: also objects of the API
                                ├── hooks: webhooks
                                ├── unread: answers in buffers that are full
                                ├── answers: large ones that are being sent
                                └── packing: the compression of downloads

    files ──┬── large_hooks
            └── large_forms

What one visitor may have of a room is the matter of `BodyRoom`.
"""

from tempfile import SpooledTemporaryFile
from typing import IO, cast

from ...model.input_kinds import LARGEST_TEXT
from ...wire.limits.limited_log import LimitedLog
from .body_room import BodyRoom
from .byte_budget import ByteBudget

MOST_IN_ALL = 8 << 20
"""Bytes of all rooms together: enough for a thousand clients that read slowly, each with a full buffer of 4 KiB."""
LARGEST_FORM = 64 << 10
"""Bytes of a body in memory: all of a form or an object of the API, and the beginning of what may be larger."""
LARGEST_FORCED = 3 * LARGEST_TEXT + LARGEST_FORM
"""Bytes of a form with a text, of which each byte may be written as three (WHATWG URL, 5.2)."""
MOST_OF_LARGE_HOOKS = 16 << 20
"""Bytes of the files with the bodies of large webhooks."""
MOST_OF_LARGE_FORMS = 2 * LARGEST_FORCED
"""The same of large forms, which are in memory while they are answered."""


class Rooms:
    """
    The rooms of one process.  *directory*: where large bodies are, in files without names; None: where the system has
    such files.  *log*: for what strangers can cause without limit.
    """

    def __init__(self, directory: str | None = None, most: int = MOST_IN_ALL) -> None:
        self.directory = directory
        self.log = LimitedLog(__name__)
        self.budget = ByteBudget(most)
        self.heads = self._room(8)
        self.forms = self._room(16)
        self.hooks = self._room(16)
        self.unread = self._room(4)
        self.answers = self.budget.share(most * 5 // 32)
        self.packing = self.budget.share(most // 16)
        self.large_hooks = BodyRoom.of(MOST_OF_LARGE_HOOKS)
        self.large_forms = BodyRoom.of(MOST_OF_LARGE_FORMS, one_each=True)

    def new_body(self) -> IO[bytes]:
        """
        A file for a body: in memory up to `LARGEST_FORM` bytes, and from then on one without a name, which nobody else
        can open.  What is written is in it at once; where the disk is full, less of it (its end tells how much).
        """
        body = SpooledTemporaryFile(LARGEST_FORM, buffering=0, dir=self.directory)  # noqa: SIM115 - of a request
        return cast("IO[bytes]", body)

    def _room(self, part: int) -> BodyRoom:
        """
        Room that has that *part* of the budget for sure.
        """
        return BodyRoom(self.budget.share(self.budget.most // part))
