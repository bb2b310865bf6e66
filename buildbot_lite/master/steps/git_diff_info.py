"""
A step that lists, as JSON, the files and lines that were changed since the last common ancestor with another branch.
"""

import json
import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ...model.results import Result
from ..config.arguments import ArgumentChecker
from . import argument_checks as checks
from .argument import argument
from .outcomes import result_of
from .source_step import ref
from .tools import Tool

__all__ = ["GitDiffInfo"]

_MOST_OUTPUT = 16 << 20
_MOST_PARTS = 100_000
_LARGEST_PROPERTY = 64 << 10
_NOTHING = "/dev/null"
_DIFF = """\
base=$(git merge-base HEAD "$1") || { echo "HEAD and $1 have no common ancestor here" >&2; exit 1; }
exec git -c core.quotePath=false diff --unified=0 --no-color --no-ext-diff --no-textconv --find-renames \
    --src-prefix=a/ --dst-prefix=b/ "$base" HEAD --
"""
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}


class GitDiffInfo(Tool):
    """
    List the files and lines that changed between the checked-out commit and its last common ancestor with another
    branch.

    *compareToRef*: that branch or commit, which must exist in the repository in *workdir*; default "master".
    *dataName*: the name of a log, which gets the list as JSON, and of a property, which gets the list if its JSON has
    at most 64 KiB; default "diffinfo-master".  The other arguments are those of `ShellCommand`, without *command*.

    The list has a dictionary for each file: "source_file" and "target_file" ("/dev/null" for an added or a removed
    file), "is_binary", "is_rename", and "hunks": each with the first line and the number of lines before ("ss", "sl")
    and after ("ts", "tl").  16 MiB of differences, or 100000 parts, fail the step.
    """

    name = "GitDiffInfo"
    compareToRef = argument(ref, default="master")
    dataName = argument(checks.word, default="diffinfo-master")

    def check(self, checker: ArgumentChecker) -> None:
        """
        Refuse *command*: the step has its own.
        """
        if self.command is not None:
            checker.note("it does not take the argument 'command'.")

    def words(self) -> list[str]:
        return ["/bin/sh", "-c", _DIFF, "diff-info", self.compareToRef]

    async def run(self) -> Result:
        self.separateStderr = True
        ran = await self.do(self.spec())
        result, self.summary = result_of(ran.outcome, self.slave_name)
        if result is not Result.SUCCESS:
            return self.fail(ran.output("stderr").strip()[:200] or self.summary, result)
        text = ran.output(limit=_MOST_OUTPUT)
        if len(text) >= _MOST_OUTPUT:
            return self.fail(f"The differences have {_MOST_OUTPUT >> 20} MiB or more, which is too much for this step.")
        if text.count("\n@@ ") + text.count("\ndiff ") >= _MOST_PARTS:
            return self.fail(f"The differences have {_MOST_PARTS} parts or more, which is too much for this step.")
        files = list(changed_files(text))
        document = json.dumps(files, ensure_ascii=False)
        self.bench.write(self.dataName, document + "\n")
        if len(document.encode("utf-8", "surrogateescape")) <= _LARGEST_PROPERTY:
            self.setProperty(self.dataName, files)
        else:
            self.bench.remark(f"The property {self.dataName} is not set: {len(files)} files are too many for it.")
        self.summary = f"{len(files)} {'file' if len(files) == 1 else 'files'} changed"
        return Result.SUCCESS


def changed_files(diff: str) -> Iterator[dict[str, Any]]:
    """
    The dictionaries of `GitDiffInfo` for the files in *diff*, the output of ``git diff --unified=0``.
    """
    lines = iter(diff.split("\n"))
    found: dict[str, Any] | None = None
    for line in lines:
        if line.startswith("diff --git "):
            if found is not None:
                yield found
            found = _new_file(line.removeprefix("diff --git "))
        elif found is not None:
            hunk = _HUNK.match(line)
            if hunk is None:
                _read_header(found, line)
                continue
            start, length, to, to_length = (1 if each is None else int(each) for each in hunk.groups())
            found["hunks"].append({"ss": start, "sl": length, "ts": to, "tl": to_length})
            # Skip the lines of the hunk, which may look like headers.  The slave gives their number, so it is bounded.
            deque(islice(lines, min(length + to_length, len(diff))), maxlen=0)
    if found is not None:
        yield found


def _new_file(names: str) -> dict[str, Any]:
    # "a/NAME b/NAME".  The two names are equal, unless later lines report a rename.
    name = _name(names[: len(names) // 2])
    return {"source_file": name, "target_file": name, "is_binary": False, "is_rename": False, "hunks": []}


def _read_header(found: dict[str, Any], line: str) -> None:
    if line.startswith("new file mode "):
        found["source_file"] = _NOTHING
    elif line.startswith("deleted file mode "):
        found["target_file"] = _NOTHING
    elif line.startswith("rename from "):
        found.update(source_file=_unquoted(line.removeprefix("rename from ")), is_rename=True)
    elif line.startswith("rename to "):
        found.update(target_file=_unquoted(line.removeprefix("rename to ")), is_rename=True)
    elif line.startswith("Binary files "):
        found["is_binary"] = True


def _name(prefixed: str) -> str:
    return _unquoted(prefixed)[2:]


def _unquoted(name: str) -> str:
    """
    The name that git wrote as *name*: with special characters in it, it is in quotes and has escapes as in C.
    """
    if not name.startswith('"'):
        return name
    written = name[1:-1].encode("utf-8", "surrogateescape")

    def character(match: re.Match[bytes]) -> bytes:
        escape = match[1]
        return bytes([int(escape, 8) & 0xFF]) if len(escape) == 3 else _ESCAPED.get(escape, escape)

    return _ESCAPE.sub(character, written).decode("utf-8", "replace")
