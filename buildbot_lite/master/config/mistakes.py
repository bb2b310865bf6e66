"""
The mistakes of a configuration, each with its line.

Loading a master.cfg reports all mistakes at once, each with its line.  During a load, constructors do not raise: they
`note` a sentence and continue with a harmless value, and the loader refuses the configuration at the end.  Outside a
load (in a test, at a prompt) nothing collects mistakes, and `note` raises `ConfigError` immediately.

::

    with collecting({"/farm/master.cfg": "master.cfg"}) as mistakes:
        exec(...)                   # BuildSlave("a b")  → note(…) → mistakes, with the line of that call
    mistakes.raise_any()            # all of them, sorted by file and line

A *remark* is a sentence about something that is allowed, but has no effect or not the expected one.  `remark` keeps it
in the same way, and the configuration is not refused.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from attrs import field, frozen

from ...errors import ConfigError
from .executed_line import MAIN_FILE, ExecutedFiles, SourceLine, current_line, executing

T = TypeVar("T")

MOST_MISTAKES = 200


class Missing:
    """
    The class of `MISSING`, which stands for a required argument that was not given.
    """

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = Missing()


@frozen(order=True)
class Mistake:
    """
    One mistake, or one remark: its line and its sentence.
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
        self.mistakes = in_reading_order(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


@frozen
class Mistakes:
    """
    The mistakes and remarks noted so far.

    *texts*: the files of the configuration, by their names in sentences.  *found*: the mistakes.  *checks*: those of
    `once_loaded`.  *property_uses*: lines that need a property of builds, with its name.  *missing_names*: names of
    schedulers, slaves and so on whose classes do not exist.  *declared*: the objects of `declare`.
    """

    texts: Mapping[str, str]
    found: list[Mistake] = field(factory=list, init=False)
    remarks: list[Mistake] = field(factory=list, init=False)
    checks: list[tuple[SourceLine, Callable[[Any], str | None]]] = field(factory=list, init=False)
    property_uses: list[tuple[SourceLine, str]] = field(factory=list, init=False)
    missing_names: set[str] = field(factory=set, init=False)
    declared: list[Any] = field(factory=list, init=False)

    def add(self, mistake: Mistake) -> None:
        """
        Add *mistake*, unless it is there already.  At most `MOST_MISTAKES` are kept.
        """
        if mistake not in self.found and len(self.found) < MOST_MISTAKES:
            self.found.append(mistake)

    def add_remark(self, remark: Mistake) -> None:
        """
        Add *remark*, unless there is one with the same sentence.  At most `MOST_MISTAKES` are kept.
        """
        repeated = any(each.sentence == remark.sentence for each in self.remarks)
        if not repeated and len(self.remarks) < MOST_MISTAKES:
            self.remarks.append(remark)

    def check(self, config: object) -> None:
        """
        Run the checks that `once_loaded` postponed.
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
def collecting(files: Mapping[str, str], texts: Mapping[str, str] | None = None) -> Iterator[Mistakes]:
    """
    Collect the mistakes noted in this context.  *files* and *texts* may grow meanwhile, as the configuration imports
    modules.
    """
    executed = ExecutedFiles(files, {} if texts is None else texts)
    mistakes = Mistakes(executed.texts)
    token = _collecting.set(mistakes)
    try:
        with executing(executed):
            yield mistakes
    finally:
        _collecting.reset(token)


def note(sentence: str, place: SourceLine | None = None, *, of: object = None) -> None:
    """
    Note a mistake at *place*; default: `current_line`.  Raises `ConfigError` outside a load.
    """
    mistakes = _collecting.get()
    if mistakes is None:
        raise ConfigError(sentence)
    mistakes.add(Mistake(place or current_line(of) or SourceLine(), sentence))


def note_once(sentence: str) -> None:
    """
    Note a mistake at the current line, unless the same was noted at another line.  Raises `ConfigError` outside a load.
    """
    mistakes = _collecting.get()
    if mistakes is None or all(each.sentence != sentence for each in mistakes.found):
        note(sentence)


def remark(sentence: str, place: SourceLine | None = None, *, of: object = None) -> None:
    """
    Note a remark at *place*; default: `current_line`.  Without effect outside a load.
    """
    mistakes = _collecting.get()
    if mistakes is not None:
        mistakes.add_remark(Mistake(place or current_line(of) or SourceLine(), sentence))


def missing_names() -> set[str]:
    """
    The names of objects whose classes do not exist.  That was noted already, so references to them are no mistakes.
    Placeholders add their names to the set.
    """
    mistakes = _collecting.get()
    return set() if mistakes is None else mistakes.missing_names


def loading() -> bool:
    """
    Whether a configuration is being loaded, so that mistakes are collected.
    """
    return _collecting.get() is not None


def uses_property(name: str, *, of: object = None) -> None:
    """
    Record that the current line needs the property *name* of builds.  Without effect outside a load.
    """
    mistakes = _collecting.get()
    if mistakes is not None:
        mistakes.property_uses.append((current_line(of) or SourceLine(), name))


def once_loaded(check: Callable[[Any], str | None], *, of: object = None) -> None:
    """
    Call *check* with the `MasterConfig` when it is known; a sentence that it returns is a mistake at the current line.

    For checks of one object against others: ``once_loaded(lambda config: None if name in config.builders …)``.
    Without effect outside a load.
    """
    mistakes = _collecting.get()
    if mistakes is not None:
        mistakes.checks.append((current_line(of) or SourceLine(), check))


def declare(something: object) -> None:
    """
    Keep *something*, which is in no key of ``c``, for `declared`.
    """
    mistakes = _collecting.get()
    if mistakes is not None:
        mistakes.declared.append(something)


def declared(kind: type[T]) -> list[T]:
    """
    The objects of *kind* that were declared in this load, in order.
    """
    mistakes = _collecting.get()
    return [] if mistakes is None else [each for each in mistakes.declared if isinstance(each, kind)]


def in_reading_order(mistakes: Iterable[Mistake]) -> tuple[Mistake, ...]:
    """
    *mistakes*, sorted by file and line: those of master.cfg first, then those of its modules.
    """
    return tuple(sorted(mistakes, key=lambda each: (each.place.file != MAIN_FILE, each.place.file, each.place.line)))
