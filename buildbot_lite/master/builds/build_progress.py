"""
The state of a build between its steps: their results, and the stops of the build.
"""

from attrs import define, field, frozen

from ...model.results import Result, weighed, worst
from ..steps.step import BuildStep


@frozen
class Stop:
    """
    The build was stopped in *step*, with *result*, because of *reason*.
    """

    step: int
    result: Result
    reason: str


@frozen
class Ended:
    """
    The end of a build; *reason* is for people, and empty when the results of the steps suffice.  *counts*: whether a
    retry is one of ``maxRetries``.  One that a new version of the program or of master.cfg needs is not: it happens
    once for each start of the master, and nobody's slave or package is at fault.  *cut*: whether not even the steps
    ran that always run, such as one that removes the build's files from the slave.
    """

    result: Result
    reason: str = ""
    counts: bool = True
    cut: bool = False


@define
class BuildProgress:
    """
    The state of a build between its steps.

    *step*: the number of the current step.  *results*: the results of the steps so far.  *halted*: whether only steps
    with *alwaysRun* still run.  *stops*: one for each step during which the build was stopped; several, because a
    stopped build still runs steps with *alwaysRun*, which can be stopped, too.  *reason*: the first step that failed,
    for people.
    """

    step: int = 0
    results: list[Result] = field(factory=list)
    halted: bool = False
    stops: list[Stop] = field(factory=list)
    reason: str = ""

    @property
    def stop(self) -> Stop | None:
        """
        The first stop, which decides the build's result.
        """
        return self.stops[0] if self.stops else None

    def stopped_in(self, step: int) -> Stop | None:
        """
        The stop that was recorded during *step*.
        """
        return next((stop for stop in self.stops if stop.step == step), None)

    def count(self, step: BuildStep, result: Result) -> None:
        """
        Add the *result* of *step*, weighed by its flags, and halt the build if it says so.
        """
        counted, halts = weighed(result, step)
        self.results.append(counted)
        if counted > Result.WARNINGS and counted is not Result.SKIPPED and not self.reason:
            self.reason = f"step {step.name}: {result.name.lower()}"
        self.halted = self.halted or halts

    def ended(self) -> Ended:
        """
        How the build ends: by its first stop, or else with the worst result of its steps.
        """
        if self.stop is not None:
            return Ended(self.stop.result, self.stop.reason)
        return Ended(worst(self.results), self.reason)
