"""
Logs of steps in Buildbot's form: those that a step writes, those that it reads, and observers of a command's output.

An observer gets the output when the command has ended, in parts of whole lines, and again in a replay: what it
concludes is the same each time.
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
    A log that a step writes.  Buildbot's steps use it directly, or after ``yield`` or ``await``.
    """

    def __init__(self, name: str, write: Callable[[str, str], None]) -> None:
        self.name = name
        self._write = write

    def addStdout(self, text: str) -> Any:
        """
        Append *text*.
        """
        self._write(self.name, text)
        return self

    addStderr = addHeader = addContent = addStdout

    def finish(self) -> Any:
        """
        Nothing: the log ends with the step.
        """
        return self

    def getName(self) -> str:
        """
        The log's name.
        """
        return self.name

    def __await__(self) -> Generator[Any, Any, "WrittenLog"]:
        yield from ()
        return self


class OutputLog:
    """
    The output of commands, in Buildbot's form of a log.  *read* returns it: most steps never ask.
    """

    def __init__(self, name: str, read: Callable[[], str]) -> None:
        self.name = name
        self._read = read

    def getText(self) -> str:
        """
        The text.
        """
        return self._read()

    getTextWithHeaders = getText

    def readlines(self) -> list[str]:
        """
        The lines, with their ends.
        """
        return self._read().splitlines(keepends=True)

    def getName(self) -> str:
        """
        The log's name.
        """
        return self.name


class Observer(Protocol):
    """
    Something that looks at the output of a command.
    """

    def setStep(self, step: Any) -> None:
        """
        The *step* whose command it is.
        """

    def outReceived(self, data: str) -> None:
        """
        Standard output: the next lines, or the end.
        """

    def errReceived(self, data: str) -> None:
        """
        The same of standard error, if it is a log of its own.
        """


class LogObserver(metaclass=NotingType):
    """
    Gets the output of a command; to be subclassed.
    """

    step: Any = None

    def setStep(self, step: Any) -> None:
        """
        Keep the step.
        """
        self.step = step

    def outReceived(self, data: str) -> None:
        """
        Standard output: the next lines, or the end; a subclass looks at it.
        """

    def errReceived(self, data: str) -> None:
        """
        The same of standard error.
        """

    def finishReceived(self) -> None:
        """
        The command has ended.
        """


class LogLineObserver(LogObserver):
    """
    Gets the output of a command by lines, without their ends; to be subclassed.
    """

    def outReceived(self, data: str) -> None:
        for line in data.splitlines():
            self.outLineReceived(line)

    def errReceived(self, data: str) -> None:
        for line in data.splitlines():
            self.errLineReceived(line)

    def outLineReceived(self, line: str) -> None:
        """
        A line of standard output; a subclass looks at it.
        """

    def errLineReceived(self, line: str) -> None:
        """
        A line of standard error; a subclass looks at it.
        """

    def setMaxLineLength(self, length: int) -> None:
        """
        Nothing: lines may have any length.
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
    Keeps the output.
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
    Does nothing: there is no estimate that it could feed.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
