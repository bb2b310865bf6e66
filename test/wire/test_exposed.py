"""
The right to call something: on how many links its string may be shown.
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.wire.exposed import Revocable
from buildbot_lite.wire.loopback import LoopbackLink


class LinksTests(SynchronousTestCase):
    def test_too_many(self) -> None:
        """
        Promise 14: whoever shows a string on connection after connection does not use up the master's: the oldest go.
        """
        revocable = Revocable(most_links=3)
        links = [LoopbackLink() for _ in range(10)]
        for link in links:
            revocable.used_by(link)

        self.assertEqual([link.lost for link in links], [True] * 7 + [False] * 3)
        self.assertEqual(list(revocable.links), links[7:])

    def test_owner(self) -> None:
        """
        Promise 18: with a stolen string the slave that it belongs to is not driven out.
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
        Of its own links the oldest goes.
        """
        revocable = Revocable(most_links=2, owner=lambda: "bot1")
        links = [LoopbackLink("bot1") for _ in range(3)]
        for link in links:
            revocable.used_by(link)

        self.assertEqual([link.lost for link in links], [True, False, False])
