"""
The factory of a builder: its steps, in order.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from ...errors import UnsafePathError
from ...model.names import relative_path
from ...model.user_functions import limited
from .argument_fit import NotingType
from .arguments import ArgumentChecker
from .mistakes import current_line, note
from .placeholders import is_placeholder


@runtime_checkable
class StepLike(Protocol):
    """
    The part of a step that a factory knows.
    """

    @property
    def recipe(self) -> Any:
        """
        The recipe from which each build makes a step of its own.
        """

    def run(self) -> Any:
        """
        Run the step.
        """


class BuildFactory(metaclass=NotingType):
    """
    The steps of a build, in order.

    ``workdir``: the directory of all steps that have no ``workdir`` of their own, relative to the builder's: a path,
    or a function of the list of the build's source stamps; default "build".  ``useProgress`` has no effect.
    """

    useProgress: Any = True  # noqa: N815 - Buildbot's name
    # A subclass of the user's need not call the constructor first.
    _workdir: str | Callable[[Sequence[Any]], Any] = "build"

    def __init__(self, steps: Any = ()) -> None:
        self.place = current_line(self)
        self.steps: list[Any] = []
        if steps is not None:
            self.addSteps(steps)

    @property
    def workdir(self) -> str | Callable[[Sequence[Any]], Any]:
        """
        The directory of steps that have none of their own.
        """
        return self._workdir

    @workdir.setter
    def workdir(self, value: Any) -> None:
        try:
            self._workdir = limited(value, "workdir") if callable(value) else relative_path(value)
        except UnsafePathError:
            ArgumentChecker("BuildFactory", self, place=current_line()).wrong(
                "workdir",
                value,
                "a relative path that does not lead out of the builder's directory, or a function; each step that runs "
                "a command elsewhere has a workdir of its own",
            )

    def addStep(self, step: Any, **arguments: Any) -> None:
        """
        Append *step*; or, as Buildbot 0.7 had it, the step that the class *step* makes of *arguments*, also as a pair.
        """
        if isinstance(step, tuple) and len(step) == 2 and isinstance(step[0], type) and isinstance(step[1], Mapping):
            step, arguments = step[0], {**step[1], **arguments}
        if arguments and isinstance(step, type):
            step = step(**arguments)
        if is_placeholder(step):
            return
        if isinstance(step, type):
            note(f"BuildFactory: {step.__name__} is a class; a step is made of it: {step.__name__}(…).")
        elif not isinstance(step, StepLike):
            note(f"BuildFactory: {step!r:.60} is not a step.")
        else:
            self.steps.append(step)

    def addSteps(self, steps: Any) -> None:
        """
        Append all of *steps*, or the only one.
        """
        if is_placeholder(steps):
            return
        if isinstance(steps, StepLike) and not isinstance(steps, type):
            self.addStep(steps)
            return
        if not isinstance(steps, (list, tuple)):
            note(f"BuildFactory: the steps must be a list, not {steps!r:.60}.")
            return
        for step in steps:
            self.addStep(step)

    @contextmanager
    def withSecrets(self, secrets: Any) -> Iterator["BuildFactory"]:  # noqa: N802 - Buildbot's name
        """
        Note a mistake and the remedy.  In Buildbot the steps inside find secrets in files of the slave, at any path.
        """
        note(
            "BuildFactory: withSecrets writes no files here.  Give the secret to a step in env, stdin or command, or"
            " write it into the builder's directory with steps.StringDownload(s=util.Secret(…), slavedest=…)."
        )
        yield self
