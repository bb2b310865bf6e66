"""
A webhook on its way from the web process to the master, and the master's reply.

::

    forge ── HTTP request ──► web process ── Delivery ──► master: checks the signature, reads, records
          ◄── status, sentence ──────────── HookReply ◄──

The web process does not read the body: only the master has the secrets, and nothing of a body is parsed before its
signature was checked.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

from attrs import frozen

from .display import printable
from .json_reader import JsonReader, encode

LARGEST_BODY = 4 << 20
"""
Bytes.  GitHub cuts a push at 2048 commits and sends at most 25 MiB; a commit is described in 1 to 2 KiB, so that 4 MiB
hold every push with messages and file lists of usual lengths.  Somebody without the secret can make the master hold a
body of this size, until its signature was checked.
"""
LONGEST_HEADER = 1000
"""Characters of the value of a header."""
OF_ADDRESS = ("project", "codebase")
"""What the query of the address may say of the changes."""
LONGEST_OF_ADDRESS = 200
"""Characters of each."""
LARGEST_FRAME = LARGEST_BODY + (16 << 10)
"""Bytes of a `Delivery` as it travels."""

_EVENT = {"github": "x-github-event", "gitlab": "x-gitlab-event", "gitea": "x-gitea-event", "bitbucket": "x-event-key"}
_PROOF = {
    "github": "x-hub-signature-256",
    "gitlab": "x-gitlab-token",
    "gitea": "x-gitea-signature",
    "bitbucket": "x-hub-signature",
}
DIALECTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: (_EVENT[name], _PROOF[name], "content-type") for name in _EVENT}
)
"""Name of a forge's webhooks → the headers that matter, in lower case."""


@frozen
class Delivery:
    """
    A request of a forge of the *dialect*: its *headers* by name in lower case, and its *body*.

    *project*, *codebase*: of its changes, as the address has them (``/change_hook/github?project=p``), unsigned; "": it
    does not.
    """

    dialect: str
    headers: Mapping[str, str]
    body: bytes
    project: str = ""
    codebase: str = ""

    @property
    def event(self) -> str:
        """
        What happened, in the forge's word; "" if it does not say.
        """
        return self.headers.get(_EVENT[self.dialect], "")

    @property
    def proof(self) -> str:
        """
        The signature, or GitLab's token; "" if there is none.
        """
        return self.headers.get(_PROOF[self.dialect], "")

    @property
    def proof_header(self) -> str:
        """
        The name of the header with the `proof`.
        """
        return _PROOF[self.dialect]

    def to_bytes(self) -> bytes:
        """
        A line of JSON, and the body.
        """
        of_address = {"project": self.project, "codebase": self.codebase}
        head = {"dialect": self.dialect, "headers": dict(self.headers), **of_address}
        return encode(head) + b"\n" + self.body

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """
        The delivery in *data*; `MessageError` if it is not a valid one.  The dialect is one of `DIALECTS`.
        """
        line, _, body = data.partition(b"\n")
        reader = JsonReader.decode(line, "delivery", 16 << 10)
        dialect = reader.text("dialect", limit=100)
        headers_reader = JsonReader(reader.mapping("headers", {}), "headers of the delivery")
        names = DIALECTS.get(dialect, ())
        headers = {name: headers_reader.text(name, limit=LONGEST_HEADER) for name in names if headers_reader.has(name)}
        project, codebase = (reader.text(name, "", limit=LONGEST_OF_ADDRESS) for name in OF_ADDRESS)
        return cls(dialect, headers, body, project, codebase)


@frozen
class HookReply:
    """
    The answer to the forge: an HTTP *status* and a *sentence*.
    """

    status: int
    sentence: str

    def to_bytes(self) -> bytes:
        """
        One line.
        """
        return f"{self.status} {printable(self.sentence)}\n".encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self | None:
        """
        The reply in *data*; None if it is not a valid one.
        """
        number, _, sentence = data.decode("utf-8", "replace").partition(" ")
        if not (number.isascii() and number.isdecimal() and len(number) == 3):
            return None
        return cls(int(number), printable(sentence.strip()))
