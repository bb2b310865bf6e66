"""
A holder of a string to watch the farm asks without end: ``python -m test.strangers.asking QUESTION AT_ONCE``.

The string is the first line of its standard input; it asks until that is closed.  It prints a line when it begins, and
in the end how many questions were answered in a second, and how many were refused.
"""

import json
import os
import sys
import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from buildbot_lite.errors import (
    BuildbotLiteError,
    LimitError,
    LinkLostError,
)
from buildbot_lite.wire.client import control_connection
from buildbot_lite.wire.control import RemoteControl


async def ask_without_end(reactor: Any, furl: str, question: dict[str, Any], at_once: int) -> None:
    """
    Keep *at_once* questions under way until stdin is closed; then go at once, without an answer to the last of them.

    For those, and for the link to be closed in good order, it would wait as long as the master lets it: it is slowed
    down, which is the point.
    """
    answered = refused = 0

    async def one_after_the_other(control: RemoteControl) -> None:
        nonlocal answered, refused
        while True:
            try:
                await control.ask(question)
                answered += 1
            except LinkLostError:
                return
            except BuildbotLiteError as error:
                refused += isinstance(error, LimitError) or "not answered yet" in str(error)

    closed = deferToThread(sys.stdin.read)
    async with control_connection(reactor, furl) as control:
        begun = time.monotonic()
        _asking = [Deferred.fromCoroutine(one_after_the_other(control)) for _ in range(at_once)]
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await closed
        took = time.monotonic() - begun
        sys.stdout.write(f"{answered / took:.1f} {refused / took:.1f}\n")
        sys.stdout.flush()
        os._exit(0)


def main() -> None:
    """
    Attack.
    """
    question, at_once = json.loads(sys.argv[1]), int(sys.argv[2])
    furl = sys.stdin.readline().strip()
    react(lambda reactor: Deferred.fromCoroutine(ask_without_end(reactor, furl, question, at_once)))


if __name__ == "__main__":
    main()
