"""
Pre-authentication tokens.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.wire.contract import PREAUTH_BURST, PREAUTH_PER_SECOND
from buildbot_lite.wire.limits.preauth import (
    Preauth,
    plaintext_request,
    preauth_token,
)

TUB = "t" * 32
TOKEN = preauth_token("secret", TUB)


class PreauthTests(SynchronousTestCase):
    """
    A `Preauth` that accepts the token of one FURL.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.preauth = Preauth(TUB, self.clock.seconds)
        self.preauth.expect("secret")

    def heard(self, token: str) -> bool:
        """
        Return whether the token *token* skips the queue.  Foolscap passes the request without its empty line.
        """
        return self.preauth.admits(plaintext_request(TUB, "farm.example", token).removesuffix(b"\r\n\r\n"))

    def test_words(self) -> None:
        """
        Token and request are the same in every version, so that older slaves skip the queue too.
        """
        self.assertEqual(TOKEN, "96f7c5932ff186afc4daf8074afa3913")
        self.assertEqual(
            plaintext_request(TUB, "farm.example", TOKEN),
            f"GET /id/{TUB} HTTP/1.1\r\nHost: farm.example\r\nKnock: {TOKEN}\r\nUpgrade: TLS/1.0\r\n"
            "Connection: Upgrade\r\n\r\n".encode(),
        )
        self.assertNotIn(b"Knock", plaintext_request(TUB, "farm.example", ""))

    def test_expected(self) -> None:
        """
        A token is accepted until it is forgotten; other FURLs' and other masters' tokens, and none, are not.
        """
        others = [
            preauth_token("other", TUB),
            preauth_token("secret", "u" * 32),
            TOKEN.upper(),
            TOKEN[1:],
            TOKEN + "0",
            "",
        ]
        self.assertEqual([self.heard(token) for token in others], [False] * 6)
        self.assertTrue(self.heard(TOKEN))
        self.preauth.forget("secret")
        self.preauth.forget("unknown")
        self.assertFalse(self.heard(TOKEN))

    def test_too_often(self) -> None:
        """
        A token is accepted a few times at once, then once every two seconds: an eavesdropper cannot delay others.
        """
        self.preauth.expect("another")
        heard = [self.heard(TOKEN) for _ in range(100)]
        self.assertEqual(sum(heard), PREAUTH_BURST)
        self.preauth.expect("secret")
        self.assertFalse(self.heard(TOKEN))
        self.assertTrue(self.heard(preauth_token("another", TUB)))
        self.clock.advance(1 / PREAUTH_PER_SECOND)
        self.assertEqual([self.heard(TOKEN), self.heard(TOKEN)], [True, False])

    @given(st.binary(max_size=4096))
    def test_garbage(self, head: bytes) -> None:
        """
        No other request is accepted.
        """
        self.assertFalse(self.preauth.admits(head))
        self.assertFalse(self.preauth.admits(b"GET /\r\nKnock: " + head))
