"""
The first message of a TLS handshake, whose length is bounded before OpenSSL gets it.
"""

from ..contract import LARGEST_CLIENT_HELLO

# RFC 8446, sections 4 and 5.1.  Bytes of the header of a TLS record (type, version, length) with that of the message in
# it (type, length).
_HEADER = 9
# The type of a record with handshake messages, and the type of a ClientHello.
_HANDSHAKE = 22
_CLIENT_HELLO = 1
# Bytes of a record that holds the header of a message.
_SHORTEST_RECORD = 4


class ClientHello:
    """
    The length of a ClientHello, the first message of a TLS handshake (RFC 8446, section 4.1.2).

    It is bounded before OpenSSL gets it: OpenSSL allocates memory for the length that the peer declares, up to 128 KiB,
    as soon as it has read the declaration.
    """

    def __init__(self) -> None:
        self.answered = False
        """Whether the whole message was given to OpenSSL, or is queued for it."""
        self._header = b""
        self._left = 1

    @property
    def complete(self) -> bool:
        """
        Whether all of it was received.
        """
        return self._left <= 0

    @property
    def exceeded(self) -> bool:
        """
        Whether more bytes than the message has were received.
        """
        return self._left < 0

    def is_prefix(self, data: bytes) -> bool:
        """
        Append *data*; return whether all bytes so far can be the beginning of a ClientHello of an allowed length.
        """
        if len(self._header) == _HEADER:
            self._left -= len(data)
            return True
        taken = data[: _HEADER - len(self._header)]
        self._header += taken
        if len(self._header) < _HEADER:
            return True
        kind, _, _, *size, message = self._header[:6]
        length = int.from_bytes(self._header[6:])
        self._left = length - (len(data) - len(taken))
        return (
            kind == _HANDSHAKE
            and message == _CLIENT_HELLO
            and int.from_bytes(bytes(size)) >= _SHORTEST_RECORD
            and length <= LARGEST_CLIENT_HELLO
        )
