"""
Directories: locks, databases of older and newer versions, and farms without tac files.
"""

import gzip
import json
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from .farm import Daemon, Farm
from .farm_case import FarmCase

RECORDED = Path(__file__).resolve().parents[1] / "recorded"


class SecondProcessTests(FarmCase):
    """
    A running farm.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create one slave.
        """
        return Farm("bot1").builder("hello", "echo hello")

    def second(self, first: Daemon, *arguments: str) -> Daemon:
        """
        Start the same twistd again, in the same directory.
        """
        second = evolve(first, process=None, arguments=arguments, pidfile="")  # not twistd's own check
        second.spawn()
        self.addCleanup(second.kill)
        return second

    def check(self, first: Daemon, *arguments: str) -> None:
        """
        Check that the second process exits with one sentence, and that the first continues.
        """
        (first.directory / "twistd.err").write_text("")
        second = self.second(first, *arguments)

        self.assertEqual(second.wait(), 1)
        self.assertRegex(
            second.said, rf"\AAnother \w+ already works in {first.directory}.*buildbot-lite stop [^\n]*\n\Z"
        )
        self.assertTrue(first.alive)
        self.assertEqual(self.farm.submit("hello").code, 0)

    def test_second_master(self) -> None:
        """
        Promise 12: a second master in one directory exits with a sentence.
        """
        self.check(self.farm.master)
        self.check(self.farm.master, "buildbot-lite-master", "--basedir", str(self.farm.master_directory))

    def test_second_slave(self) -> None:
        """
        Promise 12: a second slave in one directory exits with a sentence.
        """
        self.check(self.farm.slave())

    def test_port_in_use(self) -> None:
        """
        A master whose port is in use exits with the remedy.
        """
        other = self.farm.directory / "other"
        shutil.copytree(self.farm.master_directory, other, ignore=shutil.ignore_patterns("twistd.*", "own"))
        second = Daemon("other", other, self.farm.env, "master.tac", "ready")
        second.spawn()
        self.addCleanup(second.kill)

        self.assertEqual(second.wait(), 1)
        self.assertRegex(
            second.said, r"\AThe master cannot listen at tcp:\d+: Address already in use\.  Stop [^\n]*\n\Z"
        )


class PluginTests(SynchronousTestCase):
    """
    Farms without hand-written tac files.
    """

    def test_plugins(self) -> None:
        """
        A farm works with ``twistd buildbot-lite-master`` and ``twistd buildbot-lite-slave`` alone.
        """
        with Farm("bot1") as farm:
            (farm.master_directory / "master.tac").unlink()
            farm.builder("hello", "echo hello").write_config()
            farm.master.arguments = ("buildbot-lite-master", "--basedir", str(farm.master_directory))
            farm.start_master()
            furl_file = farm.private_furl(farm.furl("bot1"))
            directory = farm.directory / "bot1"
            directory.mkdir()
            words = ("buildbot-lite-slave", "--furlfile", furl_file, "--basedir", str(directory))
            farm.slaves["bot1"] = Daemon("bot1", directory, farm.env, "", "attached to the master", arguments=words)
            farm.slaves["bot1"].start()

            self.assertEqual(farm.submit("hello").out, b"hello\n")

    def test_created(self) -> None:
        """
        A farm of create-master and create-slave works with the initial configuration.
        """
        with Farm("bot2") as farm:
            shutil.rmtree(farm.master_directory)
            made = farm.command("create-master", str(farm.master_directory), "--host", "127.0.0.1")
            self.assertEqual((made.code, made.err), (0, ""))
            farm.start_master()
            made = farm.command("create-slave", str(farm.directory / "bot2"), "-", stdin=farm.furl("bot2").encode())
            self.assertEqual((made.code, made.err), (0, ""))
            self.assertEqual(stat.S_IMODE((farm.directory / "bot2" / "slave.tac").stat().st_mode), 0o600)
            farm.start_slave("bot2")

            done = farm.submit("hello")
            self.assertEqual(done.code, 0, done.err)
            self.assertIn(b"Hello from a slave.", done.out)
            patch = "--- a/greeting.txt\n+++ b/greeting.txt\n@@ -1 +1 @@\n-Hello, world.\n+Hello, all.\n"
            done = farm.submit("try", patch.encode())
            self.assertEqual(done.code, 0, done.err)
            self.assertIn(b"Hello, all.", done.out)
            archive = farm.directory / "some.tar.gz"
            farm.run("tar -czf some.tar.gz home")
            self.assertEqual(farm.upload("tarball", archive).code, 0)

    def test_a_name_that_leads_nowhere(self) -> None:
        """
        A client on the master's machine finds the master even if its host name does not resolve.
        """
        with Farm("bot1") as farm:
            shutil.rmtree(farm.master_directory)
            farm.command("create-master", str(farm.master_directory), "--host", "nowhere.invalid")
            farm.start_master()
            self.assertIn("nowhere.invalid", farm.furl("bot1"))
            done = farm.command("status", str(farm.master_directory))
            self.assertEqual((done.code, done.err), (0, ""))


class DatabaseTests(SynchronousTestCase):
    """
    Databases of other versions.
    """

    def test_newer(self) -> None:
        """
        Promise 13: a database of a newer version is refused with a sentence, and is not changed.
        """
        with Farm("bot1") as farm:
            farm.builder("hello", "echo hello").write_config()
            farm.start_master()
            farm.master.stop()
            path = farm.master_directory / "records" / "farm.sqlite"
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("update alembic_version set version_num = '9999'")
            before = path.read_bytes()
            (farm.master_directory / "twistd.err").write_text("")
            farm.master.spawn()

            self.assertEqual(farm.master.wait(), 1)
            self.assertRegex(farm.master.said, r"\A[^\n]*newer buildbot_lite[^\n]*\n\Z")
            self.assertEqual(path.read_bytes(), before)

    def test_recorded(self) -> None:
        """
        Promise 13: a master starts on the recorded database of each earlier version, and shows its builds.
        """
        for recorded in sorted(RECORDED.glob("*.sqlite.gz")):
            with Farm("bot1") as farm:
                farm.builder("hello", "echo hello").write_config()
                old = recorded.name.startswith("0001")
                path = farm.master_directory / ("private" if old else "records") / "farm.sqlite"
                path.parent.mkdir(mode=0o700)
                path.touch(mode=0o600)
                path.write_bytes(gzip.decompress(recorded.read_bytes()))
                with closing(sqlite3.connect(path)) as connection:
                    ((count,),) = connection.execute("select count(*) from builds").fetchall()
                farm.start_master()
                done = farm.command("builds", "--json", str(farm.master_directory))

                self.assertEqual((done.code, done.err), (0, ""))
                self.assertEqual(len(json.loads(done.out)), count)
                self.assertGreater(count, 0)

    def test_string_of_0_1_0(self) -> None:
        """
        Promise 6.19: the records of a farm of 0.1.0 are moved out of ``private/``; no FURL is left in them, and all
        FURLs keep working.
        """
        with Farm("bot1") as farm:
            farm.builder("hello", "echo hello").write_config()
            old = farm.master_directory / "private" / "farm.sqlite"
            old.parent.mkdir(mode=0o700)
            old.touch(mode=0o600)
            old.write_bytes(gzip.decompress((RECORDED / "0001.sqlite.gz").read_bytes()))
            farm.start()

            self.assertTrue(farm.furl("bot1").endswith("/recorded-slave"))
            self.assertEqual(farm.submit("hello").out, b"hello\n")
            self.assertEqual([path.name for path in old.parent.glob("farm.sqlite*")], ["farm.sqlite"])
            self.assertIn(b"records/farm.sqlite now", old.read_bytes())
            self.assertIn(b"recorded-submit", (old.parent / "strings.kept").read_bytes())
            for path in (farm.master_directory / "records").iterdir():
                self.assertNotRegex(path.read_bytes(), b"recorded-(slave|watch|submit)")


class LoosePermissionsTests(SynchronousTestCase):
    """
    Records and files with FURLs that other users may read.
    """

    def test_refused(self) -> None:
        """
        Promise 6.18: the master and the command-line client refuse to use them, with a sentence that has the remedy.
        """
        with Farm("bot1") as farm:
            farm.builder("hello", "echo hello").write_config()
            farm.start_master()
            admin = farm.master_directory / "private" / "admin.furl"
            admin.chmod(0o640)
            done = farm.command("status", str(farm.master_directory))
            self.assertEqual((done.code, done.out), (70, b""))
            self.assertIn(f"chmod go= {admin}", done.err)
            farm.master.stop()
            (farm.master_directory / "furls").chmod(0o755)
            (farm.master_directory / "records" / "farm.sqlite").chmod(0o644)
            (farm.master_directory / "twistd.err").write_text("")
            farm.master.spawn()

            self.assertEqual(farm.master.wait(), 1)
            self.assertRegex(farm.master.said, r"\A[^\n]*may read [^\n]*admin.furl and 2 more, [^\n]*\n\Z")
            farm.run(farm.master.said.partition("Run: ")[2])
            farm.start_master()
