"""
The scripted slave: the expected commands and their outcomes.
"""

import hashlib
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..deferreds import background
from ..errors import NotFoundError
from ..model import spec as specs
from ..model.outcome import (
    Ending,
    Outcome,
    Seal,
    Why,
)
from ..wire.roles import Command

_LARGEST_CHUNK = 1 << 20
_EXITED_WELL = Outcome(Ending.EXITED, exit_code=0)


@frozen
class Answer:
    """
    An expected command and its outcome; `command` makes it, the methods change the outcome.

    *pattern*: the text of the command, where ``*`` and ``?`` stand for any characters.
    """

    pattern: str
    outcome: Outcome = _EXITED_WELL
    streams: Mapping[str, bytes] = field(factory=dict)

    def exits(self, code: int = 0, stdout: str | bytes = b"", stderr: str | bytes = b"") -> "Answer":
        """
        The program writes *stdout* and *stderr*, and exits with *code*.  *stderr* is for commands with a log of that
        name.
        """
        answer = evolve(self, outcome=Outcome(Ending.EXITED, exit_code=code))
        for log, text in (("stdio", stdout), ("stderr", stderr)):
            answer = answer.writes(text, log) if text else answer
        return answer

    def writes(self, text: str | bytes, log: str = "stdio") -> "Answer":
        """
        The program writes *text* to *log*:  "stdio", "stderr", or the name of a followed file.
        """
        data = text.encode() if isinstance(text, str) else text
        return evolve(self, streams={**self.streams, log: data})

    def uploads(self, contents: bytes) -> "Answer":
        """
        The uploaded file, or archive of a directory, has these *contents*.
        """
        return self.writes(contents, "artifact")

    def dies(self, signal: str = "SEGV") -> "Answer":
        """
        The program ends by a *signal* that buildbot_lite did not send.
        """
        return evolve(self, outcome=Outcome(Ending.SIGNALLED, signal=signal))

    def killed(self, why: Why = Why.TIMEOUT, sentence: str = "") -> "Answer":
        """
        The keeper kills it.
        """
        return evolve(self, outcome=Outcome(Ending.KILLED, why=why, sentence=sentence))

    def fails(self, sentence: str) -> "Answer":
        """
        The command cannot be started or fails before its end; *sentence* says why.
        """
        return evolve(self, outcome=Outcome(Ending.FAILED, sentence=sentence))

    def lost(self, sentence: str = "the machine was lost") -> "Answer":
        """
        The outcome is unknown, because the machine was lost.
        """
        return evolve(self, outcome=Outcome.lost(sentence))


def command(pattern: str = "*") -> Answer:
    """
    Expect a command whose text matches *pattern*; by default it exits with 0 and writes nothing.

    The text of a program is its words, quoted as for a shell (``git checkout 'a b'``); that of a shell command is the
    command itself.  The others are ``mkdir DIR``, ``rmdir DIR``, ``upload FILE``, ``upload-directory DIR`` and
    ``download FILE``, all relative to the builder's directory.
    """
    return Answer(pattern)


@frozen
class Asked:
    """
    A command as it arrived at the slave.

    *text*: as for `command`.  *secrets*: name → value; *spec* has references instead.  *read*: the bytes read from the
    master: a download, or a submission for standard input.
    """

    id: str
    text: str
    spec: specs.Spec
    on_master: bool
    secrets: Mapping[str, str]
    read: bytes


class ScriptedSlave:
    """
    A slave that follows the script.  It does not start a known command again.
    """

    _log = Logger()

    def __init__(self, script: "Script", *, on_master: bool) -> None:
        self._script = script
        self._on_master = on_master

    def start(self, id: str, spec: specs.Spec, secrets: Mapping[str, str], command: Command) -> Deferred[None]:
        """
        Run the next command of the script.
        """
        try:
            self._script.ask(id, spec, secrets, command, on_master=self._on_master)
        except AssertionError as error:
            self._script.complaints.append(str(error))
            return fail(NotFoundError(str(error)))
        return self.resume(id, command, {})

    def resume(self, id: str, command: Command, have: Mapping[str, int]) -> Deferred[None]:
        """
        Report the outcome of a command again.
        """
        answer = self._script.answered[id]
        for stream, data in answer.streams.items():
            for offset in range(0, len(data), _LARGEST_CHUNK):
                now(command.append(stream, offset, data[offset : offset + _LARGEST_CHUNK]))
        seals = {stream: sealed(data) for stream, data in answer.streams.items()}
        background(command.finished(answer.outcome.but(streams=seals)), self._log, "reporting the end")
        return succeed(None)

    def interrupt(self, id: str, reason: str) -> Deferred[None]:
        """
        Do nothing: every command ends when it starts.
        """
        return succeed(None)

    def disown(self, id: str) -> Deferred[None]:
        """
        Forget the command.
        """
        return succeed(None)

    def drop(self, reason: str) -> None:
        """
        Do nothing: the link stays.
        """

    def when_lost(self, callback: Callable[[], None]) -> None:
        """
        Never call *callback*: the link is never lost.
        """


class Script:
    """
    The remaining expected commands, and the commands that arrived.
    """

    def __init__(self, answers: Iterable[Answer], directory: str) -> None:
        self._answers = list(answers)
        self._lenient = not self._answers
        self._directory = directory
        self.asked: list[Asked] = []
        self.answered: dict[str, Answer] = {}
        self.complaints: list[str] = []

    def ask(self, id: str, spec: specs.Spec, secrets: Mapping[str, str], command: Command, *, on_master: bool) -> None:
        """
        Accept the command *spec* of the step; `AssertionError` if it is not the expected one.
        """
        known = [asked for asked in self.asked if asked.id == id]
        if known:
            if specs.fingerprint(known[0].spec) != specs.fingerprint(spec):
                raise AssertionError(f"The step first ran {known[0].text!r}, and {self._text(spec)!r} after a restart.")
            return
        text = self._text(spec)
        answer = self._next(text)
        read = _read(spec, command)
        if isinstance(spec, specs.Download) and sealed(read) != Seal(spec.size, spec.sha256):
            answer = answer.fails(f"{spec.name} does not have the announced size or checksum.")
        self.asked.append(Asked(id, text, spec, on_master, dict(secrets), read))
        self.answered[id] = answer

    def left(self) -> list[str]:
        """
        The patterns of the expected commands that the step has not started.
        """
        return [answer.pattern for answer in self._answers]

    def _next(self, text: str) -> Answer:
        if self._lenient:
            return Answer(text)
        if not self._answers:
            raise AssertionError(f"The step ran {text!r}, but no further command is expected.")
        if not re.fullmatch(_pattern(self._answers[0].pattern), text, re.DOTALL):
            raise AssertionError(f"The step ran {text!r}, but {self._answers[0].pattern!r} is expected.")
        return self._answers.pop(0)

    def _text(self, spec: specs.Spec) -> str:
        if isinstance(spec, specs.Run):
            words = spec.script if spec.script is not None else shlex.join(spec.argv)
            return specs.SECRET_REFERENCE.sub("*****", words)
        inside = spec.path.removeprefix(f"{self._directory}/")
        return f"{spec.kind} {inside}"


def _pattern(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in re.split(r"([*?])", pattern))


def _read(spec: specs.Spec, command: Command) -> bytes:
    name = spec.name if isinstance(spec, specs.Download) else spec.stdin_input if isinstance(spec, specs.Run) else None
    if name is None:
        return b""
    data = b""
    while chunk := now(command.read(name, len(data), _LARGEST_CHUNK)):
        data += chunk
    return data


def sealed(data: bytes) -> Seal:
    """
    The length and checksum of *data*.
    """
    return Seal(len(data), hashlib.sha256(data).hexdigest())


def now(answer: Deferred[Any]) -> Any:
    """
    The result of *answer*, which must have fired.
    """
    found: list[Any] = []
    answer.addBoth(found.append)  # type: ignore[unused-awaitable]  # it has its result
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return found[0]
