"""
A client with a watch string that sends queries without end: ``python -m test.hostile.queries QUESTION AT_ONCE``.

The first line of standard input is the FURL; the client ends when standard input is closed.  It prints a line when it
begins, and at the end the rates of answered and of refused queries, per second.
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


async def query_without_end(reactor: Any, furl: str, question: dict[str, Any], at_once: int) -> None:
    """
    Keep *at_once* queries in progress until stdin is closed; then exit at once, without waiting for the last answers.

    The master slows this client down, so waiting for answers or for an orderly end of the link would take long.
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
    Send queries without end.
    """
    question, at_once = json.loads(sys.argv[1]), int(sys.argv[2])
    furl = sys.stdin.readline().strip()
    react(lambda reactor: Deferred.fromCoroutine(query_without_end(reactor, furl, question, at_once)))


if __name__ == "__main__":
    main()
