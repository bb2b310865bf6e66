"""
What the holder of a submission's string can do: ask for its builds, and watch them.

::

    flappclient run-command          flappclient upload-file          flappclient run-command
      (submit.furls)                   (submit.furls)                   (a watch string)
        │ stdin, if it takes it           │ the file                       │
        ▼                                  ▼                                 ▼
      stored, requested ──► watch string   stored, requested              followed from the start
        │
        ▼ followed to the end: log, remarks, exit code

The first line on stderr is the request and its watch string: whoever loses the connection loses nothing else.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.logger import Logger

from ..errors import BuildbotLiteError, DiskFullError, InputError, LimitError, LinkLostError, StorageError
from ..master.admission import Admission
from ..master.vocabulary import Submit
from ..model.properties import Properties
from ..storage.inputs import Incoming, InputStore, Kept
from ..storage.records.requests import Submitted
from ..wire.background import background
from ..wire.flapp import Read, StdinFeed, Watcher
from .following import Following

PIECE = 256 << 10
LARGEST_PROPERTIES = 256 << 10
MOST_CLIENTS = 1000
"""Clients that one string may have waiting for their builds, or for the word that they get none."""
REFUSED = 2
"""The exit code for input that cannot be used."""

_PATCH_MARKS = (b"diff --git ", b"--- ", b"Index: ", b"diff -", b"*** ", b"From ")
_COMPRESSIONS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")


class Door(Protocol):
    """
    How submissions get into the farm.
    """

    def admit(self, grant: int, scheduler: Submit) -> Admission:
        """
        Leave to submit with the string of *grant* now; or `RefusedError`, which says why not and until when.
        """

    async def submit(
        self,
        scheduler: Submit,
        admission: Admission,
        *,
        kept: Kept | None,
        kind: str,
        name: str,
        properties: Properties,
    ) -> Submitted:
        """
        Ask for the builds of *scheduler*, with an input that was stored: a *kind* that its submitter calls *name*.
        """

    async def watch_furl(self, submitted: Submitted) -> str:
        """
        A string to watch them with.
        """

    async def cancel(self, submitted: Submitted, reason: str) -> None:
        """
        End those that have not ended.
        """


@define
class Clients:
    """
    Those that are being told something, with one string: a client that takes nothing stays one.
    """

    _now: int = 0

    def check(self) -> None:
        """
        `LimitError` when there are as many as there may be.
        """
        if self._now >= MOST_CLIENTS:
            raise LimitError(f"{self._now} clients of this string are being told of their builds already.")

    async def tell(self, watcher: Watcher, watching: Awaitable[int]) -> None:
        """
        One more, until it has heard how *watching* ended.
        """
        self._now += 1
        try:
            await _told(watcher, watching)
        finally:
            self._now -= 1


@frozen
class Watching:
    """
    What a watch string leads to: the role `wire.flapp.Submission`.
    """

    following: Following
    buildset: int
    clients: Clients = field(factory=Clients)

    _log = Logger()

    def execute(self, watcher: Watcher) -> Deferred[StdinFeed | None]:
        """
        See `Submission.execute`.
        """
        try:
            self.clients.check()
        except LimitError:
            return fail()
        watching = _followed(watcher, self.following, self.buildset)
        background(self.clients.tell(watcher, watching), self._log, "watching a request")
        return succeed(None)


def _anything(head: bytes) -> None:
    """
    It is good.
    """


class Collecting:
    """
    The standard input of a client, on its way into *incoming*: the role `StdinFeed`.

    Either *complete* is called, with what was kept, or *broken*, with why nothing could be; once.  What a client sends
    after that is not heard.  *judge* sees how it begins before it is kept, and raises when that will not do.
    """

    def __init__(
        self,
        incoming: Incoming,
        complete: Callable[[Kept], None],
        broken: Callable[[BuildbotLiteError], None],
        judge: Callable[[bytes], None] = _anything,
    ) -> None:
        self._incoming = incoming
        self._judge = judge
        self._complete = complete
        self._broken = broken
        self._over = False

    def feed(self, data: bytes) -> None:
        """
        See `StdinFeed.feed`.
        """
        self._attempt(lambda: self._incoming.write(data))

    def close(self) -> None:
        """
        See `StdinFeed.close`.
        """
        kept: list[Kept] = []
        self._attempt(lambda: self._judge(self._incoming.head))
        self._attempt(lambda: kept.append(self._incoming.keep()))
        self._over = True
        for each in kept:
            self._complete(each)

    def give_up(self) -> None:
        """
        The client went away before it was done: nothing is asked for.
        """
        self._over = True
        self._incoming.abandon()

    def _attempt(self, work: Callable[[], None]) -> None:
        if self._over:
            return
        try:
            work()
        except BuildbotLiteError as error:
            self.give_up()
            self._broken(error)


class Reading:
    """
    The standard input of a client where it is properties: a short text, which is not kept.
    """

    def __init__(
        self, complete: Callable[[Properties], None], broken: Callable[[BuildbotLiteError], None], largest: int
    ) -> None:
        self._complete = complete
        self._broken = broken
        self._largest = largest
        self._text = bytearray()
        self._over = False

    def feed(self, data: bytes) -> None:
        """
        See `StdinFeed.feed`.
        """
        if self._over:
            return
        self._text += data
        if len(self._text) > self._largest:
            self.give_up()
            self._broken(InputError(f"The properties have more than {self._largest} bytes."))

    def close(self) -> None:
        """
        See `StdinFeed.close`.
        """
        if self._over:
            return
        text = bytes(self._text)
        self.give_up()
        try:
            properties = properties_from(text)
        except BuildbotLiteError as error:
            self._broken(error)
        else:
            self._complete(properties)

    def give_up(self) -> None:
        """
        The client went away, or all was said.
        """
        self._over = True
        self._text.clear()


class Submitting:
    """
    What the string of a Submit scheduler leads to: the roles `wire.flapp.Submission` and `wire.flapp.Upload`.

    *grant*: the number of the grant whose string that is.  Its limits are asked before anything is taken in.
    """

    _log = Logger()

    def __init__(self, scheduler: Submit, *, grant: int, door: Door, store: InputStore, following: Following) -> None:
        self._scheduler = scheduler
        self._grant = grant
        self._door = door
        self._store = store
        self._following = following
        self._clients = Clients()

    def execute(self, watcher: Watcher) -> Deferred[StdinFeed | None]:
        """
        See `Submission.execute`.
        """
        try:
            self._clients.check()
        except LimitError:
            return fail()  # it may not be listening to what is told otherwise
        try:
            admission = self._admit()
        except BuildbotLiteError as error:
            self._go(watcher, _raising(error))
            return succeed(None)
        if self._scheduler.stdin == "none":
            self._go(watcher, self._submit(admission, None, "", "", Properties()))
            return succeed(None)
        feed = self._feed(watcher, admission)

        def lost() -> None:
            feed.give_up()
            admission.release()

        watcher.when_lost(lost)
        return succeed(feed)

    def put(self, name: bytes, read: Read) -> Deferred[None]:
        """
        See `Upload.put`.
        """
        return Deferred.fromCoroutine(self._put(name.decode("utf-8", "replace"), read))

    def _admit(self) -> Admission:
        return self._door.admit(self._grant, self._scheduler)

    def _feed(self, watcher: Watcher, admission: Admission) -> Collecting | Reading:
        kind, largest = self._scheduler.stdin, admission.grant.largest

        def broken(error: BuildbotLiteError) -> None:
            admission.release()
            self._go(watcher, _raising(error))

        def read(properties: Properties) -> None:
            self._go(watcher, self._submit(admission, None, "", "", properties))

        def stored(kept: Kept) -> None:
            self._go(watcher, self._submit(admission, kept, kind, f"stdin.{kind}", Properties()))

        if kind == "properties":
            return Reading(read, broken, min(largest or LARGEST_PROPERTIES, LARGEST_PROPERTIES))
        return Collecting(self._store.receive(largest), stored, broken, lambda head: check_input(kind, head))

    async def _put(self, name: str, read: Read) -> None:
        admission = self._admit()
        incoming = self._store.receive(admission.grant.largest)
        kind = self._scheduler.file or "file"
        try:
            while data := await read(PIECE):
                incoming.write(data)
            check_input(kind, incoming.head)
            kept = incoming.keep()
        except BaseException:
            admission.release()
            raise
        finally:
            incoming.abandon()
        submitted = await self._submit(admission, kept, kind, name, Properties())
        self._log.info(
            "{name} ({length} bytes, sha256 {sha256}) is stored for {requests}",
            name=name,
            length=kept.length,
            sha256=kept.sha256,
            requests=_numbers(submitted),
        )

    async def _submit(
        self, admission: Admission, kept: Kept | None, kind: str, name: str, properties: Properties
    ) -> Submitted:
        try:
            return await self._door.submit(
                self._scheduler, admission, kept=kept, kind=kind, name=name, properties=properties
            )
        except StorageError as error:
            if isinstance(error, DiskFullError):
                raise
            # Where the records stand, and what ails them, is the admin's business.
            self._log.error("a submission could not be recorded: {why}", why=str(error))
            raise BuildbotLiteError("The farm cannot take this now.  Try again later.") from None
        finally:
            admission.release()

    def _go(self, watcher: Watcher, submitting: Awaitable[Submitted]) -> None:
        background(self._clients.tell(watcher, self._watch(watcher, submitting)), self._log, "a submission")

    async def _watch(self, watcher: Watcher, submitting: Awaitable[Submitted]) -> int:
        submitted = await submitting
        if self._scheduler.cancel_on_disconnect:
            cancelling = self._door.cancel
            watcher.when_lost(
                lambda: background(cancelling(submitted, "the client went away"), self._log, "cancelling a submission")
            )
        furl = await self._door.watch_furl(submitted)
        await watcher.stderr(f"# {_numbers(submitted)}: watch with {furl}\n".encode())
        return await _followed(watcher, self._following, submitted.buildset.id)


async def _followed(watcher: Watcher, following: Following, buildset: int) -> int:
    """
    The exit code, once all is told; `LinkLostError` as soon as the client is gone, so that nothing is kept for it.
    """
    telling = Deferred.fromCoroutine(following.follow(buildset, watcher))
    watcher.when_lost(telling.cancel)
    try:
        return await telling
    except CancelledError:
        raise LinkLostError from None


async def _told(watcher: Watcher, watching: Awaitable[int]) -> None:
    """
    Tell the client how it ended, also when it could not begin.
    """
    try:
        code = await watching
    except LinkLostError:
        return
    except BuildbotLiteError as error:
        await _complain(watcher, str(error))
        code = REFUSED
    except Exception:
        # A defect; whoever waits must not wait for ever.
        await _complain(watcher, "An error of the master itself.  The traceback is in its log.")
        await watcher.done(REFUSED)
        raise
    await watcher.done(code)


async def _complain(watcher: Watcher, sentence: str) -> None:
    # What went wrong may be that the client cannot write, its terminal being closed.  It must still hear the end.
    with suppress(BuildbotLiteError):
        await watcher.stderr(f"{sentence}\n".encode())


async def _raising(error: BuildbotLiteError) -> Submitted:
    raise error


def _numbers(submitted: Submitted) -> str:
    numbers = [str(request.id) for request in submitted.requests]
    return f"request {numbers[0]}" if len(numbers) == 1 else f"requests {', '.join(numbers)}"


def check_input(kind: str, head: bytes) -> None:
    """
    `InputError`, with what is wrong, if what begins with *head* cannot be a *kind* ("patch", "tar", "file").
    """
    if kind == "patch":
        if not head.strip():
            raise InputError("The patch is empty: there is nothing to try.  (For example: git diff | flappclient …)")
        if not any(line.startswith(_PATCH_MARKS) for line in head.splitlines()):
            raise InputError("What was submitted is no patch: it has no line that begins with 'diff ' or '--- '.")
    elif kind == "tar" and not (head.startswith(_COMPRESSIONS) or head[257:262] == b"ustar"):
        raise InputError("What was submitted is no tar archive, plain or compressed with gzip, bzip2 or xz.")


def properties_from(text: bytes) -> Properties:
    """
    The properties in lines ``name=value``; empty lines and lines that begin with # are skipped.
    """
    if len(text) > LARGEST_PROPERTIES:
        raise InputError(f"The properties have more than {LARGEST_PROPERTIES} bytes.")
    try:
        lines = text.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError("The properties are not UTF-8 text.") from None
    properties = Properties()
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise InputError(f"Line {number} of the properties is not name=value: {line!r:.100}")
        properties.set(name.strip(), value.strip(), "Submit")
    return properties
