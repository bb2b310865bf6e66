"""
The pages of logs.
"""

import gc
import json
import os
import re
import zlib
from collections.abc import Mapping
from importlib import resources
from typing import Any
from unittest.mock import patch
from urllib.parse import quote
from weakref import WeakSet

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.results import Result
from buildbot_lite.storage.compressed_streams import compress
from buildbot_lite.storage.records import builds, journal, remarks, retention, states, steps, streams
from buildbot_lite.web.dispatcher import MOST_AT_ONCE
from buildbot_lite.web.farm.master_watch import FarmChange
from buildbot_lite.web.logs import stored_log
from buildbot_lite.web.logs.farm_logs import digest_of
from buildbot_lite.web.logs.log_reader import LogPart
from buildbot_lite.web.page_request import PageRequest
from buildbot_lite.web.pages.log_lines import GROUP
from buildbot_lite.web.serving.fair_places import Occupant

from .pages_case import CONTROL, NOW, Received, received
from .test_pages import HOSTILE, a_build
from .test_sessions import SessionCase

ADDRESS = "/builders/linux/1/steps/0/logs/stdio"


class FakePacking:
    """
    A compression that leaves everything as it is.
    """

    def compress(self, data: bytes) -> bytes:
        """
        The role of zlib's.
        """
        return data

    def flush(self) -> bytes:
        """
        Everything was compressed.
        """
        return b"the end"


class KeptWindowsTests(SynchronousTestCase):
    def test_key(self) -> None:
        """
        A window of a log with thousands of parts is kept by few bytes, which are others when the log grows.
        """
        parts = tuple(LogPart(f"streams/{number}", 100) for number in range(3000))
        self.assertEqual(len(digest_of(parts)), 32)
        self.assertEqual(digest_of(parts), digest_of(tuple(parts)))
        for other in (parts[:-1], (*parts[:-1], LogPart("streams/2999", 101)), (*parts[1:], parts[0])):
            self.assertNotEqual(digest_of(parts), digest_of(other))


class LogCase(SessionCase):
    """
    A build with one step, ``make``.
    """

    def setUp(self) -> None:
        super().setUp()
        self.build = self.write(a_build("linux", 1, None))
        self.write(lambda connection: steps.start(connection, self.build, 0, "make", NOW))
        self.ordinal = 0

    def write(self, change: Any) -> Any:
        """
        The result of a *change* of the records.
        """
        return self.successResultOf(self.records.write(change))

    def log(self, content: bytes, name: str = "stdio", *, step: int = 0) -> str:
        """
        Add a stream with *content* to the log *name* of *step*; the path of its file.
        """
        path = os.path.join(self.directory, str(self.ordinal), name.replace("/", "_"))
        os.makedirs(os.path.dirname(path))
        with open(path, "wb") as file:
            file.write(content)
        self.write(
            lambda connection: streams.note(
                connection,
                self.build,
                step,
                self.ordinal,
                name=name,
                kind="log",
                path=os.path.relpath(path, self.directory),
            )
        )
        self.ordinal += 1
        return path

    def lines(self, address: str) -> Received:
        """
        The answer to a follower for whom there is something.
        """
        transport = self.send(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.clock.pump([0.5, 0])
        return received(transport.value())

    def end(self) -> None:
        """
        End the step.
        """
        self.write(lambda connection: steps.finish(connection, self.build, 0, Result.SUCCESS, NOW))

    def tell(self, seq: int = 1) -> None:
        """
        The master tells that something changed.
        """
        self.news.tell(FarmChange(seq, None, frozenset(), ""))
        self.clock.pump([0, 0.5, 0])


class LogPagesTests(LogCase):
    """
    What the pages show.
    """

    def test_tail(self) -> None:
        """
        Promise 10.3: a log opens at its tail, with the numbers of its lines as links, and with links to older lines.
        """
        self.log(b"".join(b"line %d\n" % number for number in range(1, 2001)))
        page = self.get(ADDRESS).text
        self.assertIn('id="L2000"', page)
        self.assertIn(f' data-news="away" data-topic="build:{self.build}">', page)
        self.assertIn('href="?line=1501#L1501"', page)
        self.assertNotIn('id="L1500"', page)
        self.assertIn("line 2000", page)
        older = page.split('rel="prev" href="../../../../../../builders/linux/1/steps/0/logs/stdio?before=')[1].split(
            "#"
        )[0]
        page = self.get(f"{ADDRESS}?before={older}").text
        self.assertIn('id="L1500"', page)
        self.assertNotIn('id="L1501"', page)
        self.assertIn('id="L1"', self.get(f"{ADDRESS}?after=0").text)

    def test_groups(self) -> None:
        """
        Lines far from where the page opens are in groups of as many lines as its stylesheet says, which a browser need
        not lay out before it shows the page; those near it are not, nor are lines that come while somebody follows, nor
        the last ones, of which the last line may come again.
        """
        self.log(b"".join(b"line %d\n" % number for number in range(1, 2001)))
        for query, near in (
            ("", range(1901, 2001)),
            ("?before=1000", range(51, 131)),
            ("?after=0", range(1, 101)),
            ("?line=1000-1100", range(950, 1100)),
        ):
            page = self.get(f"{ADDRESS}{query}").text
            groups = re.findall(r'<div class="far">\n(.*?)\n</div>\n', page, re.DOTALL)
            lines = {int(each) for each in re.findall(r'id="L([0-9]+)"', page)}
            far = [{int(each) for each in re.findall(r'id="L([0-9]+)"', group)} for group in groups]
            self.assertGreater(len(groups), 0, query)
            self.assertEqual({len(each) for each in far}, {GROUP})
            last = sorted(lines)[-(len(lines) % GROUP or GROUP) :]
            self.assertEqual(lines - set().union(*far), lines & set(near) | set(last), query)
        with resources.files("buildbot_lite.web").joinpath("static/log.css").open() as file:
            self.assertIn(f"contain-intrinsic-block-size: auto {GROUP * 1.5:g}em", file.read())
        self.assertNotIn('class="far"', self.lines(f"{ADDRESS}/lines?after=0&length=0").text)

    def test_line(self) -> None:
        """
        ``line=`` opens around a line or a range of lines, which are marked.
        """
        self.log(b"".join(b"line %d\n" % number for number in range(1, 2001)))
        page = self.get(f"{ADDRESS}?line=1000-1002").text
        self.assertEqual(page.count('class="row marked"'), 3)
        self.assertIn('class="row marked" id="L1002"', page)
        self.assertIn('id="L950"', page)
        self.assertNotIn("has no line", page)
        self.assertIn("This log has no line 99999 yet", self.get(f"{ADDRESS}?line=99999").text)
        self.assertIn("This log has no line 2001 yet", self.get(f"{ADDRESS}?line=2001").text)
        self.assertNotIn("has no line", self.get(f"{ADDRESS}?line=2000").text)
        self.assertEqual(self.get(f"{ADDRESS}?line=<b>").status, 200)

    def test_line_after_long_ones(self) -> None:
        """
        A line is on its page also if the lines before it would fill that page.
        """
        self.log((b"x" * 10_000 + b"\n") * 100 + b"y" * 300_000 + b"\n")
        for number in (90, 101):
            self.assertIn(f'class="row marked" id="L{number}"', self.get(f"{ADDRESS}?line={number}").text)

    def test_hostile(self) -> None:
        """
        Nothing of a log, a remark, a name or a search becomes markup.
        """
        self.log(HOSTILE.encode() + b"\n\x1b[31m<img src=x>\xff\n", HOSTILE)
        self.log(b"other\n")
        self.write(
            lambda connection: remarks.add(connection, self.build, 0, log="stdio", offset=3, text=HOSTILE, now=NOW)
        )
        name = "%3Cscript%3Ealert(1)%3C%252Fscript%3E%22'%26%E2%80%AE"
        for address in (
            f"/builders/linux/1/steps/0/logs/{name}",
            f"/builders/linux/1/steps/0/logs/{name}?search=%3Cimg",
            f"{ADDRESS}?search=%3Cscript%3Ealert(1)",
            ADDRESS,
            "/builders/linux/1/steps/0/logs/%3Cscript%3E",
        ):
            page = self.get(address).text
            self.assertNotIn("<script>", page, address)
            self.assertNotIn("<img", page, address)
            self.assertNotIn("\u202e", page, address)

    def test_several(self) -> None:
        """
        A log is what all commands of its step wrote; other logs of the step are linked; remarks stand where they were
        made.
        """
        self.log(b"first\n")
        self.log(b"second\nthird\n")
        self.log(b"1 passed\n", "test.log")
        self.write(
            lambda connection: remarks.add(
                connection, self.build, 0, log="stdio", offset=13, text="bot1 is away", now=NOW
            )
        )
        page = self.get(ADDRESS).text
        places = [page.index(text) for text in ("first", "second", "bot1 is away", "third")]
        self.assertEqual(places, sorted(places))
        self.assertIn('href="../../../../../../builders/linux/1/steps/0/logs/test.log"', page)
        self.assertIn("1 passed", self.get("/builders/linux/1/steps/make/logs/test.log").text)

    def test_near(self) -> None:
        """
        Where text of the step itself stands before output of its commands, a remark is said to be near, and why.
        """
        for content in (b"of the step\n", b"of a command\n"):
            self.log(content)
        self.remark("away", 12)
        page = self.get(ADDRESS).text
        self.assertIn(", near here</span>", page)
        self.assertIn("some lines above or below", page)

    def test_exact(self) -> None:
        """
        Where a log has the output of commands alone, or what the step wrote comes last, remarks stand where they were
        made.
        """
        for ordinal in (0, 1):
            self.write(
                lambda connection, ordinal=ordinal: journal.begin(
                    connection, self.build, 0, ordinal, kind="command", fingerprint="", intent={}, now=NOW
                )
            )
        for content in (b"of a command\n", b"of another\n", b"of the step\n"):
            self.log(content)
        self.remark("away", 13)
        page = self.get(ADDRESS).text
        self.assertIn("away", page)
        self.assertNotIn("near here", page)

    def remark(self, text: str, offset: int) -> None:
        """
        Add a remark beside the log.
        """
        self.write(
            lambda connection: remarks.add(connection, self.build, 0, log="stdio", offset=offset, text=text, now=NOW)
        )

    def test_search(self) -> None:
        """
        A search finds lines of the whole log with their numbers, and goes on where it ended.
        """
        self.log(b"".join(b"%s %d\n" % (b"Error" if number % 4 == 0 else b"fine", number) for number in range(2000)))
        page = self.get(f"{ADDRESS}?search=error").text
        self.assertEqual(page.count("<mark>Error</mark>"), 200)
        self.assertIn('href="?line=797&amp;find=error#L797"', page)
        self.assertIn("200 lines; searched as far as", page)
        following = page.split("&amp;at=")[1].split('"')[0]
        page = self.get(f"{ADDRESS}?search=error&at={following}").text
        self.assertIn('href="?line=801&amp;find=error#L801"', page)
        self.assertIn("Nothing in the whole log", self.get(f"{ADDRESS}?search=error&case=1").text)
        page = self.get(f"{ADDRESS}?line=801&find=%3Cerror&case=1").text
        self.assertIn('data-search="?search=%3Cerror&amp;case=1" data-find="&lt;error" data-case', page)
        self.assertIn('<code id="marked">Error 800</code>', page)
        self.assertIn("1 to 200 characters", self.get(f"{ADDRESS}?search={'x' * 201}").text)

    def test_search_back(self) -> None:
        """
        A search goes back from a line, from the end, or from where another began, to the beginning of the log.
        """
        self.log(b"".join(b"%s %d\n" % (b"odd" if number % 2 else b"even", number) for number in range(1, 1001)))
        page = self.get(f"{ADDRESS}?search=odd&back=999").text
        self.assertEqual(page.count("<mark>odd</mark>"), 200)
        self.assertIn('href="?line=997&amp;find=odd#L997"', page)
        self.assertIn('href="?line=599&amp;find=odd#L599"', page)
        self.assertNotIn("odd#L999", page)
        self.assertLess(page.index("odd#L599"), page.index("odd#L997"))
        self.assertIn("200 lines here; searched back as far as", page)
        first = self.link(page, "prev")
        self.assertIn("odd#L199", second := self.get(first).text)
        page = self.get(self.link(second, "prev")).text
        self.assertIn("99 lines here, the first.", page)
        self.assertNotIn('rel="prev"', page)
        self.assertIn("odd#L199", self.get(self.link(page, "next")).text)
        self.assertIn("odd#L999", self.get(f"{ADDRESS}?search=odd&back=end").text)
        self.assertIn("Nothing before this place.", self.get(f"{ADDRESS}?search=odd&back=1").text)
        self.assertIn("Nothing in the whole log.", self.get(f"{ADDRESS}?search=none&back=end").text)
        self.assertIn("1 line here, the last.", self.get(f"{ADDRESS}?search=odd&at=998").text)
        self.assertIn("odd#L999", self.get(f"{ADDRESS}?search=odd&back=99999").text)
        for place in ("x", "1.2", "9" * 30, "-1", "1..2"):
            self.assertIn("200 lines; searched as far as", self.get(f"{ADDRESS}?search=odd&at={place}").text)

    def link(self, page: str, way: str) -> str:
        """
        The address of the link in this direction.
        """
        after = page.partition(f'rel="{way}" href="')[2]
        return ADDRESS + after.partition('"')[0].partition("stdio")[2].replace("&amp;", "&")

    def test_search_in_a_shorter_file(self) -> None:
        """
        Of a log whose file is gone, or shorter than its record says, it is said that the rest was not searched.
        """
        path = self.log(b"one odd line\n" * 10)
        self.write(lambda connection: streams.seal(connection, 1, 10_000, ""))
        page = self.get(f"{ADDRESS}?search=odd").text
        self.assertIn("10 lines; searched as far as 130 B of 9.8 KiB.", page)
        self.assertIn("What follows cannot be read", page)
        self.assertNotIn('rel="next"', page)
        page = self.get(f"{ADDRESS}?search=none").text
        self.assertIn("What follows cannot be read", page)
        self.assertNotIn("Nothing in the whole log", page)
        page = self.get(f"{ADDRESS}?search=odd&back=10000.11.0").text
        self.assertIn("What comes before cannot be read", page)
        self.assertNotIn('rel="prev"', page)
        os.unlink(path)
        page = self.get(f"{ADDRESS}?search=line").text
        self.assertIn("Nothing; searched as far as 0 B of 9.8 KiB.", page)
        self.assertIn("What follows cannot be read", page)

    def test_search_in_a_long_line(self) -> None:
        """
        What was found far from the beginning of its line is shown there, not at the beginning.
        """
        self.log(b"first\n" + b"x" * 10_000 + b"needle\n")
        page = self.get(f"{ADDRESS}?search=needle").text
        self.assertIn('href="?after=9906&amp;find=needle#L2"', page)
        self.assertIn("<i>…</i>" + "x" * 100 + "needle", self.get(f"{ADDRESS}?after=9906&find=needle").text)

    def test_follow(self) -> None:
        """
        New lines come as soon as the master tells of them, the last line again if it was not complete; at the end of
        the step it is said that nothing more comes.
        """
        path = self.log(b"one\ntw")
        page = self.get(ADDRESS).text
        self.assertIn("data-follow", page)
        self.assertIn('data-next="4" data-length="6"', page)
        layout = page.split('data-layout="')[1].split('"')[0]
        asked = f"GET {ADDRESS}/lines?after=4&length=6&remark=0&layout={layout} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        waiting = self.send(asked.encode())
        self.assertEqual(waiting.value(), b"")
        self.tell()
        self.assertEqual(waiting.value(), b"")
        with open(path, "ab") as file:
            file.write(b"o\nthree\n")
        self.tell(2)
        answer = received(waiting.value()).text
        self.assertIn("two", answer)
        self.assertIn("three", answer)
        self.assertIn('id="L3"', answer)
        self.assertNotIn("one", answer)
        self.assertNotIn("data-moved", answer)
        self.assertNotIn("data-ended", answer)
        waiting = self.send(asked.replace("after=4&length=6", "after=14&length=14").encode())
        self.end()
        self.tell(3)
        self.assertIn("data-ended", waiting.value().decode())

    def test_followers_share(self) -> None:
        """
        All who follow a log get the same new lines at the same time, twice a second at most; they are made once.
        """
        path = self.log(b"one\n")
        made: list[str] = []
        render = self.view.templates.render

        def count(template: str, context: Mapping[str, Any]) -> bytes:
            made.append(template)
            return render(template, context)

        self.patch(self.view.templates, "render", count)
        asked = f"GET {ADDRESS}/lines?after={{0}}&length={{0}}&remark=0 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for length in (4, 8):
            waiting = [self.send(asked.format(length).encode()) for _ in range(3)]
            with open(path, "ab") as file:
                file.write(b"two\n")
            self.news.tell(FarmChange(length, None, frozenset(), ""))
            self.clock.pump([0, 0, 0] if length == 4 else [0, 0.2, 0])
            self.assertEqual({bool(each.value()) for each in waiting}, {length == 4})
            self.clock.pump([0.2, 0])
            self.assertEqual({received(each.value()).text.count("two") for each in waiting}, {1})
        self.assertEqual(made, ["log_lines.html"] * 2)

    def test_followers_take_no_turns(self) -> None:
        """
        Promise 10.10: however many wait for new lines, also of one visitor, others get their pages.
        """
        self.log(b"one\n")
        asked = f"GET {ADDRESS}/lines?after=4&length=4&remark=0 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        waiting = [self.send(asked) for _ in range(3 * MOST_AT_ONCE)]
        self.assertEqual({each.value() for each in waiting}, {b""})
        self.assertEqual([self.get(path).status for path in ("/", ADDRESS)], [200, 200])
        self.end()
        self.tell()
        self.assertEqual({b"data-ended" in each.value() for each in waiting}, {True})

    def test_readers_of_threads_take_no_turns(self) -> None:
        """
        Promise 10.10: while strangers wait for searches in logs and for the places of lines, others get all pages, and
        a holder's question reaches the master.
        """
        self.log(b"x\n" * 100_000)
        cookie = self.entered()
        begun: list[Deferred[Any]] = []

        def never(function: object) -> Deferred[Any]:
            begun.append(Deferred())
            return begun[-1]

        self.patch(self.view.logs, "in_thread", never)
        self.patch(self.view.logs.numbers._indexes, "_in_thread", never)
        for stranger in ("192.0.2.1", "192.0.2.2"):
            for number in range(MOST_AT_ONCE):
                asked = f"search={stranger}-{number}" if number % 2 else f"line={90_000 + number}&of={stranger}"
                of = f"X-Forwarded-For: {stranger}\r\n"
                self.send(f"GET {ADDRESS}?{asked} HTTP/1.1\r\nHost: localhost:8010\r\n{of}\r\n".encode())
        self.assertEqual(len(begun), 3)  # two searches, and one file that is counted
        for path in ("/", "/about", "/enter", "/metrics", "/builders/linux", "/healthz", "/readyz", "/static/farm.css"):
            self.assertEqual(self.get(path).status, 200, path)
        self.post("/do/cancel", {"request": "12"}, cookie)
        self.assertIn("cancel", [question["ask"] for _, question in self.holders.asked])

    def test_more_remarks_than_shown(self) -> None:
        """
        With more remarks than are shown, a page that was made before the newest one is not given again.
        """
        self.patch(stored_log, "MOST_REMARKS", 2)
        self.log(b"one\n")
        for number in range(3):
            self.remark(f"remark {number}", 4)
            self.tell(number)
            self.live.changed()
            page = self.get(ADDRESS).text
            shown = [each for each in range(3) if f"remark {each}" in page]
            self.assertEqual(shown, list(range(number + 1))[-2:])

    def test_follow_a_remark(self) -> None:
        """
        A remark comes though its log does not grow.
        """
        self.log(b"one\n")
        waiting = self.send(
            f"GET {ADDRESS}/lines?after=4&length=4&remark=0 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )
        self.write(
            lambda connection: remarks.add(connection, self.build, 0, log="stdio", offset=4, text="away", now=NOW)
        )
        self.tell()
        self.assertIn("away", waiting.value().decode())

    def test_follow_without_news(self) -> None:
        """
        While the master is away, a log is looked at every two seconds; after some time without news there is an answer
        without lines.
        """
        path = self.log(b"one\n")
        request = f"GET {ADDRESS}/lines?after=4&length=4&remark=0 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        waiting = self.send(request)
        with open(path, "ab") as file:
            file.write(b"two\n")
        self.clock.pump([0.5] * 4)
        self.assertIn("two", waiting.value().decode())
        waiting = self.send(request.replace(b"after=4&length=4", b"after=8&length=8"))
        self.clock.pump([0.5] * 60)
        self.assertIn(b"200 OK", waiting.value())

    def test_made_up_layout(self) -> None:
        """
        A follower with a layout that nobody told it gets the lines, however many digits the layout has.
        """
        self.log(b"one\n")
        for layout in ("", "x", "9" * 5000, "-1.2", "²."):
            address = f"{ADDRESS}/lines?after=0&length=0&remark=0&layout={quote(layout)}"
            self.assertIn("data-moved", self.lines(address).text, layout[:10])

    def test_moved(self) -> None:
        """
        A follower whose offsets are not right any more, because the log comes in another file, is told.
        """
        path = self.log(b"one\n")
        page = self.get(ADDRESS).text
        layout = page.split('data-layout="')[1].split('"')[0]
        self.log(b"two\n")
        self.clock.advance(10)
        address = f"{ADDRESS}/lines?after=4&length=4&remark=0&layout={layout}"
        self.assertNotIn("data-moved", self.lines(address).text)
        [stream, _] = self.write(lambda connection: streams.of_step(connection, self.build, 0))
        os.rename(path, f"{path}.1")
        self.write(lambda connection: streams.move(connection, stream.id, f"{stream.path}.1"))
        self.clock.advance(10)
        self.assertIn("data-moved", self.lines(address).text)

    def test_raw(self) -> None:
        """
        The bytes of a log are sent as they are, as a file, in ranges, or compressed; never as something that a browser
        would run.
        """
        content = b"".join(b"<script>%d</script>\n" % number for number in range(20_000))
        compress(self.log(content))
        self.end()
        transport = self.send(f"GET {ADDRESS}/raw HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.clock.pump([0.1] * 10)
        whole = received(transport.value())
        self.assertEqual((whole.status, whole.body), (200, content))
        self.assertEqual(whole.headers["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(whole.headers["x-content-type-options"], "nosniff")
        self.assertIn('attachment; filename="linux-1-make-stdio.txt"', whole.headers["content-disposition"])
        part = self.get(f"{ADDRESS}/raw", {"Range": "bytes=300000-300009"})
        self.assertEqual((part.status, part.body), (206, content[300_000:300_010]))
        self.assertEqual(part.headers["content-range"], f"bytes 300000-300009/{len(content)}")
        self.assertEqual(self.get(f"{ADDRESS}/raw", {"Range": "bytes=-5"}).body, content[-5:])
        self.assertEqual(self.get(f"{ADDRESS}/raw", {"Range": "bytes=99999999-"}).status, 416)
        old = {"Range": "bytes=0-4", "If-Range": '"old"'}
        self.assertEqual(self.get(f"{ADDRESS}/raw", old, method="HEAD").status, 200)
        self.assertEqual(self.get(f"{ADDRESS}/raw", {"If-None-Match": whole.headers["etag"]}).status, 304)
        packed = self.send(f"GET {ADDRESS}/raw HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n".encode())
        self.clock.pump([0.1] * 10)
        answer = received(packed.value())
        self.assertEqual(answer.headers["content-encoding"], "gzip")
        self.assertEqual(answer.text, content.decode())
        self.assertEqual(self.get(f"{ADDRESS}/raw?offset=10&size=20").body, content[10:30])
        self.assertEqual(self.get(f"{ADDRESS}/raw", method="HEAD").body, b"")

    def test_packing(self) -> None:
        """
        Promise 10.10: only some downloads are compressed at a time, because that takes memory until the client has read
        them; others are sent as they are, and compressed again when one of the former has ended.
        """
        self.log(b"x" * (1 << 20))
        self.view.logs.packing.most = 1
        request = f"GET {ADDRESS}/raw HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n".encode()
        first, second = self.send(request), self.send(request)
        self.assertIn(b"Content-Encoding: gzip", first.value())
        self.assertNotIn(b"Content-Encoding", second.value())
        self.assertIn(b"Content-Length: 1048576", second.value())
        for each in self.connections:
            each.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.view.logs.packing.taken, 0)
        self.assertIn(b"Content-Encoding: gzip", self.send(request).value())

    def test_packing_shared(self) -> None:
        """
        Promise 10.10: one visitor has at most half of the places; others get the rest.
        """
        self.log(b"x" * (1 << 20))
        self.view.logs.packing.most = 4
        request = f"GET {ADDRESS}/raw HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n".encode()
        packed = [b"Content-Encoding: gzip" in self.send(request).value() for _ in range(3)]
        with patch.object(PageRequest, "occupant", Occupant.at("192.0.2.1")):
            packed += [b"Content-Encoding: gzip" in self.send(request).value() for _ in range(3)]
        self.assertEqual(packed, [True, True, False] * 2)
        for each in self.connections:
            each.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.view.logs.packing.taken, 0)

    def test_packing_ends(self) -> None:
        """
        Promise 10.10: the memory of a compression is free when its client has gone, or has everything, and does not
        wait for the garbage collector.
        """
        living: WeakSet[FakePacking] = WeakSet()

        def begin(*arguments: object, **options: object) -> FakePacking:
            living.add(packing := FakePacking())
            return packing

        gc.disable()
        self.addCleanup(gc.enable)
        self.patch(zlib, "compressobj", begin)
        self.log(b"x" * (1 << 20))
        request = f"GET {ADDRESS}/raw HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n".encode()
        self.send(request)
        self.assertEqual(len(living), 1)
        self.connections[-1].connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(living), 0)
        transport = self.send(request)
        self.clock.pump([0.1] * 10)
        self.assertIn(b"the end", transport.value())
        self.assertEqual(len(living), 0)

    def test_backpressure(self) -> None:
        """
        While a client does not read, nothing is read for it.
        """
        self.log(b"x" * (1 << 20))
        transport = self.send(f"GET {ADDRESS}/raw HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        first = len(transport.value())
        self.assertLessEqual(first, 300 << 10)
        producer: Any = transport.producer
        producer.pauseProducing()
        self.clock.pump([0.1] * 10)
        self.assertEqual(len(transport.value()), first)
        producer.resumeProducing()
        self.clock.pump([0.1] * 10)
        self.assertTrue(transport.value().endswith(b"x" * (1 << 20)))

    def test_hung_up(self) -> None:
        """
        When the client hangs up, its files are closed.
        """
        self.log(b"x" * (1 << 20))
        self.send(f"GET {ADDRESS}/raw HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.assertEqual(len(self.view.logs.shared._files), 1)
        self.connections[-1].connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(self.view.logs.shared._files), 0)
        self.clock.pump([0.1] * 10)

    def test_removed(self) -> None:
        """
        The page of a log that retention removed says so, as the API does of its lines and of a search in it.
        """
        self.end()
        self.write(lambda connection: builds.finish(connection, self.build, Result.SUCCESS, NOW))
        self.write(lambda connection: states.put(connection, retention.OWNER, {"logs_up_to": self.build}, NOW))
        answer = self.get(ADDRESS)
        self.assertEqual(answer.status, 410)
        self.assertIn("were removed", answer.text)
        self.assertEqual(self.get(f"{ADDRESS}/raw").status, 404)
        for what in ("lines", "search?text=a", "search?text=a&back=1"):
            answer = self.get(f"/api/v1/builds/linux/1/logs/0/stdio/{what}")
            self.assertEqual(answer.status, 404, what)
            self.assertIn("The logs of linux/1 were removed (c['retention']).", json.loads(answer.text)["detail"])

    def test_nothing_there(self) -> None:
        """
        A log without output is empty, also while its step runs; unknown builds, steps and logs are answered with 404.
        """
        self.assertIn("Nothing was written yet", self.get(ADDRESS).text)
        self.end()
        self.clock.advance(10)
        self.assertIn("This log is empty", self.get(ADDRESS).text)
        for address in (
            "/builders/linux/2/steps/0/logs/stdio",
            "/builders/linux/1/steps/7/logs/stdio",
            "/builders/linux/1/steps/0/logs/x",
            "/builders/linux/x/steps/0/logs/stdio",
        ):
            self.assertEqual(self.get(address).status, 404, address)


class RevokedTests(LogCase):
    """
    A private farm, and the session of a holder whose grant is revoked.
    """

    def setUp(self) -> None:
        super().setUp()
        self.master.answers["www"] = {**self.master.answers["www"], "private": True}
        self.log(b"x" * (1 << 20))
        self.tell()
        self.headers = "".join(f"{name}: {value}\r\n" for name, value in self.entered().items())

    def asked(self, path: str) -> StringTransport:
        """
        The answer to the holder.
        """
        return self.send(f"GET {ADDRESS}/{path} HTTP/1.1\r\nHost: localhost\r\n{self.headers}\r\n".encode())

    def revoke(self) -> None:
        """
        The master tells that the holder's grant is revoked.
        """
        self.news.tell(FarmChange(1, frozenset(), frozenset([7]), ""))

    def test_strangers(self) -> None:
        """
        Nobody else reads a log.
        """
        for path in ("", "/raw", "/lines", "?search=x"):
            self.assertIn(self.get(f"{ADDRESS}{path}").status, {401, 403}, path)

    def test_following(self) -> None:
        """
        Promise 10.7: who follows a log is refused as soon as the grant is revoked.
        """
        waiting = self.asked(f"lines?after={1 << 20}&length={1 << 20}")
        self.assertEqual(waiting.value(), b"")
        self.revoke()
        self.clock.advance(0)
        self.assertIn(received(waiting.value()).status, {401, 403})

    def test_became_private(self) -> None:
        """
        Promise 10.7: when the farm becomes private, who follows or downloads a log without a grant is cut off, and who
        has one is not.
        """
        private = self.master.answers["www"]
        self.master.answers["www"] = {**private, "private": False}
        self.now_told()
        ours = self.asked("raw")
        self.headers = ""
        waiting = self.asked(f"lines?after={1 << 20}&length={1 << 20}")
        theirs = self.asked("raw")
        self.assertIn(b"200 OK", theirs.value())
        self.assertEqual(waiting.value(), b"")
        self.master.answers["www"] = private
        self.now_told()
        self.assertEqual((ours.disconnected, theirs.disconnected), (False, True))
        for each in (-1, -3):
            self.connections[each].connectionLost(Failure(ConnectionDone()))
        self.news.tell(FarmChange(2, frozenset(), frozenset(), ""))
        self.clock.advance(0)
        self.assertIn(received(waiting.value()).status, {401, 403})

    def now_told(self) -> None:
        """
        The master is asked again what ``c['www']`` says.
        """
        self.successResultOf(Deferred.fromCoroutine(self.live.answer("www", fresh=0.0)))

    def test_expired(self) -> None:
        """
        Promise 10.7: a download and a stream of events are cut when the grant expires.
        """
        self.holders.grants[CONTROL] = {**self.holders.grants[CONTROL], "expires": self.wall() + 100}
        bearer = f"Authorization: Bearer {CONTROL}\r\n"
        for address in (f"{ADDRESS}/raw", "/api/v1/events"):
            transport = self.send(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n".encode())
            if address.endswith("/raw"):
                producer: Any = transport.producer
                producer.pauseProducing()
            self.clock.pump([33.0] * 3)
            self.assertIn(b"200 OK", transport.value())
            self.assertFalse(transport.disconnected, address)
            self.clock.advance(1.0)
            self.assertTrue(transport.disconnected, address)
            self.connections[-1].connectionLost(Failure(ConnectionDone()))
            self.holders.grants[CONTROL] = {**self.holders.grants[CONTROL], "expires": self.wall() + 100}

    def test_while_it_is_found(self) -> None:
        """
        Promise 10.7: a download does not begin when the grant was revoked while the log was looked for.
        """
        read, waiting = self.records.read, Deferred[None]()
        self.patch(self.records, "read", lambda query: waiting.addCallback(lambda _: read(query)))
        transport = self.asked("raw")
        del self.holders.grants[CONTROL]
        self.revoke()
        waiting.callback(None)
        self.assertTrue(transport.disconnected)
        self.connections[-1].connectionLost(Failure(ConnectionDone()))

    def test_downloading(self) -> None:
        """
        Promise 10.7: a download is cut when the grant is revoked.
        """
        transport = self.asked("raw")
        self.assertIn(b"200 OK", transport.value())
        self.assertFalse(transport.disconnected)
        self.revoke()
        self.assertTrue(transport.disconnected)
        self.connections[-1].connectionLost(Failure(ConnectionDone()))
