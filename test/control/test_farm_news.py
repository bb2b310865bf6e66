"""
``follow farm``: one document for each period in which something changed.
"""

import json
from typing import Any

from twisted.internet.defer import Deferred

from buildbot_lite.errors import LimitError, LinkLostError
from buildbot_lite.model.json_reader import JsonReader
from buildbot_lite.status.farm_news import MOST_OF_A_HOLDER, MOST_REVOKED, MOST_STREAMS, PERIOD

from .test_admin import AdminDeskCase, FakeFollower, SlowFollower


class FarmNewsTests(AdminDeskCase):
    def begin(self, follower: FakeFollower) -> Deferred[Any]:
        """
        Have *follower* follow the farm.
        """
        return self.desk.follow({"follow": "farm", "chunks_in_order": True}, follower)

    def documents(self, follower: FakeFollower) -> list[dict[str, Any]]:
        """
        The documents that *follower* got since the last call.
        """
        text, follower.out = follower.out.decode(), b""
        return [json.loads("{" + each) for each in text.split("{")[1:]]

    def later(self, follower: FakeFollower) -> list[dict[str, Any]]:
        """
        The documents of the next period.
        """
        self.harness.settle(PERIOD)
        return self.documents(follower)

    def grow(self, path: str) -> None:
        """
        Let a stream grow.
        """
        self.harness.farm.notifications.changed(path, 10)

    def test_first_at_once(self) -> None:
        """
        Promise 10.1: the first document comes at once, with the number of the last event; what changed before is
        unknown.
        """
        self.ask("force", builder="b", properties={}, reason="test")
        follower = FakeFollower()
        following = self.begin(follower)
        (document,) = self.documents(follower)
        seq = self.harness.read(lambda c: c.exec_driver_sql("SELECT max(seq) FROM feed").scalar())
        self.assertEqual(
            document,
            {
                "seq": seq,
                "live": self.harness.farm.live.count,
                "streams": None,
                "revoked": None,
                "generation": document["generation"],
            },
        )
        self.assertNoResult(following)
        self.assertEqual(self.later(follower), [])

    def test_commits(self) -> None:
        """
        Promise 10.1: after a commit, a document has the number of its last event; a later one names no old streams.
        """
        follower = FakeFollower()
        _ = self.begin(follower)
        (first,) = self.documents(follower)
        self.ask("force", builder="b", properties={}, reason="test")
        news = self.later(follower)
        self.assertGreater(news[-1]["seq"], first["seq"])
        self.assertGreater(news[-1]["live"], first["live"])
        self.assertEqual((news[-1]["streams"], news[-1]["revoked"]), ([], []))

    def test_coalesced(self) -> None:
        """
        Promise 10.1: whatever happens, a client gets at most ten documents a second; each stream is named once.
        """
        follower = FakeFollower()
        _ = self.begin(follower)
        self.later(follower)
        for n in range(100):
            self.grow(f"0/1/{n % 3}")
            self.harness.settle(0.01)
        news = self.documents(follower)
        self.assertIn(len(news), range(9, 12))
        self.assertEqual({tuple(each["streams"]) for each in news[1:-1]}, {("0/1/0", "0/1/1", "0/1/2")})

    def test_many_streams(self) -> None:
        """
        Promise 10.1: of too many streams none is named.
        """
        follower = FakeFollower()
        _ = self.begin(follower)
        self.later(follower)
        for n in range(MOST_STREAMS):
            self.grow(f"0/1/{n}")
        self.assertEqual(len(self.later(follower)[0]["streams"]), MOST_STREAMS)
        for n in range(MOST_STREAMS + 1):
            self.grow(f"0/1/{n}")
        self.assertEqual([each["streams"] for each in self.later(follower)], [None])

    def test_slow(self) -> None:
        """
        Promise 10.1: a client that takes nothing gets nothing more; then one document with the newest state, and the
        names of all streams that grew meanwhile.
        """
        follower = SlowFollower()
        _ = self.begin(follower)
        self.documents(follower)
        for n in range(5):
            self.grow(f"0/1/{n}")
            self.assertEqual(self.later(follower), [])
        self.assertEqual(follower.most_untaken, 1)
        follower.take_one()
        self.assertEqual([each["streams"] for each in self.documents(follower)], [[f"0/1/{n}" for n in range(5)]])
        follower.take_one()
        self.assertEqual(self.later(follower), [])

    def test_lost(self) -> None:
        """
        When the last client is gone, nothing listens any more, and no timer is left.
        """
        followers = [FakeFollower(), FakeFollower()]
        following = [self.begin(each) for each in followers]
        self.grow("0/1/1")
        timers = len(self.harness.clock.getDelayedCalls())
        for follower, ended in zip(followers, following, strict=True):
            follower.disconnect()
            self.failureResultOf(ended, LinkLostError)
        self.assertEqual(len(self.harness.clock.getDelayedCalls()), timers - 1)
        self.grow("0/1/1")
        self.assertEqual(len(self.harness.clock.getDelayedCalls()), timers - 1)

    def test_slaves(self) -> None:
        """
        Promise 10.1: `live` changes when a slave comes, goes, is paused or refused.
        """
        follower = FakeFollower()
        _ = self.begin(follower)
        self.documents(follower)
        slaves = self.harness.farm.slaves
        slave = self.harness.attach("bot1")
        seen = [self.later(follower)[-1]["live"]]
        for happens in (
            lambda: self.ask("pause", slave="bot1", paused=True),
            slave.lose,
            lambda: slaves.refused("bot1", "no"),
            lambda: slaves.breached("bot1", "bad"),
        ):
            happens()
            seen.append(self.later(follower)[-1]["live"])
        self.assertEqual(len(set(seen)), 5)
        self.assertEqual(seen, sorted(seen))

    def test_revoked(self) -> None:
        """
        Promise 10.7: the numbers of revoked grants are told; of too many, that any may be.
        """
        follower = FakeFollower()
        _ = self.begin(follower)
        self.documents(follower)
        granted = [self.ask("grant", to="control", label=f"of {n}")["grant"]["grant"] for n in range(3)]
        self.later(follower)
        for number in granted[:2]:
            self.ask("revoke", which=f"#{number}")
        self.assertEqual([number for each in self.later(follower) for number in each["revoked"]], granted[:2])
        for number in range(MOST_REVOKED + 1):
            self.desk.news._revoked(number)
        self.assertEqual([each["revoked"] for each in self.later(follower)], [None])

    def test_configured(self) -> None:
        """
        Promise 10.1: after a reconfiguration, `generation` is another text, also when the files are the same.
        """
        follower = FakeFollower()
        _ = self.begin(follower)
        texts = {self.documents(follower)[0]["generation"]}
        for _ in range(2):
            self.ask("reconfig")
            texts.add(self.later(follower)[-1]["generation"])
        self.assertEqual(len(texts), 3)

    def test_bound(self) -> None:
        """
        Promise 10.1: with one string at most twenty clients follow the farm; one that ends makes room.
        """
        following = [self.begin(FakeFollower()) for _ in range(MOST_OF_A_HOLDER)]
        self.failureResultOf(self.begin(FakeFollower()), LimitError)
        following[0].cancel()
        self.failureResultOf(following[0], LinkLostError)
        self.assertNoResult(self.begin(FakeFollower()))

    def test_small(self) -> None:
        """
        The largest document fits into a chunk, with room.
        """
        follower = FakeFollower()
        _ = self.begin(follower)
        self.later(follower)
        for n in range(MOST_STREAMS):
            self.grow(f"{n:03}" + "ü" * 250)
        self.harness.settle(PERIOD)
        JsonReader.decode(follower.out, "document", 1 << 19)
