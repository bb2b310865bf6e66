"""
`Submit`, the scheduler that a FURL starts, and what the classes that examine submitted files make of them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, ClassVar

from attrs import frozen
from sqlalchemy import Connection

from ...model.properties import Json
from ...storage.records.requests import SubmittedBuildset
from .mistakes import once_loaded
from .schedulers import BaseScheduler

STDIN_KINDS = ("none", "patch", "tar", "file", "properties")
FILE_KINDS = ("tar", "patch", "file")


@frozen
class RecordedSubmission:
    """
    What a scheduler has recorded beside the builds.  *title*: told to the submitter in the first line.  *number*: by
    which the submitter may name it.
    """

    title: str
    number: int


@frozen
class Examination:
    """
    The result of the examination of a submitted file by its scheduler.

    *title*: a name for the contents, for the reason of the builds.  *builders*: the builders that build it.  *skipped*:
    architectures or other parts that are not built, each with the reason; this is also a property of the builds.
    *properties*: further properties.  *record*: called in the transaction that records the builds, with them and the
    name of their submitter.  *priority*: of the builds; None: the scheduler's.  *recorded_as*: the name of the
    scheduler in the records; "": its own.  *keeps_file*: False: the builds need nothing of the file.  *becomes*: how
    many requests of the submitter follow when the one of this submission has ended; 0: none.
    """

    title: str
    builders: Sequence[str]
    skipped: Mapping[str, str]
    properties: Mapping[str, Json]
    record: Callable[[Connection, SubmittedBuildset, str], RecordedSubmission] | None = None
    priority: int | None = None
    recorded_as: str = ""
    keeps_file: bool = True
    becomes: int = 0


SKIPPED = "skipped"
"""The property of builds that has `Examination.skipped`."""


class Submit(BaseScheduler):
    """
    Requests builds when somebody uses the string that ``submit.furls`` has for its *name*, with ``flappclient``.

    *stdin*: what ``run-command`` reads from its standard input: "none" (default), a "patch", a "tar" archive, any
    "file", or "properties" (lines ``name=value``).  *file*: what ``upload-file`` sends: a "tar" archive, a "patch", or
    any "file"; default None: it is refused.  With *file* and without *stdin*, ``run-command`` is refused.
    *cancelOnDisconnect*: cancel the builds when the client disconnects; default False.
    """

    examines: ClassVar[bool] = False
    """Whether it decides by the submitted file what is built."""

    def __init__(
        self,
        name: Any,
        builderNames: Any,
        *,
        stdin: Any = "none",
        file: Any = None,
        cancelOnDisconnect: Any = False,
        properties: Any = None,
        priority: Any = 0,
    ) -> None:
        super().__init__(name, builderNames, properties=properties, priority=priority)
        if self.builders_to_render is not None:
            self.arguments.wrong("builderNames", self.builders_to_render, "a list of texts")
        if isinstance(builderNames, (list, tuple, set, frozenset)):
            once_loaded(self._why_empty, of=self)
        if not isinstance(self.priority, int):
            self.arguments.wrong("priority", priority, "a whole number")
        self.stdin = self.arguments.choice("stdin", stdin, STDIN_KINDS)
        self.file = None if file is None else self.arguments.choice("file", file, FILE_KINDS)
        self.cancel_on_disconnect = self.arguments.flag("cancelOnDisconnect", cancelOnDisconnect)

    def _why_empty(self, config: Any) -> str | None:
        if self.builderNames:
            return None
        return f"{self.arguments.owner}: builderNames is empty, and must name at least one."

    @property
    def takes_commands(self) -> bool:
        """
        Whether ``run-command`` is accepted.
        """
        return self.file is None or self.stdin != "none"

    @property
    def input_kinds(self) -> Sequence[str]:
        """
        The kinds of input that a submission may have, of `STDIN_KINDS` and `FILE_KINDS`.
        """
        return [self.stdin] * self.takes_commands + ([] if self.file is None else [self.file])

    @property
    def most_requests(self) -> int:
        """
        The most requests that wait at a time for one submission.
        """
        return len(self.builder_names)

    def resolve(self, connection: Connection, options: Mapping[str, Json], grant: int) -> Mapping[str, Json]:
        """
        The *options* of a submission with *grant*, completed with what the records say about them; `InputError`.
        Called before `examine`, which gets them.
        """
        return options

    def examine(self, file: IO[bytes], options: Mapping[str, Json]) -> Examination:
        """
        Examine the submitted *file*; `InputError`, with the reason, if it is not acceptable.  Called in a thread, for
        classes whose `examines` is True.
        """
        raise NotImplementedError

    def checked_name(self, name: Any) -> str:
        """
        Check the name, which becomes a line of submit.furls and the name of a file.
        """
        return self.arguments.name("name", name, "Submit scheduler")
