"""
Records of requests and builds.
"""

from functools import partial

from buildbot_lite.errors import StorageError
from buildbot_lite.model.results import Result
from buildbot_lite.storage.records import (
    builds,
    buildsets,
    feed,
    inputs,
    journal,
    remarks,
    requests,
    steps,
    streams,
)

from .farm_case import FarmCase


class RequestTests(FarmCase):
    def test_submit(self) -> None:
        """
        A submission is a buildset and one request for each builder, with all given values.
        """
        input = self.do(lambda c: inputs.add(c, name="a.diff", kind="patch", length=3, sha256="0" * 64, now=1.0))
        submitted = self.do(
            lambda c: requests.submit(
                c,
                scheduler="try",
                builders=["one", "two"],
                reason="asked",
                now=2.0,
                source={"branch": "main"},
                properties={"owner": ["me", "Submit"]},
                input=input.id,
                priority=5,
            )
        )

        self.assertEqual([r.builder for r in submitted.requests], ["one", "two"])
        self.assertEqual(self.do(lambda c: buildsets.get(c, submitted.buildset.id)), submitted.buildset)
        self.assertEqual(self.do(requests.unfinished), list(submitted.requests))
        self.assertEqual(self.do(buildsets.unfinished), [submitted.buildset])
        self.assertEqual(self.do(lambda c: requests.get(c, 2)), submitted.requests[1])
        self.assertEqual(submitted.requests[0].priority, 5)
        self.assertEqual(self.do(lambda c: inputs.get(c, input.id)), input)

    def test_parent(self) -> None:
        """
        A journal entry submits its buildset once, however often it is replayed.
        """
        first, second = (
            self.do(
                lambda c: requests.submit(
                    c, scheduler="t", builders=["one", "two"], reason="r", now=2.0, parent="7.1.0"
                )
            )
            for _ in range(2)
        )

        self.assertEqual(first, second)
        self.assertEqual(len(self.do(requests.unfinished)), 2)
        self.assertEqual(self.do(lambda c: buildsets.by_parent(c, "7.1.0")), first.buildset)

    def test_finish(self) -> None:
        """
        A buildset ends with its last request, and has the worst of their results.
        """
        submitted = self.do(
            lambda c: requests.submit(c, scheduler="s", builders=["one", "two", "three"], reason="r", now=1.0)
        )
        one, two, three = (request.id for request in submitted.requests)

        self.assertIsNone(self.do(lambda c: requests.finish(c, two, Result.FAILURE, 5.0, "it failed")))
        self.assertIsNone(self.do(lambda c: requests.finish(c, one, Result.SUCCESS, 6.0)))
        self.assertEqual([r.id for r in self.do(requests.unfinished)], [three])
        whole = self.do(lambda c: requests.finish(c, three, Result.SUCCESS, 7.0))

        assert whole is not None
        self.assertEqual((whole.finished, whole.result), (7.0, Result.FAILURE))
        found = self.do(lambda c: requests.get(c, two))
        assert found is not None
        self.assertEqual((found.finished, found.result, found.reason), (5.0, Result.FAILURE, "it failed"))
        self.assertEqual(self.do(requests.unfinished), [])
        self.assertEqual(self.do(buildsets.unfinished), [])

    def test_finished_stays(self) -> None:
        """
        A finished request cannot be finished again, cancelled or retried.
        """
        request = self.request()
        self.do(lambda c: requests.finish(c, request.id, Result.SUCCESS, 5.0))

        self.assertIsNone(self.do(lambda c: requests.finish(c, request.id, Result.FAILURE, 6.0)))
        self.assertFalse(self.do(lambda c: requests.cancel(c, request.id, 6.0, "no")))
        self.assertFalse(self.do(lambda c: requests.requeue(c, request.id, 9.0)))
        self.assertFalse(self.do(lambda c: requests.cancel(c, 99, 6.0, "no such thing")))
        found = self.do(lambda c: requests.get(c, request.id))
        assert found is not None
        self.assertEqual((found.finished, found.result, found.retries), (5.0, Result.SUCCESS, 0))

    def test_cancel(self) -> None:
        """
        A cancelled request is finished, and so is its buildset.
        """
        request = self.request()

        self.assertTrue(self.do(lambda c: requests.cancel(c, request.id, 6.0, "by me")))
        found = self.do(lambda c: requests.get(c, request.id))
        whole = self.do(lambda c: buildsets.get(c, request.buildset))
        assert found is not None
        assert whole is not None
        self.assertEqual((found.result, found.reason), (Result.CANCELLED, "by me"))
        self.assertEqual(whole.result, Result.CANCELLED)

    def test_requeue(self) -> None:
        """
        A retried request counts its retries, and waits until its time.
        """
        request = self.request()
        for when in (30.0, 60.0):
            self.assertTrue(self.do(partial(requests.requeue, id=request.id, not_before=when)))

        (found,) = self.do(requests.unfinished)
        self.assertEqual((found.retries, found.not_before), (2, 60.0))

    def test_newest(self) -> None:
        """
        Requests are listed from the newest back, in pages.
        """
        for _ in range(5):
            self.request()

        self.assertEqual([r.id for r in self.do(lambda c: requests.newest(c, 2))], [5, 4])
        self.assertEqual([r.id for r in self.do(lambda c: requests.newest(c, 2, before=4))], [3, 2])
        self.assertEqual(len(self.do(lambda c: requests.of_buildset(c, 1))), 1)

    def test_unknown_input(self) -> None:
        """
        A submission cannot refer to a missing input.
        """
        failure = self.failureResultOf(
            self.records.write(
                lambda c: requests.submit(c, scheduler="s", builders=["one"], reason="r", now=1.0, input=99)
            )
        )
        self.assertIsInstance(failure.value, StorageError)
        self.assertEqual(self.do(requests.unfinished), [])


class BuildTests(FarmCase):
    def test_numbers(self) -> None:
        """
        Each builder numbers its builds from 1.
        """
        made = [self.build(self.request(builder)) for builder in ("one", "two", "one", "one")]

        self.assertEqual([(b.builder, b.number) for b in made], [("one", 1), ("two", 1), ("one", 2), ("one", 3)])
        self.assertEqual(self.do(lambda c: builds.by_number(c, "one", 2)), made[2])
        self.assertIsNone(self.do(lambda c: builds.by_number(c, "two", 2)))
        self.assertEqual(self.do(lambda c: builds.get(c, made[1].id)), made[1])

    def test_finish(self) -> None:
        """
        A build ends once; until then it is listed as unfinished.
        """
        first, second = self.build(), self.build()
        self.assertEqual(self.do(builds.unfinished), [first, second])

        self.assertTrue(self.do(lambda c: builds.finish(c, first.id, Result.WARNINGS, 9.0, "so")))
        self.assertFalse(self.do(lambda c: builds.finish(c, first.id, Result.SUCCESS, 10.0)))

        self.assertEqual(self.do(builds.unfinished), [second])
        found = self.do(lambda c: builds.get(c, first.id))
        assert found is not None
        self.assertEqual((found.result, found.finished, found.reason), (Result.WARNINGS, 9.0, "so"))

    def test_lists(self) -> None:
        """
        Builds are listed from the newest back, of one builder, of all builders, or of one request.
        """
        request = self.request("one")
        made = [self.build(request), self.build(self.request("two")), self.build(request)]

        self.assertEqual(self.do(builds.newest), made[::-1])
        self.assertEqual(self.do(lambda c: builds.newest(c, most=1, before=made[2].id)), [made[1]])
        self.assertEqual(self.do(lambda c: builds.newest(c, "one")), [made[2], made[0]])
        self.assertEqual(self.do(lambda c: builds.newest(c, "one", most=5, before=2)), [made[0]])
        self.assertEqual(self.do(lambda c: builds.of_request(c, request.id)), [made[0], made[2]])

    def test_properties(self) -> None:
        """
        A build's properties are stored completely.
        """
        build = self.build()
        self.do(lambda c: builds.save_properties(c, build.id, {"a": [[1, {"b": None}], "Step"]}))

        found = self.do(lambda c: builds.get(c, build.id))
        assert found is not None
        self.assertEqual(found.properties, {"a": [[1, {"b": None}], "Step"]})

    def test_missing_request(self) -> None:
        """
        A build cannot refer to a missing request.
        """
        failure = self.failureResultOf(
            self.records.write(
                lambda c: builds.start(c, request=99, builder="b", slave="s", nonce="0", generation="unknown", now=1.0)
            )
        )
        self.assertIsInstance(failure.value, StorageError)


class StepTests(FarmCase):
    def test_steps(self) -> None:
        """
        A step starts once and ends once, also when its build is replayed.
        """
        build = self.build().id
        self.assertTrue(self.do(lambda c: steps.start(c, build, 0, "compile", 1.0)))
        self.assertFalse(self.do(lambda c: steps.start(c, build, 0, "compile", 2.0)))
        self.assertTrue(
            self.do(lambda c: steps.finish(c, build, 0, Result.FAILURE, 3.0, summary="2 errors", hidden=True))
        )
        self.assertFalse(self.do(lambda c: steps.finish(c, build, 0, Result.SUCCESS, 4.0)))
        self.do(lambda c: steps.start(c, build, 1, "test", 5.0))

        self.assertEqual(
            self.do(lambda c: steps.of_build(c, build)),
            [
                steps.Step(build, 0, "compile", 1.0, 3.0, Result.FAILURE, "2 errors", hidden=True),
                steps.Step(build, 1, "test", 5.0),
            ],
        )


class JournalTests(FarmCase):
    def test_entries(self) -> None:
        """
        Journal entries are read back in order; an entry has no outcome before its end.
        """
        build = self.build().id
        for step, ordinal in ((1, 0), (0, 1), (0, 0)):
            self.do(
                partial(
                    journal.begin,
                    build=build,
                    step=step,
                    ordinal=ordinal,
                    kind="command",
                    fingerprint="f",
                    intent={"argv": ["a\x00b"]},
                    now=1.0,
                )
            )
        self.assertTrue(self.do(lambda c: journal.end(c, build, 0, 0, outcome=None, now=2.0)))

        found = self.do(lambda c: journal.of_build(c, build))
        self.assertEqual([(e.step, e.ordinal, e.ended) for e in found], [(0, 0, 2.0), (0, 1, None), (1, 0, None)])
        self.assertEqual(found[1].intent, {"argv": ["a\0b"]})

    def test_never_changed(self) -> None:
        """
        An intent or an outcome is never replaced (invariant I5).
        """
        build = self.build().id
        self.do(lambda c: journal.begin(c, build, 0, 0, kind="now", fingerprint="f", intent=1, now=1.0))
        self.do(lambda c: journal.end(c, build, 0, 0, outcome=[2], now=2.0))

        self.failureResultOf(
            self.records.write(lambda c: journal.begin(c, build, 0, 0, kind="now", fingerprint="g", intent=9, now=1.0)),
            StorageError,
        )
        self.assertFalse(self.do(lambda c: journal.end(c, build, 0, 0, outcome=[9], now=9.0)))
        self.assertFalse(self.do(lambda c: journal.end(c, build, 0, 1, outcome=[9], now=9.0)))
        self.assertEqual(
            self.do(lambda c: journal.of_build(c, build)),
            [journal.JournalRow(build, 0, 0, "now", "f", 1, 1.0, [2], 2.0)],
        )


class StreamTests(FarmCase):
    def test_streams(self) -> None:
        """
        A stream is recorded once and sealed with its length and checksum; when it is received again, it is open again.
        """
        build = self.build().id
        first = self.do(lambda c: streams.note(c, build, 0, 0, name="stdio", kind="log", path="1/stdio"))
        again = self.do(lambda c: streams.note(c, build, 0, 0, name="stdio", kind="log", path="elsewhere"))
        other = self.do(lambda c: streams.note(c, build, 1, 0, name="stdio", kind="log", path="1/other"))
        self.assertEqual(first, again)

        self.do(lambda c: streams.seal(c, first.id, 12, "5" * 64))
        self.assertEqual(
            self.do(lambda c: streams.of_build(c, build)),
            [streams.Stream(first.id, build, 0, 0, "stdio", "log", "1/stdio", 12, "5" * 64), other],
        )
        self.assertEqual(self.do(lambda c: streams.of_step(c, build, 1)), [other])

        self.do(lambda c: streams.move(c, first.id, "1/stdio~1"))
        self.assertEqual(
            self.do(lambda c: streams.get(c, first.id)),
            streams.Stream(first.id, build, 0, 0, "stdio", "log", "1/stdio~1"),
        )

    def test_remarks(self) -> None:
        """
        Remarks are read back in the order in which they were added.
        """
        build = self.build().id
        made = [
            self.do(partial(remarks.add, build=build, step=step, log="stdio", offset=5, text=text, now=1.0))
            for step, text in ((0, "link lost"), (0, "link is back"), (1, "killed"))
        ]

        self.assertEqual(self.do(lambda c: remarks.of_build(c, build)), made)
        self.assertEqual(self.do(lambda c: remarks.of_step(c, build, 0)), made[:2])


class FeedTests(FarmCase):
    def test_since(self) -> None:
        """
        A follower gets the events after its last one, in order, in pages, of all builds or of one.
        """
        attempts = [self.build() for _ in range(3)]
        made = [
            self.do(
                partial(
                    feed.publish,
                    kind="x",
                    now=float(n),
                    request=attempts[n // 2].request,
                    build=attempts[n // 2].id if n % 2 else None,
                    body={"n": [n]},
                )
            )
            for n in range(6)
        ]

        self.assertEqual(self.do(lambda c: feed.since(c, 0)), made)
        self.assertEqual(self.do(lambda c: feed.since(c, made[1].seq, most=2)), made[2:4])
        self.assertEqual(self.do(lambda c: feed.since(c, 0, request=attempts[1].request)), made[2:4])
        self.assertEqual(self.do(lambda c: feed.since(c, 0, build=attempts[1].id)), [made[3]])
        self.assertEqual(self.do(lambda c: feed.since(c, made[3].seq, build=attempts[1].id)), [])
        self.assertEqual(self.do(feed.last), made[-1].seq)

    def test_empty(self) -> None:
        """
        Before the first event, the last event's number is 0.
        """
        self.assertEqual(self.do(feed.last), 0)

    def test_numbers_are_not_reused(self) -> None:
        """
        Old events are deleted, the oldest first; event numbers are not reused.
        """
        for n in range(5):
            self.do(partial(feed.publish, kind="x", now=float(n)))

        self.assertEqual(self.do(lambda c: feed.prune(c, 3.0, most=2)), 2)
        self.assertEqual([e.at for e in self.do(lambda c: feed.since(c, 0))], [2.0, 3.0, 4.0])
        self.assertEqual(self.do(lambda c: feed.prune(c, 99.0)), 2)
        self.assertEqual(self.do(lambda c: feed.prune(c, 99.0)), 0)
        self.assertEqual([e.seq for e in self.do(lambda c: feed.since(c, 0))], [5])
        self.assertEqual(self.do(lambda c: feed.publish(c, "x", now=9.0)).seq, 6)
