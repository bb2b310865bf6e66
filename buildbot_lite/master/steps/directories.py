"""
Making and removing directories on the slave.
"""

from ...model import spec
from ...model.results import Result
from . import argument_checks as checks
from .argument import argument, ignored
from .outcomes import result_of
from .step import BuildStep

__all__ = ["MakeDirectory", "RemoveDirectory"]


class MakeDirectory(BuildStep):
    """
    Make a directory and its missing parents; an existing directory is no error.

    *dir*: relative to the builder's directory, so ``dir="build/out"`` is "out" where commands run.

    Without effect: *workdir*.
    """

    name = "MakeDirectory"
    haltOnFailure = True
    dir = argument(checks.path, positional=True)
    workdir = ignored()

    async def run(self) -> Result:
        """
        Make the directory.
        """
        ran = await self.do(spec.MakeDirectory(self.workdir_path(self.dir)))
        result, self.summary = result_of(ran.outcome, self.slave_name)
        return result


class RemoveDirectory(BuildStep):
    """
    Remove a directory with its contents; a missing directory is no error.

    *dir*: relative to the builder's directory, so ``dir="build/out"`` is "out" where commands run.  *maxTime*: the
    longest duration in seconds, default 3600; None: no limit.

    Without effect: *workdir*.
    """

    name = "RemoveDirectory"
    haltOnFailure = True
    dir = argument(checks.path, positional=True)
    workdir = ignored()
    maxTime = argument(checks.seconds, default=spec.DEFAULT_MAX_TIME, nullable=True)

    async def run(self) -> Result:
        """
        Remove the directory.
        """
        ran = await self.do(spec.RemoveDirectory(self.workdir_path(self.dir), self.maxTime))
        result, self.summary = result_of(ran.outcome, self.slave_name)
        return result
