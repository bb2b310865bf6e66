"""
What is wrong with a configuration, and where.

Whoever edits a master.cfg wants to hear of all mistakes at once, each with the line that made it.  So while one is
being loaded, constructors do not raise: they `note` a sentence, go on with something harmless, and the loader refuses
the whole at the end.  Outside a load (in a test, at a prompt) there is nobody to collect, and `note` raises
`ConfigError` at once.

::

    with collecting({"/farm/master.cfg": "master.cfg"}) as mistakes:
        exec(...)                   # BuildSlave("a b")  → note(…) → mistakes, with the line of that call
    mistakes.raise_any()            # all of them, sorted by file and line

A *place* is found by walking up the stack to the nearest frame whose code came from one of the configuration's own
files.  That needs no co-operation from constructors, and works in loops and functions of the configuration.
(Rejected: reading the syntax tree, which does not know which call a loop was in.)
"""

import difflib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any

from attrs import field, frozen

from ...errors import ConfigError

MAIN_FILE = "master.cfg"
MOST_MISTAKES = 200


class Missing:
    """
    Stands for an argument that was not given, and about which a mistake is noted already.
    """

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = Missing()


@frozen(order=True)
class SourceLine:
    """
    A *line* of one of the configuration's files; line 0 is the file as a whole.
    """

    file: str = MAIN_FILE
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@frozen(order=True)
class Mistake:
    """
    One thing that is wrong, said in a sentence.
    """

    place: SourceLine
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}"


class MistakesError(ConfigError):
    """
    The configuration has mistakes.  Each is listed with its line.
    """

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=_reading_order))
        super().__init__("\n".join(map(str, self.mistakes)))


@frozen
class Mistakes:
    """
    What was noted so far.  *files* maps the file names that code objects carry to the names that people read.
    """

    files: Mapping[str, str]
    found: list[Mistake] = field(factory=list, init=False)
    checks: list[tuple[SourceLine, Callable[[Any], str | None]]] = field(factory=list, init=False)

    def add(self, mistake: Mistake) -> None:
        """
        Keep *mistake*, once.  Beyond 200 of them nothing is kept: something else is wrong then.
        """
        if mistake not in self.found and len(self.found) < MOST_MISTAKES:
            self.found.append(mistake)

    def check(self, config: object) -> None:
        """
        Make the checks that waited until the whole configuration is known.
        """
        for place, check in self.checks:
            sentence = check(config)
            if sentence is not None:
                self.add(Mistake(place, sentence))

    def raise_any(self) -> None:
        """
        Raise `MistakesError` if there is any mistake.
        """
        if self.found:
            raise MistakesError(self.found)


_collecting: ContextVar[Mistakes | None] = ContextVar(
    "mistakes of the configuration that is being loaded", default=None
)


@contextmanager
def collecting(files: Mapping[str, str]) -> Iterator[Mistakes]:
    """
    Collect what is noted meanwhile.  *files* may still grow while the configuration imports its modules.
    """
    mistakes = Mistakes(files)
    token = _collecting.set(mistakes)
    try:
        yield mistakes
    finally:
        _collecting.reset(token)


def note(sentence: str, place: SourceLine | None = None, *, of: object = None) -> None:
    """
    Something is wrong at *place*, which is `current_line` when not given.  Raises `ConfigError` outside a load.
    """
    mistakes = _collecting.get()
    if mistakes is None:
        raise ConfigError(sentence)
    mistakes.add(Mistake(place or current_line(of) or SourceLine(), sentence))


def once_loaded(check: Callable[[Any], str | None], *, of: object = None) -> None:
    """
    When everything is known, ask *check* what is wrong with the `MasterConfig`; its sentence belongs to this line.

    For what an object can only find out from others: ``once_loaded(lambda config: None if name in config.builders …)``.
    Nothing happens outside a load.
    """
    mistakes = _collecting.get()
    if mistakes is not None:
        mistakes.checks.append((current_line(of) or SourceLine(), check))


def current_line(of: object = None) -> SourceLine | None:
    """
    The line of the configuration that is being executed, or None outside a load.

    With *of*, an object that is being made: the line that makes it, even when its class is the configuration's own and
    is right now calling ``super().__init__``.
    """
    mistakes = _collecting.get()
    if mistakes is None:
        return None
    # inspect.stack() would read the sources of every frame.
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        file = mistakes.files.get(frame.f_code.co_filename)
        if file is not None and not _makes(frame, of):
            return SourceLine(file, frame.f_lineno)
        frame = frame.f_back
    return None


def _makes(frame: FrameType, of: object) -> bool:
    # Whether this is a method of *of* itself, as ``__init__`` is.
    names = frame.f_code.co_varnames
    return of is not None and bool(names) and frame.f_locals.get(names[0]) is of


def fitting_arguments(
    function: Callable[..., object], what: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, skip: int = 1
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """
    Those of *args* and *kwargs* with which *function* can be called; `MISSING` for those that it lacks.

    Everything that does not fit is noted, an unknown keyword with the one that was probably meant.  *what* names the
    thing in sentences; the first *skip* parameters (``self``) are not the caller's.
    """
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if len(args) > len(positional) and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        note(f"{what} takes at most {len(positional)} arguments without a name, and was given {len(args)}.")
        args = args[: len(positional)]
    fits = dict(kwargs)
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        note_unknown(what, kwargs, named)
        fits = {name: value for name, value in kwargs.items() if name in named}
    for parameter in positional[: len(args)]:
        if parameter.name in fits:
            note(f"{what} was given {parameter.name!r} twice.")
            del fits[parameter.name]
    for parameter in parameters:
        given = parameter in positional[: len(args)] or parameter.name in fits
        if not given and parameter.name in named and parameter.default is parameter.empty:
            note(f"{what} needs the argument {parameter.name!r}.")
            fits[parameter.name] = MISSING
    return args, fits


def note_unknown(what: str, given: Iterable[str], known: Iterable[str], *, of: object = None) -> None:
    """
    Note those names *given* that are not *known*, each with the one that was probably meant.
    """
    known = list(known)
    for name in given:
        if name not in known:
            note(f"{what} has no argument {name!r}.{did_you_mean(name, known)}", of=of)


class NotingType(type):
    """
    The metaclass of what stands in a master.cfg: a call that does not fit the constructor is noted, not raised.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """
        Make one, from those arguments that fit.
        """
        if _collecting.get() is None:
            # A build makes its steps again from arguments that fitted when they were loaded: no need to look first.
            try:
                return super().__call__(*args, **kwargs)
            except TypeError:
                fitting_arguments(inspect.getattr_static(cls, "__init__"), cls.__name__, args, kwargs)
                raise
        args, kwargs = fitting_arguments(inspect.getattr_static(cls, "__init__"), cls.__name__, args, kwargs)
        return super().__call__(*args, **kwargs)


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """
    ``"  Did you mean 'x'?"``, or the words if there are few, or nothing.
    """
    known = sorted(set(words))
    # Buildbot renamed its slaves in 2016; half of its users know them by the newer name.
    word = word.replace("worker", "slave").replace("Worker", "Slave")
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"  Did you mean {close[0]!r}?"
    if 0 < len(known) <= 8:
        return f"  There is: {', '.join(known)}."
    return ""


def _reading_order(mistake: Mistake) -> tuple[bool, str, int]:
    # master.cfg first, then the modules beside it; what was noted first at one line stays first.
    return mistake.place.file != MAIN_FILE, mistake.place.file, mistake.place.line
