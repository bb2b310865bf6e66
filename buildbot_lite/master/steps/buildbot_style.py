"""
Methods that steps written for Buildbot call on themselves and on their build.
"""

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, cast

from attrs import frozen
from twisted.internet.defer import Deferred

from ...model.change_view import ChangeView
from ...model.properties import Json
from ...model.rendering import render
from ...model.results import Result, worst
from ...model.source_stamps import FIELDS
from .context import CommandResult, StepContext
from .own_logs import Observer, OutputLog, WrittenLog, in_parts

P = ParamSpec("P")
T = TypeVar("T")

_MOST_OBSERVED = 64 << 20
"""Bytes; observers get the beginning of each log, up to this size."""


def deferring(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Deferred[T]]:
    """
    Let a coroutine method of a step return a Deferred, which can be awaited and yielded, and may get callbacks.
    """

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        bench: StepContext = cast("Any", args[0]).bench
        return bench.deferred(method(*args, **kwargs))

    return call


@frozen
class SourceStampView:
    """
    The sources of a build in one codebase, and the *changes* that led to them.
    """

    codebase: str
    branch: Any = None
    revision: Any = None
    repository: Any = None
    project: Any = None
    changes: Sequence[ChangeView] = ()


class BuildOfStep:
    """
    The operations of a step on its build, under Buildbot's names.
    """

    def __init__(self, context: StepContext) -> None:
        self.bench = context

    def addStepsAfterCurrentStep(self, steps: Iterable[Any]) -> None:
        """
        Run *steps* after the current step; `ConfigError` if the build would have too many steps.
        """
        self.bench.add_steps((each.recipe for each in steps), last=False)

    def addStepsAfterLastStep(self, steps: Iterable[Any]) -> None:
        """
        Run *steps* at the end of the build; `ConfigError` if the build would have too many steps.
        """
        self.bench.add_steps((each.recipe for each in steps), last=True)

    def getProperty(self, name: str, default: Json = None) -> Json:
        """
        The value of the property *name*, or *default*.
        """
        return self.bench.view.getProperty(name, default)

    def hasProperty(self, name: str) -> bool:
        """
        Whether the build has the property *name*.
        """
        return self.bench.view.hasProperty(name)

    def setProperty(self, name: str, value: Json, source: str = "Build") -> None:
        """
        Set a property of the build.  *source*: who set it, for people.
        """
        self.bench.view.properties.set(name, value, source)

    def getProperties(self) -> Any:
        """
        The build's `Properties`.
        """
        return self.bench.view.getProperties()

    def allFiles(self) -> list[str]:
        """
        The files that the build's changes changed, each once, in the order of the changes.
        """
        return self.bench.view.allFiles()

    def allChanges(self) -> Iterator[ChangeView]:
        """
        The changes that are built, oldest first.
        """
        return iter(self.bench.view.changes)

    def getAllSourceStamps(self) -> list[SourceStampView]:
        """
        The source stamps of the build, one for each codebase.
        """
        return [self._stamp(codebase, stamp) for codebase, stamp in self.bench.view.sources.items()]

    def getSourceStamp(self, codebase: str = "") -> SourceStampView | None:
        """
        The source stamp of *codebase*; None if the build has none.
        """
        stamp = self.bench.view.sources.get(codebase)
        return None if stamp is None else self._stamp(codebase, stamp)

    def _stamp(self, codebase: str, stamp: Mapping[str, Json]) -> SourceStampView:
        changes = [each for each in self.bench.view.changes if each.codebase == codebase]
        return SourceStampView(codebase, changes=changes, **{name: stamp.get(name) for name in FIELDS})

    @property
    def results(self) -> Result:
        """
        The result of the build so far.
        """
        return worst(self.bench.view.results)

    result = results

    @deferring
    async def render(self, value: Any) -> Any:
        """
        *value*, rendered with the build's properties.
        """
        return await render(value, self.bench.view)

    @property
    def slavename(self) -> str:
        """
        The name of the slave.
        """
        return str(self.bench.view.slave.get("name", ""))

    workername = slavename


class BuildbotStyle:
    """
    Logs, observers, statistics and links of a step, under Buildbot's names.
    """

    bench: StepContext

    def getCurrentSummary(self) -> Any:
        """
        The summary of the running step, as ``{"step": text}``.  Nothing shows it: summaries are those of ended steps.
        """
        return {"step": "running"}

    def updateSummary(self) -> None:
        """
        Without effect: the summary of a running step is not shown.
        """

    def addLog(self, name: str, type: str = "s", logEncoding: str | None = None) -> WrittenLog:  # noqa: A002
        """
        A log for the step to write.  *type* and *logEncoding* have no effect.
        """
        return WrittenLog(name, self.bench.write)

    def addCompleteLog(self, name: str, text: str | bytes) -> Any:
        """
        Append *text* to the log *name*.  The answer may be awaited, as in Buildbot, and need not be.
        """
        return self.addLog(name).addStdout(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)

    def addHTMLLog(self, name: str, html: str | bytes) -> Any:
        """
        `addCompleteLog`: nothing shows the text as HTML.
        """
        return self.addCompleteLog(name, html)

    def getLog(self, name: str) -> OutputLog:
        """
        The log *name* of the step's commands, which can be read when they have ended; the first 64 MiB of each.
        """
        return OutputLog(name, partial(self._output_of, name))

    def _output_of(self, name: str) -> str:
        commands: Sequence[tuple[CommandResult, str | None]] = vars(self).get("_observed", ())
        return "".join(
            ran.output("stdio" if name == log else name, limit=_MOST_OBSERVED)
            for ran, log in commands
            if name != "stdio" or log in ("stdio", None)  # otherwise the output is in the log of another name
        )

    def setProgress(self, metric: str, value: Any) -> None:
        """
        Without effect: how long a build takes is estimated from earlier ones.
        """

    def addLogObserver(self, logname: str, observer: Observer) -> None:
        """
        Pass what each further command of the step writes to *logname* to *observer*, when the command has ended.
        """
        observer.setStep(self)
        self._observers = [*vars(self).get("_observers", ()), (logname, observer)]

    async def observe(self, ran: CommandResult, log: str | None = "stdio") -> None:
        """
        Pass the output of the command *ran* to the observers.  *log*: the observers of this log get the command's
        "stdio"; None: no observer gets it.
        """
        self._observed = [*vars(self).get("_observed", ()), (ran, log)]
        for name, observer in vars(self).get("_observers", ()):
            if name == "stdio" != log:
                continue
            await self._show(ran.output("stdio" if name == log else name, limit=_MOST_OBSERVED), observer.outReceived)
            if name == log and (errors := ran.output("stderr", limit=_MOST_OBSERVED)):
                await self._show(errors, observer.errReceived)
            finish = getattr(observer, "finishReceived", None)
            if finish is not None:
                finish()

    async def _show(self, output: str, received: Callable[[str], None]) -> None:
        for number, part in enumerate(in_parts(output) if output else [""]):
            if number:
                await self.bench.others_turn()
            received(part)

    @property
    def build(self) -> "BuildOfStep":
        """
        The build of the step, with those of Buildbot's methods that a step may call.
        """
        return BuildOfStep(self.bench)

    def addFactoryArguments(self, **arguments: Any) -> None:
        """
        Without effect: the arguments of a step are always kept.
        """

    def setStatistic(self, name: str, value: Any) -> None:
        """
        Set the statistic *name* of the step.  Statistics are not stored: they exist while the step runs.
        """
        self.statistics = {**self.getStatistics(), name: value}

    def getStatistic(self, name: str, default: Any = None) -> Any:
        """
        The statistic *name* of the step, or *default*.
        """
        return self.getStatistics().get(name, default)

    def hasStatistic(self, name: str) -> bool:
        """
        Whether the step has the statistic *name*.
        """
        return name in self.getStatistics()

    def getStatistics(self) -> dict[str, Any]:
        """
        All statistics of the step.
        """
        return dict(vars(self).get("statistics", {}))

    def addURL(self, name: str, url: str) -> None:
        """
        Show a link beside the step's log: a remark with *name* and *url*.
        """
        self.bench.remark(f"{name}: {url}")
