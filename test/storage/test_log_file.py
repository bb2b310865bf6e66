"""
A log file that another program renames.
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
        A log file as twistd creates it.
        """
        directory = self.mktemp()
        os.mkdir(directory)
        self.path = os.path.join(directory, "twistd.log")
        made: Any = LogFile.fromFullPath(self.path)
        self.file = made
        self.addCleanup(made.close)
        observer = FileLogObserver(made, lambda event: cast("str", event["log_format"]))
        self.publisher = LogPublisher(cast("ILogObserver", observer))

    def log(self, text: str) -> None:
        """
        Log a line.
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
        self.log("one")
        os.rename(self.path, f"{self.path}.1")
        self.log("two")
        reopen_moved(self.publisher)
        self.log("three")

        self.assertEqual(self.contents(f"{self.path}.1"), "one\ntwo\n")
        self.assertEqual(self.contents(self.path), "three\n")

    def test_replaced(self) -> None:
        """
        If a new file exists already, the log is appended to it.
        """
        os.rename(self.path, f"{self.path}.1")
        with open(self.path, "w") as file:
            file.write("new\n")
        reopen_moved(self.publisher)
        self.log("one")

        self.assertEqual(self.contents(self.path), "new\none\n")

    def test_not_moved(self) -> None:
        """
        A log file that was not moved is not reopened.
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
        self.log("one")

        self.assertEqual(self.contents(os.path.join(f"{os.path.dirname(self.path)}.gone", "twistd.log")), "one\n")

    def test_watched(self) -> None:
        """
        Log files are checked at intervals until the watch is stopped.
        """
        clock, looks = Clock(), list[None]()
        self.patch(log_file, "reopen_moved", lambda: looks.append(None))
        watching = watch_log_files(clock)
        for _ in range(3):
            clock.advance(INTERVAL)
        watching.stop()
        self.assertEqual((len(looks), clock.getDelayedCalls()), (3, []))
