"""
The packages as createrepo_c has read them: the file ``primary.xml.gz`` that dnf reads.
"""

import gzip
import zlib
from typing import Any
from xml.parsers import expat

from attrs import frozen

from ...child_programs import ProgramError

UNREADABLE = (expat.ExpatError, EOFError, gzip.BadGzipFile, zlib.error, KeyError)
"""The errors of reading a damaged list."""

_PIECE = 1 << 18


@frozen
class IndexedPackage:
    """
    A package as an index describes it.  *version*: "EPOCH:VERSION-RELEASE".  *sha256*: of the whole file.
    """

    name: str
    version: str
    architecture: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} for {self.architecture}"


def read_primary(path: str) -> dict[str, IndexedPackage]:
    """
    The packages in the file *path*, by their locations.  `ProgramError` when it is not such a file, or has a location
    twice.
    """
    reader = _PrimaryReader()
    try:
        with gzip.open(path) as file:
            while piece := file.read(_PIECE):
                reader.parser.Parse(piece)
        reader.parser.Parse(b"", True)
    except UNREADABLE as error:
        raise unreadable(error) from None
    return reader.found


def unreadable(error: Exception) -> ProgramError:
    """
    The error when reading a list ended with *error*.
    """
    return ProgramError(f"The metadata of the repository cannot be read: {error}.")


class _PrimaryReader:
    """
    Takes what it needs from elements that are children of a package, and nothing else.
    """

    def __init__(self) -> None:
        self.found: dict[str, IndexedPackage] = {}
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._begin
        self.parser.EndElementHandler = self._end
        self._depth = 0
        self._fields: dict[str, str] = {}
        self._text = ""

    def _begin(self, name: str, attributes: dict[str, Any]) -> None:
        self._depth += 1
        if self._depth == 2:
            self._fields = {}
        elif self._depth == 3:
            if name in ("name", "arch") or (name == "checksum" and attributes.get("pkgid") == "YES"):
                self._text = ""
                self.parser.CharacterDataHandler = self._take
            elif name == "version":
                self._fields["version"] = f"{attributes['epoch']}:{attributes['ver']}-{attributes['rel']}"
            elif name == "location":
                self._fields["location"] = attributes["href"]

    def _take(self, text: str) -> None:
        self._text += text

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self.parser.CharacterDataHandler is not None:
            self.parser.CharacterDataHandler = None
            self._fields[name] = self._text
        if self._depth == 1:
            fields = self._fields
            if fields["location"] in self.found:
                raise ProgramError(f"The metadata of the repository have {fields['location']} twice.")
            self.found[fields["location"]] = IndexedPackage(
                fields["name"], fields["version"], fields["arch"], fields["checksum"]
            )
