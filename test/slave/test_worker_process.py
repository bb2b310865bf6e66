"""
File jobs in real worker processes: their results, their limits, and their cancellation.
"""

# ruff: noqa: ASYNC230, ASYNC240 - small files of the test's own

import bz2
import os
import signal
import tarfile
from collections.abc import Mapping
from typing import Any
from unittest import mock

from twisted.internet import reactor  # noqa: TID251 - real processes
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from buildbot_lite.errors import FileError
from buildbot_lite.slave import file_jobs
from buildbot_lite.slave.file_jobs import (
    Job,
    pack_job,
    remove_job,
    sum_job,
    unpack_job,
)
from buildbot_lite.slave.file_worker import MOST_MEMORY
from buildbot_lite.slave.safe_paths import SafePaths
from buildbot_lite.slave.worker_process import RunningJob, WorkerProcesses
from buildbot_lite.storage.archive_input import Bounds

from .fakes import new_directory

BOUNDS = Bounds(size=1 << 40, members=1_000_000)


class WorkerTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        """
        A tree, and `Workers` for jobs with it.
        """
        self.directory = new_directory(self)
        self.paths = SafePaths(os.path.join(self.directory, "wörk"))
        self.paths.make(".")
        self.workers = WorkerProcesses(reactor)  # type: ignore[arg-type]  # it is one

    def path(self, name: str) -> str:
        """
        Return a path beside the tree.
        """
        return os.path.join(self.directory, name)

    async def done(self, job: Job, **how: Any) -> Mapping[str, Any]:
        """
        Return the result of *job*.
        """
        running = self.workers.start(job, **how)
        try:
            return await running.answer
        finally:
            await running.ended

    async def refused(self, job: Job, **how: Any) -> str:
        """
        Return the sentence with which *job* fails.
        """
        try:
            await self.done(job, **how)
        except FileError as error:
            return str(error)
        raise AssertionError("it was done")

    def bomb(self, streams: int) -> str:
        """
        Return a small archive that unpacks to *streams* GiB.
        """
        header = tarfile.TarInfo("zeros")
        header.size = 1 << 40
        stream = bz2.compress(bytes(64 << 20))
        with open(self.path("bomb"), "wb") as out:
            out.write(bz2.compress(header.tobuf(tarfile.GNU_FORMAT)) + 16 * streams * stream)
        return self.path("bomb")

    async def test_there_and_back(self) -> None:
        """
        A directory is packed, unpacked elsewhere, and removed, with names that are not ASCII or not UTF-8.
        """
        name = b"\xff\xc3\xbc"
        place = os.path.join(os.fsencode(self.paths.make("früher").path), name)
        with open(place, "wb") as out:
            out.write(b"contents")
        packed = await self.done(pack_job(self.paths, "früher", self.path("x.tar")))
        self.assertEqual(packed["size"], os.path.getsize(self.path("x.tar")))
        await self.done(unpack_job(self.paths, "später", self.path("x.tar"), self.path("staged"), bounds=BOUNDS))
        self.assertEqual(os.listdir(os.fsencode(os.path.join(self.paths.root, "später"))), [name])
        self.assertFalse(os.path.exists(self.path("staged")))
        await self.done(remove_job(self.paths, "früher"))
        self.assertEqual(os.listdir(self.paths.root), ["später"])

    async def test_sum(self) -> None:
        """
        The checksum of an open file is computed.
        """
        with open(self.path("x"), "w+b") as file:
            file.write(b"abc")
            file.flush()
            answer = await self.done(sum_job(file.fileno(), 3), descriptor=file.fileno())
        self.assertEqual(answer["sha256"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")

    async def test_refused(self) -> None:
        """
        Refusals arrive as a sentence, system errors as `OSError`.
        """
        job = unpack_job(self.paths, "a", self.path("x.tar"), self.path("staged"), bounds=BOUNDS)
        await self.assertFailure(Deferred.fromCoroutine(self.done(job)), FileNotFoundError)
        with open(self.path("x.tar"), "w") as out:
            out.write("nonsense")
        self.assertIn("no tar archive", await self.refused(job))

    async def test_memory(self) -> None:
        """
        Promise 6.15: an archive that needs more memory to be unpacked than there is for one ends with a sentence.
        """
        # The compression's dictionary needs 3 GiB to unpack.
        header = b"\x5d" + (3 << 30).to_bytes(4, "little") + b"\xff" * 8
        with open(self.path("x.tar"), "wb") as out:
            out.write(header + bytes(100))
        job = unpack_job(self.paths, "a", self.path("x.tar"), self.path("staged"), bounds=BOUNDS)
        self.assertIn("needs more than 160 MiB of memory", await self.refused(job))

    async def test_limit_of_memory(self) -> None:
        """
        Promise 6.15: a worker has a limit of memory, and its end in a job is a sentence.
        """
        running = self.workers.start(
            unpack_job(self.paths, "a", self.bomb(1024), self.path("staged"), bounds=BOUNDS), seconds=50
        )
        with open(f"/proc/{await self.started(running)}/limits") as limits:
            self.assertRegex(limits.read(), rf"Max address space +{MOST_MEMORY} ")
        running.answer.cancel()
        await self.assertFailure(running.answer, CancelledError)
        await running.ended
        with mock.patch.dict(file_jobs._JOBS, {"sum": mock.Mock(side_effect=MemoryError)}):
            self.assertIn("needs more memory than a slave may use", file_jobs.perform(sum_job(0, 1))["problem"])

    async def test_seconds(self) -> None:
        """
        Promise 6.15: a decompression bomb is stopped after the time limit, and leaves nothing in its place.
        """
        job = unpack_job(self.paths, "a", self.bomb(1024), self.path("staged"), bounds=BOUNDS)
        self.assertEqual(await self.refused(job, seconds=0.5), "The step took longer than its maxTime of 0.5 s.")
        self.assertEqual(os.listdir(self.paths.root), [])

    async def started(self, running: RunningJob) -> int:
        """
        Return the pid of the unpacking process once it has begun.
        """
        while not os.path.exists(self.path("staged/zeros")):
            await deferLater(reactor, 0.01)
        [pid] = [int(each) for each in os.listdir("/proc") if each.isdigit() and self.writes_here(each)]
        return pid

    def writes_here(self, pid: str) -> bool:
        """
        Return whether that process has a file of the staged directory open.
        """
        try:
            opened = [os.readlink(f"/proc/{pid}/fd/{each}") for each in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            return False
        return any(each.startswith(self.path("staged/")) for each in opened)

    async def test_cancelled(self) -> None:
        """
        Promise 6.15: cancelling kills the worker at once, in the middle of an endless member.
        """
        running = self.workers.start(
            unpack_job(self.paths, "a", self.bomb(1024), self.path("staged"), bounds=BOUNDS), seconds=50
        )
        pid = await self.started(running)
        running.answer.cancel()
        await self.assertFailure(running.answer, CancelledError)
        await running.ended
        self.assertFalse(os.path.exists(f"/proc/{pid}"))

    async def test_crashed(self) -> None:
        """
        Promise 6.15: a crashed worker is reported, and its job is not repeated.
        """
        running = self.workers.start(
            unpack_job(self.paths, "a", self.bomb(1024), self.path("staged"), bounds=BOUNDS), seconds=50
        )
        os.kill(await self.started(running), signal.SIGSEGV)
        error = await self.assertFailure(running.answer, FileError)
        self.assertIn("was ended by SIGSEGV", str(error))
        self.flushLoggedErrors()
        await running.ended
