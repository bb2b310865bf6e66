"""
Answers are made in turn, of whatever route.
"""

import gc
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from buildbot_lite.deferreds import SharedWork
from buildbot_lite.web.dispatcher import MOST_AT_ONCE, Pages
from buildbot_lite.web.farm.live import Document
from buildbot_lite.web.farm.stored_farm import Places
from buildbot_lite.web.page_request import PageRequest
from buildbot_lite.web.root import SiteRoot
from buildbot_lite.web.routes import ROUTES
from buildbot_lite.web.serving.fair_places import Occupant
from buildbot_lite.web.serving.fair_turns import FairTurns
from buildbot_lite.web.serving.held_turn import HeldTurn
from buildbot_lite.web.serving.site import make_factory
from buildbot_lite.web.view import FarmView, Reply, Route

from .pages_case import CONTROL, PagesCase
from .test_pages import a_build
from .test_pages_repositories import SNAPSHOT

BEARER = {"Authorization": f"Bearer {CONTROL}", "Content-Type": "application/json"}
OF_PARTS = {"int": "1", "path": "a/b", "": "x"}


def addresses(pages: Pages) -> list[tuple[str, str]]:
    """
    For each route of *pages* and each of its methods, an address that matches it.
    """
    found = []
    for rule in pages._app.url_map.iter_rules():
        path = re.sub(r"<(?:(\w+):)?\w+>", lambda match: OF_PARTS[match[1] or ""], rule.rule)
        found += [(method, path) for method in sorted((rule.methods or set()) - {"OPTIONS"})]
    return found


class TurnsTests(PagesCase):
    def setUp(self) -> None:
        super().setUp()
        self.begun: list[Deferred[None]] = []
        self.holders.grants[CONTROL] = {"grant": 7, "label": "Ada", "may": None}

    def tearDown(self) -> None:
        """
        Nobody waits any more: the garbage collector would resume them in another test.
        """
        while self.connections:
            self.hang_up()
        self.clock.pump([60.0] * 10)
        gc.collect()
        super().tearDown()

    def serve(self, *more: Route) -> Pages:
        """
        Serve the pages, and *more* routes.
        """
        pages = Pages(self.view, (*ROUTES, *more))
        self.factory = make_factory(SiteRoot(pages.resource(), None), self.clock)
        self.factory.doStart()
        return pages

    def hang_up(self) -> None:
        """
        Close the oldest connection.
        """
        self.connections.pop(0).connectionLost(Failure(ConnectionDone()))

    def asked(self, method: str, path: str) -> bytes:
        """
        What the holder of a control string gets at *path*.
        """
        head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "localhost", **BEARER}.items())
        answer: bytes = self.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode()).value()
        return answer

    def test_all_routes(self) -> None:
        """
        Promise 10.10: no answer of any route is made before the turn of who asks for it, but those of constant cost:
        whether this process is well, and files of the pages.
        """
        pages = self.serve(Route("/new", new, kept=0))
        self.get("/", BEARER)  # the string is known
        self.clock.advance(10.0)  # and the page is not kept any more

        def begin(turns: FairTurns, occupant: Occupant) -> Deferred[None]:
            self.begun.append(Deferred())
            return self.begun[-1]

        self.patch(FairTurns, "begin", begin)
        found = addresses(pages)
        self.assertGreater(len(found), 100)
        self.assertIn(("GET", "/new"), found)
        at_once = set()
        for method, path in found:
            before = len(self.begun)
            if self.asked(method, path):
                at_once.add(path)
            self.assertEqual(len(self.begun), before + (path not in at_once), path)
        self.assertEqual(at_once, {"/healthz", "/readyz", "/static/x"})

    def test_waiting(self) -> None:
        """
        Promise 10.10: who waits for the master's answer to a holder, or for what a log gets, takes nobody's turn
        meanwhile, whatever the route.
        """
        pages = self.serve()
        self.get("/", BEARER)
        working: list[FairTurns] = []
        begin, waiting = FairTurns.begin, Deferred

        def begin_seen(turns: FairTurns, occupant: Occupant) -> Deferred[None]:
            working.append(turns)
            return begin(turns, occupant)

        def never(furl: str, question: Document) -> Deferred[Document]:
            return waiting()

        self.patch(FairTurns, "begin", begin_seen)
        self.patch(self.sessions, "_ask", never)
        silent = set()
        for method, path in addresses(pages):
            if not self.asked(method, path):
                silent.add(path)
            self.assertEqual(sum(turns._working.total() for turns in set(working)), 0, path)
        self.assertLessEqual({"/grants", "/builders/x/force", "/api/v1/grants"}, silent)

    def test_hanging_master(self) -> None:
        """
        Promise 10.10: who waits for what the master tells everybody takes nobody's turn meanwhile, whatever the route,
        and whether the master hangs before or after something was read for the answer.
        """
        self.publish()
        pages = self.serve()
        seen: list[FairTurns] = []
        begin, ask, read, waiting = FairTurns.begin, self.master.ask, self.records.read, Deferred
        hangs: set[str] = set()

        def begin_seen(turns: FairTurns, occupant: Occupant) -> Deferred[None]:
            seen.append(turns)
            return begin(turns, occupant)

        def ask_hanging(question: Document) -> Deferred[Document]:
            return waiting() if question["ask"] in hangs or "all" in hangs else ask(question)

        def read_slowly(reading: Callable[[Connection], Any]) -> Deferred[Any]:
            if "after" in hangs:
                hangs.add("all")
                # Nothing that was told before holds any more.
                self.live.expire()
            return read(reading)

        self.patch(FairTurns, "begin", begin_seen)
        self.patch(self.master, "ask", ask_hanging)
        self.patch(self.records, "read", read_slowly)
        silent = set()
        for what in ("www", "status", "package-targets", "schedulers", "metrics", "after"):
            for method, path in [*addresses(pages), ("GET", "/api/v1/builds/x/1")]:
                # The one before has got nothing; what it asked is asked anew.
                self.view.live._asking = SharedWork()
                self.live.expire()
                hangs.clear()
                self.get("/", BEARER)
                self.live.expire()
                hangs.add(what)
                if not self.asked(method, path):
                    silent.add((what, path))
                self.assertEqual(sum(turns._working.total() for turns in set(seen)), 0, (what, method, path))
                self.hang_up()
        expected = {
            ("www", "/"),
            ("status", "/builders/x/1"),
            ("status", "/api/v1/builds"),
            ("status", "/api/v1/builds/x/1"),
            ("package-targets", "/packages/targets/x"),
        }
        self.assertLessEqual(expected, silent)
        # What has read something waits for nobody.
        pages_read = {"/builders/x/1", "/builders/x", "/changes", "/packages"}
        self.assertEqual({path for what, path in silent if what == "after"} & pages_read, set())

    def publish(self) -> None:
        """
        Add the first build of the builder x, and the repository of the target x.
        """
        self.successResultOf(self.records.write(a_build("x", 1, None)))
        place = Path(self.directory, "x").absolute()
        release = place / "snapshots" / SNAPSHOT / "tree" / "dists" / "x" / "Release"
        release.parent.mkdir(parents=True)
        release.touch()
        (place / "public").symlink_to(f"snapshots/{SNAPSHOT}/tree")
        places = Places(self.directory, self.directory, {"x": str(place)})
        # The view is frozen, and its routes have it already.
        object.__setattr__(self.view, "places", lambda: places)

    def test_again(self) -> None:
        """
        What goes on after it has waited does so in another turn.
        """
        turns = FairTurns(self.clock.seconds, self.clock, 1, 99, 99, 9, "Too many.")
        mine, other = Occupant.at("192.0.2.1"), Occupant.at("192.0.2.2")
        self.successResultOf(turns.begin(mine))
        news: Deferred[str] = Deferred()
        waiting = Deferred.fromCoroutine(HeldTurn(turns, mine).outside(news))
        self.successResultOf(turns.begin(other))
        news.callback("news")
        self.assertNoResult(waiting)
        turns.end(other)
        self.assertEqual(self.successResultOf(waiting), "news")
        self.assertNoResult(turns.begin(other))

    def test_at_once(self) -> None:
        """
        What is there at once ends no turn.
        """
        turns = FairTurns(self.clock.seconds, self.clock, 1, 99, 99, 9, "Too many.")
        mine, other = Occupant.at("192.0.2.1"), Occupant.at("192.0.2.2")
        self.successResultOf(turns.begin(mine))
        waiting = turns.begin(other)
        self.assertEqual(
            self.successResultOf(Deferred.fromCoroutine(HeldTurn(turns, mine).outside(succeed("it")))), "it"
        )
        self.assertNoResult(waiting)

    def test_closed(self) -> None:
        """
        A coroutine that is closed while it waits outside of its turn takes no other, which nobody would end.
        """
        turns = FairTurns(self.clock.seconds, self.clock, 1, 99, 99, 9, "Too many.")
        mine = Occupant.at("192.0.2.1")
        self.successResultOf(turns.begin(mine))
        news: Deferred[str] = Deferred()
        waiting = HeldTurn(turns, mine).outside(news)
        waiting.send(None)
        waiting.close()
        self.assertEqual(turns._working.total(), 0)

    def test_over(self) -> None:
        """
        A turn that is over is never taken again: neither by what begins to wait afterwards, nor by what waited already.
        """
        turns = FairTurns(self.clock.seconds, self.clock, 1, 99, 99, 9, "Too many.")
        mine, other = Occupant.at("192.0.2.1"), Occupant.at("192.0.2.2")
        for ends_before in (True, False):
            self.successResultOf(turns.begin(mine))
            turn, news = HeldTurn(turns, mine), Deferred[str]()
            if ends_before:
                turn.end()
            waiting = Deferred.fromCoroutine(turn.outside(news))
            turn.end()
            news.callback("news")
            self.assertEqual(self.successResultOf(waiting), "news")
            self.assertEqual(turns._working.total(), 0)
        # Nor by what waits for its next turn.
        self.successResultOf(turns.begin(mine))
        turn, news = HeldTurn(turns, mine), Deferred[str]()
        waiting = Deferred.fromCoroutine(turn.outside(news))
        self.successResultOf(turns.begin(other))
        news.callback("news")
        turn.end()
        turns.end(other)
        self.assertEqual(self.successResultOf(waiting), "news")
        self.assertEqual(turns._working.total(), 0)

    def test_within(self) -> None:
        """
        What waits within what waits outside of a turn takes only the one turn again.
        """
        turns = FairTurns(self.clock.seconds, self.clock, 2, 99, 99, 9, "Too many.")
        mine = Occupant.at("192.0.2.1")
        self.successResultOf(turns.begin(mine))
        turn, first, second = HeldTurn(turns, mine), Deferred[str](), Deferred[str]()

        async def both() -> str:
            return await turn.outside(first) + await turn.outside(second)

        waiting = Deferred.fromCoroutine(turn.outside(both()))
        self.assertEqual(turns._working.total(), 0)
        first.callback("a")
        second.callback("b")
        self.assertEqual(self.successResultOf(waiting), "ab")
        self.assertEqual(turns._working.total(), 1)
        turn.end()
        self.assertEqual(turns._working.total(), 0)

    def test_gone(self) -> None:
        """
        Promise 10.10: who hangs up in their turn holds it until what was begun has ended, and waits for nothing then;
        who hangs up outside of it waits no more.
        """
        begun: list[Deferred[str]] = []
        ended: list[str] = []

        async def slow(view: FarmView, asked: PageRequest) -> Reply:
            try:
                begun.append(Deferred())
                await begun[-1]
                begun.append(Deferred())
                await asked.outside_turn(begun[-1])
                return Reply(200, b"")
            finally:
                ended.append(asked.path)

        self.serve(Route("/slow", slow, kept=0))
        for _ in range(MOST_AT_ONCE):
            self.asked("GET", "/slow")
        self.assertEqual(len(begun), MOST_AT_ONCE // 2)
        for _ in range(MOST_AT_ONCE // 2):
            self.hang_up()
        self.assertEqual((len(begun), ended), (MOST_AT_ONCE // 2, []))
        begun[0].callback("read")
        # It waited for nothing more, and the next one has its turn.
        self.assertEqual(ended, ["/slow"])
        self.assertEqual(len(begun), MOST_AT_ONCE // 2 + 2)
        outside = begun[MOST_AT_ONCE // 2 + 1]
        outside.callback("read")
        self.assertEqual(ended, ["/slow"])
        self.hang_up()
        self.assertEqual(ended, ["/slow", "/slow"])


async def new(view: FarmView, asked: PageRequest) -> Reply:
    """
    A page that somebody adds.
    """
    return Reply(200, b"new")
