"""
When a command's pipes are read.  The pipes are real, the clock is a fake.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any, cast

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from buildbot_lite.keeper.command_io import CommandIO, ReadUntil
from buildbot_lite.keeper.context import KeeperContext, WaitLimits
from buildbot_lite.keeper.outcome import OutcomeRecorder
from buildbot_lite.keeper.spawn import Spawned, spawn
from buildbot_lite.keeper.start_request import read_start_request

from .test_termination import FakeLoop


class WatchingLoop(FakeLoop):
    """
    A `FakeLoop` that also watches descriptors: `turn` calls their callbacks as if they were ready.
    """

    def __init__(self) -> None:
        super().__init__()
        self.watched: dict[int, Callable[[], object]] = {}

    def watch(self, fd: int, ready: Callable[[], object], events: int = 0) -> None:
        self.watched[fd] = ready

    def unwatch(self, fd: int) -> None:
        self.watched.pop(fd, None)

    def turn(self) -> None:
        """
        Call the callbacks of all watched descriptors once.
        """
        for ready in list(self.watched.values()):
            ready()


class CommandIOTests(SynchronousTestCase):
    """
    One command with one pipe.
    """

    def setUp(self) -> None:
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        os.makedirs(os.path.join(directory, "commands", "a-1"))
        self.loop = WatchingLoop()
        self.ended: list[bool] = []
        context = KeeperContext(
            directory=directory,
            loop=cast(Any, self.loop),
            store=cast(Any, None),
            tracker=cast(Any, None),
            process_sets={},
            notifier=cast(Any, None),
            wait_limits=WaitLimits(),
            portable_spawn=False,
        )
        self.io = CommandIO(
            "a-1",
            read_start_request({"spec": {"argv": ["x"]}, "workdir": directory}),
            context=context,
            recorder=OutcomeRecorder(cast(Any, self.loop)),
            grew=lambda: None,
            kill=lambda why, sentence: None,
            ended=lambda: self.ended.append(True),
        )
        read, self.write = os.pipe()
        self.addCleanup(os.close, self.write)
        os.set_blocking(read, False)
        self.io.begin(Spawned(pid=1, outputs={"stdio": read}, feed=-1))

    def test_line_by_line(self) -> None:
        """
        The first line is read at once; lines within the next millisecond are read together at its end.
        """
        lengths = []
        for _ in range(4):
            os.write(self.write, b"0123456789")
            self.loop.turn()
            lengths.append(self.io.lengths().get("stdio", 0))
        self.loop.pass_by(0.001)
        self.loop.turn()
        lengths.append(self.io.lengths()["stdio"])

        self.assertEqual(lengths, [10, 10, 10, 10, 40])

    def test_much(self) -> None:
        """
        A command that writes much is read without pauses.
        """
        for count in range(1, 5):
            os.write(self.write, bytes(32 << 10))
            self.loop.turn()
            self.assertEqual(self.io.lengths(), {"stdio": count * (32 << 10)})

    def test_end(self) -> None:
        """
        When the command ends, its output is read without waiting for the rest of the millisecond.
        """
        os.write(self.write, b"line\n")
        self.loop.turn()
        os.write(self.write, b"last\n")
        self.io.finish(ReadUntil.EMPTY)

        self.assertEqual((self.io.lengths(), self.ended), ({"stdio": 10}, [True]))
        self.loop.pass_by(1)
        self.assertEqual(self.loop.watched, {})


class PipeTests(SynchronousTestCase):
    def test_room(self) -> None:
        """
        Where the system allows it, a pipe holds 256 KiB of unread output.
        """
        ours = os.pipe()
        for end in ours:
            self.addCleanup(os.close, end)
        try:
            fcntl.fcntl(ours[0], fcntl.F_SETPIPE_SZ, 256 << 10)
        except (AttributeError, OSError) as error:
            raise SkipTest("no such pipes here") from error
        spawned = spawn(
            [b"true"],
            {b"PATH": os.environb[b"PATH"]},
            workdir="/",
            stdin_path=None,
            feed=False,
            pty=False,
            separate_stderr=False,
        )
        self.addCleanup(os.waitpid, spawned.pid, 0)
        self.addCleanup(os.close, spawned.outputs["stdio"])

        self.assertEqual(fcntl.fcntl(spawned.outputs["stdio"], fcntl.F_GETPIPE_SZ), 256 << 10)
