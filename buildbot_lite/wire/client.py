"""
The command's side of a control or watch FURL: connect, send a question, disconnect.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import IO, Any, Protocol

from foolscap.api import Referenceable
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from ..deferreds import OneShot
from ..errors import (
    BuildbotLiteError,
    FurlError,
    InputError,
    LinkLostError,
    MessageError,
    NoAnswerError,
    PinnedError,
    RefusedError,
    WrongVerbError,
)
from ..model.display import LONGEST, printable
from ..model.json_reader import JsonReader
from ..model.patch_base import PatchBase
from .certificate import new_certificate
from .contract import (
    LARGEST_ANSWER,
    RIControl,
    RISubmission,
    RIWatcher,
)
from .control import Document, RemoteControl, question_bytes
from .failures import (
    our_error,
    why_unreachable,
    wrong_master,
)
from .flapp_roles import REFUSED_INPUT
from .furl import Furl, parse
from .limits.preauth import preauth_token
from .tub import Tub, make_tub

_PIECE = 256 << 10


class Submittable(Protocol):
    """
    What can be read more than once, such as a file.
    """

    def seek(self, offset: int, /) -> object:
        """
        Read from *offset* on.
        """

    def read(self, size: int, /) -> bytes:
        """
        At most *size* bytes; none at the end.
        """


async def ask(reactor: IReactorTime, furl: str, question: Document) -> Document:
    """
    The master's answer to *question*.

    Raises `NoAnswerError` when no master answers at the addresses in *furl*, `FurlError` when *furl* is invalid or
    another master answers, `LinkLostError` when the connection breaks, and a `RefusedError` when the master refuses.
    """
    return await _with_control(reactor, furl, lambda control: control.ask(question))


async def follow(
    reactor: IReactorTime, furl: str, question: Document, take: Callable[[bytes], Deferred[None] | None]
) -> Document:
    """
    Like `ask`, for an answer that grows: *take* gets its bytes in chunks, in order, as in `control.ExposedFollower`.
    Returns the final answer.
    """
    return await _with_control(reactor, furl, lambda control: control.follow(question, take))


Take = Callable[[bytes], Deferred[None] | None]
"""
Takes a chunk of output that begins with "1" (for standard output) or "2" (for standard error).  The master sends no
more before the Deferred fires.
"""


async def watch(reactor: IReactorTime, furl: str, take: Take, request: int | None = None) -> Document:
    """
    Follow the requests of the watch FURL *furl*, or only *request*, from the beginning of their logs to the end;
    returns the ``exit_code``.  Raises as `ask` does.
    """
    parts = parse(furl)
    async with _reference(reactor, parts) as reference:
        if reference.tracker.interfaceName != RISubmission.__remote_name__:
            raise WrongVerbError(
                "This string does not permit watching a request.  To watch the farm, see: buildbot-lite log --help"
            )
        watcher = _ExposedWatcher(take)
        reference.tracker.broker.link.when_lost(watcher.lost)
        try:
            if request is None:
                await reference.callRemote("watch", watcher=watcher)
            else:
                await reference.callRemote("watch_request", watcher=watcher, request=request)
        except Exception as raised:  # noqa: BLE001 - converted to an error of ours
            raise our_error(raised) from None
        return {"exit_code": await watcher.exit_code.wait()}


# Bytes in UTF-8 of a sentence with its newline, which `printable` has cut.
_LARGEST_REFUSAL = 4 * LONGEST + 1


class BoundedOutput:
    """
    Collects the output of a submission in *data*, at most *most* bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.data = bytearray()

    def add(self, data: bytes) -> None:
        """
        Append *data*; `MessageError` if it is too much.
        """
        if len(self.data) + len(data) > self._most:
            raise MessageError(f"The master's answer has more than {self._most} bytes.")
        self.data += data


class SubmitClient:
    """
    A client of the submit or change FURL *furl*.  It does what ``flappclient run-command`` does, and keeps its
    connection for the next submission.  *certificate*: the client's own (PEM); None: a new one.
    """

    def __init__(self, reactor: IReactorTime, furl: str, certificate: bytes | None = None) -> None:
        self._furl = parse(furl)
        self._tub = make_tub(reactor, certificate or new_certificate())
        self._tub.preauth_token = preauth_token(self._furl.swissnum, self._furl.tub_id)

    def start(self) -> None:
        """
        Start the client's Tub; `submit` connects.
        """
        self._tub.startService()

    def stop(self) -> Deferred[None]:
        """
        Cut the connection.
        """
        return self._tub.stopService()

    async def submit(self, data: Submittable, take: Take) -> int:
        """
        Submit *data*, from its beginning, as the standard input, and follow the requests to their end; returns the exit
        code.  *take* gets the output.  Raises as `ask` does.
        """
        return await self._submit(data, take, "execute")

    async def submit_patch(self, patch: IO[bytes], base: PatchBase) -> Document:
        """
        Submit the file *patch*, read from its beginning, which applies to *base*.

        Returns "requests" (their numbers), their "builders", and the FURL to "watch" them.  The farm may cancel the
        requests when the connection ends.  Raises as `ask` does; `RefusedError` also when the master refuses the patch.
        """
        return await self._answered(patch, "submit_patch", base=base.to_bytes())

    async def submit_file(self, file: IO[bytes], options: Document | None = None) -> Document:
        """
        Submit *file*, which is no patch, as `submit_patch` does.  *options*: for the scheduler that examines it.
        `InputError` when it is nothing that the scheduler takes.
        """
        if options:
            return await self._answered(file, "submit_with", options=question_bytes(options))
        # Masters before 0.2 have no other.
        return await self._answered(file, "submit_file")

    async def _answered(self, data: IO[bytes], method: str, **more: bytes) -> Document:
        answer, refusal = BoundedOutput(LARGEST_ANSWER), BoundedOutput(_LARGEST_REFUSAL)

        def take(chunk: bytes) -> None:
            (answer if chunk[:1] == b"1" else refusal).add(chunk[1:])

        code = await self._submit(data, take, method, **more)
        if code:
            raise _refusal(bytes(answer.data), printable(refusal.data.decode("utf-8", "replace").strip()))
        return JsonReader.decode(bytes(answer.data), "the answer", LARGEST_ANSWER).document

    async def _submit(self, data: Submittable, take: Take, method: str, **more: bytes) -> int:
        reference = await _resolved(self._tub, self._furl)
        if reference.tracker.interfaceName != RISubmission.__remote_name__:
            raise WrongVerbError(
                "This string permits no submission.  Ask the farm's admin for one that does: buildbot-lite grant "
                "submit BUILDER"
            )
        watcher = _ExposedWatcher(take)
        reference.tracker.broker.link.when_lost(watcher.lost)
        try:
            stdin = await reference.callRemote(method, watcher=watcher, **more)
            if stdin is not None:
                data.seek(0)
                # After the exit code the master reads no more: it has refused the submission.
                while not watcher.exit_code.fired and (piece := data.read(_PIECE)):
                    await stdin.callRemote("feed_stdin", data=piece)
                await stdin.callRemote("close_stdin")
        except Exception as raised:  # noqa: BLE001 - converted to an error of ours
            raise our_error(raised) from None
        return await watcher.exit_code.wait()


def _refusal(answer: bytes, sentence: str) -> BuildbotLiteError:
    """
    The error for a submission that the master refuses with *sentence* and, beside it, *answer*.
    """
    try:
        of_input = JsonReader.decode(answer, "the answer", LARGEST_ANSWER).flag(REFUSED_INPUT, default=False)
    except MessageError:
        of_input = False  # masters before 0.2 send none
    return InputError(sentence) if of_input else RefusedError(sentence)


@implementer(RIWatcher)
class _ExposedWatcher(Referenceable):
    """
    The object that the master calls with output and exit code, as on a ``flappclient``.
    """

    def __init__(self, take: Callable[[bytes], Deferred[None] | None]) -> None:
        self._take = take
        self.exit_code: OneShot[int] = OneShot()

    def remote_stdout(self, data: bytes) -> Deferred[None] | None:
        return self._taken(b"1" + data)

    def remote_stderr(self, data: bytes) -> Deferred[None] | None:
        return self._taken(b"2" + data)

    def remote_done(self, signal: object, exitcode: int) -> None:
        self.exit_code.fire(exitcode)

    def lost(self) -> None:
        self.exit_code.fire(Failure(LinkLostError()))

    def _taken(self, chunk: bytes) -> Deferred[None] | None:
        try:
            return self._take(chunk)
        except BuildbotLiteError:
            # *take* refused the output, so the call that waits for the exit code fails with its error.
            self.exit_code.fire(Failure())
            raise


async def _with_control(
    reactor: IReactorTime, furl: str, work: Callable[[RemoteControl], Deferred[Document]]
) -> Document:
    async with control_connection(reactor, furl) as control:
        return await work(control)


@asynccontextmanager
async def control_connection(reactor: IReactorTime, furl: str) -> AsyncIterator[RemoteControl]:
    """
    A context with the object of the control FURL *furl*, for several questions on one connection.

    Raises as `ask` does.
    """
    parts = parse(furl)
    async with _reference(reactor, parts) as reference:
        # A submission's FURL answers few questions; its master refuses the others.
        if reference.tracker.interfaceName not in (RIControl.__remote_name__, RISubmission.__remote_name__):
            raise WrongVerbError(
                "This string is not for the buildbot-lite command, which takes private/admin.furl of a master's "
                "directory, or one that buildbot-lite grant watch or grant control made."
            )
        yield RemoteControl(reference)


@asynccontextmanager
async def _reference(reactor: IReactorTime, parts: Furl) -> AsyncIterator[Any]:
    """
    The object of a FURL, on a connection that ends with the context.
    """
    tub = make_tub(reactor, new_certificate())
    tub.preauth_token = preauth_token(parts.swissnum, parts.tub_id)
    tub.startService()
    try:
        yield await _resolved(tub, parts)
    finally:
        await tub.stopService()


async def _resolved(tub: Tub, parts: Furl) -> Any:
    reference: Deferred[Any] = tub.getReference(str(parts))
    try:
        return await reference
    except CancelledError:
        raise  # nobody waits for it any more
    except Exception as raised:  # noqa: BLE001 - a failed connection may raise any class
        error, addresses = our_error(raised), ", ".join(parts.hints)
        if isinstance(error, PinnedError):
            # The remedy in PinnedError (unpin) would allow any machine to use the slave's FURL.
            raise WrongVerbError("This string belongs to a slave, and works only in that slave's slave.tac.") from None
        if isinstance(error, RefusedError):
            raise error from None
        if wrong_master(raised):
            raise FurlError(
                f"The master that answers at {addresses} is not the one of this string.  Copy the whole string again."
            ) from None
        raise NoAnswerError(
            f"No master answers at {addresses}: {why_unreachable(raised)}.  If it does not run, "
            "start it on its own machine: buildbot-lite start DIR"
        ) from None
