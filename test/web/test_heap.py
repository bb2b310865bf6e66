"""
Memory that was freed goes back to the system.
"""

import ctypes
from typing import Any

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
