"""
Lists of one builder: an empty one says whether there is that builder.
"""

from ...status import build_documents
from ...storage.records import builds
from .definitions import ApiRequest


async def refuse_unknown(request: ApiRequest, builder: str) -> None:
    """
    `NotFoundError` if *builder* is not in the configuration, and nothing was ever built for it.  Before the master has
    told of the configuration, nobody knows.
    """
    configured = (await request.view.told(request.asked, "www")).get("builders")
    if configured is None:
        return
    names = [each["builder"] for each in configured]
    if builder not in names and not await request.view.records.read(lambda c: builds.newest(c, builder, most=1)):
        raise build_documents.no_builder(builder, names)
