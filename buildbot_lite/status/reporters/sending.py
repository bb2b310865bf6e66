"""
From the outbox to the receiver: the half of a reporter's loop that sends.

::

    due ──Reporter.send──► sent: forgotten
     ▲         ├─────────► failed: again later, after longer and longer times, up to `GIVE_UP_AFTER`
     └─────────┘ └───────► refused for good: given up, and noted for ``buildbot-lite status``

A message is sent at least once: a crash between sending and recording that repeats it, with the same key.  A message
that fails delays those about the same subject and no others.
"""

from collections.abc import Callable
from functools import partial

from attrs import evolve
from sqlalchemy import Connection
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from ...errors import RecordsClosedError
from ...model.time_limit import OverdueError, unlimited
from ...storage.records import outbox, states
from ...storage.records.outbox import OutboxMessage
from ...storage.roles import Records
from .calls import ReporterCalls, why
from .reporter import NotSentError, Outside, RefusedForGoodError

FIRST_PAUSE = 5.0
LONGEST_PAUSE = outbox.LONGEST_WAIT
GIVE_UP_AFTER = 3 * 86400.0
"""Seconds after which a message that could not be sent is dropped."""


class OutboxSender:
    """
    Sends the messages of one reporter, with the access that *outside* gives.
    """

    _log = Logger()

    def __init__(self, calls: ReporterCalls, *, records: Records, outside: Outside, wall: Callable[[], float]) -> None:
        self._calls = calls
        self._records = records
        # What a reporter calls is not limited as its own code is.
        self._outside = evolve(
            outside, in_thread=partial(unlimited, outside.in_thread), request=partial(unlimited, outside.request)
        )
        self._wall = wall

    async def send_some(self) -> bool:
        """
        Send some of the messages that are due; False: none is due.
        """
        due = await self._records.read(
            lambda connection: outbox.due(connection, self._calls.reporter.name, self._wall())
        )
        for message in due:
            await self._send(message)
        return bool(due)

    async def until_next(self) -> float | None:
        """
        The seconds until more may be sent; None: no message waits.
        """
        name = self._calls.reporter.name
        following = await self._records.read(lambda connection: outbox.next_due(connection, name))
        # One may have become due since `send_some` looked.
        return None if following is None else max(1.0, min(LONGEST_PAUSE, following - self._wall()))

    async def _send(self, message: OutboxMessage) -> None:
        try:
            await self._calls.in_time(self._calls.call("send", message, self._outside))
        except (RecordsClosedError, CancelledError):
            raise
        except RefusedForGoodError as error:
            await self._give_up(message, error)
        except (Exception, OverdueError) as error:  # noqa: BLE001 - code of master.cfg, or an earlier reporter's body
            if self._wall() < message.created + GIVE_UP_AFTER:
                await self._postpone(message, error)
            else:
                await self._give_up(message, error)
        else:
            await self._records.write(lambda connection: outbox.sent(connection, message.id))

    async def _postpone(self, message: OutboxMessage, error: BaseException) -> None:
        reason, until = why(error), self._wall() + back_off(message.attempts)
        left = error.left if isinstance(error, NotSentError) else None
        if not message.attempts:
            self._log.warn("{name} will try again: {why}", name=self._calls.reporter.name, why=reason)
        await self._records.write(lambda connection: outbox.failed(connection, message.id, reason, until, left))

    async def _give_up(self, message: OutboxMessage, error: BaseException) -> None:
        """
        Drop *message*, and note it for ``buildbot-lite status``.
        """
        reason, now = why(error), self._wall()
        self._log.error("{name} gave up a message: {why}", name=self._calls.reporter.name, why=reason)

        def change(connection: Connection) -> None:
            outbox.sent(connection, message.id)
            state = states.get(connection, self._calls.owner) or {}
            before = state.get("given_up") or {"messages": 0, "since": message.created}
            given_up = {"messages": before["messages"] + 1, "since": before["since"], "failure": reason}
            states.put(connection, self._calls.owner, {**state, "given_up": given_up}, now)

        await self._records.write(change)


def back_off(attempts: int) -> float:
    """
    Seconds to wait after so many earlier attempts and a failed one.
    """
    return float(min(FIRST_PAUSE * 4 ** min(attempts, 10), LONGEST_PAUSE))
