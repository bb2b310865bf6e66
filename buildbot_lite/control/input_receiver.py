"""
The input of a submission, from its client to the store.

::

    feed … feed, close ────────────► given: the input, on the disk
      │
      '── no room, too large, of another kind, too slow, client lost ──► given fails, nothing is kept

Standard input (``run-command``) is fed by the client; a file (``upload-file``) is read from the client by `pump`, so
that both end in the same way.

A FURL permits only a few inputs at a time, so a stalled input is abandoned.  With a plain idle time-out, a client could
block others by sending a byte now and then; a limit on the total time would forbid large inputs over slow links.  So
each byte extends the deadline, which is at most `STALL_TIMEOUT` seconds away.
"""

import codecs
from typing import Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ..errors import (
    BuildbotLiteError,
    InputError,
    LinkLostError,
)
from ..master.scheduling.submission import SubmissionInput
from ..model.input_kinds import check_input
from ..model.properties import SUBMITTED, Properties
from ..storage.inputs import IncomingInput
from ..wire.flapp_roles import Read

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

STALL_TIMEOUT = 300.0
"""Seconds for which an input may stall."""
SLOWEST = 1024
"""Bytes per second that an input must have on average."""
LARGEST_PROPERTIES = 256 << 10
PIECE = 256 << 10


class Sink(Protocol[T_co]):
    """
    The destination of one input.
    """

    def write(self, data: bytes) -> None:
        """
        Take the next bytes; `BuildbotLiteError` if that fails.
        """

    def finish(self) -> T_co:
        """
        Keep and return the whole input; `BuildbotLiteError`, which says what is wrong, if it is not acceptable.
        """

    def abandon(self) -> None:
        """
        Discard the written bytes.  No effect after `finish`.
        """


class StoredSink:
    """
    Stores an input called *name* if its beginning is that of a *kind* ("patch", "tar", "file").
    """

    def __init__(self, incoming: IncomingInput, kind: str, name: str) -> None:
        self._incoming = incoming
        self._kind = kind
        self._name = name

    def write(self, data: bytes) -> None:
        self._incoming.write(data)

    def finish(self) -> SubmissionInput:
        check_input(self._kind, self._incoming.head)
        return SubmissionInput(self._kind, self._name, self._incoming.keep())

    def abandon(self) -> None:
        self._incoming.abandon()


class PropertiesSink:
    """
    Parses properties, a text of at most *largest* bytes.  The text is not stored.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._text = bytearray()

    def write(self, data: bytes) -> None:
        self._text += data
        if len(self._text) > self._largest:
            raise InputError(f"The properties have more than {self._largest} bytes.")

    def finish(self) -> SubmissionInput:
        return SubmissionInput("properties", properties=properties_from(bytes(self._text)))

    def abandon(self) -> None:
        self._text.clear()


class BytesSink:
    """
    Keeps the input, at most *largest* bytes, in memory.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._largest:
            raise InputError(f"The input has more than the {self._largest} bytes that this string permits.")

    def finish(self) -> bytes:
        return bytes(self._data)

    def abandon(self) -> None:
        self._data.clear()


class InputReceiver(Generic[T]):
    """
    One input on its way into *sink*: the role `StdinFeed`.  `given` fires once, with the result of the sink; later
    bytes are ignored.
    """

    def __init__(self, sink: Sink[T], clock: IReactorTime) -> None:
        self._sink = sink
        self._clock = clock
        self._deadline = clock.seconds() + STALL_TIMEOUT
        self._timer = clock.callLater(STALL_TIMEOUT, self._timed_out)
        self.given: Deferred[T] = Deferred(lambda cancelled: self._stop())

    @property
    def over(self) -> bool:
        """
        Whether `given` has fired.
        """
        return bool(self.given.called)

    def feed(self, data: bytes) -> None:
        if self.over:
            return
        try:
            self._sink.write(data)
        except BuildbotLiteError as error:
            self.fail(error)
            return
        now = self._clock.seconds()
        self._deadline = min(now + STALL_TIMEOUT, self._deadline + len(data) / SLOWEST)
        self._timer.reset(max(0.0, self._deadline - now))

    def close(self) -> None:
        if self.over:
            return
        try:
            given = self._sink.finish()
        except BuildbotLiteError as error:
            self.fail(error)
            return
        self._stop()
        self.given.callback(given)

    def fail(self, error: BuildbotLiteError) -> None:
        """
        Abandon the input because of *error*, unless it is complete.
        """
        if not self.over:
            self._stop()
            self.given.errback(error)

    def lost(self) -> None:
        """
        The client is lost.  A complete input stays.
        """
        self.fail(LinkLostError())

    def _timed_out(self) -> None:
        self.fail(
            InputError(
                f"The input stalled for {STALL_TIMEOUT / 60:.0f} min and was dropped: nothing is built.  Have all of "
                f"it ready before you submit, and send at least {SLOWEST} bytes a second."
            )
        )

    def _stop(self) -> None:
        if self._timer.active():
            self._timer.cancel()
        self._sink.abandon()


async def pump(read: Read, receiver: InputReceiver[SubmissionInput]) -> None:
    """
    Feed *receiver* from a file that the client holds open.
    """
    try:
        while not receiver.over and (data := await read(PIECE)):
            receiver.feed(data)
    except BuildbotLiteError as error:
        receiver.fail(error)
    else:
        receiver.close()


def properties_from(text: bytes) -> Properties:
    """
    The properties in lines ``name=value``; empty lines and lines that begin with # are skipped.
    """
    if len(text) > LARGEST_PROPERTIES:
        raise InputError(f"The properties have more than {LARGEST_PROPERTIES} bytes.")
    try:
        # utf-8-sig drops the byte order mark that editors on Windows write.
        # Not splitlines(), which would also split at a form feed or U+2028 within a value.
        lines = text.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        other = " (but UTF-16)" if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ""
        raise InputError(f"The properties are not UTF-8 text{other}.  Save them as UTF-8.") from None
    properties = Properties()
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise InputError(f"Line {number} of the properties is not name=value: {line!r:.100}")
        properties.set(name.strip(), value.strip(), SUBMITTED)
    return properties
