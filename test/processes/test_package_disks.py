"""
Packages on full disks: of the slave that sends its results, and of the master that stores and publishes them.
"""

import contextlib
import re
import sqlite3
import time
from functools import partial
from pathlib import Path

from ..needs import needs
from .farm import Client, until
from .farm_case import root_only
from .gates import Gates
from .test_packages import PackagesCase

LEFT = 2 << 20
"""Bytes that are left on a full disk: enough for the records, and for neither the log nor the package."""
RESERVE = 24 << 20
"""Bytes on the master's disk that slaves may not use up."""
ROOM = "The master's disk is full: there is no room for the "
# The log and the package each have 6 MB that cannot be compressed.
SCRIPT = (
    "mkdir -p debian/greet/usr/share/greet; head -c 6000000 /dev/urandom >debian/greet/usr/share/greet/noise; "
    "head -c 4500000 /dev/urandom | base64"
)
# Of the root, as `Overlay` has it beside the results.
LIST = "mkdir -p ../../../root; seq 20000 >../../../root/installed.txt; : >../installed.txt"
PLACES = (
    "buildbot_lite.packages.building.steps:Uploading.run",
    "buildbot_lite.packages.records.results:store",
    "buildbot_lite.packages.repositories.repository:PackageRepository.add",
)
MAKING, SHOWING = "UnsignedRepository._publish.before", "SnapshotDirectory.publish.before"
PUBLIC_PLACES = (
    "buildbot_lite.packages.service.target_repositories:UnsignedRepository._publish",
    "buildbot_lite.packages.repositories.snapshots:SnapshotDirectory.publish",
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
        self.assertEqual(self._job(), ("building", f"{ROOM}results for {self.arch}."))
        self.assertEqual(list((farm.master_directory / "packages").rglob("*.deb")), [])
        gates.close("PackageRepository.add.before")
        ballast.unlink()

        gates.wait_reached("PackageRepository.add.before")
        ballast = farm.fill("master", leave=LEFT)
        gates.open("PackageRepository.add.before")
        until(lambda: self._job() == ("repowait", f"{ROOM}repository t."), "the job says that it has no room")
        self.assertFalse((farm.master_directory / "repos" / "t" / "build").exists())
        ballast.unlink()

        self.assertEqual(submitting.wait().code, 0)
        until(lambda: self._job() == ("finished", ""), "the job is finished")
        self._assert_whole()

    def test_public(self) -> None:
        """
        Promise 9.9: when the disk is full just when *public* is made, and again when the new snapshot is complete and
        clients are to see it, the job says so in one sentence and clients see the old repository; the job goes on by
        itself when there is room.
        """
        farm, gates = self.farm, Gates(self.farm)
        repos = farm.master_directory / "repos"
        repos.mkdir()
        # A disk of its own, so that the records have room.
        farm.mount("master/repos", 16 << 20)
        gates.install(PUBLIC_PLACES, SOON)
        farm.start()
        self.assertEqual(self.submit(self.source()).code, 0)
        self.until_job(1, "finished")
        old = (repos / "t" / "public").readlink()
        gates.close(MAKING)
        submitting = farm.submitting("t", self.source(name="hail"))
        for seam in (MAKING, SHOWING):
            gates.wait_reached(seam)
            ballast = farm.fill("master/repos", leave=0)
            gates.open(seam)
            until(lambda: self._job(2)[1], "the job says that the repository has no room")
            # The next attempt begins when this one is over.
            gates.close(MAKING)
            gates.wait_reached(MAKING)
            self.assertEqual(self._job(2), ("needsign", f"{ROOM}repository t."))
            self.assertEqual((repos / "t" / "public").readlink(), old)
            self._assert_public("greet")
            ballast.unlink()
            if seam == MAKING:
                gates.close(SHOWING)
            gates.open(MAKING)
        self.assertEqual(submitting.wait().code, 0)
        until(lambda: self._job(2) == ("finished", ""), "the job is finished")
        self._assert_public("greet", "hail")
        self._assert_nothing_left()

    def test_slave(self) -> None:
        """
        Promise 9.9: a slave whose disk is full sends its packages all the same, because that needs no room; where the
        keeper's own files have none either, the job goes on as soon as there is room.  The packages are whole.
        """
        farm, gates = self.farm, Gates(self.farm)
        farm.write_config()
        gates.install(PLACES, SOON)
        farm.start_master()
        farm.slave_directory("bot1")
        farm.mount("bot1", 64 << 20)
        (farm.directory / "bot1" / "keeper").mkdir(mode=0o700)
        farm.mount("bot1/keeper", 16 << 20)
        # The log says what found no room.
        log = farm.directory / "bot1.log"
        (farm.directory / "bot1" / "twistd.log").symlink_to(log)
        farm.write_slave_tac("bot1")
        farm.start_slave()
        for number, name, disks in ((1, "greet", ["bot1"]), (2, "hail", ["bot1", "bot1/keeper"])):
            gates.close("Uploading.run.before")
            submitting = farm.submitting("t", self.source(f"{SCRIPT}; {LIST}", name=name))
            gates.wait_reached("Uploading.run.before")
            ballast = [self._fill_to_the_end(disk) for disk in disks]
            gates.open("Uploading.run.before")
            if number == 2:
                # Whether the keeper needs room depends on the pages that it has begun.
                until(partial(self._is_told, submitting, "only-files"), "the sending begins")
                for each in ballast:
                    each.unlink()
            self.assertEqual(submitting.wait().code, 0)
            self.until_job(number, "finished")
            if number == 1:
                said = re.findall(r"cannot save transfer \S+: disk full", log.read_text())
                # The package, .changes, .buildinfo, and the list of packages.
                self.assertEqual(len(set(said)), 4, log.read_text()[-3000:])
                ballast[0].unlink()
            results = self._assert_results(name)
            self.assertEqual((results / "installed.txt").read_text().count("\n"), 20000)

    def _is_told(self, submitting: Client, words: str) -> bool:
        return words in submitting.err

    def _fill_to_the_end(self, name: str) -> Path:
        ballast = self.farm.directory / name / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        return ballast

    def _assert_public(self, *names: str) -> None:
        """
        Check that the index which clients see has the packages of these sources, and that their files are there.
        """
        public = self.farm.master_directory / "repos" / "t" / "public"
        index = (public / "dists" / "t" / "main" / f"binary-{self.arch}" / "Packages").read_text()
        listed = re.findall(r"(?m)^Filename: (\S+)$", index)
        self.assertEqual(sorted(listed), [f"pool/{name}_1.0_{self.arch}.deb" for name in names])
        self.assertTrue(all((public / path).exists() for path in listed))

    def _assert_whole(self) -> None:
        farm = self.farm
        self.assertEqual(farm.rows("select result from builds"), [(0,)])
        self._assert_results("greet")
        public = farm.master_directory / "repos" / "t" / "public"
        self.assertEqual([path.name for path in (public / "pool").iterdir()], [f"greet_1.0_{self.arch}.deb"])
        self._assert_nothing_left()
        with contextlib.closing(sqlite3.connect(farm.database, timeout=30)) as connection:
            self.assertEqual(connection.execute("pragma integrity_check").fetchall(), [("ok",)])

    def _assert_results(self, name: str) -> Path:
        results = self.farm.master_directory / "packages" / "t" / name / "1.0" / self.arch
        self.farm.run(f"cd {results} && sha256sum --check --strict --quiet SHA256SUMS")
        return results

    def _assert_nothing_left(self) -> None:
        farm = self.farm
        for place in ("packages", "repos", "artifacts"):
            # An empty directory for what comes in is none.
            hidden = [path for path in (farm.master_directory / place).rglob(".*") if path.name != ".incoming"]
            self.assertEqual(hidden + list((farm.master_directory / place).rglob(".incoming/*")), [])

    def _job(self, number: int = 1) -> tuple[str, str]:
        ((state, reason),) = self.farm.rows("select state, reason from package_jobs where id = ?", number)
        return state, reason
