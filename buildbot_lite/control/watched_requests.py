"""
Watch requests: the objects that watch FURLs lead to, and what every client that follows is told at the end.
"""

from collections.abc import Awaitable
from contextlib import suppress

from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.logger import Logger

from ..deferreds import background
from ..errors import BuildbotLiteError, LimitError, LinkLostError, WrongVerbError
from ..model.display import printable
from ..status.following import LogFollower
from ..wire.flapp import TAKES_NO_FILE
from ..wire.flapp_roles import Read, StdinFeed, Watcher
from ..wire.limits.account import Account

REFUSED = 2
"""The exit code for an unusable input."""


@frozen
class WatchTarget:
    """
    The object that a watch FURL leads to: the roles `wire.flapp.Submission` and `Watchable`.
    """

    follower: LogFollower
    buildset: int
    account: Account = field(factory=Account)

    _log = Logger()

    def execute(self, watcher: Watcher) -> Deferred[StdinFeed | None]:
        try:
            self.watch(watcher)
        except LimitError:
            return fail()
        return succeed(None)

    def watch(self, watcher: Watcher, request: int | None = None) -> None:
        self.account.check_following()
        watching = followed(watcher, self.follower, self.buildset, self.account, request)
        background(report_end(self.account, watcher, watching), self.account.log, "watching a request")

    def put(self, name: bytes, read: Read) -> Deferred[None]:
        return fail(WrongVerbError(TAKES_NO_FILE))


async def followed(
    watcher: Watcher, follower: LogFollower, buildset: int, account: Account, request: int | None = None
) -> int:
    """
    Follow to the end, and return the exit code; `LinkLostError` as soon as the client is gone, to free everything.
    """
    telling = Deferred.fromCoroutine(follower.follow(buildset, watcher, account, request=request))
    watcher.when_lost(telling.cancel)
    try:
        return await telling
    except CancelledError:
        raise LinkLostError from None


async def report_end(account: Account, watcher: Watcher, watching: Awaitable[int]) -> None:
    """
    Send the client the end of *watching*, also if that failed at once.  A client that does not read stays on the
    account.
    """
    with account.following():
        try:
            code = await watching
        except LinkLostError:
            return
        except BuildbotLiteError as error:
            await _complain(watcher, str(error))
            code = REFUSED
        except Exception:
            # This is a defect of the master; the client must not wait for ever.
            await _complain(watcher, "An error of the master itself.  The traceback is in its log.")
            await watcher.done(REFUSED)
            raise
        await watcher.done(code)


async def _complain(watcher: Watcher, sentence: str) -> None:
    # The client's terminal may be closed, which is no reason to withhold the exit code.
    with suppress(BuildbotLiteError):
        await watcher.stderr(f"{printable(sentence)}\n".encode())


async def raising(error: BuildbotLiteError) -> int:
    """
    Work that fails with *error*, for `report_end`.
    """
    raise error
