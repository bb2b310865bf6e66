"""
Names of git references, by the rules of git-check-ref-format(1): names from servers and hooks are untrusted.
"""

import re

LONGEST_REF = 1000
"""Bytes.  Git itself limits a name by the length of a path only."""
HEADS = "refs/heads/"
TAGS = "refs/tags/"

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")


def is_ref(name: str) -> bool:
    """
    Whether *name* is the full name of a reference, like refs/heads/main, as `git check-ref-format` decides.
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
    The name of *ref* in a change: "main" for refs/heads/main; for all other references the full name.  `ref_of` is the
    inverse.

    A branch like refs/heads/refs/pull/1/head keeps its full name, because without "refs/heads/" it would be the name of
    another reference.
    """
    short = ref.removeprefix(HEADS)
    return ref if short.startswith("refs/") else short


def ref_of(branch: str) -> str:
    """
    The full name of the reference with the name *branch* in a change.
    """
    return branch if branch.startswith("refs/") else HEADS + branch


def is_of_the_repository(ref: str) -> bool:
    """
    Whether *ref* is a branch or a tag, which only people with the right to push can set.  Others, like
    refs/pull/1/head, may come from anybody.
    """
    return ref.startswith((HEADS, TAGS))
