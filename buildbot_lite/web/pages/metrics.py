"""
Pages for programs that watch the farm: metrics, and whether this process and the farm are well.
"""

from ...errors import StorageError
from ..page_request import PageRequest
from ..view import TEXT, FarmView, Reply, Route

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


async def metrics(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/metrics``.
    """
    return Reply(200, await asked.outside_turn(view.metrics.text()), EXPOSITION)


async def healthz(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/healthz``: this process answers.
    """
    return Reply(200, b"ok\n", TEXT)


async def readyz(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/readyz``: 200 if the records can be read and the master answers; 503 if not, with the reason.
    """
    try:
        await view.records.read(lambda connection: None)
    except StorageError as error:
        return await _not_ready(view, str(error), "The records cannot be read.")
    await view.live.answer("www")
    if view.live.away_since is not None:
        ago = max(0.0, view.wall() - view.live.away_since)
        since = f"The master has not answered for {ago:.0f} s.  Pages show what is stored."
        return await _not_ready(view, since, "The master does not answer.")
    return Reply(200, b"ready\n", TEXT)


async def _not_ready(view: FarmView, sentence: str, to_strangers: str) -> Reply:
    """
    The answer with *sentence*, or on a private farm, of which anybody can ask this, with *to_strangers*.
    """
    told = to_strangers if await view.live.is_private() else sentence
    return Reply(503, f"{told}\n".encode(), TEXT)


ROUTES = (
    Route("/metrics", metrics, kept=0),
    Route("/healthz", healthz, kept=0, is_open=True, in_turn=False),
    Route("/readyz", readyz, kept=0, is_open=True, in_turn=False),
)
