"""
The states of jobs and of their architectures.
"""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.results import Result
from buildbot_lite.packages.records import job_lists, job_records
from buildbot_lite.packages.records.job_progress import built, look
from buildbot_lite.packages.records.job_states import (
    ARCH_ENDS,
    ARCH_TRANSITIONS,
    ENDS,
    IN_A_BUILD,
    JOB_TRANSITIONS,
    ArchState,
    JobState,
    while_building,
)
from buildbot_lite.packages.records.jobs import Job, JobFilter, NewJob
from buildbot_lite.storage.records import builds, generations, requests, steps
from test.storage.farm_case import FarmCase

ARCHES = ("amd64", "i386", "all")
DEEDS = ("start", "step", "good", "bad", "retry", "cancel")


class TransitionsTests(SynchronousTestCase):
    """
    The tables of transitions.
    """

    def test_whole(self) -> None:
        """
        Promise 9.2: each state has a row; each but the first can be reached, and from each there is a way to an end.
        """
        tables: list[tuple[Any, Any, Any, Any]] = [
            (JobState, JOB_TRANSITIONS, JobState.INITIALIZE, ENDS),
            (ArchState, ARCH_TRANSITIONS, ArchState.WAITING, ARCH_ENDS),
        ]
        for states, table, first, ends in tables:
            self.assertEqual(set(table), set(states))
            reached = {first, ArchState.SKIPPED} & set(states)
            while more := {each for state in reached for each in table[state]} - reached:
                reached |= more
            self.assertEqual(reached, set(states))
            for state in states:
                found = {state}
                while not found & ends:
                    before = len(found)
                    found |= {each for one in found for each in table[one]}
                    self.assertGreater(len(found), before, f"no way from {state} to an end")

    def test_published_stays(self) -> None:
        """
        A job that is in the public repository neither fails nor is killed, and what is finished stays so.
        """
        self.assertEqual(JOB_TRANSITIONS[JobState.PUSHED], {JobState.FINISHED})
        self.assertEqual(JOB_TRANSITIONS[JobState.FINISHED], frozenset())

    @given(st.lists(st.sampled_from(ArchState), min_size=1, max_size=6))
    def test_job_of_arches(self, arches: list[ArchState]) -> None:
        """
        A job is building as long as one architecture is; after that, a failed architecture makes the job fail.
        """
        state = while_building(arches)
        if any(each not in ARCH_ENDS for each in arches):
            self.assertIn(state, (JobState.WAITING, JobState.BUILDING))
            self.assertEqual(state is JobState.WAITING, set(arches) <= {ArchState.WAITING, ArchState.SKIPPED})
        else:
            self.assertEqual(state is JobState.FAILED, ArchState.FAILED in arches)
            self.assertEqual(state is None, set(arches) <= {ArchState.DONE, ArchState.SKIPPED})


class LookTests(FarmCase):
    """
    The states of jobs, derived from the records of their builds.
    """

    @given(st.lists(st.tuples(st.sampled_from(ARCHES), st.sampled_from(DEEDS), st.booleans()), max_size=40))
    def test_any_history(self, deeds: Sequence[tuple[str, str, bool]]) -> None:
        """
        Promise 9.2: whatever builds do, and whenever a look is taken, a job goes only from state to allowed state, and
        the last look gives the same as if there had been no other.
        """

        def run(connection: Connection) -> None:
            job, farm = _job(connection), _Farm(connection)
            for now, (arch, deed, look_now) in enumerate(deeds, start=100):
                farm.do(next(each for each in job.arches if each.architecture == arch).request or 0, deed, float(now))
                if look_now:
                    job = look(connection, job, float(now))
            job = look(connection, job, 1000.0)
            self.assertEqual(job_records.get(connection, job.id), job)
            self.assertEqual(look(connection, job, 1001.0), job)
            fresh = job_records.get(connection, _as_new(connection, job).id)
            assert fresh is not None
            fresh = look(connection, fresh, 1002.0)
            self.assertEqual([each.state for each in fresh.arches], [each.state for each in job.arches])
            self.assertEqual((fresh.state, fresh.reason), (job.state, job.reason))
            for each in job.arches:
                self.assertEqual(each.history[-1][0], each.state)

        self.do(run)

    def test_states_of_steps(self) -> None:
        """
        Promise 9.2: an architecture has the state of the step that runs, and each state has its time.
        """

        def run(connection: Connection) -> None:
            job, farm = _job(connection), _Farm(connection)
            request = job.arches[0].request or 0
            farm.do(request, "start", 101.0)
            for at, _ in enumerate(IN_A_BUILD, start=102):
                farm.do(request, "step", float(at))
                job = look(connection, job, float(at))
            self.assertEqual(job.state, JobState.BUILDING)
            self.assertEqual(
                job.arches[0].history,
                (("waiting", 100.0), *((str(state), float(at)) for at, state in enumerate(IN_A_BUILD, start=102))),
            )
            self.assertFalse(built(job))
            for each in job.built:
                for deed in ("start", "good"):
                    farm.do(each.request or 0, deed, 120.0)
            job = look(connection, job, 120.0)
            self.assertTrue(built(job))
            self.assertEqual(job.arches[3].reason, "the target does not build it")

        self.do(run)

    def test_shared_reason(self) -> None:
        """
        Architectures that failed for the same reason share it in the reason of their job.
        """

        def run(connection: Connection) -> None:
            job = _job(connection)
            for arch, reason in (("amd64", "it lacks foo."), ("all", "it lacks bar."), ("i386", "it lacks foo.")):
                (request,) = (each.request or 0 for each in job.arches if each.architecture == arch)
                requests.finish(connection, request, Result.FAILURE, 110.0, reason)
            job = look(connection, job, 120.0)
            self.assertEqual(job.state, JobState.FAILED)
            self.assertEqual(job.reason, "amd64, i386: it lacks foo; all: it lacks bar.")

        self.do(run)

    def test_filter(self) -> None:
        """
        A list of jobs has those that are asked for, newest first, a page at a time.
        """

        def run(connection: Connection) -> None:
            first, second = _job(connection), _job(connection, submitter="other")
            job_records.go(connection, second, JobState.FAILED, 101.0, "why")
            for wanted, ids in (
                (JobFilter(), [second.id, first.id]),
                (JobFilter(submitter="other"), [second.id]),
                (JobFilter(state="waiting"), [first.id]),
                (JobFilter(active=True), [first.id]),
                (JobFilter(target="none"), []),
                (JobFilter(by_grant=7), [second.id, first.id]),
            ):
                self.assertEqual([each.id for each in job_lists.page(connection, wanted, 10)], ids)
            self.assertEqual([job.id for job in job_lists.page(connection, JobFilter(), 10, second.id)], [first.id])
            self.assertEqual(job_lists.counts(connection), {"bookworm": {"waiting": 1}})
            self.assertEqual(job_records.prune(connection, kept=0), 1)
            self.assertIsNone(job_records.get(connection, second.id))

        self.do(run)


def _job(connection: Connection, submitter: str = "me") -> Job:
    submitted = requests.submit(
        connection, scheduler="bookworm", builders=[f"bookworm-{arch}" for arch in ARCHES], reason="", now=100.0
    )
    builders = {arch: (each.builder, each.id) for arch, each in zip(ARCHES, submitted.requests, strict=True)}
    new = NewJob(
        target="bookworm",
        name="hello",
        version="2.10-3",
        submitter=submitter,
        by_grant=7,
        buildset=submitted.buildset.id,
        builders=builders,
        skipped={"arm64": "the target does not build it"},
    )
    return job_records.add(connection, new, 100.0)


def _as_new(connection: Connection, job: Job) -> Job:
    """
    A second job with the same requests, at which nobody has looked.
    """
    new = NewJob(
        target=job.target,
        name=job.name,
        version=job.version,
        submitter=job.submitter,
        by_grant=None,
        buildset=job.buildset,
        builders={each.architecture: (each.builder, each.request or 0) for each in job.built},
        skipped={each.architecture: each.reason for each in job.arches if each not in job.built},
    )
    return job_records.add(connection, new, 100.0)


class _Farm:
    """
    Builds of requests that exist only in the records.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        generations.keep(connection, "g", 100.0)

    def do(self, request: int, deed: str, now: float) -> None:
        """
        Do *deed* for *request*, if it is possible now.
        """
        connection = self._connection
        row = requests.get(connection, request)
        assert row is not None
        attempts = builds.of_request(connection, request)
        running = attempts[-1] if attempts and attempts[-1].finished is None else None
        if row.finished is not None or (deed == "start") is (running is not None):
            return
        if deed == "cancel" and running is None:
            requests.finish(connection, request, Result.CANCELLED, now, "not needed")
        elif deed == "start":
            builds.start(
                connection, request=request, builder=row.builder, slave="s", nonce="0" * 32, generation="g", now=now
            )
        elif running is None:
            return
        elif deed == "step":
            begun = len(steps.of_build(connection, running.id))
            if begun < len(IN_A_BUILD):
                steps.start(connection, running.id, begun, IN_A_BUILD[begun].value, now)
        else:
            result = {"good": Result.SUCCESS, "bad": Result.FAILURE, "retry": Result.RETRY}.get(deed, Result.CANCELLED)
            builds.finish(connection, running.id, result, now, deed)
            if result is Result.RETRY:
                requests.requeue(connection, request, now)
            else:
                requests.finish(connection, request, result, now, deed)
