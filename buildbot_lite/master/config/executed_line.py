"""
The line of the configuration that is being executed, and the text around it.

It is the line of the innermost stack frame whose code is from a file of the configuration.  So constructors need no
argument for it, and it is right in loops and functions of the configuration, too.  (Rejected: the syntax tree, which
cannot tell which iteration of a loop is executed.)
"""

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

from attrs import field, frozen

from .source_texts import is_asked_for, is_handled

MAIN_FILE = "master.cfg"


@frozen(order=True)
class SourceLine:
    """
    A *line* of one of the configuration's files; line 0 means the whole file.
    """

    file: str = MAIN_FILE
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@frozen
class ExecutedFiles:
    """
    The files of a configuration that is being loaded.  Both mappings may grow meanwhile, as it imports modules.

    *names*: file name in code objects → file name in sentences.  *texts*: file name in sentences → the file's text.
    *places*: the lines of `placed`, innermost last.
    """

    names: Mapping[str, str]
    texts: Mapping[str, str]
    places: list[SourceLine] = field(factory=list, init=False)


_executing: ContextVar[ExecutedFiles | None] = ContextVar(
    "files of the configuration that is being loaded", default=None
)


@contextmanager
def executing(files: ExecutedFiles) -> Iterator[None]:
    """
    In this context, lines of *files* are found on the stack.
    """
    token = _executing.set(files)
    try:
        yield
    finally:
        _executing.reset(token)


def current_line(of: object = None) -> SourceLine | None:
    """
    The line of the configuration that is being executed, or None outside a load.

    *of*: an object under construction.  Then it is the line of the constructor call, also when the class is defined in
    the configuration and its constructor calls ``super().__init__``.
    """
    files = _executing.get()
    if files is None:
        return None
    placed_at = files.places[-1] if files.places else None
    return next((place for place, frame in _executed_lines(files) if not _makes(frame, of)), placed_at)


def _executed_lines(files: ExecutedFiles) -> Iterator[tuple[SourceLine, FrameType]]:
    # The innermost line of the configuration comes first.  Not inspect.stack(), which reads the source of each frame.
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        file = files.names.get(frame.f_code.co_filename)
        if file is not None:
            yield SourceLine(file, frame.f_lineno), frame
        frame = frame.f_back


@contextmanager
def placed(place: SourceLine) -> Iterator[None]:
    """
    In this context, *place* is the current line if no line of the configuration is on the stack.
    """
    files = _executing.get()
    places = [] if files is None else files.places
    places.append(place)
    try:
        yield
    finally:
        places.pop()


def _makes(frame: FrameType, of: object) -> bool:
    # Whether this frame is a method of *of*, such as ``__init__``.
    names = frame.f_code.co_varnames
    return of is not None and bool(names) and frame.f_locals.get(names[0]) is of


def is_in_sources(text: str) -> bool:
    """
    Whether *text* is a quoted text in one of the files of the configuration that is being loaded.
    """
    files = _executing.get()
    texts = () if files is None else files.texts.values()
    return any(quote + text + quote in source for source in texts for quote in "'\"")


def handled_here(*errors: type[Exception]) -> bool:
    """
    Whether the configuration handles one of *errors*: one of its lines on the stack is inside a ``try``.

    Code that tests in this way whether a word exists must get the error, and is no mistake.
    """
    files = _executing.get()
    return files is not None and any(
        is_handled(files.texts.get(place.file, ""), place.line, errors) for place, _ in _executed_lines(files)
    )


def asked_for_here(word: str) -> bool:
    """
    Whether the line of the configuration that is being executed asks if something has the attribute *word*.
    """
    return is_asked_for(*text_here(), word)


def text_here() -> tuple[str, int]:
    """
    The text of the configuration's file that is being executed, and the current line; outside a load, "" and 0.
    """
    files, place = _executing.get(), current_line()
    if files is None or place is None:
        return "", 0
    return files.texts.get(place.file, ""), place.line


def as_written(*words: str, of: object = None) -> str:
    """
    The one of *words*, names of the same thing, that stands in the current line; the first, if none or several do.
    """
    files, place = _executing.get(), current_line(of)
    if files is None or place is None:
        return words[0]
    lines = files.texts.get(place.file, "").splitlines()
    line = lines[place.line - 1] if 0 < place.line <= len(lines) else ""
    found = [word for word in words if re.search(rf"\b{re.escape(word)}\b", line)]
    return found[0] if len(found) == 1 else words[0]
