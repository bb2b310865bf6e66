"""
Endpoints of what was built for a target of packages, and of the repository with it and its files.
"""

from urllib.parse import quote

from ...status.build_documents import Document
from ..farm.public_files import PublicName
from ..farm.published_packages import PublishedVersion
from ..pages.built_packages import BuiltPackages, RepositoryUse, built_packages
from ..pages.repositories import repository_directory
from .cursors import cursor_of_name, name_before, page_by_name
from .definitions import PAGE, ApiEndpoint, ApiRequest, Parameter, TextKind, path_parameter
from .endpoints_history import target_document

_TARGET = path_parameter("target", TextKind(80), "The target's name.")
_PACKAGES_LIST, _FILES_LIST = "package", "repository-file"
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


async def files(request: ApiRequest) -> Document:
    """
    ``/packages/targets/TARGET/files``.
    """
    target, path = request.given["target"], request.given.get("path", "").removesuffix("/")
    found = repository_directory(request.view, target, path)
    page = page_by_name(_FILES_LIST, request.cursor, found.names, lambda each: each.name, request.limit)
    return {
        "target": target,
        "path": path,
        "files": [_file(target, path, each) for each in page.entries],
        "more": found.more,
        "next": page.next,
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


def _file(target: str, directory: str, file: PublicName) -> Document:
    path = f"{directory}/{file.name}".removeprefix("/")
    return {
        "name": file.name,
        "path": path,
        "size": file.size,
        "raw": None if file.size is None else _raw(target, path),
    }


def _raw(target: str, path: str) -> str:
    """
    The address of a file, relative to that of a document about the target's repository.
    """
    return f"{_REPOSITORIES}/{quote(target, safe='')}/{quote(path)}"


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
                "raw": _raw(target, each.path),
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
    ApiEndpoint(
        "/packages/targets/{target}/files",
        "What is in a directory of its repository, by name.",
        files,
        "RepositoryFiles",
        (_TARGET, Parameter("path", TextKind(1000), "The directory below the repository; its uppermost one."), *PAGE),
        kept=0,
    ),
)
