"""
The state of each slave as one word, with its reason.
"""

from typing import Any

from buildbot_lite.model.lease import master_deadline
from buildbot_lite.status.slave_documents import STATES
from test.master.harness import FakeSlave

from .test_admin import AdminDeskCase


class SlaveStateTests(AdminDeskCase):
    def state(self) -> tuple[Any, Any]:
        """
        The word and the reason.
        """
        (slave,) = self.ask("slaves")["slaves"]
        self.assertIn(slave["state"], STATES)
        self.assertEqual(slave["why"] is None, slave["state"] == "here")
        return slave["state"], slave["why"]

    def grace_left(self) -> Any:
        """
        Seconds until builds are given up.
        """
        (slave,) = self.ask("slaves")["slaves"]
        return slave["grace_left"]

    def test_connected(self) -> None:
        """
        Promise 10.1: a connected slave is here, paused, draining or low on space; the reason is the queue's.
        """
        self.assertEqual(self.state(), ("never-seen", "bot1 is not connected (never seen)"))
        self.harness.attach("bot1")
        self.assertEqual(self.state(), ("here", None))
        self.ask("pause", slave="bot1", paused=True)
        self.assertEqual(self.state(), ("paused", "bot1 is paused"))
        self.ask("pause", slave="bot1", paused=False)
        self.harness.attach("bot1", space=0)
        self.harness.farm.slaves["bot1"].config.minspace = 1
        self.assertEqual(self.state()[0], "low-space")
        self.harness.farm.slaves["bot1"].config.minspace = 0
        self.harness.attach("bot1", draining=True)
        self.assertEqual(self.state()[0], "draining")

    def test_away(self) -> None:
        """
        Promise 10.1: a slave that was lost is reconnecting within its grace, and away after that; builds that wait for
        it have a grace, which runs out.
        """
        grace = master_deadline(self.harness.farm.slaves["bot1"].config.grace)
        slave = self.harness.attach("bot1", FakeSlave())
        self.ask("force", builder="b", properties={}, reason="test")
        self.assertIsNone(self.grace_left())
        slave.lose()
        self.assertEqual(self.grace_left(), grace)
        self.harness.settle(100)
        self.assertEqual((self.state()[0], self.grace_left()), ("reconnecting", grace - 100))
        self.harness.settle(grace)
        self.assertEqual((self.state()[0], self.grace_left()), ("away", None))

    def test_refused(self) -> None:
        """
        Promise 10.1: a slave whose last attempt was refused, or whose string was revoked, is refused, and says why.
        """
        self.harness.farm.slaves.refused("bot1", "Another machine has already used this string.")
        self.assertEqual(self.state(), ("refused", "Another machine has already used this string."))
        self.harness.attach("bot1")
        self.assertEqual(self.state(), ("here", None))
        self.ask("revoke", which="bot1")
        state, why = self.state()
        self.assertEqual(state, "refused")
        self.assertIn("buildbot-lite rotate bot1", why)
