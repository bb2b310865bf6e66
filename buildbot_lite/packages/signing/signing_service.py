"""
Signatures in a running master: a round for each signed target, and the repositories in the role that jobs use.
"""

import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from threading import Event
from typing import Any, TypeVar

from attrs import frozen
from sqlalchemy import Connection

from ...control.questions import Question, QuestionDesk
from ...errors import NotFoundError, RefusedError
from ...master.farm import Farm
from ...master.grants.verbs import Expose, Verb
from ...model.json_reader import JsonReader
from ...storage.records.grants import Grant
from ...wire.control import ExposedControl
from ...wire.exposed import Exposed, Revocable
from ..keys.verification import TargetKey
from ..records import job_records
from ..records.jobs import Job
from ..records.results import TREE, JobResults
from ..service.job_service import JobService
from ..service.served_targets import no_target
from ..service.target_repository import RepositoryOf, TargetRepository
from ..targets.signing_policy import AUTO
from ..targets.target import Target
from .signed_files import SignedFiles, Snapshots
from .signed_repository import Announced, SignedRepository
from .signing_desk import ANSWERS, PUSH, SIGN, Answer, SignedTarget, SigningDesk, jobs_of
from .signing_round import SigningRound

SIGNING = "signatures of packages"
"""The name of the extension."""
LONGEST_NAME = 80
_DIRECTORY = ".signing"
"""The directory of signatures in the results of a target.  No package has a name that begins with a period."""

T = TypeVar("T")


@frozen
class _Surroundings:
    """
    The role `signing_jobs.Surroundings`, for the target called *target*.
    """

    farm: Farm
    jobs: JobService
    target: Callable[[], Target]

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await self.farm.records.read(query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        return await self.farm.records.write(change)

    async def in_thread(self, work: Callable[[], T]) -> T:
        result: T = await self.farm.in_thread(work)
        return result

    async def in_turn(self, work: Callable[[], Awaitable[T]]) -> T:
        async with self.jobs.turn(self.target().name):
            return await work()

    async def results_of(self, job: Job) -> JobResults:
        return await self.jobs.results_of(job, self.target())

    def wall(self) -> float:
        return self.farm.wall()


class SigningService:
    """
    The signatures of *farm*.  *jobs*: returns its jobs.  *unsigned_of*: returns the repositories of a target, without
    signatures.  *snapshots_of*: returns the `Snapshots` of its public repository.
    """

    name = SIGNING

    def __init__(
        self,
        farm: Farm,
        *,
        jobs: Callable[[], JobService],
        unsigned_of: RepositoryOf,
        snapshots_of: Callable[[Target], Snapshots],
    ) -> None:
        self._farm = farm
        self._jobs = jobs
        self._unsigned_of = unsigned_of
        self._snapshots_of = snapshots_of
        self._rounds: dict[str, SigningRound] = {}
        self._announced: defaultdict[str, Announced] = defaultdict(Announced)
        # Set when the master stops: ends the programs that run.
        self._unwanted = Event()

    async def start(self) -> None:
        """
        Does nothing: signers begin unfinished rounds again.
        """

    def stop(self) -> None:
        """
        End the running programs.
        """
        self._unwanted.set()

    def repository_of(self, target: Target) -> TargetRepository | None:
        """
        The repositories of *target* in the role that jobs use; None: it has none.
        """
        unsigned = self._unsigned_of(target)
        if unsigned is None:
            return None
        files = self._files_of(target.name)
        return SignedRepository(self._farm, target, unsigned, files, self._announced[target.name], self._unwanted)

    def _files_of(self, name: str) -> SignedFiles:
        """
        The signed files of the target called *name*.
        """
        return SignedFiles(
            os.path.join(self._farm.basedir, TREE, name, _DIRECTORY),
            key=lambda: self._key(self._target(name)),
            snapshots=lambda: self._snapshots_of(self._target(name)),
        )

    def signed_target(self, name: str) -> SignedTarget:
        """
        The target called *name*, for a sign string or push string; `NotFoundError`, `RefusedError`.
        """
        if (obstacle := self._farm.records.obstacle) is not None:
            raise RefusedError(f"{obstacle}  Nothing was changed.  Repeat the command when the database works.")
        target = self._target(name)
        if target.signing.sign is None:
            raise RefusedError(f"{name} is not signed any more: it has no sign= in master.cfg.")
        if name not in self._rounds:
            farm = _Surroundings(self._farm, self._jobs(), partial(self._target, name))
            self._rounds[name] = SigningRound(name, self._files_of(name), farm)
        return SignedTarget(name, target.signing.sign == AUTO, self._rounds[name], self._jobs().proceed)

    def questions(self) -> Sequence[Question]:
        """
        The same questions for admins.  An admin's string is for all targets, so each question names the target, or a
        job of it.
        """
        return [
            Question(name=name, answer=partial(self._answered, answer), elsewhere=frozenset({verb}))
            for verb, answers in ANSWERS.items()
            for name, answer in answers.items()
        ]

    async def _answered(
        self, answer: Callable[[SignedTarget, JsonReader], Awaitable[Answer]], grant: Grant, question: JsonReader
    ) -> Answer:
        name = question.text("target", "", limit=LONGEST_NAME)
        if not name:
            (number, *_) = jobs_of(question) or (None,)
            if number is None:
                raise RefusedError("This string is for all targets: say which one with --target TARGET.")
            job = await self._farm.records.read(partial(job_records.get, id=number))
            if job is None:
                raise NotFoundError(f"There is no job {number}.")
            name = job.target
        return await answer(self.signed_target(name), question)

    def verbs(self, expose: Expose) -> Sequence[Verb]:
        """
        The verbs that an admin may hand out for a target.
        """
        return [
            Verb(
                verb, partial(self._exposed, verb), self._designated, preauth=True, counts_lookups=True, takes="TARGET"
            )
            for verb in (SIGN, PUSH)
        ]

    def _exposed(self, verb: str, grant: Grant, revocable: Revocable) -> Exposed:
        others = QuestionDesk(self._farm, grant, revocable.account)
        desk = SigningDesk(verb, partial(self.signed_target, grant.object), others, revocable.account)
        return ExposedControl(desk, revocable)

    async def _designated(self, name: str) -> tuple[str, str]:
        target = self._target(name)
        if target.signing.sign is None:
            raise RefusedError(f'{name} is not signed: give it sign="manual" and sign_key in master.cfg.')
        return name, name

    def _target(self, name: str) -> Target:
        targets: dict[str, Any] = self._jobs().targets
        if name not in targets:
            raise no_target(name, targets)
        found: Target = targets[name]
        return found

    def _key(self, target: Target) -> TargetKey:
        path = os.path.join(self._farm.basedir, target.signing.key)
        return TargetKey(path, target.signing.key, self._unwanted)
