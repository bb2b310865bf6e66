"""
Questions that higher packages answer: an extension of the farm with `questions` adds them to the objects that FURLs
lead to.

A question says whose FURLs permit it.  The answer gets the grant of the FURL, and with it which objects the asker may
see and change.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from attrs import field, frozen
from twisted.internet.defer import Deferred

from ..errors import RefusedError
from ..master.farm import Farm
from ..master.grants.verbs import ADMIN
from ..model.json_reader import JsonReader
from ..status.following import LogFollower
from ..status.log_output import LogQuery, LogSender
from ..status.send_window import SendWindow
from ..storage.records.grants import Grant
from ..wire.control import NO_SHELL, Follower
from ..wire.limits.account import Account
from ..wire.shells import OpenShell, ShellTerminal
from .followers import FramedClient, followed
from .rights import not_permitted, verbs_for

Answer = Mapping[str, Any]


@frozen(kw_only=True)
class Question:
    """
    A question with a *name*, and the *answer* to it for the holder of a grant.

    *verbs*: those whose FURLs permit it, beside those of admins.  *changes*: whether the answer changes the records.
    *elsewhere*: the verbs whose FURLs lead to other objects that answer it, too.
    """

    name: str
    answer: Callable[[Grant, JsonReader], Awaitable[Answer]]
    verbs: frozenset[str] = frozenset()
    changes: bool = False
    elsewhere: frozenset[str] = frozenset()


@runtime_checkable
class AnsweringExtension(Protocol):
    """
    An extension of the farm that answers questions.
    """

    def questions(self) -> Sequence[Question]:
        """
        All of them, with names that no other has.
        """


@frozen(kw_only=True)
class Sending:
    """
    A question whose answer is sent in chunks: *send* gets the window through which all of it goes, and returns the
    answer after the last chunk.  The rest is as in `Question`.
    """

    name: str
    send: Callable[[Grant, JsonReader, SendWindow], Awaitable[Answer]]
    verbs: frozenset[str] = frozenset()


@frozen(kw_only=True)
class SendingLog:
    """
    A question whose answer is the log of a build: *query* tells which log, and refuses those that the holder of the
    grant may not see.  The rest is as in `Question`.
    """

    name: str
    query: Callable[[Grant, JsonReader], Awaitable[LogQuery]]
    verbs: frozenset[str] = frozenset()


@runtime_checkable
class SendingExtension(Protocol):
    """
    An extension of the farm that sends files and logs.
    """

    def sendings(self) -> Sequence[Sending | SendingLog]:
        """
        All of them, with names that no other has.
        """


@runtime_checkable
class ShellExtension(Protocol):
    """
    An extension of the farm that opens shells.  *shell_verbs*: those whose FURLs permit it, beside those of admins.
    """

    shell_verbs: frozenset[str]

    async def open_shell(self, grant: Grant, question: JsonReader, terminal: ShellTerminal) -> OpenShell:
        """
        Open the shell that *question* asks for, for the holder of *grant*; its output goes to *terminal*.  Raises a
        `RefusedError`.
        """


def questions_of(farm: Farm) -> Mapping[str, Question]:
    """
    The questions that extensions of *farm* answer, by name.
    """
    answering = [each for each in farm.extensions.values() if isinstance(each, AnsweringExtension)]
    return {question.name: question for each in answering for question in each.questions()}


def sendings_of(farm: Farm) -> Mapping[str, Sending | SendingLog]:
    """
    What extensions of *farm* send, by name.
    """
    sending = [each for each in farm.extensions.values() if isinstance(each, SendingExtension)]
    return {each.name: each for extension in sending for each in extension.sendings()}


@frozen
class QuestionDesk:
    """
    Answers the questions of extensions for the holder of *grant*: the role `wire.control.Control`.  *follower*:
    sends to those who follow; None: nothing can be followed.
    """

    farm: Farm
    grant: Grant
    account: Account = field(factory=Account)
    follower: LogFollower | None = None

    def ask(self, question: Answer) -> Deferred[Answer]:
        return self.account.answered(question, self.answer)

    def follow(self, question: Answer, follower: Follower) -> Deferred[Answer]:
        return followed(question, follower, self.account, self._send)

    async def _send(self, reader: JsonReader, client: FramedClient) -> Answer:
        name = reader.text("follow", limit=40)
        sending = sendings_of(self.farm).get(name)
        self._check(name, sending)
        assert sending is not None
        if self.follower is None:
            raise RefusedError("This string has nothing to follow.")
        if isinstance(sending, Sending):
            return await sending.send(self.grant, reader, self.follower.output_to(client, self.account))
        sender = LogSender(
            records=self.farm.records,
            follower=self.follower,
            directory=self.farm.stream_storage.streams,
            query=await sending.query(self.grant, reader),
            client=client,
            holder=self.account,
        )
        await sender.run()
        return {}

    def open_shell(self, question: Answer, terminal: ShellTerminal) -> Deferred[OpenShell]:
        return self.account.answered(question, lambda reader: self._opened(reader, terminal))

    async def _opened(self, reader: JsonReader, terminal: ShellTerminal) -> OpenShell:
        for each in self.farm.extensions.values():
            if isinstance(each, ShellExtension) and (self.grant.verb == ADMIN or self.grant.verb in each.shell_verbs):
                return await each.open_shell(self.grant, reader, terminal)
        raise RefusedError(NO_SHELL)

    async def answer(self, reader: JsonReader) -> Answer:
        """
        The answer to a question; a `RefusedError` when there is no such question, or the grant does not permit it.
        """
        name = reader.text("ask", limit=40)
        question = questions_of(self.farm).get(name)
        self._check(name, question)
        assert question is not None
        if question.changes and (obstacle := self.farm.records.obstacle) is not None:
            raise RefusedError(f"{obstacle}  Nothing was changed.  Repeat the command when the database works.")
        return await question.answer(self.grant, reader)

    def _check(self, name: str, permitted: Question | Sending | SendingLog | None) -> None:
        """
        Raise a `RefusedError` if the grant does not permit the question *name*; None: no extension answers it.
        """
        verbs: Collection[str] = verbs_for(name) if permitted is None else permitted.verbs
        if permitted is None or (self.grant.verb != ADMIN and self.grant.verb not in verbs):
            elsewhere = permitted.elsewhere if isinstance(permitted, Question) else frozenset()
            raise not_permitted(self.farm, name, [*elsewhere, *verbs])
