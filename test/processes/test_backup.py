"""
A farm that is restored elsewhere, from a backup that was made while builds ran.
"""

import json
import stat
from pathlib import Path

from attrs import evolve

from .farm import Client, Daemon, Farm, until
from .farm_case import FarmCase


def until_stopped(name: str) -> str:
    """
    Return a command that writes until the test stops it.
    """
    return f"echo x >> $WITNESS/{name}; echo $$ > $WITNESS/{name}-pid; until test -e $WITNESS/stop; do sleep 0.05; done"


class BackupTests(FarmCase):
    """
    A farm with one slave, and two long builds.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create the builders.
        """
        farm = Farm("bot1").builder("going", "seq 1 1000", until_stopped("going"), "echo last")
        return farm.builder("later", until_stopped("later")).builder("hello", "echo hello")

    def begun(self, name: str) -> Client:
        """
        Start a build; return its client once the command runs.
        """
        client = self.farm.submitting(name)
        until(lambda: self.farm.witnessed(f"{name}-pid"), f"{name} runs")
        return client

    def restored(self, file: Path) -> Daemon:
        """
        Restore the backup beside the farm; return the master there, which is not started.
        """
        directory = self.farm.directory / "restored"
        done = self.farm.command("restore", str(file), str(directory))
        self.assertEqual(done.code, 0, done.err)
        self.assertIn("submit guest", done.err)
        return evolve(self.farm.master, name="restored", directory=directory, process=None)

    def test_restored(self) -> None:
        """
        Promise 8.10: the farm is backed up while builds run, and restored elsewhere.  The slave attaches without a new
        string, goes on with the build that the restored master knows, and ends the one that it does not know.  A string
        that was revoked after the backup stays void.  The former master is refused.
        """
        farm = self.farm
        handed_out = farm.command("grant", "submit", str(farm.master_directory), "hello", "--label", "guest")
        self.assertEqual(handed_out.code, 0, handed_out.err)
        guest = handed_out.out.decode().split()[-1]
        watch = self.begun("going").watch_furl()
        file = farm.clients_directory / "farm.tar"
        done = farm.command("backup", str(file), str(farm.master_directory), "--logs")
        self.assertEqual((done.code, stat.S_IMODE(file.stat().st_mode)), (0, 0o600), done.err)
        self.assertEqual(farm.command("revoke", str(farm.master_directory), "guest").code, 0)
        self.begun("later")
        farm.master.kill()

        former, farm.master = farm.master, self.restored(file)
        self.addCleanup(former.kill)
        farm.master_directory = farm.master.directory
        farm.start_master()
        pid = int(farm.witnessed("later-pid")[0])
        until(lambda: pid not in farm.processes(), "the build that is not in the backup has ended")
        refused = farm.client("flappclient", "--furlfile", farm.private_furl(guest), "run-command").wait()
        self.assertNotEqual(refused.code, 0)
        (farm.witness / "stop").touch()
        watched = farm.watch(watch)
        expected = "".join(f"{number}\n" for number in range(1, 1001)) + "last\n"
        self.assertEqual((watched.code, watched.out.decode()), (0, expected), watched.err)
        self.assertEqual(farm.witnessed("going"), ["x"])
        self.assertEqual(farm.submit("hello").code, 0)

        farm.master.stop()
        former.start()
        until(lambda: "older copy" in farm.slave().log, "the slave refuses the former master")
        listed = farm.command("slaves", str(former.directory), "--json")
        (slave,) = json.loads(listed.out)
        self.assertIn("restored from a backup", slave["refused"]["reason"])
