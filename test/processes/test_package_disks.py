"""
Packages on full disks: of the slave that sends its results, and of the master that stores and publishes them.
"""

import contextlib
import sqlite3
import time

from ..needs import needs
from .farm import until
from .farm_case import root_only
from .gates import Gates
from .test_packages import PackagesCase

LEFT = 2 << 20
"""Bytes that are left on a full disk: enough for the records, and for neither the log nor the package."""
RESERVE = 24 << 20
"""Bytes on the master's disk that slaves may not use up."""
# The log and the package each have 6 MB that cannot be compressed.
SCRIPT = (
    "mkdir -p debian/greet/usr/share/greet; head -c 6000000 /dev/urandom >debian/greet/usr/share/greet/noise; "
    "head -c 4500000 /dev/urandom | base64"
)
PLACES = (
    "buildbot_lite.packages.building.steps:Uploading.run",
    "buildbot_lite.packages.records.results:store",
    "buildbot_lite.packages.repositories.repository:PackageRepository.add",
)
SOON = (
    "from buildbot_lite.packages.service import target_troubles\n"
    "target_troubles.FIRST_PAUSE = target_troubles.LONGEST_PAUSE = 1.0\n"
)
"""What stands still is tried again soon."""


@needs("apt-ftparchive", "dpkg-buildpackage")
@root_only
class FullDiskTests(PackagesCase):
    """
    Disks of a few MB.
    """

    target = 'DebTarget("t", ["ARCH"], root=Plain(), repository="repos/t")'

    def test_master(self) -> None:
        """
        Promise 9.9: while the master's disk is full, a job that sends its results, stores them or enters the repository
        says so in one sentence and goes on by itself when there is room; nothing is there in part or twice, no
        temporary file stays, and the records are whole.
        """
        farm, gates = self.farm, Gates(self.farm)
        farm.mount("master", 96 << 20)
        gates.install(PLACES, SOON)
        farm.config(f"c['minspace'] = {RESERVE}\n")
        farm.start()
        gates.close("Uploading.run.before")
        submitting = farm.submitting("t", self.source(SCRIPT))

        gates.wait_reached("Uploading.run.before")
        ballast = farm.fill("master", leave=RESERVE - LEFT)
        # The master, which stands still, measures the room at most once a second.
        measured = time.monotonic()
        until(lambda: time.monotonic() > measured + 1, "the master measures again")
        gates.open("Uploading.run.before")
        waits = f"# the master's disk has less than {RESERVE} bytes free (c['minspace']), and bot1 recently sent most: "
        until(lambda: waits in submitting.err, "the submitter is told what the package waits for")
        gates.close("results.store.before")
        ballast.unlink()

        gates.wait_reached("results.store.before")
        ballast = farm.fill("master", leave=LEFT)
        gates.open("results.store.before")
        until(lambda: self._job()[1], "the job says why it does not go on")
        room = "The master's disk is full: there is no room for the "
        self.assertEqual(self._job(), ("building", f"{room}results for {self.arch}."))
        self.assertEqual(list((farm.master_directory / "packages").rglob("*.deb")), [])
        gates.close("PackageRepository.add.before")
        ballast.unlink()

        gates.wait_reached("PackageRepository.add.before")
        ballast = farm.fill("master", leave=LEFT)
        gates.open("PackageRepository.add.before")
        until(lambda: "disk is full" in self._job()[1], "the job says that the repository has no room")
        self.assertEqual(self._job()[0], "repowait")
        self.assertFalse((farm.master_directory / "repos" / "t" / "build").exists())
        ballast.unlink()

        self.assertEqual(submitting.wait().code, 0)
        until(lambda: self._job() == ("finished", ""), "the job is finished")
        self._assert_whole()

    def test_slave(self) -> None:
        """
        Promise 9.9: when a slave's disk is full while it sends packages, the job goes on as soon as there is room, and
        the packages are whole.
        """
        farm, gates = self.farm, Gates(self.farm)
        farm.write_config()
        gates.install(PLACES, SOON)
        farm.start_master()
        farm.slave_directory("bot1")
        farm.mount("bot1", 64 << 20)
        farm.write_slave_tac("bot1")
        farm.start_slave()
        gates.close("Uploading.run.before")
        submitting = farm.submitting("t", self.source(SCRIPT))
        gates.wait_reached("Uploading.run.before")
        ballast = farm.directory / "bot1" / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        gates.open("Uploading.run.before")
        # Whether this needs room or not depends on the pages of the disk that the keeper has begun.
        until(lambda: "only-files" in submitting.err, "the sending begins")
        ballast.unlink()
        self.assertEqual(submitting.wait().code, 0)
        until(lambda: self._job() == ("finished", ""), "the job is finished")
        self._assert_whole()

    def _assert_whole(self) -> None:
        farm = self.farm
        self.assertEqual(farm.rows("select result from builds"), [(0,)])
        results = farm.master_directory / "packages" / "t" / "greet" / "1.0" / self.arch
        farm.run(f"cd {results} && sha256sum --check --strict --quiet SHA256SUMS")
        public = farm.master_directory / "repos" / "t" / "public"
        self.assertEqual([path.name for path in (public / "pool").iterdir()], [f"greet_1.0_{self.arch}.deb"])
        for place in ("packages", "repos", "artifacts"):
            # An empty directory for what comes in is none.
            hidden = [path for path in (farm.master_directory / place).rglob(".*") if path.name != ".incoming"]
            self.assertEqual(hidden + list((farm.master_directory / place).rglob(".incoming/*")), [])
        with contextlib.closing(sqlite3.connect(farm.database, timeout=30)) as connection:
            self.assertEqual(connection.execute("pragma integrity_check").fetchall(), [("ok",)])

    def _job(self) -> tuple[str, str]:
        ((state, reason),) = self.farm.rows("select state, reason from package_jobs")
        return state, reason
