"""
The probe that checks whether a given Tub listens at an address.
"""

from typing import Any

from twisted.internet import reactor as _reactor  # noqa: TID251 - real connections need the real reactor
from twisted.internet.defer import Deferred

from buildbot_lite.wire.probe import why_not_reached

from .tub_case import FARM_KEY, TubTestCase

reactor: Any = _reactor


class ProbeTests(TubTestCase):
    def asked(self, hint: str, tub_id: str) -> Deferred[str]:
        """
        Return why that Tub is not reached at *hint*.
        """
        return Deferred.fromCoroutine(why_not_reached(reactor, tub_id, hint, within=60.0))

    async def found(self) -> None:
        tub = self.tub(FARM_KEY, lambda swissnum: None)
        port = tub.listen("tcp:0:interface=127.0.0.1").port
        here = f"tcp:127.0.0.1:{port}"
        self.assertEqual(await self.asked(here, tub.tub_id), "")
        self.assertIn("another program", await self.asked(here, "a" * 32))
        await tub.stopService()
        self.tubs.remove(tub)
        self.assertIn("refused", await self.asked(here, tub.tub_id))

    def test_found(self) -> Deferred[None]:
        """
        Promise 6.11: the probe distinguishes this Tub, another Tub, and no listener.
        """
        return Deferred.fromCoroutine(self.found())
