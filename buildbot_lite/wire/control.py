"""
Questions of the ``buildbot-lite`` command to a running master.

A question and its answer are JSON objects.  This module bounds their size; `control.admin` gives them meaning.

::

    ask(question) → answer
    follow(question, follower):  chunk(data), each acknowledged …  → answer, after the last chunk
    open_shell(question, terminal) → shell, whose output goes to the terminal
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from foolscap.api import Referenceable
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ..errors import InputError, RefusedError
from ..model.json_reader import JsonReader, encode, encode_in_utf8
from .contract import (
    LARGEST_ANSWER,
    LARGEST_QUESTION,
    RIControl,
    RIFollower,
)
from .exposed import Exposed, ExposedShell, Revocable
from .proxies import Remote, RemoteOpenShell, RemoteTerminal
from .shells import ExposedTerminal, OpenShell, ShellTerminal

Document = Mapping[str, Any]

CHUNKS_IN_ORDER = "chunks_in_order"
"""
A field of a question to `Control.follow`.  True: the client accepts several unacknowledged chunks, and keeps their
order.
"""


NO_SHELL = "This string permits no shell.  Ask the farm's admin for one that does: buildbot-lite grant shell TARGET"


@runtime_checkable
class Follower(Protocol):
    """
    A client that follows a growing answer.
    """

    def chunk(self, data: bytes) -> Deferred[None]:
        """
        Send the next bytes, at most `LARGEST_CHUNK`; fires when the client has processed them, in order of sending.
        """

    def when_writable(self) -> Deferred[None]:
        """
        Fires when the connection's send buffer is not full.
        """

    def when_lost(self, callback: Callable[[], None]) -> None:
        """
        Call *callback* once, when the client is disconnected.
        """


@runtime_checkable
class Control(Protocol):
    """
    The object of an admin or control FURL.
    """

    def ask(self, question: Document) -> Deferred[Document]:
        """
        Fires with the answer, or fails with a refusal.
        """

    def follow(self, question: Document, follower: Follower) -> Deferred[Document]:
        """
        Send chunks to *follower*; fires with the answer after the last one, or fails with a refusal.
        """


@runtime_checkable
class ShellControl(Protocol):
    """
    An object that permits some holders of its FURL to open shells.
    """

    def open_shell(self, question: Document, terminal: ShellTerminal) -> Deferred[OpenShell]:
        """
        Open the shell that *question* asks for; its output goes to *terminal*.  Fails with a refusal.
        """


class RemoteFollower(Remote):
    """
    A `Follower` on the other side.
    """

    def chunk(self, data: bytes) -> Deferred[None]:
        self.count_stream_bytes(len(data))
        return self._call("chunk", data=data)

    def when_writable(self) -> Deferred[None]:
        return self.backlog.when_clear()

    def when_lost(self, callback: Callable[[], None]) -> None:
        self.link.when_lost(callback)


@implementer(RIControl)
class ExposedControl(Exposed):
    """
    *control*, for the holder of its FURL.
    """

    def __init__(self, control: Control, revocable: Revocable) -> None:
        super().__init__(revocable)
        self._control = control

    def remote_ask(self, request: bytes) -> Deferred[bytes]:
        return self._control.ask(question_from(request)).addCallback(self.revocable.account.charged(answer_bytes))

    def remote_follow(self, request: bytes, follower: Any) -> Deferred[bytes]:
        return self._control.follow(question_from(request), RemoteFollower(follower)).addCallback(answer_bytes)

    def remote_open_shell(self, request: bytes, terminal: Any) -> Deferred[ExposedShell]:
        if not isinstance(self._control, ShellControl):
            raise RefusedError(NO_SHELL)
        opening = self._control.open_shell(question_from(request), RemoteTerminal(terminal))
        return opening.addCallback(ExposedShell, self.revocable)


@implementer(RIFollower)
class ExposedFollower(Referenceable):
    """
    Passes chunks from the master to *take*.  A chunk is acknowledged when the Deferred that *take* returned fires, or
    at once if it returned None.
    """

    def __init__(self, take: Callable[[bytes], Deferred[None] | None]) -> None:
        self._take = take

    def remote_chunk(self, data: bytes) -> Deferred[None] | None:
        return self._take(data)


class RemoteControl(Remote):
    """
    A `Control`, on the master.
    """

    def ask(self, question: Document) -> Deferred[Document]:
        return self._call("ask", request=question_bytes(question)).addCallback(_answer)

    def follow(self, question: Document, take: Callable[[bytes], Deferred[None] | None]) -> Deferred[Document]:
        """
        Like `Control.follow`.  *take* is called with each chunk, in order, as in `ExposedFollower`; several calls are
        made before the first chunk is acknowledged.
        """
        asked = {**question, CHUNKS_IN_ORDER: True}
        following = self._call("follow", request=question_bytes(asked), follower=ExposedFollower(take))
        return following.addCallback(_answer)

    def open_shell(self, question: Document, terminal: ShellTerminal) -> Deferred[OpenShell]:
        opening = self._call("open_shell", request=question_bytes(question), terminal=ExposedTerminal(terminal))
        return opening.addCallback(RemoteOpenShell)

    def when_lost(self, callback: Callable[[], None]) -> None:
        """
        Call *callback* once, when the link is lost.
        """
        self.link.when_lost(callback)


def question_bytes(question: Document) -> bytes:
    """
    A question, or the options of a submission, as it travels.  `InputError` if it has more than `LARGEST_QUESTION`
    bytes: the connection would not take it.
    """
    data = encode_in_utf8(dict(question))
    if len(data) > LARGEST_QUESTION:
        raise InputError(
            f"What is asked has {len(data)} bytes in UTF-8; a master takes at most {LARGEST_QUESTION}.  "
            "Give shorter values, or submit a file with a string (schedulers.Submit)."
        )
    return data


def answer_bytes(document: Document) -> bytes:
    """
    An answer, as it travels.
    """
    return encode(dict(document))


def question_from(data: bytes) -> Document:
    """
    The question in *data*; `MessageError`.
    """
    return JsonReader.decode(data, "the question", LARGEST_QUESTION).document


def _answer(data: bytes) -> Document:
    return JsonReader.decode(data, "the answer", LARGEST_ANSWER).document
