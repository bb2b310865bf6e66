"""
`GitPoller`: finds changes by polling a git repository.

::

    git ls-remote ──► nothing moved: done
         │
         ▼ moved, new or missing here
    git fetch ──► the new commits of each reference ──► changes, and where each reference is now: one transaction

The first poll only notes where the references are.  After that each commit that no followed reference led to before is
a change, oldest first; a reference that moved without new commits is one change, too, also back to a commit that was a
change before.
"""

# ruff: noqa: N803 - arguments keep Buildbot's names

import codecs
import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from attrs import evolve

from ....child_programs import ProgramError
from ....errors import BuildbotLiteError
from ....model.change import Change
from ....model.git_refs import branch_of, is_of_the_repository
from ....model.urls import split_url, without_passwords
from ....storage.files import make_directory
from ...builds.redaction import Redaction
from ...config.arguments import ArgumentChecker
from ...config.change_fields import category_of, named, remark_if_unbuilt, repository_address
from ...config.change_sources import PollingChangeSource
from ...steps.git_credentials import RemoteAccess, remote_access, web_host
from .commits import Commit
from .followed_refs import FollowedRefs, SeenRefs
from .git_mirror import GitMirror
from .secrets import rendered

WORKDIR = "gitpoller_work"
MOST_COMMITS = 500
"""New commits of one reference that become changes in one poll: the newest ones."""
MOST_CHANGES = 1000
"""Changes after which the other references wait for the next poll, which follows at once."""


class GitPoller(PollingChangeSource):
    """
    Changes of a git repository, which is polled with ``git ls-remote``.  Needs git 2.31 or newer.

    *repourl*: ``https://…``, ``ssh://…``, ``user@host:path``, ``git://…``, ``file:///…`` or a path on the master.
    *branches*: a list of names and patterns like "release/*", True for all branches, or a function that takes a full
    name like "refs/heads/main" and says whether to follow it; default: HEAD, the repository's own choice.
    *branch*: one branch, the same as a list of it.  *only_tags*: follow all tags instead; default False.
    *pollInterval*, *pollAtLaunch*, *pollRandomDelayMin*, *pollRandomDelayMax*, *name* (default: *repourl*): see
    `PollingChangeSource`.
    *buildPushesWithNoCommits*: whether a branch that is new or moved, and has no new commits, is a change of its newest
    commit; default True (Buildbot's default is False).
    *project*, *codebase*, *category*: of the changes; *category* may be a function of a dictionary of the change.
    *usetimestamps*: a change happened when its commit was made (default), or False: when it was found.
    *encoding*: of authors and comments, unless a commit names another; default "utf-8".
    *workdir*: the directory of its copy of the repository, relative to the master's; default "gitpoller_work".
    *gitbin*: the program; default "git".
    *sshPrivateKey*: usually a ``util.Secret``.  *sshHostKey*, *sshKnownHosts*: as for ``steps.Git``.
    *auth_credentials*: ``(user, password)`` for https://.

    Branches of a change are without "refs/heads/", tags have their full name.  A change of a reference that is neither
    (refs/pull/1/head) is untrusted: anybody may have made it.
    """

    def __init__(
        self,
        repourl: Any,
        branches: Any = None,
        branch: Any = None,
        workdir: Any = WORKDIR,
        pollInterval: Any = None,
        gitbin: Any = "git",
        *,
        usetimestamps: Any = True,
        category: Any = None,
        project: Any = "",
        codebase: Any = "",
        pollinterval: Any = None,
        encoding: Any = "utf-8",
        name: Any = None,
        pollAtLaunch: Any = None,
        buildPushesWithNoCommits: Any = True,
        only_tags: Any = False,
        sshPrivateKey: Any = None,
        sshHostKey: Any = None,
        sshKnownHosts: Any = None,
        auth_credentials: Any = None,
        pollRandomDelayMin: Any = None,
        pollRandomDelayMax: Any = None,
    ) -> None:
        super().__init__(
            named(name, repourl), pollInterval, pollAtLaunch, pollRandomDelayMin, pollRandomDelayMax,
            pollinterval=pollinterval,
        )  # fmt: skip
        checker = self.arguments
        self.repourl = repository_address(checker, repourl)
        self.followed = FollowedRefs(_branches(checker, branches, branch), checker.flag("only_tags", only_tags))
        if self.followed.only_tags and self.followed.branches is not None:
            checker.note("only_tags and branches exclude each other.")
        self.workdir = checker.text("workdir", workdir if workdir is not None else WORKDIR)
        self.gitbin = checker.text("gitbin", gitbin)
        self.usetimestamps = checker.flag("usetimestamps", usetimestamps)
        self.category = category_of(checker, category)
        self.project = checker.text("project", "" if project is None else project)
        self.codebase = checker.text("codebase", "" if codebase is None else codebase)
        remark_if_unbuilt(checker, self.codebase)
        self.encoding = _encoding(checker, encoding)
        self.pushes_without_commits = checker.flag("buildPushesWithNoCommits", buildPushesWithNoCommits)
        self.key, self.host_key, self.known_hosts = sshPrivateKey, sshHostKey, sshKnownHosts
        self.credentials = _credentials(checker, auth_credentials)
        if sshHostKey is not None and sshKnownHosts is not None:
            checker.note("sshHostKey and sshKnownHosts exclude each other.")
        if self.credentials is not None and web_host(self.repourl) is None:
            checker.note("auth_credentials are for a repository at https://.")

    @property
    def repository(self) -> str:
        """
        The address without a password.
        """
        return split_url(self.repourl).url

    def describe(self) -> str:
        """
        The address and the followed references.
        """
        followed = self.followed
        if followed.only_tags:
            branches = "tags"
        elif isinstance(followed.branches, tuple):
            branches = ", ".join(followed.branches)
        else:
            branches = (
                "HEAD" if followed.branches is None else "all branches" if followed.branches is True else "a function"
            )
        return f"{without_passwords(self.repourl)}: {branches}"

    async def poll(self) -> None:
        redaction = Redaction()
        access = await self._access(redaction)
        basedir = self.context.basedir
        try:
            with _private_files(os.path.join(basedir, "private"), self.name, access.files) as files:
                mirror = GitMirror(
                    self.context,
                    url=self.repository,
                    directory=os.path.join(basedir, self.workdir, f"{_short_hash(self.name)}.git"),
                    git=self.gitbin,
                    access=access,
                    files=files,
                )
                await self._poll(mirror)
        except BuildbotLiteError as error:
            raise type(error)(redaction.text(str(error))) from None

    async def _poll(self, mirror: GitMirror) -> None:
        listed = await mirror.remote_refs(self.followed.patterns)
        if listed.unusable:
            self.context.remark(
                f"References whose names cannot be used are left out ({len(listed.unusable)}): "
                f"{min(listed.unusable)!a:.200}."
            )
        followed = self.followed.among(listed)
        seen = SeenRefs.from_document(await self.context.state(), self.repository)
        if seen is None:
            await mirror.fetch(followed)
            commits = await mirror.commits_of(sorted(followed))
            others, commitless = listed.commits.keys() - followed.keys(), followed.keys() - commits.keys()
            now = SeenRefs({**followed, **commits}, others, commitless)
            await self.context.record([], now.document(self.repository))
            return
        if not listed.commits and (seen.refs or seen.others):
            raise ProgramError(f"{without_passwords(self.repository)} has no branches or tags any more.")
        moved = {ref for ref, commit in followed.items() if seen.refs.get(ref) != commit}
        others = set(listed.commits) - set(followed)
        if moved or seen.refs.keys() != followed.keys() or seen.others != others:
            await self._follow(mirror, followed, moved, others, seen)

    async def _follow(
        self, mirror: GitMirror, followed: Mapping[str, str], moved: set[str], others: set[str], seen: SeenRefs
    ) -> None:
        """
        Record what happened to the references that *moved*.
        """
        now, known = await self._fetched(mirror, followed, moved, seen)
        # References without a commit are recorded as they were listed: otherwise each poll would find that they moved.
        commitless = moved - now.keys()
        refs = {ref: commit for ref, commit in seen.refs.items() if ref in followed}
        refs |= {ref: followed[ref] for ref in commitless}
        # These references are followed from now on, but they are not new.
        refs |= {ref: commit for ref, commit in now.items() if ref in seen.others}
        changes: list[Change] = []
        for ref, commit in now.items():
            if ref in seen.others:
                continue
            if len(changes) >= MOST_CHANGES:
                self.context.remark("There are more changes than one poll takes; the next one follows at once.")
                self.context.poll_soon()
                break
            before = None if ref in seen.commitless else refs.get(ref)
            if commit != before:
                ids = await self._new_commits(mirror, ref, commit, before, known, empty=seen == SeenRefs())
                found = await mirror.read(ids, self.encoding)
                changes += [self._change(ref, found[id]) for id in ids]
                if ids:
                    changes[-1] = evolve(changes[-1], move=f"{before or ''}..{commit} {self.context.wall()}")
            refs[ref] = commit
        commitless |= {ref for ref in seen.commitless if refs.get(ref) == seen.refs[ref]}
        await self.context.record(changes, SeenRefs(refs, others, commitless).document(self.repository))

    async def _fetched(
        self, mirror: GitMirror, followed: Mapping[str, str], moved: set[str], seen: SeenRefs
    ) -> tuple[Mapping[str, str], Collection[str]]:
        """
        The references that *moved* with their commits, and the commits seen before that are here.
        """
        if not moved:
            return {}, ()
        await mirror.make()
        present = await mirror.commits_of(sorted(followed))
        # Also fetch missing references, if the directory was made anew: new commits are found by comparison with them.
        await mirror.fetch(moved | (followed.keys() - present.keys() - set(seen.commitless)))
        return await mirror.commits_of(sorted(moved)), await mirror.present(set(seen.refs.values()))

    async def _new_commits(
        self, mirror: GitMirror, ref: str, commit: str, before: str | None, known: Collection[str], *, empty: bool
    ) -> list[str]:
        """
        The commits that are changes because *ref* came from *before* (None: nowhere) to *commit*.  *empty*: there was
        nothing in the repository.
        """
        if before in known or (before is None and (known or empty)):
            ids = await mirror.new_commits(commit, known, MOST_COMMITS + 1)
        else:
            # No commit seen before is present, so the new commits of this history are unknown.
            ids = [commit]
        if len(ids) > MOST_COMMITS:
            ids = ids[1:]
            self.context.remark(
                f"{branch_of(ref)} has more new commits than {MOST_COMMITS}, up to {commit:.10}: "
                "the newest are changes."
            )
        return ids or ([commit] if self.pushes_without_commits else [])

    def _change(self, ref: str, commit: Commit) -> Change:
        change = Change(
            author=commit.author or "unknown",
            source=self.name,
            committer=commit.committer,
            happened=commit.committed if self.usetimestamps else None,
            comments=commit.message,
            files=commit.files,
            revision=commit.id,
            branch=branch_of(ref),
            repository=self.repository,
            project=self.project,
            codebase=self.codebase,
            category=None if callable(self.category) else self.category,
            untrusted=not is_of_the_repository(ref),
        )
        if not callable(self.category):
            return change
        return evolve(change, category=_category(self.category, change))

    async def _access(self, redaction: Redaction) -> RemoteAccess:
        resolve = partial(rendered, self.context, redaction)
        credentials = self.credentials
        given = (
            None if credentials is None else (await resolve(credentials[0]) or "", await resolve(credentials[1]) or "")
        )
        _, access = remote_access(
            self.repourl,
            key=await resolve(self.key),
            host_key=await resolve(self.host_key),
            known_hosts=await resolve(self.known_hosts),
            credentials=given,
        )
        return access


def _category(function: Callable[[dict[str, Any]], Any], change: Change) -> str | None:
    category = function(
        {
            "author": change.author,
            "committer": change.committer,
            "files": list(change.files),
            "comments": change.comments,
            "revision": change.revision,
            "when_timestamp": change.happened,
            "branch": change.branch,
            "revlink": change.revlink,
            "properties": {},
            "repository": change.repository,
            "project": change.project,
            "codebase": change.codebase,
        }
    )
    return None if category is None else str(category)


@contextmanager
def _private_files(private: str, name: str, files: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """
    *files* on the disk, readable by this user alone, while in the context: the path of each.
    """
    if not files:
        yield {}
        return
    directory = os.path.join(private, "pollers", _short_hash(name))
    shutil.rmtree(directory, ignore_errors=True)  # left by a master that was killed
    make_directory(os.path.dirname(directory))
    make_directory(directory)
    try:
        paths = {}
        for variable, contents in files.items():
            paths[variable] = os.path.join(directory, variable)
            with open(os.open(paths[variable], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(contents)
        yield paths
    finally:
        with suppress(OSError):
            shutil.rmtree(directory)


def _short_hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _branches(checker: ArgumentChecker, branches: Any, branch: Any) -> Any:
    if branch is not None:
        if branches is not None:
            checker.note("branch and branches exclude each other.")
        return (checker.text("branch", branch),)
    if branches is None or branches is True:
        return branches
    if callable(branches):
        return checker.function("branches", branches)
    return checker.texts("branches", [branches] if isinstance(branches, str) else branches)


def _encoding(checker: ArgumentChecker, value: Any) -> str:
    text = checker.text("encoding", value)
    try:
        codecs.lookup(text or "utf-8")
    except LookupError:
        checker.wrong("encoding", value, "the name of an encoding")
    return text or "utf-8"


def _credentials(checker: ArgumentChecker, value: Any) -> tuple[Any, Any] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        checker.note("auth_credentials must be a pair: user and password.")  # without the value, which may be a secret
        return None
    return value[0], value[1]
