"""
A repository in a directory of the slave, and git's words for what is done with it.

Each is one command in the journal.  Everything that came from outside (branch, revision) is checked not to be an option
before it becomes an argument, and nothing is put into a shell's text.

Every command names its repository (``GIT_DIR=.git``).  Git would otherwise look for one in the directories above when
that in the build directory is broken; and where a slave lives inside somebody's checkout, it would find that one, and
check out there.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ...model.outcome import Ending
from ...model.results import Result
from ..orders import Source
from .access import Access
from .base import Ran
from .verdict import verdict

# Never ask anybody anything; work on the repository that is here, and on no other; and speak the language in which
# git's words are looked for.
_QUIET: Mapping[str, str | None] = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": None,
    "GIT_DIR": ".git",
    "GIT_WORK_TREE": None,
    "GIT_INDEX_FILE": None,
    "GIT_OBJECT_DIRECTORY": None,
    "LC_ALL": "C",
}

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_SHORT_HASH = re.compile(r"[0-9a-f]{7,64}\Z")
_COMPLAINTS = ("fatal:", "error:")
_LONGEST_SAYING = 300

# What is fetched stands under one name, whatever it was called: a branch "a" may become "a/b" by the next build.
_FETCHED = "refs/fetched/it"
_EVERYTHING = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")

# Locks are those of a build that was lost; only one build at a time uses a directory.  What is no repository after
# ``git init`` (which leaves a broken HEAD as it is) will not do.
_INIT = """\
rm -f .git/*.lock &&
git init -q . &&
git rev-parse --git-dir > /dev/null &&
git config remote.origin.url "$1" &&
git config remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*'
"""
# The first of the names that is a commit.
_RESOLVE = """\
for name; do git rev-parse -q --verify "$name^{commit}" && exit; done
exit 1
"""
# "$1": the commit, "$2": the branch's name, if it has one.  Other local branches are of earlier builds.
_CHECK_OUT = """\
git checkout -q -f --detach "$1" -- &&
git for-each-ref --format='delete %(refname)' refs/heads | git update-ref --stdin &&
if test -n "$2"; then git checkout -q -B "$2" --; fi
"""
_APPLY = """\
git update-index -q --refresh
exec git apply --index -p1 --whitespace=nowarn -
"""


class Failed(Exception):  # noqa: N818 - it is no error, only the way out of a sequence
    """
    A command did not do its work: what comes of the step, and why.
    """

    def __init__(self, result: Result, sentence: str) -> None:
        super().__init__(sentence)
        self.result = result
        self.sentence = sentence


class Repository:
    """
    A copy of the one at *url*.

    *run*: runs words in the directory; takes fields of `model.spec.Run` besides, and options of `Bench.command`.
    *settings*: of git, for its commands.  *access*: what those get that speak to *url*.  *shallow*: how many commits,
    False: all.  *slave*: who does it all.
    """

    def __init__(
        self,
        url: str,
        *,
        run: Callable[..., Awaitable[Ran]],
        settings: Mapping[str, str],
        access: Access,
        shallow: int,
        progress: bool,
        slave: str,
    ) -> None:
        self._url = url
        self._run = run
        self._program = ["git", *(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))]
        self._access = access
        self._depth = [f"--depth={int(shallow)}"] if shallow else []
        self._progress = ["--progress"] if progress else []
        self._slave = slave

    async def prepare(self) -> None:
        """
        Make sure that it is one, whatever is there.
        """
        self._must(await self._script(_INIT, "git-init", self._url), "prepare a repository")

    async def clean(self, *, ignored: bool) -> None:
        """
        Remove the files that are not in the repository, also those that it has *ignored*.
        """
        self._must(await self._git(_clean(ignored)), "clean the directory")

    async def fetch(self, branch: str | None, revision: str | None, *, fresh: bool) -> str:
        """
        Fetch what is needed, and answer what to check out.  *fresh*: nothing is there yet.
        """
        if revision is None:
            await self._fetch([f"+{branch or 'HEAD'}:{_FETCHED}"], what=branch or "HEAD")
            return _FETCHED
        whole = _HASH.match(revision)
        if whole:
            if not fresh and await self._resolved([revision]):
                return revision
            # Most servers give away a single commit; from others everything is fetched.
            if (await self._remote(self._fetch_words([f"+{revision}:{_FETCHED}"]))).outcome.succeeded:
                return revision
        refs = [*_EVERYTHING, *([f"+{branch}:{_FETCHED}"] if branch and branch.startswith("refs/") else [])]
        await self._fetch(refs, what="everything", prune=True)
        names = [f"refs/tags/{revision}", f"refs/remotes/origin/{revision}"]
        commit = await self._resolved(names + [revision] * bool(_SHORT_HASH.match(revision)))
        if commit is None:
            hint = "" if whole or not self._depth else "  (With shallow, a commit needs all of its 40 digits.)"
            raise Failed(Result.FAILURE, f"{self._url} has no revision {revision!r:.100}.{hint}")
        return commit

    async def check_out(self, commit: str, branch: str | None) -> None:
        """
        Make the files those of *commit*, on *branch* if that is the name of one.
        """
        name = branch if branch and branch != "HEAD" and not branch.startswith("refs/") else ""
        self._must(await self._script(_CHECK_OUT, "git-checkout", commit, name), f"check out {commit}")

    async def get_submodules(self) -> None:
        """
        Fetch the submodules and check them out, and theirs.
        """
        self._must(await self._git(["submodule", "sync", "-q", "--recursive"]), "look at the submodules")
        words = ["submodule", "update", "--init", "--recursive", "--force", *self._depth]
        self._must(await self._remote(words), f"get the submodules of {self._url}")

    async def clean_submodules(self, *, ignored: bool) -> None:
        """
        The same as `clean` for the submodules.
        """
        words = ["submodule", "-q", "foreach", "--recursive", f"git {' '.join(_clean(ignored))}"]
        self._must(await self._git(words), "clean the submodules")

    async def head(self) -> str:
        """
        The hash of what is checked out.
        """
        ran = self._must(await self._git(["rev-parse", "HEAD"]), "say what was checked out")
        return ran.output().strip()

    async def apply(self, patch: Source) -> Ran:
        """
        Apply *patch*, to files and index.
        """
        return await self._script(_APPLY, "git-apply", stdin_input="patch", sources={"patch": patch})

    async def _fetch(self, refs: Sequence[str], *, what: str, prune: bool = False) -> None:
        self._must(await self._remote(self._fetch_words(refs, prune=prune)), f"fetch {what} from {self._url}")

    def _fetch_words(self, refs: Sequence[str], *, prune: bool = False) -> list[str]:
        options = ["--force", "--no-recurse-submodules", "--refmap=", *(["--prune"] if prune else [])]
        return ["fetch", *options, *self._progress, *self._depth, "origin", *refs]

    async def _resolved(self, names: Sequence[str]) -> str | None:
        ran = await self._script(_RESOLVE, "git-resolve", *names)
        found = ran.output().strip()
        return found if ran.outcome.succeeded and _HASH.match(found) else None

    # How commands are run.

    async def _git(self, words: Sequence[str]) -> Ran:
        return await self._run([*self._program, *words], env=_QUIET)

    async def _script(self, script: str, name: str, *words: str, **more: Any) -> Ran:
        # *name* is what people see of it.
        return await self._run(["/bin/sh", "-c", script, name, *words], env=_QUIET, **more)

    async def _remote(self, words: Sequence[str]) -> Ran:
        """
        A git command that speaks to the repository at the URL, with all that it needs for it.
        """
        access = self._access
        env = {**_QUIET, **access.env}
        return await self._run([*self._program, *access.options, *words], env=env, files=access.files)

    def _must(self, ran: Ran, trying: str) -> Ran:
        return must_succeed(ran, trying, self._slave)


def must_succeed(ran: Ran, trying: str, slave: str) -> Ran:
    """
    Answer *ran* if it did its work; otherwise `Failed` tells what *slave* was *trying* to.
    """
    result, said = verdict(ran.outcome, slave)
    if result is Result.SUCCESS:
        return ran
    if ran.outcome.ending is Ending.EXITED:
        said = saying(ran) or said
    raise Failed(result, f"git could not {trying}: {said.removesuffix('.')}.")


def saying(ran: Ran) -> str:
    """
    What git said first of what went wrong; without that, what it said last.
    """
    lines = [line.strip() for line in re.split(r"[\r\n]+", ran.output()) if line.strip()]
    first = next((at for at, line in enumerate(lines) if line.startswith(_COMPLAINTS)), len(lines) - 1)
    if first > 0 and "Could not read from remote repository" in lines[first]:
        first -= 1  # ssh said why
    said = lines[first] if lines else ""
    return (said.partition(": ")[2] if said.startswith(_COMPLAINTS) else said)[:_LONGEST_SAYING]


def _clean(ignored: bool) -> list[str]:
    return ["clean", "-q", "-f", "-f", "-d", *(["-x"] if ignored else [])]
