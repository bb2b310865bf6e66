"""
Records of settings, grants, configurations and slaves.
"""

from functools import partial

from buildbot_lite.model.hello import Hello
from buildbot_lite.model.results import Result
from buildbot_lite.storage.records import (
    builds,
    ended_grants,
    generations,
    grants,
    settings,
    slaves,
)
from buildbot_lite.storage.records.grants import Grant
from buildbot_lite.storage.swissnums import SwissnumRecord, digest_of

from .farm_case import FarmCase


class SettingsTests(FarmCase):
    def test_settings(self) -> None:
        """
        A setting has the value that was written last; None deletes it.
        """
        self.assertIsNone(self.do(lambda c: settings.get(c, "port")))
        for value in ("1", "2"):
            self.do(partial(settings.put, name="port", value=value))
        self.assertEqual(self.do(lambda c: settings.get(c, "port")), "2")
        self.do(lambda c: settings.put(c, "port", None))
        self.assertIsNone(self.do(lambda c: settings.get(c, "port")))


class GrantTests(FarmCase):
    def grant(
        self, name: str = "bot1", *, verb: str = "slave", expires: float | None = None, uses_allowed: int | None = None
    ) -> Grant:
        """
        Add a grant.
        """
        return self.do(
            lambda c: grants.add(
                c,
                name=name,
                verb=verb,
                object=name,
                minted=SwissnumRecord("salt", digest_of(f"secret of {name} {verb}")),
                now=10.0,
                limits=grants.GrantLimits(expires=expires, uses=uses_allowed),
            )
        )

    def test_found(self) -> None:
        """
        A grant is found by its id, with the digest of its swissnum.
        """
        bot1, bot2, submit = self.grant(), self.grant("bot2"), self.grant(verb="submit")

        self.assertEqual(bot1.digest, digest_of("secret of bot1 slave"))
        self.assertEqual(self.do(lambda c: grants.get(c, submit.id)), submit)
        self.assertEqual(self.do(grants.get_all), [bot1, bot2, submit])
        self.assertIsNone(self.do(lambda c: grants.get(c, submit.id + 1)))

    def test_live(self) -> None:
        """
        Revoked, expired and used up grants are not live.
        """
        for_ever = self.grant()
        soon = self.grant("soon", expires=20.0)
        once = self.grant("once", uses_allowed=1)
        gone = self.grant("gone")
        self.assertTrue(self.do(lambda c: grants.revoke(c, gone.id, 11.0)))
        self.assertFalse(self.do(lambda c: grants.revoke(c, gone.id, 12.0)))

        self.assertEqual(self.do(lambda c: grants.live(c, 19.0)), [for_ever, soon, once])
        self.do(lambda c: grants.used(c, once.id, 19.0))
        self.assertEqual(self.do(lambda c: grants.live(c, 20.0)), [for_ever])
        for grant in (for_ever, soon, once, gone):
            now = self.do(partial(grants.get, id=grant.id))
            assert now is not None
            self.assertEqual(now.live(20.0), grant is for_ever)

    def test_pin_and_uses(self) -> None:
        """
        The first key is pinned until it is unpinned; uses are counted.
        """
        grant = self.grant()
        self.do(lambda c: grants.pin(c, grant.id, "tub"))
        for now in (11.0, 12.0):
            self.do(partial(grants.used, id=grant.id, now=now))
        found = self.do(lambda c: grants.get(c, grant.id))
        assert found is not None
        self.assertEqual((found.pin, found.uses, found.used), ("tub", 2, 12.0))

        self.do(lambda c: grants.pin(c, grant.id, None))
        found = self.do(lambda c: grants.get(c, grant.id))
        assert found is not None
        self.assertIsNone(found.pin)

    def test_pruned(self) -> None:
        """
        Grants that ended long ago are deleted; those in force stay.
        """
        kept, watch, revoked = self.grant(), self.grant("1", verb="watch"), self.grant("2", verb="watch")
        self.do(lambda c: grants.expire(c, watch.id, 100.0))
        self.do(lambda c: grants.revoke(c, revoked.id, 100.0))

        self.assertEqual(self.do(lambda c: ended_grants.prune(c, 100.0, 9)), 0)
        self.assertEqual(self.do(lambda c: ended_grants.prune(c, 101.0, 9)), 2)
        self.assertEqual(self.do(lambda c: grants.live(c, 50.0)), [kept])

    def test_watches_pruned(self) -> None:
        """
        Expired watch grants are deleted earlier than others, except those of an admin.
        """
        kept, watch, later = self.grant(), self.grant("1", verb="watch"), self.grant("2", verb="watch")
        self.do(lambda c: grants.expire(c, watch.id, 100.0))
        self.do(lambda c: grants.expire(c, later.id, 200.0))
        self.do(lambda c: grants.expire(c, kept.id, 100.0))

        self.assertEqual(self.do(lambda c: ended_grants.prune_watches(c, 101.0, 9)), 1)
        left = [each.id for each in self.do(grants.get_all)]
        self.assertEqual(left, [kept.id, later.id])

    def test_revoked_stays(self) -> None:
        """
        A slave's own revoked grant is never deleted, because the slave would get a new one.
        """
        revoked = self.grant()
        self.do(lambda c: grants.revoke(c, revoked.id, 100.0))

        self.assertEqual(self.do(lambda c: ended_grants.prune(c, 1e9, 9)), 0)
        self.assertEqual([each.id for each in self.do(lambda c: grants.newest(c, 5))], [revoked.id])

    def test_not_shown(self) -> None:
        """
        Promise 14: printing a grant shows nothing of its FURL.
        """
        self.assertNotIn("secret", repr(self.grant()))


class GenerationTests(FarmCase):
    def test_needed(self) -> None:
        """
        The configuration of an unfinished build is needed until the build ends.
        """
        build = self.build()
        for now in (50.0, 51.0):
            self.do(partial(generations.keep, hash="new", now=now))
        self.assertEqual(self.do(generations.needed), {build.generation})
        self.do(lambda c: builds.finish(c, build.id, Result.SUCCESS, 60.0))

        self.assertEqual(self.do(generations.needed), set())


class SlaveTests(FarmCase):
    def test_seen_and_lost(self) -> None:
        """
        The last hello of a slave is recorded, and the time of its loss.
        """
        hello = Hello("home", "incarnation", "keeper", "boot", "1.0", platform={"system": "Linux"})
        self.do(lambda c: slaves.seen(c, "bot1", hello, 1.0))
        self.do(lambda c: slaves.lost(c, "bot1", 2.0))
        seen = slaves.Slave("bot1", "home", "boot", "incarnation", "1.0", {"system": "Linux"}, 1.0, 2.0)
        self.assertEqual(self.do(lambda c: slaves.get(c, "bot1")), seen)

        self.do(lambda c: slaves.seen(c, "bot1", hello, 3.0))
        found = self.do(lambda c: slaves.get(c, "bot1"))
        assert found is not None
        self.assertEqual((found.attached, found.lost), (3.0, None))

    def test_paused(self) -> None:
        """
        A slave can be paused before it ever attached, and stays paused when it does.
        """
        self.do(lambda c: slaves.pause(c, "bot2", 5.0))
        self.do(lambda c: slaves.seen(c, "bot2", Hello("h", "i", "k", "b", "1"), 6.0))
        self.do(lambda c: slaves.pause(c, "bot1", None))
        self.assertEqual([(s.name, s.paused) for s in self.do(slaves.get_all)], [("bot1", None), ("bot2", 5.0)])
        self.do(lambda c: slaves.pause(c, "bot2", None))
        self.assertEqual([s.paused for s in self.do(slaves.get_all)], [None, None])
