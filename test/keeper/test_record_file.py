"""
The keeper's record file on a disk that fails, and across crashes: every system call fails once, and every crash leaves
each state that a file system may leave.
"""

import contextlib
import errno
import io
import itertools
import os
from collections.abc import Iterator
from typing import Any, Self
from unittest import mock

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper import record_file
from buildbot_lite.keeper.record_file import RecordFile

PATH = "/keeper/claims"


class CrashError(BaseException):
    """
    Raised where the machine stops.
    """


@define(eq=False)
class Inode:
    """
    A file.  *durable*: the contents that every crash keeps.
    """

    data: bytes = b""
    durable: bytes = b""

    def after_crash(self) -> list[bytes]:
        """
        The contents that a crash may leave.
        """
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(self.data, self.durable, strict=False))
        kept = self.data[: sum(1 for _ in same)]
        unsynced = self.data[len(kept) :]
        torn = [kept + unsynced[:count] for count in {len(unsynced) // 2, max(len(unsynced) - 1, 0)}]
        return [self.durable, self.data, *torn, kept + b"\0" * len(unsynced)]


@define
class FakeDisk:
    """
    The functions of ``os`` that a record file calls.  Call number *fails_at*, from 0, raises *error* instead of taking
    effect; a write takes half of its effect before.
    """

    fails_at: int = -1
    error: type[CrashError] | int = errno.EIO
    names: dict[str, Inode] = field(factory=dict)
    durable_names: dict[str, Inode] = field(factory=dict)
    calls: int = 0
    _open: dict[int, Inode | None] = field(factory=dict)
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(3))
    path: Any = os.path

    def __getattr__(self, name: str) -> Any:
        # Constants such as O_RDWR.
        if name.startswith("O_"):
            return getattr(os, name)
        raise AttributeError(name)

    def _call(self) -> None:
        self.calls += 1
        if self.calls - 1 == self.fails_at:
            if isinstance(self.error, int):
                raise OSError(self.error, os.strerror(self.error))
            raise self.error

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        self._call()
        number = next(self._numbers)
        if path == os.path.dirname(PATH):
            self._open[number] = None
            return number
        inode = self.names.setdefault(path, Inode())
        if flags & os.O_TRUNC:
            inode.data = b""
        self._open[number] = inode
        return number

    def close(self, number: int) -> None:
        del self._open[number]

    def _inode(self, number: int) -> Inode:
        inode = self._open[number]
        assert inode is not None
        return inode

    def pwrite(self, number: int, data: bytes, offset: int) -> int:
        inode = self._inode(number)
        whole = inode.data.ljust(offset, b"\0")
        try:
            self._call()
        except BaseException:
            half = data[: len(data) // 2]
            inode.data = whole[:offset] + half + whole[offset + len(half) :]
            raise
        data = data[:40]  # a write may be short
        inode.data = whole[:offset] + data + whole[offset + len(data) :]
        return len(data)

    def ftruncate(self, number: int, length: int) -> None:
        self._call()
        self._inode(number).data = self._inode(number).data[:length]

    def fsync(self, number: int) -> None:
        self._call()
        inode = self._open[number]
        if inode is None:
            self.durable_names = dict(self.names)
        else:
            inode.durable = inode.data

    def fdatasync(self, number: int) -> None:
        self.fsync(number)

    def rename(self, old: str, new: str) -> None:
        self._call()
        self.names[new] = self.names.pop(old)

    def read(self, path: str, mode: str) -> io.BytesIO:
        """
        As the builtin ``open``.
        """
        return io.BytesIO(self.names[path].data)

    @property
    def open_files(self) -> int:
        return len(self._open)

    def after_crash(self) -> "Iterator[FakeDisk]":
        """
        The disks that a crash may leave.
        """
        for names in (self.durable_names, self.names):
            if PATH not in names:
                yield FakeDisk()
                continue
            for contents in names[PATH].after_crash():
                inode = Inode(contents, contents)
                yield FakeDisk(names={PATH: inode}, durable_names={PATH: inode})

    @contextlib.contextmanager
    def mounted(self) -> Iterator[Self]:
        """
        Let record files use this disk.
        """
        with (
            mock.patch.object(record_file, "os", self),
            mock.patch.object(record_file, "open", self.read, create=True),
        ):
            yield self


@define
class History:
    """
    The calls of a program on its record file.  *kept*: the records that must be in the file, in this order.
    *possible*: further records that may be in it.
    """

    kept: list[int] = field(factory=list)
    present: list[int] = field(factory=list)
    possible: set[int] = field(factory=set)
    unsure: list[list[int]] = field(factory=list)

    def run(self) -> None:
        """
        Append records, durably and not, and rewrite the file; continue after an error, as the keeper does.
        """
        records = RecordFile(PATH)
        numbers = itertools.count()
        for action in ("sync", "append", "sync", "rewrite", "sync", "append", "rewrite", "sync", "append", "sync"):
            if action == "rewrite":
                self._rewrite(records)
            else:
                self._append(records, next(numbers), sync=action == "sync")
        records.close()

    def _append(self, records: RecordFile, number: int, *, sync: bool) -> None:
        self.possible.add(number)
        with contextlib.suppress(OSError):
            records.append(record(number), sync=sync)
            self.present.append(number)
            if sync:
                self.kept[:] = self.present

    def _rewrite(self, records: RecordFile) -> None:
        left = self.present[1:]
        # From now on the first one may be missing.
        self.kept = [number for number in self.kept if number in left]
        with contextlib.suppress(OSError):
            records.rewrite(map(record, left))
        self.present = [each["n"] for each in records.read()]
        assert self.present in (left, self.present[:1] + left)


def record(number: int) -> dict[str, Any]:
    """
    A record; the lengths differ, so that a shorter line does not hide the end of a longer one.
    """
    return {"n": number, "text": "x" * (50 * (number % 3))}


def numbers_in(disk: FakeDisk) -> list[int]:
    """
    The numbers of the records that the next program reads.
    """
    with disk.mounted():
        records = RecordFile(PATH)
        found = list(records.read())
        # It goes on after the last whole line.
        records.append(record(99), sync=True)
        assert [*found, record(99)] == list(records.read()), found
    assert all(each == record(each["n"]) for each in found), found
    return [each["n"] for each in found]


class RecordFileFaultTests(SynchronousTestCase):
    """
    Promise 1.3: records that were appended durably are in the file after each crash.
    """

    def judge(self, history: History, disk: FakeDisk, what: str) -> None:
        """
        Check that the file contains each required record once, undamaged and in order.
        """
        found = numbers_in(disk)
        self.assertEqual(found, sorted(set(found)), what)
        self.assertLessEqual(set(history.kept), set(found), what)
        self.assertLessEqual(set(found), history.possible, what)

    def faulty(self, fails_at: int, error: type[CrashError] | int) -> tuple[History, FakeDisk, bool]:
        """
        Run a history in which call number *fails_at* fails; return it, and whether that call happened.
        """
        history, disk = History(), FakeDisk(fails_at, error)
        with disk.mounted(), contextlib.suppress(CrashError):
            try:
                history.run()
            except OSError:
                self.assertEqual(history.possible, set(), "the file could not be opened")
        return history, disk, disk.calls > fails_at

    def test_crashes(self) -> None:
        """
        A crash at any system call loses no durable record, for each choice of the unsynced bytes and names that
        survive.
        """
        for fails_at in itertools.count():
            history, disk, reached = self.faulty(fails_at, CrashError)
            for state in disk.after_crash():
                self.judge(history, state, f"crash at call {fails_at}")
            if not reached:
                break
        self.assertGreater(fails_at, 30)

    def test_errors(self) -> None:
        """
        When the disk is full or fails at any system call, only the current record is lost; later records are as durable
        as usual, also when the machine stops afterwards.
        """
        for error in (errno.ENOSPC, errno.EIO):
            for fails_at in itertools.count():
                history, disk, reached = self.faulty(fails_at, error)
                self.assertLessEqual(disk.open_files, 1, f"call {fails_at}")
                for state in disk.after_crash():
                    self.judge(history, state, f"{errno.errorcode[error]} at call {fails_at}")
                if not reached:
                    break
