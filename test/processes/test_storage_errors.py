"""
Farms whose master cannot write its database or a file.
"""

import json
import resource
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.storage.retrying import LOG_INTERVAL

from .farm import Farm, until

LIMIT = 36 << 10
"""Bytes that a file of the master may have: more than its index of the write-ahead log, which is 32 KiB."""


class StorageErrorTests(SynchronousTestCase):
    """
    Promises 6.6 and 6.7: no error of the master's disk hangs a build, whichever file it affects.
    """

    def test_all(self) -> None:
        """
        Promise 6.6: a file that cannot be stored ends its build with a sentence; 6.7: a database that cannot be written
        holds the queue, which shows the reason, until it can be written; 6.8: a request that is cancelled meanwhile
        ends as CANCELLED then.
        """
        with Farm("bot1", "bot2") as farm:
            farm.builder("plain", "echo hello", more="slavenames=['bot1']")
            farm.builder("long", "echo x > f", "steps.FileUpload('f', 'n' * 250)", more="slavenames=['bot1']")
            farm.builder("up", "echo x > f", "steps.FileUpload('f', 'f')", more="slavenames=['bot1']")
            farm.builder("later", "echo later", more="slavenames=['bot2']")
            farm.write_config()
            farm.start_master()
            farm.start_slave("bot1")

            done = farm.submit("long")
            self.assertEqual(done.code, 1, done.err)
            self.assertIn("cannot be stored on the master: a name may have 240 bytes.", done.err)

            artifacts = farm.master_directory / "artifacts"
            artifacts.symlink_to("/nonexistent/disk")
            done = farm.submit("up")
            self.assertEqual(done.code, 2, done.err)
            self.assertIn("its directory artifacts is a link that leads nowhere", done.err)

            self._while_the_database_fails(farm)

    def _while_the_database_fails(self, farm: Farm) -> None:
        later = farm.submitting("later")
        until(later.watch_furl, "the first waits")
        cancelled = farm.submitting("later")
        until(cancelled.watch_furl, "the second waits")
        number = max(waiting["request"] for waiting in self.queue(farm))
        until(lambda: self.write_ahead(farm) > LIMIT or farm.submit("plain").code, "the write-ahead log has grown")

        # Every write(2) beyond this many bytes of a file fails with EFBIG, which SQLite calls an I/O error.
        pid, unlimited, began = farm.master.pid, resource.RLIM_INFINITY, time.monotonic()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (LIMIT, unlimited))
        held = farm.submitting("plain")
        until(lambda: {each["why"]["kind"] for each in self.queue(farm)} == {"storage-failing"}, "the queue holds")
        self.assertIn("disk I/O error", self.queue(farm)[0]["why"]["sentence"])
        farm.start_slave("bot2")
        answer = farm.command("cancel", str(farm.master_directory), str(number))
        self.assertEqual(answer.code, 0, answer.err)
        self.assertIn("as soon as", answer.out.decode())
        self.assertEqual(len(self.queue(farm)), 2)
        self.assertIsNone(held.process.poll())
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))

        self.assertEqual(held.wait().out, b"hello\n")
        self.assertEqual(later.wait().out, b"later\n")
        self.assertIn("CANCELLED", cancelled.wait().err)
        self.assertEqual(farm.rows("select result from requests where id = ?", number), [(6,)])
        said = [line for line in farm.master.log.splitlines() if "disk I/O error" in line]
        repeated = int((time.monotonic() - began) / LOG_INTERVAL)
        self.assertLessEqual(len(said), 3 + repeated, said)
        self.assertIn(len([line for line in said if "Builds wait" in line]), range(1, 2 + repeated), said)

    def queue(self, farm: Farm) -> list[dict[str, Any]]:
        """
        Return the waiting requests.
        """
        waiting: list[dict[str, Any]] = json.loads(farm.command("queue", str(farm.master_directory), "--json").out)
        return waiting

    def write_ahead(self, farm: Farm) -> int:
        """
        Return the size of the database's write-ahead log, in bytes.
        """
        (log,) = farm.master_directory.glob("**/farm.sqlite-wal")
        return Path(log).stat().st_size
