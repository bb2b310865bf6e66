"""
A holder of a FURL that breaks the contract, over TLS (promise 14).
"""

from typing import Any

from twisted.internet.defer import Deferred

from buildbot_lite.errors import (
    BuildbotLiteError,
    MessageError,
    PinnedError,
)
from buildbot_lite.wire.exposed import ExposedDesk, Revocable
from buildbot_lite.wire.reconnecting import connect
from buildbot_lite.wire.roles import Desk, Link

from .recording_roles import (
    HELLO,
    RecordingDesk,
    RecordingSlave,
)
from .tub_case import (
    SLAVE_KEY,
    TubTestCase,
    until,
    with_reactor,
)


class BreachTests(TubTestCase):
    async def attached(self, answer: Exception | None) -> tuple[list[str], Link, BaseException | None]:
        """
        Attach a slave whose desk answers as given; return the reported breaches, the link, and the answer.
        """
        reported: list[str] = []

        def breach(sentence: str) -> bool:
            reported.append(sentence)
            return True

        desk = RecordingDesk()
        desk.answer = answer
        exposed = ExposedDesk(desk, Revocable(on_breach=breach))
        tub, listener = self.listening(lambda swissnum: exposed)
        await listener.ready
        connected: Deferred[tuple[Desk, Link]] = Deferred()

        def on_desk(far: Desk, link: Link) -> None:
            if not connected.called:
                connected.callback((far, link))

        connection = connect(self.tub(SLAVE_KEY), self.furl(tub, listener), (), on_desk, lambda error: None)
        self.addCleanup(connection.stop)
        far, link = await connected
        refusal: Any = None
        try:
            await far.attach(RecordingSlave(), HELLO, "")
        except BuildbotLiteError as error:
            refusal = error
        return reported, link, refusal

    @with_reactor
    async def test_dropped(self: Any) -> None:
        """
        Promise 14: a holder that breaks the contract gets the sentence, is reported with the reason, and is
        disconnected.
        """
        reported, link, refusal = await self.attached(MessageError("'../x' is no place in a stream."))
        await until(lambda: link.lost)

        self.assertEqual(reported, ["'../x' is no place in a stream."])
        self.assertIsInstance(refusal, BuildbotLiteError)

    @with_reactor
    async def test_refused_is_no_breach(self: Any) -> None:
        """
        A holder that is refused, or welcomed, is not reported as one that broke the contract.
        """
        for answer in (PinnedError(), None):
            reported, link, _ = await self.attached(answer)

            self.assertEqual((reported, link.lost), ([], False))
