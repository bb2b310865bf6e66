"""
The farm's first page, and what holds for all pages.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import Connection, Table, insert, update
from twisted.internet.defer import Deferred

from buildbot_lite.model.results import Result
from buildbot_lite.status import build_details, build_documents, build_rows
from buildbot_lite.storage import schema
from buildbot_lite.storage.records import builds, journal, remarks, slaves, streams
from buildbot_lite.web.dispatcher import Pages
from buildbot_lite.web.farm.live import MOST_AGE
from buildbot_lite.web.holders.session_cookie import COOKIE
from buildbot_lite.web.html.rendering import duration, from_segment, moment, root_of, segment, size, told
from buildbot_lite.web.page_request import PageRequest
from buildbot_lite.web.pages.farm import MOST_COUNTED
from buildbot_lite.web.root import SiteRoot
from buildbot_lite.web.serving.site import make_factory
from buildbot_lite.web.view import FarmView, Reply, Route

from .pages_case import NOW, PagesCase

SLAVE_OF_0_1_0: Mapping[str, Any] = {
    "connected": True,
    "since": NOW,
    "paused": NOW,
    "draining": False,
    "revoked": False,
    "breach": None,
    "obstacle": "An admin has paused it.",
    "running": [],
    "max_builds": None,
    "builders": [],
    "version": "0.1.0",
    "space": None,
    "platform": None,
}
HOSTILE = "<script>alert(1)</script>\"'&\u202e"


def inserted(connection: Connection, table: Table, **values: Any) -> int:
    """
    Add a row; its primary key.
    """
    key = connection.execute(insert(table).values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def a_build(builder: str, number: int, result: Result | None, **more: Any) -> Callable[[Connection], int]:
    """
    A change of the records: build *number* of *builder*, with its request and buildset, or of the *request* in *more*.
    """
    of_request = more.pop("request", None)
    row = {
        "started": NOW - 90,
        "finished": None if result is None else NOW - 60,
        "slave": "bot1",
        "nonce": "0" * 32,
        **more,
    }

    def change(connection: Connection) -> int:
        generations = insert(schema.generations).prefix_with("OR IGNORE")
        connection.execute(generations.values(hash="g", applied=NOW - 10_000.0))
        of = {"scheduler": "all", "reason": "", "submitted": NOW - 100, "source": "{}", "properties": "{}"}
        request = of_request
        if request is None:
            buildset = inserted(connection, schema.buildsets, **of)
            request = inserted(connection, schema.requests, buildset=buildset, builder=builder, submitted=NOW - 100)
        identity = {"request": request, "builder": builder, "number": number, "generation": "g"}
        return inserted(connection, schema.builds, **identity, result=result, **row)

    return change


class FarmPageTests(PagesCase):
    """
    ``/``.
    """

    def test_builders(self) -> None:
        """
        Each builder has a row with its last results as letters, each a link to its build.
        """
        self.master.answers["www"] = {
            "title": "A farm",
            "private": False,
            "builders": [{"builder": "linux", "tags": ["fast"], "slaves": []}],
        }
        self.successResultOf(self.records.write(a_build("linux", 1, Result.SUCCESS)))
        self.successResultOf(self.records.write(a_build("linux", 2, Result.FAILURE)))
        page = self.get("/").text
        self.assertIn('href="builders/linux/2"', page)
        self.assertIn('class="cell failure"', page)
        self.assertIn('<b aria-hidden="true">F</b>', page)

    def test_failing(self) -> None:
        """
        How many builders fail is told first, with a link to them; whatever the filter leaves out, it counts all.  A
        build that runs changes nothing.
        """
        ends = {"bad": Result.FAILURE, "odd": Result.EXCEPTION, "good": Result.SUCCESS, "fair": Result.WARNINGS}
        names = [{"builder": name, "tags": [], "slaves": []} for name in ends]
        self.master.answers["www"] = {"title": "A farm", "private": False, "builders": names}
        for name, result in ends.items():
            self.successResultOf(self.records.write(a_build(name, 1, result)))
        self.successResultOf(self.records.write(a_build("bad", 2, None)))
        for query, shown in (("", {*ends}), ("?result=failing", {"bad", "odd"}), ("?text=good", {"good"})):
            page = self.get(f"/{query}").text
            self.assertIn('<a href="./?result=failing"><b>2</b> of 4 builders failing</a>', page)
            self.assertEqual({*re.findall('row"><a href="builders/([a-z]+)"', page)}, shown)
        for name in ("bad", "odd"):
            self.successResultOf(self.records.write(a_build(name, 3, Result.SUCCESS)))
        self.assertNotIn(" failing</a>", self.get("/?text=").text)
        # Nor are they counted where that would take long.
        self.successResultOf(self.records.write(a_build("good", 2, Result.FAILURE)))
        more = [{"builder": f"b{each}", "tags": [], "slaves": []} for each in range(MOST_COUNTED)]
        self.master.answers["www"] = {"title": "A farm", "private": False, "builders": names}
        self.assertIn("<b>1</b> of 4 builders failing</a>", self.get("/?text=g").text)
        self.clock.advance(MOST_AGE)
        self.master.answers["www"] = {"title": "A farm", "private": False, "builders": [*names, *more]}
        self.assertNotIn(" failing</a>", self.get("/?text=good").text)

    def test_build(self) -> None:
        """
        The page of a build says once who asked for it; the templates of all pages can be compiled.
        """

        def change(connection: Connection) -> None:
            for number, reason in enumerate(("", "submitted through all", "pushed"), 1):
                a_build("linux", number, Result.SUCCESS)(connection)
                connection.execute(
                    update(schema.buildsets).where(schema.buildsets.c.id == number).values(reason=reason)
                )

        self.successResultOf(self.records.write(change))
        for number, asked in ((1, "all"), (2, "submitted through all"), (3, "all: pushed")):
            self.assertIn(f"<dt>Asked by</dt><dd>{asked} <span", self.get(f"/builders/linux/{number}").text)
        environment = self.view.templates._environment
        for name in environment.list_templates():
            environment.get_template(name)

    def test_slaves_of_older_master(self) -> None:
        """
        The slaves of a master of 0.1.0, which tells no state, and those that are known from the records alone, are
        shown with what is known.
        """
        told = [{"slave": "bot1", **SLAVE_OF_0_1_0}]
        self.master.answers["status"] = {**self.master.answers["status"], "slaves": told}
        for address in ("/", "/slaves", "/slaves/bot1"):
            self.assertRegex(
                self.get(address).text, 'class="slave(-state)? paused">.*>paused<|paused">paused<', address
            )
        del self.master.answers["status"]
        self.live.expire()
        self.successResultOf(self.records.write(lambda connection: slaves.pause(connection, "bot2", NOW)))
        for address in ("/slaves", "/slaves/bot2"):
            self.assertIn("bot2", self.get(address).text, address)
        self.assertIn("unknown", self.get("/slaves").text)

    def test_states_of_slaves(self) -> None:
        """
        Promise 10.1: each slave has its state as a word, and why, without its name; one that reconnects, until when its
        builds wait.  What its state says already is not repeated.
        """
        lost = {**SLAVE_OF_0_1_0, "slave": "bot1", "state": "reconnecting", "why": "bot1 is lost", "running": ["a/1"]}
        full = {**SLAVE_OF_0_1_0, "slave": "bot2", "state": "low-space", "why": "less than 1 GiB is free"}
        other = {**SLAVE_OF_0_1_0, "slave": "bot3", "state": "refused", "why": "it has another key", "running": ["a/2"]}
        paused = {**SLAVE_OF_0_1_0, "slave": "bot4", "state": "paused", "why": "bot4 is paused"}
        told = [{**lost, "grace_left": 90.0}, full, other, paused]
        self.master.answers["status"] = {**self.master.answers["status"], "slaves": told}
        until = moment(NOW + 90.0)
        for address in ("/", "/slaves"):
            text = self.get(address).text
            for said in (
                ">is lost",
                f"its builds wait until {until}",
                ">below minspace<",
                "less than 1 GiB is free",
            ):
                self.assertIn(said, text, address)
            self.assertIn("it has another key", text, address)
            self.assertNotIn("is paused", text, address)
        self.assertIn(f"its builds wait until {until}", self.get("/slaves/bot1").text)
        self.assertIn("below minspace (1)", self.get("/slaves").text)

    def test_hostile(self) -> None:
        """
        No name, reason or description can inject markup.
        """
        self.master.answers["www"] = {
            "title": HOSTILE,
            "private": False,
            "builders": [{"builder": HOSTILE, "description": HOSTILE, "tags": [HOSTILE], "slaves": [HOSTILE]}],
        }
        why = {"kind": "busy", "sentence": HOSTILE}
        waiting = {"request": 1, "builder": HOSTILE, "submitted": NOW, "why": why, "expected_start": None}
        self.master.answers["status"] = {"waiting": [waiting], "waiting_total": 1, "slaves": [], "running": []}
        self.successResultOf(self.records.write(a_build(HOSTILE, 1, Result.SUCCESS, slave=HOSTILE)))
        page = self.get("/").text
        self.assertNotIn("<script>", page)
        self.assertNotIn("\u202e", page)
        self.assertIn("&lt;script&gt;", page)

    def test_away(self) -> None:
        """
        While the master is away the page shows the records, and says since when.
        """
        self.live.know("www", {"title": "A farm", "private": False})
        self.master.away = True
        self.successResultOf(self.records.write(a_build("linux", 1, Result.SUCCESS)))
        answer = self.get("/")
        self.assertEqual(answer.status, 200)
        self.assertIn("The master has not answered since", answer.text)
        self.assertIn('href="builders/linux/1"', answer.text)

    def test_never_told(self) -> None:
        """
        What this process was never told is not known, and not nothing: neither on the farm's page nor in the queue.
        """
        self.live.know("www", {"title": "A farm", "private": False})
        self.master.away = True
        for page in (self.get("/").text, self.get("/queue").text):
            self.assertIn("not known: the master does not answer", page.replace("Not", "not"))
            self.assertNotIn("Nothing waits", page)
            self.assertNotIn("<b>0</b> waiting", page)
        self.assertNotIn("No slave is known", self.get("/").text)

    def test_filtered_by_slave(self) -> None:
        """
        Promise 10.1: the rows are those of the builders of the slave whose name, or of all in whose names, the text of
        the filter stands, however many slaves a builder has; it stands in the address and in the form.
        """
        builders = [{"builder": each, "tags": [], "slaves": [slave]} for each, slave in (("a", "bot1"), ("b", "bot2"))]
        many = {"builder": "m", "tags": [], "slaves": ["bot3"], "pool": 0}
        unknown = {"builder": "u", "tags": [], "slaves": ["bot3"], "pool": None}
        self.master.answers["www"] = {
            "title": "A farm",
            "private": False,
            "builders": [*builders, many, unknown],
            "slaves": ["bot1", "bot2", "bot20", "bot3"],
            "pools": [[2, 3]],
        }
        for text, shown in {"bot2": "bu", "bot20": "mu", "BOT2": "bmu", "t1": "au", "bot": "abmu", "x": "u"}.items():
            page = self.get(f"/?slave={text}").text
            found = [each for each in "abmu" if f'<th scope="row"><a href="builders/{each}"' in page]
            self.assertEqual("".join(found), shown, text)
        page = self.get("/?slave=bot2").text
        self.assertIn('<option value="bot20">', page)
        self.assertIn('href="builders/b"', page)
        self.assertNotIn('href="builders/a"', page)
        self.assertIn('name="slave" value="bot2"', page)

    def test_first_paint(self) -> None:
        """
        Promise 10.10: before the first paint of the farm's page, a browser needs one request beside it: its stylesheet.
        """
        page = self.get("/").text
        self.assertEqual(page.count('rel="stylesheet"'), 1)
        self.assertNotRegex(page, "<style|@import")
        scripts = re.findall("<script[^>]*>", page)
        self.assertTrue(scripts)
        for script in scripts:
            self.assertRegex(script, '^<script src="[^"]+" defer ')
        style = re.findall(r'href="\./(static/farm\.css[^"]+)"', page)
        self.assertNotIn("@import", self.get(f"/{style[0]}").text)

    def test_long_away(self) -> None:
        """
        A farm for everybody stays one, however long its master is away; what was the case is shown for an hour.
        """
        self.get("/")
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(self.live.answer("status")))["waiting_total"], 0)
        self.master.away = True
        self.clock.advance(MOST_AGE + 10)
        self.assertEqual(self.get("/").status, 200)
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(self.live.answer("status"))), {})

    def test_link_lost(self) -> None:
        """
        What the master said stays known when the link is lost in the middle of a question: a public farm is still one.
        """
        self.assertEqual(self.get("/").status, 200)
        self.clock.advance(2.0)
        self.master.cuts = True
        self.assertEqual(self.get("/?text=a").status, 200)
        self.master.away = True
        self.clock.advance(2.0)
        self.assertEqual(self.get("/?text=b").status, 200)

    def test_kept(self) -> None:
        """
        The same page is made once a second, whoever asks, and at once again after a change.
        """
        self.get("/")
        asked = len(self.master.asked)
        self.get("/")
        self.assertEqual(len(self.master.asked), asked)
        former = self.get("/builds").body
        self.successResultOf(self.records.write(a_build("linux", 1, Result.SUCCESS)))
        self.assertEqual(self.get("/builds", {"Cookie": f"a=b; {COOKIE}=made-up-by-somebody"}).body, former)
        self.live.expire()
        self.assertNotEqual(self.get("/builds").body, former)
        self.get("/")
        self.assertGreater(len(self.master.asked), asked)


class AnswerTests(PagesCase):
    """
    What every answer has.
    """

    def test_policy(self) -> None:
        """
        No page may run or load anything that is not ours, also one that is not there.
        """
        for path in ("/", "/nothing", "/static/farm.css"):
            answer = self.get(path)
            self.assertIn("default-src 'none'", answer.headers["content-security-policy"], path)
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff", path)

    def test_not_modified(self) -> None:
        """
        A client that has the page gets 304 without a body.
        """
        tag = self.get("/").headers["etag"]
        answer = self.get("/", {"If-None-Match": tag})
        self.assertEqual((answer.status, answer.body), (304, b""))

    def test_compressed(self) -> None:
        """
        A page is compressed for a client that takes that.
        """
        plain, packed = self.get("/"), self.get("/", {"Accept-Encoding": "gzip"})
        self.assertEqual(packed.headers["content-encoding"], "gzip")
        self.assertEqual(packed.text, plain.text)
        self.assertLess(len(packed.body), len(plain.body))

    def test_refusals(self) -> None:
        """
        An unknown address and a wrong method are answered with a sentence.
        """
        self.assertEqual(self.get("/nothing").status, 404)
        self.assertEqual(self.get("/", method="DELETE").status, 405)
        self.assertEqual(self.get("/static/../dispatcher.py").status, 404)
        self.assertEqual(self.get("/static/%2e%2e%2fdispatcher.py").status, 404)
        self.assertEqual(self.get("/%ff").status, 404)

    def test_numbers(self) -> None:
        """
        There is nothing at a number that no row can have, nor at a name that no file can have; nothing is logged.
        """
        for number in ("99999999999999999999", "9" * 5000, "\N{ARABIC-INDIC DIGIT THREE}"):
            for address in (f"/changes/{number}", f"/builders/linux/{number}", f"/packages/{number}"):
                self.assertEqual(self.get(quote(address)).status, 404, address[:50])
        self.assertEqual(self.get(f"/static/{'a' * 300}.css").status, 404)

    def test_defect(self) -> None:
        """
        A page with a defect leaves one traceback a minute in the log, however often it is asked for.
        """

        async def broken(view: FarmView, asked: PageRequest) -> Reply:
            raise ZeroDivisionError

        site = SiteRoot(Pages(self.view, [Route("/broken", broken)]).resource(), None)
        self.factory = make_factory(site, self.clock)
        self.factory.doStart()
        self.assertEqual([self.get("/broken").status for _ in range(5)], [500] * 5)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_keep_alive(self) -> None:
        """
        A connection serves several pages.
        """
        twice = b"GET /static/farm.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2
        self.assertEqual(self.send(twice).value().count(b"HTTP/1.1 200 OK"), 2)


class OlderMasterTests(PagesCase):
    """
    A master that does not tell what c['www'] says.
    """

    def test_told(self) -> None:
        """
        The page says that the master is older, and not that the farm is private, while nobody knows.
        """
        del self.master.answers["www"]
        answer = self.get("/")
        self.assertEqual(answer.status, 503)
        # The browser asks again by itself, and programs know when.
        self.assertEqual((answer.headers["retry-after"], answer.headers["refresh"]), ("5", "5"))
        self.assertIn("It is of an older version than the web process", answer.text)


class BoundedStoryTests(PagesCase):
    """
    What the page of a build shows beside its document.
    """

    def test_bounds(self) -> None:
        """
        Of very many commands, logs and remarks only some are read: the first ones, and the last remarks.
        """
        build = self.successResultOf(self.records.write(a_build("linux", 1, Result.SUCCESS)))

        def change(connection: Connection) -> None:
            for each in range(5):
                spec = {"spec": {"kind": "upload", "path": f"p{each}", "env": {f"V{each}": "1"}}}
                for ordinal, kind in ((2 * each, "other"), (2 * each + 1, "command")):
                    journal.begin(connection, build, 0, ordinal, kind=kind, fingerprint="f", intent=spec, now=NOW)
                streams.note(connection, build, 0, each, name="stdio", kind="log", path=f"{each}")
                remarks.add(connection, build, 0, log="stdio", offset=0, text=f"r{each}", now=NOW)

        self.successResultOf(self.records.write(change))
        for module, name in (
            (build_details, "MOST_COMMANDS"),
            (build_details, "MOST_STREAMS"),
            (build_details, "MOST_REMARKS"),
            (build_rows, "MOST_COMMANDS"),
        ):
            self.patch(module, name, 2)
        row = self.successResultOf(self.records.read(lambda connection: builds.get(connection, build)))
        assert row is not None
        story = self.successResultOf(self.records.read(lambda connection: build_details.of_build(connection, row)))
        self.assertEqual([each.workdir for each in story.commands[0]], ["p0", "p1"])
        self.assertEqual([each.path for each in story.logs[0]["stdio"]], ["0", "1"])
        self.assertEqual([each.text for each in story.remarks[0]], ["r3", "r4"])
        document = self.successResultOf(
            self.records.read(lambda connection: build_documents.of_one_build(connection, row))
        )
        self.assertEqual(document["environment"], ["V0", "V1"])


class WritingTests(PagesCase):
    """
    How values are written.
    """

    def test_segments(self) -> None:
        """
        Any name survives in an address.
        """
        for name in ("linux", "a/b", "a%2Fb", "a b", "ä", ".", "..", "%2E", "...", "%", "a?b#c"):
            once = unquote(segment(name))
            self.assertNotIn("/", segment(name))
            self.assertNotIn(once.lower(), {".", ".."})
            self.assertEqual(from_segment(once), name)

    def test_roots(self) -> None:
        """
        The way from a page to the first page.
        """
        cases = {"/": "./", "/queue": "./", "/builders/x": "../", "/builders/x/1": "../../"}
        self.assertEqual({path: root_of(path) for path in cases}, cases)

    def test_times_in_sentences(self) -> None:
        """
        A time in a sentence of the master is shown in the reader's own zone, like any other; what only looks like one,
        and markup, stays text.
        """
        at = "2026-11-30 12:00:01 +0100"
        element = '<time datetime="2026-11-30T11:00:01Z">2026-11-30 11:00:01 UTC</time>'
        self.assertEqual(str(told(f"<b> is away (since {at})")), f"&lt;b&gt; is away (since {element})")
        for other in ("2026-13-30 12:00:01 +0100", "2026-11-30 12:00:01", "12026-11-30 12:00:01 +0100", f"{at}5"):
            self.assertEqual(str(told(other)), other)

    def test_numbers(self) -> None:
        """
        Durations and sizes for people.
        """
        self.assertEqual(
            [duration(each) for each in (0.04, 61, 7500, 300_000)], ["0.0 s", "1 m 01 s", "2 h 05 m", "3 d 11 h"]
        )
        self.assertEqual([size(each) for each in (1, 2048, 5 << 30)], ["1 B", "2.0 KiB", "5.0 GiB"])
