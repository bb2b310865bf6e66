"""
Every endpoint, in memory.
"""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from buildbot_lite.storage.database import open_database
from buildbot_lite.storage.records import history, marks
from buildbot_lite.web.api.cursors import cursor
from buildbot_lite.web.html.rendering import segment
from test.storage.inline import InlineWriter

from ...seeded.files import DATABASE
from ...seeded.live_answers import LiveAnswers
from .api_case import BASE, SEEDING, ApiCase


class EndpointTests(ApiCase):
    """
    What each endpoint answers with.  Every answer is held against the description of the API.
    """

    def all_pages(self, address: str, field: str) -> list[Any]:
        """
        The entries of all pages of a list.
        """
        found: list[Any] = []
        sign = "&" if "?" in address else "?"
        page = self.call(address)
        while True:
            found += page[field]
            if page["next"] is None:
                return found
            page = self.call(f"{address}{sign}cursor={page['next']}")

    def newest(self) -> dict[str, Any]:
        """
        The newest build that ended.
        """
        builds: Sequence[dict[str, Any]] = self.call("/builds?limit=20")["builds"]
        return next(each for each in builds if each["result"] is not None)

    def test_farm(self) -> None:
        """
        The farm at a glance; while the master is away what it said last, and since when.
        """
        self.assertEqual(len(self.call("/farm")["slaves"]), SEEDING.slaves)
        self.master.away = True
        self.live.is_away()
        self.clock.advance(10)
        self.assertIsNotNone(self.call("/farm")["away_since"])

    def test_nothing_known(self) -> None:
        """
        When the master was never here, that is said; what the records have is there.
        """
        self.master.away = True
        self.live.know("www", {"private": False})
        for address in ("/farm", "/slaves/x", "/schedulers"):
            self.assertIn("does not answer", self.call(address, 503)["detail"])
        slaves = self.all_pages("/slaves?limit=4", "slaves")
        self.assertEqual([each["state"] for each in slaves], ["unknown"] * SEEDING.slaves)
        self.assertEqual(self.call(f"/slaves/{segment(slaves[0]['slave'])}"), slaves[0])
        self.assertEqual(len(self.all_pages("/builders", "builders")), len(SEEDING.builders))
        self.assertEqual(self.call("/packages/targets"), {"targets": []})

    def test_queue_before_any_answer(self) -> None:
        """
        When the master was never here, the queue has the requests that wait in the records; why, and where they stand,
        is not known.
        """
        told = {each["request"]: each for each in LiveAnswers(SEEDING).waiting()}
        self.master.away = True
        self.live.know("www", {"private": False})
        answer = self.call("/queue")
        self.assertIsNone(answer["total"])
        self.assertEqual([each["request"] for each in answer["queue"]], sorted(told))
        for each in answer["queue"]:
            self.assertEqual(each["submitted"], told[each["request"]]["submitted"])
            self.assertEqual((each["position"], each["why"]["kind"]), (None, "unknown"))
            self.assertIn("does not answer", each["why"]["sentence"])

    def test_builder_before_any_answer(self) -> None:
        """
        While nobody knows which builders are configured, a list of one that has nothing yet is empty, and not refused.
        """
        self.master.away = True
        self.live.know("www", {"private": False})
        for path in ("builds", "queue"):
            self.assertEqual(self.call(f"/{path}?builder=new")[path], [])

    def test_unknown_builder(self) -> None:
        """
        A list of the builds or requests of a builder that nobody knows is refused, and names the nearest; of one that
        has none it is empty, and so is that of a builder which is not configured, but has built.
        """
        builder = SEEDING.builders[0]
        for path in ("builds", "queue"):
            self.assertIn("There is no builder", self.call(f"/{path}?builder=nothing", 404)["detail"])
            self.assertIn(repr(builder), self.call(f"/{path}?builder={builder}x", 404)["detail"])
        self.assertEqual(self.call(f"/builds?builder={builder}&slave=nothing")["builds"], [])
        www = LiveAnswers(SEEDING).to("www")
        assert www is not None
        configured = [*www["builders"][1:], {"builder": "new", "tags": [], "slaves": []}]
        self.master.answers["www"] = {**www, "builders": configured}
        self.live.expire()
        self.clock.advance(3)
        self.assertEqual(self.call("/builds?builder=new")["builds"], [])
        for name in ("new", builder):
            self.assertEqual(self.call(f"/queue?builder={name}")["queue"], [])
        self.assertNotEqual(self.call(f"/builds?builder={builder}")["builds"], [])

    def test_builders(self) -> None:
        """
        Each builder, in pages, with its newest build; one by its name, whatever is in that.
        """
        builders = self.all_pages("/builders?limit=3", "builders")
        self.assertEqual([each["builder"] for each in builders], sorted(SEEDING.builders))
        for each in builders:
            self.assertEqual(self.call(f"/builders/{segment(each['builder'])}"), each)
        self.assertIn("There is no builder", self.call("/builders/nothing", 404)["detail"])

    def test_gone_builder(self) -> None:
        """
        Promise 10.5: a builder that master.cfg has no longer says so, as its page does; while the configuration is not
        known, nobody says.
        """
        answers = LiveAnswers(SEEDING)
        gone, *others = answers.builders()
        www = answers.to("www")
        self.master.answers["www"] = {**(www or {}), "builders": others}
        self.assertIs(self.call(f"/builders/{segment(gone['builder'])}")["configured"], False)
        self.assertIs(self.call(f"/builders/{segment(others[0]['builder'])}")["configured"], True)
        self.assertNotIn(gone["builder"], [each["builder"] for each in self.all_pages("/builders?limit=3", "builders")])
        self.master.away = True
        self.live.know("www", {"private": False})
        self.clock.advance(10)
        self.assertIsNone(self.call(f"/builders/{segment(gone['builder'])}")["configured"])

    def test_builds(self) -> None:
        """
        All builds, in pages, and filtered.
        """
        builds = self.all_pages("/builds?limit=7", "builds")
        self.assertEqual([each["id"] for each in builds], list(range(SEEDING.builds, 0, -1)))
        one = self.newest()
        for filter_, wanted in (
            (f"builder={quote(one['builder'])}", lambda each: each["builder"] == one["builder"]),
            (f"slave={quote(one['slave'])}", lambda each: each["slave"] == one["slave"]),
            ("result=FAILURE&result=running", lambda each: each["result"] in ("FAILURE", None)),
            (f"since={int(one['started'])}", lambda each: each["started"] >= int(one["started"])),
            (f"branch={quote(one['branch'])}", lambda each: each["branch"] == one["branch"]),
        ):
            found = self.all_pages(f"/builds?limit=9&{filter_}", "builds")
            self.assertEqual(found, [each for each in builds if wanted(each)], filter_)
            self.assertTrue(found)

    def test_filter_by_property(self) -> None:
        """
        Builds that have a property.
        """
        one = self.newest()
        address = f"/builds/{segment(one['builder'])}/{one['number']}"
        name, (value, _) = next(
            each for each in self.call(address)["properties"].items() if isinstance(each[1][0], str)
        )
        found = self.all_pages(f"/builds?property={quote(f'{name}={value}')}", "builds")
        self.assertIn(one["id"], [each["id"] for each in found])

    def test_pages_that_examine_much(self) -> None:
        """
        A page of a filter that nothing passes may be empty, and names the next.
        """
        self.patch(history, "LOOKED_AT", 10)
        page = self.call("/builds?slave=nothing")
        self.assertEqual(page["builds"], [])
        self.assertIsNotNone(page["next"])
        self.assertEqual(self.all_pages("/builds?slave=nothing", "builds"), [])

    def test_build(self) -> None:
        """
        One build with its steps and properties.
        """
        one = self.newest()
        address = f"/builds/{segment(one['builder'])}/{one['number']}"
        build = self.call(address)
        self.assertEqual({name: build[name] for name in one}, one)
        self.assertEqual(self.call(f"{address}/properties"), {"properties": build["properties"]})
        self.assertIn("There is no build", self.call(f"/builds/{segment(one['builder'])}/9999", 404)["detail"])

    def test_details(self) -> None:
        """
        Promise 10.5: what else the page of a build shows: its neighbours, the same changes elsewhere, its commands, its
        remarks.
        """
        builds = self.all_pages("/builds", "builds")
        for build in builds:
            found = self.call(f"/builds/{segment(build['builder'])}/{build['number']}/details")
            numbers = {each["number"] for each in builds if each["builder"] == build["builder"]}
            before = {each for each in numbers if each < build["number"]}
            self.assertEqual(found["previous"], max(before, default=None))
            self.assertEqual(found["next"], min(numbers - before - {build["number"]}, default=None))
            self.assertEqual(found["first_bad"] is not None, build["result"] in {"FAILURE", "EXCEPTION"})
            self.assertTrue(found["commands"])
            (number,) = found["changes"]
            requests = self.call(f"/changes/{number}")["requests"]
            others = {(each["builder"], each["number"]) for each in requests} - {(build["builder"], build["number"])}
            self.assertEqual({(each["builder"], each["number"]) for each in found["elsewhere"]}, others)
        self.call(f"/builds/{segment(builds[0]['builder'])}/9999/details", 404)

    def test_running(self) -> None:
        """
        A build that runs has what the master says of it, and a builder how long its builds take.
        """
        running = self.call("/farm")["running"][0]
        address = f"/builds/{segment(running['builder'])}/{running['number']}"
        for build in (self.call(address), self.call(f"/builds?builder={quote(running['builder'])}")["builds"][0]):
            self.assertEqual((build["waits_for"], build["expected_end"]), (None, running["expected_end"]))
        self.assertIsNone(self.newest()["expected_end"])
        self.assertGreater(self.call(f"/builders/{segment(self.newest()['builder'])}")["takes"], 0)
        self.master.away = True
        self.live.is_away()
        self.clock.advance(4000)
        self.assertIsNone(self.call(address)["expected_end"])

    def test_kept(self) -> None:
        """
        The builds that are kept, in pages, each with the reason.
        """
        writer = InlineWriter(open_database(str(self.farm / DATABASE)))
        self.addCleanup(writer.close)
        for build, because in ((3, "a release"), (7, "")):
            self.successResultOf(writer.write(partial(marks.keep, build=build, because=because)))
            self.addCleanup(writer.write, partial(marks.keep, build=build, because=None))
        kept = self.all_pages("/kept?limit=1", "kept")
        self.assertEqual([each["reason"] for each in kept], ["a release", ""])
        details = self.call(f"/builds/{segment(kept[0]['builder'])}/{kept[0]['number']}/details")
        self.assertEqual(details["why_kept"], "a release")

    def test_logs(self) -> None:
        """
        The logs of a build; their bytes, a range of these, and lines.
        """
        one = self.newest()
        of_build = f"/builds/{segment(one['builder'])}/{one['number']}"
        log = next(each for each in self.call(f"{of_build}/logs")["logs"] if each["length"])
        address = f"{of_build}/{log['raw']}"
        whole = self.call(address)
        self.assertEqual(len(whole), log["length"])
        self.assertEqual(self.call(address, 206, Range="bytes=5-9"), whole[5:10])
        self.assertIn("no bytes", self.call(address, 416, Range="bytes=999999999-")["detail"])
        self.assertEqual(self.get(BASE + address, method="HEAD").body, b"")
        lines: list[str] = []
        following: int | None = 1
        while following is not None:
            page = self.call(f"{address}/lines?first={following}&lines=50")
            lines += page["lines"]
            following = page["next"]
        self.assertEqual(lines, whole.decode("utf-8", "replace").removesuffix("\n").split("\n"))
        self.call(f"{of_build}/logs/0/nothing", 404)
        self.call(f"{of_build}/logs/99/stdio/lines", 404)

    def test_artifacts(self) -> None:
        """
        The artifacts of a build; their bytes cannot act as a page of the farm.
        """
        answers = []
        for build in self.call("/builds?limit=5")["builds"]:
            of_build = f"/builds/{segment(build['builder'])}/{build['number']}"
            for artifact in self.call(f"{of_build}/artifacts")["artifacts"]:
                stored = self.farm / "artifacts" / build["builder"] / str(build["number"]) / artifact["name"]
                answers.append((stored.exists(), artifact, f"{of_build}/{artifact['raw']}"))
        artifact, address = next((artifact, address) for exists, artifact, address in answers if exists)
        self.call(next(address for exists, _, address in answers if not exists), 404)
        self.assertEqual(len(self.call(address)), artifact["length"])
        answer = self.get(BASE + address)
        self.assertIn("sandbox", answer.headers["content-security-policy"])
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        self.assertTrue(answer.headers["content-disposition"].startswith("attachment"))
        self.assertIn("no artifact", self.call(f"{of_build}/artifacts/nothing", 404)["detail"])

    def test_queue(self) -> None:
        """
        Waiting requests in pages, each with its reason, as has the request itself.
        """
        waiting = self.all_pages("/queue?limit=2", "queue")
        self.assertEqual(len(waiting), SEEDING.waiting)
        told = sorted(LiveAnswers(SEEDING).waiting(), key=lambda each: each["request"])
        for name in ("request", "builder", "submitted", "why", "position", "expected_start"):
            self.assertEqual([each[name] for each in waiting], [each[name] for each in told], name)
        builder = told[0]["builder"]
        of_builder = self.all_pages(f"/queue?limit=1&builder={quote(builder)}", "queue")
        self.assertEqual(of_builder, [each for each in waiting if each["builder"] == builder])
        requests = self.all_pages("/requests?limit=20", "requests")
        self.assertEqual(
            [each["request"] for each in requests], sorted((each["request"] for each in requests), reverse=True)
        )
        with_builds = next(each for each in requests if each["builds"])
        self.assertEqual(self.call(f"/requests/{with_builds['request']}"), with_builds)
        self.call("/requests/999999", 404)

    def test_long_queue(self) -> None:
        """
        Promise 10.5: the queue has those requests, too, of which the master does not tell; it says so.
        """
        answers = LiveAnswers(SEEDING)
        status = answers.to("status")
        assert status is not None
        first = answers.waiting()[:2]
        for total, kind in ((SEEDING.waiting, "behind"), (2, "new")):
            self.master.answers["status"] = {"status": {**status["status"], "waiting": first, "waiting_total": total}}
            self.live.expire()
            self.clock.advance(3)
            waiting = self.all_pages("/queue?limit=2", "queue")
            self.assertEqual(len(waiting), SEEDING.waiting)
            self.assertEqual([each["position"] for each in waiting if each["position"]], [1, 2])
            kinds = {each["why"]["kind"] for each in waiting if each["position"] is None}
            self.assertEqual(kinds, {kind})

    def test_slaves(self) -> None:
        """
        The slaves in pages, and one by its name.
        """
        slaves = self.all_pages("/slaves?limit=4", "slaves")
        self.assertEqual(len(slaves), SEEDING.slaves)
        one = self.call(f"/slaves/{segment(slaves[-1]['slave'])}")
        self.assertEqual(one, {**slaves[-1], "attached": one["attached"]})
        self.call("/slaves/nothing", 404)

    def test_changes(self) -> None:
        """
        Changes in pages, and one by its number.
        """
        changes = self.all_pages("/changes?limit=3", "changes")
        self.assertEqual(self.call(f"/changes/{changes[0]['change']}"), changes[0])
        self.call("/changes/999999", 404)

    def test_packages(self) -> None:
        """
        Jobs of packages in pages and filtered, one by its number, and their targets.
        """
        jobs = self.all_pages("/packages/jobs?limit=6", "jobs")
        self.assertEqual(len(jobs), SEEDING.packages)
        self.assertEqual(self.call(f"/packages/jobs/{jobs[0]['job']}"), jobs[0])
        state = jobs[0]["state"]
        self.assertEqual(
            self.all_pages(f"/packages/jobs?state={state}", "jobs"), [each for each in jobs if each["state"] == state]
        )
        self.call("/packages/jobs/999999", 404)
        target = {"target": "sid", "kind": "Debian", "arches": ["amd64"], "paused": None, "jobs": {"building": 1}}
        stuck = {**target, "trouble": {"reason": "the disk is full.", "since": 1.0, "again": 31.0}}
        self.master.answers["package-targets"] = {"targets": [target, stuck]}
        self.clock.advance(2)
        old: dict[str, Any] = {"aliases": [], "trouble": None}
        self.assertEqual(self.call("/packages/targets")["targets"], [{**old, **target}, {**old, **stuck}])

    def test_others(self) -> None:
        """
        Schedulers and reporters.
        """
        self.assertTrue(self.call("/schedulers")["schedulers"])
        self.assertEqual(self.call("/reporters"), {"unsent": []})


class RulesTests(ApiCase):
    """
    What holds for all endpoints.
    """

    def test_parameters(self) -> None:
        """
        A parameter that is unknown, not of its kind, or given too often is refused by its name.
        """
        for address, said in (
            ("/builds?bulider=x", "'builder'"),
            ("/farm?x=1", "'x'"),
            ("/builds?limit=0", "limit='0' is not a whole number from 1 to 200"),
            ("/builds?limit=201", "limit"),
            ("/builds?limit=5&limit=6", "limit may be given once"),
            ("/builds?builder=", "builder"),
            ("/builds?result=good", "one of SUCCESS"),
            ("/builds?property=x", "NAME=VALUE"),
            ("/builds?since=-1", "since"),
            ("/builds?cursor=eA", "cursor"),
            (f"/builds?cursor={cursor('changes', 3)}", "cursor"),
            ("/builds/linux/x", "number"),
            ("/builds/linux/99999999999999999999999", "number"),
            ("/builds/linux/1?number=2", "'number'"),
            (f"/builds?builder={'x' * 9000}", "bytes"),
            ("/builds?" + "&".join(["property=a=b"] * 60), "parameters"),
        ):
            self.assertIn(said, self.call(address, 400)["detail"], address)

    def test_refusals(self) -> None:
        """
        Unknown addresses and methods that write are refused as problems, with the methods that are taken.
        """
        for path in ("/nothing", "/builds/x", "/builders/a/b/c"):
            answer = self.get(BASE + path)
            self.assertEqual((answer.status, answer.headers["content-type"]), (404, "application/problem+json"), path)
            self.assertEqual(json.loads(answer.body)["status"], 404)
        answer = self.get(f"{BASE}/farm", method="POST")
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"))
        self.assertEqual(answer.headers["content-type"], "application/problem+json")

    def test_not_modified(self) -> None:
        """
        A client that has the document gets no other; a HEAD is the head of the same answer.
        """
        answer = self.get(f"{BASE}/builds?limit=3")
        self.assertEqual(self.get(f"{BASE}/builds?limit=3", {"If-None-Match": answer.headers["etag"]}).status, 304)
        head = self.get(f"{BASE}/builds?limit=3", method="HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["content-length"], str(len(answer.body)))
        self.assertNotIn("access-control-allow-origin", answer.headers)

    def test_defect(self) -> None:
        """
        A defect is said in one sentence without details, and logged.
        """
        self.master.answers["status"] = {"waiting": None, "waiting_total": 0, "slaves": [], "running": []}
        answer = self.get(f"{BASE}/queue")
        self.assertEqual(answer.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.assertNotIn("TypeError", answer.text)

    def test_overview(self) -> None:
        """
        People read of all endpoints on a page, which is made from the same definitions as the description.
        """
        page = self.get(f"{BASE}/").text
        description = json.loads(self.get(f"{BASE}/openapi.json").text)
        for path in description["paths"]:
            self.assertIn(path, page)
        self.assertEqual(description, json.loads(json.dumps(self.document)))
