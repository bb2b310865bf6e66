"""
A parser that finds warnings in the output of a compiler.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from posixpath import join, normpath
from typing import TypeAlias

from attrs import field, frozen

Found: TypeAlias = tuple[str | None, int | None, str]
"""The file, the line number and the text of a warning; file and line may be unknown."""

_COMMENT = re.compile(r"\s*(?:#.*)?\Z")
_SUPPRESSION = re.compile(r"\s*(?P<file>.+?)\s*:\s*(?P<text>.+?)\s*(?::\s*(?P<first>\d+)(?:-(?P<last>\d+))?\s*)?\Z")


@frozen
class Suppression:
    """
    Warnings that are not counted: those whose file matches *file* and whose text matches *text*, in the lines from
    *first* to *last*.  None matches everything.
    """

    file: re.Pattern[str] | None = None
    text: re.Pattern[str] | None = None
    first: int | None = None
    last: int | None = None

    def matches(self, found: Found) -> bool:
        """
        Whether the warning *found* is suppressed.
        """
        file, line, text = found
        if self.file is not None and (file is None or not self.file.search(file)):
            return False
        if self.text is not None and not self.text.search(text):
            return False
        if self.first is None or self.last is None:
            return True
        return line is not None and self.first <= line <= self.last


def read_suppressions(text: str) -> list[Suppression]:
    """
    The suppressions in the *text* of a file.  Each is a line ``FILE : TEXT`` or ``FILE : TEXT : FIRST-LAST``, where
    FILE and TEXT are regular expressions; ``#`` begins a comment.  `ValueError` with the number of an invalid line.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if _COMMENT.match(line):
            continue
        match = _SUPPRESSION.match(line)
        if match is None:
            raise ValueError(f"line {number}: it does not have the form FILE : TEXT")
        first = int(match["first"]) if match["first"] else None
        last = int(match["last"]) if match["last"] else first
        try:
            found.append(Suppression(re.compile(match["file"]), re.compile(match["text"]), first, last))
        except re.error as error:
            raise ValueError(f"line {number}: {error}") from None
    return found


@frozen
class WarningParser:
    """
    Finds the lines that are warnings.

    *pattern*: matches a line that is a warning.  *extract*: returns its file, line number and text.  *enter*, *leave*:
    match the lines in which make reports that it enters a directory (the first group) and leaves it; the files of
    warnings are relative to that directory.  *suppressions*: warnings that are not counted.
    """

    pattern: re.Pattern[str]
    extract: Callable[[str, re.Match[str]], Found]
    enter: re.Pattern[str] | None = None
    leave: re.Pattern[str] | None = None
    suppressions: Sequence[Suppression] = field(factory=tuple)
    _directories: list[str] = field(factory=list)

    def lines(self, output: Iterable[str]) -> list[str]:
        """
        The lines of *output* that are warnings and not suppressed.  A long output may be passed in parts, in order.
        """
        directories = self._directories
        found = []
        for line in output:
            if self.enter is not None and (match := self.enter.match(line)):
                directories.append(match[1])
            elif self.leave is not None and self.leave.match(line):
                del directories[-1:]
            elif (match := self.pattern.match(line)) and not self._suppressed(line, match, directories):
                found.append(line)
        return found

    def _suppressed(self, line: str, match: re.Match[str], directories: Sequence[str]) -> bool:
        if not self.suppressions:
            return False
        file, number, text = self.extract(line, match)
        if file is not None and directories:
            file = normpath(join(directories[-1], file))
        return any(each.matches((file, number, text)) for each in self.suppressions)
