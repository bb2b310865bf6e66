"""
The lists of a repository for dnf, joined from those of the snapshot before and from new packages.

::

    DIGEST-primary.xml.gz    head │ packages 1 to 400 │ packages 401 to 790 │ … │ tail

Each part is a gzip member: a file of several members unpacks to what they unpack to, one after the other (RFC 1952,
2.2).  A member of the snapshot before is copied as it is, unless one of its packages has gone, or new ones fit into it;
so one more package costs the compression of one member, and copying and digests of the rest.
"""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain, starmap
from typing import Any, BinaryIO, Self

from attrs import field, frozen

from .created_lists import LISTS, Frame
from .snapshots import PUBLIC_FILE

LARGEST_MEMBER = 1 << 20
"""Bytes of text of one member, in all lists together; a package with more has a member of its own."""


@frozen
class ListedPackage:
    """
    A package in the lists.  *sha256*: of its file.  *sizes*: bytes of its text in each list.
    """

    sha256: str
    sizes: tuple[int, ...]


@frozen
class ListFile:
    """
    A list on the disk, called by its digest: what ``repomd.xml`` says of it.  *size*, *open_size*: bytes.
    """

    name: str
    sha256: str
    size: int
    open_sha256: str
    open_size: int


@frozen
class _ListMember:
    """
    Packages that have a gzip member together.  *places*: the offset and the bytes of the member in each list.
    """

    packages: Mapping[str, ListedPackage]
    places: Sequence[tuple[int, int]]


@frozen
class _ListPart:
    """
    What is in the next lists together.  *packed*: the members when it is the whole of a member already.
    """

    packages: Mapping[str, ListedPackage]
    texts: Callable[[], Sequence[bytes]]
    packed: Callable[[], Sequence[bytes]] | None = None

    @property
    def size(self) -> int:
        return sum(sum(package.sizes) for package in self.packages.values())


@frozen
class JoinedLists:
    """
    The lists of one snapshot.  *frames*, *files*: of each list.
    """

    frames: Sequence[Frame] = ()
    files: Sequence[ListFile] = ()
    members: Sequence[_ListMember] = field(default=(), repr=False)

    def packages(self) -> Mapping[str, str]:
        """
        The digests of the packages, by file name.
        """
        return {name: each.sha256 for member in self.members for name, each in member.packages.items()}

    def to_json(self) -> bytes:
        """
        The value as JSON, as `read_lists` reads it.
        """
        value = {
            "frames": [[each.head.decode(), each.tail.decode()] for each in self.frames],
            "files": [[each.name, each.sha256, each.size, each.open_sha256, each.open_size] for each in self.files],
            "members": [
                [{name: [of.sha256, *of.sizes] for name, of in each.packages.items()}, each.places]
                for each in self.members
            ],
        }
        return json.dumps(value).encode()


def read_lists(record: str, directory: str) -> JoinedLists:
    """
    The lists in *directory*, whose `JoinedLists.to_json` is in the file *record*.  Empty when that is not there, as in
    snapshots of other versions, or when a list is damaged: then the lists are made anew.
    """
    try:
        with open(record, "rb") as file:
            lists = _from_json(json.load(file))
        for each in lists.files:
            with open(os.path.join(directory, each.name), "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != each.sha256:
                    return JoinedLists()
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return JoinedLists()
    return lists


def join_lists(
    before: JoinedLists,
    directory_before: str,
    kept: Iterable[str],
    new: Iterable[tuple[str, ListedPackage, Sequence[bytes]]],
    frames: Sequence[Frame],
    many: int,
    directory: str,
) -> JoinedLists:
    """
    Write lists into *directory*: of the packages *kept* of those in *before* (in *directory_before*), and of *new*
    ones, each with its text in each list.  *many*: how many these are together.  The files are synced to the disk.
    """
    with ExitStack() as stack:
        writers = [stack.enter_context(_ListWriter(directory, each)) for each in LISTS]
        earlier = [stack.enter_context(open(os.path.join(directory_before, each.name), "rb")) for each in before.files]
        for writer, frame in zip(writers, frames, strict=True):
            writer.add(frame.head_for(many))
        parts = chain(_kept(before.members, earlier, frozenset(kept)), starmap(_new, new))
        members = [_written(group, writers) for group in _groups(parts)]
        for writer, frame in zip(writers, frames, strict=True):
            writer.add(frame.tail)
        return JoinedLists(frames, [writer.finished() for writer in writers], members)


def _new(name: str, package: ListedPackage, texts: Sequence[bytes]) -> _ListPart:
    return _ListPart({name: package}, lambda: texts)


def _kept(members: Iterable[_ListMember], files: Sequence[BinaryIO], kept: frozenset[str]) -> Iterator[_ListPart]:
    for member in members:
        left = {name: package for name, package in member.packages.items() if name in kept}

        def packed(member: _ListMember = member) -> Sequence[bytes]:
            return [_read(file, *place) for file, place in zip(files, member.places, strict=True)]

        def texts(member: _ListMember = member, packed: Callable[[], Sequence[bytes]] = packed) -> Sequence[bytes]:
            return _without(member.packages, [_unpacked(each) for each in packed()], kept)

        if left:
            yield _ListPart(left, texts, packed if len(left) == len(member.packages) else None)


def _without(packages: Mapping[str, ListedPackage], texts: Sequence[bytes], kept: frozenset[str]) -> Sequence[bytes]:
    left: list[bytes] = []
    for number, text in enumerate(texts):
        position, found = 0, []
        for name, package in packages.items():
            size = package.sizes[number]
            if name in kept:
                found.append(text[position : position + size])
            position += size
        left.append(b"".join(found))
    return left


def _groups(parts: Iterable[_ListPart]) -> Iterator[Sequence[_ListPart]]:
    """
    The parts that have a member together: neighbours, as many as fit.
    """
    group: list[_ListPart] = []
    size = 0
    for part in parts:
        if group and size + part.size > LARGEST_MEMBER:
            yield group
            group, size = [], 0
        group.append(part)
        size += part.size
    if group:
        yield group


def _written(group: Sequence[_ListPart], writers: Sequence["_ListWriter"]) -> _ListMember:
    packages = {name: package for part in group for name, package in part.packages.items()}
    only = group[0].packed if len(group) == 1 else None
    if only is not None:
        return _ListMember(packages, [writer.copy(each) for writer, each in zip(writers, only(), strict=True)])
    texts = zip(*(part.texts() for part in group), strict=True)
    return _ListMember(packages, [writer.add(b"".join(each)) for writer, each in zip(writers, texts, strict=True)])


class _ListWriter:
    """
    The list *kind* in the making, in *directory*.
    """

    def __init__(self, directory: str, kind: str) -> None:
        self._directory = directory
        self._kind = kind
        self._part = os.path.join(directory, f".{kind}.part")
        self._file = open(self._part, "xb")  # noqa: SIM115 - closed by __exit__
        self._packed, self._open = hashlib.sha256(), hashlib.sha256()
        self._size = self._open_size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, text: bytes) -> tuple[int, int]:
        """
        Add a member with *text*; returns its place.
        """
        return self._put(gzip.compress(text, compresslevel=6, mtime=0), text)

    def copy(self, packed: bytes) -> tuple[int, int]:
        """
        Add the member *packed*; returns its place.
        """
        return self._put(packed, _unpacked(packed))

    def finished(self) -> ListFile:
        """
        The complete list, with its name.
        """
        self._file.flush()
        os.fchmod(self._file.fileno(), PUBLIC_FILE)
        os.fsync(self._file.fileno())
        digest = self._packed.hexdigest()
        name = f"{digest}-{self._kind}.xml.gz"
        os.rename(self._part, os.path.join(self._directory, name))
        return ListFile(name, digest, self._size, self._open.hexdigest(), self._open_size)

    def _put(self, packed: bytes, text: bytes) -> tuple[int, int]:
        place = self._size, len(packed)
        self._file.write(packed)
        self._packed.update(packed)
        self._open.update(text)
        self._size += len(packed)
        self._open_size += len(text)
        return place


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _unpacked(packed: bytes) -> bytes:
    return zlib.decompress(packed, wbits=31)


def _from_json(value: Any) -> JoinedLists:
    return JoinedLists(
        [Frame(head.encode(), tail.encode()) for head, tail in value["frames"]],
        [ListFile(*each) for each in value["files"]],
        [
            _ListMember(
                {name: ListedPackage(of, tuple(sizes)) for name, (of, *sizes) in packages.items()},
                [(offset, size) for offset, size in places],
            )
            for packages, places in value["members"]
        ],
    )
