"""
A signature that the farm wants, as it asks a signer for it.
"""

from typing import Any

from attrs import frozen

from ...model.json_reader import JsonReader

LARGEST_PIECE = 8 << 20
"""Bytes that one signature is of."""
LONGEST_NAME = 300
"""Characters of the name of a file, a package or a target."""


@frozen
class WantedFile:
    """
    A signature that is wanted.

    *id*: as in `signature_ids.id_of`.  *name*, *size*, *sha256*: of the whole file.  *length*: bytes that are signed.
    *text*: whether the signature is one of text.
    """

    id: str
    name: str
    size: int
    sha256: str
    length: int
    text: bool

    @staticmethod
    def read(reader: JsonReader) -> "WantedFile":
        """
        The wanted signature in a `document`; `MessageError` if it is none.
        """
        return WantedFile(
            id=reader.text("id", limit=100),
            name=reader.prose("name", limit=LONGEST_NAME),
            size=reader.integer("size"),
            sha256=reader.prose("sha256", limit=64),
            length=reader.integer("length", most=LARGEST_PIECE),
            text=reader.flag("text"),
        )

    @property
    def document(self) -> dict[str, Any]:
        """
        The file as a JSON object, for the signer.
        """
        return {
            "id": self.id,
            "name": self.name,
            "size": self.size,
            "sha256": self.sha256,
            "length": self.length,
            "text": self.text,
        }
