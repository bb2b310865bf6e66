"""
A log as the records know it: its files, its step and build, and the remarks beside it.
"""

from collections.abc import Callable, Sequence

from attrs import frozen
from sqlalchemy import Connection

from ...errors import NotFoundError
from ...status.log_output import STDIO, the_step
from ...storage.records import builds, remarks, retention, steps, streams
from ...storage.records.builds import Build
from ...storage.records.remarks import Remark
from ...storage.records.steps import Step
from ...storage.records.streams import Stream

MOST_REMARKS = 1000
"""Remarks beside one log that are shown; the last ones."""


@frozen
class StoredLog:
    """
    The log *name* of *step*.  *names*: of all logs of the step.  *parts*: its streams, in the order in which they
    began.  *ended*: it gets no more bytes.  *removed*: its files were removed, because it was old.  *near*: the step
    itself wrote text before a command's output, and goes on with it there, so remarks may belong some lines above or
    below: they count all bytes in the order in which they came, and that order is not recorded.
    """

    build: Build
    step: Step
    name: str
    names: Sequence[str]
    parts: Sequence[Stream]
    remarks: Sequence[Remark]
    ended: bool
    removed: bool
    near: bool = False

    @property
    def size(self) -> int:
        """
        Bytes of memory, about.
        """
        return 5000 + 600 * len(self.parts) + sum(300 + 2 * len(each.text) for each in self.remarks)

    @property
    def paths(self) -> frozenset[str]:
        """
        The files of all parts, as the master names them when they grow.
        """
        return frozenset(each.path for each in self.parts)


def stored_log(builder: str, number: int, step: str, name: str) -> Callable[[Connection], StoredLog]:
    """
    A query for the log *name* of *step*, which is a step's number or name, of build *number* of *builder*.

    `NotFoundError` if there is no such build, step or log.
    """

    def read(connection: Connection) -> StoredLog:
        build = builds.by_number(connection, builder, number)
        if build is None:
            raise NotFoundError(f"There is no build {builder}/{number} (any more).")
        found = _step(steps.of_build(connection, build.id), step)
        logs = [each for each in streams.of_step(connection, build.id, found.number) if each.kind == "log"]
        logs.sort(key=lambda each: each.id)
        names = list(dict.fromkeys(each.name for each in logs))
        parts = [each for each in logs if each.name == name]
        removed = not parts and retention.logs_removed(connection, build.id)
        if not parts and name != STDIO and not removed:
            raise NotFoundError(f"The step {found.name} of {builder}/{number} has no log {name!r:.100}.")
        beside = [each for each in remarks.of_step(connection, build.id, found.number) if each.log == name]
        ended = found.finished is not None or build.finished is not None
        near = bool(beside) and _has_text_before_output(connection, parts)
        return StoredLog(build, found, name, names or [STDIO], parts, beside[-MOST_REMARKS:], ended, removed, near)

    return read


def _has_text_before_output(connection: Connection, parts: Sequence[Stream]) -> bool:
    before = {each.id for each in parts[:-1]}
    return bool(before) and any(
        each.id in before for each in streams.own_texts(connection, parts[0].build, parts[0].step)
    )


def _step(all_steps: Sequence[Step], reference: str) -> Step:
    """
    As `the_step`, but a number comes before a name, so that a page can name each step.
    """
    numbered = [each for each in all_steps if str(each.number) == reference]
    return numbered[0] if numbered else the_step(all_steps, reference)
