"""
The keeper's files: one for the records of all commands, and a directory for each command that has further files.

::

    claims                     what is recorded of each command, one JSON object in a line (`record_file`)
        claim                  id, fingerprint, names of streams, grace; synced before anything is spawned
        spawned                id, pid, start time and boot of the main process; not synced
        ended                  id, life and outcome; not synced
        synced                 id, whose outcome and streams are on the disk; synced
        forgotten              id, which must never be started again; not synced
    commands/ID/stdio …        the spools, created at their first byte
               private/        files with secrets, 0600, removed when the command ends

A claim without an outcome, found by a new keeper, is a command that died with the old one: *lost* if it was spawned,
*unknown* otherwise (the machine may have died between the spawn and its record).  Neither is started again.

An outcome is written at once, so it survives this keeper.  It survives a crash of the machine only if it was synced,
which is not done when the master takes the outcome soon.  So the next keeper accepts an outcome without *synced* only
if the spools have its checksums; otherwise the command is lost.

A forgotten command whose record is lost with the machine is held again: its outcome is reported once more.

A keeper of version 0.1.0 kept a claim in ``commands/ID`` and the forgotten ids in a file ``forgotten``; the first
keeper of a later version takes them over.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from .earlier_records import earlier_records, remove_earlier_records
from .record_file import RecordFile
from .tree_removal import remove_tree

MOST_FORGOTTEN = 10_000
# Bytes of new records, about those of 4000 commands, after which the file is rewritten without superseded records.
_GROWTH = 4 << 20
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


class _Held(NamedTuple):
    """
    The records of a command that is held.  *spawned*, *ended*, *synced*: None until there is one.
    """

    claim: dict[str, Any]
    spawned: dict[str, Any] | None = None
    ended: dict[str, Any] | None = None
    synced: dict[str, Any] | None = None


class CommandStore:
    """
    The commands on disk below *directory*, the keeper's own.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._commands = os.path.join(directory, "commands")
        os.makedirs(self._commands, mode=0o700, exist_ok=True)
        self._commands_fd = os.open(self._commands, os.O_RDONLY | os.O_CLOEXEC)
        self._records = RecordFile(os.path.join(directory, "claims"))
        self._held: dict[str, _Held] = {}
        self._forgotten: dict[str, None] = {}
        for record in (*earlier_records(directory), *self._records.read()):
            self._replay(record)
        # On a full disk the files stay unchanged until a keeper starts again.
        with contextlib.suppress(OSError):
            self._rewrite()
            remove_earlier_records(directory)
        self._remove_unclaimed()

    def close(self) -> None:
        """
        Close the descriptors.
        """
        self._records.close()
        os.close(self._commands_fd)

    def directory(self, id: str) -> str:
        """
        The directory of the command *id*.  It does not exist before the first file in it.
        """
        return os.path.join(self._commands, safe_name(id))

    def claim(self, id: str, fingerprint: str, streams: list[str], grace: float | None = None) -> None:
        """
        Claim *id*, durably, with the names of its *streams*.  After an OSError it is not claimed.  *grace*: seconds,
        for those who read the records (`running_commands`).
        """
        claim = {"record": "claim", "id": id, "fingerprint": fingerprint, "streams": streams, "grace": grace}
        self._records.append(claim, sync=True)
        self._held[id] = _Held(claim)

    def spawned(self, id: str, pid: int, started: int, boot: str) -> None:
        """
        Record the main process of *id*.  Not synced: without the record a command of a dead machine is *unknown*.
        """
        record = {"record": "spawned", "id": id, "pid": pid, "started": started, "boot": boot}
        # Without this record, on a full disk, a lost command becomes "unknown", which the master handles as "lost".
        with contextlib.suppress(OSError):
            self._records.append(record, sync=False)
            self._replay(record)

    def main_of(self, id: str, boot: str) -> tuple[int, ...]:
        """
        Pid and start of the main process of *id*, if an earlier keeper recorded them in this *boot*; otherwise ().
        """
        spawned = self._held[id].spawned
        if spawned is None or spawned["boot"] != boot or not spawned["started"]:
            return ()
        return int(spawned["pid"]), int(spawned["started"])

    def make_private(self, id: str, owner: tuple[int, int] | None = None) -> str:
        """
        Make the directory for files that only the command may read; return its path.  *owner*: its uid and gid, who get
        search permission on the directories above it.
        """
        directory = os.path.join(self.directory(id), "private")
        for each in (self.directory(id), directory):
            with contextlib.suppress(FileExistsError):
                os.mkdir(each, 0o700)
        if owner is not None:
            os.chown(directory, *owner)
            for above in (self.directory(id), self._commands):
                os.chmod(above, 0o711)  # noqa: S103 - the other files in it have mode 0600
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
        with contextlib.suppress(OSError), _opened(self.directory(id), os.O_RDONLY | os.O_DIRECTORY) as fd:
            remove_tree(b"private", fd)

    def end(self, finished: FinishedCommand) -> None:
        """
        Write the outcome, for the next keeper; OSError if the disk is full.
        """
        record = {"record": "ended", "id": finished.id, "life": finished.life, "outcome": finished.outcome}
        self._records.append(record, sync=False)
        self._replay(record)

    def sync(self, id: str) -> None:
        """
        Bring the outcome of *id* and its streams to the disk, if it is held and has one.  OSError if the disk fails.
        """
        held = self._held.get(id)
        if held is None or held.ended is None or held.synced is not None:
            return
        # A file is durable only if its directory entry is, and that of its directory.
        for path in (*self._spools(held).values(), self.directory(id), self._commands):
            with contextlib.suppress(FileNotFoundError), _opened(path, os.O_RDONLY) as file:
                os.fsync(file)
        record = {"record": "synced", "id": id}
        self._records.append(record, sync=True)
        self._replay(record)

    def forget(self, id: str) -> None:
        """
        Remove everything of *id*, except the record that it must not be started again.
        """
        self._held.pop(id, None)
        if id not in self._forgotten:
            self._forgotten[id] = None
            with contextlib.suppress(OSError):
                self._records.append({"record": "forgotten", "id": id}, sync=False)
        self._remove(safe_name(id))
        if self._records.length > self._rewrite_at or len(self._forgotten) > 2 * MOST_FORGOTTEN:
            with contextlib.suppress(OSError):
                self._rewrite()

    def forgot(self, id: str) -> bool:
        """
        Whether *id* was forgotten here.
        """
        return id in self._forgotten

    def found(self) -> Iterator[tuple[str, str, dict[str, Any] | None, bool]]:
        """
        The commands of an earlier keeper: id, fingerprint, life and outcome or None, whether it was spawned.
        """
        for id, held in self._held.items():
            yield id, str(held.claim.get("fingerprint")), self._ending(id, held), held.spawned is not None

    def seals(self, id: str) -> dict[str, dict[str, Any]]:
        """
        Length and checksum of every spool, by stream, for a command whose keeper died.
        """
        found = {}
        for stream, path in self._spools(self._held[id]).items():
            # A stream that cannot be read is left out; the command is lost anyhow.
            with contextlib.suppress(OSError), open(path, "rb") as spool:
                digest = hashlib.file_digest(spool, "sha256").hexdigest()
                found[stream] = {"length": spool.tell(), "sha256": digest}
        return {stream: seal for stream, seal in found.items() if seal["length"]}

    def _ending(self, id: str, held: _Held) -> dict[str, Any] | None:
        """
        The record of the outcome of *id*, if the streams that it describes are here.
        """
        if held.ended is None or held.synced is not None:
            return held.ended
        outcome = held.ended.get("outcome")
        intact = isinstance(outcome, dict) and self.seals(id) == outcome.get("streams", {})
        return held.ended if intact else None

    def _spools(self, held: _Held) -> dict[str, str]:
        """
        The path of every stream that the command may have.
        """
        id = str(held.claim["id"])
        return {stream: spool_path(self._directory, id, stream) for stream in held.claim.get("streams", [])}

    def _replay(self, record: dict[str, Any]) -> None:
        id, kind = str(record.get("id")), record.get("record")
        if kind == "claim" and id not in self._forgotten:
            self._held[id] = _Held(record)
        elif kind == "forgotten":
            self._held.pop(id, None)
            self._forgotten[id] = None
        elif id in self._held and kind == "spawned":
            self._held[id] = self._held[id]._replace(spawned=record)
        elif id in self._held and kind == "ended":
            self._held[id] = self._held[id]._replace(ended=record, synced=None)
        elif id in self._held and kind == "synced":
            self._held[id] = self._held[id]._replace(synced=record)

    def _rewrite(self) -> None:
        """
        Rewrite the file with the records of held commands and the latest `MOST_FORGOTTEN` forgotten ids only.
        """
        self._forgotten = dict.fromkeys(list(self._forgotten)[-MOST_FORGOTTEN:])
        # Also set here, so that after an error the next attempt is made only when the file has grown further.
        self._rewrite_at = self._records.length + _GROWTH
        held = [record for each in self._held.values() for record in each if record is not None]
        self._records.rewrite([*({"record": "forgotten", "id": id} for id in self._forgotten), *held])
        self._rewrite_at = self._records.length + _GROWTH

    def _remove_unclaimed(self) -> None:
        """
        Remove the directories of commands that are not held: they were forgotten, but not removed before the machine
        or the keeper died.
        """
        claimed = set(map(safe_name, self._held))
        for name in os.listdir(self._commands):
            if name not in claimed:
                self._remove(name)

    def _remove(self, name: str) -> None:
        """
        Remove a command's directory as far as possible.

        (`remove_tree`, because a command can write anything into ``private``, even now: very deep directories, or links
        in place of directories.)
        """
        with contextlib.suppress(OSError):
            remove_tree(os.fsencode(name), self._commands_fd)


def _escaped(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


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
