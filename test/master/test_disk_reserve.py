"""
The reserve on the master's disk, which no single slave can exhaust (promise 3.14).
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

from .configurations import TWO_SLAVES
from .harness import MasterHarness

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
        Have *slave* send *mib* MiB.  Return how many of them the reserve admits.
        """
        taken = 0
        for _ in range(mib):
            if self.reserve.admits(slave, CHUNK):
                taken += 1
                self.free -= CHUNK
        return taken

    def test_plenty(self) -> None:
        """
        While more than the reserve is free, each slave may send everything.
        """
        self.assertEqual(self.send("evil", 1000), 1000)
        self.assertEqual(self.told, [])

    def test_scarce(self) -> None:
        """
        Promise 14: a slave that fills the disk is stopped at the reserve; the other slaves continue within it.
        """
        self.free = LARGEST_RESERVE + 500 * MIB
        taken = self.send("evil", 2000)
        self.assertTrue(500 <= taken < 500 + 2 * 64, taken)
        self.assertEqual(self.send("bot1", 300), 300)
        self.assertEqual(self.send("evil", 1), 0)
        self.assertEqual(self.told, ["evil"])

    def test_room_again(self) -> None:
        """
        A stopped slave may send again when there is room.
        """
        self.free = LARGEST_RESERVE
        self.send("evil", 300)
        self.assertEqual(self.send("evil", 1), 0)
        self.free = 2 * LARGEST_RESERVE
        self.clock.advance(1.0)
        self.assertEqual(self.send("evil", 1), 1)

    def test_bytes_of_earlier_builds_count(self) -> None:
        """
        Promise 14: what a slave sent in the last hours counts, whichever builds it was for; what it sent days ago does
        not.
        """
        self.send("old", 5000)
        self.clock.advance(24 * 3600.0)
        self.send("evil", 500)
        self.free = LARGEST_RESERVE // 2
        self.clock.advance(60.0)
        self.assertEqual((self.send("evil", 1), self.send("old", 100)), (0, 100))

    def test_little(self) -> None:
        """
        A slave that has sent little may continue, also if no other slave sends anything.
        """
        self.free = LARGEST_RESERVE // 2
        little = LARGEST_RESERVE // LITTLE // MIB
        self.assertEqual(self.send("bot1", little + 10), little + 1)

    def test_of_a_small_disk(self) -> None:
        """
        Without `minspace`, the reserve is at most a twentieth of the disk; with it, the reserve is that size, which may
        be 0.
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

    def test_reported_once_a_minute(self) -> None:
        """
        The reason is reported once a minute for each slave that is stopped.
        """
        self.free = LARGEST_RESERVE // 2
        self.send("evil", 300)
        self.clock.advance(60.0)
        self.send("evil", 10)
        self.assertEqual(self.told, ["evil", "evil"])


class FarmTests(SynchronousTestCase):
    def test_of_two_slaves(self) -> None:
        """
        Promise 14: the slave that fills the disk must send later, and its build says why; the other slave's build
        continues.  When there is room, the first continues at its offset.
        """
        harness = MasterHarness(TWO_SLAVES + "c['minspace'] = 1600\n")
        free = [10_000]
        harness.farm.reserve.disk = lambda: (1 << 40, free[0])
        evil, good = harness.attach("bot1"), harness.attach("bot2")
        request = harness.submit()
        harness.submit()
        self.assertEqual(evil.commands[0].write(b"x" * 1000), 1000)
        free[0] = 1500
        harness.settle(1.0)
        self.assertEqual(evil.commands[0].write(b"x", offset=1000), LATER)
        self.assertEqual(good.commands[0].write(b"y" * 200), 200)
        (build,) = harness.builds(request)
        said = [each.text for each in harness.read(lambda c: remarks.of_build(c, build.id))]
        self.assertEqual(len([text for text in said if "minspace" in text]), 1)
        free[0] = 10_000
        harness.settle(1.0)
        self.assertEqual(evil.commands[0].write(b"x", offset=1000), 1001)

    def test_configured(self) -> None:
        """
        `minspace` must be a whole number of bytes.
        """
        for wrong in ("-1", "'1G'", "1.5"):
            self.assertRaises(ConfigError, MasterHarness, TWO_SLAVES + f"c['minspace'] = {wrong}\n")
