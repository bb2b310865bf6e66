"""
Names of builds, and whether a word may be one.
"""

from collections.abc import Sequence

from attrs import frozen


@frozen
class BuildName:
    """
    A build as lists and pages name it, BUILDER/NUMBER; *number*: as it was typed.
    """

    builder: str
    number: str

    @classmethod
    def read(cls, word: str) -> "BuildName | None":
        """
        The build that *word* names; None if it is no such name.  A builder's name may have slashes.
        """
        builder, _, number = word.rpartition("/")
        return cls(builder, number) if builder and number.isascii() and number.isdecimal() else None


def separated(words: Sequence[str]) -> list[str]:
    """
    *words*, with BUILDER/NUMBER in the place of the first one as two words.
    """
    build = BuildName.read(words[0]) if words else None
    return list(words) if build is None else [build.builder, build.number, *words[1:]]


def names_no_directory(word: str) -> bool:
    """
    Whether *word* is the number of something, or the name of a build, rather than DIR.
    """
    return (word.isascii() and word.isdecimal()) or BuildName.read(word) is not None
