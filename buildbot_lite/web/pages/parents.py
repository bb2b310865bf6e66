"""
Addresses above those of pages: what is left when somebody cuts the end of an address off.  Each leads to the page that
lists what is below it.
"""

from collections.abc import Mapping

from ..html.rendering import page_of_build, page_of_builder
from ..page_request import PageRequest
from ..replies.redirection import moved_to
from ..view import FarmView, Reply, Route

_BUILD = "/builders/<builder>/<int:number>"
LISTED: Mapping[str, str] = {
    "/api": "api/v1/",
    "/badges": "about",
    "/builders": "",
    "/packages/targets": "packages",
    "/repositories": "packages",
    "/requests": "queue",
    "/schedulers": "queue",
}
"""The page, relative to the farm's first page, that lists what is below an address."""


async def listed(view: FarmView, asked: PageRequest) -> Reply:
    """
    An address of `LISTED`.
    """
    return moved_to(asked, LISTED[f"/{asked.path.strip('/')}"])


async def of_builder(view: FarmView, asked: PageRequest, builder: str) -> Reply:
    """
    ``/builds/NAME``, as the API and the commands name builds, and what is above the builds of a builder.
    """
    return moved_to(asked, page_of_builder(builder))


async def of_build(view: FarmView, asked: PageRequest, builder: str, number: int, step: str = "") -> Reply:
    """
    What is above the logs and the artifacts of a build; ``/builds/NAME/NUMBER``, as the API and the commands name it.
    """
    return moved_to(asked, page_of_build(builder, number))


ROUTES = (
    *(Route(rule, listed, is_open=True, ends_in_slash=True) for rule in LISTED),
    Route("/builds/<builder>", of_builder, ends_in_slash=True),
    Route("/builders/<builder>/builds", of_builder, ends_in_slash=True),
    Route("/builds/<builder>/<int:number>", of_build, ends_in_slash=True),
    Route("/builders/<builder>/builds/<int:number>", of_build, ends_in_slash=True),
    *(
        Route(f"{_BUILD}/{rest}", of_build, ends_in_slash=True)
        for rest in ("artifacts", "steps", "steps/<step>", "steps/<step>/logs")
    ),
)
