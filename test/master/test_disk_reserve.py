"""
Room on the master's disk that no slave alone can take from all others (issue 3, promise 14).
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.builds.disk_reserve import (
    LARGEST_RESERVE,
    LITTLE,
    SHARE_OF_DISK,
    DiskReserve,
)
from buildbot_lite.storage.records import remarks
from buildbot_lite.wire.roles import LATER

from .stage import Stage
from .test_hostile_slave import SECOND

MIB = 1 << 20
CHUNK = MIB


class ReserveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.total = self.free = 100 << 30
        self.least: int | None = None
        self.told: list[str] = []
        self.reserve = DiskReserve(
            self.clock, lambda: (self.total, self.free), lambda: self.least, lambda slave, why: self.told.append(slave)
        )

    def send(self, slave: str, mib: int) -> int:
        """
        How many of so many MiB it may send.
        """
        taken = 0
        for _ in range(mib):
            if self.reserve.admits(slave, CHUNK):
                taken += 1
                self.free -= CHUNK
        return taken

    def test_plenty(self) -> None:
        """
        While there is room, everybody sends as much as there is.
        """
        self.assertEqual(self.send("evil", 1000), 1000)
        self.assertEqual(self.told, [])

    def test_scarce(self) -> None:
        """
        Promise 14: a slave that fills the disk stops at the reserve, and others go on with what is left of it.
        """
        self.free = LARGEST_RESERVE + 500 * MIB
        taken = self.send("evil", 2000)
        self.assertTrue(500 <= taken < 500 + 2 * 64, taken)
        self.assertEqual(self.send("bot1", 300), 300)
        self.assertEqual(self.send("evil", 1), 0)
        self.assertEqual(self.told, ["evil"])

    def test_room_again(self) -> None:
        """
        It goes on when there is room again.
        """
        self.free = LARGEST_RESERVE
        self.send("evil", 300)
        self.assertEqual(self.send("evil", 1), 0)
        self.free = 2 * LARGEST_RESERVE
        self.clock.advance(1.0)
        self.assertEqual(self.send("evil", 1), 1)

    def test_ending_a_build_is_no_way_out(self) -> None:
        """
        Promise 14: what it has sent counts for hours, in whichever builds; what was sent days ago does not.
        """
        self.send("old", 5000)
        self.clock.advance(24 * 3600.0)
        self.send("evil", 500)
        self.free = LARGEST_RESERVE // 2
        self.clock.advance(60.0)
        self.assertEqual((self.send("evil", 1), self.send("old", 100)), (0, 100))

    def test_little(self) -> None:
        """
        Who sends little goes on, also when nobody else sends anything.
        """
        self.free = LARGEST_RESERVE // 2
        little = LARGEST_RESERVE // LITTLE // MIB
        self.assertEqual(self.send("bot1", little + 10), little + 1)

    def test_of_a_small_disk(self) -> None:
        """
        Without a word of the admin it is a twentieth of the disk at most; with one it is that, also none at all.
        """
        self.total = 1000 * MIB
        self.free = self.total // SHARE_OF_DISK + 10 * MIB
        self.send("evil", 9)
        self.clock.advance(1.0)
        self.assertEqual(self.send("evil", 1), 1)
        self.least = 500 * MIB
        self.send("evil", 64)
        self.clock.advance(1.0)
        self.assertEqual(self.send("evil", 1), 0)
        self.least, self.free = 0, 0
        self.clock.advance(1.0)
        self.assertEqual(self.send("evil", 1), 1)

    def test_said(self) -> None:
        """
        The reason is told once a minute, however often it asks.
        """
        self.free = LARGEST_RESERVE // 2
        self.send("evil", 300)
        self.clock.advance(60.0)
        self.send("evil", 10)
        self.assertEqual(self.told, ["evil", "evil"])


class FarmTests(SynchronousTestCase):
    def test_of_two_slaves(self) -> None:
        """
        Promise 14: the slave that fills the disk is told "later" and its build says why; the other's build goes on;
        when there is room, the first goes on where it was.
        """
        stage = Stage(SECOND + "c['minspace'] = 1600\n")
        free = [10_000]
        stage.farm.reserve.disk = lambda: (1 << 40, free[0])
        evil, good = stage.attach("bot1"), stage.attach("bot2")
        request = stage.submit()
        stage.submit()
        self.assertEqual(evil.given[0].write(b"x" * 1000), 1000)
        free[0] = 1500
        stage.settle(1.0)
        self.assertEqual(evil.given[0].write(b"x", offset=1000), LATER)
        self.assertEqual(good.given[0].write(b"y" * 200), 200)
        (build,) = stage.builds(request)
        said = [each.text for each in stage.read(lambda c: remarks.of_build(c, build.id))]
        self.assertEqual(len([text for text in said if "minspace" in text]), 1)
        free[0] = 10_000
        stage.settle(1.0)
        self.assertEqual(evil.given[0].write(b"x", offset=1000), 1001)

    def test_configured(self) -> None:
        """
        It is a number of bytes.
        """
        for wrong in ("-1", "'1G'", "1.5"):
            self.assertRaises(ConfigError, Stage, SECOND + f"c['minspace'] = {wrong}\n")
