"""
Foolscap's tokens, written by hand: what a hostile peer sends.
"""

from foolscap.banana import int2b128


def number(value: int, kind: int = 0x81) -> bytes:
    """
    A token that is all header: a number (0x81), the beginning (0x88) or the end (0x89) of a sequence.
    """
    written: list[bytes] = []
    int2b128(value, written.append)
    return b"".join(written) + bytes([kind])


def integer(value: int) -> bytes:
    """
    A number of any size and sign.
    """
    if 0 <= value < 1 << 31:
        return number(value)
    if -(1 << 31) <= value < 0:
        return number(-value, 0x83)
    size = (abs(value).bit_length() + 7) // 8
    return number(size, 0x85 if value > 0 else 0x86) + abs(value).to_bytes(size, "big")


def string(data: bytes, size: int | None = None) -> bytes:
    """
    A string's token, which may declare more than it has.
    """
    return number(len(data) if size is None else size, 0x82) + data


def begin(count: int, *names: bytes) -> bytes:
    """
    The beginning of a sequence.
    """
    return number(count, 0x88) + b"".join(string(name) for name in names)


def end(count: int) -> bytes:
    """
    The end of a sequence.
    """
    return number(count, 0x89)


def call(request: int, count: int, target: int, method: bytes, arguments: dict[bytes, bytes]) -> bytes:
    """
    A whole call, with *arguments* that are tokens already.  *count* numbers its sequences: it and the next are used.
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
    A whole call of object 0.
    """
    return call(request, count, target, method, {b"clid": number(1), b"count": number(1)})


def reference(count: int, id: int, interface: bytes) -> bytes:
    """
    An object of the peer's, offered to us.
    """
    return begin(count, b"my-reference") + number(id) + string(interface) + end(count)
