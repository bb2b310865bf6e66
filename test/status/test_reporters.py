"""
Reporters: which messages are stored, and how they are sent.
"""

import hashlib
import hmac
import json
import os
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from unittest import mock

from attrs import define, evolve, field
from sqlalchemy import Connection, select
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.config.loading import load
from buildbot_lite.master.config.mistakes import MistakesError
from buildbot_lite.master.scheduling.code_time import CodeTime
from buildbot_lite.model.change import Change
from buildbot_lite.model.results import Result
from buildbot_lite.model.source_stamps import source_of
from buildbot_lite.model.time_limit import OverdueError
from buildbot_lite.plugins import reporters, util
from buildbot_lite.status import outbox_documents
from buildbot_lite.status.reporters import details as of
from buildbot_lite.status.reporters import smtp
from buildbot_lite.status.reporters.calls import LONGEST_WORK
from buildbot_lite.status.reporters.commit_status import GitHubStatusPush, project_of
from buildbot_lite.status.reporters.details import MOST_CHANGES, BuildDetails, FarmFacts
from buildbot_lite.status.reporters.http import SIGNATURE, HttpStatusPush
from buildbot_lite.status.reporters.loop import AGAIN, ReporterLoop
from buildbot_lite.status.reporters.mail import MailNotifier
from buildbot_lite.status.reporters.reading import LARGEST_MESSAGE
from buildbot_lite.status.reporters.reporter import Outside, Reporter
from buildbot_lite.status.reporters.reporters import Reporters
from buildbot_lite.status.reporters.sending import GIVE_UP_AFTER, LONGEST_PAUSE
from buildbot_lite.storage import schema
from buildbot_lite.storage.records import (
    builds,
    changes,
    feed,
    generations,
    outbox,
    requests,
    states,
    steps,
    streams,
)
from test.storage.inline import InlineWriter

from ..master.configurations import write
from ..master.test_function_limits import hang
from ..wire.tub_case import FARM_KEY
from .mail_server import OneConversation, ReceivedMails, mail_server

T = TypeVar("T")
NOW = 1_000_000.0
REVISION = "1" * 40


@define
class ConfigStub:
    """
    The part of a configuration that reporters read.
    """

    builders: dict[str, Any] = field(factory=dict)


@define
class HttpStub:
    """
    Answers requests with *answers*, then with *status*, and remembers them.
    """

    status: int = 200
    answers: list[Deferred[tuple[int, bytes]]] = field(factory=list)
    requests: list[tuple[str, str, dict[str, str], Any]] = field(factory=list)

    def request(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Deferred[tuple[int, bytes]]:
        """
        As `Outside.request`.
        """
        self.requests.append((method, url, headers, json.loads(body)))
        if self.answers:
            return self.answers.pop(0)
        return succeed((self.status, b"said \x1b[31mred"))


class ReportersCase(SynchronousTestCase):
    """
    Records in which a test makes builds, and the loop of one reporter.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.logs = self.mktemp()
        self.records = InlineWriter()
        self.addCleanup(self.records.close)
        self.http = HttpStub()
        self.outside = Outside(
            in_thread=maybeDeferred, request=self.http.request, secret=lambda name: f"value of {name}", origin="me"
        )
        self.builds = 0
        self.do(lambda c: generations.keep(c, "9" * 64, 1.0))

    def do(self, change: Callable[[Connection], T]) -> T:
        """
        The result of *change*.
        """
        result: T = self.successResultOf(self.records.write(change))
        return result

    def loop(self, reporter: Reporter) -> ReporterLoop:
        """
        The running loop of *reporter*.
        """
        loop = ReporterLoop(
            reporter,
            records=self.records,
            config=ConfigStub,  # type: ignore[arg-type]  # a part of one
            facts=lambda: FarmFacts("Farm of ours", "https://farm.example.org/", self.logs),
            outside=self.outside,
            clock=self.clock,
            wall=self.clock.seconds,
            budget=CodeTime(self.clock).of("reporter"),
        )
        loop.start()
        self.addCleanup(loop.stop)
        unsubscribe = self.records.on_commit(lambda events: loop.wake())
        self.addCleanup(unsubscribe)
        return loop

    def submit(self, *builders: str, source: dict[str, Any] | None = None, author: str | None = None, **of: Any) -> Any:
        """
        A buildset for *builders*, of a change by *author*.
        """
        source = source or {"repository": "git@example.org:group/project.git", "branch": "main", "revision": REVISION}

        def change(connection: Connection) -> Any:
            submitted = requests.submit(
                connection, scheduler="s", builders=builders, reason="changed", now=self.clock.seconds(), source=source
            )
            if author is not None:
                made = Change(author=author, source="poller", comments="one\ntwo", revision=str(self.builds), **of)
                recorded, _ = changes.add(connection, made, 1.0)
                changes.add_to_buildset(connection, submitted.buildset.id, [recorded.id])
            return submitted

        return self.do(change)

    def begin(self, request: requests.Request) -> builds.Build:
        """
        The build of *request* begins.
        """
        self.builds += 1

        def change(connection: Connection) -> builds.Build:
            build = builds.start(
                connection,
                request=request.id,
                builder=request.builder,
                slave="bot1",
                nonce="0" * 32,
                generation="9" * 64,
                now=self.clock.seconds(),
                properties={"buildername": [request.builder, "Build"]},
            )
            feed.publish(connection, "build.started", now=self.clock.seconds(), request=request.id, build=build.id)
            return build

        return self.do(change)

    def end(self, build: builds.Build, result: Result, log: bytes = b"") -> None:
        """
        The build ends; its step "compile" ends with the same *result* and wrote *log*.
        """
        now = self.clock.seconds()
        if log:
            os.makedirs(self.logs, exist_ok=True)
            with open(os.path.join(self.logs, "log"), "wb") as file:
                file.write(log)

        def change(connection: Connection) -> None:
            steps.start(connection, build.id, 0, "compile", now)
            if log:
                stream = streams.note(connection, build.id, 0, 0, name="stdio", kind="log", path="log")
                streams.seal(connection, stream.id, len(log), "5" * 64)
            steps.finish(connection, build.id, 0, result, now, summary="make: 2 errors")
            builds.finish(connection, build.id, result, now)
            body = {"result": int(result)}
            feed.publish(connection, "build.finished", now=now, request=build.request, build=build.id, body=body)
            requests.finish(connection, build.request, result, now)
            feed.publish(connection, "request.finished", now=now, request=build.request, body=body)

        self.do(change)
        self.clock.advance(1)

    def run_one(self, result: Result, builder: str = "b", **more: Any) -> builds.Build:
        """
        One build of *builder* from its submission to its end.
        """
        build = self.begin(self.submit(builder, **more).requests[0])
        self.end(build, result)
        return build

    def stored(self) -> list[Any]:
        """
        The messages in the outbox.
        """
        rows = self.do(lambda c: c.execute(select(schema.outbox.c.body).order_by(schema.outbox.c.id)).all())
        return [json.loads(body) for (body,) in rows]


def mail_notifier(**more: Any) -> Reporter:
    """
    A MailNotifier whose server is not there.
    """
    made: Reporter = reporters.MailNotifier("farm@example.org", relayhost="localhost", smtpPort=1, **more)
    return made


class GeneratorTests(ReportersCase):
    """
    Which builds lead to a message.
    """

    def test_modes(self) -> None:
        """
        Promise 8.8: each mode chooses by the result, "change" and "problem" also by the result before it.
        """
        history = [Result.SUCCESS, Result.FAILURE, Result.FAILURE, Result.WARNINGS, Result.EXCEPTION, Result.CANCELLED]
        wanted = {
            "passing": [0],
            "failing": [1, 2],
            "problem": [1],
            "warnings": [3],
            "exception": [4],
            "cancelled": [5],
            "change": [1, 3, 4, 5],
        }
        made = [self.run_one(result) for result in history]
        facts = FarmFacts("", None, self.logs)
        found = [self.do(lambda c, b=build: of.of_build(c, facts, b.id)) for build in made]  # type: ignore[misc]  # lambda
        for mode, numbers in wanted.items():
            generator = reporters.BuildStatusGenerator(mode=mode)
            self.assertEqual([n for n, each in enumerate(found) if generator.wants(each, ())], numbers, mode)
        every = reporters.BuildStatusGenerator(mode="all")
        self.assertEqual([n for n, each in enumerate(found) if every.wants(each, ())], list(range(6)))

    def test_build_that_just_began(self) -> None:
        """
        A build whose properties are not recorded yet has those that say which it is.
        """
        build = self.run_one(Result.SUCCESS)
        found = self.do(lambda c: of.of_build(c, FarmFacts("", None, self.logs), build.id))
        assert found is not None
        found.build = evolve(found.build, properties={})
        self.assertEqual(
            [found.view.getProperty(name) for name in ("buildername", "buildnumber", "slavename")],
            [build.builder, build.number, build.slave],
        )

    def test_selections(self) -> None:
        """
        Builders, tags, schedulers and branches each choose; together all must match.
        """
        build = self.run_one(Result.FAILURE, source={"branch": "main"})
        found = self.do(lambda c: of.of_build(c, FarmFacts("", None, self.logs), build.id))
        rows: list[tuple[dict[str, Any], bool]] = [
            ({}, True),
            ({"builders": ["b"]}, True),
            ({"builders": ["c"]}, False),
            ({"tags": ["fast"]}, True),
            ({"tags": ["slow"]}, False),
            ({"schedulers": ["s"]}, True),
            ({"schedulers": ["t"]}, False),
            ({"branches": ["main"]}, True),
            ({"branches": ["release", None]}, False),
            ({"builders": ["b"], "branches": ["release"]}, False),
        ]
        for arguments, matches in rows:
            generator = reporters.BuildStatusGenerator(**arguments)
            self.assertEqual(generator.wants(found, ["fast"]), matches, arguments)

    def test_one_mail_for_a_buildset(self) -> None:
        """
        With buildSetSummary there is one message when the last build of a buildset has ended.
        """
        self.loop(mail_notifier(buildSetSummary=True, extraRecipients=["team@example.org"]))
        submitted = self.submit("a", "b")
        first, second = [self.begin(request) for request in submitted.requests]
        self.end(first, Result.SUCCESS)
        self.assertEqual(self.stored(), [])
        self.end(second, Result.FAILURE)

        (message,) = self.stored()
        self.assertIn("1 of 2 builds failed", message["subject"])
        self.assertIn("b/1", message["text"])


class LoopTests(ReportersCase):
    """
    From events to the outbox, and out of it.
    """

    def test_nothing_of_the_past(self) -> None:
        """
        A new reporter tells nothing of builds that ended before it was there.
        """
        self.run_one(Result.FAILURE)
        self.loop(mail_notifier(extraRecipients=["team@example.org"]))
        self.assertEqual(self.stored(), [])

    def test_none_lost_over_a_restart(self) -> None:
        """
        Promise 8.8: a build that ends while no reporter runs is told of afterwards, once.
        """
        reporter = mail_notifier(extraRecipients=["team@example.org"])
        self.loop(reporter).stop()
        self.run_one(Result.FAILURE)
        self.assertEqual(self.stored(), [])
        for _ in range(3):
            self.loop(reporter).stop()

        self.assertEqual(len(self.stored()), 1)

    def test_back_off(self) -> None:
        """
        Promise 8.8: a message that cannot be sent is tried again after longer and longer times, with its key, and is
        dropped after three days, which status says; that a build began is never told after its end.
        """
        self.http.status = 503
        self.loop(reporters.HttpStatusPush("http://localhost/"))
        self.run_one(Result.SUCCESS)
        (failing,) = self.do(outbox_documents.of_reporters)
        self.assertEqual(failing["failure"], "localhost answered 503: said ?[31mred")
        for _ in range(10):
            self.clock.advance(LONGEST_PAUSE)
        attempts = len(self.http.requests)
        self.assertLess(attempts, 20)
        self.assertEqual(len({each[2]["Idempotency-Key"] for each in self.http.requests}), 1)
        self.http.status = 200
        self.clock.advance(LONGEST_PAUSE)
        self.clock.advance(LONGEST_PAUSE)
        self.assertEqual(self.stored(), [])
        results = [each[3]["builds"][0]["result"] for each in self.http.requests]
        self.assertEqual(results, [*[None] * (attempts + 1), "SUCCESS"])

        self.http.status = 503
        self.run_one(Result.SUCCESS)
        for _ in range(int(GIVE_UP_AFTER / LONGEST_PAUSE) + 2):
            self.clock.advance(LONGEST_PAUSE)
        self.assertEqual(self.stored(), [])
        (given_up,) = self.do(outbox_documents.of_reporters)
        self.assertEqual((given_up["messages"], given_up["next"]), (2, None))
        self.assertIn("answered 503", given_up["failure"])
        self.flushLoggedErrors()

    def test_status_of_a_commit(self) -> None:
        """
        Promise 8.8: of two builds of the same commit, the status of the later one is the last that is set.
        """
        self.http.status = 503
        self.loop(reporters.GitHubStatusPush(util.Secret("token")))
        self.run_one(Result.FAILURE)
        self.run_one(Result.SUCCESS)
        self.http.status = 200
        self.clock.pump([LONGEST_PAUSE] * 3)
        sent = [each[3]["state"] for each in self.http.requests]
        self.assertEqual(sent[-4:], ["pending", "failure", "pending", "success"])

    def test_away_for_long(self) -> None:
        """
        Promise 8.8: events are read while a receiver does not answer: nothing stays unread for as long as that takes.
        """
        loop = self.loop(reporters.HttpStatusPush("http://localhost/"))
        first: Deferred[tuple[int, bytes]] = Deferred()
        self.http.answers = [first, Deferred()]
        for _ in range(2):
            self.run_one(Result.SUCCESS)
        first.callback((503, b""))
        self.assertEqual(len(self.stored()), 4)
        self.assertEqual(self.do(lambda c: states.get(c, loop._calls.owner)), {"seq": self.do(feed.last)})

    def test_stopped_while_sending(self) -> None:
        """
        A reporter that is stopped while it sends ends: it sends nothing more, and counts no failure.
        """
        loop = self.loop(reporters.HttpStatusPush("http://localhost/"))
        self.http.answers = [Deferred()]
        self.begin(self.submit("b").requests[0])
        loop.stop()
        self.clock.pump([LONGEST_PAUSE] * 3)
        self.assertEqual((len(self.http.requests), len(self.stored())), (1, 1))
        self.assertEqual(self.do(outbox_documents.of_reporters), [])

    def test_code_of_others(self) -> None:
        """
        Promise 8.8: whatever code of master.cfg raises, and whatever no JSON can hold, ends no reporter.
        """

        class Lookup:
            def getAddress(self, name: str) -> Any:
                raise KeyError(name)

        def format_it(context: dict[str, Any]) -> Any:
            return {1, 2} if context["build"]["number"] == 1 else {"n": context["build"]["number"]}

        function = reporters.MessageFormatterFunction(format_it, "json")
        generator = reporters.BuildStatusGenerator(message_formatter=function)
        self.loop(reporters.HttpStatusPush("http://localhost/", generators=[generator]))
        self.loop(mail_notifier(lookup=Lookup()))
        for _ in range(2):
            self.run_one(Result.FAILURE, author="A <a@example.org>")
        self.assertEqual([each[3] for each in self.http.requests], [{"n": 2}])
        self.assertEqual(self.do(outbox_documents.of_reporters), [])

    def test_status_of_a_class_of_ones_own(self) -> None:
        """
        Promise 8.8: a class of one's own, whose message about a build has no subject, is told of the next build.
        """

        class OwnStatus(GitHubStatusPush):
            async def compose(self, builds: Any, message: Any) -> Any:
                status = await super().compose(builds, message)
                return {} if builds[0].build.number == 1 else status

        self.loop(OwnStatus(util.Secret("token")))
        for _ in range(2):
            self.run_one(Result.SUCCESS)
        self.assertEqual([each[3]["state"] for each in self.http.requests], ["pending", "success"])

    def test_reporter_reads_the_clock_late(self) -> None:
        """
        A message that becomes due just after the loop looked is sent a second later, not only at the next event.
        """
        self.http.status = 503
        generator = reporters.BuildStatusGenerator()
        loop = self.loop(reporters.HttpStatusPush("http://localhost/", generators=[generator]))
        self.run_one(Result.SUCCESS)
        self.http.status = 200
        (due,) = self.do(lambda c: c.execute(select(schema.outbox.c.not_before)).scalars().all())
        times = iter([due - 0.001])
        loop._sending._wall = lambda: next(times, due)
        loop.wake()
        self.assertEqual(len(self.http.requests), 1)
        self.clock.advance(1.0)
        self.assertEqual((len(self.http.requests), self.stored()), (2, []))

    def test_body_of_another_reporter(self) -> None:
        """
        A message that a reporter of another kind composed under the same name delays no other.
        """
        self.http.status = 503
        self.loop(reporters.HttpStatusPush("http://localhost/", name="r")).stop()
        loop = self.loop(reporters.HttpStatusPush("http://localhost/", name="r"))
        self.run_one(Result.SUCCESS)
        loop.stop()
        self.http.status = 200
        self.loop(reporters.GitHubStatusPush(util.Secret("token"), name="r"))
        self.run_one(Result.SUCCESS)
        self.assertEqual(self.http.requests[-1][3]["state"], "success")
        (unsent,) = self.do(outbox_documents.of_reporters)
        self.assertEqual(unsent["failure"], "localhost answered 503: said ?[31mred")
        self.clock.pump([LONGEST_PAUSE])
        (unsent,) = self.do(outbox_documents.of_reporters)
        self.assertIn("KeyError", unsent["failure"])

    def test_large_document(self) -> None:
        """
        Promise 8.8: authors of changes cannot have the farm store documents of any size, nor keep others from being
        told of a build by long texts.
        """
        self.loop(reporters.HttpStatusPush("http://localhost/", generators=[reporters.BuildStatusGenerator()]))
        submitted = self.submit("b")

        def change(connection: Connection) -> None:
            for number in range(MOST_CHANGES + 10):
                long: dict[str, Any] = {"comments": "\u2028" * 60_000, "files": ("ä" * 4000,) * 50}
                made = Change(author="a", source="s", revision=str(number), **long)
                recorded, _ = changes.add(connection, made, 1.0)
                changes.add_to_buildset(connection, submitted.buildset.id, [recorded.id])

        self.do(change)
        self.end(self.begin(submitted.requests[0]), Result.FAILURE)
        document = self.http.requests[-1][3]
        self.assertLess(len(json.dumps(document)), LARGEST_MESSAGE)
        found = document["builds"][0]["changes"]
        self.assertEqual([each["revision"] for each in found], [str(number) for number in range(10, MOST_CHANGES + 10)])

    def test_refused_for_good(self) -> None:
        """
        A message that the receiver never takes is dropped at once.
        """
        self.http.status = 422
        self.loop(reporters.HttpStatusPush("http://localhost/", generators=[reporters.BuildStatusGenerator()]))
        self.run_one(Result.SUCCESS)
        self.assertEqual((len(self.http.requests), self.stored()), (1, []))

    def test_lookup_that_never_answers(self) -> None:
        """
        Promise 8.8: a lookup that never answers loses its own mail, and the next one is sent.
        """
        waiting: list[Deferred[str]] = []

        class Lookup:
            def getAddress(self, name: str) -> Any:
                if name == "ghost":
                    waiting.append(Deferred())
                    return waiting[-1]
                return "a@example.org"

        self.loop(mail_notifier(lookup=Lookup()))
        self.run_one(Result.FAILURE, author="ghost")
        self.run_one(Result.FAILURE, author="a")
        self.assertEqual((len(waiting), self.stored()), (1, []))
        self.clock.advance(LONGEST_WORK)
        self.assertEqual([each["to"] for each in self.stored()], [["a@example.org"]])

    def test_sending_that_never_ends(self) -> None:
        """
        Promise 8.8: what is sent and never answered is tried again.
        """
        self.http.answers = [Deferred()]
        self.loop(reporters.HttpStatusPush("http://localhost/", generators=[reporters.BuildStatusGenerator()]))
        self.run_one(Result.SUCCESS)
        self.clock.advance(LONGEST_WORK)
        (failing,) = self.do(outbox_documents.of_reporters)
        self.assertIn("did not end within 5 min", failing["failure"])
        self.clock.advance(LONGEST_PAUSE)
        self.assertEqual((len(self.http.requests), self.stored()), (2, []))

    def test_token_that_may_not(self) -> None:
        """
        Promise 8.8: forges answer 404 to a token that may not set a status: that is said, and tried again.
        """
        self.http.status = 404
        generators = [reporters.BuildStatusGenerator()]
        self.loop(reporters.GitHubStatusPush(util.Secret("token"), generators=generators))
        self.run_one(Result.SUCCESS)
        (failing,) = self.do(outbox_documents.of_reporters)
        self.assertRegex(
            failing["failure"], r"^api.github.com answered 404: .*; is the token allowed to set the status"
        )
        self.http.status = 201
        self.clock.advance(LONGEST_PAUSE)
        self.assertEqual((len(self.http.requests), self.stored()), (2, []))

    def test_template_that_fails(self) -> None:
        """
        A template that fails for a build is logged, and the next event is considered.
        """
        formatter = reporters.MessageFormatter(template="{{ build.number / (build.number - 1) }}")
        generator = reporters.BuildStatusGenerator(message_formatter=formatter)
        self.loop(mail_notifier(generators=[generator], extraRecipients=["team@example.org"]))
        self.run_one(Result.SUCCESS)
        self.run_one(Result.SUCCESS)
        self.assertEqual([each["text"] for each in self.stored()], ["2.0"])

    def test_own_method_that_never_returns(self) -> None:
        """
        A method of a class that master.cfg derives is ended, and its message tried again; the loop goes on.
        """

        class Own(HttpStatusPush):
            tries = 0

            async def send(self, message: Any, outside: Any) -> None:
                self.tries += 1
                if self.tries == 1:
                    hang()
                await super().send(message, outside)

        self.loop(Own("http://localhost/", generators=[reporters.BuildStatusGenerator()]))
        self.run_one(Result.SUCCESS)
        (failing,) = self.do(outbox_documents.of_reporters)
        self.assertRegex(failing["failure"], r"^Own\.send \(send, test_reporters\.py line \d+\) was ended, because")
        self.clock.advance(LONGEST_PAUSE)
        self.assertEqual((len(self.http.requests), self.stored()), (1, []))

    def test_own_message_that_never_ends(self) -> None:
        """
        A message that is composed without end is dropped, and the next event is considered; also one about a slave.
        """

        class Own(MailNotifier):
            async def compose(self, builds: Any, message: Any) -> Any:
                return hang() if builds[0].build.number == 1 else await super().compose(builds, message)

            def compose_missing(self, farm: Any, slave: str, since: Any, notify: Any) -> Any:
                return hang()

        generators = [reporters.BuildStatusGenerator(), reporters.WorkerMissingGenerator()]
        self.loop(Own("farm@example.org", extraRecipients=["team@example.org"], generators=generators))
        self.run_one(Result.SUCCESS)
        absence = {"slave": "bot1", "since": None, "notify": ["a@example.org"]}
        self.do(lambda c: feed.publish(c, "slave.missing", now=1.0, body=absence))
        self.run_one(Result.SUCCESS)
        self.assertEqual(len(self.stored()), 1)

    def test_interrupted_loop(self) -> None:
        """
        An interruption at any place of the loop does not end it.
        """
        generator = reporters.BuildStatusGenerator()
        loop = self.loop(reporters.HttpStatusPush("http://localhost/", generators=[generator]))
        with mock.patch.object(loop._sending, "send_some", side_effect=OverdueError):
            self.run_one(Result.SUCCESS)
        self.assertTrue(self.flushLoggedErrors(OverdueError))
        self.clock.advance(AGAIN)
        self.assertEqual((len(self.http.requests), self.stored()), (1, []))


class MissingSlaveTests(ReportersCase):
    """
    Slaves that stay away.
    """

    def test_mail(self) -> None:
        """
        The addresses in notify_on_missing get one mail for each absence, unless no generator is for that slave.
        """
        body = {"slave": "bot1", "since": 5.0, "notify": ["Admin <admin@example.org>", "no address"]}
        for generators, expected in (
            (None, [["admin@example.org"]]),
            ([reporters.WorkerMissingGenerator(["bot2"])], []),
            ([reporters.BuildStatusGenerator()], []),
        ):
            loop = self.loop(mail_notifier(generators=generators))
            self.do(lambda c: feed.publish(c, "slave.missing", now=1.0, body=body))
            self.clock.advance(1)
            loop.stop()
            self.assertEqual([each["to"] for each in self.stored()], expected)
            self.do(lambda c: outbox.drop_all_but(c, []))


class HttpTests(ReportersCase):
    """
    JSON documents and commit statuses.
    """

    def test_signed_document(self) -> None:
        """
        The document of a build is signed with the secret over exactly its bytes, which are sorted JSON.
        """
        push = reporters.HttpStatusPush(
            "http://localhost/hook", secret=util.Secret("hook"), auth=("me", util.Secret("password"))
        )
        self.loop(push)
        self.run_one(Result.FAILURE)
        starting, (method, url, headers, document) = self.http.requests
        body = json.dumps(document, sort_keys=True).encode()

        self.assertEqual((method, url), ("POST", "http://localhost/hook"))
        self.assertEqual(headers[SIGNATURE], "sha256=" + hmac.new(b"value of hook", body, hashlib.sha256).hexdigest())
        self.assertEqual(headers["Authorization"], "Basic bWU6dmFsdWUgb2YgcGFzc3dvcmQ=")
        (build,) = document["builds"]
        self.assertEqual((build["builder"], build["number"], build["result"]), ("b", 1, "FAILURE"))
        self.assertEqual(build["steps"][0]["summary"], "make: 2 errors")
        self.assertIsNone(starting[3]["builds"][0]["result"])
        self.assertNotIn("value of", json.dumps(self.stored()))

    def test_forges(self) -> None:
        """
        Promise 8.8: a commit status for each builder, at the beginning and at the end, with the step that failed.
        """
        token = util.Secret("token")
        rows: list[tuple[Any, str, dict[str, str], list[tuple[str, str]]]] = [
            (
                reporters.GitHubStatusPush(token),
                f"https://api.github.com/repos/group/project/statuses/{REVISION}",
                {"Authorization": "token value of token"},
                [("state", "pending"), ("state", "failure"), ("context", "buildbot/b"), ("context", "buildbot/b")],
            ),
            (
                reporters.GiteaStatusPush("https://git.example.org/", token),
                f"https://git.example.org/api/v1/repos/group/project/statuses/{REVISION}",
                {"Authorization": "token value of token"},
                [("state", "pending"), ("state", "failure"), ("context", "buildbot/b"), ("context", "buildbot/b")],
            ),
            (
                reporters.GitLabStatusPush(token, context=util.Interpolate("ci/%(prop:buildername)s")),
                f"https://gitlab.com/api/v4/projects/group%2Fproject/statuses/{REVISION}",
                {"Private-Token": "value of token"},
                [("state", "running"), ("state", "failed"), ("name", "ci/b"), ("ref", "main")],
            ),
        ]
        for reporter, url, headers, fields in rows:
            self.http.requests.clear()
            loop = self.loop(reporter)
            build = self.run_one(Result.FAILURE)
            loop.stop()
            starting, ended = self.http.requests
            self.assertEqual({starting[1], ended[1]}, {url})
            self.assertEqual({name: ended[2][name] for name in headers}, headers)
            self.assertEqual(
                [starting[3][fields[0][0]], ended[3][fields[1][0]], ended[3][fields[2][0]]],
                [value for _, value in fields[:3]],
            )
            self.assertEqual(ended[3][fields[3][0]], fields[3][1])
            self.assertEqual(ended[3]["description"], "failed (compile: make: 2 errors)")
            self.assertEqual(ended[3]["target_url"], f"https://farm.example.org/builders/b/{build.number}")

    def test_repository_of_no_forge(self) -> None:
        """
        Builds without a commit, or of a repository that has no owner and name, set no status.
        """
        self.loop(reporters.GitHubStatusPush(util.Secret("token")))
        sources = [
            {"repository": "https://example.org/a/../../b", "revision": REVISION},
            {"repository": "https://github.com/a/b", "revision": "main; rm"},
            {"repository": "", "revision": REVISION},
            {"repository": "https://github.com/a b/c?x=y", "revision": REVISION},
        ]
        for source in sources:
            self.run_one(Result.SUCCESS, source=source)
        self.assertEqual(self.http.requests, [])

    def test_project(self) -> None:
        """
        The project is found in each form of an address.
        """
        rows = {
            "https://github.com/a/b": "a/b",
            "https://github.com/a/b.git/": "a/b",
            "git@github.com:a/b.git": "a/b",
            "ssh://git@example.org:22/a/b/c.git": "a/b/c",
            "https://github.com/a": None,
            "/srv/git/a": None,
            "git@github.com:a/-b": None,
        }
        self.assertEqual({address: project_of(address) for address in rows}, rows)

    def test_descriptions(self) -> None:
        """
        StartDescription and endDescription are rendered with the build's properties.
        """
        self.loop(
            reporters.GitHubStatusPush(
                util.Secret("token"), startDescription="begun", endDescription=util.Interpolate("%(prop:buildername)s!")
            )
        )
        self.run_one(Result.SUCCESS)
        self.assertEqual([each[3]["description"] for each in self.http.requests], ["begun", "b!"])

    def test_builders(self) -> None:
        """
        With *builders*, only their builds are reported.
        """
        token = util.Secret("token")
        for kind, make in {
            "GitHub": partial(reporters.GitHubStatusPush, token),
            "GitLab": partial(reporters.GitLabStatusPush, token),
            "Gitea": partial(reporters.GiteaStatusPush, "https://git.example.org/", token),
            "HTTP": partial(reporters.HttpStatusPush, "http://localhost/"),
        }.items():
            for builders, count in ((["b"], 2), (["other"], 0)):
                with self.subTest(kind=kind, builders=builders):
                    self.http.requests.clear()
                    loop = self.loop(make(builders=builders))
                    self.run_one(Result.SUCCESS)
                    loop.stop()
                    self.assertEqual(len(self.http.requests), count)

    def test_arguments(self) -> None:
        """
        A token in master.cfg, a token over plain HTTP, and unchecked certificates are mistakes.
        """
        for make in (
            lambda: reporters.GitHubStatusPush(""),
            lambda: reporters.GiteaStatusPush("http://git.example.org/", util.Secret("t")),
            lambda: reporters.GitHubStatusPush(util.Secret("t"), verify=False),
            lambda: reporters.HttpStatusPush("file:///etc/passwd"),
            lambda: reporters.HttpStatusPush("https://example.org/", builders="b"),
            lambda: reporters.HttpStatusPush("https://example.org/", builders=["b"], generators=[]),
            lambda: reporters.MailNotifier("farm@example.org", messageFormatter=lambda build: "text"),
            lambda: reporters.MailNotifier("farm@example.org", smtpUser="me", smtpPassword=""),
            lambda: reporters.MailNotifier("nobody"),
            lambda: reporters.MailNotifier("farm@example.org", mode=["sometimes"]),
            lambda: reporters.MailNotifier("farm@example.org", subject="{{ unclosed"),
        ):
            with self.assertRaises(ConfigError):
                make()

    def test_beside_generators(self) -> None:
        """
        Promise 8.13: an argument that says which builds, or what is said of them, is a mistake beside generators, where
        it would have no effect; so is one that asks for logs.
        """
        generators = [reporters.BuildStatusGenerator()]
        formatter = reporters.MessageFormatter()
        rows: dict[str, dict[str, Any]] = {
            "MailNotifier": {
                "mode": "failing",
                "categories": ["c"],
                "tags": ["t"],
                "builders": ["b"],
                "schedulers": ["s"],
                "branches": ["main"],
                "subject": "s",
                "addLogs": True,
                "buildSetSummary": True,
                "messageFormatter": formatter,
            },
            "HttpStatusPush": {"builders": ["b"], "format_fn": dict},
            "GitHubStatusPush": {"builders": ["b"], "startDescription": "a", "endDescription": "b"},
        }
        first: dict[str, Any] = {
            "MailNotifier": "farm@example.org",
            "HttpStatusPush": "https://example.org/",
            "GitHubStatusPush": util.Secret("t"),
        }
        for word, given in rows.items():
            make = getattr(reporters, word)
            make(first[word], generators=generators)
            for name, value in given.items():
                with self.subTest(word, name=name):
                    make(first[word], **{name: value})
                    with self.assertRaisesRegex(ConfigError, f"{name} has no effect beside generators"):
                        make(first[word], **{name: value}, generators=generators)
        with self.assertRaisesRegex(ConfigError, "the document has no logs"):
            reporters.HttpStatusPush("https://example.org/", wantLogs=True)

    def test_format_function(self) -> None:
        """
        Promise 8.8: format_fn makes the document of a build, at its start and its end; what it might want is there.
        """
        push = reporters.HttpStatusPush(
            "http://localhost/",
            format_fn=lambda build: {"n": build["number"], "ended": build["result"], "steps": len(build["steps"])},
            wantProperties=True,
            wantSteps=True,
            wantPreviousBuild=False,
            wantLogs=False,
        )
        self.loop(push)
        self.run_one(Result.SUCCESS)
        sent = [body for _, _, _, body in self.http.requests]
        self.assertEqual([(each["n"], each["ended"]) for each in sent], [(1, None), (1, "SUCCESS")])
        with self.assertRaisesRegex(ConfigError, "function must be a function"):
            reporters.HttpStatusPush("https://example.org/", format_fn="text")

    def test_names_of_formatters(self) -> None:
        """
        What is no formatter is refused under the name of its argument.
        """
        with self.assertRaisesRegex(ConfigError, "messageFormatter must be a MessageFormatter"):
            reporters.MailNotifier("farm@example.org", messageFormatter=lambda build: "text")
        for name in ("start_formatter", "end_formatter"):
            with self.assertRaisesRegex(ConfigError, f"{name} must be a MessageFormatter"):
                reporters.BuildStartEndStatusGenerator(**{name: "text"})

    def test_secrets_from_elsewhere(self) -> None:
        """
        Promise 8.8: a token or password may be a text from the environment, and none in a file that is kept.
        """
        with mock.patch.dict(os.environ, {"TOKEN": "from outside"}):
            for value, taken in (("os.environ['TOKEN']", True), ("'ghp_token'", False), ("module.token", False)):
                for service in (
                    f"reporters.GitHubStatusPush({value})",
                    f"reporters.HttpStatusPush('https://example.org/', secret={value})",
                    f"reporters.MailNotifier('farm@example.org', smtpUser='me', smtpPassword={value})",
                ):
                    text = f"import os, module\nfrom buildbot_lite.plugins import *\nc = {{'services': [{service}]}}"
                    directory = self.mktemp()
                    os.mkdir(directory)
                    write(directory, {"master.cfg": text, "module.py": "token = 'ghp_token'\n"})
                    with self.subTest(value, service=service):
                        if taken:
                            self.assertEqual(len(load(directory).config.services), 1)
                        else:
                            self.assertRaisesRegex(MistakesError, "are kept with each build", load, directory)

    def test_token_from_elsewhere(self) -> None:
        """
        Promise 8.8: such a token is what is sent.
        """
        self.loop(reporters.GitHubStatusPush("text"))
        self.run_one(Result.SUCCESS)
        self.assertEqual(self.http.requests[0][2]["Authorization"], "token text")


class MailTests(ReportersCase):
    """
    Mail, with a real server.
    """

    def server(self, refusal: str | None = None) -> tuple[ReceivedMails, int]:
        """
        A mail server on this machine.
        """
        received, controller = mail_server(refusal)
        self.addCleanup(controller.stop)
        return received, controller.port

    def test_mail(self) -> None:
        """
        Promise 8.8: a mail names the builder, the step and the last thirty lines of its log, and the page; it goes to
        the authors and to extraRecipients, each once.
        """
        collected, port = self.server()
        self.loop(
            reporters.MailNotifier(
                "Farm <farm@example.org>",
                relayhost="127.0.0.1",
                smtpPort=port,
                extraRecipients=["team@example.org", "A U Thor <author@example.org>"],
                extraHeaders={"X-Farm": "one\nBcc: evil@example.org"},
            )
        )
        submitted = self.submit("b", author="A U Thor <author@example.org>")
        log = b"".join(b"line %d\x1b[0m\n" % number for number in range(100))
        self.end(self.begin(submitted.requests[0]), Result.FAILURE, log)

        ((recipients, mail),) = collected.mails
        body = mail.get_payload(decode=True)
        assert isinstance(body, bytes)
        self.assertEqual(recipients, ["team@example.org", "author@example.org"])
        self.assertEqual(mail["Subject"], "failed (compile: make: 2 errors): b of Farm of ours")
        self.assertEqual((mail["Bcc"], mail["X-Farm"]), (None, "one?Bcc: evil@example.org"))
        self.assertEqual(mail["Message-ID"], "<1-finished-0.MailNotifier.me@example.org>")
        for part in (b"https://farm.example.org/builders/b/1", b"line 70?[0m", b"line 99?[0m", b"A U Thor", b"changed"):
            self.assertIn(part, body)
        self.assertNotIn(b"line 69", body)
        self.assertNotIn(b"\x1b", body)
        self.assertEqual(self.stored(), [])

    def test_server_that_refuses(self) -> None:
        """
        A permanent refusal drops the mail, a temporary one and a server that is not there keep it.
        """
        for refusal, kept in (("554 no", 0), ("451 later", 1), (None, 2)):
            port = 1 if refusal is None else self.server(refusal)[1]
            loop = self.loop(
                reporters.MailNotifier(
                    "farm@example.org", relayhost="127.0.0.1", smtpPort=port, extraRecipients=["team@example.org"]
                )
            )
            self.run_one(Result.FAILURE)
            loop.stop()
            self.assertEqual(len(self.stored()), kept, refusal)
            if kept:
                (said,) = [
                    each["failure"] for each in self.do(outbox_documents.of_reporters) if each["next"] is not None
                ]
                self.assertRegex(
                    said, r"^the mail server 127\.0\.0\.1(:1: Connection refused| does not .*: 451 later)$"
                )

    def fail_by(self, converse: Callable[[socket.socket], None], **more: Any) -> None:
        """
        Let a build fail, and its mail go to a server that does this with the connection.  *more*: of the notifier.
        """
        server = OneConversation(converse)
        self.addCleanup(server.stop)
        self.loop(
            reporters.MailNotifier(
                "farm@example.org",
                relayhost="127.0.0.1",
                smtpPort=server.port,
                extraRecipients=["team@example.org"],
                **more,
            )
        )
        self.run_one(Result.FAILURE)

    def stopped(self) -> Reporters:
        """
        The reporters, to be stopped.
        """
        return Reporters(mock.Mock(), outside=self.outside, clock=Clock(), wall=time.time)

    def test_server_that_drips(self) -> None:
        """
        A server that answers one byte at a time, and never a whole line, is cut off; the mail stays.
        """
        self.patch(smtp, "LONGEST_SENDING", 0.2)

        def drip(connection: socket.socket) -> None:
            while True:
                connection.sendall(b"2")
                time.sleep(0.02)

        self.fail_by(drip)
        self.assertEqual(len(self.stored()), 1)

    def test_stop_while_the_server_is_silent(self) -> None:
        """
        A stop ends the connection to a mail server that does not answer; the mail stays.
        """
        stopped = self.stopped()

        def stop(connection: socket.socket) -> None:
            connection.sendall(b"220 here\r\n")
            # The client's first word.
            connection.recv(1000)
            stopped.stop()
            connection.recv(1000)

        self.fail_by(stop)
        (unsent,) = self.do(outbox_documents.of_reporters)
        # After smtplib's own time, it would end with "timed out".
        self.assertTrue(unsent["failure"].endswith(": Connection unexpectedly closed"), unsent["failure"])
        self.assertEqual(len(self.stored()), 1)

    def stop_in_the_handshake(self, *, starttls: bool) -> None:
        """
        Stop the reporters while the server is late in a TLS handshake, and go on with it; it must get no mail.
        """
        certificate = self.mktemp()
        with open(certificate, "wb") as file:
            file.write(FARM_KEY)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        self.patch(ssl, "create_default_context", lambda: trusting)
        stopped = self.stopped()
        said: list[bytes] = []

        def converse(connection: socket.socket) -> None:
            if starttls:
                connection.sendall(b"220 here\r\n")
                connection.recv(1000)
                connection.sendall(b"250-here\r\n250 STARTTLS\r\n")
                connection.recv(1000)
                connection.sendall(b"220 go ahead\r\n")
            # The client's first word in the handshake.
            connection.recv(1, socket.MSG_PEEK)
            stopped.stop()
            with context.wrap_socket(connection, server_side=True) as encrypted:
                if not starttls:
                    encrypted.sendall(b"220 here\r\n")
                said.append(encrypted.recv(1000))

        self.fail_by(converse, useTls=starttls, useSmtps=not starttls)
        (unsent,) = self.do(outbox_documents.of_reporters)
        self.assertTrue(unsent["failure"].endswith(": The connection was ended while it was made."), unsent["failure"])
        self.assertEqual(len(self.stored()), 1)
        self.assertEqual(b"".join(said), b"")

    def test_stop_in_the_handshake(self) -> None:
        """
        Promise 8.8: a mail whose connection is being encrypted when the master stops does not go out, as it is sent
        after the next start.
        """
        self.stop_in_the_handshake(starttls=False)

    def test_stop_in_the_handshake_of_starttls(self) -> None:
        """
        Promise 8.8: the same with STARTTLS.
        """
        self.stop_in_the_handshake(starttls=True)

    def test_begun_after_the_stop(self) -> None:
        """
        Promise 8.8: a mail that waited for a thread when the master stopped does not go out.
        """
        collected, port = self.server()
        self.stopped().stop()
        self.loop(
            reporters.MailNotifier(
                "farm@example.org", relayhost="127.0.0.1", smtpPort=port, extraRecipients=["team@example.org"]
            )
        )
        self.run_one(Result.FAILURE)

        self.assertEqual((len(self.stored()), collected.mails), (1, []))

    def test_some_later(self) -> None:
        """
        Promise 8.8: when the server takes a mail for some and not yet for others, it is sent again to the others alone,
        with the same Message-ID.
        """
        collected, port = self.server()
        later, never = "later@example.org", "never@example.org"
        collected.refusals = {later: "450 greylisted", never: "550 unknown"}
        everybody = ["team@example.org", later, never]
        self.loop(
            reporters.MailNotifier("farm@example.org", relayhost="127.0.0.1", smtpPort=port, extraRecipients=everybody)
        )
        self.run_one(Result.FAILURE)
        self.assertEqual([recipients for recipients, _ in collected.mails], [["team@example.org"]])
        (unsent,) = self.do(outbox_documents.of_reporters)
        self.assertIn("does not take it for later@example.org now: 450 greylisted", unsent["failure"])
        collected.refusals = {}
        self.clock.advance(LONGEST_PAUSE)
        self.assertEqual([recipients for recipients, _ in collected.mails], [["team@example.org"], [later]])
        self.assertEqual(len({mail["Message-ID"] for _, mail in collected.mails}), 1)

    def test_text_that_no_mail_can_hold(self) -> None:
        """
        Lone surrogates in a text, and headers of one's own that every mail has, keep no mail back.
        """
        collected, port = self.server()
        headers = {"Subject": "ours", "Date": "Sun, 29 Nov 2026 10:00:00 +0000"}
        formatter = reporters.MessageFormatter(template="a \ud800 b")
        self.loop(
            reporters.MailNotifier(
                "farm@example.org",
                relayhost="127.0.0.1",
                smtpPort=port,
                extraRecipients=["team@example.org"],
                extraHeaders=headers,
                messageFormatter=formatter,
            )
        )
        self.run_one(Result.FAILURE)
        ((_, mail),) = collected.mails
        self.assertEqual((mail["Subject"], mail["Date"]), ("ours", headers["Date"]))
        self.assertEqual(mail.get_payload(decode=True), b"a ? b\r\n")

    def test_triggered_by_a_fork(self) -> None:
        """
        Promise 8.8: a build that a build of a fork triggered is of a fork as well, although it has no changes.
        """
        source = source_of({"": {"branch": "main", "revision": REVISION}}, untrusted=True)
        loop = self.loop(mail_notifier())
        build = self.begin(self.submit("b", source=source).requests[0])
        self.do(lambda c: builds.save_properties(c, build.id, {"owner": ["anybody@example.org", "Step"]}))
        self.end(build, Result.FAILURE)
        loop.stop()
        self.assertEqual(self.stored(), [])

    def test_who_gets_mail(self) -> None:
        """
        Promise 8.8: authors of changes from forks get mail only through lookup or at allowed domains; what is no
        address is never one.
        """

        class Lookup:
            def getAddress(self, name: str) -> Any:
                return succeed(f"{name}@looked.up") if name.isalpha() else None

        rows: list[tuple[dict[str, Any], str, bool, list[str]]] = [
            ({}, "A <a@example.org>", False, ["a@example.org"]),
            ({}, "A <a@example.org>", True, []),
            ({"lookup": "example.org"}, "author", False, ["author@example.org"]),
            ({"lookup": "example.org"}, "A <a@victim.example>", True, []),
            ({"allowedDomains": ["example.org"]}, "A <a@EXAMPLE.org>", True, ["a@EXAMPLE.org"]),
            ({"allowedDomains": ["example.org"]}, "A <a@other.example>", False, []),
            ({"lookup": Lookup()}, "author", True, ["author@looked.up"]),
            ({"lookup": Lookup()}, "no-one", False, []),
            ({"sendToInterestedUsers": False}, "A <a@example.org>", False, []),
            ({}, "nobody", False, []),
            ({}, '"<a@example.org>" <|sh@x y>', False, []),
        ]
        for arguments, author, untrusted, recipients in rows:
            loop = self.loop(mail_notifier(**arguments))
            self.run_one(Result.FAILURE, author=author, untrusted=untrusted)
            loop.stop()
            found = [address for message in self.stored() for address in message["to"]]
            self.assertEqual(found, recipients, (arguments, author))
            self.do(lambda c: outbox.drop_all_but(c, []))

    def test_formatters(self) -> None:
        """
        A template of one's own, a renderable and a function make the text; HTML is escaped.
        """
        html = reporters.MessageFormatter("<b>{{ summary }}</b> {{ x }}", template_type="html", ctx={"x": "<"})
        rendered = reporters.MessageFormatterRenderable(util.Interpolate("built %(prop:buildername)s"), "subject")
        computed = reporters.MessageFormatterFunction(lambda context: f"number {context['build']['number']}")
        rows = [
            (html, "<b>failed (compile: make: 2 errors)</b> &lt;"),
            (rendered, "built b"),
            (computed, "number 3"),
        ]
        for formatter, text in rows:
            generator = reporters.BuildStatusGenerator(message_formatter=formatter)
            loop = self.loop(mail_notifier(generators=[generator], extraRecipients=["team@example.org"]))
            self.run_one(Result.FAILURE)
            loop.stop()
            (message,) = self.stored()
            self.assertEqual(message["text"], text)
            self.do(lambda c: outbox.drop_all_but(c, []))


class DetailsTests(ReportersCase):
    """
    What is known of a build.
    """

    def test_build_that_is_forgotten(self) -> None:
        """
        An event of a build that retention removed leads to nothing.
        """
        found: BuildDetails | None = self.do(lambda c: of.of_build(c, FarmFacts("", None, self.logs), 99))
        self.assertIsNone(found)
        self.loop(mail_notifier(extraRecipients=["team@example.org"]))
        self.do(lambda c: feed.publish(c, "build.finished", now=1.0, request=9, build=9, body={"result": 2}))
        self.assertEqual(self.stored(), [])

    def test_fails_in_thread(self) -> None:
        """
        A secret that cannot be read keeps the message.
        """
        loop = self.loop(reporters.GitHubStatusPush(util.Secret("token")))
        loop._sending._outside = Outside(
            lambda work: fail(ConfigError("There is no secret.")), self.http.request, str, "me"
        )
        self.run_one(Result.SUCCESS)
        self.assertEqual(len(self.stored()), 2)
