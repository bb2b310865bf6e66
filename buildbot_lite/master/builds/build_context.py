"""
The context of a build, shared by its steps: slave, journal, streams, secrets and inputs.
"""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import field, frozen
from twisted.internet.defer import Deferred

from ...errors import RefusedError
from ...model.http_request import HttpAnswer, HttpRequest
from ...model.outcome import Seal
from ...model.properties import Json
from ...model.rendering import View
from ...model.results import Result
from ..config.artifacts import WantedArtifact
from ..slaves.command_streams import STDIO, EntryStreams, Source
from ..slaves.session import Session
from ..steps.recipe import Recipe
from ..steps.step import BuildStep
from .journal import Journal, JournalEntry
from .live_commands import LiveCommands
from .lock_waits import BuildLocks
from .recorder import BuildRecorder
from .redaction import Redaction
from .step_time import CodeBudget, NoBudget
from .triggered import Child

MOST_STEPS = 10_000
"""The largest number of steps of one build, with those that steps add."""


class ReadableEntryStreams(EntryStreams, Protocol):
    """
    The streams of one journal entry, for reading as well.
    """

    def read(self, name: str, offset: int, size: int) -> bytes:
        """
        At most *size* bytes of the stream *name* from *offset*; empty when there is no such stream.
        """

    def seals(self) -> dict[str, Seal]:
        """
        The length and checksum of every stream, now.
        """


class BuildStreams(Protocol):
    """
    The streams of one build.
    """

    def entry(self, step: int, ordinal: int, artifact: str | None = None, log: str = STDIO) -> ReadableEntryStreams:
        """
        The streams of one journal entry.  *artifact*: the name of the file that it uploads.  *log*: the name of the log
        with the output of its program.
        """


class TriggeredBuilds(Protocol):
    """
    The builds that one build triggers.
    """

    def trigger(
        self,
        scheduler: str,
        parent: str,
        properties: Mapping[str, Json],
        source: Mapping[str, Json],
        priority: int | None,
    ) -> Deferred[int]:
        """
        Start the Triggerable called *scheduler*; return the id of its buildset, or 0 if it builds later.  *parent*: the
        id of the journal entry; a second call with the same id returns the same buildset.
        """

    def when_finished(self, buildset: int) -> Deferred[Result]:
        """
        Fires with the result of *buildset*, also when it finished earlier.
        """

    def children(self, buildset: int) -> Deferred[Sequence[Child]]:
        """
        The state of each request of *buildset*, now.
        """

    async def cancel(self, buildset: int, reason: str) -> Sequence[Child]:
        """
        Cancel the unfinished requests of *buildset*, and return them.
        """


async def _no_copy(artifact: str, path: str, mode: int | None) -> None:
    raise RefusedError("This build cannot copy artifacts to other places on the master.")


async def _no_artifact(wanted: WantedArtifact) -> Mapping[str, Any]:
    return {"problem": "there are no other builds"}


@frozen
class BuildContext:
    """
    The context of a build, shared by its steps.

    Where it runs: *session*: of its slave; *own_session*: of the master's own keeper; *nonce*: the random part of
    command ids; *builder_directory*: relative to the slave's ``work``; *workdir*: of the factory; *home*: the identity
    of the slave's directory when the build began; *grace*: seconds to wait for a lost slave; *on_lost*: "retry" or
    "fail", for steps without an ``onLost``; *env*: the builder's environment variables.

    What is recorded: *journal*, *recorder*, *streams*; *begun*: the commands so far, for people; *view*: properties,
    sources and slave; *redaction*: hides the values of secrets in the master's own text; *revealed*: the names of the
    secrets that commands of the build have got so far.

    What steps can ask for: *secret*: the value of a secret by its name; *triggers*: other builds; *inputs*: kind →
    source, size in bytes and SHA-256 of what was submitted; *wall*: the time in seconds since 1970; *random*: random
    bytes of a given number; *http*: sends a request; *artifact*: finds an artifact of another build; *publish*: copies
    an artifact to an absolute path on the master, with permission bits (None: unpacks it there); *master_directory*:
    the directory of master.cfg; *locks*: those of its steps.

    State: *live*: what runs now; *added*: the steps that the current step added, each list with its place, "next" or
    "last"; *used*: the kinds of input that steps used or passed on; *inherited*: whether the inputs were submitted for
    a parent build; *room*: whether the slave may send a number of bytes now; *others_turn*: lets the reactor do other
    work; *untrusted*: whether the code comes from a fork; *budget*: the time that the code of steps may take.
    """

    nonce: str
    builder_directory: str
    session: Session
    own_session: Session
    home: str | None
    grace: float
    env: Mapping[str, Any]
    journal: Journal
    recorder: BuildRecorder
    streams: BuildStreams
    view: View
    secret: Callable[[str], Awaitable[str]]
    triggers: TriggeredBuilds
    inputs: Mapping[str, tuple[Source, int, str]]
    wall: Callable[[], float]
    others_turn: Callable[[], Awaitable[None]]
    http: Callable[[HttpRequest], Awaitable[HttpAnswer]]
    artifact: Callable[[WantedArtifact], Awaitable[Mapping[str, Any]]] = _no_artifact
    publish: Callable[[str, str, int | None], Awaitable[None]] = _no_copy
    live: LiveCommands = field(factory=LiveCommands)
    revealed: set[str] = field(factory=set)
    redaction: Redaction = field(factory=Redaction)
    master_directory: str = "."
    random: Callable[[int], bytes] = os.urandom
    on_lost: str = "retry"
    room: Callable[[int], bool] = lambda size: True
    begun: list[str] = field(factory=list)
    added: list[tuple[str, Sequence[Recipe[BuildStep]]]] = field(factory=list)
    used: set[str] = field(factory=set)
    inherited: bool = False
    workdir: Any = "build"
    locks: BuildLocks = field(factory=BuildLocks)
    untrusted: bool = False
    budget: CodeBudget = field(factory=NoBudget)

    def check_trusted(self, effect: str) -> None:
        """
        Raise `RefusedError` if the code of the build comes from a fork.  *effect*: a clause that says what is not done.
        """
        if self.untrusted:
            raise RefusedError(f"{effect}: its code comes from a fork, and anybody may have written it.")

    async def secret_of(self, name: str) -> str:
        """
        The value of the secret *name*, which the master's own text hides from now on.  `RefusedError` if the code comes
        from a fork.
        """
        self.check_trusted(f"The secret {name!r} is not given to this build")
        return self.redaction.hide(name, await self.secret(name))

    def session_at(self, where: str) -> Session:
        """
        The session of the build's slave, or of the master's own keeper if *where* is "master".
        """
        return self.own_session if where == "master" else self.session

    def command_id(self, entry: JournalEntry) -> str:
        """
        The id on the wire of the command that *entry* records.
        """
        return f"{self.nonce}-{entry.step}-{entry.ordinal}"

    def recorded_properties(self) -> Mapping[str, Any]:
        """
        The build's properties for the records: name → value and source, with the values of secrets masked.
        """
        self.redaction.properties(self.view.properties)
        return {name: tuple(pair) for name, pair in self.view.properties.to_document().items()}
