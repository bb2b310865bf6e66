"""
Memory that was freed goes back to the system.
"""

import ctypes
import gc
import mmap
import unicodedata
import weakref
from pathlib import Path
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

    def test_code(self) -> None:
        """
        Promise 10.10: code of files is given back, and nothing else: neither what was written since it was mapped, nor
        what has no file.
        """
        told: list[tuple[int | None, int, int]] = []

        class Library:
            def malloc_trim(self, kept: int) -> int:
                return 1

            def madvise(self, start: ctypes.c_void_p, length: ctypes.c_size_t, advice: int) -> int:
                told.append((start.value, length.value, advice))
                return 0

        self.patch(ctypes, "CDLL", lambda name: Library())
        maps = Path(self.mktemp())
        maps.write_text(
            "1000-3000 r--p 00000000 fe:00 29734      /usr/lib/of a name/libx.so.1\n"
            "3000-8000 r-xp 00002000 fe:00 29734      /usr/lib/of a name/libx.so.1\n"
            "8000-9000 r--p 00007000 fe:00 29734      /usr/lib/of a name/libx.so.1\n"
            "9000-a000 rw-p 00008000 fe:00 29734      /usr/lib/of a name/libx.so.1\n"
            "a000-b000 rwxp 00009000 fe:00 29734      /usr/lib/of a name/libx.so.1\n"
            "b000-c000 rw-p 00000000 00:00 0 \n"
            "c000-d000 r-xp 00000000 00:00 0          [vdso]\n"
            "d000-e000 r-xp 00000000 fe:00 29735      /usr/lib/liby.so (deleted)\n"
        )
        heap.tidy(str(maps))
        self.assertEqual(told, [(0x3000, 0x5000, mmap.MADV_DONTNEED), (0xD000, 0x1000, mmap.MADV_DONTNEED)])

    def test_tables(self) -> None:
        """
        Promise 10.10: of files that can only be read, what is as in the file is given back, and nothing else: no
        mapping with a page that was changed before it was protected, in memory or in swap space.
        """
        told: list[tuple[int | None, int, int]] = []

        class Library:
            def madvise(self, start: ctypes.c_void_p, length: ctypes.c_size_t, advice: int) -> int:
                told.append((start.value, length.value, advice))
                return 0

        def mapping(line: str, *, anonymous: int = 0, swap: int = 0) -> str:
            return (
                f"{line}\nSize:                  8 kB\nRss:                   4 kB\nAnonymous: {anonymous:13} kB\n"
                f"AnonHugePages:         0 kB\nSwap: {swap:18} kB\nSwapPss:               0 kB\nVmFlags: rd mr mw me \n"
            )

        self.patch(ctypes, "CDLL", lambda name: Library())
        smaps = Path(self.mktemp())
        smaps.write_text(
            mapping("1000-3000 r--p 00000000 fe:00 29734      /usr/lib/of a name/libx.so.1")
            + mapping("3000-8000 r-xp 00002000 fe:00 29734      /usr/lib/of a name/libx.so.1")
            + mapping("8000-9000 r--p 00007000 fe:00 29734      /usr/lib/of a name/libx.so.1", anonymous=4)
            + mapping("9000-a000 r--p 00008000 fe:00 29734      /usr/lib/of a name/libx.so.1", swap=4)
            + mapping("a000-b000 rw-p 00009000 fe:00 29734      /usr/lib/of a name/libx.so.1")
            + mapping("b000-c000 r--p 00000000 00:00 0 ")
            + mapping("c000-d000 r--p 00000000 00:00 0          [vvar]")
            + mapping("d000-e000 r--s 00000000 fe:00 29735      /var/lib/shared")
            + mapping("7f0000000000-7f0000001000 r--p 00000000 fe:00 29736      /usr/lib/liby.so (deleted)")
        )
        heap.give_tables_back(str(smaps))
        expected = [(0x1000, 0x2000, mmap.MADV_DONTNEED), (0x7F0000000000, 0x1000, mmap.MADV_DONTNEED)]
        self.assertEqual(told, expected)

    def test_tables_of_another_system(self) -> None:
        """
        Where the system does not tell what was changed, nothing is given back.
        """
        heap.give_tables_back(str(Path(self.mktemp())))

    def test_goes_on(self) -> None:
        """
        Code that was given back runs as before, and tables that were given back have the same contents.
        """
        heap.tidy()
        heap.give_tables_back()
        self.assertEqual(ctypes.CDLL(None).abs(-7), 7)
        self.assertEqual(unicodedata.name("\u00e4"), "LATIN SMALL LETTER A WITH DIAERESIS")
