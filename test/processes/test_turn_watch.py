"""
A real master whose reactor's thread is kept by code of the configuration.
"""

from .farm import MASTER_TAC, Farm
from .farm_case import FarmCase

IMPATIENT = """
from buildbot_lite.master.builds import turn_watch
turn_watch.TICK, turn_watch.SAY_AFTER, turn_watch.INTERRUPT_AFTER = 0.2, 2, 4
"""
OWN = """
from twisted.internet import reactor
from twisted.internet.task import deferLater


class Later(steps.BuildStep):
    name = "later"

    async def run(self):
        def keep():
            while self.name:
                pass

        await deferLater(reactor, 0, keep)
        return util.SUCCESS
"""


class TurnWatchTests(FarmCase):
    @classmethod
    def make(cls) -> Farm:
        """
        A farm whose master loses patience soon.
        """
        farm = Farm("bot1").config(OWN)
        (farm.master_directory / "master.tac").write_text(IMPATIENT + MASTER_TAC)
        return farm.builder("keeping", "Later()").builder("other", "true")

    def test_callback(self) -> None:
        """
        Promise 8.25: a callback of a step's own that never returns is named in the log with its step, and interrupted;
        its build ends with EXCEPTION, and the next build runs.
        """
        done = self.farm.submit("keeping")
        self.assertEqual(done.code, 2, done.err)
        self.assertRegex(
            self.farm.master.log, r"the master has done nothing else .*: the step 'later' of keeping/1 runs keep"
        )
        self.assertIn("the master works again", self.farm.master.log)
        self.assertEqual(self.farm.submit("other").code, 0)
