"""
The command ``watch``.
"""

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.asking.lasting_link import Away
from buildbot_lite.cli.watch import command
from buildbot_lite.cli.watch.command import LEAST_PAUSE, LONGEST_PAUSE, away_sentence, keep_looking
from buildbot_lite.cli.watch.documents import WatchedBuild, WatchedFarm
from buildbot_lite.errors import LinkLostError, NotFoundError, RevokedError

from .command_line_case import FURL, CommandLineCase
from .test_live_views import farm, running
from .test_tables import BUILD

STATUS = farm().status
RUNNING = {**BUILD, "number": 13, "result": None, "finished": None}


class MasterOnAClock:
    """
    A master that answers, and tells that something has changed when the test says so.  *tells*: whether it can.
    """

    def __init__(self, *, tells: bool) -> None:
        self.clock = Clock()
        self.tells = tells
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.away: Away | None = None
        self.take: Any = None

    async def ask(self, question: Any) -> Any:
        self.asked.append(question["ask"])
        if self.error is not None:
            raise self.error
        answers = {"status": STATUS, "builds": [BUILD], "builders": farm().builders}
        return {question["ask"]: answers[question["ask"]]}

    async def follow(self, question: Any, take: Any) -> Any:
        if not self.tells:
            raise NotFoundError
        self.take = take
        take(b"1{}")
        await Deferred()

    async def pause(self, seconds: float) -> None:
        await deferLater(self.clock, seconds)

    async def stop(self) -> None:
        pass


class LookingTests(SynchronousTestCase):
    def looking(self, *, tells: bool) -> tuple[MasterOnAClock, Deferred[None], list[int]]:
        """
        A master, and what keeps looking at it; the list gets an item at each look.
        """
        master, seen = MasterOnAClock(tells=tells), list[int]()
        link: Any = master
        looking = Deferred.fromCoroutine(keep_looking(link, link, WatchedFarm(), lambda: seen.append(1)))
        self.addCleanup(looking.addErrback, lambda failure: None)
        self.addCleanup(looking.cancel)
        return master, looking, seen

    def test_once_a_second(self) -> None:
        """
        A master that tells no news is asked once a second; the list of builders only now and then.
        """
        master, _, seen = self.looking(tells=False)
        for _ in range(5):
            master.clock.advance(LEAST_PAUSE)

        self.assertEqual((len(seen), master.asked.count("builders")), (6, 1))

    def test_news(self) -> None:
        """
        A master that tells news is asked when there are some, at most once a second, and now and then without.
        """
        master, _, seen = self.looking(tells=True)
        master.clock.advance(LEAST_PAUSE)
        self.assertEqual(len(seen), 1)
        for _ in range(3):
            master.take(b"1{}")
        self.assertEqual(len(seen), 2)
        master.clock.advance(LEAST_PAUSE)
        self.assertEqual(len(seen), 3)
        master.clock.advance(LEAST_PAUSE)
        self.assertEqual(len(seen), 3)
        master.clock.advance(LONGEST_PAUSE)
        self.assertEqual(len(seen), 4)

    def test_lost(self) -> None:
        """
        While the link is lost, the questions go on, a second apart; a refusal ends them.
        """
        master, looking, seen = self.looking(tells=False)
        master.error = LinkLostError()
        for _ in range(3):
            master.clock.advance(LEAST_PAUSE)
        self.assertEqual(len(seen), 1)
        master.error = None
        master.clock.advance(LEAST_PAUSE)
        self.assertEqual(len(seen), 2)
        master.error = RevokedError()
        master.clock.advance(LEAST_PAUSE)
        self.failureResultOf(looking, RevokedError)

    def test_sentence(self) -> None:
        """
        The sentence about a lost link says since when, and why.
        """
        master: Any = MasterOnAClock(tells=False)
        self.assertEqual(away_sentence(master), "")
        master.away = Away(0.0, "connection refused")
        self.assertRegex(away_sentence(master), r"^No link to the master since \d\d:\d\d:\d\d: .*connection refused")


class WatchCommandTests(CommandLineCase):
    def setUp(self) -> None:
        """
        A farm with a running build.
        """
        super().setUp()
        self.make_farm()
        self.master.answers = {
            "status": {"status": STATUS},
            "builds": {"builds": [RUNNING, BUILD]},
            "builders": {"builders": farm().builders},
            "build": {"build": {**RUNNING, "steps": [{**step, "number": 0} for step in self.steps()]}},
            "tail": {"tail": {"step": 0, "log": "stdio", "length": 4, "text": "end\n"}},
        }

    def steps(self) -> list[dict[str, Any]]:
        """
        A running step.
        """
        step = {"name": "compile", "result": None, "summary": "", "logs": ["stdio"]}
        return [{**step, "started": running()["started"], "finished": None}]

    def test_snapshot(self) -> None:
        """
        Promise 10.8: without a terminal the present state is printed once, of the farm, a builder or a build.
        """
        for words, expected in (
            ((), r"(?m)^hello/13 .* on bot1$"),
            (("hello",), r"(?m)^13  ●  running"),
            (("hello", "13"), r"(?ms)^0  ●  compile .*^end$"),
            (("hello/13",), r"(?m)^Log  compile, 4 bytes$"),
        ):
            said = self.command("watch", "farm", *words)
            self.assertEqual((said.code, said.err), (0, ""))
            self.assertRegex(said.out, expected)

    def test_furl_on_standard_input(self) -> None:
        """
        The string may come from standard input.
        """
        furl = f"# mine\n{FURL}\n"
        self.assertEqual(self.command("watch", "--furlfile", "-", stdin=furl.encode()).code, 0)
        self.assertIn("No line of standard input", self.refused("watch", "--furlfile", "-", stdin=b"x"))

    def test_json(self) -> None:
        """
        With --json each document is a line, and printed again only when it has changed.
        """
        looks = 0

        class Looking(WatchedFarm):
            async def look(self, link: Any) -> None:
                nonlocal looks
                looks += 1
                if looks > 3:
                    raise RevokedError
                await super().look(link)
                self.status = {**self.status, "title": f"look {min(looks, 2)}"}

        self.patch(command, "WatchedFarm", Looking)
        self.master.answers = {**self.master.answers, "farm": NotFoundError()}
        said = self.command("watch", "farm", "--json")
        lines = [json.loads(line) for line in said.out.splitlines()]

        self.assertEqual([next(iter(line)) for line in lines], ["status", "builder", "build", "build", "status"])
        self.assertEqual([line["status"]["title"] for line in lines if "status" in line], ["look 1", "look 2"])

    def test_old_master(self) -> None:
        """
        Of a master that cannot tell the end of a log, the build is shown without it.
        """
        self.master.answers = {**self.master.answers, "tail": NotFoundError()}
        watched = WatchedBuild("hello", 13)
        for _ in range(2):
            self.successResultOf(Deferred.fromCoroutine(watched.look(self.master)))

        self.assertEqual(watched.tail, {})
        self.assertEqual([question["ask"] for question in self.master.questions].count("tail"), 1)
