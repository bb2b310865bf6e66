"""
Package builds as an extension of the master: the service that runs jobs, the mail about them, answers to questions,
shells in roots, and the verbs of FURLs for jobs.
"""

from collections.abc import Sequence

from ...control.questions import Question, Sending, SendingLog
from ...master.farm import Farm
from ...master.grants.verbs import Expose, Verb
from ...model.json_reader import JsonReader
from ...storage.records.grants import Grant
from ...wire.shells import OpenShell, ShellTerminal
from ..service.chains import Chains
from ..service.job_mail import JobMail
from ..service.job_service import JobService
from ..service.target_repository import RepositoryOf, no_repository
from .job_files import JobFiles
from .job_questions import SHELL_VERB, JobQuestions, jobs_verb
from .root_shells import RootShells, shell_verb


class PackageJobs:
    """
    The extension for *farm*.  *repository_of*: the repositories of a target.
    """

    name = "jobs of packages"
    shell_verbs = frozenset({SHELL_VERB})

    def __init__(self, farm: Farm, repository_of: RepositoryOf = no_repository) -> None:
        self.service = JobService(farm, repository_of)
        self.chains = Chains(farm, self.service, repository_of)
        self._mail = JobMail(farm)
        self._questions = JobQuestions(farm, self.service)
        self._shells = RootShells(farm, self._questions)
        self._files = JobFiles(farm, self._questions)
        self._farm = farm

    async def start(self) -> None:
        """
        Continue the jobs that have not ended.
        """
        await self._mail.start()
        await self.chains.start()
        await self.service.start()

    def stop(self) -> None:
        """
        End, because the master stops.
        """
        self.service.stop()
        self.chains.stop()
        self._mail.stop()

    def questions(self) -> Sequence[Question]:
        """
        The questions about jobs and targets.
        """
        about_roots = Question(name="package-root", answer=self._shells.about, verbs=self.shell_verbs)
        return (*self._questions.questions(), *self._files.questions(), about_roots)

    def sendings(self) -> Sequence[Sending | SendingLog]:
        """
        The files and logs of jobs.
        """
        return self._files.sendings()

    async def open_shell(self, grant: Grant, question: JsonReader, terminal: ShellTerminal) -> OpenShell:
        """
        Open a shell in the root of a build that failed.
        """
        return await self._shells.open_shell(grant, question, terminal)

    def verbs(self, expose: Expose) -> Sequence[Verb]:
        """
        The verbs of FURLs for jobs.
        """
        return jobs_verb(self.service, expose), shell_verb(self._farm, self._questions, expose)
