"""
Steps of Buildbot's oldest style: they have a method ``start``, and end when they call ``finished`` or ``failed``.

::

    class Tag(BuildStep):                      class Build(ShellCommand):
        def start(self):                           def start(self):
            self.setProperty("tag", "v1")              self.setCommand(["make", self.getProperty("target")])
            self.finished(SUCCESS)                     ShellCommand.start(self)      # its ``run``, then ``finished``

A class with a ``start`` whose ``run`` is inherited from further up gets a ``run`` that calls ``start``.  The effects of
``start`` and of its callbacks are recorded in the journal, like those of ``run``.
"""

import inspect
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ...deferreds import OneShot
from ...model.results import Result
from ...model.user_functions import awaited
from ..config.overrides import is_shipped


class OldStyle:
    """
    Gives steps the methods ``start``, ``finished`` and ``failed``.
    """

    _end: OneShot[Result]
    _begun: tuple[Deferred[Any], ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        nearest: Any = next(base for base in cls.__mro__ if {"start", "run"} & vars(base).keys())
        inherited = next(vars(base)["run"] for base in cls.__mro__ if "run" in vars(base))
        # A base class of the configuration's own may call its ``start`` from its ``run``.
        if "run" not in vars(nearest) and inspect.isroutine(vars(nearest)["start"]) and is_shipped(inherited):
            cls.run = OldStyle.run_started  # type: ignore[attr-defined]  # a step has one

    @classmethod
    def is_old_style(cls) -> bool:
        """
        Whether the steps of the class are run by ``start``.
        """
        return getattr(cls, "run", None) is OldStyle.run_started

    def start(self) -> Any:
        """
        Begin the step; subclasses override this, and call `finished` or `failed` sooner or later.  They may return
        SKIPPED instead, or a Deferred, whose failure fails the step.

        The inherited method runs the step with the ``run`` of its base class.
        """
        runs = (vars(base).get("run") for base in type(self).__mro__)
        run = next(each for each in runs if each not in (None, OldStyle.run_started))
        step: Any = self
        running: Deferred[Any] = step.bench.deferred(awaited(run(step)))
        self._begun = (*self._begun, running)
        running.addCallbacks(self.finished, self.failed)  # type: ignore[unused-awaitable]  # `run_started` waits

    def finished(self, results: Any) -> None:
        """
        End the step with *results*.  Only the first call counts.
        """
        self._end.fire(Result(results))

    def failed(self, why: Failure) -> None:
        """
        End the step with the exception of *why*.  Only the first call counts.
        """
        self._end.fire(why)

    async def run_started(self) -> Result:
        """
        Call ``start``, and wait until the step has finished.
        """
        self._end = OneShot(self._abandoned)
        answer = await awaited(self.start())
        return Result.SKIPPED if answer is Result.SKIPPED else await self._end.wait()

    def _abandoned(self) -> None:
        # The step was cancelled, so that nothing waits for its end.
        for running in self._begun:
            running.cancel()
