"""
Record this version's keeper: its conversation and its directory: ``python -m test.recorded.record_keeper``.

Run this once for each released version, and never again.
"""

import gzip
import json
import os
import sys
import tarfile
import tempfile
from typing import Any

from twisted.internet.task import react

from buildbot_lite import __version__
from buildbot_lite.slave.keeper_client import KeeperClient
from buildbot_lite.slave.keeper_connection import KeeperConnection, KeeperReactor

from .keeper_recording import (
    DIRECTORY,
    HOME,
    STORE_ARCHIVE,
    Entry,
    RecordingListener,
    converse,
    write_recording,
)


async def record(directory: str, reactor: KeeperReactor) -> list[Entry]:
    """
    Record the conversation of a keeper in *directory*, which then leaves its files.
    """
    recording: list[Entry] = []
    told, asked = KeeperConnection.lineReceived, KeeperConnection.send

    def keep_told(line: Any, data: bytes) -> None:
        message = json.loads(data.replace(directory.encode(), HOME.encode()))
        if message.get("event") == "hello":
            message["boot"] = "recorded"
        # The number of growth events depends on timing.
        if message.get("event") != "grew" or not any(entry == ("told", message) for entry in recording):
            recording.append(("told", message))
        told(line, data)

    def keep_asked(line: Any, message: Any) -> None:
        recording.append(("asked", json.loads(json.dumps(message).replace(directory, HOME))))
        asked(line, message)

    heard: Any = KeeperConnection
    heard.lineReceived, heard.send = keep_told, keep_asked
    client = KeeperClient(os.path.join(directory, "keeper"), reactor, linger=5.0)
    await converse(client, RecordingListener(), directory)
    while recording[-1][0] == "asked":
        recording.pop()
    kept = list(recording)
    await client.stop()
    return kept


def pack(source: str, target: str) -> None:
    """
    Archive the directory *source*, without its socket and without data of this machine.
    """

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    with gzip.GzipFile(target, "wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for name in ("commands", "claims"):
            archive.add(os.path.join(source, name), name, filter=plain)


async def main(reactor: Any) -> None:
    """
    Write both files.
    """
    with tempfile.TemporaryDirectory(prefix="recorded-") as directory:
        recording = await record(directory, reactor)
        pack(os.path.join(directory, "keeper"), os.path.join(DIRECTORY, f"{__version__}{STORE_ARCHIVE}"))
    write_recording(__version__, recording)
    sys.stdout.write(f"{len(recording)} lines\n")


if __name__ == "__main__":
    react(main)
