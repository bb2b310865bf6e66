"""
A broker that reads and writes tokens with less CPU time than Foolscap's own.  The tokens are the same.

* Each token is one write.  Foolscap's own methods write each byte of a token's header separately: four writes for a
  typical token.
* Data that is all in the middle of a long string is only put into the buffer.  TLS delivers 16 KiB at a time, and
  Foolscap would parse the string's header again for each.
* From an authenticated peer, more is read at a time.
"""

from foolscap import broker as stock
from foolscap.banana import b1282int
from foolscap.tokens import CLOSE, INT, OPEN, STRING, VOCAB

from .byte_queue import ByteQueue
from .traffic import Traffic

# Bytes to read at a time from an authenticated peer: twice what Twisted reads, which saves a tenth of the CPU time of
# receiving a log.  More would save little more, and OpenSSL keeps a buffer of this size for each connection.
_READ_SIZE = 128 << 10
# Bytes.  Shorter pieces of a string are parsed, and so charged, because each piece costs time, however short it is.
_SHORTEST_PIECE = 256
# Bytes of a token before its body (Foolscap's "header").
_LONGEST_HEAD = 65
# Bytes.  No word of Foolscap's vocabulary is longer.
_LONGEST_WORD = 100
# Larger whole numbers have other tokens.
_FIRST_LONG = 1 << 31


class TokenBroker(stock.Broker):
    """
    One end of a connection, as a stream of tokens.  *traffic* counts its bytes; a Tub's connections share one.
    """

    traffic = Traffic()

    def __init__(self, remote_tubref, params, connectionInfo) -> None:
        # None: without the stock timers, which `keepalive` replaces.
        super().__init__(remote_tubref, params, None, None, connectionInfo)
        self.buffer = ByteQueue()
        # Bytes that an accepted, incomplete string still needs.
        self._missing = 0

    def read_more(self) -> None:
        """
        Read more at a time, because the peer is authenticated.
        """
        self.transport.bufferSize = _READ_SIZE

    # Sending

    def sendOpen(self):
        open_id = self.openCount
        self.openCount += 1
        self._write(_header(open_id, OPEN))
        return open_id

    def sendClose(self, openID):
        self._write(_header(openID, CLOSE))

    def sendToken(self, obj):
        if isinstance(obj, bytes):
            # Not looked up in the vocabulary: that would compute a hash of each chunk of a log.
            if len(obj) > _LONGEST_WORD:
                self._write(_header(len(obj), STRING))
                self._write(obj)
            elif (symbol := self.outgoingVocabulary.get(obj)) is not None:
                self._write(_header(symbol, VOCAB))
            else:
                self._write(_header(len(obj), STRING) + obj)
        elif isinstance(obj, int) and 0 <= obj < _FIRST_LONG:
            self._write(_header(obj, INT))
        else:
            super().sendToken(obj)

    def _write(self, data: bytes) -> None:
        self.traffic.sent += len(data)
        self.transport.write(data)

    # Receiving

    def takes_middle(self, chunk: bytes) -> bool:
        """
        Put *chunk* into the buffer if it is all in the middle of a long string; return whether it is.
        """
        middle = _SHORTEST_PIECE <= len(chunk) < self._missing and not self.connectionAbandoned
        if middle:
            self._missing -= len(chunk)
            self.buffer.append(chunk)
        return middle

    def dataReceived(self, chunk: bytes) -> None:
        super().dataReceived(chunk)
        self._missing = _missing(self.buffer)

    def discard_received(self) -> None:
        """
        Release what was received and not parsed.
        """
        # The readers of an incomplete message form a cycle, which holds its bytes.
        self.receiveStack = [self.rootUnslicer]
        self.buffer.clear()
        self._missing = 0


def _header(number: int, kind: bytes) -> bytes:
    """
    The beginning of a token: *number* in base 128, the lowest digit first, and the token's type.
    """
    digits = bytearray((number & 0x7F,))
    while number := number >> 7:
        digits.append(number & 0x7F)
    return bytes(digits) + kind


def _missing(buffer: ByteQueue) -> int:
    """
    The number of bytes that the string at the beginning of *buffer* still needs; 0 if there is no string.
    """
    if len(buffer) <= _LONGEST_HEAD:
        return 0  # too short to matter
    head = buffer.popleft(_LONGEST_HEAD)
    buffer.appendleft(head)
    digits = head.partition(STRING)[0]
    return len(digits) + 1 + b1282int(digits) - len(buffer) if digits.isascii() else 0
