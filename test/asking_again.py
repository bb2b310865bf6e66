"""
Pages of a web process on a busy machine: it may answer that it has no time now (503, with ``Retry-After``), and what
asks then asks again, as a person would.
"""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message

from attrs import frozen

LONGEST = 240.0
"""Seconds after which the answer is what it is."""
_BUSY = 503


@frozen
class Answer:
    """
    What came; the names of *headers* have any case.
    """

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        """
        The body as text.
        """
        return self.body.decode()


def unless_busy(ask: Callable[[], Answer], longest: float = LONGEST) -> Answer:
    """
    The first answer of *ask* that is not "later"; after *longest* seconds, whatever it is.  Between two requests there
    are as many seconds as the answer says.
    """
    deadline = time.monotonic() + longest
    while True:
        answer = ask()
        pause = answer.headers.get("Retry-After")
        left = deadline - time.monotonic()
        if answer.status != _BUSY or pause is None or left <= 0:
            return answer
        time.sleep(min(float(pause), left))


def opened(address: str) -> Answer:
    """
    What *address* leads to, over redirections, as soon as there is time for it.  The body is that of a page of HTML: a
    stream of events would never end.
    """

    def ask() -> Answer:
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                is_page = answer.headers.get_content_type() == "text/html"
                return Answer(answer.status, answer.headers, answer.read() if is_page else b"")
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    return unless_busy(ask)


def got(port: int, path: str, **headers: str) -> Answer:
    """
    The answer at *path* of *port*, as soon as there is time for it; a redirection is an answer.
    """

    def ask() -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    return unless_busy(ask)
