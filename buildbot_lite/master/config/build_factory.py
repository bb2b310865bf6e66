"""
The factory of a builder: its steps, in order.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from ...errors import UnsafePathError
from ...model.names import relative_path
from ...model.rendering import is_renderable
from ...model.user_functions import limited
from .argument_fit import NotingType
from .arguments import ArgumentChecker
from .executed_line import current_line
from .mistakes import note, remark
from .placeholders import is_placeholder


@runtime_checkable
class StepLike(Protocol):
    """
    The part of a step that a factory needs.
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

    *steps*: a list of steps.  The attribute ``workdir`` is the default ``workdir`` of the steps, relative to the
    builder's directory: a path, something that is rendered to one, or a function of the list of the build's source
    stamps; default "build".
    ``useProgress`` has no effect.
    """

    useProgress: Any = True  # noqa: N815 - Buildbot's name
    # Set here, because a subclass in master.cfg may set ``workdir`` before it calls the constructor.
    _workdir: Any = "build"

    def __init__(self, steps: Any = ()) -> None:
        self.place = current_line(self)
        self.steps: list[Any] = []
        if steps is not None:
            self.addSteps(steps)

    @property
    def workdir(self) -> Any:
        """
        The default working directory of the steps, relative to the builder's directory.
        """
        return self._workdir

    @workdir.setter
    def workdir(self, value: Any) -> None:
        if is_renderable(value) and not isinstance(value, (list, tuple, Mapping)):
            self._workdir = value
            return
        try:
            self._workdir = limited(value, "workdir") if callable(value) else relative_path(value)
        except UnsafePathError:
            ArgumentChecker("BuildFactory", self, place=current_line()).wrong(
                "workdir",
                value,
                "a relative path that does not lead out of the builder's directory, something rendered to one, or a "
                "function; give each step that runs a command elsewhere a workdir",
            )

    @property
    def buildClass(self) -> Any:  # noqa: N802 - Buildbot's name
        """
        Nothing: in Buildbot, the class of the factory's builds.
        """
        return None

    @buildClass.setter
    def buildClass(self, value: Any) -> None:  # noqa: N802 - Buildbot's name
        if not is_placeholder(value):
            remark(
                "BuildFactory: buildClass has no effect here.  Add steps in a build with "
                "self.build.addStepsAfterCurrentStep (docs/own-steps.md), and leave some out with doStepIf."
            )

    def addStep(self, step: Any, **arguments: Any) -> None:
        """
        Append *step*.  As in Buildbot 0.7, it may also be a class with its *arguments*, or a pair of these.
        """
        if isinstance(step, tuple) and len(step) == 2 and isinstance(step[0], type) and isinstance(step[1], Mapping):
            step, arguments = step[0], {**step[1], **arguments}
        if arguments and isinstance(step, type):
            step = step(**arguments)
        if is_placeholder(step):
            return
        if isinstance(step, type):
            note(f"BuildFactory: {step.__name__} is a class; make a step of it: {step.__name__}(…).")
        elif not isinstance(step, StepLike):
            note(f"BuildFactory: {step!r:.60} is not a step.")
        else:
            self.steps.append(step)

    def addSteps(self, steps: Any) -> None:
        """
        Append all of *steps*, a list or a single step.
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
        Note a mistake, with the remedy.  In Buildbot, this writes secrets to files of the slave, at any path, for the
        steps that are added in the context.
        """
        note(
            "BuildFactory: withSecrets writes no files here.  Give the secret to a step in env, stdin or command, or"
            " write it into the builder's directory with steps.StringDownload(s=util.Secret(…), slavedest=…)."
        )
        yield self
