"""
The base of reporters: objects of ``c['services']`` that send messages.
"""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred

from ...errors import BuildbotLiteError
from ...master.config.services import Service
from ...storage.records.outbox import OutboxMessage
from .details import BuildDetails, FarmFacts
from .formatting import Message
from .generators import Generator, WorkerMissingGenerator
from .mail_connections import MailConnections


class NotSentError(BuildbotLiteError):
    """
    A message was not sent; it is tried again.  *left*: the part of the body that is still to be sent; None: all of it.
    """

    def __init__(self, why: str, left: Any = None) -> None:
        super().__init__(why)
        self.left = left


class RefusedForGoodError(BuildbotLiteError):
    """
    The receiver refuses this message for good, so it is dropped.
    """


@frozen
class Outside:
    """
    The access of reporters to other services.  *in_thread*: run blocking work in a thread.  *request*:
    ``request(method, url, headers, body)`` → status, body.  *secret*: the value of a secret of the farm, by its name.
    *origin*: a text that identifies the farm.  *mail_connections*: those to mail servers.
    """

    in_thread: Callable[[Callable[[], Any]], Deferred[Any]]
    request: Callable[[str, str, dict[str, str], bytes], Deferred[tuple[int, bytes]]]
    secret: Callable[[str], str]
    origin: str
    mail_connections: MailConnections = field(factory=MailConnections)


class Reporter(Service):
    """
    A reporter: *generators* choose the builds, `compose` makes the stored message, `send` sends it.  *for_generators*:
    by name, the arguments that belong to the generators when these are given; None: not given.
    """

    def __init__(self, generators: Any = None, name: Any = None, **for_generators: Any) -> None:
        super().__init__(name)
        for argument, value in for_generators.items():
            if generators is not None and value is not None:
                self.arguments.note(f"{argument} has no effect beside generators; give it to each of them.")
        checked = self.default_generators() if generators is None else generators
        kinds = (Generator, WorkerMissingGenerator)
        if not isinstance(checked, (list, tuple)) or not all(isinstance(each, kinds) for each in checked):
            self.arguments.wrong("generators", checked, "a list of generators")
            checked = []
        self.generators: Sequence[Generator] = [each for each in checked if isinstance(each, Generator)]
        self.missing: Sequence[WorkerMissingGenerator] = [
            each for each in checked if isinstance(each, WorkerMissingGenerator)
        ]

    def default_generators(self) -> Sequence[Generator | WorkerMissingGenerator]:
        """
        The generators when none are given.
        """
        raise NotImplementedError

    async def compose(self, builds: Sequence[BuildDetails], message: Message) -> Any:
        """
        The message for the outbox, as JSON, without secrets; None: there is nothing to send.
        """
        raise NotImplementedError

    def subject_of(self, body: Any, about: str) -> str:
        """
        The subject of a message, at most 200 characters: messages of the same subject are sent in their order.
        *about*: the build, buildset or slave.
        """
        return about

    def compose_missing(self, farm: FarmFacts, slave: str, since: float | None, notify: Sequence[str]) -> Any:
        """
        The message about a slave that is away since *since* (None: it never connected); None: no message.
        """
        return None

    async def send(self, message: OutboxMessage, outside: Outside) -> None:
        """
        Send a message; `NotSentError` to try again, `RefusedForGoodError` to give it up.
        """
        raise NotImplementedError
