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
from typing import Protocol

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger

from ..errors import BuildbotLiteError, InputError, LinkLostError
from ..master.vocabulary import Submit
from ..model.properties import Properties
from ..storage.inputs import Incoming, InputStore, Kept
from ..storage.records.requests import Submitted
from ..wire.background import background
from ..wire.flapp import Read, StdinFeed, Watcher
from .following import Following

PIECE = 256 << 10
LARGEST_PROPERTIES = 256 << 10
REFUSED = 2
"""The exit code for input that cannot be used."""

_PATCH_MARKS = (b"diff --git ", b"--- ", b"Index: ", b"diff -", b"*** ", b"From ")
_COMPRESSIONS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")


class Door(Protocol):
    """
    How submissions get into the farm.
    """

    async def submit(
        self, scheduler: Submit, *, kept: Kept | None, kind: str, name: str, properties: Properties
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


@frozen
class Watching:
    """
    What a watch string leads to: the role `wire.flapp.Submission`.
    """

    following: Following
    buildset: int

    _log = Logger()

    def execute(self, watcher: Watcher) -> Deferred[StdinFeed | None]:
        """
        See `Submission.execute`.
        """
        background(_told(watcher, _followed(watcher, self.following, self.buildset)), self._log, "watching a request")
        return succeed(None)


class Collecting:
    """
    The standard input of a client, on its way into *incoming*: the role `StdinFeed`.

    Either *complete* is called, with what was kept, or *broken*, with why nothing could be; once.  What a client sends
    after that is not heard.
    """

    def __init__(
        self, incoming: Incoming, complete: Callable[[Kept], None], broken: Callable[[BuildbotLiteError], None]
    ) -> None:
        self._incoming = incoming
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


class Submitting:
    """
    What the string of a Submit scheduler leads to: the roles `wire.flapp.Submission` and `wire.flapp.Upload`.
    """

    _log = Logger()

    def __init__(self, scheduler: Submit, *, door: Door, store: InputStore, following: Following) -> None:
        self._scheduler = scheduler
        self._door = door
        self._store = store
        self._following = following

    def execute(self, watcher: Watcher) -> Deferred[StdinFeed | None]:
        """
        See `Submission.execute`.
        """
        if self._scheduler.stdin == "none":
            self._go(watcher, self._submit(None, "", "", Properties()))
            return succeed(None)
        collecting = Collecting(
            self._store.receive(),
            lambda kept: self._go(watcher, self._submit_kept(kept)),
            lambda error: self._go(watcher, _raising(error)),
        )
        watcher.when_lost(collecting.give_up)
        return succeed(collecting)

    def put(self, name: bytes, read: Read) -> Deferred[None]:
        """
        See `Upload.put`.
        """
        return Deferred.fromCoroutine(self._put(name.decode("utf-8", "replace"), read))

    async def _put(self, name: str, read: Read) -> None:
        incoming = self._store.receive()
        try:
            while data := await read(PIECE):
                incoming.write(data)
            kept = incoming.keep()
        finally:
            incoming.abandon()
        kind = self._scheduler.file or "file"
        check_input(kind, self._store, kept)
        submitted = await self._submit(kept, kind, name, Properties())
        self._log.info(
            "{name} ({length} bytes, sha256 {sha256}) is stored for {requests}",
            name=name,
            length=kept.length,
            sha256=kept.sha256,
            requests=_numbers(submitted),
        )

    async def _submit_kept(self, kept: Kept) -> Submitted:
        if self._scheduler.stdin == "properties":
            text = self._store.read(kept.sha256, 0, LARGEST_PROPERTIES + 1)
            self._store.discard(kept.sha256)
            return await self._submit(None, "", "", properties_from(text))
        kind = self._scheduler.stdin
        check_input(kind, self._store, kept)
        return await self._submit(kept, kind, f"stdin.{kind}", Properties())

    async def _submit(self, kept: Kept | None, kind: str, name: str, properties: Properties) -> Submitted:
        return await self._door.submit(self._scheduler, kept=kept, kind=kind, name=name, properties=properties)

    def _go(self, watcher: Watcher, submitting: Awaitable[Submitted]) -> None:
        background(_told(watcher, self._watch(watcher, submitting)), self._log, "a submission")

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
        await watcher.stderr(f"{error}\n".encode())
        code = REFUSED
    except Exception:
        # A defect; whoever waits must not wait for ever.
        await watcher.stderr(b"An error of the master itself.  The traceback is in its log.\n")
        await watcher.done(REFUSED)
        raise
    await watcher.done(code)


async def _raising(error: BuildbotLiteError) -> Submitted:
    raise error


def _numbers(submitted: Submitted) -> str:
    numbers = [str(request.id) for request in submitted.requests]
    return f"request {numbers[0]}" if len(numbers) == 1 else f"requests {', '.join(numbers)}"


def check_input(kind: str, store: InputStore, kept: Kept) -> None:
    """
    `InputError`, with what is wrong, if what was submitted cannot be a *kind* ("patch", "tar", "file").
    """
    head = store.read(kept.sha256, 0, 64 << 10)
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
