"""
The control connection between the command-line client and a running master.
"""

from functools import partial
from typing import NoReturn

from twisted.internet import reactor  # noqa: TID251 - these tests use the network
from twisted.internet.defer import Deferred, fail, succeed

from buildbot_lite.errors import (
    FurlError,
    InputError,
    NotFoundError,
    NotRunningError,
    PinnedError,
    UnknownStringError,
    WrongVerbError,
)
from buildbot_lite.wire.client import (
    ask,
    follow,
    watch,
)
from buildbot_lite.wire.control import (
    Control,
    Document,
    ExposedControl,
    Follower,
)
from buildbot_lite.wire.exposed import ExposedDesk, Revocable
from buildbot_lite.wire.furl import build

from .recording_roles import RecordingDesk
from .test_roles import failing
from .tub_case import (
    SWISSNUM,
    TubTestCase,
    nothing,
    turn,
    with_reactor,
)


class EchoControl:
    """
    A `Control` that answers with the question.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.most_in_flight = 0

    def ask(self, question: Document) -> Deferred[Document]:
        if "missing" in question:
            return fail(NotFoundError("There is no builder called x."))
        return succeed({"asked": question})

    def follow(self, question: Document, follower: Follower) -> Deferred[Document]:
        return Deferred.fromCoroutine(self._follow(int(question["chunks"]), follower))

    async def _follow(self, chunks: int, follower: Follower) -> Document:
        for n in range(chunks):
            await follower.chunk(bytes([n]) * 1000)
        return {"chunks": chunks}


class ControlTest(TubTestCase):
    def serve(self) -> str:
        """
        Return the FURL of an `EchoControl`.
        """
        control: Control = EchoControl()
        tub, listener = self.listening({SWISSNUM: ExposedControl(control, Revocable())}.get)
        return self.furl(tub, listener)

    @with_reactor
    async def test_ask(self) -> None:
        """
        The client gets the answer to its question.
        """
        answer = await ask(reactor, self.serve(), {"what": "Grüße", "list": [1, None]})

        self.assertEqual(answer, {"asked": {"what": "Grüße", "list": [1, None]}})

    @with_reactor
    async def test_large_question(self) -> None:
        """
        A text that is not ASCII counts with its bytes in UTF-8, not with those of escapes.
        """
        text = "\u0434\U0001f600\udc80" * (80 << 10)

        answer = await ask(reactor, self.serve(), {"text": text})

        self.assertEqual(answer, {"asked": {"text": text}})

    @with_reactor
    async def test_too_large_question(self) -> None:
        """
        A question that the connection would not take is refused before it is sent, with its size in bytes.
        """
        for ask_or_follow in (ask, partial(follow, take=self.fail)):
            error = await failing(ask_or_follow(reactor, self.serve(), {"text": "\u0434" * (512 << 10)}))

            self.assertIsInstance(error, InputError)
            self.assertIn("takes at most 1048576", str(error))

    @with_reactor
    async def test_refused(self) -> None:
        """
        The client raises the master's refusal.
        """
        error = await failing(ask(reactor, self.serve(), {"missing": 1}))

        self.assertIsInstance(error, NotFoundError)
        self.assertEqual(str(error), "There is no builder called x.")

    @with_reactor
    async def test_follow(self) -> None:
        """
        A followed log arrives complete, byte for byte, and no faster than the client consumes it.
        """
        taken: list[bytes] = []
        busy: list[bool] = []

        def take(data: bytes) -> Deferred[None]:
            self.assertEqual(busy, [])
            busy.append(True)
            taken.append(data)
            return Deferred.fromCoroutine(slowly())

        async def slowly() -> None:
            await turn()
            await turn()
            busy.clear()

        answer = await follow(reactor, self.serve(), {"chunks": 20}, take)

        self.assertEqual(answer, {"chunks": 20})
        self.assertEqual(taken, [bytes([n]) * 1000 for n in range(20)])

    @with_reactor
    async def test_not_running(self) -> None:
        """
        When nothing listens at the address, the error says how to start a master.
        """
        tub, listener = self.listening(nothing)
        furl = self.furl(tub, listener)
        await tub.stopService()

        error = await failing(ask(reactor, furl, {}))

        self.assertIsInstance(error, NotRunningError)
        self.assertIn("buildbot-lite start", str(error))
        self.assertNotIn(SWISSNUM, str(error))

    @with_reactor
    async def test_another_master(self) -> None:
        """
        If a master with another TubID listens at the address, the error says so.
        """
        _, listener = self.listening(nothing)
        furl = build("a" * 32, [f"tcp:127.0.0.1:{listener.port}"], SWISSNUM)

        error = await failing(ask(reactor, furl, {}))

        self.assertIsInstance(error, FurlError)
        self.assertIn("is not the one of this string", str(error))

    @with_reactor
    async def test_unknown(self) -> None:
        """
        The refusal of an unknown FURL repeats no part of it.
        """
        tub, listener = self.listening(nothing)

        error = await failing(ask(reactor, self.furl(tub, listener, "q" * 32), {}))

        self.assertIsInstance(error, UnknownStringError)
        self.assertNotIn("qq", str(error))

    @with_reactor
    async def test_wrong_verb(self) -> None:
        """
        A slave's FURL is refused; the error names the file with the right one.
        """
        tub, listener = self.listening({SWISSNUM: ExposedDesk(RecordingDesk(), Revocable())}.get)

        error = await failing(ask(reactor, self.furl(tub, listener), {}))

        self.assertIsInstance(error, WrongVerbError)
        self.assertIn("admin.furl", str(error))

    async def test_furl_of_a_slave(self) -> None:
        """
        The error for a slave's FURL, on asking and on watching, never advises to unpin that slave.
        """

        def refuse_as_pinned(swissnum: str) -> NoReturn:
            raise PinnedError("bot1's string belongs to another machine.  Run: buildbot-lite unpin bot1")

        tub, listener = self.listening(refuse_as_pinned)
        furl = self.furl(tub, listener)

        for asking in (ask(reactor, furl, {}), watch(reactor, furl, lambda data: None)):
            error = await failing(asking)
            self.assertIsInstance(error, WrongVerbError)
            self.assertIn("belongs to a slave", str(error))
