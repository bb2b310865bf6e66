"""
The removal of what builds have left that are over.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.slave.leftovers import AGAIN_AFTER, MOST_ATTEMPTS, LeftoverKind, Leftovers
from buildbot_lite.slave.removal import Removal

from .fakes import new_directory

FOUND = {"t-amd64/build": "1", "t-amd64/build-2": "2", "t-amd64/build-22": "3", "s-i386/build": "4"}


class LeftoversTests(SynchronousTestCase):
    """
    Which directories are removed, and how often that is tried.
    """

    def setUp(self) -> None:
        super().setUp()
        self.directory = Path(new_directory(self))
        self.clock = Clock()
        self.asked: list[Mapping[str, str]] = []
        self.script = "true"
        self.error: Exception | None = None
        self.held: list[Deferred[Any]] | None = None
        kind = LeftoverKind(self.found, self.words)
        removal = Removal(str(self.directory), {"PATH": os.environ["PATH"]}, self.in_thread)
        self.leftovers = Leftovers(kind, removal, self.clock)
        self.addCleanup(self.leftovers.stop)

    def found(self) -> Mapping[str, str]:
        """
        What builds have left.
        """
        if self.error is not None:
            raise self.error
        return FOUND

    def words(self, left: Mapping[str, str]) -> Sequence[str]:
        """
        The words of the program, which are recorded.
        """
        self.asked.append(left)
        return ["sh", "-c", self.script]

    def in_thread(self, work: Callable[[], Any]) -> Deferred[Any]:
        """
        Runs *work* at once, unless threads are `held`.
        """
        if self.held is None:
            return maybeDeferred(work)
        self.held.append(Deferred())
        return self.held[-1]

    def removed(self, *building: str) -> list[list[str]]:
        """
        The directories that are removed while these builds go on, by program.
        """
        found = self.successResultOf(Deferred.fromCoroutine(self.leftovers.find()))
        self.leftovers.remove(found, building)
        return [sorted(each) for each in self.asked]

    def test_builds_that_go_on(self) -> None:
        """
        Promise 9.4: the directories of builds that go on stay, and those of a builder whose builds share one.
        """
        self.assertEqual(self.removed("t-amd64/build", "t-amd64/build-22"), [["s-i386/build", "t-amd64/build-2"]])
        self.assertEqual(self.removed("t-amd64", "s-i386/build")[1:], [])
        self.assertEqual(self.removed()[1:], [sorted(FOUND)])

    def test_failing(self) -> None:
        """
        What cannot be removed is tried again, a few times.
        """
        self.script = "echo it is in use >&2; exit 1"
        self.removed()
        for _attempt in range(2 * MOST_ATTEMPTS):
            self.clock.advance(AGAIN_AFTER)
        self.assertEqual(len(self.asked), MOST_ATTEMPTS)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_found(self) -> None:
        """
        When the disk cannot be read, nothing is removed, and the slave attaches.
        """
        self.error = OSError(5, "Input/output error")
        self.assertEqual(self.removed(), [])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_one_at_a_time(self) -> None:
        """
        The next welcome, and the end of the slave, end the program; a failure of it is not tried again then.
        """
        self.held = []
        self.leftovers.remove(FOUND, ())
        first = self.leftovers._unwanted
        self.leftovers.remove(FOUND, ())
        self.assertTrue(first.is_set())
        self.assertFalse(self.leftovers._unwanted.is_set())
        self.assertEqual(len(self.held), 2)
        self.leftovers.stop()
        self.assertTrue(self.leftovers._unwanted.is_set())
        self.assertEqual(self.clock.getDelayedCalls(), [])
