"""
Which transfer does what a spec asks for; and those that an earlier process left.
"""

import os
from collections.abc import Callable
from functools import partial

from twisted.logger import Logger

from ..errors import BuildbotLiteError
from ..model.shape import Shape
from ..model.spec import Download, MakeDirectory, RemoveDirectory, Spec, Upload, UploadDirectory, from_document
from ..storage.files import remove
from .downloads import FileDownload
from .transfer import Means, Transfer, succeeded
from .uploads import DirectoryUpload, FileUpload

_LARGEST_CLAIM = 5 << 20
_log = Logger()


class DirectoryMaking(Transfer):
    """
    A directory is to be there.
    """

    async def _perform(self) -> None:
        self._means.tree.make(self._spec.path)
        self._end(succeeded())


class DirectoryRemoval(Transfer):
    """
    A directory is to be gone.
    """

    async def _perform(self) -> None:
        await self._apart(lambda: self._means.tree.remove(self._spec.path))
        self._end(succeeded())


_KINDS: dict[type[Spec], type[Transfer]] = {
    MakeDirectory: DirectoryMaking,
    RemoveDirectory: DirectoryRemoval,
    Upload: FileUpload,
    UploadDirectory: DirectoryUpload,
    Download: FileDownload,
}


def new_transfer(id: str, fingerprint: str, spec: Spec, means: Means, changed: Callable[[str], None]) -> Transfer:
    """
    The transfer that *spec* asks for, claimed but not begun.
    """
    transfer = _KINDS[type(spec)](id, fingerprint, spec, means, partial(changed, id))
    transfer.claim()
    return transfer


def saved_transfers(means: Means, changed: Callable[[str], None]) -> list[Transfer]:
    """
    The transfers that an earlier process claimed and did not forget, in no order, not begun.
    """
    found = []
    for name in sorted(os.listdir(means.directory)):
        if name.endswith(".new"):
            remove(os.path.join(means.directory, name))  # half-written when that process ended
        id, dot_json = os.path.splitext(name)
        if dot_json != ".json":
            continue
        try:
            with open(os.path.join(means.directory, name), "rb") as claim:
                saved = Shape.decode(claim.read(_LARGEST_CLAIM + 1), "transfer", _LARGEST_CLAIM)
            spec = from_document(saved.mapping("spec"))
            fingerprint = saved.text("fingerprint", limit=64)
            found.append(_KINDS[type(spec)](id, fingerprint, spec, means, partial(changed, id), saved=saved))
        except (BuildbotLiteError, OSError, KeyError) as error:
            _log.warn("transfer {id} cannot be read ({problem}); dropped", id=id, problem=str(error))
            remove(os.path.join(means.directory, name))
    return found
