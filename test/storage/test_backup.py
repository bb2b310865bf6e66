"""
Backups of a farm's directory, restores, and the log of revocations.
"""

import os
import shutil
import sqlite3
import stat
import tarfile
from collections.abc import Callable
from contextlib import closing
from random import Random
from typing import Any, TypeVar
from unittest import mock

from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import (
    BuildbotLiteError,
    DirectoryBusyError,
    FileError,
    NewerDatabaseError,
    RecordsFailingError,
)
from buildbot_lite.model.results import Result
from buildbot_lite.storage import backup_archive
from buildbot_lite.storage.backup import Backup
from buildbot_lite.storage.backup_archive import ArchiveReader, BackupError, Manifest
from buildbot_lite.storage.database import open_database
from buildbot_lite.storage.database_place import keep_place, kept_place
from buildbot_lite.storage.lock import DirectoryLock
from buildbot_lite.storage.records import builds, epoch, generations, grants, requests, settings, streams
from buildbot_lite.storage.records.grants import Grant, GrantLimits
from buildbot_lite.storage.restoring import Restoration, RestoredFarm, Strings
from buildbot_lite.storage.revocation_log import RevocationLog, read_chain, read_log
from buildbot_lite.storage.swissnums import SwissnumRecord, digest_of

T = TypeVar("T")
KEY = "ab" * 32


class BackupCase(SynchronousTestCase):
    """
    Has the directory of a farm, as a master leaves it, and makes backups of it.
    """

    def setUp(self) -> None:
        """
        A farm that has run, with a log of revocations.
        """
        self.above = os.path.abspath(self.mktemp())
        self.farm = os.path.join(self.above, "farm")
        self.file = os.path.join(self.above, "farm.tar")
        self.now = 1000.0
        self.notes: list[str] = []
        for name, text in (
            ("master.cfg", "c = {}"), ("lib/own.py", "pass"), ("private/tub.pem", "key"), ("private/lock", ""),
            ("private/generations/aa", "{}"), ("own/work/x", "x"), ("hgpoller_work/x", "x"), ("twistd.log", "log"),
            (".x.new", ""),
        ):  # fmt: skip
            self.write(name, text)
        os.mkdir(os.path.join(self.farm, "records"), 0o700)
        self.log = RevocationLog.of(os.path.join(self.farm, "private"), KEY, lambda: self.now)
        self.log.begin()
        self.do(lambda connection: settings.put(connection, "strings", KEY))

    def write(self, name: str, text: str = "x") -> None:
        """
        Write a file of the farm, with mode 0600.
        """
        path = os.path.join(self.farm, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(text)

    def do(self, change: Callable[[Connection], T], directory: str | None = None) -> T:
        """
        The result of *change* on the records of the farm in *directory*, with its log.
        """
        directory = directory or self.farm
        log = RevocationLog.of(os.path.join(directory, "private"), KEY, lambda: self.now)
        engine = open_database(os.path.join(directory, "records", "farm.sqlite"), revocations=log)
        with engine.connect() as connection, connection.begin():
            result = change(connection)
        engine.dispose()
        return result

    def grant(self, verb: str, name: str, **more: Any) -> Grant:
        """
        Hand out a FURL.
        """
        minted = SwissnumRecord("salt", digest_of(f"{verb} {name}"))
        return self.do(
            lambda connection: grants.add(
                connection, name=name, verb=verb, object=name, minted=minted, now=self.now, **more
            )
        )

    def in_force(self, directory: str) -> set[str]:
        """
        The FURLs in force in *directory*, each as "VERB NAME".
        """
        return {f"{each.verb} {each.name}" for each in self.do(lambda c: grants.live(c, self.now), directory)}

    def build(self, *, finished: bool) -> None:
        """
        A build with the log "stdio" and the artifact "app".
        """

        def add(connection: Connection) -> int:
            generations.keep(connection, "g", 1.0)
            asked = requests.submit(connection, scheduler="x", builders=["foo"], reason="", now=1.0).requests[0]
            row = builds.start(
                connection, request=asked.id, builder="foo", slave="bot1", nonce="0", generation="g", now=1.0
            )
            for kind, name in (("log", "stdio"), ("artifact", "app")):
                path = f"0/{row.id}/{name}"
                stream = streams.note(connection, row.id, 0, 0, name=name, kind=kind, path=path)
                streams.seal(connection, stream.id, 1, "00")
            if finished:
                builds.finish(connection, row.id, Result.SUCCESS, 2.0)
            return row.id

        id = self.do(add)
        self.write(f"streams/0/{id}/stdio")
        self.write(f"artifacts/0/{id}/app")

    def backup(self, *, logs: bool = False, artifacts: bool = False, overwrite: bool = False) -> Manifest:
        """
        Back the farm up.
        """
        return Backup(self.farm, self.file, logs, artifacts, self.notes.append, lambda: self.now, overwrite).make()

    def restore(self, name: str = "restored", *, revocations: str | None = None, keep: bool = False) -> RestoredFarm:
        """
        Restore the backup into the directory *name*.
        """
        where = os.path.join(self.above, name)
        return Restoration(self.file, where, revocations, keep, lambda: self.now).run()

    def at(self, *names: str) -> str:
        """
        A path beside the farm.
        """
        return os.path.join(self.above, *names)


class BackupTests(BackupCase):
    def names(self) -> set[str]:
        """
        The names in the backup.
        """
        with tarfile.open(self.file) as tar:
            return {name.removeprefix("farm/") for name in tar.getnames()}

    def test_files(self) -> None:
        """
        Promise 8.10: a backup has the database, the key, master.cfg and what is beside it, and nothing of processes; it
        is private, and nothing else is left beside it.
        """
        self.backup()
        expected = {"master.cfg", "lib/own.py", "private/tub.pem", "private/generations/aa"}
        self.assertEqual(self.names(), expected | {"records.sqlite", "SHA256SUMS", "manifest.json"})
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        self.assertEqual(sorted(os.listdir(self.above)), ["farm", "farm.tar"])

    def test_web(self) -> None:
        """
        Of the farm's web process, a backup has its web.tac, and neither its key and strings nor its log; a directory of
        that name that is not a web process's is copied whole.
        """
        names = (
            "private/watch.furl",
            "private/tub.pem",
            "address",
            "www.json",
            "metrics.json",
            "twistd.log",
            "own.css",
        )
        for name in names:
            self.write(f"web/{name}")

        def in_backup() -> set[str]:
            self.backup()
            with tarfile.open(self.file) as tar:
                return {name.partition("/web/")[2] for name in tar.getnames() if "/web/" in name}

        self.assertEqual(in_backup(), set(names))
        self.write("web/web.tac")
        self.assertEqual(in_backup(), {"web.tac", "own.css"})

    def test_streams(self) -> None:
        """
        Promise 8.10: logs and artifacts of finished builds are in a backup only if wanted, those of unfinished builds
        always; no record of the copy names a file that is not in it.
        """
        self.build(finished=True)
        self.build(finished=False)
        both = {"streams/0/1/stdio", "streams/0/2/stdio", "artifacts/0/1/app", "artifacts/0/2/app"}
        for number, (logs, artifacts, missing) in enumerate(
            (
                (False, False, {"streams/0/1/stdio", "artifacts/0/1/app"}),
                (True, False, {"artifacts/0/1/app"}),
                (True, True, set()),
            )
        ):
            self.backup(logs=logs, artifacts=artifacts)
            self.assertEqual(self.names() & both, both - missing)
            self.restore(f"restored{number}")
            directory = self.at(f"restored{number}")
            recorded = self.do(lambda c: [s for id in (1, 2) for s in streams.of_build(c, id)], directory)
            kinds = {"log": "streams", "artifact": "artifacts"}
            self.assertEqual({f"{kinds[each.kind]}/{each.path}" for each in recorded}, both - missing)

    def test_removed_meanwhile(self) -> None:
        """
        Promise 8.10: a log that is removed while the backup is made is not in the records of the backup; one that is
        compressed meanwhile is found.
        """
        self.build(finished=True)
        self.build(finished=True)
        os.unlink(os.path.join(self.farm, "streams/0/1/stdio"))
        os.rename(os.path.join(self.farm, "streams/0/2/stdio"), os.path.join(self.farm, "streams/0/2/stdio.zst"))
        self.backup(logs=True)
        self.restore()
        recorded = self.do(lambda c: [s.path for id in (1, 2) for s in streams.of_build(c, id)], self.at("restored"))
        self.assertEqual(recorded, ["0/2/stdio"])

    def test_changes_meanwhile(self) -> None:
        """
        Promise 8.10: the database is copied before any other file, so that what changes later is not half in it.
        """
        add = backup_archive.ArchiveWriter.add

        def adding(archive: backup_archive.ArchiveWriter, name: str, path: str) -> bool:
            if name == "farm/master.cfg":
                self.grant("submit", "late")
            return add(archive, name, path)

        with mock.patch.object(backup_archive.ArchiveWriter, "add", adding):
            self.backup()
        self.restore()
        self.assertEqual(self.in_force(self.farm), {"submit late"})
        self.assertEqual(self.in_force(self.at("restored")), set())

    def test_refused(self) -> None:
        """
        A backup is not made inside of the farm, nor of a farm that never started, nor of a newer database.
        """
        for change, words in (
            (lambda: setattr(self, "file", os.path.join(self.farm, "x.tar")), "farm's own directory"),
            (lambda: setattr(self, "file", self.at("nowhere", "x.tar")), "no directory"),
            (lambda: self.version("9999"), "another version"),
            (lambda: os.unlink(kept_place(self.farm)), "never started"),
        ):
            file = self.file
            change()
            self.assertIn(words, str(self.assertRaises(BuildbotLiteError, self.backup)))
            self.file = file
        self.assertEqual(os.listdir(self.above), ["farm"])

    def test_replaced(self) -> None:
        """
        A backup replaces an earlier one of the same farm, wherever that was; any other file stays as it is, unless the
        user says that it is to be replaced.
        """
        self.backup()
        os.rename(self.farm, self.at("moved"))
        self.farm = self.at("moved")
        self.assertEqual(self.backup().directory, self.farm)
        self.do(lambda connection: settings.put(connection, "strings", "cd" * 32))
        with open(self.file, "rb") as file:
            whole = file.read()
        for text, words in (
            (whole, f"is a backup of another farm, which was in {self.farm}."),
            (whole[:2000], "is not a complete backup.  To replace it: --overwrite"),
            (b"pb://...", "is not a complete backup"),
            (b"", "is not a complete backup"),
        ):
            with open(self.file, "wb") as file:
                file.write(text)
            self.assertIn(words, str(self.assertRaises(BuildbotLiteError, self.backup)))
            with open(self.file, "rb") as file:
                self.assertEqual(file.read(), text)
        self.assertEqual(sorted(os.listdir(self.above)), ["farm.tar", "moved"])
        self.backup(overwrite=True)
        self.restore()

    def test_no_regular_file(self) -> None:
        """
        A backup replaces nothing but a regular file, whatever the user says.
        """
        os.mkfifo(self.file)
        for overwrite in (False, True):
            error: BuildbotLiteError = self.assertRaises(BuildbotLiteError, self.backup, overwrite=overwrite)
            self.assertIn("is not a regular file", str(error))
        self.assertTrue(stat.S_ISFIFO(os.stat(self.file).st_mode))

    def version(self, revision: str) -> None:
        """
        Give the database another revision.
        """
        with closing(sqlite3.connect(kept_place(self.farm))) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
            connection.commit()

    def test_no_directory(self) -> None:
        """
        A backup is not restored where a file is, nor below one.
        """
        self.backup()
        error: BuildbotLiteError = self.assertRaises(BuildbotLiteError, self.restore, "farm.tar")
        self.assertEqual(str(error), f"{self.file} is not a directory.")
        error = self.assertRaises(BuildbotLiteError, self.restore, "farm.tar/x")
        self.assertIn(f"{self.file}/x cannot be", str(error))

    def test_links(self) -> None:
        """
        A link to a file is followed; of a link to a directory the backup says that it is not in it.
        """
        self.write("../real.cfg", "c = {1: 2}")
        os.unlink(os.path.join(self.farm, "master.cfg"))
        os.symlink("../real.cfg", os.path.join(self.farm, "master.cfg"))
        os.symlink("..", os.path.join(self.farm, "loop"))
        os.symlink("nowhere", os.path.join(self.farm, "broken"))
        os.mkfifo(os.path.join(self.farm, "fifo"))
        self.backup()
        self.restore()
        with open(self.at("restored", "master.cfg")) as file:
            self.assertEqual(file.read(), "c = {1: 2}")
        self.assertEqual([note.partition(" ")[0] for note in self.notes], ["loop"])

    def test_database_elsewhere(self) -> None:
        """
        The database is found where master.cfg had it, without loading master.cfg, and restored to there; an existing
        one is not replaced.
        """
        place = self.at("elsewhere.sqlite")
        os.rename(kept_place(self.farm), place)
        keep_place(os.path.join(self.farm, "private"), self.farm, place)
        self.backup()
        self.assertIn("there is one", str(self.assertRaises(BuildbotLiteError, self.restore)))
        os.unlink(place)
        self.restore()
        self.assertTrue(os.path.exists(place))
        keep_place(os.path.join(self.farm, "private"), self.farm, os.path.join(self.farm, "records/farm.sqlite"))
        self.assertFalse(os.path.exists(os.path.join(self.farm, "private", "database")))

    def test_web_process_runs(self) -> None:
        """
        Promise 10.1: nothing is restored under a running web process, which reads the database: neither into its farm's
        directory nor to the place of the database elsewhere.
        """
        place = self.at("elsewhere.sqlite")
        os.rename(kept_place(self.farm), place)
        keep_place(os.path.join(self.farm, "private"), self.farm, place)
        self.backup()
        os.unlink(place)
        private = os.path.join(self.farm, "web", "private")
        os.makedirs(private)
        lock = DirectoryLock(private, "web process")
        for name in ("farm", "restored"):
            error: BuildbotLiteError = self.assertRaises(DirectoryBusyError, self.restore, name)
            self.assertIn(f"Stop it first: buildbot-lite stop {self.farm}/web", str(error))
        self.assertFalse(os.path.exists(self.at("restored")))
        lock.release()
        self.restore()


class DamagedTests(BackupCase):
    def damage(self, change: Callable[[bytes], bytes]) -> BuildbotLiteError:
        """
        Restore a changed backup; the error.
        """
        with open(self.file, "rb") as file:
            whole = file.read()
        with open(self.file, "wb") as file:
            file.write(change(whole))
        error: BuildbotLiteError = self.assertRaises(BuildbotLiteError, self.restore)
        with open(self.file, "wb") as file:
            file.write(whole)
        return error

    def test_damaged(self) -> None:
        """
        Promise 8.10: a backup with a changed, missing or additional byte is refused before anything is written.
        """
        self.write("lib/own.py", "some text that is easily found")
        self.backup()
        found = self.damage(lambda whole: whole.replace(b"easily", b"hardly"))
        self.assertIn("lib/own.py has another checksum", str(found))
        for change in (
            lambda whole: whole.replace(b"lib/own.py", b"lib/0wn.py"),
            lambda whole: whole.replace(b"farm/lib/own.py", b"farm/../own.py/"),
            lambda whole: whole[: whole.index(b"SHA256SUMS")],
            lambda whole: whole[: len(whole) // 2],
            lambda whole: b"",
            lambda whole: b"no tar archive" * 100,
            lambda whole: whole.replace(b'"format": 1', b'"format": 2'),
            lambda whole: whole.replace(b'"files": ', b'"piles": '),
            lambda whole: whole.replace(b'"logs": false', b'"logs": 12345'),
            lambda whole: whole.replace(b'"made": 1000.0', b'"made": "1000"'),
            lambda whole: whole.replace(b'"format": 1', b'"format": {'),
        ):
            error = self.damage(change)
            self.assertIsInstance(error, BackupError)
            self.assertTrue(str(error), change)
        self.assertIsInstance(
            self.damage(lambda whole: whole.replace(b'"revision": "00', b'"revision": "99')), NewerDatabaseError
        )
        self.assertFalse(os.path.exists(self.at("restored")))
        self.restore()

    def test_damaged_anywhere(self) -> None:
        """
        Whatever bytes of a backup's headers are changed, also with a right checksum of the header, it is restored or
        refused with a sentence.
        """
        self.write("lib/" + "long" * 40, "x")
        self.backup()
        with open(self.file, "rb") as file:
            whole = file.read()
        random = Random(8)
        starts = [start for start in range(0, len(whole), 512) if whole[start + 257 : start + 262] == b"ustar"]
        for number in range(400):
            changed = bytearray(whole)
            for _ in range(random.randint(1, 3)):
                start = random.choice(starts)
                # Also the records of extended headers, which follow them.
                changed[start + random.choice((0, 512)) + random.randrange(0, 400)] = random.choice(b"\0019-/g=\xff")
                header = changed[start : start + 148] + b" " * 8 + changed[start + 156 : start + 512]
                changed[start + 148 : start + 156] = b"%06o\0 " % sum(header)
            with open(self.file, "wb") as file:
                file.write(changed)
            try:
                self.restore(str(number))
            except BuildbotLiteError as error:
                self.assertTrue(str(error))

    def test_fails_later(self) -> None:
        """
        Promise 8.10: what a restore has written is removed when it fails.
        """
        self.backup()
        os.mkdir(self.at("empty"))
        with mock.patch.object(epoch, "raise_epoch", side_effect=FileError("no room")):
            self.assertRaises(FileError, self.restore, "empty")
            self.assertRaises(FileError, self.restore, "new")
        self.assertEqual(os.listdir(self.at("empty")), [])
        self.assertFalse(os.path.exists(self.at("new")))
        with mock.patch.object(shutil, "disk_usage", return_value=mock.Mock(free=10)):
            self.assertIn("room for 10", str(self.assertRaises(FileError, self.restore, "new")))
        self.assertIn("not empty", str(self.assertRaises(BuildbotLiteError, self.restore, "farm")))

    def test_killed(self) -> None:
        """
        Promise 8.10: until strings and epoch are right there is no database, so a restore that is killed revives no
        string.
        """
        self.backup()
        database = os.path.join(self.above, "restored", "records", "farm.sqlite")
        seen: list[bool] = []
        raising, applying = epoch.raise_epoch, RevocationLog.continued

        def look(call: Callable[..., Any]) -> Callable[..., Any]:
            def looking(*args: Any) -> Any:
                seen.append(os.path.lexists(database))
                return call(*args)

            return looking

        with (
            mock.patch.object(epoch, "raise_epoch", look(raising)),
            mock.patch.object(RevocationLog, "continued", look(applying)),
        ):
            self.restore()
        self.assertEqual(seen, [False, False])
        self.assertTrue(os.path.isfile(database))
        self.assertEqual(os.listdir(os.path.dirname(database)), ["farm.sqlite"])

    def test_private(self) -> None:
        """
        Promise 8.10: what is restored is its owner's only, whatever modes and umask there are.
        """
        os.chmod(os.path.join(self.farm, "master.cfg"), 0o666)
        self.backup()
        before = os.umask(0)
        try:
            self.restore()
        finally:
            os.umask(before)
        for above, directories, files in os.walk(self.at("restored")):
            for name in ("", *directories, *files):
                self.assertEqual(os.stat(os.path.join(above, name)).st_mode & 0o077, 0, name)

    def test_memory(self) -> None:
        """
        Neither writing nor reading keeps a description of each file in memory.
        """
        for number in range(50):
            self.write(f"lib/{number}")
        kept: list[int] = []

        def counting(method: Callable[..., Any]) -> Callable[..., Any]:
            def counted(tar: Any, *arguments: Any) -> Any:
                kept.append(len(tar.members))
                return method(tar, *arguments)

            return counted

        for name in ("next", "addfile"):
            self.patch(tarfile.TarFile, name, counting(getattr(tarfile.TarFile, name)))
        self.backup()
        with open(self.file, "rb") as file:
            ArchiveReader(file).verify()
        self.assertGreater(len(kept), 100)
        self.assertLessEqual(max(kept), 1)


class StringsTests(BackupCase):
    def setUp(self) -> None:
        """
        A farm with several FURLs, of which a backup was made; then some were revoked and used.
        """
        super().setUp()
        self.admin = self.grant("admin", "farm")
        self.slave = self.grant("slave", "bot1")
        self.submit = self.grant("submit", "foo")
        self.given = self.grant("submit", "given", label="for a guest")
        self.once = self.grant("submit", "once", label="once", limits=GrantLimits(uses=1))
        self.twice = self.grant("submit", "twice", label="twice", limits=GrantLimits(uses=2))
        self.now += 100
        self.backup()
        self.now += 100
        self.everything = self.in_force(self.farm)

    def revoke(self, grant: Grant, directory: str | None = None) -> None:
        """
        Revoke *grant* in the farm.
        """
        self.do(lambda connection: grants.revoke(connection, grant.id, self.now), directory)

    def use(self, grant: Grant) -> None:
        """
        Use *grant* in the farm.
        """
        self.do(lambda connection: grants.used(connection, grant.id, self.now))

    def test_logged(self) -> None:
        """
        Promise 8.10: what was revoked or used up after the backup is void in the restored farm; all else goes on.
        """
        self.revoke(self.given)
        self.use(self.once)
        self.use(self.twice)
        done = self.restore()
        self.assertIs(done.strings, Strings.LOGGED)
        self.assertEqual({grant.name for grant in done.void}, {"given", "once"})
        self.assertEqual(self.in_force(self.at("restored")), self.everything - {"submit given", "submit once"})
        self.assertEqual(self.do(lambda c: grants.get(c, self.twice.id), self.at("restored")).uses, 1)  # type: ignore[union-attr]

    def test_rolled_back(self) -> None:
        """
        Promise 8.10: a revocation is logged before it is committed; when it cannot be logged, nothing is committed, and
        the change is one that is tried again.
        """
        with mock.patch.object(RevocationLog, "_append", side_effect=RecordsFailingError):
            self.assertRaises(RecordsFailingError, self.revoke, self.given)
        self.assertEqual(self.in_force(self.farm), self.everything)
        os.unlink(self.log.path)
        os.mkdir(self.log.path)
        self.assertRaises(RecordsFailingError, self.revoke, self.given)

    def test_without_log(self) -> None:
        """
        Promise 8.10: without the log all FURLs are void but those of slaves, unless --keep-strings says otherwise; the
        master makes new ones for its files.
        """
        os.unlink(self.log.path)
        self.assertIs(self.restore().strings, Strings.VOID)
        self.assertEqual(self.in_force(self.at("restored")), {"slave bot1"})
        rows = self.do(grants.get_all, self.at("restored"))
        self.assertEqual({row.name for row in rows if row.label is None}, {"bot1"})
        self.assertIs(self.restore("kept", keep=True).strings, Strings.KEPT)
        self.assertEqual(self.in_force(self.at("kept")), self.everything)

    def test_another_log(self) -> None:
        """
        Promise 8.10: a log of another farm, or one that begins after the backup, is not taken for the right one, and
        refused where it was named.
        """
        for fingerprint, since in (("cd" * 32, 0.0), (KEY, self.now)):
            os.unlink(self.log.path)
            RevocationLog(self.log.path, fingerprint, lambda since=since: since).begin()  # type: ignore[misc]
            with self.assertRaises(BuildbotLiteError):
                self.restore(revocations=self.log.path)
            self.assertIs(self.restore(f"restored{since}").strings, Strings.VOID)

    def test_moved_log(self) -> None:
        """
        Promise 8.10: a log that was moved is read where --revocations says that it is.
        """
        self.revoke(self.given)
        os.rename(self.log.path, self.at("revocations"))
        self.assertIs(self.restore(revocations=self.at("revocations")).strings, Strings.LOGGED)
        self.assertNotIn("submit given", self.in_force(self.at("restored")))

    def test_again(self) -> None:
        """
        Promise 8.10: what the restored farm revokes stays void when the same backup is restored once more.
        """
        self.revoke(self.once)
        self.restore("second")
        self.revoke(self.given, self.at("second"))
        self.assertEqual(read_chain(self.log.path)[0], self.at("second", "private", "revocations.log"))
        self.restore("third")
        self.assertEqual(self.in_force(self.at("third")), self.everything - {"submit given", "submit once"})
        os.unlink(self.at("third", "private", "revocations.log"))
        self.assertIs(self.restore("fourth").strings, Strings.VOID)

    def test_exercise(self) -> None:
        """
        Promise 8.10: after a restore that was only an exercise, what the farm goes on to revoke and use up, and what
        the restored one did, stays void at the next restore.
        """
        self.restore("exercise")
        self.revoke(self.given)
        self.use(self.once)
        self.revoke(self.slave, self.at("exercise"))
        self.assertIs(self.restore("real").strings, Strings.LOGGED)
        self.assertEqual(
            self.in_force(self.at("real")), self.everything - {"submit given", "submit once", "slave bot1"}
        )

    def test_slave(self) -> None:
        """
        Promise 8.10: a slave whose FURL was revoked gets none by itself; all other slaves keep theirs.
        """
        self.revoke(self.slave)
        self.restore()
        (row,) = [each for each in self.do(grants.get_all, self.at("restored")) if each.verb == "slave"]
        self.assertEqual((row.revoked, row.label), (self.now, None))

    def test_epoch(self) -> None:
        """
        Promise 8.10: each restore has a higher epoch, also of one backup, and when the clock was set back.
        """
        self.restore("second")
        self.now += 5
        self.restore("third")
        first, second, third = (self.do(epoch.get, self.at(name)) for name in ("farm", "second", "third"))
        self.assertEqual((first, second < third), (0, True))
        self.now = 10.0
        self.assertEqual(self.do(lambda c: epoch.raise_epoch(c, self.now), self.at("third")), third + 1)

    def test_log(self) -> None:
        """
        A line that a crash cut off is skipped, and the next one is whole; a long log is condensed.
        """
        self.use(self.once)
        with open(self.log.path, "a") as file:
            file.write("revoked abc")
        self.use(self.twice)
        self.use(self.twice)
        before = read_log(self.log.path)
        assert before is not None
        self.assertEqual({digest: count for digest, (count, _) in before.uses.items()},
                         {self.once.digest: 1, self.twice.digest: 2})  # fmt: skip
        with mock.patch("buildbot_lite.storage.revocation_log.LARGEST_UNCONDENSED", 10):
            self.log.begin()
        self.assertEqual(read_log(self.log.path), before)
        with open(self.log.path) as file:
            self.assertEqual(len(file.readlines()), 3)
        self.assertEqual(stat.S_IMODE(os.stat(self.log.path).st_mode), 0o600)
