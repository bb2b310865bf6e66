"""
Makes the transfer for a spec, and restores those of an earlier process.
"""

import os
from collections.abc import Callable
from functools import partial

from twisted.logger import Logger

from ..errors import BuildbotLiteError
from ..model.json_reader import JsonReader
from ..model.spec import (
    Download,
    MakeDirectory,
    RemoveDirectory,
    Spec,
    Upload,
    UploadDirectory,
    from_document,
)
from ..storage.files import remove
from .downloads import (
    STAGED,
    ArchiveDownload,
    FileDownload,
    discard,
)
from .file_jobs import remove_job
from .transfer import Transfer, TransferContext, succeeded
from .transfer_files import with_room
from .uploads import DirectoryUpload, FileUpload

INPUT = ".stdin"
"""The suffix of files that hold a command's standard input."""
_LARGEST_CLAIM = 5 << 20
_log = Logger()


class DirectoryMaking(Transfer):
    """
    Makes a directory.
    """

    async def _perform(self) -> None:
        await with_room(self._context.clock, lambda: self._context.paths.make(self._spec.path))
        self._end(succeeded())


class DirectoryRemoval(Transfer):
    """
    Removes a directory.
    """

    async def _perform(self) -> None:
        if not self._context.paths.remove_quickly(self._spec.path):
            await self._in_worker(remove_job(self._context.paths, self._spec.path), seconds=self._spec.max_time)
        self._end(succeeded())


_KINDS: dict[type[Spec], type[Transfer]] = {
    MakeDirectory: DirectoryMaking,
    RemoveDirectory: DirectoryRemoval,
    Upload: FileUpload,
    UploadDirectory: DirectoryUpload,
    Download: FileDownload,
}


def new_transfer(
    id: str, fingerprint: str, spec: Spec, context: TransferContext, changed: Callable[[str], None]
) -> Transfer:
    """
    A new transfer for *spec*, claimed but not begun.
    """
    transfer = _kind(spec)(id, fingerprint, spec, context, partial(changed, id))
    transfer.claim()
    return transfer


def saved_transfers(context: TransferContext, changed: Callable[[str], None]) -> list[Transfer]:
    """
    The transfers that an earlier process claimed and did not forget, in no particular order, not begun.

    Files that belong to none of them are removed, except standard inputs of commands, which `Agent` removes.
    """
    names = sorted(os.listdir(context.directory))
    transfers = {}
    for name in names:
        id, ending = os.path.splitext(name)
        if ending == ".json":
            try:
                transfers[id] = _read(id, os.path.join(context.directory, name), context, partial(changed, id))
            except (BuildbotLiteError, OSError, KeyError) as error:
                _log.warn("transfer {id} cannot be read ({problem}); dropped", id=id, problem=str(error))
    for name in names:
        id, ending = os.path.splitext(name)
        if ending == STAGED and id not in transfers:
            discard(context, os.path.join(context.directory, name))
        elif ending not in (INPUT, STAGED) and (id not in transfers or ending == ".new"):
            remove(os.path.join(context.directory, name))
    return list(transfers.values())


def _read(id: str, path: str, context: TransferContext, changed: Callable[[], None]) -> Transfer:
    with open(path, "rb") as claim:
        saved = JsonReader.decode(claim.read(_LARGEST_CLAIM + 1), "the transfer", _LARGEST_CLAIM)
    spec = from_document(saved.mapping("spec"))
    return _kind(spec)(id, saved.text("fingerprint", limit=64), spec, context, changed, saved=saved)


def _kind(spec: Spec) -> type[Transfer]:
    return ArchiveDownload if isinstance(spec, Download) and spec.unpack else _KINDS[type(spec)]
