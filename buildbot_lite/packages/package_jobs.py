"""
Package builds as an extension of the master: the service that runs jobs, the mail about them, answers to questions, and
the verbs of FURLs for jobs.
"""

from collections.abc import Sequence

from ..control.questions import Question
from ..master.farm import Farm
from ..master.grants.verbs import Verb
from .chains import Chains
from .job_mail import JobMail
from .job_questions import JobQuestions, jobs_verb
from .job_service import JobService
from .target_repository import RepositoryOf, no_repository


class PackageJobs:
    """
    The extension for *farm*.  *repository_of*: the repositories of a target.
    """

    name = "jobs of packages"

    def __init__(self, farm: Farm, repository_of: RepositoryOf = no_repository) -> None:
        self.service = JobService(farm, repository_of)
        self.chains = Chains(farm, self.service, repository_of)
        self._mail = JobMail(farm)
        self._questions = JobQuestions(farm, self.service)
        self._verbs = (jobs_verb(farm, self.service),)

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
        return self._questions.questions()

    def verbs(self) -> Sequence[Verb]:
        """
        The verbs of FURLs for jobs.
        """
        return self._verbs
