"""
What the farm offers a signer, as it describes it: jobs, their packages, and the signatures that it wants.
"""

from attrs import frozen

from ...model.display import printable
from ...model.json_reader import JsonReader
from ..formats.git_request import LONGEST_ADDRESS, LONGEST_REVISION
from ..keys.wanted_file import LONGEST_NAME, WantedFile

MOST_PACKAGES = 50_000
"""Packages of one job."""


@frozen
class OfferedFile:
    """
    A file as the farm describes it: a package for an *architecture*, or, with "" for that, the file that was submitted.
    """

    name: str
    architecture: str
    size: int
    sha256: str

    @classmethod
    def read(cls, reader: JsonReader) -> "OfferedFile":
        return cls(
            name=reader.prose("name", limit=LONGEST_NAME),
            architecture=reader.prose("architecture", "", limit=LONGEST_NAME),
            size=reader.integer("size"),
            sha256=reader.prose("sha256", limit=64),
        )


@frozen
class OfferedOrigin:
    """
    From where the farm made the source package of a job: the *commit* in the git *repository*, to which *revision* led.
    """

    repository: str
    revision: str
    commit: str

    @classmethod
    def read(cls, reader: JsonReader) -> "OfferedOrigin":
        return cls(
            repository=reader.prose("repository", limit=LONGEST_ADDRESS),
            revision=reader.prose("revision", limit=LONGEST_REVISION),
            commit=reader.prose("commit", limit=64),
        )


@frozen
class OfferedJob:
    """
    A job that waits for its signatures.  *files*: its packages that are signed themselves; *missing*: those that are
    not signed yet.  *size*: bytes of all its packages.  *packages*: all packages.  *source*: the submitted file.
    *origin*: where its source comes from, if the farm made the source package.  A master of an earlier version sends
    none of the last three.
    """

    job: int
    package: str
    version: str
    submitter: str
    arches: tuple[str, ...]
    size: int
    files: tuple[WantedFile, ...]
    missing: tuple[WantedFile, ...]
    packages: tuple[OfferedFile, ...] = ()
    source: OfferedFile | None = None
    origin: OfferedOrigin | None = None

    @classmethod
    def read(cls, reader: JsonReader) -> "OfferedJob":
        files = reader.objects("files", lambda file: (WantedFile.read(file), file.flag("missing")))
        return cls(
            job=reader.integer("job"),
            package=reader.prose("package", limit=LONGEST_NAME),
            version=reader.prose("version", limit=LONGEST_NAME),
            submitter=reader.prose("submitter", limit=LONGEST_NAME),
            arches=tuple(printable(arch)[:LONGEST_NAME] for arch in reader.texts("arches", most=100)),
            size=reader.integer("size"),
            files=tuple(file for file, _ in files),
            missing=tuple(file for file, missing in files if missing),
            packages=tuple(reader.objects("packages", OfferedFile.read, most=MOST_PACKAGES)),
            source=OfferedFile.read(JsonReader(reader.mapping("source"), "the source"))
            if reader.has("source")
            else None,
            origin=OfferedOrigin.read(JsonReader(reader.mapping("origin"), "the origin"))
            if reader.has("origin")
            else None,
        )


@frozen
class Offers:
    """
    The *jobs* of a *target* that wait for signatures.  *automatic*: whether a program may sign for it.
    """

    target: str
    automatic: bool
    jobs: tuple[OfferedJob, ...]

    @classmethod
    def read(cls, reader: JsonReader) -> "Offers":
        return cls(
            reader.prose("target", limit=LONGEST_NAME),
            reader.flag("auto"),
            tuple(reader.objects("jobs", OfferedJob.read)),
        )
