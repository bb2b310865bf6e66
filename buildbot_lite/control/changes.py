"""
The object that FURLs for changes lead to.  ``grant change`` hands them out, for hooks with ``flappclient``::

    git push ──► hooks/post-receive ──► flappclient run-command ──► lines on standard input ──► changes are recorded
                                                                          │
                                                    the repository is polled here ──► its GitPoller polls now

A string is bound to one repository and project and to patterns of branches.  An input is recorded as a whole, or
refused as a whole with a sentence.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

from attrs import field, frozen
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime

from ..deferreds import background
from ..errors import BuildbotLiteError, InputError, LimitError, RevokedError, WrongVerbError
from ..master.config.master_config import MasterConfig
from ..master.scheduling.changes.recorder import ChangeRecorder
from ..master.scheduling.changes.sources import ChangeSources
from ..master.scheduling.submit_limits import Admission, SubmitLimits
from ..model.change import LONGEST_NAME
from ..model.display import remark_lines
from ..model.json_reader import JsonReader, encode
from ..storage.records import grants as records_of_grants
from ..storage.records import states
from ..storage.records.changes import RecordedChange
from ..storage.records.grants import Grant
from ..storage.roles import Records
from ..wire.flapp import TAKES_NO_FILE
from ..wire.flapp_roles import Read, StdinFeed, Watcher
from ..wire.limits.account import Account
from .change_lines import Allowed, change_of_push, read_lines
from .input_receiver import BytesSink, InputReceiver
from .watched_requests import raising, report_end

LARGEST = 1 << 20
"""Bytes of one input."""
MOST_PATTERNS = 50
MOST_NAMED = 20
"""Changes that the answer names one by one."""


@frozen
class Binding:
    """
    The binding of a string: it may report the changes *allowed*.  It is recorded under its *digest*, which is the
    object of the grant.
    """

    allowed: Allowed

    @classmethod
    def from_text(cls, text: str) -> Self:
        """
        The binding in the JSON *text*; `BuildbotLiteError` if it is none.
        """
        reader = JsonReader.decode(text.encode(), "the binding", 1 << 16)
        repository = reader.text("repository", limit=LONGEST_NAME)
        if not repository:
            raise InputError("A string for changes is for one repository: name it.")
        branches = tuple(reader.texts("branches", ["*"], most=MOST_PATTERNS)) or ("*",)
        if any(not each or len(each) > LONGEST_NAME for each in branches):
            raise InputError(f"A pattern of branches has 1 to {LONGEST_NAME} characters.")
        category = reader.optional("category", lambda name: reader.text(name, limit=200))
        texts = {name: reader.text(name, "", limit=200) for name in ("project", "codebase")}
        allowed = Allowed(repository, branches=branches, category=category, **texts)
        for branch in branches:
            allowed.example(branch).checked()
        return cls(allowed)

    @classmethod
    def read(cls, connection: Connection, digest: str) -> Self | None:
        """
        The binding with *digest*, which `keep` recorded.
        """
        document = states.get(connection, f"binding:{digest}")
        return None if document is None else cls.from_text(encode(document).decode())

    def keep(self, connection: Connection, now: float) -> None:
        """
        Record the binding; `read` finds it by its digest.
        """
        states.put(connection, f"binding:{self.digest}", self.document, now)

    @property
    def document(self) -> dict[str, Any]:
        """
        The value as a JSON object.
        """
        allowed = self.allowed
        return {
            "repository": allowed.repository,
            "project": allowed.project,
            "branches": list(allowed.branches),
            "codebase": allowed.codebase,
            "category": allowed.category,
        }

    @property
    def digest(self) -> str:
        """
        SHA-256 of the document, in hexadecimal.
        """
        return hashlib.sha256(encode(self.document)).hexdigest()

    @property
    def name(self) -> str:
        """
        The name of the grant in lists: repository and branches, shortened.
        """
        repository, branches = self.allowed.repository, ",".join(self.allowed.branches)
        text = repository if branches == "*" else f"{repository} {branches}"
        return text if len(text) <= 80 else f"{text[:79]}…"


@frozen
class Intake:
    """
    The result of an input: *out* and *remarks* for the client's standard output and standard error.  *used*: whether it
    counts as a use of the string.
    """

    out: bytes = b""
    remarks: Sequence[str] = ()
    used: bool = True


class ChangeIntake(Protocol):
    """
    Reads and records the input of one kind of string for changes.
    """

    @property
    def largest(self) -> int:
        """
        Bytes of an input.
        """

    async def take(self, data: bytes, grant: Grant) -> Intake:
        """
        Record the changes in *data*, which came through *grant*; `BuildbotLiteError`, and nothing recorded, if that is
        not possible.
        """


@frozen
class ChangeTarget:
    """
    The role `wire.flapp.Submission`, for the holder of *grant*.
    """

    grant: Grant
    intake: ChangeIntake
    limits: SubmitLimits
    clock: IReactorTime
    account: Account = field(factory=Account)

    def execute(self, watcher: Watcher) -> Deferred[StdinFeed | None]:
        try:
            self.account.check_following()
        except LimitError:
            return fail()  # a client with too many followers may not read a remark
        try:
            admission = self.limits.admit(self.grant.id, 0, with_input=True)
        except BuildbotLiteError as error:
            self._tell(watcher, raising(error))
            return succeed(None)
        largest = self.intake.largest
        receiver = InputReceiver(BytesSink(min(self.grant.largest or largest, largest)), self.clock)
        watcher.when_lost(receiver.lost)
        self._tell(watcher, self._record(watcher, admission, receiver))
        return succeed(receiver)

    def put(self, name: bytes, read: Read) -> Deferred[None]:
        return fail(WrongVerbError(TAKES_NO_FILE))

    def _tell(self, watcher: Watcher, work: Any) -> None:
        background(report_end(self.account, watcher, work), self.account.log, "taking changes")

    async def _record(self, watcher: Watcher, admission: Admission, receiver: InputReceiver[bytes]) -> int:
        with admission:
            took = await self.intake.take(await receiver.given, self.grant)
            if took.used:
                self.limits.spent(self.grant)
        if took.out:
            await watcher.stdout(took.out)
        for remark in took.remarks:
            await watcher.stderr(remark_lines(remark).encode())
        return 0


@frozen
class LineIntake:
    """
    The role `ChangeIntake` for the lines of hooks (`change_lines`), within the binding of the string.
    """

    records: Records
    recorder: ChangeRecorder
    sources: ChangeSources
    config: Callable[[], MasterConfig]
    wall: Callable[[], float]
    largest: int = LARGEST

    async def take(self, data: bytes, grant: Grant) -> Intake:
        binding = await self.records.read(lambda connection: Binding.read(connection, grant.object))
        if binding is None:
            raise RevokedError
        allowed, source = binding.allowed, (grant.label or f"string #{grant.id}")[:200]
        changes = read_lines(data, allowed, source)
        polled = self.sources.poll_soon(allowed.repository) if changes.pushed else ()
        # If the repository is polled here, the poller finds the pushed commits itself, with details that a hook does
        # not have: authors, comments and files.
        pushes = () if polled else [change_of_push(push, allowed, source, self.wall()) for push in changes.pushed]
        recorded = await self.recorder.add([*changes.changes, *pushes], marking_use(grant, self.wall()))
        remarks = [*changes.remarks, *named(recorded), *(f"{name} polls now" for name in polled)]
        remarks += unbuilt(self.config(), recorded)
        return Intake(remarks=remarks or ["there is nothing new in this"])


def marking_use(grant: Grant, now: float) -> Callable[[Connection], object]:
    """
    Records a use of *grant*, in the transaction of its changes.
    """
    return lambda connection: records_of_grants.used(connection, grant.id, now)


def unbuilt(config: MasterConfig, recorded: Sequence[RecordedChange]) -> list[str]:
    """
    A sentence for each codebase of the *recorded* changes that no scheduler of *config* builds.
    """
    reasons = (config.why_no_codebase(name) for name in dict.fromkeys(each.change.codebase for each in recorded))
    return [f"Nothing is built: {why}" for why in reasons if why is not None]


def named(recorded: Sequence[RecordedChange]) -> list[str]:
    """
    A line for each of the *recorded* changes, and one for those beyond `MOST_NAMED`.
    """
    names = [f"change {each.id}: {each.change.branch or ''} {each.change.revision or ''}" for each in recorded]
    more = len(names) - MOST_NAMED
    return [*names[:MOST_NAMED], *([f"and {more} more changes"] if more > 0 else [])]
