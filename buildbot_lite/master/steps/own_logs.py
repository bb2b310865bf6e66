"""
Logs with Buildbot's methods: those that a step writes, those that it reads, and observers of a command's output.

An observer gets the output of a command when the command has ended, in parts of whole lines.  In a replay it gets the
same output again, and so comes to the same conclusion.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

from ..config.argument_fit import NotingType

__all__ = [
    "BufferLogObserver", "LineConsumerLogObserver", "LogLineObserver", "LogObserver", "OutputLog",
    "OutputProgressObserver", "WrittenLog", "in_parts",
]  # fmt: skip


_PART = 1 << 16
"""Characters of output that a step looks at before other work has its turn."""


def in_parts(output: str) -> Iterator[str]:
    """
    *output* in parts of whole lines, which have at least `_PART` characters but for the last.
    """
    start = 0
    while start < len(output):
        end = output.find("\n", start + _PART) + 1 or len(output)
        yield output[start:end]
        start = end


class WrittenLog:
    """
    A log that a step writes.  The answers of its methods may be used directly, or awaited, as steps for Buildbot do.
    """

    def __init__(self, name: str, write: Callable[[str, str], None]) -> None:
        self.name = name
        self._write = write

    def addStdout(self, text: str) -> Any:
        self._write(self.name, text)
        return self

    addStderr = addHeader = addContent = addStdout

    def finish(self) -> Any:
        """
        Without effect: the log ends with the step.
        """
        return self

    def getName(self) -> str:
        return self.name

    def __await__(self) -> Generator[Any, Any, "WrittenLog"]:
        yield from ()
        return self


class OutputLog:
    """
    The output of a command, with the methods of Buildbot's logs.

    *read*: a function that returns the output.  It is called only when a step reads the log.
    """

    def __init__(self, name: str, read: Callable[[], str]) -> None:
        self.name = name
        self._read = read

    def getText(self) -> str:
        """
        The whole output.
        """
        return self._read()

    getTextWithHeaders = getText

    def readlines(self) -> list[str]:
        """
        The lines of the output, each with its newline.
        """
        return self._read().splitlines(keepends=True)

    def getName(self) -> str:
        return self.name


class Observer(Protocol):
    """
    The methods of an observer, which gets the output of a command.
    """

    def setStep(self, step: Any) -> None:
        """
        Called when the observer is added to *step*.
        """

    def outReceived(self, data: str) -> None:
        """
        Called with each part of the standard output: whole lines, or the rest at the end.
        """

    def errReceived(self, data: str) -> None:
        """
        Called with each part of the standard error, if it is a separate log.
        """


class LogObserver(metaclass=NotingType):
    """
    The base of observers, whose methods do nothing.
    """

    step: Any = None

    def setStep(self, step: Any) -> None:
        self.step = step

    def outReceived(self, data: str) -> None:
        """
        Called with each part of the standard output: whole lines, or the rest at the end; subclasses override this.
        """

    def errReceived(self, data: str) -> None:
        """
        Called with each part of the standard error; subclasses override this.
        """

    def finishReceived(self) -> None:
        """
        Called after all output; subclasses override this.
        """


class LogLineObserver(LogObserver):
    """
    The base of observers that get the output line by line, without newlines.
    """

    def outReceived(self, data: str) -> None:
        for line in data.splitlines():
            self.outLineReceived(line)

    def errReceived(self, data: str) -> None:
        for line in data.splitlines():
            self.errLineReceived(line)

    def outLineReceived(self, line: str) -> None:
        """
        Called with each line of standard output; subclasses override this.
        """

    def errLineReceived(self, line: str) -> None:
        """
        Called with each line of standard error; subclasses override this.
        """

    def setMaxLineLength(self, length: int) -> None:
        """
        Without effect: lines may have any length.
        """


class LineConsumerLogObserver(LogLineObserver):
    """
    Sends each line to a generator: ``stream, line = yield``, where stream is "o" or "e".
    """

    def __init__(self, consumerFunction: Callable[[], Generator[Any, tuple[str, str], None]]) -> None:
        self._consume = consumerFunction
        self._generator: Generator[Any, tuple[str, str], None] | None = None
        self._ended = False

    def outLineReceived(self, line: str) -> None:
        self._send("o", line)

    def errLineReceived(self, line: str) -> None:
        self._send("e", line)

    def finishReceived(self) -> None:
        if self._generator is not None:
            self._generator.close()

    def _send(self, stream: str, line: str) -> None:
        if self._ended:
            return
        try:
            if self._generator is None:
                self._generator = self._consume()
                next(self._generator)
            self._generator.send((stream, line))
        except StopIteration:
            self._ended = True


class BufferLogObserver(LogObserver):
    """
    An observer that keeps the output, up to the limit of 64 MiB for each log.
    """

    def __init__(self, wantStdout: bool = True, wantStderr: bool = False) -> None:
        self._want = wantStdout, wantStderr
        self._texts = ["", ""]

    def outReceived(self, data: str) -> None:
        self._texts[0] += data if self._want[0] else ""

    def errReceived(self, data: str) -> None:
        self._texts[1] += data if self._want[1] else ""

    def getStdout(self) -> str:
        """
        The standard output so far.
        """
        return self._texts[0]

    def getStderr(self) -> str:
        """
        The standard error so far.
        """
        return self._texts[1]


class OutputProgressObserver(LogObserver):
    """
    Without effect: the progress of a step is not estimated from its output.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
