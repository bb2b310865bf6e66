"""
Memory that was freed goes back to the system.
"""

import ctypes
import gc
import weakref
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.web.serving import heap


class HeapTests(SynchronousTestCase):
    """
    What the C library is told.
    """

    def test_told(self) -> None:
        """
        Promise 10.10: all threads share one arena, and large blocks are given back when they are freed: also a
        block that is larger than one that was freed before, for which glibc would raise its threshold.
        """
        told: dict[int, int] = {}

        class Library:
            def mallopt(self, parameter: int, value: int) -> int:
                told[parameter] = value
                return 1

        self.patch(ctypes, "CDLL", lambda name: Library())
        heap.keep_little()
        self.assertEqual(told, {-8: 1, -3: heap.LARGE, -1: 2 * heap.LARGE})

    def test_another_library(self) -> None:
        """
        A C library without these settings is left as it is.
        """
        library: Any = object()
        self.patch(ctypes, "CDLL", lambda name: library)
        heap.keep_little()
        heap.tidy()

    def test_tidied(self) -> None:
        """
        Promise 10.10: every few seconds garbage is collected, and what is free goes back to the system.
        """
        trimmed: list[int] = []

        class Library:
            def malloc_trim(self, kept: int) -> int:
                trimmed.append(kept)
                return 1

        class Knot:
            def __init__(self) -> None:
                self.itself = self

        self.patch(ctypes, "CDLL", lambda name: Library())
        clock = Clock()
        tidying = heap.keep_tidy(clock)
        gc.disable()
        self.addCleanup(gc.enable)
        gone = weakref.ref(Knot())
        self.assertIsNotNone(gone())
        clock.advance(heap.TIDIED)
        self.assertIsNone(gone())
        clock.advance(heap.TIDIED)
        self.assertEqual(trimmed, [0, 0])
        tidying.stop()
        self.assertEqual(clock.getDelayedCalls(), [])
