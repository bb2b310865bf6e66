"""
A bare repository of a poller, with the references that it follows, and the git commands on it and on its origin.

References of the origin are kept under ``refs/polled/HASH``, where the hash is of the name: so no name of a foreign
repository becomes a file name or a refspec, and a branch "a" may be replaced by "a/b".

The directory is a cache: if it is damaged, it is made anew.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial

from attrs import evolve

from ....child_programs import ChildProgram, ProgramError, Ran
from ....model.urls import without_passwords
from ...config.change_sources import SourceContext
from ...steps.git_credentials import RemoteAccess
from .commits import LARGEST_COMMIT, Commit, RemoteRefs, commit_in, files_of_commits, objects, remote_refs
from .programs import run

LIST_SECONDS = 120.0
FETCH_SECONDS = 3600.0
LOCAL_SECONDS = 600.0
LARGEST_LIST = 32 << 20
"""Bytes of a list of references: about 300 000 of them."""
LONGEST_COMPLAINT = 300

# Run no program that a file of the repository names (hooks, file system monitors, remote helpers); use only these
# protocols; start nothing in the background; end stalled connections.
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.autoDetach=false",
    "maintenance.autoDetach=false",
    "fetch.writeCommitGraph=false",
    "fetch.prune=false",
    "submodule.recurse=false",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=120",
)
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "LC_ALL": "C",
}
_SSH_TIMES = "-o ConnectTimeout=60 -o ServerAliveInterval=30 -o ServerAliveCountMax=4"
_KEPT = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_SSL_", "GIT_PROXY_", "GIT_TRACE_REDACT")
_DAMAGED = re.compile(
    rb"\.lock'|not a git repository|bad object|missing (?:blob|tree|commit)|corrupt|loose object|unable to read"
    rb"|invalid (?:index|object)|does not match index",
    re.IGNORECASE,
)


def key_of(ref: str) -> str:
    """
    The name under which *ref* is kept.
    """
    return f"refs/polled/{hashlib.sha256(ref.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"


class GitMirror:
    """
    The repository at *url*, mirrored in *directory*.

    *git*: the program.  *access*: the credentials and options to connect.  *files*: the paths of the private files of
    *access*, by the name of their variable.
    """

    def __init__(
        self,
        context: SourceContext,
        *,
        url: str,
        directory: str,
        git: str,
        access: RemoteAccess,
        files: Mapping[str, str],
    ) -> None:
        self._context = context
        self._url = url
        self._directory = directory
        self._git = git
        self._access = access
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GIT_", "SSH_ASKPASS")) or name.startswith(_KEPT)
        }
        # Ignore the configuration of a repository around the master's directory.
        ceiling = {"GIT_CEILING_DIRECTORIES": os.path.dirname(context.basedir)}
        self._env = {**inherited, **_ENVIRONMENT, **ceiling}
        self._remote_env = {
            **self._env,
            **{name: value for name, value in access.env.items() if value is not None},
            **files,
        }
        if ssh := access.env.get("GIT_SSH_COMMAND"):
            self._remote_env["GIT_SSH_COMMAND"] = f"{ssh} {_SSH_TIMES}"

    async def remote_refs(self, patterns: Sequence[str]) -> RemoteRefs:
        """
        The references of the origin that match *patterns*; without any, all.
        """
        words = ["ls-remote", "--symref", "--", self._url, *patterns]
        result = await self._run(words, remote=True, seconds=LIST_SECONDS, largest=LARGEST_LIST)
        if result.cut_off:
            raise ProgramError(f"{self._shown} has more references than a poller can look at.")
        self._must_succeed(result, "read")
        return await self._context.in_thread(partial(remote_refs, result.output))

    async def fetch(self, refs: Collection[str]) -> None:
        """
        Fetch *refs*, and the part of their history that is missing here.
        """
        await self.make()
        if not refs:
            return  # without any, git would fetch HEAD
        result = await self._fetched(refs)
        if result.code and _DAMAGED.search(result.errors):
            await self._context.in_thread(self._remove)
            await self.make()
            result = await self._fetched(refs)
        self._must_succeed(result, "fetch from")

    async def commits_of(self, refs: Sequence[str]) -> dict[str, str]:
        """
        The commit of each of *refs* that is present here and leads to a commit.
        """
        found = await self._peeled([f"{key_of(ref)}^{{commit}}" for ref in refs])
        return {ref: commit for ref, commit in zip(refs, found, strict=True) if commit is not None}

    async def present(self, commits: Collection[str]) -> set[str]:
        """
        Those of *commits* that are present here.
        """
        found = await self._peeled([f"{each}^{{commit}}" for each in commits])
        return {commit for commit in found if commit is not None}

    async def new_commits(self, tip: str, known: Collection[str], most: int) -> list[str]:
        """
        The commits that lead to *tip* and to none of *known*: the newest *most*, oldest first.
        """
        words = ["rev-list", "--topo-order", f"--max-count={most}", "--stdin", tip]
        result = await self._local(words, "".join(f"^{commit}\n" for commit in sorted(known)))
        return result.output.decode("ascii", "replace").split()[::-1]

    async def read(self, ids: Sequence[str], encoding: str) -> dict[str, Commit]:
        """
        The commits *ids*, each with its files: those that differ from its first parent.
        """
        lines = "".join(f"{id}\n" for id in ids)
        sizes = await self._local(["cat-file", "--batch-check=%(objectname) %(objectsize)"], lines)
        small = [
            id
            for id, size in (line.split(" ") for line in sizes.output.decode("ascii", "replace").splitlines())
            if size.isdecimal() and int(size) <= LARGEST_COMMIT
        ]
        found = {id: Commit(id=id) for id in ids}
        # A few at a time, so that the largest commits together stay below the bound on output.
        for start in range(0, len(small), 50):
            part = "".join(f"{id}\n" for id in small[start : start + 50])
            result = await self._local(["cat-file", "--batch"], part)
            found |= {id: commit_in(id, content, encoding) for id, _, content in objects(result.output)}
        files = await self._files(ids)
        return {id: evolve(commit, files=files[id]) for id, commit in found.items()}

    async def _files(self, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        left = list(ids)
        words = ["diff-tree", "--stdin", "-r", "-z", "--raw", "--root", "--no-renames", "--diff-merges=first-parent"]
        while left:
            result = await self._local(words, "".join(f"{id}\n" for id in left))
            part = await self._context.in_thread(partial(files_of_commits, result.output, left))
            found |= {id: files for id, files in part.items() if id not in found}
            if not result.cut_off:
                break
            # The output was cut off: continue after the last commit of which something arrived.
            left = left[max((left.index(id) for id in part), default=0) + 1 :]
        return {id: found.get(id, ()) for id in ids}

    # Running git.

    @property
    def _shown(self) -> str:
        return without_passwords(self._url)

    async def _fetched(self, refs: Collection[str]) -> Ran:
        words = [
            "fetch", "--stdin", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--",
            self._url,
        ]  # fmt: skip
        specs = "".join(f"+{ref}:{key_of(ref)}\n" for ref in sorted(refs))
        return await self._run(words, specs, remote=True, local=True, seconds=FETCH_SECONDS)

    async def _peeled(self, names: Sequence[str]) -> list[str | None]:
        if not names:
            return []
        result = await self._local(["cat-file", "--batch-check=%(objectname) %(objecttype)"], "\n".join(names) + "\n")
        lines = [line.split(" ") for line in result.output.decode("utf-8", "replace").splitlines()]
        return [words[0] if words[1:] == ["commit"] else None for words in lines]

    async def make(self) -> None:
        """
        Make the directory, or remove the locks in it: only this poller uses it, so they are left from a git that was
        killed.
        """
        if not await self._context.in_thread(self._ready):
            result = await self._run(
                ["init", "--quiet", "--bare", "--template=", "--", self._directory], seconds=LOCAL_SECONDS
            )
            self._must_succeed(result, "make a copy of")

    def _ready(self) -> bool:
        if not all(os.path.exists(os.path.join(self._directory, part)) for part in ("HEAD", "objects", "refs")):
            self._remove()
            os.makedirs(os.path.dirname(self._directory), mode=0o700, exist_ok=True)
            return False
        for directory, below, names in os.walk(self._directory):
            if os.path.basename(directory) == "objects":
                below.clear()
            for name in names:
                if name.endswith(".lock"):
                    with suppress(FileNotFoundError):
                        os.unlink(os.path.join(directory, name))
        return True

    def _remove(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _local(self, words: Sequence[str], stdin: str) -> Ran:
        """
        Run git on the copy.
        """
        result = await self._run(words, stdin, local=True, seconds=LOCAL_SECONDS)
        if result.code and not result.cut_off:
            await self._context.in_thread(self._remove)  # it is damaged; the next poll makes it anew
            self._must_succeed(result, "look at its copy of")
        return result

    async def _run(
        self,
        words: Sequence[str],
        stdin: str = "",
        *,
        seconds: float,
        remote: bool = False,
        local: bool = False,
        **more: int,
    ) -> Ran:
        settings = [*_SETTINGS, *(self._access.settings if remote else ())]
        where = [f"--git-dir={self._directory}"] if local else []
        argv = [self._git, *where, *(word for setting in settings for word in ("-c", setting)), *words]
        env = self._remote_env if remote else self._env
        given = stdin.encode("utf-8", "surrogateescape")
        program = ChildProgram(argv=argv, cwd=self._context.basedir, env=env, stdin=given, seconds=seconds, **more)
        return await run(self._context, program)

    def _must_succeed(self, result: Ran, trying: str) -> None:
        if result.code:
            raise ProgramError(f"git could not {trying} {self._shown}: {complaint(result.errors)}.")


def complaint(errors: bytes) -> str:
    """
    The error message of git, in one line.
    """
    lines = [line.strip() for line in re.split(r"[\r\n]+", errors.decode("utf-8", "replace")) if line.strip()]
    first = next((i for i, line in enumerate(lines) if line.startswith(("fatal:", "error:"))), len(lines) - 1)
    if first > 0 and "Could not read from remote repository" in lines[first]:
        first -= 1  # the message of ssh is the reason
    message = lines[first] if lines else "it did not say why"
    message = message.partition(": ")[2] if message.startswith(("fatal:", "error:")) else message
    return without_passwords(message)[:LONGEST_COMPLAINT].removesuffix(".")
