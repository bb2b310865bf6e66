"""
RPM files for tests, made of their tags, with the digests that they need.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from buildbot_lite.packages.formats.rpm_header import LEAD_MAGIC

_HEADER = struct.Struct(">4s4xII")
_ENTRY = struct.Struct(">IIII")
_INT16, _INT32, _STRING, _BINARY, _STRINGS = 3, 4, 6, 7, 8
_MODES = 1030
_DEPENDENCY_FLAGS = {"": 0, "<": 2, ">": 4, "=": 8, "<=": 10, ">=": 12}


def rpm(payload: bytes = b"files", **tags: Any) -> bytes:
    """
    The package hello-2.10-1 for x86_64.  *tags*: tags that differ from its own, by their number after "t"; None leaves
    a tag out.
    """
    values = {
        1000: "hello",
        1001: "2.10",
        1002: "1",
        1022: "x86_64",
        1044: "hello-2.10-1.src.rpm",
        5092: [hashlib.sha256(payload).hexdigest()],
        5093: 8,
        **{int(name.removeprefix("t")): value for name, value in tags.items()},
    }
    main = header({tag: value for tag, value in values.items() if value is not None}.items())
    return package(main, payload)


def package(main: bytes, payload: bytes = b"files", signatures: bytes | None = None) -> bytes:
    """
    The package with the header *main*.  *signatures*: the signature header, if it is not the one with the right
    digests.
    """
    md5 = hashlib.md5(main + payload, usedforsecurity=False).digest()
    if signatures is None:
        signatures = header([(273, hashlib.sha256(main).hexdigest()), (1004, md5)], region=62)
    return LEAD_MAGIC + bytes(92) + signatures + bytes(-len(signatures) % 8) + main + payload


def srpm(**tags: Any) -> bytes:
    """
    The source package hello-2.10-1; *tags* as for `rpm`.
    """
    return rpm(**{"t1044": None, "t1106": 1, **tags})


def installs(files: Mapping[str, str], *, time: int = 1) -> dict[str, Any]:
    """
    The tags of a package that installs *files*, path → contents.
    """
    directories = sorted({path.rpartition("/")[0] + "/" for path in files})
    return {
        "t1117": [path.rpartition("/")[2] for path in files],
        "t1118": directories,
        "t1116": [directories.index(path.rpartition("/")[0] + "/") for path in files],
        "t1035": [hashlib.sha256(text.encode()).hexdigest() for text in files.values()],
        "t1028": [len(text) for text in files.values()],
        "t1030": [0o100644 for _ in files],
        "t1034": [time for _ in files],
    }


def relates(first_tags: tuple[int, int, int], *relations: str) -> dict[str, Any]:
    """
    The tags of dependencies.  *first_tags*: of names, flags and versions.  *relations*: like "hello >= 2".
    """
    parts = [(*each.split(), "", "")[:3] for each in relations]
    names, flags, versions = first_tags
    return {
        f"t{names}": [name for name, _, _ in parts],
        f"t{flags}": [_DEPENDENCY_FLAGS[comparison] for _, comparison, _ in parts],
        f"t{versions}": [version for _, _, version in parts],
    }


def header(values: Iterable[tuple[int, Any]], region: int = 63) -> bytes:
    """
    A header with *values*, in the order of their tags.
    """
    index, store = b"", b""
    for tag, value in sorted(values, key=itemgetter(0)):
        kind, count, data = _encoded(tag, value)
        if kind in (_INT16, _INT32):
            store += bytes(-len(store) % 4)
        index += _ENTRY.pack(tag, kind, len(store), count)
        store += data
    return raw_header(index, store, region)


def raw_header(index: bytes, store: bytes, region: int = 63) -> bytes:
    """
    A header with *index* and *store* in a region.
    """
    size = len(index) + _ENTRY.size
    index = _ENTRY.pack(region, _BINARY, len(store), _ENTRY.size) + index
    store += _ENTRY.pack(region, _BINARY, (1 << 32) - size, _ENTRY.size)
    return _HEADER.pack(b"\x8e\xad\xe8\x01", size // _ENTRY.size, len(store)) + index + store


def entry(tag: int, kind: int, offset: int, count: int) -> bytes:
    """
    A tag in the index of a header.
    """
    return _ENTRY.pack(tag, kind, offset, count)


def _encoded(tag: int, value: Any) -> tuple[int, int, bytes]:
    if isinstance(value, str):
        return _STRING, 1, value.encode() + b"\0"
    if isinstance(value, bytes):
        return _BINARY, len(value), value
    numbers: Sequence[Any] = [value] if isinstance(value, int) else value
    if any(isinstance(each, str) for each in numbers):
        return _STRINGS, len(numbers), b"".join(each.encode() + b"\0" for each in numbers)
    if tag == _MODES:
        return _INT16, len(numbers), struct.pack(f">{len(numbers)}H", *numbers)
    return _INT32, len(numbers), struct.pack(f">{len(numbers)}I", *numbers)
