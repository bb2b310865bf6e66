"""
Standard output and standard error.

Lists are tables for people, or JSON for programs.  A thread writes followed output: a pager that is not scrolled blocks
only that thread; without it the link to the master would be idle, and count as dead after half a minute.
"""

import json
import os
import select
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue
from types import MappingProxyType
from typing import Any, Self

import click
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from ..errors import BuildbotLiteError
from ..keeper.spawn import resize_pipe
from ..model.display import printable

OUT, ERR = 1, 2
NAMES = {OUT: "Standard output", ERR: "Standard error"}
TakeChunk = Callable[[bytes], Deferred[None] | None]
Document = Mapping[str, Any]
LONGEST_SENTENCE = 1 << 20
"""Characters: all mistakes of a master.cfg are one error."""
# Bytes that standard output holds if it is a pipe: what the master has in flight, and the most without privileges.
_PIPE = 1 << 20


def show(document: Any, what: str, *, as_json: bool) -> None:
    """
    Print *document* as JSON, or as the table that `cli.tables` has for *what*.
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
    click.echo(printable(text, longest=LONGEST_SENTENCE, lines=True))


def note(text: str) -> None:
    """
    Print a remark on standard error, as `tell` does.
    """
    click.echo(printable(text, longest=LONGEST_SENTENCE, lines=True), err=True)


def read_secret(prompt: str) -> str:
    """
    The text on standard input, at most `LARGEST_FURL_FILE` bytes; on a terminal, what is typed at *prompt*, unseen.
    """
    from ..wire.furl import LARGEST_FURL_FILE, decoded

    if sys.stdin.isatty():
        return str(click.prompt(prompt, hide_input=True, err=True, prompt_suffix=": "))
    return decoded(sys.stdin.buffer.read(LARGEST_FURL_FILE))


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


class OutputWriter:
    """
    Writes followed chunks to standard output and standard error, in order, and no faster than these accept them.

    One thread writes, because a pipe with a slow reader would block the reactor.  The master bounds the chunks that
    wait for the thread: it has at most 1 MiB in flight to a client.
    """

    def __init__(self, descriptors: Mapping[int, int] = MappingProxyType({OUT: OUT, ERR: ERR})) -> None:
        self._descriptors = descriptors
        self._chunks: SimpleQueue[tuple[bytes, Deferred[None]]] = SimpleQueue()
        self._writer: threading.Thread | None = None
        self.refused: OSError | None = None
        """The first error of a write: the reader is gone, or the disk is full."""

    def by(self, reactor: IReactorFromThreads) -> TakeChunk:
        """
        The function that takes chunks, in the reactor's thread.
        """
        return partial(self._take, reactor)

    def _take(self, reactor: IReactorFromThreads, data: bytes) -> Deferred[None]:
        """
        Write a chunk, whose first byte names the stream; fires when it is written.
        """
        written: Deferred[None] = Deferred()
        self._chunks.put((data, written))
        if self._writer is None:
            for descriptor in self._descriptors.values():
                resize_pipe(descriptor, _PIPE)
            # A daemon thread: Ctrl-C need not wait for it.
            self._writer = threading.Thread(target=self._write_all, args=(reactor,), daemon=True)
            self._writer.start()
        return written

    def _write_all(self, reactor: IReactorFromThreads) -> None:
        while True:
            data, written = self._chunks.get()
            stream = int(data[:1])
            try:
                if self.refused is None:
                    self._write(self._descriptors[stream], memoryview(data)[1:])
            except OSError as error:
                self.refused = OSError(error.errno, error.strerror, NAMES[stream])
            if self.refused is None:
                reactor.callFromThread(written.callback, None)
            else:
                # A BuildbotLiteError becomes a sentence for the master; others would be logged here, with a traceback.
                failure = Failure(BuildbotLiteError("The client does not accept output any more."))
                reactor.callFromThread(written.errback, failure)

    def _write(self, descriptor: int, remaining: memoryview) -> None:
        while remaining:
            remaining = remaining[os.write(descriptor, remaining) :]
