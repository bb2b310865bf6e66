"""
The keeper's socket: lines of JSON, one client.

A client that does not read costs nothing: what is to be told is kept as *which* commands have news, not as bytes, and
becomes bytes only while there is room.  A newer client takes the older one's place, which is cut.
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

LONGEST_LINE = 8 << 20
_ROOM = 256 << 10
_CHUNK = 256 << 10
SOCKET = "socket"


class ServerBackend(Protocol):
    """
    Whom the client speaks to.
    """

    def received(self, message: dict[str, Any]) -> None:
        """
        A message came.
        """

    def next_event(self) -> dict[str, Any] | None:
        """
        The next thing to tell, or None; called only while there is room.
        """

    def client_changed(self, present: bool) -> None:
        """
        There is a client now, or none.
        """


class Server:
    """
    Listens at ``socket`` in the current directory, which is the keeper's own.  (So its path is short enough.)
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
        Whether there is a client.
        """
        return self._client is not None

    def leave(self) -> bool:
        """
        Stop listening, unless somebody came at the last moment; answers whether it is done.
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
        Say what is left to say, if that can be done at once, and let go.
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
        Send this now; only for answers, which are as few as the questions.
        """
        if self._client is not None:
            self._out += _line(message)
            self._loop.soon(self.flush)

    def flush(self) -> None:
        """
        There may be news: send what there is room for.
        """
        while self._client is not None:
            while len(self._out) < _ROOM and (event := self._backend.next_event()) is not None:
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
                # Too many open files, most likely.  It would come here again at once.
                warn(f"cannot accept a client: {error.strerror}")
                self._loop.unwatch(self._listener.fileno())
                self._loop.later(1.0, lambda: self._loop.watch(self._listener.fileno(), self._accept))
            return
        if self._client is not None:
            # So that it does not come back at once, for the two to take turns.
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
        # One that asks and does not listen to the answers is not listened to either.
        events = (READ if len(self._out) < 4 * _ROOM else 0) | (WRITE if self._out else 0)
        if events != self._selected:
            self._selected = events
            self._loop.watch(self._client.fileno(), self._ready, events)

    def _ready(self) -> None:
        self.flush()
        if self._client is None or len(self._out) >= 4 * _ROOM:
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
                self._line_came(line)
        if len(self._in) > LONGEST_LINE:
            warn("the client sent a line without an end")
            self._drop()

    def _line_came(self, line: bytes) -> None:
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
