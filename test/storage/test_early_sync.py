"""
Long streams are brought to the disk while they are received.
"""

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import DiskFullError, FileError
from buildbot_lite.storage import early_sync
from buildbot_lite.storage.early_sync import EarlySync
from buildbot_lite.storage.streams import StreamFile


class EarlySyncTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        Two streams, of which four bytes are much.
        """
        self.patch(early_sync, "UNSYNCED", 4)
        self.threads: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self.synced: list[str] = []
        self.patch(os, "fdatasync", lambda fd: self.synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))))
        self.early_sync = EarlySync(self.in_thread)
        self.directory = os.path.abspath(self.mktemp())
        self.one, self.two = self.stream("one"), self.stream("two")

    def stream(self, name: str) -> StreamFile:
        """
        A stream without any byte.
        """
        file = StreamFile(os.path.join(self.directory, name), what=f"log {name}")
        self.addCleanup(file.close)
        return file

    def in_thread(self, work: Callable[[], Any]) -> Deferred[Any]:
        """
        Keep *work* until `work_in_thread`.
        """
        done: Deferred[Any] = Deferred()
        self.threads.append((work, done))
        return done

    def work_in_thread(self) -> None:
        """
        Do the work of the thread, of which there is one at most.
        """
        [(work, done)] = self.threads
        self.threads.clear()
        done.callback(work())

    def receive(self, file: StreamFile, data: bytes) -> None:
        """
        Append *data*.
        """
        file.append(file.length, data)
        self.early_sync.grown(file)

    def test_crossed_by_a_seal(self) -> None:
        """
        Promise 7.6: a seal that comes while an early sync gets the disk's error, which the kernel tells once, fails.
        """
        entered, noted = threading.Event(), threading.Event()
        early: list[int] = []

        def fdatasync(descriptor: int) -> None:
            if threading.get_ident() in early:
                entered.set()
                assert noted.wait(60)
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        self.patch(os, "fdatasync", fdatasync)
        self.receive(self.one, b"abcd")
        [(work, _)] = self.threads
        ended: list[object] = []

        def sync() -> None:
            early.append(threading.get_ident())
            work()

        def seal() -> None:
            try:
                ended.append(self.one.seal(4, hashlib.sha256(b"abcd").hexdigest()))
            except FileError as error:
                ended.append(error)

        threads = [threading.Thread(target=each, daemon=True) for each in (sync, seal)]
        threads[0].start()
        self.assertTrue(entered.wait(60))
        threads[1].start()
        # Time enough for a seal that would not wait.  One that waits makes no difference.
        threads[1].join(0.3)
        noted.set()
        for thread in threads:
            thread.join(60)
        self.assertEqual([type(each) for each in ended], [FileError])

    def test_now_and_then(self) -> None:
        """
        Promise 7.6: a stream is synced after each so many bytes, in a thread, while further bytes come.
        """
        self.receive(self.one, b"abc")
        self.assertEqual(self.threads, [])
        self.receive(self.one, b"d")
        self.assertEqual(self.synced, [])
        self.receive(self.one, b"efghijk")
        self.work_in_thread()
        self.assertEqual(self.synced, ["one"])
        self.receive(self.one, b"l")
        self.work_in_thread()
        self.assertEqual(self.synced, ["one", "one"])
        self.receive(self.one, b"mno")
        self.assertEqual(self.threads, [])

    def test_one_at_a_time(self) -> None:
        """
        Streams are not synced at the same time: they would take all threads.
        """
        self.receive(self.one, b"abcd")
        self.receive(self.two, b"abcd")
        self.work_in_thread()
        self.receive(self.two, b"e")
        self.work_in_thread()
        self.assertEqual(self.synced, ["one", "two"])

    def test_end_counts_when_all_is_synced(self) -> None:
        """
        Promise 7.6: an early sync does not replace the one at the end, also if it is done only after that.
        """
        self.receive(self.one, b"abcd")
        self.assertTrue(self.one.seal(4, hashlib.sha256(b"abcd").hexdigest()))
        self.assertEqual(self.synced, ["one"])
        self.work_in_thread()

    def test_failed(self) -> None:
        """
        Promise 7.6: a stream of which an early sync failed is never sealed: the system reports a lost page only once.
        """
        for number in (errno.EIO, errno.ENOSPC):
            with self.subTest(number=number):
                file = self.stream(f"failed-{number}")

                def fail(fd: int, number: int = number) -> None:
                    raise OSError(number, os.strerror(number))

                patched = self.patch(os, "fdatasync", fail)
                self.receive(file, b"abcd")
                self.work_in_thread()
                patched.restore()
                for _ in range(2):
                    error = self.assertRaises(FileError, file.seal, 4, hashlib.sha256(b"abcd").hexdigest())
                    self.assertNotIsInstance(error, DiskFullError)
                    self.assertIn(f"log failed-{number} cannot be stored on the master", str(error))
                self.assertFalse(file.is_sealed)

    def test_removed(self) -> None:
        """
        A file that was removed or renamed meanwhile, as a sealed artifact is, needs no sync.
        """
        self.receive(self.one, b"abcd")
        self.one.discard()
        self.work_in_thread()
        self.assertEqual(self.synced, [])
