"""
Backups of a farm, made while its master runs.

First the database is copied, then the files that it names.  Files are on the disk before the records that name them, so
each record of the copy has its file.  Logs that grow meanwhile are copied in their present state; a restored master
gets the rest from the slaves again.  Records whose files are not in the backup, because they were not wanted or were
removed meanwhile, are removed from the copy.  Files of builds that are unfinished, or have a mark, are always wanted.

Not in a backup: what only the running processes of this directory need, and the log of revocations, which a restore
compares with the backup.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

from attrs import define, field

from .. import __version__
from ..errors import BuildbotLiteError, DiskFullError, FileError, StorageError
from .backup_archive import DATABASE, FARM, ArchiveWriter, BackupError, Manifest, manifest_of
from .compressed_streams import SUFFIX
from .database_place import kept_place
from .files import is_disk_full, remove, sync_directory
from .revocation_log import FILE as REVOCATIONS
from .upgrading import REVISION

_NOT_COPIED = {"records", "streams", "artifacts", "inputs", "own", "gitpoller_work", "hgpoller_work", "__pycache__"}
_OF_PROCESSES = {f"private/{name}" for name in ("lock", "listening", "database", REVOCATIONS)}
# It makes its key and these files anew, and gets its strings from the master.
_OF_WEB_PROCESS = {f"web/{name}" for name in ("private", "address", "www.json", "metrics.json")}
_KINDS = {"log": "streams", "artifact": "artifacts"}
_ALWAYS = "builds.finished IS NULL OR builds.kept IS NOT NULL"
_STREAMS = f"""
    SELECT streams.id, kind, path, length FROM streams JOIN builds ON builds.id = streams.build
    WHERE {_ALWAYS} OR (kind = 'log' AND ?) OR (kind = 'artifact' AND ?) ORDER BY streams.id
"""  # noqa: S608 - only constants
_DROP_STREAMS = f"""
    DELETE FROM streams WHERE kind = ? AND build NOT IN (SELECT id FROM builds WHERE {_ALWAYS})
"""  # noqa: S608 - only constants


@define
class Backup:
    """
    A backup of the farm in *directory*, to the file *path*.

    *logs*, *artifacts*: with those of all builds.  *note*: called with a sentence about what is left out.  *wall*:
    seconds since 1970.  *overwrite*: replace any file, not only an earlier backup of the same farm.
    """

    directory: str
    path: str
    logs: bool
    artifacts: bool
    note: Callable[[str], object]
    wall: Callable[[], float]
    overwrite: bool = False
    _lost: list[tuple[int]] = field(factory=list, init=False)

    def make(self) -> Manifest:
        """
        Make the backup.  The file *path* appears when the backup is whole and on the disk, with mode 0600.

        `BuildbotLiteError` if there is a file that is not to be replaced; nothing is changed then.
        """
        above, name = os.path.split(os.path.abspath(self.path))
        self._check_place(above)
        beside, copy = (os.path.join(above, f".{name}.{kind}") for kind in ("new", "records"))
        try:
            for each in (beside, copy):
                remove(each)
            made = self.wall()
            self._copy_database(copy)
            self._check_replaced(copy)
            manifest = self._write(beside, copy, made)
            os.rename(beside, os.path.join(above, name))
            sync_directory(above)
        except OSError as error:
            if is_disk_full(error):
                raise DiskFullError(f"There is no room for {self.path}.  Make room and try again.") from None
            raise FileError(f"{error.filename or self.path} cannot be used: {error.strerror}.") from None
        finally:
            for each in (beside, copy):
                with suppress(OSError):
                    remove(each)
        return manifest

    def _check_place(self, above: str) -> None:
        farm = os.path.realpath(self.directory)
        if os.path.commonpath([farm, os.path.realpath(above)]) == farm:
            raise BuildbotLiteError(
                f"{self.path} would be in the farm's own directory, and in later backups.  Give a file elsewhere, "
                "best on another disk."
            )
        if not os.path.isdir(above):
            raise BuildbotLiteError(f"There is no directory {above}.  Make it first.")
        if os.path.isdir(self.path):
            raise FileError(f"{self.path} is a directory.  Give a file, which may be new.")

    def _copy_database(self, copy: str) -> None:
        database = kept_place(self.directory)
        if not os.path.exists(database):
            raise BuildbotLiteError(f"There are no records in {self.directory}: its master was never started.")
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
                target.execute("PRAGMA synchronous=OFF")
                # In one step: between two, a change by the master would make it begin again.
                source.backup(target, pages=-1)
                # One file, without a write-ahead log.
                target.execute("PRAGMA journal_mode=DELETE")
                (revision,) = target.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.Error as error:
            raise StorageError(f"The farm's database {database} cannot be copied: {error}.") from None
        if revision != REVISION:
            raise StorageError(
                f"The farm's database {database} is that of another version of buildbot_lite.  Restart the master "
                "with this version, and try again; or use that version's command."
            )

    def _check_replaced(self, copy: str) -> None:
        """
        Refuse to replace what is at *path*, unless it is an earlier backup of the farm whose records are in *copy*, or
        the user said so.
        """
        if not os.path.lexists(self.path):
            return
        if not os.path.isfile(self.path):
            raise BuildbotLiteError(f"{self.path} is not a regular file.  Give another name.")
        if self.overwrite:
            return
        try:
            earlier = manifest_of(self.path)
        except BackupError:
            raise BuildbotLiteError(
                f"{self.path} exists already, and is not a complete backup.  To replace it: --overwrite"
            ) from None
        with closing(sqlite3.connect(copy)) as records:
            key = _key_in(records)
        # The key is the farm's identity: its directory may have moved, and another farm may be at its place now.
        same = earlier.key == key if earlier.key and key else earlier.directory == os.path.abspath(self.directory)
        if not same:
            raise BuildbotLiteError(
                f"{self.path} is a backup of another farm, which was in {earlier.directory}.  Give another name; to "
                "replace it: --overwrite"
            )

    def _write(self, beside: str, copy: str, made: float) -> Manifest:
        with (
            open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as output,
            closing(sqlite3.connect(copy, isolation_level=None)) as records,
        ):
            archive = ArchiveWriter(output)
            self._add_files(archive)
            self._add_inputs(archive, records)
            self._add_streams(archive, records)
            key = self._prepare_records(records)
            records.close()
            archive.add(DATABASE, copy)
            database = os.path.abspath(kept_place(self.directory))
            place = os.path.relpath(database, os.path.abspath(self.directory))

            def manifest(files: int, length: int, sums: str) -> Manifest:
                return Manifest(
                    directory=os.path.abspath(self.directory),
                    made=made,
                    version=__version__,
                    database=database if place.startswith("../") else place,
                    key=key,
                    revision=REVISION,
                    logs=self.logs,
                    artifacts=self.artifacts,
                    files=files,
                    length=length,
                    sums=sums,
                )

            whole = archive.finish(manifest)
            output.flush()
            os.fsync(output.fileno())
            return whole

    def _add_files(self, archive: ArchiveWriter) -> None:
        """
        Add master.cfg, the files beside it, and ``private/``.
        """
        database = os.path.realpath(kept_place(self.directory))
        for name in self._files(""):
            path = os.path.join(self.directory, name)
            if not os.path.realpath(path).startswith(database):
                archive.add(FARM + name, path)

    def _files(self, inside: str) -> Iterator[str]:
        """
        The files in the farm's directory *inside*, relative to the farm's.
        """
        for entry in sorted(os.scandir(os.path.join(self.directory, inside)), key=lambda entry: entry.name):
            name = os.path.join(inside, entry.name)
            if name in _NOT_COPIED or entry.name == "__pycache__" or self._is_of_processes(name):
                continue
            if entry.name.startswith(".") and entry.name.endswith(".new"):
                continue  # being written
            if entry.is_dir(follow_symlinks=False):
                yield from self._files(name)
            elif entry.is_dir():
                self.note(f"{name} is a link to a directory, and not in the backup.  Back up that directory itself.")
            elif not (entry.name.startswith("twistd.") and (not inside or self._is_web(inside))):
                yield name

    def _is_of_processes(self, name: str) -> bool:
        """
        Whether *name* is of the running master, or of its web process: for no other farm.
        """
        return name in _OF_PROCESSES or (name in _OF_WEB_PROCESS and self._is_web("web"))

    def _is_web(self, inside: str) -> bool:
        """
        Whether the farm's directory *inside* is that of its web process, and no other of that name.
        """
        return inside == "web" and os.path.exists(os.path.join(self.directory, inside, "web.tac"))

    def _add_inputs(self, archive: ArchiveWriter, records: sqlite3.Connection) -> None:
        for (sha256,) in records.execute("SELECT DISTINCT sha256 FROM inputs ORDER BY sha256"):
            archive.add(f"{FARM}inputs/{sha256}", os.path.join(self.directory, "inputs", sha256))

    def _add_streams(self, archive: ArchiveWriter, records: sqlite3.Connection) -> None:
        for id, kind, path, length in records.execute(_STREAMS, (self.logs, self.artifacts)):
            name = f"{_KINDS[kind]}/{path}"
            # The master may compress it at this moment.
            has_files = any(
                archive.add(FARM + name + end, os.path.join(self.directory, name + end)) for end in ("", SUFFIX, "")
            )
            if not has_files and length:
                self._lost.append((id,))

    def _prepare_records(self, records: sqlite3.Connection) -> str | None:
        """
        Remove the rows of files that are not in the backup.  Returns the fingerprint of the farm's key.
        """
        records.execute("PRAGMA synchronous=OFF")
        records.execute("BEGIN")
        records.executemany("DELETE FROM streams WHERE id = ?", self._lost)
        for kind, whether in (("log", self.logs), ("artifact", self.artifacts)):
            if not whether:
                records.execute(_DROP_STREAMS, (kind,))
        records.execute("COMMIT")
        return _key_in(records)


def _key_in(records: sqlite3.Connection) -> str | None:
    """
    The fingerprint of the farm's key; None: it has none yet.
    """
    key = records.execute("SELECT value FROM settings WHERE name = 'strings'").fetchone()
    return key and str(key[0])
