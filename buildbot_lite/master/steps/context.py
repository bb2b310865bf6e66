"""
The interface of a running step to everything outside it.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred

from ...model.http_request import HttpAnswer, HttpRequest
from ...model.outcome import Outcome
from ...model.properties import Json
from ...model.rendering import View
from ...model.results import Result
from ...model.spec import Spec
from ..config.artifacts import WantedArtifact
from ..slaves.command_streams import STDIO, Source
from .recipe import Recipe

T = TypeVar("T")
U = TypeVar("U")


@frozen
class CommandResult:
    """
    The *outcome* of a command, and its output.
    """

    outcome: Outcome
    _read: Callable[[str, int], bytes]
    _read_end: Callable[[str, int], bytes]

    def output(self, log: str = STDIO, limit: int = 1 << 20) -> str:
        """
        The first *limit* bytes that the command wrote to *log*, decoded as UTF-8; invalid bytes are replaced.
        """
        return self._read(log, limit).decode("utf-8", "replace")

    def end_of_output(self, log: str = STDIO, limit: int = 1 << 16) -> str:
        """
        The last *limit* bytes of the same.
        """
        return self._read_end(log, limit).decode("utf-8", "replace")


class StepContext(Protocol):
    """
    The only API through which a step causes or observes anything outside it.  The build's journal records each answer.
    """

    @property
    def view(self) -> View:
        """
        The build's properties, sources and slave, for rendering and for reading.
        """

    @property
    def directory(self) -> str:
        """
        The builder's directory on the slave, relative to the slave's ``work``.
        """

    async def render_workdir(self) -> None:
        """
        Render the factory's ``workdir`` with the build's properties.  Called before each step; `UnsafePathError` if the
        path leads out of the builder's directory.
        """

    @property
    def workdir(self) -> str:
        """
        The default working directory of commands, relative to the builder's directory; usually "build".
        """

    @property
    def master_directory(self) -> str:
        """
        The absolute path of the master's directory, in which master.cfg is.
        """

    async def command(
        self,
        spec: Spec,
        *,
        on_master: bool = False,
        sources: Mapping[str, Source] | None = None,
        artifact: str | None = None,
        on_lost: str | None = None,
        log: str = STDIO,
    ) -> CommandResult:
        """
        Run *spec* and return when it has ended; exactly once, unless the machine that runs it dies.

        *on_master*: run it on the master's machine, not on the slave.  *sources*: name → what the command may read from
        the master.  *artifact*: the name under which an upload is stored.  *on_lost*: when the slave is lost, "retry"
        ends the build with RETRY, "fail" returns the outcome LOST; None: as the builder says.  *log*:
        the log that gets the output of a program.
        """

    async def trigger(
        self,
        names: list[str],
        properties: Mapping[str, Json],
        *,
        wait: bool,
        source: Mapping[str, Json] | None = None,
        log: str | None = None,
        matrix: Sequence[Mapping[str, Json]] = (),
        priority: int | None = None,
    ) -> dict[str, Result | None]:
        """
        Start the Triggerable schedulers called *names*, once; return the result of each, or None without *wait*.

        Their builds get the input submitted for this one, and *properties*.  *source*: their branch, revision,
        repository and project; None: those of this build.  *matrix*: combinations of properties; each scheduler is
        started once for each, and the keys of the answer are then "scheduler (combination)".  *priority*: of the
        requests; None: as each scheduler says.  Each result becomes a remark as soon as it is known, and a line of
        *log*.  When the step is stopped while it waits, the triggered builds that have not ended are cancelled.
        """

    async def trigger_each(
        self,
        wanted: Mapping[str, tuple[str, Mapping[str, Json]]],
        *,
        wait: bool,
        source: Mapping[str, Json] | None,
        log: str | None,
        priority: int | None = None,
    ) -> dict[str, Result | None]:
        """
        `trigger` for *wanted*: label → the name of a Triggerable scheduler and the properties of its builds.  A
        scheduler may be there several times.  Returns label → result.
        """

    async def now(self) -> float:
        """
        The time in seconds since 1970.  A replay gets the time of the first run.
        """

    async def random(self, size: int) -> bytes:
        """
        *size* random bytes, at most 1024; a replay gets the same.
        """

    async def record(self, what: str, intent: Json, ask: Callable[[], Awaitable[Json]], *, repeatable: bool) -> Json:
        """
        Call *ask* once, and return its answer, which must be JSON; a replay gets the recorded answer.

        *what* and *intent* describe the effect in the journal.  *repeatable*: whether to call *ask* again if the master
        died during the call; if not, the step ends with EXCEPTION, because it is not known whether the effect happened.
        """

    async def artifact(self, wanted: WantedArtifact) -> Mapping[str, Any]:
        """
        Choose an artifact of another build, once: its "label", "path", "size" and "sha256", or a "problem", for people.

        A replay gets the same one.  Retention does not delete it before this build has ended.
        """

    def check_trusted(self, effect: str) -> None:
        """
        Raise `RefusedError` if the code of the build comes from a fork.

        *effect*: a clause that says what is not done then, like "This build pushes nothing".  The methods that send
        requests from the master, run commands there or use secrets call this themselves.
        """

    async def publish(self, artifact: str, destination: str, mode: int | None) -> str | None:
        """
        Copy *artifact*, which this build has uploaded, to the path *destination* on the master.

        *destination*: absolute, or relative to the master's directory.  *mode*: the permission bits of the copy; None:
        the artifact is a tar archive, whose contents go into the directory *destination*.  Returns None, or a sentence
        that says why it failed.  It is repeated if the master dies meanwhile.
        """

    async def http(self, request: HttpRequest) -> HttpAnswer:
        """
        Send *request* from the master, once; a replay gets the recorded answer, in which secrets are masked.

        When the master dies during a request, it is repeated if its method is idempotent; otherwise the step ends with
        EXCEPTION, because it is not known whether the request arrived.
        """

    def write(self, log: str, text: str) -> None:
        """
        Append *text* to *log*, which must not be a log that a command writes.
        """

    def remark(self, text: str, log: str = STDIO) -> None:
        """
        Add a remark: a line that is shown beside *log*, and is not part of it.
        """

    async def others_turn(self) -> None:
        """
        Let everything else that the master does have its turn, in the middle of long work.
        """

    async def look_through(
        self, parts: Iterable[T], look: Callable[[T], list[U]], *, seconds: float
    ) -> tuple[list[U], bool]:
        """
        The results of *look* for *parts*, and whether it saw all of them: it may take *seconds* in all.  When the time
        is over, the current call is ended and its results are dropped; a replay ends at the same part.
        """

    def deferred(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        """
        The result of *work*, code of the step, as a Deferred that may be yielded and get callbacks.
        """

    def add_steps(self, recipes: Iterable[Recipe[Any]], *, last: bool) -> None:
        """
        Run the steps of *recipes* after the current one, or, with *last*, at the end of the build.

        `ConfigError` if the build would have too many steps; the iteration of *recipes* stops there, so that an endless
        one does no harm.
        """

    def input(self, name: str) -> tuple[Source, int, str] | None:
        """
        The input that was submitted with the request as *name* ("patch", "tar" or "file"): its source, its size in
        bytes and its SHA-256.  None if there is none.
        """
