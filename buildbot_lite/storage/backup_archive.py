"""
The file format of backups: a tar archive that says whether it is whole.

::

    farm/…            files, in any order; only regular ones
    records.sqlite    the database
    SHA256SUMS        a line for each file before it, in their order, as sha256sum(1) writes them
    manifest.json     what the backup is of; the checksum of SHA256SUMS

So tar(1) unpacks it, and ``sha256sum -c`` checks it.  Both sides read and write it as a stream, in bounded memory.
"""

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryFile
from types import MappingProxyType, NoneType
from typing import IO, Any, BinaryIO

from attrs import asdict, frozen

from ..errors import FileError, StorageError
from .files import make_directories

FORMAT = 1
SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
DATABASE = "records.sqlite"
FARM = "farm/"
LARGEST_MANIFEST = 1 << 20
LARGEST_SUM_LINE = 1 << 16
_PIECE = 1 << 20
_KINDS: Mapping[str, Any] = MappingProxyType(
    {"made": (int, float), "key": (str, NoneType), "logs": bool, "artifacts": bool}
    | dict.fromkeys(("files", "length", "format"), int)
)


class BackupError(StorageError):
    """
    The file is not a complete backup.
    """


@frozen
class Manifest:
    """
    The description of a backup.

    *directory*: of the farm.  *made*: when the database was copied, seconds since 1970.  *database*: its path, relative
    to the farm's directory if it is in it.  *key*: the fingerprint of the farm's key; None: it has none yet.
    *revision*: of the database's schema.  *logs*, *artifacts*: whether those of finished builds are in it.  *files*,
    *length*: number of files, and their bytes.  *sums*: SHA-256 of `SUMS`.
    """

    directory: str
    made: float
    version: str
    database: str
    key: str | None
    revision: str
    logs: bool
    artifacts: bool
    files: int = 0
    length: int = 0
    sums: str = ""
    format: int = FORMAT

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """
        The manifest in *data*; `BackupError` when it is not a valid one.
        """
        try:
            document = json.loads(data)
            version = document["format"]
            if version != FORMAT:
                raise BackupError(f"This backup has format {version}, and this version reads only {FORMAT}.")
            return cls(**{name: _checked(name, value) for name, value in document.items()})
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise BackupError("The backup is damaged: its manifest is not one of buildbot_lite's.") from None


def _checked(name: str, value: Any) -> Any:
    kind: Any = _KINDS.get(name, str)
    if isinstance(value, kind) and isinstance(value, bool) is (kind is bool):
        return value
    raise TypeError(name)


class ArchiveWriter:
    """
    Writes a backup to *output*.
    """

    def __init__(self, output: BinaryIO) -> None:
        self._tar = tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - until `finish`
        self._sums = TemporaryFile()  # noqa: SIM115 - until `finish`
        self._files = 0
        self._length = 0

    def add(self, name: str, path: str) -> bool:
        """
        Add the file *path*, as it is now, as *name*.  False: there is none (any more), or it is no regular file.

        A file that grows meanwhile is added up to its present length.
        """
        try:
            # Not blocking, because opening a FIFO would wait for its other end.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            if stat.S_ISSOCK(os.stat(path).st_mode):
                return False
            raise FileError(f"{path} cannot be read: {error.strerror}.") from None
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return False
            entry = _entry(name, status.st_size, mode=stat.S_IMODE(status.st_mode), mtime=int(status.st_mtime))
            reader = _SummingReader(file, path)
            self._add(entry, reader)
        self._sums.write(sum_line(reader.sha256, name))
        self._files += 1
        self._length += status.st_size
        return True

    def finish(self, manifest: Callable[[int, int, str], Manifest]) -> Manifest:
        """
        Write the end of the archive; *manifest* makes the manifest from the last fields of it that describe the files.
        """
        size = self._sums.tell()
        self._sums.seek(0)
        sums = _SummingReader(self._sums, SUMS)
        self._add(_entry(SUMS, size), sums)
        self._sums.close()
        made = manifest(self._files, self._length, sums.sha256)
        text = json.dumps(asdict(made), indent=1).encode()
        self._add(_entry(MANIFEST, len(text)), io.BytesIO(text))
        self._tar.close()
        return made

    def _add(self, entry: tarfile.TarInfo, reader: Any) -> None:
        self._tar.addfile(entry, reader)
        # tarfile would keep a description of each file in memory.
        self._tar.members = []  # type: ignore[attr-defined]  # tarfile has no other way


class ArchiveReader:
    """
    Reads a backup from *source*, from its beginning.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def verify(self) -> Manifest:
        """
        Read all of it, and return its manifest.  `BackupError` when a file is damaged, missing or not from the backup.
        """
        files, length, manifest, sums = 0, 0, None, ""
        with _sentence_for_damage(), TemporaryFile() as computed:
            for entry, reader in self._entries():
                if manifest is not None:
                    raise BackupError(f"The backup is damaged: {entry.name!r:.200} stands after its end.")
                if entry.name == MANIFEST:
                    manifest = Manifest.from_bytes(reader.read(LARGEST_MANIFEST))
                elif entry.name == SUMS:
                    computed.seek(0)
                    sums = _compared(reader, computed)
                else:
                    computed.write(sum_line(_sum_of(reader), checked_name(entry.name)))
                    files, length = files + 1, length + entry.size
        if manifest is None:
            raise BackupError("The backup is incomplete: its end is missing.  Use another one.")
        if (files, length, sums) != (manifest.files, manifest.length, manifest.sums):
            raise BackupError("The backup is damaged: it has not the files that it had when it was made.")
        return manifest

    def extract(self, place: Callable[[str], str], made: Callable[[str], object]) -> None:
        """
        Write each file to the path ``place(name)``, readable for its owner only; *made* gets each path before it is
        created.  The backup must be verified; each file must be new.
        """
        with _sentence_for_damage():
            for entry, reader in self._entries():
                if entry.name not in (SUMS, MANIFEST):
                    path = place(checked_name(entry.name))
                    made(path)
                    _write(path, reader, 0o600 | (entry.mode & 0o100))

    def _entries(self) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
        self._source.seek(0)
        with tarfile.open(fileobj=self._source, mode="r|") as tar:
            while (entry := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # tarfile has no other way
                # A sparse file of a few bytes may declare any size.
                reader = tar.extractfile(entry) if entry.isreg() and not entry.issparse() else None
                if reader is None:
                    raise BackupError(f"That is no backup: {entry.name!r:.200} is not a regular file.")
                yield entry, reader


def manifest_of(path: str) -> Manifest:
    """
    The manifest of the backup at *path*, of which nothing else is verified.  `BackupError` if the file is none, or only
    a part of one; `FileError` if it cannot be read.
    """
    try:
        with _sentence_for_damage(), tarfile.open(path, "r:") as tar:
            last = None
            while (entry := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # tarfile has no other way
                last = entry
            reader = tar.extractfile(last) if last is not None and last.name == MANIFEST and last.isreg() else None
            if reader is None:
                raise BackupError("The file has not the end of a backup.")
            return Manifest.from_bytes(reader.read(LARGEST_MANIFEST))
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from None


def sum_line(sha256: str, name: str) -> bytes:
    """
    The line of sha256sum(1) for the file *name*.
    """
    escaped = name.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")
    line = f"{sha256}  {escaped}\n"
    return (line if escaped == name else "\\" + line).encode("utf-8", "surrogateescape")


def checked_name(name: str) -> str:
    """
    *name*, unless it is not that of a file in a backup.
    """
    parts = name.split("/")
    inside = name.startswith(FARM) and not {"", ".", ".."} & set(parts) and "\0" not in name
    if not inside and name != DATABASE:
        raise BackupError(f"The backup is damaged: it has a file {name!r:.200}.")
    return name


@contextmanager
def _sentence_for_damage() -> Iterator[None]:
    try:
        yield
    # tarfile lets the other three out where the numbers and texts in a header are odd.
    except (tarfile.TarError, EOFError, ValueError, OverflowError, AttributeError) as error:
        raise BackupError(f"The file is no backup, or only a part of one: {error}.") from None


class _SummingReader:
    """
    Reads *file*, and computes its SHA-256.
    """

    def __init__(self, file: IO[bytes], path: str) -> None:
        self._file = file
        self._path = path
        self._sum = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._sum.hexdigest()

    def read(self, size: int) -> bytes:
        try:
            piece = self._file.read(size)
        except OSError as error:
            raise FileError(f"{self._path} cannot be read: {error.strerror}.") from None
        if len(piece) < size:
            raise FileError(f"{self._path} became shorter while it was copied.  Run the backup again.")
        self._sum.update(piece)
        return piece


def _entry(name: str, size: int, *, mode: int = 0o600, mtime: int = 0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, mode, mtime
    return entry


def _pieces(reader: IO[bytes]) -> Iterator[bytes]:
    while piece := reader.read(_PIECE):
        yield piece


def _sum_of(reader: IO[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(reader):
        digest.update(piece)
    return digest.hexdigest()


def _compared(source: IO[bytes], computed: IO[bytes]) -> str:
    """
    The SHA-256 of the lines of *source*; `BackupError` at the first that is not as in *computed*.
    """
    digest = hashlib.sha256()
    while line := source.readline(LARGEST_SUM_LINE):
        digest.update(line)
        if line != computed.readline():
            name = line.decode("utf-8", "replace").strip().partition("  ")[2]
            raise BackupError(f"The backup is damaged: {name:.200} has another checksum than when it was made.")
    return digest.hexdigest()


def _write(path: str, reader: IO[bytes], mode: int) -> None:
    try:
        make_directories(os.path.dirname(path))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with open(descriptor, "wb") as file:
            file.writelines(_pieces(reader))
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}.") from None
