"""
A webhook that the web process passes to the master, and the master's reply.

::

    forge ── HTTP request ──► web process ── Delivery ──► master: checks the signature, reads, records
          ◄── status, sentence ──────────── HookReply ◄──

The web process does not parse the body, because it does not have the secrets, and a body must not be parsed before its
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
Bytes.  GitHub describes at most 2048 commits of a push, in at most 25 MiB; a commit usually takes 1 to 2 KiB, so that
4 MiB are enough.  A body without a valid signature takes as much memory of the master until it was checked.
"""
LONGEST_HEADER = 1000
"""Characters of the value of a header."""
OF_ADDRESS = ("project", "codebase")
"""What the query of the address may say of the changes."""
LONGEST_OF_ADDRESS = 200
"""Characters of each."""
LARGEST_FRAME = LARGEST_BODY + (16 << 10)
"""The most bytes of an encoded `Delivery`."""

_EVENT = {"github": "x-github-event", "gitlab": "x-gitlab-event", "gitea": "x-gitea-event", "bitbucket": "x-event-key"}
_PROOF = {
    "github": "x-hub-signature-256",
    "gitlab": "x-gitlab-token",
    "gitea": "x-gitea-signature",
    "bitbucket": "x-hub-signature",
}
# GitLab signs nothing, so its numbers are as trustworthy as its bodies.  The first (since 17.4) is the same when GitLab
# sends the event again; the second (since 14.8) is that of the event.
_NUMBERS = {"gitlab": ("idempotency-key", "x-gitlab-event-uuid")}
DIALECTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: (_EVENT[name], _PROOF[name], "content-type", *_NUMBERS.get(name, ())) for name in _EVENT}
)
"""Dialect → the names of the headers that are used, in lower case."""


@frozen
class Delivery:
    """
    A request of a forge: its *dialect*, its *headers* (name in lower case → value), and its *body*.

    *project*, *codebase*: those of its changes, from the address (``/change_hook/github?project=p``), which is not
    signed; "" if the address has none.
    """

    dialect: str
    headers: Mapping[str, str]
    body: bytes
    project: str = ""
    codebase: str = ""

    @property
    def event(self) -> str:
        """
        The forge's name for the event; "" if it is missing.
        """
        return self.headers.get(_EVENT[self.dialect], "")

    @property
    def proof(self) -> str:
        """
        The signature, or GitLab's token; "" if there is none.
        """
        return self.headers.get(_PROOF[self.dialect], "")

    @property
    def number(self) -> str:
        """
        The forge's name for this delivery; "" if it sends none, or does not sign it with the body.
        """
        numbers = (self.headers.get(name, "") for name in _NUMBERS.get(self.dialect, ()))
        return next(filter(None, numbers), "")

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
        return delivery_head(self.dialect, self.headers, self.project, self.codebase) + self.body

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """
        The delivery in *data*; `MessageError` if it is not valid.  The caller checks that the dialect is in `DIALECTS`.
        """
        line, _, body = data.partition(b"\n")
        reader = JsonReader.decode(line, "the delivery", 16 << 10)
        dialect = reader.text("dialect", limit=100)
        headers_reader = JsonReader(reader.mapping("headers", {}), "the headers of the delivery")
        names = DIALECTS.get(dialect, ())
        headers = {name: headers_reader.text(name, limit=LONGEST_HEADER) for name in names if headers_reader.has(name)}
        project, codebase = (reader.text(name, "", limit=LONGEST_OF_ADDRESS) for name in OF_ADDRESS)
        return cls(dialect, headers, body, project, codebase)


def delivery_head(dialect: str, headers: Mapping[str, str], project: str, codebase: str) -> bytes:
    """
    What stands before the body in `Delivery.to_bytes`.
    """
    return encode({"dialect": dialect, "headers": dict(headers), "project": project, "codebase": codebase}) + b"\n"


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
        The reply in *data*; None if it is not valid.
        """
        number, _, sentence = data.decode("utf-8", "replace").partition(" ")
        if not (number.isascii() and number.isdecimal() and len(number) == 3):
            return None
        return cls(int(number), printable(sentence.strip()))
