"""
Names of git references, by the rules of git-check-ref-format(1): names from servers and hooks are untrusted.
"""

import re

LONGEST_REF = 1000
"""Bytes; git's own limit is that of a file name's path."""
HEADS = "refs/heads/"
TAGS = "refs/tags/"

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")


def is_ref(name: str) -> bool:
    """
    Whether *name* is a full name of a reference, like refs/heads/main.  `git check-ref-format` says the same.
    """
    return (
        "/" in name
        and len(name.encode("utf-8", "surrogatepass")) <= LONGEST_REF
        and not _FORBIDDEN.search(name)
        and not name.endswith(".")
        and all(part and not part.startswith(".") and not part.endswith(".lock") for part in name.split("/"))
    )


def is_commit(name: str) -> bool:
    """
    Whether *name* is the full name of an object, SHA-1 or SHA-256 in hexadecimal.
    """
    return bool(_COMMIT.fullmatch(name))


def branch_of(ref: str) -> str:
    """
    What a change calls *ref*: "main" for refs/heads/main, the full name of any other.  `ref_of` is its inverse.

    The branch refs/heads/refs/pull/1/head, which everybody who may push can make, keeps its full name: without
    "refs/heads/" it would be the name of another reference.
    """
    short = ref.removeprefix(HEADS)
    return ref if short.startswith("refs/") else short


def ref_of(branch: str) -> str:
    """
    The reference that a change calls *branch*.
    """
    return branch if branch.startswith("refs/") else HEADS + branch


def is_of_the_repository(ref: str) -> bool:
    """
    Whether *ref* is a branch or tag, for which one needs the right to push.  Others, like refs/pull/1/head, may come
    from anybody.
    """
    return ref.startswith((HEADS, TAGS))
