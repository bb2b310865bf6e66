"""
A log file that another program moves.
"""

import os
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.logger import FileLogObserver, ILogObserver, LogPublisher
from twisted.python.logfile import LogFile
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.storage import log_file
from buildbot_lite.storage.log_file import (
    INTERVAL,
    reopen_moved,
    watch_log_files,
)


class LogFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A log as twistd makes it.
        """
        directory = self.mktemp()
        os.mkdir(directory)
        self.path = os.path.join(directory, "twistd.log")
        made: Any = LogFile.fromFullPath(self.path)
        self.file = made
        self.addCleanup(made.close)
        observer = FileLogObserver(made, lambda event: cast("str", event["log_format"]))
        self.publisher = LogPublisher(cast("ILogObserver", observer))

    def say(self, text: str) -> None:
        """
        Log something.
        """
        self.publisher({"log_format": f"{text}\n"})

    def contents(self, path: str) -> str:
        """
        The contents of a file.
        """
        with open(path) as file:
            return file.read()

    def test_moved(self) -> None:
        """
        Promise 6.13: after logrotate has moved the log, it continues in a new file with its name; no line is lost.
        """
        self.say("one")
        os.rename(self.path, f"{self.path}.1")
        self.say("two")
        reopen_moved(self.publisher)
        self.say("three")

        self.assertEqual(self.contents(f"{self.path}.1"), "one\ntwo\n")
        self.assertEqual(self.contents(self.path), "three\n")

    def test_replaced(self) -> None:
        """
        A new file that is there already is gone on with.
        """
        os.rename(self.path, f"{self.path}.1")
        with open(self.path, "w") as file:
            file.write("new\n")
        reopen_moved(self.publisher)
        self.say("one")

        self.assertEqual(self.contents(self.path), "new\none\n")

    def test_not_moved(self) -> None:
        """
        One that is at its place is let be.
        """
        before = self.file._file
        reopen_moved(self.publisher)
        self.assertIs(self.file._file, before)

    def test_cannot_be_opened(self) -> None:
        """
        If no new file can be created, the log continues in the old one.
        """
        os.rename(os.path.dirname(self.path), f"{os.path.dirname(self.path)}.gone")
        reopen_moved(self.publisher)
        self.say("one")

        self.assertEqual(self.contents(os.path.join(f"{os.path.dirname(self.path)}.gone", "twistd.log")), "one\n")

    def test_watched(self) -> None:
        """
        It is looked again and again, until that is ended.
        """
        clock, looks = Clock(), list[None]()
        self.patch(log_file, "reopen_moved", lambda: looks.append(None))
        watching = watch_log_files(clock)
        for _ in range(3):
            clock.advance(INTERVAL)
        watching.stop()
        self.assertEqual((len(looks), clock.getDelayedCalls()), (3, []))
