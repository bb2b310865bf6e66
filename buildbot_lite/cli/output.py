"""
What is written where.

Lists are tables for people, or JSON for programs.  What is followed is written by a thread: a pager that nobody
scrolls blocks the writer and not the line to the master, which would count as dead after half a minute.
"""

import json
import os
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

OUT, ERR = 1, 2
NAMES = {OUT: "Standard output", ERR: "Standard error"}
TakeChunk = Callable[[bytes], Deferred[None] | None]
Document = Mapping[str, Any]
PLAIN_WIDTH = 500
"""Columns of a table that nobody sees on a terminal: enough that nothing is cut."""


def show(document: Any, what: str, *, as_json: bool) -> None:
    """
    *document* as JSON, or as a table: `cli.tables` knows *what* it is.
    """
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    from rich.console import Console
    from rich.measure import Measurement

    from .tables import TABLES

    table = TABLES[what](document)
    console = Console(width=None if on_a_terminal() else PLAIN_WIDTH, highlight=False)
    # On a narrow terminal rather lines that it breaks than columns of a letter each.
    narrowest = Measurement.get(console, console.options.update(width=PLAIN_WIDTH), table).minimum
    console.width = max(console.width, narrowest)
    with console.capture() as capture:
        console.print(table)
    # Without the spaces that rich puts at the ends of lines.
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


def on_a_terminal() -> bool:
    """
    Whether standard output is one.
    """
    return sys.stdout.isatty()


def note(text: str) -> None:
    """
    A remark for whoever sits there, out of the way of what is asked for.
    """
    click.echo(text, err=True)


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
    One line on the terminal that is written over; nothing at all when nobody looks.

    Use it as a context manager: the line is gone afterwards.
    """

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.say("")

    def say(self, text: str) -> None:
        """
        How far it is.
        """
        if self._shown:
            sys.stderr.write(f"\r\033[K{text}")
            sys.stderr.flush()


class OutputWriter:
    """
    Writes what is followed to standard output and standard error, in the order in which it comes, and no faster than
    they take it.

    One thread writes, because a pipe whose reader waits would hold up the reactor.  What waits for it is bounded by
    whoever sends: a master has at most 1 MiB on its way to a client.
    """

    def __init__(self, descriptors: Mapping[int, int] = MappingProxyType({OUT: OUT, ERR: ERR})) -> None:
        self._descriptors = descriptors
        self._chunks: SimpleQueue[tuple[bytes, Deferred[None]]] = SimpleQueue()
        self._writer: threading.Thread | None = None
        self.refused: OSError | None = None
        """Why what was poured could not be written, as when whoever read it has seen enough."""

    def by(self, reactor: IReactorFromThreads) -> TakeChunk:
        """
        What takes the chunks, in the reactor's thread.
        """
        return partial(self._take, reactor)

    def _take(self, reactor: IReactorFromThreads, data: bytes) -> Deferred[None]:
        """
        A chunk, whose first byte says where it belongs; fires when it is written.
        """
        written: Deferred[None] = Deferred()
        self._chunks.put((data, written))
        if self._writer is None:
            # A daemon, so that nothing waits for it when the user has had enough.
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
                # A sentence for the master; our own defects would be logged here, with a traceback.
                failure = Failure(BuildbotLiteError("Nobody takes these bytes any more."))
                reactor.callFromThread(written.errback, failure)

    def _write(self, descriptor: int, rest: memoryview) -> None:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
