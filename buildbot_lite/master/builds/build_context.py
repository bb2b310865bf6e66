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
from .code_time import OwnersTime
from .journal import Journal, JournalEntry
from .live_commands import LiveCommands
from .lock_waits import BuildLocks
from .recorder import BuildRecorder
from .redaction import Redaction
from .triggered import Child

MOST_STEPS = 10_000
"""The number of steps of one build, with those that steps add."""

COMMAND = "command"
"""The kind of a journal entry for a command on a slave or on the master."""
LOCK = "lock"
"""The kind of a journal entry whose step holds locks, once it has an outcome."""
TRIGGERED = "triggered"
"""The kind of a journal entry that waits for the builds of a Trigger step."""


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
        The present length and checksum of every stream.
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
        self, scheduler: str, parent: str, properties: Mapping[str, Json], source: Mapping[str, Json]
    ) -> Deferred[int]:
        """
        Ask the Triggerable called *scheduler* for builds; answer the buildset.  A second call with the same *parent*
        (the id of the journal entry that asks) answers the same buildset.
        """

    def when_finished(self, buildset: int) -> Deferred[Result]:
        """
        Fires with the result of *buildset*, also when it finished earlier.
        """

    def children(self, buildset: int) -> Deferred[Sequence[Child]]:
        """
        The present state of each request of *buildset*.
        """

    async def cancel(self, buildset: int, reason: str) -> Sequence[Child]:
        """
        Cancel the unfinished requests of *buildset*; answer them.
        """


async def _no_copy(artifact: str, path: str, mode: int | None) -> None:
    raise RefusedError("Nothing is copied to other places of the master in this build.")


async def _no_artifact(wanted: WantedArtifact) -> Mapping[str, Any]:
    return {"problem": "there are no other builds"}


@frozen
class BuildContext:
    """
    The context of a build, shared by its steps.


    *nonce*: the random part of command ids.  *home*: the identity of the slave's directory when the build began.
    *grace*: seconds for which a lost slave is waited for.  *env*: the builder's environment variables.  *secret*: looks
    up a secret's value by name.  *inputs*: by kind, each submitted file with its size and SHA-256.  *wall*: seconds
    since 1970.  *http*: sends a request.  *artifact*: finds one of another build.  *publish*: copies one of this build
    to a path on the master, with permission bits, or its contents into a directory there.
    *revealed*: the names of the secrets that commands of the build have had so
    far.  *redaction*: hides their values in the master's own text.  *master_directory*: the directory of master.cfg.
    *random*: gives so many bytes.  *on_lost*: "retry" or "fail", for steps without an ``onLost``.  *room*: whether the
    slave may send so many bytes now.  *begun*: the commands so far, in words.  *added*: steps that the present step
    adds, each with its place, "next" or "last".  *used*: the kinds of input that steps used or passed on.  *inherited*:
    whether the inputs were submitted for a parent build.  *locks*: those of its steps.
    *workdir*: the factory's.  *code_time*: the time of the builder's steps.  *untrusted*: whether the code comes from a
    fork.
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
    code_time: OwnersTime
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
    workdir: str | Callable[[Sequence[Any]], Any] = "build"
    locks: BuildLocks = field(factory=BuildLocks)
    untrusted: bool = False

    def check_trusted(self, effect: str) -> None:
        """
        `RefusedError` if the code of the build comes from a fork.  *effect*: what is not done then, a main clause.
        """
        if self.untrusted:
            raise RefusedError(f"{effect}: its code comes from a fork, and anybody may have written it.")

    async def secret_of(self, name: str) -> str:
        """
        The value of a secret; the master's own texts hide it from now on.
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
        The build's properties as the records keep them: by name, value and source, without values of secrets.
        """
        self.redaction.properties(self.view.properties)
        return {name: tuple(pair) for name, pair in self.view.properties.to_document().items()}
