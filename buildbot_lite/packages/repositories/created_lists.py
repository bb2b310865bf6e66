"""
The lists that createrepo_c has written, cut into what they say of each package.
"""

import gzip
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any
from xml.parsers import expat

from attrs import frozen

from ...child_programs import ProgramError
from .primary_metadata import UNREADABLE, IndexedPackage, read_primary, unreadable

LISTS = ("primary", "filelists", "other")
"""The lists of a repository, in the order in which all tuples of this package have them."""

_PIECE = 1 << 18
_ROOT = re.compile(rb'<(?P<name>[a-z]+) [^<>]*packages="(?P<many>[0-9]{1,12})"[^<>]*>\s*\Z')


@frozen
class Frame:
    """
    What a list has around its packages: *head*, with the number of packages, and *tail*.
    """

    head: bytes
    tail: bytes

    def head_for(self, many: int) -> bytes:
        """
        *head* with another number of packages.
        """
        found = _ROOT.search(self.head)
        assert found is not None
        begin, end = found.span("many")
        return b"%s%d%s" % (self.head[:begin], many, self.head[end:])


class CreatedLists:
    """
    The lists in *directory*, a ``repodata`` that createrepo_c has made.  `ProgramError` when a list is missing, or
    cannot be read.

    *indexed*: the packages, by their locations, as `read_primary` returns them.
    """

    def __init__(self, directory: str) -> None:
        names = sorted(os.listdir(directory))
        self._paths = [os.path.join(directory, _only(names, f"{each}.xml.gz")) for each in LISTS]
        self.indexed: dict[str, IndexedPackage] = read_primary(self._paths[0])

    def frames(self) -> Sequence[Frame]:
        """
        The frame of each list.
        """
        return [_frame(os.path.basename(path), next(_pieces(path))[1]) for path in self._paths]

    def texts(self) -> Iterator[tuple[str, Sequence[bytes]]]:
        """
        Each package's location, and its text in each list; one package at a time, because lists of files are large.
        """
        lists = zip(*(_pieces(path) for path in self._paths), strict=True)
        next(lists)
        for location, package in self.indexed.items():
            texts = next(lists)
            if any(of != package.sha256 for of, _ in texts[1:]):
                raise ProgramError(f"The lists that createrepo_c has written differ in their order at {location}.")
            yield location, [text for _, text in texts]


def _frame(name: str, head: bytes) -> Frame:
    root = _ROOT.search(head)
    if root is None:
        raise ProgramError(f"{name} of createrepo_c does not tell the number of its packages.")
    return Frame(head, b"</%s>" % root["name"])


def _only(names: Sequence[str], ending: str) -> str:
    found = [name for name in names if name.endswith(ending)]
    if len(found) != 1:
        raise ProgramError(f"createrepo_c wrote {len(found)} files *{ending}, not one.")
    return found[0]


def _pieces(path: str) -> Iterator[tuple[str, bytes]]:
    """
    The beginning of the list in the file *path*, the text of each package with its *pkgid* (in ``primary``: ""), and
    the end.
    """
    cuts = _Cuts()
    left, position = bytearray(), 0
    before = ""
    try:
        with gzip.open(path) as file:
            while piece := file.read(_PIECE):
                left += piece
                cuts.parser.Parse(piece)
                for cut, following in cuts.taken():
                    yield before, bytes(left[: cut - position])
                    del left[: cut - position]
                    before, position = following, cut
        cuts.parser.Parse(b"", True)
    except UNREADABLE as error:
        raise unreadable(error) from None
    yield before, bytes(left)


class _Cuts:
    """
    Where packages begin, as bytes from the beginning of the file, and where the last one ends.
    """

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._begin
        self.parser.EndElementHandler = self._end
        self._depth = 0
        self._found: list[tuple[int, str]] = []

    def taken(self) -> Sequence[tuple[int, str]]:
        """
        The places found since the last call, each with the *pkgid* of the package that begins there.
        """
        found, self._found = self._found, []
        return found

    def _begin(self, name: str, attributes: dict[str, Any]) -> None:
        self._depth += 1
        if self._depth == 2:
            self._found.append((self.parser.CurrentByteIndex, attributes.get("pkgid", "")))

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._found.append((self.parser.CurrentByteIndex, ""))
