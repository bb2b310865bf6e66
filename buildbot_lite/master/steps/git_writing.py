"""
Steps that write to a git repository: `GitCommit`, `GitTag` and `GitPush`.

A push runs in a new repository, which uses the objects of the one in the build's directory as alternates.  The build's
commands could change the configuration there, and so the address to which a key or a password is sent.
"""

from collections.abc import Sequence
from functools import partial

from ...model.results import Result
from ...model.spec import DEFAULT_TIMEOUT
from ..config.arguments import ArgumentChecker
from . import argument_checks as checks
from .argument import argument, ignored
from .context import CommandResult
from .git_commands import Repository, complaint
from .git_credentials import RemoteAccess, remote_access
from .outcomes import CommandFailedError, must_succeed
from .source_step import check_repository, credentials, ref
from .step import BuildStep

__all__ = ["GitCommit", "GitPush", "GitTag"]

_NOTHING = 3
_TAG = 'exec git tag "$@"'
_PUSH = """\
url=$1 branch=$2 force=$3 own=$PWD/.git~push
commit=$(git rev-parse -q --verify "refs/heads/$branch^{commit}") || {
    echo "fatal: there is no branch $branch in the directory"
    exit 1
}
rm -rf "$own" && GIT_DIR=$own git init -q --bare --template= || exit
mkdir -p "$own/objects/info" && printf '%s\\n' "$PWD/.git/objects" > "$own/objects/info/alternates" || exit
[ ! -f .git/shallow ] || cp .git/shallow "$own/shallow" || exit
GIT_DIR=$own git push $force -- "$url" "$commit:refs/heads/$branch"
result=$?
rm -rf "$own"
exit $result
"""


class _GitWriting(BuildStep):
    """
    The base of these steps.

    *workdir*: the repository, relative to the builder's directory.
    *config*: a dictionary of git settings for these commands, like ``{"user.name": "builder"}``.
    *env*: variable → text to add to the slave's environment, None removes it.
    *timeout*: seconds without output after which a command is killed, default 1200; None: never.

    Without effect: *logEnviron*.
    """

    haltOnFailure = True

    workdir = argument(checks.slave_path)
    config = argument(checks.environment, default=None)
    env = argument(checks.environment, default=None)
    timeout = argument(checks.seconds, default=DEFAULT_TIMEOUT, nullable=True)
    logEnviron = ignored()

    async def run(self) -> Result:
        try:
            self.summary = await self.write()
        except CommandFailedError as failed:
            return self.fail(failed.sentence, failed.result)
        return Result.SUCCESS

    async def write(self) -> str:
        """
        Do the work of the step, and return its summary; `CommandFailedError` if it fails.
        """
        raise NotImplementedError

    async def git(
        self, script: str, name: str, words: Sequence[str], access: RemoteAccess | None = None
    ) -> CommandResult:
        """
        Run the shell *script* in the repository, with the arguments *words* and the credentials *access*.
        """
        access = access or RemoteAccess((), {}, {})
        repository = Repository(
            "",
            run=partial(self.execute, workdir=self.workdir, timeout=self.timeout),
            env=self.env,
            settings=self.config,
            access=access,
            shallow=False,
            tags=False,
            progress=False,
            slave=self.slave_name,
        )
        return await repository.script(script, name, words, access.settings, access.env, files=access.files)

    def succeeded(self, ran: CommandResult, doing: str) -> CommandResult:
        """
        Return *ran* if it succeeded; otherwise raise `CommandFailedError`: "git could not *doing*: …".
        """
        return must_succeed(ran, f"git could not {doing}", self.slave_name, complaint)


class GitCommit(_GitWriting):
    """
    Commit files on the branch that is checked out.  Its failure ends the build.

    *paths*: the files to add.  *messages*: the message, as a list of paragraphs.  *emptyCommits*: what to do when
    nothing changed: fail ("disallow", the default), make an empty commit ("create-empty-commit"), or succeed without a
    commit ("ignore").  The committer is that of git's configuration on the slave, unless *config* has user.name and
    user.email.
    """

    name = "gitcommit"

    paths = argument(checks.names)
    messages = argument(checks.names)
    emptyCommits = argument(checks.choice("disallow", "create-empty-commit", "ignore"), default="disallow")

    async def write(self) -> str:
        head = "git symbolic-ref -q HEAD > /dev/null || { echo 'fatal: no branch is checked out'; exit 1; }\n"
        self.succeeded(await self.git(head + 'exec git add -- "$@"', "git-add", self.paths), "add the files")
        if self.emptyCommits != "create-empty-commit":
            # git diff --quiet: 0: no changes; 1: changes; any other exit code: it failed.
            script = f"git diff --cached --quiet; case $? in 0) exit {_NOTHING} ;; 1) exit 0 ;; *) exit 1 ;; esac"
            looked = await self.git(script, "git-diff", [])
            if looked.outcome.exit_code == _NOTHING:
                if self.emptyCommits == "ignore":
                    return "nothing to commit"
                raise CommandFailedError(Result.FAILURE, "There is nothing to commit: the paths have not changed.")
            self.succeeded(looked, "compare the files")
        empty = ["--allow-empty"] if self.emptyCommits == "create-empty-commit" else []
        words = [*empty, *[word for each in self.messages for word in ("-m", each)]]
        self.succeeded(await self.git('exec git commit "$@"', "git-commit", words), "commit")
        return "committed"


class GitTag(_GitWriting):
    """
    Tag the commit that is checked out.  Its failure ends the build.

    *tagName*: the name of the tag.  *annotated*: whether to make an annotated tag, whose message is *messages*, a list
    of paragraphs; default False.  *force*: replace an existing tag of that name; default False.
    """

    name = "gittag"

    tagName = argument(ref)
    annotated = argument(checks.flag, default=False)
    messages = argument(checks.names, default=None)
    force = argument(checks.flag, default=False)

    def check(self, checker: ArgumentChecker) -> None:
        """
        Require *messages* for an annotated tag, and refuse them for any other.
        """
        if self.annotated and self.messages is None:
            checker.note("annotated=True needs messages.")
        elif not self.annotated and self.messages is not None:
            checker.note("messages are allowed only with annotated=True.")

    async def write(self) -> str:
        words = [
            *(["-a"] if self.annotated else []),
            *(["--force"] if self.force else []),
            *[word for each in self.messages or () for word in ("-m", each)],
        ]
        ran = await self.git(_TAG, "git-tag", [*words, "--", self.tagName])
        self.succeeded(ran, f"make the tag {self.tagName}")
        return f"tagged {self.tagName}"


class GitPush(_GitWriting):
    """
    Push a branch of the repository in *workdir* to another repository.  Its failure ends the build.

    *repourl*: the address of the other repository.  *branch*: the name of the branch in both.  *force*: replace the
    branch there even if that loses commits; default False.
    *sshPrivateKey*, *sshHostKey*, *sshKnownHosts*, *auth_credentials*: as for `Git`.

    Builds of code from forks push nothing, and end with EXCEPTION.
    """

    name = "gitpush"

    repourl = argument(checks.word)
    branch = argument(ref)
    force = argument(checks.flag, default=False)
    sshPrivateKey = argument(checks.word, default=None)
    sshHostKey = argument(checks.word, default=None)
    sshKnownHosts = argument(checks.word, default=None)
    auth_credentials = argument(credentials, default=None)

    def check(self, checker: ArgumentChecker) -> None:
        """
        Refuse arguments that exclude each other, and an address that shows a secret.
        """
        if self.sshHostKey is not None and self.sshKnownHosts is not None:
            checker.note("sshHostKey and sshKnownHosts exclude each other.")
        check_repository(checker, self.repourl, self.auth_credentials)

    async def write(self) -> str:
        self.bench.check_trusted("This build pushes nothing")
        url, access = remote_access(
            self.repourl,
            key=self.sshPrivateKey,
            host_key=self.sshHostKey,
            known_hosts=self.sshKnownHosts,
            credentials=self.auth_credentials,
        )
        words = [url, self.branch, "--force" if self.force else ""]
        self.succeeded(await self.git(_PUSH, "git-push", words, access), f"push {self.branch} to {url}")
        return f"pushed {self.branch}"
