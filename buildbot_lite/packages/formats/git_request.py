"""
A submission that names a revision in a git repository, instead of a file with a source package::

    package=hello
    revision=v2.10

or ``repository=https://git.example.org/hello.git`` in the place of ``package``, or neither where the target has one
repository only.  These are the lines ``name=value`` that other submissions have for their properties.
"""

from collections.abc import Mapping
from typing import IO

from attrs import frozen

from ...errors import InputError
from ...model.names import REF
from .source_package import checked_name

PACKAGE, REPOSITORY, REVISION = "package", "repository", "revision"
LARGEST_REQUEST = 4096
"""Bytes."""
LONGEST_REVISION = 128
LONGEST_ADDRESS = 1000

_NAMES = (b"package", b"repository", b"revision")


@frozen
class GitRequest:
    """
    *package*: its name; "" if the address of a *repository* was given instead; both are "" for the target's only one.
    *revision*: a tag, branch or commit.
    """

    package: str
    repository: str
    revision: str


def read_request(file: IO[bytes]) -> GitRequest | None:
    """
    The request in *file*, which is open for reading at its beginning and is left there; None when it is something else,
    like a package.  `InputError` when it is a request that lacks a line, or has an unknown one.
    """
    text = file.read(LARGEST_REQUEST + 1)
    file.seek(0)
    if b"\0" in text or not _begins_a_request(text):
        return None
    if len(text) > LARGEST_REQUEST:
        raise InputError(f"A request for a revision has at most {LARGEST_REQUEST} bytes.")
    return _checked(_fields(text))


def request_text(source: str, revision: str) -> bytes:
    """
    The text that submits *revision* of *source*, which is the name of a package, the address of a repository, or "".
    """
    name = REPOSITORY if ":" in source or "/" in source else PACKAGE
    of = f"{name}={source}\n" if source else ""
    return f"{of}{REVISION}={revision}\n".encode("utf-8", "surrogateescape")


def _begins_a_request(text: bytes) -> bool:
    # No regular expression: anybody may submit any bytes, and one that skips comments may try all ways to divide them.
    for line in text.splitlines():
        if line.strip() and not line.startswith(b"#"):
            name, equals, _ = line.partition(b"=")
            return bool(equals) and name.strip() in _NAMES
    return False


def _fields(text: bytes) -> Mapping[str, str]:
    try:
        lines = text.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError("The request for a revision is not UTF-8 text.") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or name not in (PACKAGE, REPOSITORY, REVISION):
            raise InputError(
                f"Line {number} of the request is {line!r:.100}; it may have package= or repository=, and revision=."
            )
        if name in found:
            raise InputError(f"The request has {name}= twice.")
        found[name] = value
    return found


def _checked(fields: Mapping[str, str]) -> GitRequest:
    package, repository = fields.get(PACKAGE, ""), fields.get(REPOSITORY, "")
    if package and repository:
        raise InputError("Give the name of a package (package=) or the address of its repository (repository=).")
    if package:
        checked_name(package)
    if len(repository) > LONGEST_ADDRESS:
        raise InputError(f"The address of a repository has at most {LONGEST_ADDRESS} characters.")
    revision = fields.get(REVISION, "")
    if not revision:
        raise InputError("Give the revision to be built: revision=, with a tag, a branch or a commit.")
    # Others read it in tables, mails and sentences: U+202E, for example, would turn the rest of their line around.
    if len(revision) > LONGEST_REVISION or not REF.match(revision) or not revision.isprintable():
        raise InputError(f"The revision {revision!r:.100} is not the name of a tag, branch or commit.")
    if revision.startswith("refs/"):
        raise InputError(
            f"The revision {revision!r:.100} is a full ref, which may be a proposal of anybody; give the name of a tag "
            "or branch, or a commit that one of these leads to."
        )
    return GitRequest(package, repository, revision)
