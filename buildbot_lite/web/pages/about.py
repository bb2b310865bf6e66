"""
What serves this page: versions, how far the records go back, and whose work it stands on.
"""

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, metadata

from attrs import asdict, frozen
from sqlalchemy import Connection

from ... import __version__
from ...errors import StorageError
from ...storage.records import marks, retention
from ..farm.live import is_private
from ..page_request import PageRequest
from ..view import FarmView, Reply, Route

PACKAGES = (
    *("Twisted", "foolscap", "pyOpenSSL", "cryptography", "service-identity", "attrs", "Automat", "click"),
    *("SQLAlchemy", "alembic", "klein", "Jinja2", "MarkupSafe", "Werkzeug", "prometheus-client", "rich", "cronsim"),
    "backports.zstd",
)
"""The packages that this farm uses directly, and those that its pages go through."""
_LONGEST_LICENCE = 60


@frozen
class UsedPackage:
    """
    An installed package.
    """

    name: str
    version: str
    licence: str


@frozen
class Reach:
    """
    How far the records go back: the starts of the oldest build, and of the oldest that has a log; and how many builds
    retention must keep.
    """

    builds_since: float | None = None
    logs_since: float | None = None
    marked: int = 0


def used_package(name: str) -> UsedPackage | None:
    """
    The installed package *name*; None if it is not installed.
    """
    try:
        of = metadata(name)
    except PackageNotFoundError:
        return None
    # https://packaging.python.org/en/latest/specifications/core-metadata/: an expression since version 2.4, before
    # that a text, which some packages give in full, or classifiers.
    classifiers = (each for each in of.get_all("Classifier") or () if each.startswith("License :: "))
    named = [each.rpartition(" :: ")[2] for each in classifiers]
    given = next((text for field in ("License-Expression", "License") for text in of.get_all(field) or () if text), "")
    licence = given if 0 < len(given) <= _LONGEST_LICENCE else ", ".join(named)
    return UsedPackage(of["Name"], of["Version"], licence or "see its own files")


@frozen
class AboutFarm:
    """
    What serves the pages of a farm.  *version*, *python*: of this process.  *master*: the version of the master, if it
    is known.
    """

    url: str | None
    private: bool
    version: str
    master: str | None
    python: str
    reach: Reach
    packages: Sequence[UsedPackage]


async def about_farm(view: FarmView, asked: PageRequest) -> AboutFarm:
    """
    What serves the pages of the farm of *view*.
    """
    www, status = await view.told(asked, "www"), await view.told(asked, "status")
    try:
        reach = Reach(*await view.records.read(_reach))
    except StorageError:
        reach = Reach()
    return AboutFarm(
        url=www.get("url"),
        private=is_private(www),
        version=__version__,
        master=status.get("version"),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        reach=reach,
        packages=[found for name in PACKAGES if (found := used_package(name)) is not None],
    )


async def about(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/about``.
    """
    return await view.page(asked, "about.html", **asdict(await about_farm(view, asked), recurse=False))


def _reach(connection: Connection) -> tuple[float | None, float | None, int]:
    return *retention.oldest(connection), marks.count(connection)


ROUTES = (Route("/about", about, kept=10.0),)
