"""
Methods that steps written for Buildbot call on themselves and on their build.
"""

from collections.abc import Callable, Iterable
from typing import Any

from ...deferreds import deferring
from ...model.properties import Json
from ...model.rendering import render
from .context import CommandResult, StepContext
from .own_logs import Observer, WrittenLog, in_parts

_MOST_OBSERVED = 64 << 20
"""Bytes of a command's output that observers get."""


class BuildOfStep:
    """
    The build of a step, under Buildbot's names.
    """

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def addStepsAfterCurrentStep(self, steps: Iterable[Any]) -> None:
        """
        Run *steps* when the present step has ended; `ConfigError` if they are more than a build may have.
        """
        self._context.add_steps((each.recipe for each in steps), last=False)

    def addStepsAfterLastStep(self, steps: Iterable[Any]) -> None:
        """
        Run *steps* at the end of the build; `ConfigError` if they are more than a build may have.
        """
        self._context.add_steps((each.recipe for each in steps), last=True)

    def getProperty(self, name: str, default: Json = None) -> Json:
        """
        The value of a property.
        """
        return self._context.view.getProperty(name, default)

    def hasProperty(self, name: str) -> bool:
        """
        Whether the build has the property.
        """
        return self._context.view.hasProperty(name)

    def setProperty(self, name: str, value: Json, source: str = "Build") -> None:
        """
        Give the build a property.
        """
        self._context.view.properties.set(name, value, source)

    def getProperties(self) -> Any:
        """
        All properties.
        """
        return self._context.view.getProperties()

    def allFiles(self) -> list[str]:
        """
        The files that the build's changes changed, each once, in the order of the changes.
        """
        return self._context.view.allFiles()

    @deferring
    async def render(self, value: Any) -> Any:
        """
        *value* with the build's properties put in.
        """
        return await render(value, self._context.view)

    @property
    def slavename(self) -> str:
        """
        The name of the slave.
        """
        return str(self._context.view.slave.get("name", ""))

    workername = slavename


class BuildbotStyle:
    """
    Logs, observers, statistics and links of a step, under Buildbot's names.
    """

    bench: StepContext

    def getCurrentSummary(self) -> Any:
        """
        The summary of the running step, as ``{"step": text}``.  It is not shown: a step has one summary, at its end.
        """
        return {"step": "running"}

    def updateSummary(self) -> None:
        """
        Nothing: a step has one summary, at its end.
        """

    def addLog(self, name: str, type: str = "s", logEncoding: str | None = None) -> WrittenLog:  # noqa: A002
        """
        A log that the step writes.
        """
        return WrittenLog(name, self.bench.write)

    def addCompleteLog(self, name: str, text: str | bytes) -> Any:
        """
        A log with *text* in it; it may be awaited, and need not be.
        """
        return self.addLog(name).addStdout(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)

    def addHTMLLog(self, name: str, html: str | bytes) -> Any:
        """
        The same; nothing shows the text as HTML.
        """
        return self.addCompleteLog(name, html)

    def addLogObserver(self, logname: str, observer: Observer) -> None:
        """
        Let *observer* look at the output of each command of the step that writes to *logname*, when it has ended.
        """
        observer.setStep(self)
        self._observers = [*vars(self).get("_observers", ()), (logname, observer)]

    async def observe(self, ran: CommandResult, log: str | None = "stdio") -> None:
        """
        Show the output of a command to the observers.  *log*: those of this log get what it wrote; None: none do.
        """
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
        The build, as far as a step may reach it.
        """
        return BuildOfStep(self.bench)

    def addFactoryArguments(self, **arguments: Any) -> None:
        """
        Nothing: a step's arguments are kept by themselves.
        """

    def setStatistic(self, name: str, value: Any) -> None:
        """
        Keep a number of the step, as long as the step runs.
        """
        self.statistics = {**self.getStatistics(), name: value}

    def getStatistic(self, name: str, default: Any = None) -> Any:
        """
        The statistic *name* of the step.
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
        Add a link to the step: a remark with *name* and *url*.
        """
        self.bench.remark(f"{name}: {url}")
