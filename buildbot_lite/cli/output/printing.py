"""
Standard output and standard error.

Lists are tables for people, or JSON for programs.
"""

import json
import os
import select
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import click
from twisted.internet.defer import Deferred

from ...errors import BuildbotLiteError
from ...model.display import printable

OUT, ERR = 1, 2
NAMES = {OUT: "Standard output", ERR: "Standard error"}
TakeChunk = Callable[[bytes], Deferred[None] | None]
Document = Mapping[str, Any]
LONGEST_SENTENCE = 1 << 20
"""Characters: all mistakes of a master.cfg are one error."""


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, in a stable form, instead of a table.")


def show(document: Any, what: str, *, as_json: bool) -> None:
    """
    Print *document* as JSON, or as the table that `output.tables` has for *what*.
    """
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    from rich.console import Console
    from rich.measure import Measurement

    from .layout import PLAIN_WIDTH
    from .tables import TABLES

    table = TABLES[what](document)
    console = Console(width=None if on_a_terminal() else PLAIN_WIDTH, highlight=False)
    # On a narrow terminal, broken lines are better than columns of one letter.
    narrowest = Measurement.get(console, console.options.update(width=PLAIN_WIDTH), table).minimum
    console.width = max(console.width, narrowest)
    with console.capture() as capture:
        console.print(table, crop=False)
    # Without the spaces that rich puts at the ends of lines.
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


def on_a_terminal() -> bool:
    """
    Whether standard output is a terminal.
    """
    return sys.stdout.isatty()


def hung_up(descriptor: int) -> bool:
    """
    Whether nobody is at the other end of *descriptor* any more: the terminal was closed, or the pipe's reader is gone.
    """
    polling = select.poll()
    # These are told unasked: poll(2).
    polling.register(descriptor, 0)
    return any(events & (select.POLLHUP | select.POLLERR) for _, events in polling.poll(0))


def tell(text: str) -> None:
    """
    Print a sentence on standard output.  Control characters in it, as of a name that somebody else chose, become "?".
    """
    click.echo(printable(text, longest=LONGEST_SENTENCE, lines=True, spaces=True))


def note(text: str) -> None:
    """
    Print a remark on standard error, as `tell` does.
    """
    click.echo(printable(text, longest=LONGEST_SENTENCE, lines=True, spaces=True), err=True)


def read_secret(prompt: str) -> str:
    """
    The text on standard input, at most `LARGEST_FURL_FILE` bytes; on a terminal, what is typed at *prompt*, unseen.
    """
    from ...wire.furl import LARGEST_FURL_FILE, decoded

    if sys.stdin.isatty():
        return str(click.prompt(prompt, hide_input=True, err=True, prompt_suffix=": "))
    return decoded(sys.stdin.buffer.read(LARGEST_FURL_FILE))


secret_file_option = click.option(
    "--to", metavar="FILE", help="Write it to FILE, a new file that only you can read, instead of standard output."
)


@contextmanager
def new_secret_file(path: str) -> Iterator[Callable[[str], object]]:
    """
    Make the file *path*, which only this user can read from its beginning, and provide the function that writes a line
    to it.  The file is removed if the block raises; `BuildbotLiteError` if it is there already.
    """
    if not path:
        raise click.UsageError("--to needs a file, and this is an empty word.")
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise BuildbotLiteError(f"{path} exists already.  Give a new file, so that no string is lost.") from None
    try:
        try:
            with open(descriptor, "w") as file:
                yield lambda line: print(line, file=file, flush=True)
        except BaseException:
            os.unlink(path)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, error.filename or path) from None


class ProgressLine:
    """
    A line of progress on a terminal, which each `say` overwrites; nothing if standard error is no terminal.

    A context manager, which removes the line at its end.
    """

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.say("")

    def say(self, text: str) -> None:
        """
        Show *text* in place of the line.
        """
        if self._shown:
            sys.stderr.write(f"\r\033[K{text}")
            sys.stderr.flush()
