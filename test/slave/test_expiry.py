"""
The removal of what a slave keeps for a time.
"""

import os
from collections.abc import Callable
from errno import EMFILE
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.slave.expiry import LOOK_EVERY, Expiry
from buildbot_lite.slave.removal import Removal

from .fakes import new_directory


class ExpiryTests(SynchronousTestCase):
    """
    The times at which it looks, and the program.
    """

    def setUp(self) -> None:
        super().setUp()
        self.directory = Path(new_directory(self))
        self.clock = Clock()
        self.over = False
        self.looks = 0
        self.errors: list[Exception] = []
        self.held = False
        self.started: list[Deferred[Any]] = []
        self.script = "echo $NAME >>removed"

    def made(self) -> Expiry:
        """
        A new one, which is stopped at the end.
        """
        expiry = Expiry(
            expired=self.expired,
            words=lambda: ["sh", "-c", self.script],
            removal=Removal(str(self.directory), {"PATH": os.environ["PATH"], "NAME": "root"}, self.in_thread),
            clock=self.clock,
        )
        expiry.start()
        self.addCleanup(expiry.stop)
        return expiry

    def in_thread(self, work: Callable[[], Any]) -> Deferred[Any]:
        """
        Runs *work* at once, unless threads are `held`: then it is `started` only.
        """
        if not self.held:
            return maybeDeferred(work)
        self.started.append(Deferred())
        return self.started[-1]

    def expired(self) -> bool:
        """
        Whether the time of anything is over.
        """
        self.looks += 1
        if self.errors:
            raise self.errors.pop()
        return self.over

    def removed(self) -> str:
        """
        What the program has written.
        """
        path = self.directory / "removed"
        return path.read_text() if path.exists() else ""

    def test_removed(self) -> None:
        """
        Promise 9.4: the program runs when the time of something is over, and not otherwise, until the slave stops.
        """
        expiry = self.made()
        self.clock.advance(LOOK_EVERY)
        self.assertEqual((self.looks, self.removed()), (1, ""))
        self.over = True
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.removed(), "root\n")
        expiry.stop()
        self.clock.advance(LOOK_EVERY)
        self.assertEqual((self.looks, self.removed()), (2, "root\n"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failing(self) -> None:
        """
        A program that fails or is not there does not stop the next attempt.
        """
        self.over = True
        self.made()
        for script in ("exit 3", "echo it is in use >&2; exit 1"):
            self.script = script
            self.clock.advance(LOOK_EVERY)
        self.script = "echo again >>removed"
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.removed(), "again\n")

    def test_no_look(self) -> None:
        """
        Promise 9.4: after a look or a removal that fails, whatever the reason, the next one comes at its time.
        """
        expiry = self.made()
        self.over = True
        self.errors = [OSError(EMFILE, "Too many open files"), ValueError("?")]
        for error in (ValueError, OSError):
            self.clock.advance(LOOK_EVERY)
            self.assertEqual(len(self.flushLoggedErrors(error)), 1)
        words = expiry._words

        def none() -> list[str]:
            raise KeyError

        expiry._words = none
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        expiry._words = words
        self.clock.advance(LOOK_EVERY)
        self.assertEqual((self.looks, self.removed()), (4, "root\n"))

    def test_stopped_meanwhile(self) -> None:
        """
        The program is ended when the slave stops.
        """
        expiry = self.made()
        self.held, started = True, self.started
        self.clock.advance(LOOK_EVERY)
        # The look itself is in a thread, too.
        self.assertEqual((len(started), self.looks), (1, 0))
        started[0].callback(True)
        self.assertEqual(len(started), 2)
        expiry.stop()
        self.assertTrue(expiry._unwanted.is_set())
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(len(started), 2)
