"""
The keeper's socket: JSON lines, one client at a time.

For a client that does not read, memory is bounded: only the ids of commands with events are kept, and an event is
encoded when there is space in the buffer.  A new client replaces the old one, whose connection is closed.
"""

import contextlib
import errno
import json
import os
import socket
from typing import Any, Protocol

from .loop import (
    READ,
    WRITE,
    Loop,
    warn,
)

# Bytes of a request.
LONGEST_LINE = 8 << 20
# Bytes that wait to be sent: with more, no further event is encoded; with four times as many, no request is read.
_SEND_BUFFER = 256 << 10
# Bytes to receive at a time.
_CHUNK = 256 << 10
SOCKET = "socket"
"""The name of the socket in the keeper's directory."""


class ServerBackend(Protocol):
    """
    The receiver of the client's requests, and the source of its events.
    """

    def received(self, message: dict[str, Any]) -> None:
        """
        Handle a request.
        """

    def next_event(self) -> dict[str, Any] | None:
        """
        The next event to send, or None; called only while there is space in the buffer.
        """

    def client_changed(self, present: bool) -> None:
        """
        Note that a client connected or disconnected.
        """


class Server:
    """
    Listens at ``socket`` in the current directory, which is the keeper's.  (An absolute path might be too long for the
    address of a socket: unix(7).)
    """

    def __init__(self, loop: Loop, backend: ServerBackend) -> None:
        self._loop = loop
        self._client: socket.socket | None = None
        self._in = bytearray()
        self._out = bytearray()
        self._selected = 0
        self._listener = self._listen()
        self._backend = backend
        loop.watch(self._listener.fileno(), self._accept)

    @property
    def has_client(self) -> bool:
        """
        Whether a client is connected.
        """
        return self._client is not None

    def leave(self) -> bool:
        """
        Stop listening, unless a client has just connected; return whether listening has stopped.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SOCKET)
        self._accept()
        if self._client is not None:
            self._loop.unwatch(self._listener.fileno())
            self._listener.close()
            self._listener = self._listen()
            self._loop.watch(self._listener.fileno(), self._accept)
            return False
        return True

    def close(self) -> None:
        """
        Send the remaining events, for at most a second, and close.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SOCKET)
        if self._client is not None:
            self._client.settimeout(1.0)
            while (event := self._backend.next_event()) is not None:
                self._out += _line(event)
            with contextlib.suppress(OSError):
                self._client.sendall(self._out)
            self._client.close()
        self._listener.close()

    def send(self, message: dict[str, Any]) -> None:
        """
        Send *message*, however full the buffer is.  Only for answers, because requests are bounded.
        """
        if self._client is not None:
            self._out += _line(message)
            self._loop.soon(self.flush)

    def flush(self) -> None:
        """
        Send as many events as the client takes.
        """
        while self._client is not None:
            while len(self._out) < _SEND_BUFFER and (event := self._backend.next_event()) is not None:
                self._out += _line(event)
            if not self._out:
                return
            try:
                sent = self._client.send(self._out)
            except BlockingIOError:
                self._watch()
                return
            except OSError:
                self._drop()
                return
            del self._out[:sent]
            if not self._out:
                self._watch()

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SOCKET)
        umask = os.umask(0o177)
        try:
            listener.bind(SOCKET)
        finally:
            os.umask(umask)
        listener.listen(16)
        return listener

    def _accept(self) -> None:
        try:
            client, _address = self._listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                # Most likely there are too many open files.  The descriptor stays ready, so it is not watched for 1 s.
                warn(f"cannot accept a client: {error.strerror}")
                self._loop.unwatch(self._listener.fileno())
                self._loop.later(1.0, lambda: self._loop.watch(self._listener.fileno(), self._accept))
            return
        if self._client is not None:
            # The message tells the old client not to connect again, which would replace the new one.
            with contextlib.suppress(OSError):
                self._client.send(_line({"event": "replaced"}))
            self._drop()
        client.setblocking(False)
        self._client = client
        self._selected = 0
        self._watch()
        self._backend.client_changed(True)

    def _watch(self) -> None:
        if self._client is None:
            return
        # While a client does not read the answers, its requests are not read, either.
        events = (READ if len(self._out) < 4 * _SEND_BUFFER else 0) | (WRITE if self._out else 0)
        if events != self._selected:
            self._selected = events
            self._loop.watch(self._client.fileno(), self._ready, events)

    def _ready(self) -> None:
        self.flush()
        if self._client is None or len(self._out) >= 4 * _SEND_BUFFER:
            return
        try:
            data = self._client.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop()
            return
        self._in += data
        if b"\n" in data:
            *lines, rest = bytes(self._in).split(b"\n")
            self._in = bytearray(rest)
            for line in lines:
                self._line_received(line)
        if len(self._in) > LONGEST_LINE:
            warn(f"the client sent a line of more than {LONGEST_LINE} bytes")
            self._drop()

    def _line_received(self, line: bytes) -> None:
        if self._client is None:
            return
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if isinstance(message, dict):
            self._backend.received(message)
        else:
            warn("the client sent something that is not a JSON object")
            self._drop()

    def _drop(self) -> None:
        if self._client is None:
            return
        self._loop.unwatch(self._client.fileno())
        self._client.close()
        self._client = None
        self._in.clear()
        self._out.clear()
        self._backend.client_changed(False)


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
