"""
The files that a build made, as they are: what a browser can show is shown, and trusted with nothing.
"""

import os
from collections.abc import Mapping

from attrs import evolve

from ...errors import NotFoundError
from ...model.display import file_name
from ...status import build_documents
from ..logs.log_reader import LogPart, LogReader
from ..page_request import PageRequest
from ..replies.downloads import raw_reply
from ..replies.reading_rights import until_revoked
from ..serving.policy import ARTIFACT_HEADERS
from ..view import FarmView, Reply, Route, Streamed

KINDS: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".htm": "text/html; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".log": "text/plain; charset=utf-8",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webp": "image/webp",
    ".xml": "text/xml; charset=utf-8",
}
"""The kinds of files that are shown, by the end of their names; all others are downloaded."""
_UNKNOWN = "application/octet-stream"


async def artifact(view: FarmView, asked: PageRequest, builder: str, number: int, name: str) -> Reply | Streamed:
    """
    ``/builders/NAME/NUMBER/artifacts/PATH``.
    """
    stream = await view.records.read(
        lambda connection: build_documents.the_artifact(
            connection, build_documents.the_build(connection, builder, number, ()), name
        )
    )
    path = os.path.join(view.places().artifacts, stream.path)
    if not _is_file(path):
        raise NotFoundError(f"The file of {name!r:.200} is not there any more.")
    reader = LogReader([LogPart(path, stream.length or 0)], view.logs.shared.open)
    reply = raw_reply(asked, reader, view.logs, name=file_name(os.path.basename(name)), ended=True)
    kind = KINDS.get(os.path.splitext(name)[1].lower(), _UNKNOWN)
    headers = {**reply.headers, **ARTIFACT_HEADERS}
    if kind != _UNKNOWN:
        headers["content-disposition"] = "inline"
    return until_revoked(view, asked, evolve(reply, kind=kind, headers=headers))


def _is_file(path: str) -> bool:
    return os.path.isfile(path)


ROUTES = (Route("/builders/<builder>/<int:number>/artifacts/<path:name>", artifact, kept=0),)
