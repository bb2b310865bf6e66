"""
Restoring a farm from a backup.

::

    verify the whole backup ─► find the log of revocations ─► write the files
                            ─► database: strings, epoch ─► its new log ─► the database gets its name

The restored farm has a higher epoch (`records.epoch`), so that slaves refuse a copy from before the restore.  No FURL
comes back that was revoked or used up after the backup: the log of revocations says which were.  Where there is no log
that covers the time since the backup, every FURL is void, except those of slaves: a slave's is pinned to its machine,
and would have to be carried to each of them.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum

from attrs import define, frozen

from ..errors import BuildbotLiteError, DirectoryBusyError, DiskFullError, FileError, NewerDatabaseError
from .backup_archive import DATABASE, FARM, ArchiveReader, Manifest
from .database import open_database
from .files import check_directory, check_unused, make_directory, sync_directory, write_whole
from .lock import is_locked
from .records import epoch, restored_grants
from .records.grants import Grant
from .revocation_log import FILE, LoggedRevocations, RevocationLog, read_chain, read_log
from .upgrading import REVISION


class Strings(Enum):
    """
    The effect of a restore on FURLs.
    """

    LOGGED = "void as logged"
    VOID = "all void"
    KEPT = "all kept"


@frozen
class RestoredFarm:
    """
    The result of a restore.  *void*: the grants that were in force in the backup and are no longer.  *unmarked*: the
    log of the former farm, which could not be told that it ends here; or None.
    """

    manifest: Manifest
    epoch: int
    strings: Strings
    void: Sequence[Grant]
    unmarked: str | None = None


@define
class Restoration:
    """
    Restores the backup *path* into *directory*, which is empty or missing.

    *revocations*: the former farm's log; None: look for it where the backed up farm was.  *keep_strings*: without a
    log, void no FURL.  *wall*: seconds since 1970.
    """

    path: str
    directory: str
    revocations: str | None
    keep_strings: bool
    wall: Callable[[], float]

    def run(self) -> RestoredFarm:
        """
        Restore.  Nothing is written before the whole backup is verified; when that fails later, what was written is
        removed.
        """
        check_directory(self.directory)
        _check_no_web(self.directory)
        check_unused(self.directory)
        try:
            source = open(self.path, "rb")  # noqa: SIM115 - closed below
        except OSError as error:
            raise FileError(f"{self.path} cannot be read: {error.strerror}.") from None
        with source:
            archive = ArchiveReader(source)
            manifest = archive.verify()
            if manifest.revision > REVISION:
                raise NewerDatabaseError
            if os.path.isabs(manifest.database):
                _check_no_web(manifest.directory)  # it reads the database at that place
            log_path, logged = self._logged(manifest)
            database = os.path.join(os.path.abspath(self.directory), manifest.database)
            if os.path.lexists(database):
                raise BuildbotLiteError(f"The farm's database belongs to {database}, and there is one.  Move it away.")
            return self._write(archive, manifest, database, log_path, logged)

    def _logged(self, manifest: Manifest) -> tuple[str, LoggedRevocations | None]:
        """
        The path of the former farm's log, and its contents if they say all about the time since the backup.
        """
        path = self.revocations or os.path.join(manifest.directory, "private", FILE)
        try:
            path, logged = read_chain(path)
        except FileError:
            if self.revocations is not None:
                raise
            logged = None
        usable = logged is not None and logged.fingerprint == manifest.key and logged.since <= manifest.made
        if self.revocations is not None and not usable:
            raise BuildbotLiteError(
                f"{path} does not say which strings of this farm were revoked since the backup.  Give its latest "
                f"private/{FILE}; without --revocations, all handed-out strings become void."
            )
        return path, logged if usable else None

    def _write(
        self,
        archive: ArchiveReader,
        manifest: Manifest,
        database: str,
        log_path: str,
        logged: LoggedRevocations | None,
    ) -> RestoredFarm:
        was_there = os.path.isdir(self.directory)
        directory = os.path.abspath(self.directory)
        make_directory(directory)
        written: list[str] = []

        # A master finds no database until strings and epoch are right: a restore that is killed revives no string.
        unfinished = f"{database}.restoring"

        def place(name: str) -> str:
            return unfinished if name == DATABASE else os.path.join(directory, name.removeprefix(FARM))

        try:
            os.chmod(directory, 0o700)
            _check_room(directory, manifest.length)
            archive.extract(place, written.append)
            restored = self._prepare(manifest, unfinished, log_path, logged)
            os.rename(unfinished, database)
            sync_directory(os.path.dirname(database))
        except BaseException:
            with suppress(OSError):
                _remove_contents(directory)
                if not was_there:
                    os.rmdir(directory)
            if unfinished in written:
                with suppress(OSError):
                    os.unlink(unfinished)  # it may be elsewhere
            raise
        return restored

    def _prepare(
        self, manifest: Manifest, database: str, log_path: str, logged: LoggedRevocations | None
    ) -> RestoredFarm:
        private = os.path.join(os.path.abspath(self.directory), "private")
        make_directory(private)
        now = self.wall()
        strings = Strings.LOGGED if logged else Strings.KEPT if self.keep_strings else Strings.VOID
        void: list[Grant] = []
        engine = open_database(database, private=private)
        try:
            with engine.connect() as connection, connection.begin():
                if logged is not None:
                    void = restored_grants.apply_log(connection, logged)
                elif strings is Strings.VOID:
                    void = restored_grants.void_strings(connection, now)
                raised = epoch.raise_epoch(connection, now)
        finally:
            engine.dispose()
        unmarked = self._write_log(private, manifest, log_path, logged, void)
        sync_directory(private)
        return RestoredFarm(manifest, raised, strings, void, unmarked)

    def _write_log(
        self,
        private: str,
        manifest: Manifest,
        log_path: str,
        logged: LoggedRevocations | None,
        void: Sequence[Grant],
    ) -> str | None:
        """
        Begin the restored farm's log, and have that of the former one lead to it.
        """
        if manifest.key is None:
            return None
        now = self.wall()
        begun = logged or LoggedRevocations(manifest.key, now, {grant.digest: now for grant in void})
        path = os.path.join(private, FILE)
        write_whole(path, begun.to_text().encode())
        try:
            earlier = read_log(log_path)
            if earlier is not None and earlier.fingerprint == manifest.key:
                RevocationLog(log_path, earlier.fingerprint, self.wall).continued(path)
        except BuildbotLiteError:
            return log_path
        return None


def _check_no_web(directory: str) -> None:
    """
    Raise `DirectoryBusyError` when the web process in the farm's *directory* runs: it reads the database all the time.
    """
    web = os.path.join(os.path.abspath(directory), "web")
    lock = os.path.join(web, "private", "lock")
    try:
        running = is_locked(lock)
    except OSError as error:
        raise FileError(f"{lock} cannot be read: {error.strerror}.  It tells whether the web process runs.") from None
    if running:
        raise DirectoryBusyError(
            f"The web process in {web} runs, and reads the farm's database.  Stop it first: buildbot-lite stop {web}"
        )


def _check_room(directory: str, needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise DiskFullError(f"The backup needs {needed} bytes, and {directory} has room for {free}.")


def _remove_contents(directory: str) -> None:
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
