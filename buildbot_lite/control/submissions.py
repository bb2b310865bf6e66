"""
Submit builds: the objects that FURLs of submissions lead to.

::

    flappclient run-command          flappclient upload-file
        │ stdin, if it takes it           │ the file
        ▼                                  ▼
      stored, requested ──► watch FURL     stored, requested
        │
        ▼ followed to the end: log, remarks, exit code

The first line on stderr names the request and its watch FURL; a client that lost its connection continues with that
(`watched_requests`).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger

from ..deferreds import background
from ..errors import (
    BuildbotLiteError,
    DiskFullError,
    InputError,
    LimitError,
    StorageError,
    WrongVerbError,
)
from ..master.config.submit_scheduler import SKIPPED, Submit
from ..master.scheduling.submission import NO_INPUT, SubmissionInput, Submissions
from ..master.scheduling.submit_limits import Admission
from ..model.display import file_name, printable
from ..model.input_kinds import name_of_stdin
from ..model.json_reader import encode
from ..model.patch_base import PatchBase
from ..status.following import LogFollower
from ..storage.inputs import InputStore
from ..storage.records.requests import SubmittedBuildset
from ..wire.control import Follower
from ..wire.flapp import ANSWERS_NOTHING, TAKES_A_FILE, TAKES_NO_FILE, TAKES_NO_PATCH
from ..wire.flapp_roles import REFUSED_INPUT, Read, StdinFeed, Watcher
from ..wire.limits.account import Account
from .input_receiver import (
    LARGEST_PROPERTIES,
    InputReceiver,
    PropertiesSink,
    StoredSink,
    pump,
)
from .questions import QuestionDesk
from .watched_requests import followed, raising, report_end

UNPATCHED = "this string ignores standard input: the builds use the sources in the repository, without your changes"
"""The remark for a submitter who may expect that standard input is applied as a patch."""
Submitting = Deferred[StdinFeed | None]
Afterwards = Callable[[Watcher, Submit, Awaitable[SubmittedBuildset]], Awaitable[int]]


class SubmitTarget:
    """
    The object that the FURL of a Submit scheduler leads to: the role `wire.flapp.Submission`.

    *grant*: the number of the grant.  Each call looks up its scheduler, so the FURL follows changes of master.cfg.
    *others*: answers questions about what was submitted; None: the FURL permits none.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        grant: int,
        submissions: Submissions,
        store: InputStore,
        follower: LogFollower,
        account: Account | None = None,
        others: QuestionDesk | None = None,
    ) -> None:
        self._grant = grant
        self._others = others
        self._submissions = submissions
        self._store = store
        self._follower = follower
        self._account = account or Account()

    def execute(self, watcher: Watcher) -> Deferred[StdinFeed | None]:
        return self._begin(watcher, self._watch)

    def submit_patch(self, watcher: Watcher, base: PatchBase) -> Deferred[StdinFeed | None]:
        return self._begin(watcher, self._say, base)

    def submit_file(self, watcher: Watcher, options: Mapping[str, Any] | None = None) -> Deferred[StdinFeed | None]:
        return self._begin(watcher, self._say_of_file, only=("tar", "file"), options=options)

    def ask(self, question: Mapping[str, Any]) -> Deferred[Mapping[str, Any]]:
        if self._others is None:
            return fail(WrongVerbError(ANSWERS_NOTHING))
        return self._others.ask(question)

    def follow(self, question: Mapping[str, Any], follower: Follower) -> Deferred[Mapping[str, Any]]:
        if self._others is None:
            return fail(WrongVerbError(ANSWERS_NOTHING))
        return self._others.follow(question, follower)

    def _begin(
        self,
        watcher: Watcher,
        afterwards: Afterwards,
        base: PatchBase | None = None,
        *,
        only: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Submitting:
        """
        Submit what *watcher*'s client feeds, and tell it of the submission by *afterwards*.  *base*: of a patch, which
        the input has to be; None: it may be anything that the scheduler takes, or one of the kinds *only*.
        *options*: for a scheduler that examines it.
        """
        try:
            self._account.check_following()
        except LimitError:
            return fail()  # a client with too many followers may not read a remark
        try:
            scheduler = self._submissions.scheduler(self._grant)
            if not scheduler.takes_commands:
                return fail(WrongVerbError(TAKES_A_FILE))
            if base is not None and scheduler.stdin != "patch":
                return fail(WrongVerbError(TAKES_NO_PATCH))
            if only is not None and scheduler.stdin not in only:
                return fail(WrongVerbError(TAKES_NO_FILE))
            admission = self._submissions.admit(self._grant)
        except BuildbotLiteError as error:
            self._tell(watcher, raising(error))
            return succeed(None)
        receiver = self._receiver(admission, scheduler.stdin, name_of_stdin(scheduler.stdin))
        if receiver is not None:
            watcher.when_lost(receiver.lost)
        self._tell(watcher, afterwards(watcher, scheduler, self._submit(admission, receiver, base, options=options)))
        return succeed(receiver)

    def put(self, name: bytes, read: Read) -> Deferred[None]:
        return Deferred.fromCoroutine(self._put(file_name(name.decode("utf-8", "replace")), read))

    def _receiver(self, admission: Admission, kind: str, name: str) -> InputReceiver[SubmissionInput] | None:
        largest, clock = admission.grant.largest, self._follower.clock
        if kind == "none":
            return None
        if kind == "properties":
            return InputReceiver(PropertiesSink(min(largest or LARGEST_PROPERTIES, LARGEST_PROPERTIES)), clock)
        return InputReceiver(StoredSink(self._store.receive(largest), kind, name), clock)

    async def _put(self, name: str, read: Read) -> None:
        kind = self._submissions.scheduler(self._grant).file
        if kind is None:
            raise WrongVerbError(TAKES_NO_FILE)
        admission = self._submissions.admit(self._grant)
        receiver = self._receiver(admission, kind, name)
        assert receiver is not None
        background(pump(read, receiver), self._account.log, "receiving a file")
        # A client that uploads a file gets no answer that could contain a FURL.
        await self._submit(admission, receiver, watched=False)

    async def _submit(
        self,
        admission: Admission,
        receiver: InputReceiver[SubmissionInput] | None,
        base: PatchBase | None = None,
        *,
        watched: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> SubmittedBuildset:
        """
        Submit.  Owns *admission*: spends it, or gives it back if nothing was submitted.
        """
        with admission:
            submission_input = NO_INPUT if receiver is None else await receiver.given
            submission_input = evolve(submission_input, options=options or {})
            try:
                return await self._submissions.submit(admission, submission_input, base, watched=watched)
            except DiskFullError:
                raise
            except StorageError as error:
                # The submitter does not need the path of the records and the reason; the admin finds them in the log.
                self._account.log.error("a submission could not be recorded: {why}", why=str(error))  # noqa: TRY400 - a sentence
                raise BuildbotLiteError("The farm cannot record a submission now.  Try again later.") from None

    def _tell(self, watcher: Watcher, watching: Awaitable[int]) -> None:
        background(report_end(self._account, watcher, watching), self._account.log, "a submission")

    async def _watch(self, watcher: Watcher, scheduler: Submit, submitting: Awaitable[SubmittedBuildset]) -> int:
        submitted = await submitting
        self._cancel_when_lost(watcher, scheduler, submitted)
        furl = await self._submissions.watch_furl(submitted)
        if submitted.title:
            await watcher.stderr(f"# {printable(submitted.title)}\n".encode())
        await watcher.stderr(f"# {_numbers(submitted)}: watch with {furl}\n".encode())
        for name, reason in _skipped(submitted).items():
            await watcher.stderr(f"# not built for {name}: {reason}\n".encode())
        if scheduler.stdin == "none" and self._submissions.applies_patches(scheduler):
            # The master cannot see whether the client has input.  Requesting it makes flappclient take the log in
            # pieces of 1 KiB, so the master requests input only where a scheduler uses it.
            await watcher.stderr(f"# {UNPATCHED}\n".encode())
        return await followed(watcher, self._follower, submitted.buildset.id, self._account)

    async def _say(self, watcher: Watcher, scheduler: Submit, submitting: Awaitable[SubmittedBuildset]) -> int:
        submitted = await submitting
        self._cancel_when_lost(watcher, scheduler, submitted)
        document = {
            "requests": [request.id for request in submitted.requests],
            "builders": [request.builder for request in submitted.requests],
            "watch": await self._submissions.watch_furl(submitted),
            "skipped": _skipped(submitted),
            "title": printable(submitted.title),
            "number": submitted.number,
        }
        await watcher.stdout(encode(document))
        return 0

    async def _say_of_file(self, watcher: Watcher, scheduler: Submit, submitting: Awaitable[SubmittedBuildset]) -> int:
        try:
            return await self._say(watcher, scheduler, submitting)
        except InputError:
            # Output and exit code have no kind of error, and the client's exit code depends on it.
            await watcher.stdout(encode({REFUSED_INPUT: True}))
            raise

    def _cancel_when_lost(self, watcher: Watcher, scheduler: Submit, submitted: SubmittedBuildset) -> None:
        if scheduler.cancel_on_disconnect:
            cancelling = self._submissions.cancel
            watcher.when_lost(
                lambda: background(
                    cancelling(submitted, "the client went away"), self._account.log, "cancelling a submission"
                )
            )


def _skipped(submitted: SubmittedBuildset) -> Mapping[str, str]:
    """
    The architectures, or other parts, for which the input is not built, each with the reason.
    """
    value, _ = submitted.buildset.properties.get(SKIPPED, ({}, ""))
    return {str(name): printable(str(reason)) for name, reason in value.items()} if isinstance(value, Mapping) else {}


def _numbers(submitted: SubmittedBuildset) -> str:
    numbers = [str(request.id) for request in submitted.requests]
    return f"request {numbers[0]}" if len(numbers) == 1 else f"requests {', '.join(numbers)}"
