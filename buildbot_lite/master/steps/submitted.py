"""
Sending the input that was submitted with the request to the slave.
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

    def submitted(self) -> tuple[Source, int, str]:
        """
        The input of the request: the one named by *input*, or the first of "tar" and "file" that exists.
        """
        for name in (self.input,) if self.input else ("tar", "file"):
            found = self.bench.input(name)
            if found is not None:
                return found
        what = f"no {self.input}" if self.input else "neither a tar archive nor a file"
        raise InputError(
            f"With this request {what} was submitted.  Submit it to a Submit scheduler with stdin= or file= for it."
        )


class SubmittedFile(_Submitted):
    """
    Put the submitted input on the slave, as a file.

    *slavedest*: where to put it, relative to *workdir*.  *input*: "tar", "file" or "patch"; default: the tar archive or
    file that there is.  *mode*: its permission bits, default 0o644.  *workdir*: relative to the builder's directory,
    default "build".
    """

    name = "submitted"
    slavedest = argument(checks.slave_file)
    mode = argument(checks.mode, default=0o644)

    async def run(self) -> Result:
        """
        Send it.
        """
        try:
            source, size, sha256 = self.submitted()
        except InputError as error:
            return self.fail(str(error))
        return await self.transfer(
            spec.Download(self.on_slave(self.slavedest), "input", size, sha256, self.mode), sources={"input": source}
        )


class Unpack(_Submitted):
    """
    Unpack the tar archive that was submitted with the request, compressed or not, on the slave.

    *slavedest*: into which directory, relative to *workdir*; default: *workdir* itself.  *input*: "tar" (it came on
    standard input) or "file" (it was uploaded); default: the one that there is.  *workdir*: relative to the builder's
    directory, default "build".

    *maxsize*: bytes that it may unpack to, default 10 GiB.  *maxMembers*: how many files, directories and links it may
    have, default 1000000.  *maxTime*: seconds that unpacking may take, default 3600; None: any.  A process of its
    own does it, with 256 MiB of memory.

    An archive that breaks off, that is beyond these bounds, or that would write outside that directory (also through
    links, its own or others), is refused, and nothing of it remains.  Existing files in the directory stay: put
    `RemoveDirectory` before this step to remove them.
    """

    name = "unpack"
    slavedest = argument(checks.slave_path, default=".")
    maxsize = argument(checks.whole, default=spec.LARGEST_UNPACKED)
    maxMembers = argument(checks.whole, default=spec.MOST_MEMBERS)
    maxTime = argument(checks.seconds, default=spec.DEFAULT_MAX_TIME, nullable=True)

    async def run(self) -> Result:
        """
        Send the archive; the slave unpacks it.
        """
        try:
            source, size, sha256 = self.submitted()
        except InputError as error:
            return self.fail(str(error))
        return await self.transfer(
            spec.Download(
                self.on_slave(self.slavedest),
                "input",
                size,
                sha256,
                unpack=True,
                largest=self.maxsize,
                members=self.maxMembers,
                max_time=self.maxTime,
            ),
            sources={"input": source},
        )
