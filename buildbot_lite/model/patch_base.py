"""
The base of a submitted patch: the commit from which it was made, and the branch that has that commit.
"""

import re
from typing import Self

from attrs import frozen

from ..errors import InputError
from .git_refs import is_commit, is_ref, ref_of
from .json_reader import JsonReader, encode
from .properties import SUBMITTED, Properties

LONGEST_BASE = 4096
"""The most bytes of an encoded base."""

_SUBVERSION = re.compile(r"[0-9]{1,12}")


@frozen
class PatchBase:
    """
    The base of a patch.  *revision*: the full hash of a commit, or the number of a Subversion revision; None: the
    newest.  *branch*: None: the default branch of the builders.
    """

    revision: str | None = None
    branch: str | None = None

    def to_bytes(self) -> bytes:
        """
        The value as JSON.
        """
        return encode({"revision": self.revision, "branch": self.branch})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """
        The base in *data*, which is untrusted; `BuildbotLiteError` if it is not valid.
        """
        reader = JsonReader.decode(data, "the base of the patch", LONGEST_BASE)
        revision, branch = reader.optional("revision", reader.text), reader.optional("branch", reader.text)
        if revision is not None and not (is_commit(revision) or _SUBVERSION.fullmatch(revision)):
            raise InputError(f"{revision!r:.100} is not the full name of a revision.")
        if branch is not None and not (is_ref(ref_of(branch)) and branch.isprintable() and not branch.startswith("-")):
            raise InputError(f"{branch!r:.100} is not the name of a branch.")
        return cls(revision, branch)

    @property
    def properties(self) -> Properties:
        """
        The properties of a submission with this base.
        """
        properties = Properties()
        for name, value in (("branch", self.branch), ("revision", self.revision)):
            if value is not None:
                properties.set(name, value, SUBMITTED)
        return properties
