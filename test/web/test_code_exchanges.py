"""
One-time codes on their way to a session.
"""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from buildbot_lite.errors import NoAnswerError, RefusedError
from buildbot_lite.web.farm.live import Document
from buildbot_lite.web.holders import code_exchanges
from buildbot_lite.web.holders.code_exchanges import LEAST

from .pages_case import CONTROL, Received, received
from .test_sessions import MAY, SessionCase

CODE = "a-code-of-the-admin"
OTHER = CONTROL.replace("control", "other")
USED = "This code is wrong, was used, or is older than 10 minutes."
VALID = 300.0


class CodeExchangesTests(SessionCase):
    """
    A master that answers when the test says so, and redeems each code once.
    """

    def setUp(self) -> None:
        super().setUp()
        self.holders.grants[OTHER] = {"grant": 8, "label": "Ben", "may": MAY}
        self.codes = {CODE: CONTROL, "another-code": OTHER}
        self.redeeming: list[tuple[str, Deferred[Document]]] = []
        ask = self.master.ask

        def ask_slowly(question: Document) -> Deferred[Document]:
            if question["ask"] != "redeem":
                return ask(question)
            self.master.asked.append("redeem")
            self.redeeming.append((question["code"], Deferred()))
            return self.redeeming[-1][1]

        self.patch(self.master, "ask", ask_slowly)

    def answer(self) -> None:
        """
        The master answers what it was asked first.
        """
        code, asked = self.redeeming.pop(0)
        furl = self.codes.pop(code, None)
        if furl is None:
            asked.errback(RefusedError(USED))
        else:
            asked.callback({"furl": furl, "code_valid": VALID})

    def begin(self, code: str = CODE) -> StringTransport:
        """
        A browser brings *code*.
        """
        body = f"code={code}"
        head = f"POST /enter HTTP/1.1\r\nHost: localhost:8010\r\nContent-Length: {len(body)}\r\n\r\n"
        return self.send(f"{head}{body}".encode())

    def hang_up(self, connection: int = -1) -> None:
        """
        A browser, by default the last one, closes its connection.
        """
        self.connections[connection].connectionLost(Failure(ConnectionDone()))

    def session(self, transport: StringTransport) -> dict[str, str]:
        """
        The headers of the browser that has got its answer on *transport*.
        """
        answer = received(transport.value())
        self.assertEqual((answer.status, answer.headers["location"]), (303, "./"))
        return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}

    def assert_used(self, answer: Received) -> None:
        self.assertEqual(answer.status, 403)
        self.assertIn("was used", answer.text)
        self.assertNotIn("set-cookie", answer.headers)

    def test_hung_up(self) -> None:
        """
        Promise 10.7: a code whose browser hangs up before it has its session is not lost: it becomes that session when
        it is brought again, once.
        """
        self.begin()
        self.hang_up()
        self.answer()
        cookie = self.session(self.begin())
        self.assertEqual(self.cancelled(cookie).status, 303)
        again = self.begin()
        self.answer()
        self.assert_used(received(again.value()))
        self.assertEqual(self.cancelled(cookie).status, 303)
        self.assertEqual(self.master.asked.count("redeem"), 2)

    def test_while_it_is_checked(self) -> None:
        """
        Promise 10.7: the same when it hangs up while the master is asked about the new string; no session stays that
        nobody has.
        """
        self.holders.slow = []
        self.begin()
        self.answer()
        self.hang_up()
        self.holders.slow.pop().callback(self.holders.grants[CONTROL])
        again = self.begin()
        self.holders.slow.pop().callback(self.holders.grants[CONTROL])
        self.holders.slow = None
        self.assertEqual(self.cancelled(self.session(again)).status, 303)
        self.assertEqual(len(self.sessions._sessions), 1)

    def test_no_answer(self) -> None:
        """
        Promise 10.7: the same when the master does not say in time whose the new string is.
        """
        self.holders.slow = []
        first = self.begin()
        self.answer()
        self.holders.slow.pop().errback(NoAnswerError("The master does not answer."))
        self.assertEqual(received(first.value()).status, 503)
        self.holders.slow = None
        self.session(self.begin())

    def test_second_click(self) -> None:
        """
        Promise 10.7: a second click while the first one's answer is awaited becomes the session, and asks the master
        nothing.
        """
        self.begin()
        second = self.begin()
        self.hang_up(0)
        self.answer()
        self.session(second)
        self.assertEqual(self.redeeming, [])

    def test_at_the_same_time(self) -> None:
        """
        Promise 10.7: of two who bring the same code at the same time, one gets a session.
        """
        both = [self.begin(), self.begin()]
        self.answer()
        first, second = (received(each.value()) for each in both)
        self.assertEqual(first.status, 303)
        self.assert_used(second)
        self.assertEqual(len(self.sessions._sessions), 1)

    def test_too_late(self) -> None:
        """
        Promise 10.7: when the time of the code is over, it is used, and the string that nobody has got is revoked.
        """
        self.begin()
        self.hang_up()
        self.answer()
        self.clock.advance(VALID)
        self.assertEqual(self.holders.asked, [(CONTROL, {"ask": "sign-out"})])
        again = self.begin()
        self.answer()
        self.assert_used(received(again.value()))

    def test_at_the_last_moment(self) -> None:
        """
        Promise 10.7: a code that is brought in the last second of its time becomes a session; so does one whose master
        is of an earlier version, and does not tell the time.
        """
        first = self.begin()
        self.redeeming.pop()[1].callback({"furl": CONTROL})
        self.session(first)
        self.begin("another-code")
        self.hang_up()
        self.redeeming.pop()[1].callback({"furl": OTHER, "code_valid": 0.0})
        self.clock.advance(LEAST - 1)
        self.session(self.begin("another-code"))
        self.clock.advance(LEAST)
        self.assertEqual(self.holders.asked, [])

    def test_wrong(self) -> None:
        """
        A code that the master refuses is asked of it again each time: nothing of it is kept.
        """
        for _ in range(2):
            wrong = self.begin("made-up")
            self.answer()
            self.assert_used(received(wrong.value()))
        self.assertEqual(self.master.asked.count("redeem"), 2)

    def test_many(self) -> None:
        """
        Of many strings that nobody has got, the oldest is revoked.
        """
        self.patch(code_exchanges, "MOST_LEFT", 1)
        for code in (CODE, "another-code"):
            self.begin(code)
            self.hang_up()
            self.answer()
        self.assertEqual(self.holders.asked, [(CONTROL, {"ask": "sign-out"})])
        self.session(self.begin("another-code"))

    def test_plain(self) -> None:
        """
        Promise 10.7: over plain HTTP from elsewhere, as a proxy that is not named tells it, no code is taken, and none
        is used; nor does a look at its page use it.
        """
        said: dict[str, Any] = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
        refused = self.post("/enter", {"code": CODE}, said)
        self.assertEqual(refused.status, 403)
        self.assertIn("Over plain HTTP", refused.text)
        for method in ("GET", "HEAD"):
            self.assertEqual(self.get(f"/enter?code={CODE}", method=method).status, 200)
        self.assertEqual(self.redeeming, [])
