"""
The steps of a build that makes a source package from a git repository.

::

    checkout ──► tree, epoch, orig      with the network of the slave, outside the root; runs nothing of the repository
    prepping ──► a root
    make_srpm ──► out/source.tar        in the root, without the network: rpmbuild runs what a spec file says
    uploading, cleanup

The names of the steps are also the states of the job; plague has the same words.  ``make_srpm`` is also the step for
packages of Debian.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from ...master.config.arguments import ArgumentChecker
from ...master.steps import argument_checks as checks
from ...master.steps.argument import argument
from ...master.steps.context import CommandResult
from ...master.steps.git import Git
from ...master.steps.git_commands import complaint
from ...master.steps.outcomes import CommandFailedError, complaint_of, must_succeed
from ...model.results import Result
from ..formats.git_request import REPOSITORY
from ..formats.source_package import RPM
from .checkout_limit import within_disk
from .git_sources import PROTOCOLS
from .root import FILES, RESULTS
from .steps import PackageStep, Uploading

CHECKOUT, MAKE_SOURCE = "checkout", "make_srpm"
MADE = "source.tar"
"""The archive that the steps make: a .dsc and its files, or a source RPM."""

_READY = files(__package__).joinpath("git_source.sh").read_text("utf-8")
# Git LFS would fetch contents from other addresses.
_NO_LFS = {"filter.lfs.smudge": "", "filter.lfs.process": "", "filter.lfs.clean": "", "filter.lfs.required": "false"}


class Checkout(Git):
    """
    Checks out the revision of the request from its git repository, which must be one of *sources*, and prepares it for
    a source package of *family*.
    """

    name = CHECKOUT
    repourl: Any = None
    workdir: Any = f"build/{FILES}/tree"
    mode: Any = "full"
    method: Any = "clobber"
    tags: Any = True
    # Submitters follow the log through pipes, too, where reports of progress would be most of it.
    progress: Any = False
    config: Any = _NO_LFS
    applies_patch = False

    sources = argument(checks.anything, rendered=False)
    family = argument(checks.word, rendered=False)
    root = argument(checks.anything, rendered=False)

    def check(self, checker: ArgumentChecker) -> None:
        """
        Checks nothing more: the target has checked the addresses.
        """

    async def run(self) -> Result:
        address = self.getProperty(REPOSITORY)
        if not isinstance(address, str) or not self.sources.lists(address):
            return self.fail(f"The repository {address!r:.200} is not among the sources of the target.")
        self.repourl = address
        self.workdir = f"{self.bench.workdir}/{FILES}/tree"
        self.env = {
            **(self.env or {}),
            "GIT_ALLOW_PROTOCOL": PROTOCOLS,
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_GET_LISTED": "yes",
        }
        # A slave that died during a build has left the root of that build.
        claimed = await self.execute(self.root.claim())
        if claimed.outcome.exit_code != 0:
            return self.fail(f"{self.slave_name} cannot remove what an earlier build left: {complaint_of(claimed)}")
        return await super().run()

    async def run_in_repository(self, words: Sequence[str], **more: Any) -> CommandResult:
        return await super().run_in_repository(within_disk(words, self.root.disk), **more)

    async def get(self, branch: str | None, revision: str | None, *, clobber: bool) -> str:
        if revision is None:
            raise CommandFailedError(Result.FAILURE, "The request names no revision.")
        commit = await super().get(branch, revision, clobber=clobber)
        ran = await self._repository(self.workdir).script(_READY, "git-source", [self.family, commit])
        must_succeed(ran, "No source package can be made of this revision", self.slave_name, complaint)
        return commit


class SourcePrepping(PackageStep):
    """
    Prepares the root in which the source package is made.  *family*: the family of the source package.
    """

    name = "prepping"
    family = argument(checks.word, rendered=False)
    tools = argument(checks.anything, default=(), rendered=False)

    async def work(self) -> None:
        for words in self.root.begin(self.architecture, self.tools):
            await self.must(words, "The root could not be made")
        if self.family == RPM and (words := self.root.rpm_source_preparation(self.architecture)):
            await self.must(words, "The root could not be prepared")
        self.summary = f"root ready on {self.slave_name}"


class MakeSource(PackageStep):
    """
    Makes the source package, without the network.  *dist*: the value of ``%dist``.
    """

    name = MAKE_SOURCE
    family = argument(checks.word, rendered=False)
    dist = argument(checks.text, default="", rendered=False)

    async def work(self) -> None:
        words = self.root.source_making(self.architecture, self.family, self.dist)
        await self.must(words, "The source package could not be made")
        self.summary = "source package made"


class UploadingSource(Uploading):
    """
    Uploads the source package as an artifact.
    """

    slavesrcs: Any = (f"{FILES}/{RESULTS}/{MADE}",)
    glob: Any = False
