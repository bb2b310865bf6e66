"""
The keeper's store of commands on disk.
"""

import errno
import os
import shutil
import tempfile
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper import earlier_records
from buildbot_lite.keeper.command_store import CommandStore, FinishedCommand
from buildbot_lite.keeper.earlier_commands import earlier_commands
from buildbot_lite.keeper.running_commands import running_commands


class PrivateDirectoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A store with one command, which can write into its private directory.
        """
        self.directory = os.path.realpath(tempfile.mkdtemp(prefix="store-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.directory)
        self.store = CommandStore(self.directory)
        self.addCleanup(self.store.close)
        self.store.claim("a-1", "f", ["stdio"])
        self.private = self.store.make_private("a-1")

    def test_deep(self) -> None:
        """
        Promise 6.16: the keeper removes directories of any depth that a command created beside its private files.
        """
        here = os.open(self.private, os.O_RDONLY)
        for _ in range(3000):
            os.mkdir("x", dir_fd=here)
            there = os.open("x", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = there
        os.close(here)
        self.store.remove_private("a-1")
        self.assertFalse(os.path.lexists(self.private))
        self.store.forget("a-1")
        self.assertFalse(os.path.lexists(self.store.directory("a-1")))

    def test_links(self) -> None:
        """
        Promise 6.16: a link that a command created there is removed, and its target stays.
        """
        outside = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, outside)
        os.mkdir(os.path.join(outside, "kept"))
        os.symlink(outside, os.path.join(self.private, "door"))
        os.rename(self.private, self.private + ".old")
        os.symlink(outside, self.private)
        self.store.remove_private("a-1")
        self.store.forget("a-1")
        self.assertEqual(os.listdir(outside), ["kept"])
        self.assertFalse(os.path.lexists(self.store.directory("a-1")))


class EarlierRecordsTests(SynchronousTestCase):
    def test_unreadable_claim(self) -> None:
        """
        Promise 1.3: a claim of version 0.1.0 that the disk cannot read still counts as a claim; otherwise the command
        might be started again, and its output would be removed.
        """
        directory = os.path.realpath(tempfile.mkdtemp(prefix="shelf-"))
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        command = os.path.join(directory, "commands", "a-1")
        os.makedirs(command)
        with open(os.path.join(command, "claim"), "w", encoding="ascii") as claim:
            claim.write('{"id": "a-1", "fingerprint": "f", "streams": []}')
        failing = mock.Mock(side_effect=[FileNotFoundError(), OSError(errno.EIO, "Input/output error")])
        with mock.patch.object(earlier_records, "open", failing, create=True), self.assertRaises(OSError):
            CommandStore(directory)
        self.assertEqual(os.listdir(command), ["claim"])
        store = CommandStore(directory)
        self.addCleanup(store.close)
        self.assertEqual([found[0] for found in store.found()], ["a-1"])


class EarlierCommandsTests(SynchronousTestCase):
    """
    Lost commands of an earlier keeper.
    """

    def test_one_by_one(self) -> None:
        """
        A lost command that cannot be examined keeps none before it from being taken over, also not for ever.
        """
        directory = os.path.realpath(tempfile.mkdtemp(prefix="store-"))
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        store = CommandStore(directory)
        self.addCleanup(store.close)
        for id in ("a-1", "a-2"):
            store.claim(id, "f", ["stdio"])
        seals = store.seals

        def failing(id: str) -> dict[str, Any]:
            if id == "a-2":
                raise OSError(errno.EIO, "Input/output error")
            return seals(id)

        self.patch(store, "seals", failing)
        tracker = mock.Mock(kill_leftovers=lambda mains: [])
        ended, lost = earlier_commands(store, tracker)
        self.assertEqual(ended, [])
        with self.assertRaises(OSError):
            for finished in lost:
                store.end(finished)
        self.patch(store, "seals", seals)
        ended, lost = earlier_commands(store, tracker)
        self.assertEqual(([each.id for each in ended], [each.id for each in lost]), (["a-1"], ["a-2"]))


class RunningCommandsTests(SynchronousTestCase):
    def test_read(self) -> None:
        """
        Another process reads which commands run, and their grace; a line that is being written, and one of a later
        version, do no harm.
        """
        directory = os.path.realpath(tempfile.mkdtemp(prefix="store-"))
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        self.assertEqual(running_commands(directory), [])
        store = CommandStore(directory)
        self.addCleanup(store.close)
        for id, grace in (("a-1", 60.0), ("a-2", None), ("a-3", 60.0), ("a-4", 60.0)):
            store.claim(id, "f", ["stdio"], grace)
        store.end(FinishedCommand("a-3", "f", "ended", {"streams": {}}))
        store.forget("a-4")
        with open(os.path.join(directory, "claims"), "ab") as claims:
            claims.write(b'{"record":"claim","id":"a-5"}\n[1]\n{"record":"other","id":"a-1"}\n{"record":"ended","i')
        found = [("a-1", 60.0), ("a-2", None), ("a-5", None)]
        self.assertEqual(running_commands(directory), found)
