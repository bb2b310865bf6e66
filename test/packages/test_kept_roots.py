"""
The look for kept roots whose time is over.
"""

import os
import socket
import tempfile
from pathlib import Path
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.packages.building.kept_roots import KEPT, LONGEST_UNTIL, MOST_ENTRIES, any_expired

NOW = 1_000_000.0


class ExpiredTests(SynchronousTestCase):
    """
    What is over, whatever a build has put there.
    """

    def setUp(self) -> None:
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.work = Path(directory.name)
        self.kept = self.work / KEPT

    def until(self) -> Path:
        """
        Where the time of a kept root is written, in a new directory.
        """
        until = self.kept / f"b-{len(os.listdir(self.kept)) if self.kept.exists() else 1}" / "until"
        until.parent.mkdir(parents=True)
        return until

    def found(self) -> bool | None:
        """
        Whether any is over; None if that is not known within a minute.
        """
        answers: list[bool] = []
        looking = Thread(target=lambda: answers.append(any_expired(self.work, NOW)), daemon=True)
        looking.start()
        looking.join(60)
        return answers[0] if answers else None

    def test_times(self) -> None:
        """
        A time that has passed is over, and so is what is no time; without any, nothing is.
        """
        self.assertIs(self.found(), False)
        later = self.until()
        later.write_text(f"{NOW + 1:.0f}\n")
        (self.kept / "b-without").mkdir()
        (self.kept / ".incoming").mkdir()
        (self.kept / ".incoming" / "until").write_text("1\n")
        self.assertIs(self.found(), False)
        for text in (f"{NOW - 1:.0f}\n", "", "soon", "\xb2", " " * LONGEST_UNTIL + f"{NOW + 1:.0f}\n"):
            later.write_text(text)
            self.assertIs(self.found(), True, text)

    def test_no_files(self) -> None:
        """
        What is no file is damaged; it is not opened, nor what a link leads to.
        """
        until = self.until()
        other = self.work / "other"
        other.write_text(f"{NOW + 1:.0f}\n")
        with socket.socket(socket.AF_UNIX) as bound:
            for make in (
                lambda: os.mkfifo(until),
                lambda: until.symlink_to(other),
                lambda: until.symlink_to("/dev/zero"),
                lambda: bound.bind(str(until)),
            ):
                make()
                self.assertIs(self.found(), True)
                until.unlink()
        until.mkdir()
        self.assertIs(self.found(), True)

    def test_many(self) -> None:
        """
        Of more entries than are ever kept, not all are looked at: there is something to remove in any case.
        """
        self.kept.mkdir(parents=True)
        for number in range(MOST_ENTRIES):
            (self.kept / f"b-{number}").touch()
        self.assertIs(self.found(), False)
        (self.kept / "b-last").touch()
        self.assertIs(self.found(), True)
