"""
The git commands that run on the slave, and the reading of their output.

A whole checkout is one command, the shell program ``git_get.sh``, so that it costs one round trip to the slave, and no
program of the build can run between its parts.  Its comments say how it makes a directory safe that earlier builds
could write to.

Every command names its repository (GIT_DIR).  Without that, git ignores a broken repository in the build directory, and
searches the directories above.  If the slave's own directory is in a checkout, git would change that one.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from ...model.outcome import Ending
from ...model.results import Result
from ...model.source_stamps import PatchPlace
from ...model.urls import without_passwords
from ..slaves.command_streams import Source
from .context import CommandResult
from .git_credentials import RemoteAccess
from .outcomes import LONGEST_COMPLAINT, CommandFailedError, must_succeed

# Settings for every git process, which override those in files: run no program that a build left (hooks, file system
# monitors), trust no cache that a build could write, leave submodules alone unless the step has submodules=True, and
# start nothing in the background, where it would be killed with the command.  The step's *config* comes after these.
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "submodule.recurse=false",
    "gc.autoDetach=false",
    "maintenance.autoDetach=false",
    "protocol.fd.allow=never",
)

# Never prompt; use the repository in the working directory and no other; and write messages in English, which
# `complaint` expects.
_QUIET: Mapping[str, str | None] = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": None,
    "GIT_DIR": ".git",
    "GIT_WORK_TREE": None,
    "GIT_COMMON_DIR": None,
    "GIT_NAMESPACE": None,
    "GIT_INDEX_FILE": None,
    "GIT_OBJECT_DIRECTORY": None,
    "GIT_ALTERNATE_OBJECT_DIRECTORIES": None,
    "GIT_CONFIG": None,
    "GIT_CONFIG_PARAMETERS": " ".join(f"'{each}'" for each in _SETTINGS),
    "LC_ALL": "C",
}

_SAID = re.compile(r"^==> (.*)$", re.MULTILINE)
_COMMIT = re.compile(r"^==> commit ([0-9a-f]{40}(?:[0-9a-f]{24})?)$", re.MULTILINE)
_MUCH_TO_PACK = re.compile(r"^==> there is much to pack in (.+)$", re.MULTILINE)
_NO_SUCH_REVISION = 3
_COMPLAINTS = ("fatal:", "error:")

# The settings precede the words, each as NAME=VALUE, and "--" ends them.  The processes that git starts inherit them.
# A user name may be a token, so it is passed in the environment: all users of the machine can read arguments.
_TAKE_SETTINGS = r"""
for setting; do
    shift
    case $setting in credential.*.username=) setting=$setting$BUILDBOT_LITE_USER ;; esac
    case $setting in
        --) break ;;
        *\'*) setting=$(printf '%s' "$setting" | sed "s/'/'\\\\''/g") ;;
    esac
    GIT_CONFIG_PARAMETERS="$GIT_CONFIG_PARAMETERS '$setting'"
done
export GIT_CONFIG_PARAMETERS
"""
_PACK = """\
for each; do GIT_DIR=$each git gc --auto -q; done
"""
# The index is also kept for the next checkout, which removes the files that the patch added.
_APPLY = """\
export GIT_INDEX_FILE=.git/checked-out
git update-index -q --refresh
git apply --index --whitespace=nowarn "$@" - && cp -p "$GIT_INDEX_FILE" .git/index
"""


class Repository:
    """
    A copy of the repository at *url* on the slave.

    *run*: ``run(words, …)`` runs a command in its directory, as `BuildStep.execute` does.  *env*: the step's variables.
    *settings*: settings of git for all commands; those whose value is None are left out.  *access*: the credentials for
    commands that connect to *url*.  *shallow*: how many commits to fetch; False: all.  *tags*: whether to fetch all
    tags.  *progress*: whether git reports its progress in the log.  *slave*: the slave's name, for error messages.
    """

    def __init__(
        self,
        url: str,
        *,
        run: Callable[..., Awaitable[CommandResult]],
        env: Mapping[str, str | None] | None,
        settings: Mapping[str, str | None] | None,
        access: RemoteAccess,
        shallow: int,
        tags: bool,
        progress: bool,
        slave: str,
    ) -> None:
        self._url = url
        self._run = run
        self._env = env or {}
        self._settings = [f"{name}={value}" for name, value in (settings or {}).items() if value is not None]
        self._access = access
        self._shallow = shallow
        self._options = [
            *(["--progress"] if progress else []),
            *(["--tags"] if tags else []),
            *([f"--depth={int(shallow)}"] if shallow else []),
        ]
        self._slave = slave

    async def get(self, branch: str | None, revision: str | None, *, mode: str, submodules: bool) -> str:
        """
        Check out *revision*, or the newest commit of *branch*; return the full hash of the commit.

        *mode*: what to do with files that are not in the repository: "keep" them, remove them all ("fresh"), or remove
        those that are not ignored by .gitignore ("clean").  *submodules*: whether to check out submodules.
        `CommandFailedError` if it fails.
        """
        access = self._access
        words = [mode, "get" if submodules else "leave", self._url, branch or "", revision or "", *self._options]
        ran = await self.script(_get(), "git-get", words, access.settings, env=access.env, files=access.files)
        if ran.outcome.ending is Ending.EXITED and ran.outcome.exit_code == _NO_SUCH_REVISION:
            hint = "  (With shallow, a commit needs all of its 40 digits.)" if self._shallow else ""
            raise CommandFailedError(Result.FAILURE, f"{self._url} has no revision {revision!r:.100}.{hint}")
        must_succeed(ran, f"git could not {_last_action(ran) or f'get {self._url}'}", self._slave, complaint)
        output = ran.output()
        commit = _COMMIT.search(output)
        if commit is None:
            raise CommandFailedError(Result.FAILURE, "git did not report the commit that it checked out; see the log.")
        if to_pack := _MUCH_TO_PACK.findall(output):
            # The checkout succeeded, so the step does not fail if this does.
            await self.script(_PACK, "git-pack", to_pack)
        return commit[1]

    async def describe(self, options: Sequence[str] | bool) -> str:
        """
        The output of ``git describe`` with *options* for the checkout; empty if it finds no name.
        """
        words = [] if isinstance(options, bool) else options
        ran = await self.script('git describe "$@"', "git-describe", words)
        return ran.output().strip().splitlines()[-1] if ran.outcome.succeeded and ran.output().strip() else ""

    async def apply(self, patch: Source, place: PatchPlace) -> CommandResult:
        """
        Apply *patch* to the files and the index.
        """
        words = [f"-p{1 if place.level is None else place.level}"]
        words += [] if place.subdir == "." else [f"--directory={place.subdir}"]
        return await self.script(_APPLY, "git-apply", words, stdin_input="patch", sources={"patch": patch})

    async def script(
        self,
        script: str,
        name: str,
        words: Sequence[str] = (),
        settings: Sequence[str] = (),
        env: Mapping[str, str | None] | None = None,
        **more: Any,
    ) -> CommandResult:
        """
        Run *script* with *words* as its arguments.  *name*: the name of the command, for people.  *settings*, *env*:
        those of a `RemoteAccess`.  *more*: further arguments of *run*.
        """
        arguments = [*self._settings, *settings, "--", *words]
        argv = ["/bin/sh", "-c", _TAKE_SETTINGS + script, name, *arguments]
        return await self._run(argv, env={**self._env, **_QUIET, **(env or {})}, **more)


def complaint(ran: CommandResult) -> str:
    """
    The first error message of the last action in the output of *ran*; the last line if there is none.
    """
    output = _SAID.split(ran.output())[-1]
    lines = [line.strip() for line in re.split(r"[\r\n]+", output) if line.strip()]
    first = next((index for index, line in enumerate(lines) if line.startswith(_COMPLAINTS)), len(lines) - 1)
    if first > 0 and "Could not read from remote repository" in lines[first]:
        first -= 1  # the line before is ssh's, and has the reason
    message = lines[first] if lines else ""
    message = message.partition(": ")[2] if message.startswith(_COMPLAINTS) else message
    return without_passwords(message)[:LONGEST_COMPLAINT]


def _last_action(ran: CommandResult) -> str:
    """
    The last action that the output of *ran* names.
    """
    actions = _SAID.findall(ran.output())
    return actions[-1] if actions else ""


@cache
def _get() -> str:
    return files(__package__).joinpath("git_get.sh").read_text("utf-8")
