"""
The keeper's files: one directory for each command that it holds.

::

    commands/ID/claim          fingerprint, names of streams; written before anything is spawned
               spawned         written after the spawn: a symbolic link whose text is pid, start time and boot
               stdio …         the spools, created at their first byte
               private/        files with secrets, 0600, removed when the command ends
               outcome.json    empty at first; the outcome once the command has ended (torn JSON counts as empty)
    forgotten                  ids that must never be started again, one per line

A claim without an outcome, found by a new keeper, is a command that died with the old one: *lost* if it was spawned,
*unknown* otherwise (the machine may have died between the spawn and its record).  Neither is started again.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from .tree_removal import remove_tree

MOST_FORGOTTEN = 10_000
_LONGEST_NAME = 200
_OWN_STREAMS = ("stdio", "stderr")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-+~")


class FinishedCommand(NamedTuple):
    """
    A command that is over.  *life*: ``ended``, ``lost`` or ``unknown``.
    """

    id: str
    fingerprint: str
    life: str
    outcome: dict[str, Any]

    def lengths(self) -> dict[str, int]:
        """
        The final length in bytes of each stream that is not empty.
        """
        return {name: int(seal["length"]) for name, seal in self.outcome.get("streams", {}).items()}


def safe_name(name: str) -> str:
    """
    *name* as a file name: readable, unambiguous, never hidden, at most `_LONGEST_NAME` bytes.
    """
    quoted = "".join(char if char in _PLAIN else _escaped(char) for char in name)
    if quoted.startswith("."):
        quoted = "%2E" + quoted[1:]
    if len(quoted) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        quoted = f"{quoted[:100]}%{digest}"
    return quoted


def spool_path(keeper_directory: str, id: str, stream: str) -> str:
    """
    The path of the spool of *stream*.  The file does not exist before its first byte.
    """
    name = stream if stream in _OWN_STREAMS else f"log-{safe_name(stream)}"
    return os.path.join(keeper_directory, "commands", safe_name(id), name)


class CommandStore:
    """
    The commands on disk below *directory*, the keeper's own.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._commands = os.path.join(directory, "commands")
        os.makedirs(self._commands, mode=0o700, exist_ok=True)
        # A claim is durable only if the directories above it are.
        _sync_directory(directory)
        self._tombs = os.path.join(directory, "forgotten")
        self._forgotten = self._read_forgotten()
        self._commands_fd = os.open(self._commands, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """
        Close the directory's descriptor.
        """
        os.close(self._commands_fd)

    def directory(self, id: str) -> str:
        """
        The directory of the command *id*.
        """
        return os.path.join(self._commands, safe_name(id))

    def claim(self, id: str, fingerprint: str, streams: list[str]) -> None:
        """
        Claim *id*, durably, with the names of its *streams*.  After an OSError nothing of it is left.
        """
        directory = self.directory(id)
        try:
            os.mkdir(directory, 0o700)
            with _opened(os.path.join(directory, "claim"), os.O_WRONLY | os.O_CREAT | os.O_EXCL) as fd:
                _write_all(fd, json.dumps({"id": id, "fingerprint": fingerprint, "streams": streams}).encode())
                os.fsync(fd)
            with _opened(os.path.join(directory, "outcome.json"), os.O_WRONLY | os.O_CREAT | os.O_EXCL):
                # Synced with the directory now, so that the end costs one fsync and no rename.
                pass
            _sync_directory(directory)
            os.fsync(self._commands_fd)
        except OSError:
            _remove(directory)
            raise

    def spawned(self, id: str, pid: int, started: int, boot: str) -> None:
        """
        Record the main process of *id*.  Not synced: without the record a command of a dead machine is *unknown*.
        """
        # On a full disk a lost command becomes "unknown", which is treated alike.
        with contextlib.suppress(OSError):
            os.symlink(f"{pid} {started} {boot}", os.path.join(self.directory(id), "spawned"))

    def main_of(self, id: str, boot: str) -> tuple[int, ...]:
        """
        Pid and start of the main process of *id*, if an earlier keeper recorded them in this *boot*; otherwise ().
        """
        with contextlib.suppress(OSError, ValueError):
            pid, started, noted = os.readlink(os.path.join(self.directory(id), "spawned")).split(" ", 2)
            if noted == boot and int(started):
                return int(pid), int(started)
        return ()

    def make_private(self, id: str, owner: tuple[int, int] | None = None) -> str:
        """
        Make the directory for files that only the command may read; return its path.  *owner*: its uid and gid, who get
        search permission on the directories above it.
        """
        directory = os.path.join(self.directory(id), "private")
        os.makedirs(directory, mode=0o700, exist_ok=True)
        if owner is not None:
            os.chown(directory, *owner)
            for above in (self.directory(id), self._commands):
                os.chmod(above, 0o711)  # noqa: S103 - what is in it is for us only
        return directory

    def write_private(self, id: str, name: str, contents: bytes, owner: tuple[int, int] | None = None) -> str:
        """
        Write a file into the directory of `make_private`; return its path.
        """
        path = os.path.join(self.directory(id), "private", safe_name(name))
        with _opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as fd:
            _write_all(fd, contents)
            if owner is not None:
                os.fchown(fd, *owner)
        return path

    def remove_private(self, id: str) -> None:
        """
        Remove the directory of `make_private`.
        """
        _remove(os.path.join(self.directory(id), "private"))

    def end(self, finished: FinishedCommand) -> None:
        """
        Write the outcome durably; OSError if the disk is full.
        """
        path = os.path.join(self.directory(finished.id), "outcome.json")
        with _opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
            _write_all(fd, json.dumps({"life": finished.life, "outcome": finished.outcome}).encode())
            os.fsync(fd)

    def forget(self, id: str) -> None:
        """
        Remove everything of *id*, except the record that it must not be started again.
        """
        if id not in self._forgotten:
            self._forgotten[id] = None
            with contextlib.suppress(OSError), _opened(self._tombs, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as fd:
                # The leading newline ends a line that a full disk or a crash has torn.
                _write_all(fd, b"\n" + json.dumps(id).encode() + b"\n")
            if len(self._forgotten) > 2 * MOST_FORGOTTEN:
                self._trim_forgotten()
        _remove(self.directory(id))

    def forgot(self, id: str) -> bool:
        """
        Whether *id* was forgotten here.
        """
        return id in self._forgotten

    def found(self) -> Iterator[tuple[str, str, dict[str, Any] | None, bool]]:
        """
        The commands of an earlier keeper: id, fingerprint, contents of outcome.json or None, whether it was spawned.
        """
        for name in sorted(os.listdir(self._commands)):
            directory = os.path.join(self._commands, name)
            claim = _read_json(os.path.join(directory, "claim"))
            if claim is None or safe_name(str(claim.get("id"))) != name:
                # The claim is synced before the spawn, so nothing was spawned.
                _remove(directory)
                continue
            outcome = _read_json(os.path.join(directory, "outcome.json"))
            spawned = os.path.lexists(os.path.join(directory, "spawned"))
            yield str(claim["id"]), str(claim.get("fingerprint")), outcome, spawned

    def seals(self, id: str) -> dict[str, dict[str, Any]]:
        """
        Length and checksum of every spool, by stream, for a command whose keeper died.
        """
        found = {}
        claim = _read_json(os.path.join(self.directory(id), "claim")) or {}
        for stream in claim.get("streams", []):
            # A stream that cannot be read is left out; the command is lost anyhow.
            with contextlib.suppress(OSError), open(spool_path(self._directory, id, stream), "rb") as spool:
                digest = hashlib.file_digest(spool, "sha256").hexdigest()
                found[stream] = {"length": spool.tell(), "sha256": digest}
        return {stream: seal for stream, seal in found.items() if seal["length"]}

    def _read_forgotten(self) -> dict[str, None]:
        try:
            with open(self._tombs, encoding="ascii", errors="replace") as lines:
                ids = [id for line in lines if line.endswith("\n") and (id := _read_string(line)) is not None]
        except FileNotFoundError:
            return {}
        return dict.fromkeys(ids[-MOST_FORGOTTEN:])

    def _trim_forgotten(self) -> None:
        self._forgotten = dict.fromkeys(list(self._forgotten)[-MOST_FORGOTTEN:])
        with contextlib.suppress(OSError):
            with _opened(self._tombs + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
                _write_all(fd, b"".join(json.dumps(id).encode() + b"\n" for id in self._forgotten))
            os.rename(self._tombs + ".new", self._tombs)


def _escaped(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def _remove(directory: str) -> None:
    """
    Remove a directory tree as far as possible.

    A command may write anything into ``private``, even now: very deep directories, and links in place of directories.
    """
    above, name = os.path.split(os.fsencode(directory))
    with contextlib.suppress(OSError), _opened(os.fsdecode(above), os.O_RDONLY | os.O_DIRECTORY) as fd:
        remove_tree(name, fd)


@contextlib.contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _sync_directory(path: str) -> None:
    with _opened(path, os.O_RDONLY) as fd:
        os.fsync(fd)


def _read_string(line: str) -> str | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, str) else None


def _read_json(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as source:
            document = json.load(source)
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None
