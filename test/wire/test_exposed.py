"""
`Revocable`: the bound on the number of links that use one FURL.
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.wire.exposed import Revocable
from buildbot_lite.wire.loopback import LoopbackLink


class RevocableLinksTests(SynchronousTestCase):
    def test_too_many(self) -> None:
        """
        Promise 14: the links of one FURL are bounded; the oldest are cut.
        """
        revocable = Revocable(most_links=3)
        links = [LoopbackLink() for _ in range(10)]
        for link in links:
            revocable.used_by(link)

        self.assertEqual([link.lost for link in links], [True] * 7 + [False] * 3)
        self.assertEqual(list(revocable.links), links[7:])

    def test_owner(self) -> None:
        """
        Promise 18: links on which a stolen FURL is used do not displace the link of the slave that owns it.
        """
        revocable = Revocable(most_links=3, owner=lambda: "bot1")
        own = LoopbackLink("bot1")
        revocable.used_by(own)
        for _ in range(10):
            revocable.used_by(LoopbackLink("thief"))

        self.assertFalse(own.lost)
        self.assertEqual(len(revocable.links), 3)

    def test_owner_alone(self) -> None:
        """
        Among the links of the owner, the oldest is cut.
        """
        revocable = Revocable(most_links=2, owner=lambda: "bot1")
        links = [LoopbackLink("bot1") for _ in range(3)]
        for link in links:
            revocable.used_by(link)

        self.assertEqual([link.lost for link in links], [True, False, False])
