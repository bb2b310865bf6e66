"""
The questions of the web process.
"""

from typing import Any

from buildbot_lite.control import web_answers
from buildbot_lite.control.admin import AdminDesk
from buildbot_lite.control.rights import MAY_LOOK
from buildbot_lite.control.web_answers import MOST_SLAVES, SlavePools
from test.master.configurations import ONE

from .test_admin import AdminDeskCase


class WebAnswerTests(AdminDeskCase):
    def configure(self, www: str) -> None:
        """
        Apply a master.cfg with c['www'] and more.
        """
        self.harness.configure(f"{ONE}{www}\n")
        self.harness.done(self.harness.farm.reconfiguration.apply())

    def www(self) -> Any:
        """
        The answer, without what `test_places` and `test_slaves` look at.
        """
        return {name: value for name, value in self.ask("www").items() if name not in {"slaves", "pools"}}

    def test_slaves(self) -> None:
        """
        It learns which slaves there are.
        """
        self.assertEqual(self.ask("www")["slaves"], ["bot1"])

    def test_pools(self) -> None:
        """
        Promise 10.1: of builders with very many slaves, it learns each different set of them once.
        """
        many = [f"s{number:03}" for number in range(MOST_SLAVES + 2)]
        pools = SlavePools(many)
        self.assertEqual(pools.told(many[:MOST_SLAVES]), {})
        self.assertEqual(
            [pools.told(each) for each in (many, many[1:], many[::-1])], [{"pool": each} for each in (0, 1, 0)]
        )
        self.assertEqual(pools.numbers, [list(range(MOST_SLAVES + 2)), list(range(1, MOST_SLAVES + 2))])
        self.patch(web_answers, "MOST_IN_POOLS", 2 * len(many))
        self.assertEqual(pools.told(many[:-1]), {"pool": None})
        self.assertEqual(pools.told(many), {"pool": 0})
        self.assertEqual(self.ask("www")["pools"], [])

    def test_www(self) -> None:
        """
        Promise 10.1: the web process learns from the master what master.cfg says about its pages.
        """
        self.assertEqual(
            self.www(),
            {
                "title": "Build farm",
                "url": None,
                "port": None,
                "private": False,
                "proxies": [],
                "builders": [{"builder": "b", "description": "", "tags": [], "slaves": ["bot1"]}],
            },
        )
        self.configure(
            "c['title'] = 'Ours'; c['buildbotURL'] = 'https://farm.example.org/ci'\n"
            "c['www'] = {'port': 8080, 'private': True, 'trusted_proxies': ['127.0.0.1']}\n"
            "c['builders'] = [util.BuilderConfig('b', ['bot1'], factory=c['builders'][0].factory, tags=['nightly'],\n"
            "    description='of all')]"
        )
        self.assertEqual(
            self.www(),
            {
                "title": "Ours",
                "url": "https://farm.example.org/ci/",
                "port": 8080,
                "private": True,
                "proxies": ["127.0.0.1/32"],
                "builders": [{"builder": "b", "description": "of all", "tags": ["nightly"], "slaves": ["bot1"]}],
            },
        )

    def test_places(self) -> None:
        """
        Paths of the master's machine are told to the farm's own web process only.
        """
        self.assertNotIn("database", self.ask("www"))
        farm = self.harness.farm
        for of, told in (({"label": "pages"}, False), ({"web": True}, True)):
            grant = self.ask("grant", to="watch", **of)["grant"]["grant"]
            desk = AdminDesk(farm, self.desk.follower, MAY_LOOK, by_grant=grant)
            answer = self.successResultOf(desk.ask({"ask": "www"}))
            self.assertEqual({"database", "streams", "artifacts", "repositories"} <= set(answer), told)

    def test_me(self) -> None:
        """
        Promise 10.7: the holder of a string learns which grant it is, until when it is in force, and what it permits.
        """
        farm = self.harness.farm
        grant = self.ask("grant", to="watch", label="pages", lasts=60.0)["grant"]
        self.desk = AdminDesk(farm, self.desk.follower, MAY_LOOK, by_grant=grant["grant"])
        self.assertEqual(
            self.ask("me"),
            {
                "grant": grant["grant"],
                "verb": "watch",
                "label": "pages",
                "expires": farm.wall() + 60,
                "may": sorted(MAY_LOOK),
            },
        )
        self.assertIn("does not permit 'pause'", self.refused("pause", slave="bot1", paused=True))
        self.harness.done(farm.revocation.revoke(farm.grants.in_force(grant["grant"]), kill=False, cancel=False))
        self.assertIn("no longer valid", self.refused("me"))
