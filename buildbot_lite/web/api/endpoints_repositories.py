"""
Endpoints of what was built for a target of packages, and of the repository with it.
"""

from urllib.parse import quote

from ...status.build_documents import Document
from ..farm.published_packages import PublishedVersion
from ..pages.built_packages import BuiltPackages, RepositoryUse, built_packages
from .cursors import cursor_of_name, name_before
from .definitions import PAGE, ApiEndpoint, ApiRequest, Parameter, TextKind, path_parameter
from .endpoints_history import target_document

_TARGET = path_parameter("target", TextKind(80), "The target's name.")
_PACKAGES_LIST = "package"
_REPOSITORIES = "../../../../../repositories"


async def target(request: ApiRequest) -> Document:
    """
    ``/packages/targets/TARGET``.
    """
    found = await _found(request, after="", most=1)
    return {
        "target": found.target,
        "is_published": found.is_published,
        "known": None if found.known is None else target_document(found.known),
        "use": None if found.use is None else _use(found.use),
    }


async def packages(request: ApiRequest) -> Document:
    """
    ``/packages/targets/TARGET/packages``.
    """
    found = await _found(request, after=name_before(_PACKAGES_LIST, request.cursor), most=request.limit)
    sources = [
        {"name": each.name, "version": each.version, "source": each.name, "job": each.job, "files": []}
        for each in found.sources
    ]
    return {
        "is_published": found.is_published,
        "packages": [*(_package(found.target, each) for each in found.versions), *sources],
        "next": cursor_of_name(_PACKAGES_LIST, found.following),
    }


async def _found(request: ApiRequest, *, after: str, most: int) -> BuiltPackages:
    text = request.given.get("name", "").lower()
    return await built_packages(request.view, request.asked, request.given["target"], after=after, text=text, most=most)


def _use(use: RepositoryUse) -> Document:
    return {
        "tool": use.tool,
        "address": use.address,
        "is_known": use.is_known,
        "is_signed": use.is_signed,
        "is_private": use.is_private,
        "fingerprints": list(use.fingerprints),
        "commands": use.commands,
    }


def _package(target: str, version: PublishedVersion) -> Document:
    return {
        "name": version.name,
        "version": version.version,
        "source": version.source or None,
        "job": None,
        "files": [
            {
                "architecture": each.architecture,
                "path": each.path,
                "size": each.size,
                "raw": f"{_REPOSITORIES}/{quote(target, safe='')}/{quote(each.path)}",
            }
            for each in version.files
        ],
    }


ENDPOINTS = (
    ApiEndpoint(
        "/packages/targets/{target}",
        "One target, and how its repository is used: the commands for apt or dnf.",
        target,
        "TargetRepository",
        (_TARGET,),
    ),
    ApiEndpoint(
        "/packages/targets/{target}/packages",
        "The packages of its repository by name, each version with its files.  All versions of one package are on one "
        "page.  Until something is published, the newest finished job of each source package.  The jobs of one "
        "package: `/packages/jobs` with `target` and `name`.",
        packages,
        "Packages",
        (_TARGET, Parameter("name", TextKind(), "A part of the names of published packages."), *PAGE),
    ),
)
