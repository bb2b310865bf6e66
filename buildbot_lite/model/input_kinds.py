"""
The kinds of inputs that are submitted for builds: recognised by their beginnings, and named.
"""

from ..errors import InputError

LARGEST_TEXT = 768 << 10
"""Bytes of a text that is given with a forced build: the question to the master, with its quotes, has at most 1 MiB."""
_PATCH_MARKS = (b"diff --git ", b"--- ", b"Index: ", b"diff -", b"*** ", b"From ")
_COMPRESSIONS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")


def check_input(kind: str, head: bytes) -> None:
    """
    `InputError`, which says what is wrong, if an input that begins with *head* is no *kind* ("patch", "tar", "file").
    """
    if kind == "patch":
        if not head.strip():
            raise InputError(
                "The patch is empty: there is nothing to try.  (For example: git diff --binary | flappclient …)"
            )
        if not any(line.startswith(_PATCH_MARKS) for line in head.splitlines()):
            raise InputError("The submission is not a patch: it has no line that begins with 'diff ' or '--- '.")
    elif kind == "tar" and not (head.startswith(_COMPRESSIONS) or head[257:262] == b"ustar"):
        raise InputError("The submission is not a tar archive, plain or compressed with gzip, bzip2 or xz.")


def name_of_stdin(kind: str) -> str:
    """
    The name of an input of *kind* (patch, tar or file) that came on standard input, so that nobody named it.
    """
    return f"stdin.{kind}"
