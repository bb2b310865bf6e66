"""
Checks of the arguments of steps.

A check is ``check(checker, name, value)``: it returns the value to use, or notes a mistake through *checker*.  It runs
when the configuration is read, for each value that needs no rendering, and again in each build, for each rendered
value; so a mistake has the same sentence in both places.  A rendered text contains references to secrets, which begin
and end with NUL; the checks remove them before they look for NULs.
"""

from collections.abc import Mapping
from typing import Any

from ...model.source_stamps import FIELDS
from ..config.arguments import ArgumentChecker
from ..config.artifacts import WantedArtifact
from ..config.locks import LockAccess, checked_accesses
from ..config.matrix import Matrix
from .command_checks import command, decode_rc, environment, is_log_name, logfiles, signal_name
from .master_paths import outside
from .path_checks import (
    artifact_name,
    destination,
    destination_directory,
    file_path,
    master_directory,
    path,
    slave_file,
    slave_path,
    workdir,
)
from .value_checks import (
    anything,
    choice,
    count,
    flag,
    function,
    mode,
    names,
    pattern,
    properties,
    seconds,
    text,
    texts,
    whole,
    word,
    words,
)

__all__ = [
    "anything", "artifact_name", "choice", "command", "count", "decode_rc", "destination", "destination_directory",
    "environment", "file_path", "flag", "function", "is_log_name", "locks", "logfiles", "master_directory",
    "master_file", "matrix", "mode", "names", "path", "pattern", "properties", "seconds", "signal_name",
    "slave_file", "slave_path", "source_stamp", "source_stamps", "text", "texts", "whole", "word", "words",
    "workdir",
]  # fmt: skip


def master_file(checker: ArgumentChecker, name: str, value: Any) -> str | WantedArtifact:
    """
    The path of a file on the master, with ``..`` at its beginning only; or an artifact.
    """
    if isinstance(value, WantedArtifact):
        return value
    found = word(checker, name, value)
    if ".." not in found.split("/"):
        return found
    return outside(checker, name, found)


def matrix(checker: ArgumentChecker, name: str, value: Any) -> list[dict[str, Any]]:
    """
    A `Matrix`, or a list of dictionaries of properties; the empty list stands for none.
    """
    if value in ((), []):
        return []
    return [dict(each) for each in (value if isinstance(value, Matrix) else Matrix(include=value))]


def source_stamp(checker: ArgumentChecker, name: str, value: Any) -> dict[str, Any]:
    """
    A dictionary of branch, revision, repository, project and codebase.
    """
    if not isinstance(value, Mapping) or not all(each in (*FIELDS, "codebase") for each in value):
        checker.wrong(name, value, f"a dictionary of {', '.join(FIELDS)} and codebase")
        return {}
    return dict(value)


def source_stamps(checker: ArgumentChecker, name: str, value: Any) -> list[dict[str, Any]]:
    """
    A list of dictionaries as for `source_stamp`, with different codebases.
    """
    if not isinstance(value, (list, tuple)):
        checker.wrong(name, value, "a list of dictionaries")
        return []
    stamps = [source_stamp(checker, name, each) for each in value]
    if len({str(each.get("codebase", "")) for each in stamps}) < len(stamps):
        checker.note(f"{name} has two dictionaries with the same codebase.")
    return stamps


def locks(checker: ArgumentChecker, name: str, value: Any) -> tuple[LockAccess, ...]:
    """
    Accesses to locks, like ``lock.access("exclusive")``: a list, or a single one.
    """
    return checked_accesses(checker, name, value)
