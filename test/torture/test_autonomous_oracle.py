"""
The oracle of the torture harness, with invented histories: a correct one passes, and each fault is found.
"""

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar
from unittest import mock

from attrs import define, evolve, field
from sqlalchemy import create_engine
from sqlalchemy.schema import CreateTable
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.results import Result
from buildbot_lite.storage import schema

from .autonomous_oracle import LOSSES, judge_autonomous, missing_kinds
from .campaign import Campaign
from .evidence import Evidence, starts
from .oracle import LOSSES as ALL_LOSSES
from .schedules import MASTER, Event
from .stalls import noting_stalls, stalled
from .verdict import Verdict

NOON = 43_200.0
ENDED = NOON + 200.0


def empty_records() -> sqlite3.Connection:
    """
    A database in memory with the farm's tables.
    """
    engine = create_engine("sqlite://")
    connection = sqlite3.connect(":memory:")
    for table in schema.metadata.sorted_tables:
        connection.execute(str(CreateTable(table).compile(engine)))
    return connection


@define
class History:
    """
    Records of a campaign of 200 seconds from `NOON`.
    """

    records: sqlite3.Connection = field(factory=empty_records)

    def change(self, at: float, branch: str) -> int:
        """
        A commit on *branch* became a change.
        """
        return self._add(
            "insert into changes (digest, received, happened, author, source, branch, revision) "
            "values (hex(randomblob(8)), ?, ?, 'a', 'git', ?, hex(randomblob(8)))",
            *(at, at, branch),
        )

    def submitted(self, at: float, scheduler: str, *builders: str, changes: Sequence[int] = ()) -> list[int]:
        """
        *scheduler* submitted a request for each of *builders*.
        """
        buildset = self._add(
            "insert into buildsets (scheduler, reason, submitted, source, properties) values (?, '', ?, '{}', '{}')",
            *(scheduler, at),
        )
        for change in changes:
            self._add("insert into buildset_changes values (?, ?)", buildset, change)
        return [
            self._add("insert into requests (buildset, builder, submitted) values (?, ?, ?)", buildset, builder, at)
            for builder in builders
        ]

    def built(self, request: int, at: float, result: Result = Result.SUCCESS) -> int:
        """
        Add a build of *request* that took a second from *at*, and was the last one of the request.
        """
        build = self._add(
            "insert into builds (request, builder, number, slave, nonce, generation, started, finished, result) "
            "select id, builder, (select count(*) from builds), 'bot1', '', '', ?, ? + 1, ? from requests where id = ?",
            *(at, at, int(result), request),
        )
        self.ended(request, at + 1, result)
        return build

    def ended(self, request: int, at: float, result: Result, into: int | None = None) -> None:
        """
        *request* ended.
        """
        self._add(
            "update requests set finished = ?, result = ?, collapsed_into = ? where id = ?",
            *(at, int(result), into, request),
        )

    def collapsed(self, request: int, at: float, into: int) -> None:
        """
        *request* was collapsed into a newer one, which got its changes.
        """
        self.ended(request, at, Result.SKIPPED, into)
        self._add(
            "insert into buildset_changes select (select buildset from requests where id = ?), change "
            "from buildset_changes where buildset = (select buildset from requests where id = ?)",
            *(into, request),
        )

    def _add(self, statement: str, *values: object) -> int:
        return self.records.execute(statement, values).lastrowid or 0

    def evidence(self) -> Evidence:
        """
        Return the evidence in the form of a campaign.
        """
        rows = self.records.execute("select branch, revision from changes").fetchall()
        return Evidence(
            rows=lambda query, *arguments: self.records.execute(query, arguments).fetchall(),
            revisions={(branch, revision) for branch, revision in rows},
            began=NOON,
            ended=ENDED,
            holders=["gate 1 of 2"],
        )


def right_history() -> History:
    """
    Three changes of two branches, timers, a trigger, a collapsed and a cancelled request, and two that were asked for.
    """
    history = History()
    first = history.change(NOON + 5, "fix")
    second = history.change(NOON + 8, "fix")
    other = history.change(NOON + 9, "topic")
    for change in (first, second, other):
        (request,) = history.submitted(NOON + 10, "each", "pushed", changes=[change])
        history.built(request, NOON + 11)
    stable = [
        history.submitted(NOON + 10 + change, "stable", "settled", changes=[change])[0]
        for change in (first, second, other)
    ]
    history.ended(stable[0], NOON + 13, Result.CANCELLED)
    history.records.execute("update requests set reason = 'there is a newer change of fix: r2' where result = 6")
    history.built(stable[1], NOON + 14)
    history.built(stable[2], NOON + 15)
    gathered = [
        history.submitted(NOON + 10 + change, "gathered", "gathered", changes=[change])[0]
        for change in (first, second, other)
    ]
    history.collapsed(gathered[0], NOON + 13, gathered[1])
    history.built(gathered[1], NOON + 20)
    history.built(gathered[2], NOON + 24)
    for at in range(0, 200, 10):
        ticked, whole = history.submitted(NOON + at, "often", "ticked", "whole")
        history.built(ticked, NOON + at + 1)
        build = history.built(whole, NOON + at + 1)
        (part,) = history.submitted(NOON + at + 1, "parts", "part")
        history.records.execute(
            "update buildsets set parent = ?, parent_build = ? where id = (select max(id) from buildsets)",
            (f"{build}/0/0", build),
        )
        history.built(part, NOON + at + 2)
    for minute in (1, 2, 3):
        (ticked,) = history.submitted(NOON + 60 * minute + 0.1, "minutely", "ticked")
        history.built(ticked, NOON + 60 * minute + 1)
    for _ in range(2):
        (nudged,) = history.submitted(NOON + 30, "nudged", "nudged")
        history.built(nudged, NOON + 31)
    return history


def judged(evidence: Evidence) -> Verdict:
    """
    Return the verdict about the farm's own actions.
    """
    verdict = Verdict()
    judge_autonomous(evidence, verdict.note)
    verdict.check_judged(missing_kinds(evidence, verdict.judged))
    return verdict


def of(scheduler: str, which: str = "min") -> str:
    """
    SQL: the first request of *scheduler*; or with "max" the last.
    """
    return (
        f"(select {which}(r.id) from requests r join buildsets b on b.id = r.buildset "
        f"where b.scheduler = '{scheduler}')"
    )


class OracleTests(SynchronousTestCase):
    """
    Each fault is one statement that makes the correct history an incorrect one.
    """

    OUTSIDE: ClassVar[str] = "(select buildset from requests where id = {})"
    FAULTS: ClassVar[list[tuple[str, str, str]]] = [
        (
            "a commit is two changes",
            "changes",
            (
                "insert into changes (digest, received, happened, author, source, branch, revision) "
                "select 'x', received, happened, author, source, branch, revision from changes where id = 1"
            ),
        ),
        (
            "a change that nothing builds",
            "buildsets of changes",
            f"delete from buildset_changes where buildset = {OUTSIDE.format(of('stable', 'max'))}",
        ),
        (
            "a change in two build sets",
            "buildsets of changes",
            f"insert into buildset_changes values ({OUTSIDE.format(of('stable', 'max'))}, 1)",
        ),
        (
            "two changes in one build, without a timer",
            "buildsets of changes",
            f"insert into buildset_changes values ({OUTSIDE.format(of('each'))}, 3)",
        ),
        ("a request for too little", "requests of buildsets", f"delete from requests where id = {of('often')}"),
        (
            "a request for too much",
            "requests of buildsets",
            (
                "insert into requests (buildset, builder, submitted) "
                f"select buildset, builder, submitted from requests where id = {of('each')}"
            ),
        ),
        (
            "a request that never ended",
            "autonomous results",
            f"update requests set result = null, finished = null where id = {of('each')}",
        ),
        ("a success that no build had", "autonomous results", f"delete from builds where request = {of('each')}"),
        (
            "two successes for one request",
            "autonomous results",
            (
                "insert into builds (request, builder, number, slave, "
                "nonce, generation, started, finished, result) select request, builder, 999, slave, "
                "'', '', started, finished, "
                f"0 from builds where request = {of('each')}"
            ),
        ),
        ("a build that failed", "autonomous results", f"update requests set result = 2 where id = {of('each')}"),
        (
            "an exception without retries",
            "autonomous results",
            f"update requests set result = 4, reason = 'no idea' where id = {of('minutely')}",
        ),
        ("skipped for nothing", "autonomous results", f"update requests set result = 3 where id = {of('each')}"),
        (
            "collapsed into nothing",
            "collapsed",
            "update requests set collapsed_into = 9999 where collapsed_into is not null",
        ),
        (
            "collapsed into itself",
            "collapsed",
            "update requests set collapsed_into = id where collapsed_into is not null",
        ),
        (
            "collapsed into another branch",
            "collapsed",
            f"update requests set collapsed_into = {of('gathered', 'max')} where collapsed_into is not null",
        ),
        (
            "collapsed into another builder",
            "collapsed",
            f"update requests set collapsed_into = {of('each', 'max')} where collapsed_into is not null",
        ),
        (
            "collapsed, and its changes lost",
            "collapsed",
            (
                "delete from buildset_changes where change = 1 and buildset = "
                "(select o.buildset from requests r join requests o on o.id = r.collapsed_into)"
            ),
        ),
        (
            "collapsed while it was built",
            "collapsed",
            (
                "insert into builds (request, builder, number, slave, nonce, "
                "generation, started) select id, builder, 999, 'bot1', '', '', submitted from requests "
                "where collapsed_into is not null"
            ),
        ),
        (
            "collapsed after an attempt that was not its last, and one that was",
            "collapsed",
            (
                "insert into builds (request, builder, number, slave, nonce, generation, started, finished, result) "
                "select r.id, r.builder, 990 + a.result, 'bot1', '', '', r.submitted, r.submitted + 1, a.result "
                f"from requests r, (select {int(Result.RETRY)} as result union select {int(Result.FAILURE)}) a "
                "where r.collapsed_into is not null"
            ),
        ),
        (
            "not collapsed",
            "collapsed",
            (
                f"update requests set result = 0, collapsed_into = null where id = {of('gathered')}; "
                "insert into builds (request, builder, number, slave, nonce, generation, started, "
                "result) select id, builder, "
                f"999, 'bot1', '', '', submitted + 100, 0 from requests where id = {of('gathered')}"
            ),
        ),
        (
            "a forced one was collapsed",
            "never collapsed",
            f"update requests set collapsed_into = {of('nudged', 'max')}, result = 3 where id = {of('nudged')}",
        ),
        (
            "a triggered one was collapsed",
            "never collapsed",
            f"update requests set collapsed_into = {of('parts', 'max')}, result = 3 where id = {of('parts')}",
        ),
        (
            "one without a timer was collapsed",
            "never collapsed",
            f"update requests set collapsed_into = {of('each', 'max')}, result = 3 where id = {of('each')}",
        ),
        ("the newest was cancelled", "cancelled", f"update requests set result = 6 where id = {of('stable', 'max')}"),
        ("another builder's was cancelled", "cancelled", f"update requests set result = 6 where id = {of('each')}"),
        ("a timer's was cancelled", "cancelled", f"update requests set result = 6 where id = {of('minutely')}"),
        (
            "cancelled for another branch",
            "cancelled",
            "update requests set reason = 'there is a newer change of topic: r3' where result = 6",
        ),
        ("cancelled too early", "cancelled", "update requests set finished = submitted - 10 where result = 6"),
        ("not cancelled", "cancelled", "update requests set result = 0, finished = submitted + 100 where result = 6"),
        (
            "a period fired twice",
            "timers: twice",
            (
                "insert into buildsets (scheduler, reason, submitted, source, "
                f"properties) values ('often', '', {ENDED - 9}, '', '')"
            ),
        ),
        (
            "a nightly fired twice",
            "timers: twice",
            (
                "insert into buildsets (scheduler, reason, submitted, source, "
                f"properties) values ('minutely', '', {NOON + 185}, '', '')"
            ),
        ),
        (
            "a period did not begin",
            "timers: skipped",
            f"delete from buildsets where scheduler = 'often' and submitted < {NOON + 40}",
        ),
        (
            "a period was skipped",
            "timers: skipped",
            f"delete from buildsets where scheduler = 'often' and submitted between {NOON + 95} and {NOON + 135}",
        ),
        (
            "a period stopped",
            "timers: skipped",
            f"delete from buildsets where scheduler = 'often' and submitted > {NOON + 150}",
        ),
        (
            "a nightly was skipped",
            "timers: skipped",
            f"delete from buildsets where scheduler = 'minutely' and submitted between {NOON + 100} and {NOON + 130}",
        ),
        (
            "a nightly was late",
            "timers: skipped",
            (
                "update buildsets set submitted = submitted + 45 where scheduler = 'minutely' and "
                f"submitted < {NOON + 100}"
            ),
        ),
        (
            "triggered twice",
            "triggers",
            ("update buildsets set parent = (select min(parent) from buildsets) where parent is not null"),
        ),
        (
            "triggered by another build",
            "triggers",
            (
                "update buildsets set parent_build = "
                "(select id from builds where builder = 'ticked') where scheduler = 'parts'"
            ),
        ),
        (
            "triggered by nothing",
            "triggers",
            ("update buildsets set parent = null, parent_build = null where parent is not null"),
        ),
        (
            "triggered nothing",
            "triggers",
            ("delete from buildsets where id = (select max(id) from buildsets where scheduler = 'parts')"),
        ),
    ]

    def test_right(self) -> None:
        """
        Promise 8: a correct history passes, and at least one action of each kind is compared in it.
        """
        verdict = judged(right_history().evidence())
        self.assertEqual(verdict.lost, [])
        self.assertEqual([kind for kind in LOSSES if not verdict.kept[kind]], [])

    def test_collapsed_between_attempts(self) -> None:
        """
        Promise 8.5: a request whose builds all ended RETRY waits again, and may be collapsed into a newer one.
        """
        history = right_history()
        (request, into), *_ = history.records.execute(
            "select id, collapsed_into from requests where collapsed_into is not null"
        ).fetchall()
        for at in (NOON + 11, NOON + 12):
            history.built(request, at, Result.RETRY)
        history.ended(request, NOON + 13.5, Result.SKIPPED, into)
        self.assertEqual(judged(history.evidence()).lost, [])

    def test_each_fault(self) -> None:
        """
        Promise 8: each fault is found and reported as its own kind.
        """
        for what, kind, statements in self.FAULTS:
            with self.subTest(what):
                history = right_history()
                evidence = history.evidence()
                before = history.records.total_changes
                history.records.executescript(statements)
                self.assertGreater(history.records.total_changes, before)
                self.assertIn(kind, {kind for kind, _ in judged(evidence).lost})

    def test_every_kind_has_a_fault(self) -> None:
        """
        These tests have a history for each kind of loss, and the report lists all kinds.
        """
        self.assertEqual({kind for _, kind, _ in self.FAULTS} | {"lock holders"}, set(LOSSES))
        self.assertLessEqual(set(LOSSES), set(ALL_LOSSES))

    def test_lost_change(self) -> None:
        """
        Promise 8.1: the oracle finds a commit that never became a change.
        """
        evidence = right_history().evidence()
        evidence = evolve(evidence, revisions={*evidence.revisions, ("fix", "abc")})
        self.assertIn(("changes", "abc on fix is 0 changes"), judged(evidence).lost)

    def test_lock_of_the_dead(self) -> None:
        """
        Promise 8.4: the oracle finds a command whose lock was already taken.
        """
        evidence = evolve(right_history().evidence(), overfull=["gate: 1 of 2 wanted, 0 free"])
        self.assertEqual(judged(evidence).lost, [("lock holders", "gate: 1 of 2 wanted, 0 free")])

    def test_nothing_judged(self) -> None:
        """
        A campaign in which no action of a kind was compared fails: its oracle, or the farm, did nothing.
        """
        for kind, evidence in (
            ("triggers", History().evidence()),
            ("lock holders", evolve(right_history().evidence(), holders=[])),
        ):
            lost = [sentence for of, sentence in judged(evidence).lost if of == "judged"]
            self.assertEqual(len(lost), 1)
            self.assertIn(kind, lost[0])


class DisturbanceTests(SynchronousTestCase):
    """
    While the master is down, actions may be late, but neither repeated nor missing.
    """

    def late(self, nightly: float, disturbances: Sequence[tuple[float, float]]) -> set[str]:
        """
        The kinds that are lost when the minute from 12:01 fired *nightly* seconds after noon.
        """
        history = right_history()
        history.records.execute(
            "update buildsets set submitted = ? where scheduler = 'minutely' and submitted < ?",
            (NOON + nightly, NOON + 100),
        )
        evidence = evolve(
            history.evidence(), disturbances=[(NOON + begins, NOON + ends) for begins, ends in disturbances]
        )
        return {kind for kind, _ in judged(evidence).lost}

    def test_down(self) -> None:
        """
        Promise 8.2: an action that was due while the master was down happens soon after, or is skipped.
        """
        self.assertEqual(self.late(91, []), {"timers: skipped"})
        self.assertEqual(self.late(91, [(55, 62)]), set())
        self.assertEqual(self.late(91, [(20, 50)]), {"timers: skipped"})
        self.assertEqual(self.late(115, [(55, 62), (80, 86)]), set())

    def test_stalled(self) -> None:
        """
        A time in which the machine stood still, or in which its clock was set, is a disturbance; a slow look is none.
        """
        self.assertIsNone(stalled(NOON, NOON + 1.5))
        self.assertEqual(stalled(NOON, NOON + 31.0), (NOON, NOON + 31.0))
        self.assertEqual(stalled(NOON, NOON - 5.0), (NOON - 5.0, NOON))
        times = iter([NOON, NOON + 0.3, NOON + 30.3, NOON + 30.6])
        noted: list[tuple[float, float]] = []
        looked = threading.Event()

        def clock() -> float:
            try:
                return next(times)
            except StopIteration:
                looked.set()
                return NOON + 30.6

        with noting_stalls(noted.append, clock):
            self.assertTrue(looked.wait(60.0))
        self.assertEqual(noted, [(NOON + 0.3, NOON + 30.3)])

    def test_late_repair(self) -> None:
        """
        A disturbance lasts until the actual repair, which is later than planned when the campaign is busy, for example
        with a push.
        """
        for event in ("kill-master", "stop-master", "lock-database", "kill-both", "edit-and-kill-master", "fill-disk"):
            farm, now = mock.MagicMock(), [NOON]
            farm.disks, farm.master.pid, farm.directory = True, 1 << 30, Path(self.mktemp())
            farm.master_directory = farm.directory
            for name in ("records", MASTER):
                (farm.directory / name).mkdir(parents=True)
            farm.fill_up = lambda whose, farm=farm: (farm.directory / whose / "ballast").touch()
            words = {"kill-both": ("bot1", "5"), "fill-disk": (MASTER, "5")}.get(event, ("5",))
            campaign = Campaign(farm, lambda said: None)
            with (
                self.subTest(event),
                mock.patch("time.time", lambda now=now: now[0]),
                mock.patch(f"{Campaign.__module__}._started", return_value=b""),
            ):
                campaign._do(Event(0.0, event, words))
                now[0] += 60.0
                for _, _, action in campaign._later:
                    action()
                self.assertIn((NOON, NOON + 60.0), campaign.disturbances)

    def test_started_with_room(self) -> None:
        """
        A process that a full disk has ended is started when the disk has room again.
        """
        farm = mock.MagicMock()
        farm.disks, farm.directory = True, Path(self.mktemp())
        (farm.directory / MASTER).mkdir(parents=True)
        farm.fill_up = lambda whose: (farm.directory / whose / "ballast").touch()
        farm.daemon.return_value.alive = False
        campaign = Campaign(farm, lambda said: None)
        campaign._do(Event(0.0, "fill-disk", (MASTER, "5")))
        farm.daemon.return_value.spawn.assert_not_called()
        for _, _, action in campaign._later:
            action()
        farm.daemon.return_value.spawn.assert_called_once_with()

    def test_dead_master(self) -> None:
        """
        Submissions that wait for a master do not wait for each other without end.
        """
        farm, now = mock.MagicMock(), [0.0]
        farm.master.alive = False

        def sleep(seconds: float) -> None:
            now[0] += seconds
            self.assertLess(now[0], 60.0)

        campaign = Campaign(farm, lambda said: None)
        with mock.patch("time.monotonic", lambda: now[0]), mock.patch("time.sleep", sleep):
            words = ("work", "1", "1.0", "0")
            campaign.inject([Event(0.0, "submit", ("one", *words)), Event(5.0, "submit", ("two", *words))])
        self.assertEqual(campaign.jobs, {})

    def test_slow_start(self) -> None:
        """
        The log contains the duration of each start of the master, also of one that was killed meanwhile.
        """
        log = (
            "1970-01-01T12:00:10+0000 [-] Loading master.tac...\n"
            "1970-01-01T12:00:20+0000 [-] Loading master.tac...\n1970-01-01T12:00:25+0000 [-] Loaded.\n"
            "1970-01-01T12:00:50+0000 [x] the master is ready at tcp:127.0.0.1:9\n"
        )
        self.assertEqual(starts(log, "the master is ready at"), [(NOON + 10, NOON + 10), (NOON + 20, NOON + 50)])

    def test_down_and_never(self) -> None:
        """
        Promise 8.2: the oracle finds a nightly build that a restart skipped.
        """
        history = right_history()
        history.records.execute("delete from buildsets where scheduler = 'minutely' and submitted < ?", (NOON + 100,))
        evidence = evolve(history.evidence(), disturbances=[(NOON + 55, NOON + 62)])
        self.assertIn("timers: skipped", {kind for kind, _ in judged(evidence).lost})

    def test_cancelled_after_a_jump(self) -> None:
        """
        A change that came while the clock was an hour ahead came before what was cancelled when it was right again.
        """
        history = right_history()
        received = "update changes set received = ? where id = (select max(id) from changes where branch = 'fix')"
        for at, kinds in ((ENDED + 3500, set()), (ENDED + 100, {"cancelled"})):
            history.records.execute(received, (at,))
            self.assertEqual({kind for kind, _ in judged(history.evidence()).lost}, kinds)

    def test_clock_ahead(self) -> None:
        """
        A time that fired while the clock was an hour ahead has fired: in that hour nothing is due again, and nothing
        fires twice.
        """
        history = right_history()
        history.submitted(ENDED + 3500, "minutely", "ticked")
        history.submitted(ENDED + 3505, "often", "ticked", "whole")
        for (request,) in history.records.execute("select id from requests where result is null").fetchall():
            history.built(request, ENDED + 3510)
        history.records.execute(
            "delete from buildsets where scheduler = 'minutely' and submitted between ? and ?",
            (NOON + 100, ENDED),
        )
        build = history.records.execute("select max(id) from builds where builder = 'whole'").fetchone()[0]
        (part,) = history.submitted(ENDED + 3506, "parts", "part")
        history.records.execute(
            "update buildsets set parent = 'x', parent_build = ? where id = (select max(id) from buildsets)", (build,)
        )
        history.built(part, ENDED + 3507)
        evidence = evolve(history.evidence(), disturbances=[(NOON + 100, ENDED + 3600)])
        self.assertEqual(judged(evidence).lost, [])
        self.assertNotEqual(judged(history.evidence()).lost, [])
