"""
Webhooks: from a request to the master, and its reply back to the forge.

::

    POST /change_hook/github ──► HookInput ──► the master (at most `MOST_AT_ONCE` at a time) ──► status, sentence
                                                 '── no answer ──► 503: forges send it again, or offer to
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import IO, Any
from urllib.parse import parse_qs

from attrs import define
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.server import NOT_DONE_YET

from ...deferreds import background
from ...errors import BuildbotLiteError, LinkLostError, NoAnswerError
from ...model.webhook import (
    DIALECTS,
    LARGEST_BODY,
    LONGEST_HEADER,
    LONGEST_OF_ADDRESS,
    OF_ADDRESS,
    HookReply,
    delivery_head,
)
from ...wire.client import Submittable, Take
from ...wire.limits.limited_log import LimitedLog
from ..serving.web_page import WebPage, answered

MOST_AT_ONCE = 4
"""Deliveries at the master at a time."""
REPLY_TIMEOUT = 30.0
"""Seconds for the master's reply, the wait for its turn included; forges wait 10 to 30."""
LARGEST_REPLY = 4096
MOST_FIELDS = 10
"""Fields in the query of an address."""
_AWAY = HookReply(503, "The master does not answer.  Send this again later.")
_LATER = 60

Submit = Callable[[Submittable, Take], Awaitable[int]]
"""Submits what it reads to the master and returns the exit code: `wire.client.SubmitClient.submit`."""


@define(eq=False)
class HookInput:
    """
    A webhook as the master reads it (`model.webhook.Delivery.to_bytes`), so that a large one is never whole in memory:
    its *head*, and its *body* behind it.  The role `wire.client.Submittable`.
    """

    head: bytes
    body: IO[bytes]
    _at: int = 0

    def seek(self, offset: int, /) -> None:
        self._at = offset
        self.body.seek(max(0, offset - len(self.head)))

    def read(self, size: int, /) -> bytes:
        piece = self.head[self._at : self._at + size]
        piece += self.body.read(size - len(piece))
        self._at += len(piece)
        return piece


class Handover:
    """
    Hands deliveries to the master by *submit*.
    """

    def __init__(self, submit: Submit, clock: IReactorTime) -> None:
        self._submit = submit
        self._clock = clock
        self._log = LimitedLog(__name__)
        self._turns = DeferredSemaphore(MOST_AT_ONCE)

    def deliver(self, delivery: HookInput) -> Deferred[HookReply]:
        """
        The master's reply.  Never fails, except when it is cancelled.
        """
        handing: Deferred[HookReply] = self._turns.run(lambda: Deferred.fromCoroutine(self._hand_over(delivery)))
        return handing.addTimeout(REPLY_TIMEOUT, self._clock, lambda result, timeout: _AWAY)

    async def _hand_over(self, delivery: HookInput) -> HookReply:
        output = {b"1": bytearray(), b"2": bytearray()}

        def take(chunk: bytes) -> None:
            to = output[chunk[:1]]
            to += chunk[1 : 1 + LARGEST_REPLY - len(to)]

        try:
            await self._submit(delivery, take)
        except (NoAnswerError, LinkLostError):
            return _AWAY
        except BuildbotLiteError as error:
            self._log.error("the master refuses the string for webhooks: {why}", why=str(error))
            return HookReply(503, "The master refuses the string of its web process.")
        # A master that cannot take this says why on standard error.
        return HookReply.from_bytes(bytes(output[b"1"])) or HookReply(
            503, output[b"2"].decode("utf-8", "replace").strip()
        )


class ChangeHooks(WebPage):
    """
    ``/change_hook``: below it is a `ChangeHook` for each dialect.
    """

    def __init__(self, handover: Handover) -> None:
        super().__init__()
        for dialect in DIALECTS:
            self.putChild(dialect.encode(), ChangeHook(dialect, handover))


class ChangeHook(WebPage):
    """
    The page to which forges of one *dialect* send their webhooks.
    """

    isLeaf = True

    def __init__(self, dialect: str, handover: Handover) -> None:
        super().__init__()
        self._dialect = dialect
        self._handover = handover
        self._taken = Logger(__name__)
        # Any peer that reaches the port can cause these lines, so they are bounded.
        self._refused = LimitedLog(__name__)

    def render(self, request: Any) -> Any:
        request.close_afterwards()
        if request.method != b"POST":
            request.setHeader(b"allow", b"POST")
            return answered(request, 405, "A webhook is sent with POST.")
        if request.postpath not in ([], [b""]):
            return answered(request, 404, "There is nothing at this address.")
        if (body := request.body_file()) is None:
            return answered(request, 413, f"The body has more than {LARGEST_BODY >> 20} MiB.")
        try:
            project, codebase = _of_address(request.uri)
        except _AddressError as error:
            return answered(request, 400, str(error))
        head = delivery_head(self._dialect, self._headers(request), project, codebase)
        delivery = HookInput(head, body)
        serving = Deferred.fromCoroutine(self._serve(delivery, request))
        request.notifyFinish().addErrback(lambda failure: serving.cancel())
        background(serving, self._taken, "handing over a webhook")
        return NOT_DONE_YET

    def _headers(self, request: Any) -> Mapping[str, str]:
        # As bytes: Twisted decodes no others than UTF-8, and raises.
        headers = ((name, request.getHeader(name.encode())) for name in DIALECTS[self._dialect])
        return {name: value.decode("latin-1")[:LONGEST_HEADER] for name, value in headers if value is not None}

    async def _serve(self, delivery: HookInput, request: Any) -> None:
        try:
            reply = await self._handover.deliver(delivery)
        except CancelledError:
            return  # the forge hung up
        log = self._taken if reply.status < 300 else self._refused
        log.info(
            "webhook of {dialect}: {status} {sentence}",
            dialect=self._dialect,
            status=reply.status,
            sentence=reply.sentence,
        )
        if reply.status == 503:
            request.setHeader(b"retry-after", b"%d" % _LATER)
        request.write(answered(request, reply.status, reply.sentence))
        request.finish()


class _AddressError(Exception):
    pass


def _of_address(uri: bytes) -> list[str]:
    """
    The project and the codebase in the query of *uri*; "" for one that it does not name.
    """
    try:
        query = parse_qs(uri.partition(b"?")[2].decode("ascii", "replace"), max_num_fields=MOST_FIELDS)
    except ValueError:
        raise _AddressError(f"The address has more than {MOST_FIELDS} fields.") from None
    found = []
    for name in OF_ADDRESS:
        values = query.get(name, [""])
        if len(values) > 1:
            raise _AddressError(f"The address has more than one {name}.")
        if len(values[0]) > LONGEST_OF_ADDRESS:
            raise _AddressError(f"The {name} in the address has more than {LONGEST_OF_ADDRESS} characters.")
        if not values[0].isprintable():
            raise _AddressError(f"The {name} in the address contains characters that cannot be printed.")
        found += values
    return found
