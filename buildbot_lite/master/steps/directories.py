"""
Steps that make, remove, copy and look for directories and files on the slave.
"""

from posixpath import normpath, relpath

from ...model import spec
from ...model.results import Result
from ..config.arguments import ArgumentChecker
from . import argument_checks as checks
from .argument import argument, ignored
from .outcomes import result_of
from .step import BuildStep

__all__ = ["CopyDirectory", "FileExists", "MakeDirectory", "RemoveDirectory"]


class MakeDirectory(BuildStep):
    """
    Make a directory and its missing parents; an existing directory is no error.

    *dir*: relative to the builder's directory, so ``dir="build/out"`` is "out" where commands run.

    Without effect: *workdir*.
    """

    name = "MakeDirectory"
    haltOnFailure = True
    dir = argument(checks.slave_path, positional=True)
    workdir = ignored()

    async def run(self) -> Result:
        ran = await self.do(spec.MakeDirectory(self.workdir_path(self.dir)))
        result, self.summary = result_of(ran.outcome, self.slave_name)
        return result


class RemoveDirectory(BuildStep):
    """
    Remove a directory with its contents; a missing directory is no error.

    *dir*: relative to the builder's directory, so ``dir="build/out"`` is "out" where commands run.  *maxTime*: the
    longest duration in seconds, default 3600; None: no limit.

    Without effect: *workdir* and *timeout*.
    """

    name = "RemoveDirectory"
    haltOnFailure = True
    dir = argument(checks.slave_path, positional=True)
    workdir = ignored()
    timeout = ignored()
    maxTime = argument(checks.seconds, default=spec.DEFAULT_MAX_TIME, nullable=True)

    async def run(self) -> Result:
        ran = await self.do(spec.RemoveDirectory(self.workdir_path(self.dir), self.maxTime))
        result, self.summary = result_of(ran.outcome, self.slave_name)
        return result


class CopyDirectory(BuildStep):
    """
    Make the directory *dest* a copy of the directory *src*; what was in *dest* is removed first.

    Both are relative to the builder's directory.  *timeout*: seconds without output after which ``cp`` is killed,
    default 120; None: never.  *maxTime*: seconds after which it is killed in any case; default None: never.
    """

    name = "CopyDirectory"
    haltOnFailure = True
    src = argument(checks.slave_path, positional=True)
    dest = argument(checks.slave_path, positional=True)
    timeout = argument(checks.seconds, default=120, nullable=True)
    maxTime = argument(checks.seconds, default=None, nullable=True)

    def check(self, checker: ArgumentChecker) -> None:
        """
        Refuse directories of which one is in the other: the removal of *dest* would remove *src*, or a part of it.
        """
        if isinstance(self.src, str) and isinstance(self.dest, str):
            source, destination = normpath(self.src) + "/", normpath(self.dest) + "/"
            if source.startswith(destination) or destination.startswith(source) or "./" in {source, destination}:
                checker.note(f"neither of src and dest may be in the other: {self.src!r:.60}, {self.dest!r:.60}.")

    async def run(self) -> Result:
        target = self.workdir_path(self.dest)
        source = relpath(self.workdir_path(self.src), target)
        for what in (
            spec.RemoveDirectory(target),
            spec.MakeDirectory(target),
            spec.Run(
                argv=("cp", "-pPR", f"{source}/.", "."), workdir=target, timeout=self.timeout, max_time=self.maxTime
            ),
        ):
            result, self.summary = result_of((await self.do(what)).outcome, self.slave_name)
            if result is not Result.SUCCESS:
                return result
        self.summary = f"{self.src} copied to {self.dest}"
        return Result.SUCCESS


class FileExists(BuildStep):
    """
    Fail unless *file*, relative to the builder's directory, is a file on the slave.
    """

    name = "FileExists"
    haltOnFailure = True
    file = argument(checks.slave_path, positional=True)

    async def run(self) -> Result:
        ran = await self.execute(["test", "-f", f"./{self.file}"], workdir=".")
        if ran.outcome.exit_code == 1:
            return self.fail(f"{self.file} does not exist, or is not a file")
        result, self.summary = result_of(ran.outcome, self.slave_name)
        return result
