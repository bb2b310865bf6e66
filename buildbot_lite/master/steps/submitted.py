"""
Steps that send the input that was submitted with the request to the slave.
"""

from ...errors import InputError
from ...model import spec
from ...model.results import Result
from ..slaves.command_streams import Source
from . import argument_checks as checks
from .argument import argument
from .transfer import Transferring

__all__ = ["SubmittedFile", "Unpack"]


class _Submitted(Transferring):
    input = argument(checks.choice("tar", "file", "patch"), default=None)

    def download(self, size: int, sha256: str) -> spec.Download:
        """
        What the slave does with the input, which has *size* bytes.
        """
        raise NotImplementedError

    async def run(self) -> Result:
        try:
            source, size, sha256 = self.submitted()
        except InputError as error:
            return self.fail(str(error))
        return await self.transfer(self.download(size, sha256), sources={"input": source})

    def submitted(self) -> tuple[Source, int, str]:
        """
        The input of the request: the one named by *input*, or the first of "tar" and "file" that exists.  `InputError`
        if there is none.
        """
        for name in (self.input,) if self.input else ("tar", "file"):
            found = self.bench.input(name)
            if found is not None:
                return found
        what = f"no {self.input}" if self.input else "neither a tar archive nor a file"
        raise InputError(
            f"With this request, {what} was submitted.  Use a Submit scheduler with the argument stdin= or file=."
        )


class SubmittedFile(_Submitted):
    """
    Write the submitted input to a file on the slave.

    *slavedest*: the path on the slave, relative to *workdir*.  *input*: "tar", "file" or "patch"; default: the tar
    archive, or else the file.  *mode*: the permission bits, default 0o644.  *workdir*: relative to the builder's
    directory, default "build".
    """

    name = "submitted"
    slavedest = argument(checks.slave_file)
    mode = argument(checks.mode, default=0o644)

    def download(self, size: int, sha256: str) -> spec.Download:
        return spec.Download(self.on_slave(self.slavedest), "input", size, sha256, self.mode)


class Unpack(_Submitted):
    """
    Unpack the tar archive that was submitted with the request, compressed or not, on the slave.

    *slavedest*: the directory, relative to *workdir*; default: *workdir* itself.  *input*: "tar" (submitted on standard
    input) or "file" (submitted as a file); default: the one that exists.  *workdir*: relative to the builder's
    directory, default "build".

    *maxsize*: the largest size of the unpacked files in bytes, default 10 GiB.  *maxMembers*: how many files,
    directories and links it may have, default 1000000.  *maxTime*: the longest duration in seconds, default 3600; None:
    no limit.  A separate process unpacks it, with at most 256 MiB of memory.

    An archive is refused if it is incomplete, exceeds these bounds, or would write outside the directory, also through
    links; nothing of it remains then.  Existing files in the directory are kept; put `RemoveDirectory` before this step
    to remove them.
    """

    name = "unpack"
    slavedest = argument(checks.slave_path, default=".")
    maxsize = argument(checks.whole, default=spec.LARGEST_UNPACKED)
    maxMembers = argument(checks.whole, default=spec.MOST_MEMBERS)
    maxTime = argument(checks.seconds, default=spec.DEFAULT_MAX_TIME, nullable=True)

    def download(self, size: int, sha256: str) -> spec.Download:
        return spec.Download(
            self.on_slave(self.slavedest),
            "input",
            size,
            sha256,
            unpack=True,
            largest=self.maxsize,
            members=self.maxMembers,
            max_time=self.maxTime,
        )
