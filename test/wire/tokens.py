"""
An encoder of Foolscap's tokens that can produce malformed ones, for hostile peers.
"""

from foolscap.banana import int2b128


def number(value: int, kind: int = 0x81) -> bytes:
    """
    Encode a token without body, such as a number (0x81), the beginning (0x88) or the end (0x89) of a sequence.
    """
    written: list[bytes] = []
    int2b128(value, written.append)
    return b"".join(written) + bytes([kind])


def integer(value: int) -> bytes:
    """
    Encode an integer of any size and sign.
    """
    if 0 <= value < 1 << 31:
        return number(value)
    if -(1 << 31) <= value < 0:
        return number(-value, 0x83)
    size = (abs(value).bit_length() + 7) // 8
    return number(size, 0x85 if value > 0 else 0x86) + abs(value).to_bytes(size, "big")


def string(data: bytes, size: int | None = None) -> bytes:
    """
    Encode a string; *size* replaces the declared length.
    """
    return number(len(data) if size is None else size, 0x82) + data


def begin(count: int, *names: bytes) -> bytes:
    """
    Encode the beginning of a sequence.
    """
    return number(count, 0x88) + b"".join(string(name) for name in names)


def end(count: int) -> bytes:
    """
    Encode the end of a sequence.
    """
    return number(count, 0x89)


def call(request: int, count: int, target: int, method: bytes, arguments: dict[bytes, bytes]) -> bytes:
    """
    Encode a call; *arguments* are encoded already.  Its two sequences have the numbers *count* and *count* + 1.
    """
    return (
        begin(count, b"call")
        + number(request)
        + number(target)
        + string(method)
        + begin(count + 1, b"arguments")
        + number(0)
        + b"".join(string(name) + value for name, value in arguments.items())
        + end(count + 1)
        + end(count)
    )


def a_call(request: int, count: int, target: int = 0, method: bytes = b"decref") -> bytes:
    """
    Encode a valid call of object 0.
    """
    return call(request, count, target, method, {b"clid": number(1), b"count": number(1)})


def reference(count: int, id: int, interface: bytes) -> bytes:
    """
    Encode a reference to an object of the peer.
    """
    return begin(count, b"my-reference") + number(id) + string(interface) + end(count)
