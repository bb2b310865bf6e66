"""
Questions that higher packages answer: an extension of the farm with `questions` adds them to the objects that FURLs
lead to.

A question says whose FURLs permit it.  The answer gets the grant of the FURL, and with it which objects the asker may
see and change.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from attrs import field, frozen
from twisted.internet.defer import Deferred, fail

from ..errors import RefusedError
from ..master.farm import Farm
from ..master.grants.verbs import ADMIN
from ..model.json_reader import JsonReader
from ..storage.records.grants import Grant
from ..wire.control import NO_SHELL, Follower
from ..wire.limits.account import Account
from ..wire.shells import OpenShell, ShellTerminal

Answer = Mapping[str, Any]


@frozen(kw_only=True)
class Question:
    """
    A question with a *name*, and the *answer* to it for the holder of a grant.

    *verbs*: those whose FURLs permit it, beside those of admins.  *changes*: whether the answer changes the records.
    """

    name: str
    answer: Callable[[Grant, JsonReader], Awaitable[Answer]]
    verbs: frozenset[str] = frozenset()
    changes: bool = False


@runtime_checkable
class AnsweringExtension(Protocol):
    """
    An extension of the farm that answers questions.
    """

    def questions(self) -> Sequence[Question]:
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


@frozen
class QuestionDesk:
    """
    Answers the questions of extensions for the holder of *grant*: the role `wire.control.Control`.
    """

    farm: Farm
    grant: Grant
    account: Account = field(factory=Account)

    def ask(self, question: Answer) -> Deferred[Answer]:
        return self.account.answered(question, self.answer)

    def follow(self, question: Answer, follower: Follower) -> Deferred[Answer]:
        return fail(RefusedError("This string has nothing to follow."))

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
        if question is None or (self.grant.verb != ADMIN and self.grant.verb not in question.verbs):
            raise RefusedError(f"This string does not permit {name!r}.  Ask the farm's admin for one that does.")
        if question.changes and (obstacle := self.farm.records.obstacle) is not None:
            raise RefusedError(f"{obstacle}  Nothing was changed.  Repeat the command when the database works.")
        return await question.answer(self.grant, reader)
