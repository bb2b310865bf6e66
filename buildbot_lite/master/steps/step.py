"""
The base class of steps.

``run`` is a coroutine.  It may use any Python, but it must get everything from outside (the output of commands, the
time, random numbers, other builds) through its `StepContext` (``self.bench``).  The context records each answer, so
that ``run``, when it is repeated after a crash of the master, makes the same decisions.
"""

from collections.abc import Mapping, Sequence
from posixpath import normpath
from types import MappingProxyType
from typing import Any, ClassVar, Self

from ...errors import ConfigError
from ...model.names import relative_path
from ...model.properties import Json
from ...model.rendering import View, render
from ...model.results import Result
from ...model.spec import DEFAULT_TIMEOUT, Run, Spec
from ...model.user_functions import awaited, limited
from ..config.argument_fit import NotingType
from ..config.arguments import ArgumentChecker
from ..config.executed_line import current_line
from ..config.mistakes import MISSING
from ..config.placeholders import is_placeholder
from ..slaves.command_streams import Source
from . import argument_checks as checks
from .argument import Table, argument, declaration, ignored, note_missing, take
from .buildbot_style import BuildbotStyle
from .context import CommandResult, StepContext
from .master_paths import check_rendered
from .old_style import OldStyle
from .own_steps import check_own_step
from .recipe import Recipe


class BuildStepFailed(Exception):  # noqa: N818 - Buildbot's name
    """
    Raised by a step to end with FAILURE.  The text of the exception becomes the summary.
    """


class BuildStep(BuildbotStyle, OldStyle, metaclass=NotingType):
    """
    One step of a build; subclasses define ``async def run(self)``, which returns a `Result`.

    *name*: the name of the step, for people.
    *description*, *descriptionDone*: its text while it runs and when it has ended; *descriptionSuffix* is appended.
    *haltOnFailure*: its failure ends the build, except for steps with *alwaysRun*; default False.
    *flunkOnFailure* (default True), *flunkOnWarnings* (False): whether its failure or its warnings make the build fail.
    *warnOnFailure* (False), *warnOnWarnings* (True): whether they make the result of the build WARNINGS.
    *doStepIf*: a boolean, or a function of the step; the step is skipped if it is false; default True.
    *hideStepIf*: a boolean, or a function of result and step; lists omit the step if it is true; default False.
    *onLost*: when the slave is lost during a command: "retry" repeats the whole build, "fail" repeats nothing; default
    None: as the builder says.
    *locks*: accesses to locks that the step holds while it runs, like ``[lock.access("exclusive")]``.

    Without effect: *logEncoding* (logs are bytes), *progressMetrics*, *useProgress* and *updateBuildSummaryPolicy*.

    A subclass declares its own arguments in its body with `argument`, and sets other defaults for those that it
    inherits.  As in Buildbot, it may instead have a constructor that passes ``**kwargs`` on, list attributes that each
    build renders in ``renderables``, and list further arguments in ``parms``.
    """

    name = argument(checks.anything, default="step", rendered=False)
    description = argument(checks.anything, default=None)
    descriptionDone = argument(checks.anything, default=None)
    descriptionSuffix = argument(checks.anything, default=None)
    haltOnFailure = argument(checks.flag, default=False, rendered=False)
    flunkOnFailure = argument(checks.flag, default=True, rendered=False)
    flunkOnWarnings = argument(checks.flag, default=False, rendered=False)
    warnOnFailure = argument(checks.flag, default=False, rendered=False)
    warnOnWarnings = argument(checks.flag, default=True, rendered=False)
    alwaysRun = argument(checks.flag, default=False, rendered=False)
    doStepIf = argument(checks.anything, default=True, nullable=True, rendered=False)
    hideStepIf = argument(checks.anything, default=False, nullable=True, rendered=False)
    onLost = argument(checks.choice("retry", "fail"), default=None, rendered=False)
    logEncoding = ignored()
    progressMetrics = ignored(())
    updateBuildSummaryPolicy = ignored()
    useProgress = ignored()
    locks = argument(checks.locks, default=())

    # The tables of 0.1.0, which steps in stored configurations extend.
    arguments: ClassVar[Any] = Table()
    positional: ClassVar[Any] = Table()
    aliases: ClassVar[Any] = Table()
    nullable: ClassVar[Any] = Table()
    without_effect: ClassVar[Any] = Table()

    renderables: ClassVar[tuple[str, ...] | list[str]] = ()
    parms: ClassVar[list[str]] = []
    applies_patch: ClassVar[bool] = False  # whether it applies the patch that was submitted with the request

    recipe: Recipe["BuildStep"]
    bench: StepContext
    results: Result = Result.SUCCESS
    # Set by the constructor, which a subclass in master.cfg may not have called.
    _final: Mapping[str, Any] = MappingProxyType({})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_own_step(cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """
        Keep the class, the arguments and the line in master.cfg as the recipe.
        """
        self = super().__new__(cls)
        # A constructor in master.cfg may do anything, so it is called for each build.
        is_copied = cls.__init__ is BuildStep.__init__ and cls.__new__ is BuildStep.__new__
        self.recipe = Recipe(cls, args, dict(kwargs), current_line(self), is_copied=is_copied)
        return self

    def __init__(self, *values: Any, **arguments: Any) -> None:
        self.summary = ""
        self._final = take(self, values, arguments)
        self.check(ArgumentChecker(type(self).__name__, self, place=self.recipe.place))
        self.recipe.attributes = dict(vars(self))

    def constructed(self) -> None:
        """
        Called when all constructors have returned.
        """
        if not is_placeholder(self):
            note_missing(self)

    def check(self, checker: ArgumentChecker) -> None:
        """
        Note mistakes that concern several arguments, with ``checker.note``; subclasses override this.

        Called when the configuration is read, when some arguments are not rendered yet, and in each build, when all are
        rendered.
        """

    async def run(self) -> Result:
        """
        Run the step; subclasses override this.
        """
        raise ConfigError(f"The step class {type(self).__name__} needs a method: async def run(self).")

    # For the build.

    async def prepare(self, context: StepContext) -> bool:
        """
        Render the arguments for this build, unless *doStepIf* skips the step; return whether it runs.
        """
        self.bench = context
        condition = await _condition(self.doStepIf, context.view, self)
        if condition:
            await context.render_workdir()
            declared, checker = declaration(type(self)), ArgumentChecker(self.name)
            for name in declared.renderables:
                setattr(self, name, await render(getattr(self, name), context.view))
            for name, each in declared.arguments.items():
                if each.rendered and getattr(self, name) is not self._final.get(name, MISSING):
                    value = await render(getattr(self, name), context.view)
                    if value is not None:
                        value = check_rendered(checker, name, each.check, self.given(name), value)
                    setattr(self, name, value)
            self.check(checker)
        return condition

    async def hidden(self, result: Result) -> bool:
        """
        Whether lists omit the step.
        """
        return await _condition(self.hideStepIf, self.bench.view, result, self)

    async def summary_of(self, result: Result) -> str:
        """
        The summary, for people, of the step that has ended with *result*.
        """
        self.results = result
        summary = await awaited(self.getResultSummary())
        return str(summary.get("step", "") if isinstance(summary, Mapping) else summary or "")

    def getResultSummary(self) -> Any:
        """
        The summary of the step that has ended with the result `results`, as ``{"step": text}``.  A subclass may return
        another one, also from a coroutine function.
        """
        result = self.results
        said = self.descriptionDone if self.descriptionDone is not None else self.description
        words = " ".join(said) if isinstance(said, (list, tuple)) else str(said or "")
        suffix = self.descriptionSuffix
        after = " ".join(suffix) if isinstance(suffix, (list, tuple)) else str(suffix or "")
        text = " ".join(word for word in (words or self.summary or self.name, after) if word)
        ended = text if result <= Result.WARNINGS or not words or not self.summary else f"{text}: {self.summary}"
        return {"step": ended}

    def set_step_arg(self, name: str, value: Any) -> None:
        """
        Give the argument *name* another *value*, in master.cfg, after the step was made.  It is checked as at first.
        """
        self._final = take(self, (), {name: value})
        self.recipe.kwargs = {**self.recipe.kwargs, name: value}
        self.check(ArgumentChecker(type(self).__name__, self, place=self.recipe.place))
        self.recipe.attributes = dict(vars(self))

    def given(self, name: str) -> Any:
        """
        The argument *name* as master.cfg gives it, before a build renders it.
        """
        return (self.recipe.attributes or vars(self)).get(name, getattr(type(self), name, None))

    # For ``run``.

    @property
    def slave_name(self) -> str:
        """
        The slave's name, for people.
        """
        return str(self.bench.view.slave.get("name") or "the slave")

    @property
    def build_directory(self) -> str:
        """
        The default directory of commands, relative to the slave's ``work``.
        """
        return normpath(f"{self.bench.directory}/{self.bench.workdir}")

    def workdir_path(self, workdir: str | None) -> str:
        """
        Convert *workdir*, relative to the builder's directory, to a path relative to the slave's ``work``; None stands
        for `build_directory`.  `UnsafePathError` if the path leads out of ``work``.
        """
        return relative_path(f"{self.bench.directory}/{workdir}") if workdir else self.build_directory

    async def do(self, spec: Spec, **options: Any) -> CommandResult:
        """
        Run *spec* on the slave.  *options*: further arguments of `StepContext.command`.
        """
        return await self.bench.command(spec, **{"on_lost": self.onLost, **options})

    async def execute(
        self,
        command: str | Sequence[str],
        *,
        workdir: str | None = None,
        env: Mapping[str, str | None] | None = None,
        stdin: str | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - the keeper's, not ours
        max_time: float | None = None,
        sources: Mapping[str, Source] | None = None,
        **more: Any,
    ) -> CommandResult:
        """
        Run *command* on the slave: a list of words, or one string for the shell.

        *workdir*: relative to the builder's directory.  *env*: variable → text to add to the slave's environment; None
        removes it.  *stdin*: text for its standard input.  *timeout*: seconds without output after which it is killed;
        None: never.  *max_time*: seconds after which it is killed in any case.  *sources*: name → what the command may
        read from the master.  *more*: other fields of `model.spec.Run`.
        """
        words = {"script": command} if isinstance(command, str) else {"argv": tuple(command)}
        return await self.do(
            Run(
                **words,
                workdir=self.workdir_path(workdir),
                env=env or {},
                stdin=stdin,
                timeout=timeout,
                max_time=max_time,
                **more,
            ),
            sources=sources,
        )

    def fail(self, sentence: str, result: Result = Result.FAILURE) -> Result:
        """
        Set the summary, add a remark, and return *result*: ``return self.fail("There is no such file.")``.
        """
        self.summary = sentence
        self.bench.remark(sentence)
        return result

    def getProperty(self, name: str, default: Json = None) -> Json:
        """
        The value of the build's property *name*, or *default*.
        """
        return self.bench.view.getProperty(name, default)

    def hasProperty(self, name: str) -> bool:
        """
        Whether the build has the property *name*.
        """
        return self.bench.view.hasProperty(name)

    def setProperty(self, name: str, value: Json, source: str | None = None) -> None:
        """
        Set a property of the build.  *source*: who set it, for people; default: the step's name.
        """
        self.bench.view.properties.set(name, value, source or self.name)

    async def render(self, value: Any) -> Any:
        """
        *value*, rendered with the build's properties.
        """
        return await render(value, self.bench.view)


async def _condition(question: Any, view: View, *args: Any) -> bool:
    """
    Decide *question*: a boolean, a function of *args*, or something that is rendered to a boolean.
    """
    if callable(question) and not hasattr(question, "getRenderingFor"):
        answer = limited(question, "doStepIf or hideStepIf")(*args)
        return bool(await awaited(answer))
    return bool(await render(question, view))
