"""
Making and removing directories on the slave.
"""

# ruff: noqa: RUF012 - arguments keep Buildbot's spelling; what a class declares is never changed

from typing import Any

from ...model import spec
from ...model.results import Result
from ..config.mistakes import MISSING
from . import argument_checks
from .outcomes import verdict
from .step import BuildStep

__all__ = ["MakeDirectory", "RemoveDirectory"]


class MakeDirectory(BuildStep):
    """
    Make a directory, and those above it; one that is there already will do.

    *dir*: relative to the builder's directory, so ``dir="build/out"`` is "out" where commands run.
    """

    name = "MakeDirectory"
    haltOnFailure = True
    positional = ("dir",)
    arguments = {"dir": argument_checks.path}
    dir: Any = MISSING

    async def run(self) -> Result:
        """
        Make it.
        """
        ran = await self.do(spec.MakeDirectory(self.workdir_path(self.dir)))
        result, self.summary = verdict(ran.outcome, self.slave_name)
        return result


class RemoveDirectory(BuildStep):
    """
    Remove a directory with everything in it; one that is not there is removed already.

    *dir*: relative to the builder's directory, so ``dir="build/out"`` is "out" where commands run.  *maxTime*: seconds
    that it may take, default 3600; None: any.
    """

    name = "RemoveDirectory"
    haltOnFailure = True
    positional = ("dir",)
    arguments = {"dir": argument_checks.path, "maxTime": argument_checks.seconds}
    nullable = ("maxTime",)
    dir: Any = MISSING
    maxTime: Any = spec.DEFAULT_MAX_TIME

    async def run(self) -> Result:
        """
        Remove it.
        """
        ran = await self.do(spec.RemoveDirectory(self.workdir_path(self.dir), self.maxTime))
        result, self.summary = verdict(ran.outcome, self.slave_name)
        return result
