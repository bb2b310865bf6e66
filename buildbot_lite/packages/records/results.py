"""
The results of jobs, as files: ``packages/<target>/<name>/<version-release>/<architecture>/``.

A directory has the packages, the .buildinfo, the list of installed packages, three logs (build.log, root.log of the
preparation, job.log of the job itself), and ``SHA256SUMS`` with the digest of each file, as sha256sum(1) reads it.  A
directory appears by one rename, when all its files are on the disk.  Packages are hard links to the artifacts of the
builds, so they take no room of their own, and stay when retention removes the artifacts.

The same version with other contents is refused, unless nobody can have seen what is there (`service.giving_way`).
Scratch builds have a directory for each job instead, ``packages/<target>/+scratch/<job>/<architecture>/`` (no package
has a name with "+" first).
"""

import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing, suppress
from hashlib import sha256

from attrs import field, frozen
from sqlalchemy import Connection

from ...errors import FileError, InputError
from ...storage.compressed_streams import open_stream
from ...storage.files import PRIVATE, file_error, make_directories, remove, sync_directory
from ...storage.records import steps, streams
from ..formats.source_package import checked_file
from .jobs import Job, JobArch

TREE = "packages"
"""The directory of all results, in the master's."""
SCRATCH = "+scratch"
SUMS = "SHA256SUMS"
GONE = ".gone-"
"""The beginning of the name of a directory of results that are being removed."""
BUILD_LOG, ROOT_LOG, JOB_LOG = "build.log", "root.log", "job.log"
PACKAGES = (".deb", ".udeb", ".ddeb", ".rpm")
"""The endings of names of package files.  Only these must be the same when a build is repeated."""
SCRATCH_KEPT = 14 * 86400.0
"""Seconds for which results of scratch builds are kept."""
MOST_SCRATCH = 200
"""Scratch builds of one target whose results are kept."""
MOST_FILES = 1000
"""Files of one architecture."""

_LOGS = {"building": BUILD_LOG, "prepping": ROOT_LOG}
_NUMBER = re.compile(r"job (?P<number>[1-9][0-9]{0,17}): ")
_SUM = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>\S+)\Z")
_PIECE = 1 << 20
_LONGEST_LINE = 1000

OTHER_VERSION = "give the package a higher version, or build it with --scratch"
"""The remedy where a version is there already."""


@frozen
class ResultFile:
    """
    A file of an *architecture*, with its digest.
    """

    architecture: str
    name: str
    sha256: str

    @property
    def is_package(self) -> bool:
        """
        Whether it is a package, and not a log or a description.
        """
        return self.name.endswith(PACKAGES)


@frozen
class JobResults:
    """
    The *files* of a job.  *directory*: of its version, with a directory for each architecture.
    """

    directory: str
    files: tuple[ResultFile, ...]

    def path(self, file: ResultFile) -> str:
        """
        Where *file* is.
        """
        return os.path.join(self.directory, file.architecture, file.name)

    @property
    def packages(self) -> tuple[ResultFile, ...]:
        """
        The packages alone.
        """
        return tuple(each for each in self.files if each.is_package)


@frozen
class StoredFile:
    """
    An artifact: its *name*, the *path* below ``artifacts``, and its digest.
    """

    name: str
    path: str
    sha256: str


@frozen
class ArchOutput:
    """
    The files of the build of an *architecture*.  *logs*: the paths of the streams below ``streams``, by the name of the
    log that they make.  *story*: the text of job.log.
    """

    architecture: str
    artifacts: tuple[StoredFile, ...]
    logs: Mapping[str, Sequence[str]] = field(factory=dict)
    story: str = ""


def place_of(basedir: str, job: Job, version: str) -> str:
    """
    The directory of the results of *job*, whose packages have *version*.
    """
    if job.scratch:
        return os.path.join(basedir, TREE, job.target, SCRATCH, str(job.id))
    return os.path.join(basedir, TREE, job.target, job.name, version_directory(version))


def version_directory(version: str) -> str:
    """
    The name of the directory of *version*.
    """
    # As apt writes it: make(1) and other programs do not accept a colon in a path.
    return version.replace(":", "%3a")


def _named(place: str) -> str:
    """
    What a sentence calls the results in the directory *place*: submitters see it, and the path is the master's own.
    """
    target, name, version = place.split(os.sep)[-3:]
    of = f"scratch job {version}" if name == SCRATCH else f"{name} {version.replace('%3a', ':')}"
    return f"results of {of} for {target}"


def output_of(connection: Connection, arch: JobArch) -> ArchOutput:
    """
    The files of the last build of *arch*, without a story.  `InputError` when there are too many, or one has a name
    that files of packages do not have.
    """
    build = arch.build or 0
    names = {step.number: step.name for step in steps.of_build(connection, build)}
    artifacts: dict[str, StoredFile] = {}
    logs: dict[str, list[str]] = {}
    for stream in streams.of_build(connection, build):
        if stream.kind == "artifact" and stream.sha256 is not None:
            name = _checked(os.path.basename(stream.path))
            artifacts[name] = StoredFile(name, stream.path, stream.sha256)
        elif stream.kind == "log" and (log := _LOGS.get(names.get(stream.step, ""))) is not None:
            logs.setdefault(log, []).append(stream.path)
    if len(artifacts) > MOST_FILES:
        raise InputError(
            f"The build for {arch.architecture} made {len(artifacts)} files; at most {MOST_FILES} are taken."
        )
    return ArchOutput(arch.architecture, tuple(artifacts.values()), logs)


def store(
    place: str,
    outputs: Sequence[ArchOutput],
    *,
    artifacts: str,
    streams: str,
    check: Callable[[Mapping[str, str]], object],
    replaced: Collection[str] = (),
) -> JobResults:
    """
    Store *outputs* in the directory *place*, each architecture whole or not at all.  *artifacts*, *streams*: the
    directories of the farm.  *check* gets the directory of each architecture before anybody else can see it, and raises
    `InputError` if it may not be kept.  *replaced*: directories of results, perhaps *place* itself, that are removed
    when all is checked.

    An architecture that is already there with the same packages is left as it is; `InputError`, and no change, when a
    package is there with other contents.
    """
    new = [each for each in outputs if place in replaced or not _is_there(place, each)]
    try:
        make_directories(place)
    except OSError as error:
        raise file_error(error, _named(place)) from error
    directories = {each.architecture: os.path.join(place, each.architecture) for each in outputs}
    try:
        for each in new:
            directories[each.architecture] = _prepare(place, each, artifacts, streams)
        check(directories)
        for other in replaced:
            _make_way(other, [] if other != place else new)
        for each in new:
            _show(place, each)
    finally:
        for each in new:
            shutil.rmtree(_hidden(place, each), ignore_errors=True)
        with suppress(OSError):
            os.rmdir(place)  # empty: nothing was kept
    return load(place)


def remove_old_scratch(basedir: str, target: str, now: float) -> None:
    """
    Remove the results of scratch builds of *target* that are older than `SCRATCH_KEPT` at the time *now* (seconds since
    1970), and the oldest ones beyond `MOST_SCRATCH`.  Blocks.
    """
    top = os.path.join(basedir, TREE, target, SCRATCH)
    try:
        names = os.listdir(top)
    except FileNotFoundError:
        return
    numbers = sorted((name for name in names if name.isdigit()), key=int, reverse=True)
    for name in names:
        if name.startswith(GONE):
            shutil.rmtree(os.path.join(top, name), ignore_errors=True)
    for place, name in enumerate(numbers):
        one = os.path.join(top, name)
        if place >= MOST_SCRATCH or os.stat(one).st_mtime < now - SCRATCH_KEPT:
            shutil.rmtree(one, ignore_errors=True)


def load(place: str) -> JobResults:
    """
    The results in the directory *place*.  `FileError` when they cannot be read.
    """
    found: list[ResultFile] = []
    try:
        with os.scandir(place) as entries:
            # A file that somebody has put there is nothing of ours.
            arches = sorted(each.name for each in entries if each.is_dir() and not each.name.startswith("."))
        for arch in arches:
            with open(os.path.join(place, arch, SUMS), encoding="utf-8") as file:
                lines = file.read().splitlines()
            matches = [match for match in map(_SUM.match, lines) if match is not None]
            found += [ResultFile(arch, match["name"], match["sha256"]) for match in matches]
    except OSError as error:
        raise file_error(error, _named(place), cannot="be read") from error
    return JobResults(place, tuple(found))


def _checked(name: str) -> str:
    if name in (SUMS, *_LOGS.values(), JOB_LOG):
        raise InputError(f"The build made a file called {name}, which is the farm's own.")
    return checked_file(name)


def are_there(place: str, outputs: Sequence[ArchOutput]) -> bool:
    """
    Whether packages of *outputs* are in *place*: all that were made for one of the architectures, and none with other
    bytes.  Blocks; `FileError`.
    """
    if not os.path.isdir(place):
        return False
    there = _packages_in(place)
    same = [output for output in outputs if (made := _packages_of(output)) and there.get(output.architecture) == made]
    return bool(same) and not with_other_bytes(place, outputs)


def with_other_bytes(place: str, outputs: Sequence[ArchOutput], *, whole: bool = False) -> str:
    """
    The name of a package of *outputs* that is in *place* with other bytes; "": there is none.  *whole*: or that is only
    in one of the two, of an architecture that both have.  Blocks; `FileError`.
    """
    if not os.path.isdir(place):
        return ""
    there = _packages_in(place)
    for output in outputs:
        kept, made = there.get(output.architecture), _packages_of(output)
        if kept is None:
            continue
        compared = kept.keys() | made.keys() if whole else kept.keys() & made.keys()
        if differing := sorted(name for name in compared if kept.get(name) != made.get(name)):
            return differing[0]
    return ""


def owners(place: str) -> set[int | None]:
    """
    The numbers of the jobs whose results are in the directory *place*; None is among them where it cannot be told.
    Blocks; `FileError`.
    """
    try:
        with os.scandir(place) as entries:
            shown = [each.path for each in entries if each.is_dir() and not each.name.startswith(".")]
        return {_owner(os.path.join(each, JOB_LOG)) for each in shown}
    except OSError as error:
        raise file_error(error, _named(place), cannot="be read") from error


def are_of(place: str, job: Job) -> bool:
    """
    Whether there is a directory *place*, and no results of another job are in it.  Blocks; `FileError`.
    """
    return os.path.isdir(place) and owners(place) <= {job.id}


def packages_below(place: str) -> set[str]:
    """
    The names of all packages in the directory *place* and those in it.  Blocks.
    """
    return {name for _, _, names in os.walk(place) for name in names if name.endswith(PACKAGES)}


def set_aside(place: str) -> str:
    """
    Rename the directory *place*, so that nobody sees a part of it while it is removed; returns where it is.  What a
    killed master leaves of it, `result_retention` removes, or `remove_old_scratch`.
    """
    above, name = os.path.split(place)
    gone = os.path.join(above, f"{GONE}{name}")
    shutil.rmtree(gone, ignore_errors=True)
    os.rename(place, gone)
    return gone


def _owner(log: str) -> int | None:
    with suppress(FileNotFoundError), open(log, encoding="utf-8", errors="replace") as file:
        if match := _NUMBER.match(file.readline(_LONGEST_LINE)):
            return int(match["number"])
    return None


def _is_there(place: str, output: ArchOutput) -> bool:
    """
    Whether the packages of *output* are in *place*; `InputError` when other packages are there.
    """
    if not os.path.isdir(os.path.join(place, output.architecture)):
        return False
    if name := with_other_bytes(place, [output], whole=True):
        raise InputError(f"{name} is there already, with other bytes: {OTHER_VERSION}.")
    return True


def _packages_in(place: str) -> dict[str, dict[str, str]]:
    """
    The digests of the packages in *place*, by architecture and name.
    """
    there: dict[str, dict[str, str]] = {}
    for file in load(place).files:
        packages = there.setdefault(file.architecture, {})
        if file.is_package:
            packages[file.name] = file.sha256
    return there


def _packages_of(output: ArchOutput) -> dict[str, str]:
    return {each.name: each.sha256 for each in output.artifacts if each.name.endswith(PACKAGES)}


def _hidden(place: str, output: ArchOutput) -> str:
    return os.path.join(place, f".{output.architecture}.new")


def _show(place: str, output: ArchOutput) -> None:
    try:
        os.rename(_hidden(place, output), os.path.join(place, output.architecture))
        sync_directory(place)
    except OSError as error:
        raise file_error(error, f"results for {output.architecture}") from error


def _make_way(place: str, new: Sequence[ArchOutput]) -> None:
    """
    Remove all that is shown in *place*, by one rename; what of *new* is prepared there stays.
    """
    try:
        gone = set_aside(place)
        os.mkdir(place, 0o700)
        for each in new:
            os.rename(_hidden(gone, each), _hidden(place, each))
        if not new:
            os.rmdir(place)
    except OSError as error:
        raise file_error(error, _named(place)) from error
    shutil.rmtree(gone, ignore_errors=True)


def _prepare(place: str, output: ArchOutput, artifacts: str, streams: str) -> str:
    beside = _hidden(place, output)
    try:
        with suppress(FileNotFoundError):
            shutil.rmtree(beside)
        os.mkdir(beside, 0o700)
        sums = {each.name: each.sha256 for each in output.artifacts}
        for each in output.artifacts:
            _link(os.path.join(artifacts, each.path), os.path.join(beside, each.name))
        for name, paths in output.logs.items():
            sums[name] = _join([os.path.join(streams, path) for path in paths], os.path.join(beside, name))
        story = output.story.encode("utf-8", "replace")
        _write(os.path.join(beside, JOB_LOG), story)
        sums[JOB_LOG] = sha256(story).hexdigest()
        text = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
        _write(os.path.join(beside, SUMS), text.encode())
        sync_directory(beside)
    except OSError as error:
        raise file_error(error, f"results for {output.architecture}") from error
    return beside


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        raise FileError(f"{os.path.basename(target)} is not there any more.") from None
    except OSError:
        # Another file system, or one without hard links.
        _copy(source, target)


def _copy(source: str, target: str) -> None:
    with open(source, "rb") as reader, open(target, "xb", opener=_private) as writer:
        shutil.copyfileobj(reader, writer, _PIECE)
        writer.flush()
        os.fsync(writer.fileno())


def _join(paths: Sequence[str], target: str) -> str:
    """
    The contents of the streams *paths* in one file; returns its digest.
    """
    digest = sha256()
    remove(target)
    with open(target, "xb", opener=_private) as writer:
        for path in paths:
            with closing(open_stream(path)) as reader:
                offset = 0
                while piece := reader.read(offset, _PIECE):
                    offset += len(piece)
                    digest.update(piece)
                    writer.write(piece)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()


def _write(target: str, data: bytes) -> None:
    # Not beside it and renamed: nobody sees the directory yet.
    with open(target, "xb", opener=_private) as writer:
        writer.write(data)
        writer.flush()
        os.fsync(writer.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
