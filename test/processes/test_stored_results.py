"""
Results that were stored before their job was killed, and the same version built again with other bytes.
"""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from ..needs import needs
from .farm import until
from .gates import Gates
from .test_packages import PackagesCase

PLACES = (
    "buildbot_lite.packages.records.results:store",
    "buildbot_lite.packages.records.results:set_aside",
    "buildbot_lite.packages.service.job_service:JobService.turn",
)


@needs("apt-ftparchive", "dpkg-buildpackage")
class StoredResultsTests(PackagesCase):
    """
    A target with a repository.
    """

    target = 'DebTarget("t", arches=["ARCH"], root=Plain(), repository="repos/t")'

    def test_requeued(self) -> None:
        """
        Promise 9.5, 9.9: a job that was killed when its results were stored, and no farther, is queued again and built
        with other bytes: it is published with these, also over a master that is killed when the old results are out of
        the way; nothing of the old ones stays.
        """
        farm, gates = self.farm, Gates(self.farm)
        gates.install(PLACES)
        farm.start()
        stamp = farm.directory / "stamp"
        stamp.write_text("old\n")
        submitting = farm.submitting("t", self.stamped(stamp))
        # Somebody kills the job when its results are stored, and that is not recorded yet.
        gates.close("results.store.after")
        gates.close("JobService.turn.after")
        gates.wait_reached("results.store.after")
        killing = farm.client("buildbot-lite", "package", "kill", str(farm.master_directory), "1")
        # In the reactor's thread, so the turn that this waits for ends only after the kill is next in it.
        gates.wait_reached("JobService.turn.after")
        gates.open("results.store.after")
        gates.open("JobService.turn.after")
        self.assertEqual(killing.wait().code, 0)
        self.until_job(1, "killed")
        self.assertEqual(farm.rows("select 1 from package_jobs where history like '%repowait%'"), [])
        submitting.process.kill()
        place = farm.master_directory / "packages" / "t" / "greet" / "1.0" / self.arch
        (package,) = place.glob("*.deb")
        old = self.digest(package)
        # As after c["retention"]: so the packages are made again.
        farm.master.kill()
        with closing(sqlite3.connect(farm.database, timeout=30)) as connection, connection:
            connection.execute("delete from streams where kind = 'artifact'")
        farm.start_master()
        stamp.write_text("new\n")
        gates.die_at("results.set_aside.after")
        farm.command("package", "requeue", str(farm.master_directory), "1")
        gates.wait_for_death("results.set_aside.after")
        self.assertFalse(place.exists())
        farm.start_master()
        self.until_job(1, "finished")
        self.assertNotEqual(self.digest(package), old)
        published = farm.master_directory / "repos" / "t" / "public" / "dists" / "t" / "main" / f"binary-{self.arch}"
        self.assertIn(self.digest(package), (published / "Packages").read_text())
        above = place.parent.parent
        until(lambda: [each.name for each in above.iterdir()] == ["1.0"], "nothing of the old results is there")

    def stamped(self, stamp: Path) -> bytes:
        """
        An archive of a source package that takes the file *stamp* into its package.
        """
        self.source()
        rules = self.farm.directory / "greet" / "debian" / "rules"
        rules.write_text(rules.read_text().replace("\tuname -m", f"\tcp {stamp} debian/greet/usr/bin/x\n\tuname -m"))
        self.farm.run("dpkg-source --build greet && tar -cf greet.tar greet_1.0*")
        return (self.farm.directory / "greet.tar").read_bytes()

    def digest(self, file: Path) -> str:
        """
        Its SHA-256 digest.
        """
        return hashlib.sha256(file.read_bytes()).hexdigest()
