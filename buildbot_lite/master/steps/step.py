"""
The base class of steps.

``run`` is a coroutine.  It may use any Python, and must get everything from outside (commands, time, random numbers,
other builds) through its `StepContext` (``self.bench``).  The context records each answer, so that the same ``run``,
repeated after a crash, makes the same decisions.
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
from ..config.mistakes import MISSING, current_line
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
    Ends the step with FAILURE; its text is the summary.
    """


class BuildStep(BuildbotStyle, OldStyle, metaclass=NotingType):
    """
    One step of a build; subclasses have ``async def run(self)``, which answers a `Result`.

    *name*: its name on pages and the command line.  *description*, *descriptionDone*: its text while it runs and when
    it has ended; *descriptionSuffix*: appended to either.  *haltOnFailure*: its failure ends the build (steps with
    *alwaysRun* still run).  *flunkOnFailure*, *flunkOnWarnings*: its failure, its warnings make the build a failure.
    *warnOnFailure*, *warnOnWarnings*: they give the build warnings.  *doStepIf*: False, or a function of the step that
    says so, skips it.  *hideStepIf*: True, or a function of result and step, keeps it out of the lists.  *onLost*:
    "retry" repeats the whole build when the slave is lost during a command, "fail" never repeats anything; None: the
    builder's value.  *locks*: what the step holds while it runs, like
    ``[lock.access("exclusive")]``.

    Without effect: *logEncoding* (logs are bytes), *progressMetrics*, *useProgress* and *updateBuildSummaryPolicy*.

    A subclass declares its own arguments in its body (see `argument`), and sets other defaults for those that it
    inherits.  As in Buildbot, it may instead have a constructor that passes ``**kwargs`` on, and list attributes that
    each build renders in ``renderables``, and further arguments in ``parms``.
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
    progressMetrics = ignored()
    updateBuildSummaryPolicy = ignored()
    useProgress = ignored()
    locks = argument(checks.locks, default=())

    # As in 0.1.0, for steps that extend them.
    arguments: ClassVar[Any] = Table()
    positional: ClassVar[Any] = Table()
    aliases: ClassVar[Any] = Table()
    nullable: ClassVar[Any] = Table()
    without_effect: ClassVar[Any] = Table()

    renderables: ClassVar[tuple[str, ...] | list[str]] = ()
    parms: ClassVar[list[str]] = []
    applies_patch: ClassVar[bool] = False  # whether it applies the patch that came with the request

    recipe: Recipe["BuildStep"]
    bench: StepContext
    results: Result = Result.SUCCESS
    # Of the constructor; a class of the user's need not call it.
    _final: Mapping[str, Any] = MappingProxyType({})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_own_step(cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """
        Keep class, arguments and line as the recipe.
        """
        self = super().__new__(cls)
        # A constructor of the user's may do anything, and does it for each build.
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
        Note mistakes of several arguments together, with ``checker.note``.

        Called when the configuration is read, with some arguments not yet rendered, and in each build, with all of them
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
        The summary for people, after the step ended with *result*.
        """
        self.results = result
        summary = await awaited(self.getResultSummary())
        return str(summary.get("step", "") if isinstance(summary, Mapping) else summary or "")

    def getResultSummary(self) -> Any:
        """
        The summary of the step that has ended with `results`, as ``{"step": text}``.  A subclass may answer another,
        also from a coroutine.
        """
        result = self.results
        said = self.descriptionDone if self.descriptionDone is not None else self.description
        words = " ".join(said) if isinstance(said, (list, tuple)) else str(said or "")
        suffix = self.descriptionSuffix
        after = " ".join(suffix) if isinstance(suffix, (list, tuple)) else str(suffix or "")
        text = " ".join(word for word in (words or self.summary or self.name, after) if word)
        ended = text if result <= Result.WARNINGS or not words or not self.summary else f"{text}: {self.summary}"
        return {"step": ended}

    def given(self, name: str) -> Any:
        """
        The argument *name* as master.cfg gives it, before a build renders it.
        """
        return (self.recipe.attributes or vars(self)).get(name, getattr(type(self), name, None))

    # For ``run``.

    @property
    def slave_name(self) -> str:
        """
        The slave's name.
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
        *workdir*, which is relative to the builder's directory, as a path relative to the slave's ``work``;
        `UnsafePathError` if it leads out of that.
        """
        return relative_path(f"{self.bench.directory}/{workdir}") if workdir else self.build_directory

    async def do(self, spec: Spec, **options: Any) -> CommandResult:
        """
        Run *spec* on the slave.  *options*: those of `StepContext.command`.
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

        *workdir*: relative to the builder's directory.  *sources*: see `StepContext.command`.  *more*: other fields of
        `model.spec.Run`.
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
        The value of a property of the build.
        """
        return self.bench.view.getProperty(name, default)

    def hasProperty(self, name: str) -> bool:
        """
        Whether the build has the property.
        """
        return self.bench.view.hasProperty(name)

    def setProperty(self, name: str, value: Json, source: str | None = None) -> None:
        """
        Give the build a property.
        """
        self.bench.view.properties.set(name, value, source or self.name)

    async def render(self, value: Any) -> Any:
        """
        *value* with the build's properties put in.
        """
        return await render(value, self.bench.view)


async def _condition(question: Any, view: View, *args: Any) -> bool:
    """
    A bool, a function of *args*, or something to be rendered.
    """
    if callable(question) and not hasattr(question, "getRenderingFor"):
        answer = limited(question, "doStepIf or hideStepIf")(*args)
        return bool(await awaited(answer))
    return bool(await render(question, view))
