"""
Steps that move files between the slave and the master.

An upload from the slave becomes an artifact of the build.  A download to the slave is a file of the master, an artifact
of another build, or a text.
"""

import hashlib
import os
from posixpath import basename, normpath, split
from typing import Any

from ...model import spec
from ...model.names import relative_path
from ...model.results import Result
from ...storage.publishing import is_own_file
from ..config.arguments import ArgumentChecker
from ..config.artifacts import WantedArtifact
from . import argument_checks as checks
from .argument import argument, ignored
from .download_sources import MasterFile, TextSource, facts_of
from .master_paths import (
    absolute,
    check_way_out,
    inner_part,
    is_absolute,
    is_first_name_given,
    is_way_out_given,
    leads_outside,
)
from .outcomes import result_of
from .step import BuildStep

__all__ = ["DirectoryUpload", "FileDownload", "FileUpload", "StringDownload"]

_PUBLISHED = 0o644


class Transferring(BuildStep):
    haltOnFailure = True
    workdir = argument(checks.slave_path, default=None)

    def on_slave(self, path: str) -> str:
        """
        Convert *path*, relative to *workdir*, to a path relative to the slave's ``work``; `UnsafePathError` if it leads
        out of ``work``.
        """
        return relative_path(f"{self.workdir_path(self.workdir)}/{path}")

    async def transfer(self, what: spec.Spec, **options: Any) -> Result:
        """
        Have the slave do *what*; set `summary`, and return the result.  *options*: those of `StepContext.command`.
        """
        ran = await self.do(what, **options)
        result, self.summary = result_of(ran.outcome, self.slave_name)
        return result


def archive_name(destination: str) -> str:
    """
    The name of the tar archive for a directory with the name *destination*.
    """
    return destination if destination.endswith(".tar") else f"{destination}.tar"


class ArtifactUpload(Transferring):
    url = argument(checks.text, default=None)
    urlText = argument(checks.text, default=None)
    mode: Any = None

    async def upload(self, what: spec.Spec, destination: str) -> Result:
        """
        `store` *what*, and after a success show the step's link.
        """
        result = await self.store(what, destination)
        if self.url and result is Result.SUCCESS:
            is_archive = isinstance(what, spec.UploadDirectory) and not leads_outside(destination)
            shown = archive_name(destination) if is_archive else destination
            self.addURL(self.urlText or basename(shown), self.url)
        return result

    async def store(self, what: spec.Spec, destination: str) -> Result:
        """
        Upload *what* as the artifact *destination*; for a directory, ``.tar`` is added.

        If *destination* leads outside, a copy of the artifact, or the contents of the directory, are put there.
        """
        is_directory = isinstance(what, spec.UploadDirectory)
        artifact = archive_name(destination) if is_directory else destination
        if not leads_outside(destination):
            return await self.transfer(what, artifact=artifact)
        artifact = inner_part(artifact)
        # Checked before the transfer, so that a wrong mode is reported immediately.
        bits = checks.mode(ArgumentChecker(self.name), "mode", _PUBLISHED if self.mode is None else self.mode)
        mode = None if is_directory else bits
        result = await self.transfer(what, artifact=artifact)
        if result is not Result.SUCCESS:
            return result
        problem = await self.bench.publish(artifact, destination, mode)
        if problem is not None:
            return self.fail(problem)
        self.bench.remark(f"copied to {destination} on the master")
        return result


class FileUpload(ArtifactUpload):
    """
    Upload a file of the slave to the master, as an artifact of the build.

    *slavesrc* (or *workersrc*): the file, relative to *workdir*.
    *masterdest*: the artifact's name, a relative path below the build's artifacts; or a path on the master that is
    absolute or begins with ``~/`` or ``../``: then a copy of the artifact is put there, with the permission bits *mode*
    (default 0o644).
    *workdir*: relative to the builder's directory, default "build".
    *maxsize*: the largest size in bytes; default None: no limit.
    *url*: an address of the file, which is shown as a remark after the upload; *urlText*: the text of that link,
    default: the name of the file.

    Without effect: *blocksize* and *keepstamp*.
    """

    name = "upload"
    slavesrc = argument(checks.slave_file, positional=True, aliases=("workersrc",))
    masterdest = argument(checks.destination, positional=True)
    maxsize = argument(checks.whole, default=None)
    mode = argument(checks.mode, default=None)
    blocksize = ignored()
    keepstamp = ignored()

    async def run(self) -> Result:
        return await self.upload(spec.Upload(self.on_slave(self.slavesrc), self.maxsize), self.masterdest)


class DirectoryUpload(ArtifactUpload):
    """
    Upload a directory of the slave to the master, as an artifact: an uncompressed tar archive.

    *slavesrc* (or *workersrc*): the directory, relative to *workdir*.
    *masterdest*: the artifact's name; ".tar" is added if it is missing.  As for `FileUpload`, it may be another place
    on the master: a directory, to which the files are added, readable by all users.
    *workdir*: relative to the builder's directory, default "build".
    *maxsize*: the largest size in bytes; default None: no limit.
    *maxTime*: the longest duration of packing in seconds, default 3600; None: no limit.
    *url*, *urlText*: as for `FileUpload`.

    An unreadable file or directory fails the step.  Pipes, sockets and devices are left out, with a remark.

    Without effect: *blocksize* and *compress* (nothing is compressed on the way).
    """

    name = "upload"
    slavesrc = argument(checks.slave_path, positional=True, aliases=("workersrc",))
    masterdest = argument(checks.destination_directory, positional=True)
    maxsize = argument(checks.whole, default=None)
    maxTime = argument(checks.seconds, default=spec.DEFAULT_MAX_TIME, nullable=True)
    blocksize = ignored()
    compress = ignored()

    async def run(self) -> Result:
        what = spec.UploadDirectory(self.on_slave(self.slavesrc), self.maxsize, self.maxTime)
        return await self.upload(what, self.masterdest)


class FileDownload(Transferring):
    """
    Download a file of the master to the slave.

    *mastersrc*: the file, absolute or relative to the master's directory, with ".." only at its beginning; or an
    `Artifact` of another build.
    *slavedest* (or *workerdest*): the path on the slave, relative to *workdir*.  The file appears there completely or
    not at all.
    *mode*: the permission bits of the file there, default 0o644.
    *workdir*: relative to the builder's directory, default "build".
    *maxsize*: the largest size in bytes; default None: no limit.

    The step fails if the file on the master is changed while the step runs.

    Without effect: *blocksize*.
    """

    name = "download"
    mastersrc = argument(checks.master_file, positional=True)
    slavedest = argument(checks.slave_file, positional=True, aliases=("workerdest",))
    mode = argument(checks.mode, default=0o644)
    maxsize = argument(checks.whole, default=None)
    blocksize = ignored()

    def check(self, checker: ArgumentChecker) -> None:
        """
        Refuse a *mastersrc* that has ``..`` in it and whose text in master.cfg does not begin so.
        """
        if isinstance(self.mastersrc, str) and ".." in self.mastersrc.split("/"):
            check_way_out(checker, "mastersrc", self.given("mastersrc"), self.mastersrc)

    async def run(self) -> Result:
        if isinstance(self.mastersrc, WantedArtifact):
            return await self._send_artifact(self.mastersrc)
        path, given = absolute(self.mastersrc, self.bench.master_directory), self.given("mastersrc")
        is_own = is_own_file(path, self.bench.master_directory)
        if not is_way_out_given(given, self.mastersrc) or (is_own and not is_first_name_given(given)):
            # In other builds, a property may choose among all files that the master's user can read.
            self.bench.check_trusted("This build gets no file that one of its properties chooses")
        # Recorded, so that a resumed build sends the same contents.
        facts = await self.bench.record("looking at a file", self.mastersrc, lambda: facts_of(path), repeatable=True)
        if "problem" in facts:
            relative = "" if is_absolute(self.mastersrc) else " in the master's directory"
            return self.fail(f"The master cannot send {self.mastersrc!r:.200}{relative}: {facts['problem']}.")
        if self.maxsize is not None and facts["size"] > self.maxsize:
            return self.fail(f"{self.mastersrc!r:.200} has {facts['size']} bytes; maxsize allows {self.maxsize}.")
        return await self.transfer(
            spec.Download(self.on_slave(self.slavedest), "file", facts["size"], facts["sha256"], self.mode),
            sources={"file": MasterFile(path)},
        )

    async def _send_artifact(self, wanted: WantedArtifact) -> Result:
        found = await self.bench.artifact(wanted)
        if "problem" in found:
            return self.fail(f"There is no artifact {wanted.name!r:.200}: {found['problem']}.")
        size = found["size"]
        if self.maxsize is not None and size > self.maxsize:
            return self.fail(f"{wanted.name!r:.200} has {size} bytes; maxsize allows {self.maxsize}.")
        self.bench.remark(f"{wanted.name} of {found['label']}")
        path = os.path.join(self.bench.master_directory, "artifacts", found["path"])
        return await self.transfer(
            spec.Download(self.on_slave(self.slavedest), "file", size, found["sha256"], self.mode),
            sources={"file": MasterFile(path)},
        )


class StringDownload(Transferring):
    """
    Write a text to a file on the slave.

    *s*: the text; the slave inserts the secrets in it.
    *slavedest* (or *workerdest*): the path on the slave, relative to *workdir*.  The file appears there completely or
    not at all.
    *mode*: the permission bits, default 0o644, or 0o600 if there is a secret in the text.
    *workdir*: relative to the builder's directory, default "build".

    Without effect: *maxsize* and *blocksize*.
    """

    name = "string_download"
    s = argument(checks.text, positional=True)
    slavedest = argument(checks.slave_file, positional=True, aliases=("workerdest",))
    mode = argument(checks.mode, default=None)
    maxsize = ignored()
    blocksize = ignored()

    async def run(self) -> Result:
        if spec.SECRET_REFERENCE.search(self.s):
            return await self._with_secrets()
        data = self.s.encode("utf-8", "surrogateescape")
        mode = 0o644 if self.mode is None else self.mode
        return await self.transfer(
            spec.Download(self.on_slave(self.slavedest), "text", len(data), hashlib.sha256(data).hexdigest(), mode),
            sources={"text": TextSource(data)},
        )

    async def _with_secrets(self) -> Result:
        # The size and the checksum of a download are recorded, and would reveal something about the secret.  So this is
        # a command that copies one of its private files.
        mode = 0o600 if self.mode is None else self.mode
        directory, name = split(normpath(self.slavedest))
        # The working directory is the directory of the file, because the slave makes and enters a working directory
        # without following links, which a shell could not.
        ran = await self.do(
            spec.Run(
                argv=("/bin/sh", "-ec", _COPY, "write-file", name, f"{mode:o}"),
                workdir=self.on_slave(directory),
                files={"BUILDBOT_LITE_TEXT": self.s},
            )
        )
        result, self.summary = result_of(ran.outcome, self.slave_name)
        return result


# Each of these names may be a link that came with the sources.  "set -C": the shell fails if the file exists.  "mv"
# would follow a link to a directory, so a link is removed first.
_COPY = """\
umask 077
part=".write-file.$$.part"
rm -f -- "$part"
set -C
cat -- "$BUILDBOT_LITE_TEXT" > "$part"
chmod "$2" "$part"
[ ! -h "./$1" ] || rm -f -- "./$1"
if [ -d "./$1" ]; then rm -f -- "$part"; echo "$1 is a directory" >&2; exit 1; fi
mv -f -- "$part" "./$1"
"""
