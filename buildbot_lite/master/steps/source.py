"""
Getting sources.

`Git` never clones.  In a directory new or old it makes sure of a repository, fetches just what is asked for, and checks
that out::

    (remove) ─► init ─► (clean) ─► fetch ─► checkout ─► (clean) ─► (submodules) ─► (copy) ─► rev-parse ─► (patch)

which is the same sequence whether the directory is missing, empty, used before, or half made by a build that was lost.
Each arrow is one command in the journal.  Everything that came from outside (branch, revision) is checked not to be an
option before it becomes an argument, and nothing is put into a shell's text.

Every command names its repository (``GIT_DIR=.git``).  Git would otherwise look for one in the directories above when
that in the build directory is broken; and where a slave lives inside somebody's checkout, it would find that one, and
check out there.

Secrets go to the two commands that speak to the repository, and to no other: a key as a private file, user and password
through a credential helper that knows them for the repository's own host alone.
"""

# ruff: noqa: N815, RUF012 - arguments keep Buildbot's names; what a class declares is never changed

import re
from collections.abc import Mapping, Sequence
from posixpath import relpath
from typing import Any
from urllib.parse import urlsplit

from ...errors import InputError
from ...model import spec
from ...model.outcome import Ending
from ...model.results import Result
from ...model.spec import DEFAULT_TIMEOUT, SECRET_REFERENCE
from ..arguments import Arguments
from ..mistakes import MISSING
from ..orders import Source
from . import checks
from .base import BuildStep, Ran
from .verdict import verdict

__all__ = ["Git"]

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_SHORT_HASH = re.compile(r"[0-9a-f]{7,64}\Z")
_REF = re.compile(r"(?![-/])(?!.*(?:\.\.|@\{|//))[^\x00-\x20\x7f~^:?*\[\\]{1,250}(?<![/.])\Z")
_NO_PATCH = re.compile(r"No valid patches|unrecognized input", re.IGNORECASE)
_COMPLAINTS = ("fatal:", "error:")
_LONGEST_SAYING = 300
_COPY_FROM = "source"

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
_HELPER = (
    '!f() { test "$1" = get || exit 0; '
    'echo "username=$BUILDBOT_LITE_USER"; echo "password=$BUILDBOT_LITE_PASSWORD"; }; f'
)
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


def _depth(at: Arguments, name: str, value: Any) -> bool | int:
    return value if isinstance(value, bool) else at.whole(name, value, least=1)


def _retry(at: Arguments, name: str, value: Any) -> tuple[float, int]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        at.wrong(name, value, "a pair: seconds to wait, and how many times to try again")
        return 0.0, 0
    return at.seconds(f"the first of {name}", value[0]), at.whole(f"the second of {name}", value[1])


def _credentials(at: Arguments, name: str, value: Any) -> tuple[str, str]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        at.note(f"{name} must be a pair: user and password.")  # the value is not for anybody's eyes
        return "", ""
    return checks.text(at, f"the user of {name}", value[0]), checks.text(at, f"the password of {name}", value[1])


def _ref(at: Arguments, name: str, value: Any) -> str:
    if isinstance(value, str) and _REF.match(value):
        return value
    at.wrong(name, value, "the name of a branch, tag or commit")
    return "HEAD"


class _Failed(Exception):  # noqa: N818 - it is no error, only the way out of a sequence
    """
    A command did not do its work.
    """

    def __init__(self, result: Result, sentence: str) -> None:
        super().__init__(sentence)
        self.result = result
        self.sentence = sentence


class Git(BuildStep):
    """
    Check out sources with git.  The property *got_revision* gets the full hash of what was checked out.

    *repourl*: the repository: ``https://…``, ``ssh://…``, ``user@host:path``, ``file:///…`` or a path on the slave.
    *branch*: branch, tag or full ref; default: the one of the request, or else the repository's own (HEAD).
    *revision*: the commit or tag; default: the one of the request, or else the newest of the branch.
    The request's are those of its source stamp for *codebase* (default ""), or its properties "branch" and "revision";
    with *alwaysUseLatest* (default False) its revision is ignored.

    *mode*: "incremental" (default) leaves behind what earlier builds made; "full" does not, by *method*:
    "fresh" (default for full): removes every file that is not in the repository;
    "clean": removes those, except what ``.gitignore`` names;
    "clobber": removes the whole directory first, and fetches everything again;
    "copy": keeps a directory "source" beside the build's, and makes the build's a new copy of it.

    *workdir*: relative to the builder's directory, default "build".
    *shallow*: True for the newest commit only, or how many commits; default False: the whole history.
    *submodules*: also check out submodules, recursively; default False.
    *progress*: have git report its progress in the log, which also keeps *timeout* from striking; default True.
    *retry*: ``(seconds, times)``: when it fails, wait and try again; default None.
    *clobberOnFailure*: when it fails, remove the directory and try once more from nothing; default False.
    *config*: a dictionary of git settings for these commands, like ``{"http.sslVerify": "true"}``.
    *env*: variable → text to add to the slave's environment, None removes it.
    *timeout*: seconds without output after which a command is killed, default 1200; None: never.

    *sshPrivateKey*: the private key for ssh, usually a ``util.Secret``.  *sshHostKey*: the repository host's public key
    (as in ``ssh-rsa AAAA…``), or *sshKnownHosts*: lines of a known_hosts file; without them the slave's own count.
    *auth_credentials*: ``(user, password)`` for a repository at https://, usually ``("x", util.Secret("token"))``.
    They are for the repository's host alone, and are nowhere after the command.

    A patch that was submitted with the request is applied (``git apply --index -p1``).  Git never asks anybody
    anything: what it may not read, it fails to read.

    Without effect: *logEnviron*.
    """

    name = "git"
    haltOnFailure = True
    positional = ("repourl",)
    arguments = {
        "repourl": checks.word,
        "branch": _ref,
        "revision": _ref,
        "mode": checks.choice("incremental", "full"),
        "method": checks.choice("fresh", "clean", "clobber", "copy"),
        "workdir": checks.path,
        "shallow": _depth,
        "submodules": checks.flag,
        "progress": checks.flag,
        "retry": _retry,
        "clobberOnFailure": checks.flag,
        "alwaysUseLatest": checks.flag,
        "codebase": checks.text,
        "config": checks.environment,
        "env": checks.environment,
        "timeout": checks.seconds,
        "sshPrivateKey": checks.word,
        "sshHostKey": checks.word,
        "sshKnownHosts": checks.word,
        "auth_credentials": _credentials,
    }
    nullable = ("timeout",)
    without_effect = ("logEnviron",)

    repourl: Any = MISSING
    branch: Any = None
    revision: Any = None
    mode: Any = "incremental"
    method: Any = None
    workdir: Any = None
    shallow: Any = False
    submodules: Any = False
    progress: Any = True
    retry: Any = None
    clobberOnFailure: Any = False
    alwaysUseLatest: Any = False
    codebase: Any = ""
    config: Any = None
    env: Any = None
    timeout: Any = DEFAULT_TIMEOUT
    sshPrivateKey: Any = None
    sshHostKey: Any = None
    sshKnownHosts: Any = None
    auth_credentials: Any = None

    def check(self, at: Arguments) -> None:
        """
        What does not go together.
        """
        if self.method is not None and self.mode == "incremental":
            at.note('method is for mode="full", and the mode is "incremental".')
        if self.sshHostKey is not None and self.sshKnownHosts is not None:
            at.note("sshHostKey and sshKnownHosts exclude each other.")
        if not isinstance(self.repourl, str):
            return
        if SECRET_REFERENCE.search(self.repourl):
            at.note("repourl has a secret in it, which would be kept in .git/config.  Use auth_credentials instead.")
        elif self.repourl.startswith("-"):
            at.wrong("repourl", self.repourl, "the address of a repository")
        elif self.auth_credentials is not None and _web_host(self.repourl) is None:
            at.note(f"auth_credentials are for a repository at https://, and this one is {self.repourl!r:.200}.")

    async def run(self) -> Result:
        """
        Get it, as often as *retry* and *clobberOnFailure* say.
        """
        try:
            branch, revision = self._wanted()
        except InputError as error:
            return self.fail(str(error))
        pause, left = self.retry or (0, 0)
        clobber = self.mode == "full" and self.method == "clobber"
        while True:
            try:
                await self._get(branch, revision, clobber=clobber)
                break
            except _Failed as failed:
                if failed.result is not Result.FAILURE:
                    return self.fail(failed.sentence, failed.result)
                if self.clobberOnFailure and not clobber:
                    clobber = True
                    self.bench.remark(f"{failed.sentence}  Trying again from nothing.")
                elif left > 0:
                    left -= 1
                    self.bench.remark(f"{failed.sentence}  Trying again in {pause:g} s.")
                    await self.execute(["sleep", f"{pause:g}"], workdir=".", timeout=None)
                else:
                    return self.fail(failed.sentence)
        try:
            return await self._finish()
        except _Failed as failed:
            return self.fail(failed.sentence, failed.result)

    def _wanted(self) -> tuple[str | None, str | None]:
        """
        Branch and revision: the request's, or else the step's.
        """
        stamp = self.bench.view.sources.get(self.codebase, {})
        found: dict[str, str | None] = {"branch": self.branch, "revision": self.revision}
        for name in found:
            asked = stamp.get(name) or (self.getProperty(name) if not self.codebase else None)
            if not asked or (name == "revision" and self.alwaysUseLatest):
                continue
            if not isinstance(asked, str) or not _REF.match(asked):
                raise InputError(f"The request's {name} is {asked!r:.200}, which cannot be the name of one.")
            found[name] = asked
        return found["branch"], found["revision"]

    async def _get(self, branch: str | None, revision: str | None, *, clobber: bool) -> None:
        copies = self.mode == "full" and self.method == "copy"
        directory = _COPY_FROM if copies else self.workdir
        cleans = self.mode == "full" and self.method in {None, "fresh", "clean"}
        clean = ["clean", "-q", "-f", "-f", "-d", *(["-x"] if self.method != "clean" else [])]
        if clobber:
            await self._slave_does(spec.RemoveDirectory(self.workdir_path(directory)))
        await self._script(_INIT, "git-init", self.repourl, workdir=directory, trying="prepare a repository")
        if cleans:
            await self._git(clean, workdir=directory, trying="clean the directory")
        commit = await self._fetch(branch, revision, directory, fresh=clobber)
        name = branch if branch and branch != "HEAD" and not branch.startswith("refs/") else ""
        await self._script(_CHECK_OUT, "git-checkout", commit, name, workdir=directory, trying=f"check out {commit}")
        if cleans:
            await self._git(clean, workdir=directory, trying="clean the directory")
        if self.submodules:
            await self._get_submodules(directory, clean if cleans else None)
        if copies:
            await self._copy()

    async def _fetch(self, branch: str | None, revision: str | None, directory: str | None, *, fresh: bool) -> str:
        """
        Fetch what is needed, and answer what to check out.
        """
        if revision is None:
            await self._fetch_refs([f"+{branch or 'HEAD'}:{_FETCHED}"], directory, what=branch or "HEAD")
            return _FETCHED
        whole = _HASH.match(revision)
        if whole:
            if not fresh and await self._resolved([revision], directory):
                return revision
            # Most servers give away a single commit; from others everything is fetched.
            if (await self._remote(self._fetch_words([f"+{revision}:{_FETCHED}"]), directory)).outcome.succeeded:
                return revision
        refs = [*_EVERYTHING, *([f"+{branch}:{_FETCHED}"] if branch and branch.startswith("refs/") else [])]
        await self._fetch_refs(refs, directory, what="everything", prune=True)
        names = [f"refs/tags/{revision}", f"refs/remotes/origin/{revision}"]
        commit = await self._resolved(names + [revision] * bool(_SHORT_HASH.match(revision)), directory)
        if commit is None:
            hint = "" if whole or not self.shallow else "  (With shallow, a commit needs all of its 40 digits.)"
            raise _Failed(Result.FAILURE, f"{self.repourl} has no revision {revision!r:.100}.{hint}")
        return commit

    async def _fetch_refs(self, refs: Sequence[str], directory: str | None, *, what: str, prune: bool = False) -> None:
        ran = await self._remote(self._fetch_words(refs, prune=prune), directory)
        self._must_succeed(ran, f"fetch {what} from {self.repourl}")

    def _fetch_words(self, refs: Sequence[str], *, prune: bool = False) -> list[str]:
        options = ["--force", "--no-recurse-submodules", "--refmap="]
        if prune:
            options.append("--prune")
        if self.progress:
            options.append("--progress")
        if self.shallow:
            options.append(f"--depth={int(self.shallow)}")
        return ["fetch", *options, "origin", *refs]

    async def _resolved(self, names: Sequence[str], directory: str | None) -> str | None:
        ran = await self._run(["/bin/sh", "-c", _RESOLVE, "git-resolve", *names], directory)
        found = ran.output().strip()
        return found if ran.outcome.succeeded and _HASH.match(found) else None

    async def _get_submodules(self, directory: str | None, clean: Sequence[str] | None) -> None:
        await self._git(["submodule", "sync", "-q", "--recursive"], workdir=directory, trying="look at the submodules")
        depth = [f"--depth={int(self.shallow)}"] if self.shallow else []
        words = ["submodule", "update", "--init", "--recursive", "--force", *depth]
        self._must_succeed(await self._remote(words, directory), f"get the submodules of {self.repourl}")
        if clean:
            each = ["submodule", "-q", "foreach", "--recursive", f"git {' '.join(clean)}"]
            await self._git(each, workdir=directory, trying="clean the submodules")

    async def _copy(self) -> None:
        build = self.workdir_path(self.workdir)
        await self._slave_does(spec.RemoveDirectory(build))
        await self._slave_does(spec.MakeDirectory(build))
        target = relpath(build, self.bench.directory)
        ran = await self.execute(["cp", "-pR", f"{_COPY_FROM}/.", f"{target}/"], workdir=".", timeout=self.timeout)
        self._must_succeed(ran, "copy the sources")

    async def _finish(self) -> Result:
        """
        Say what was checked out, and apply the patch that came with the request.
        """
        ran = await self._run(["git", "rev-parse", "HEAD"], self.workdir)
        self._must_succeed(ran, "say what was checked out")
        revision = ran.output().strip()
        if self.codebase:
            others = self.getProperty("got_revision")
            self.setProperty("got_revision", {**(others if isinstance(others, dict) else {}), self.codebase: revision})
        else:
            self.setProperty("got_revision", revision)
        self.summary = f"revision {revision[:12]}"
        if (patch := self.bench.input("patch")) is not None:
            return await self._apply(patch[0], patch[1], revision)
        return Result.SUCCESS

    async def _apply(self, patch: Source, size: int, revision: str) -> Result:
        if size == 0:
            return self.fail("The submitted patch is empty.  Send the output of: git diff")
        words = ["/bin/sh", "-c", _APPLY, "git-apply"]
        ran = await self._run(words, self.workdir, stdin_input="patch", sources={"patch": patch})
        result, said = verdict(ran.outcome, self.slave_name)
        if result is Result.SUCCESS:
            self.summary += " with the submitted patch"
            return result
        if ran.outcome.ending is not Ending.EXITED:
            return self.fail(said, result)
        said = _saying(ran)
        if _NO_PATCH.search(said):
            return self.fail("What was submitted is no patch.  Send the output of: git diff")
        return self.fail(f"The submitted patch does not apply to revision {revision[:12]}: {said}.")

    # How commands are run.

    async def _git(self, words: Sequence[str], *, workdir: str | None, trying: str) -> None:
        self._must_succeed(await self._run(["git", *words], workdir), trying)

    async def _script(self, script: str, name: str, *words: str, workdir: str | None, trying: str) -> None:
        # *name* is what people see of it.
        self._must_succeed(await self._run(["/bin/sh", "-c", script, name, *words], workdir), trying)

    async def _remote(self, words: Sequence[str], workdir: str | None) -> Ran:
        """
        A git command that speaks to the repository, with all that it needs for it.
        """
        env: dict[str, str | None] = {}
        files: dict[str, str] = {}
        options: list[str] = []
        ssh = ["ssh -o BatchMode=yes"]
        if self.sshPrivateKey is not None:
            # A key without its last line's end is none, for ssh.
            files["BUILDBOT_LITE_SSH_KEY"] = f"{self.sshPrivateKey}\n"
            ssh.append('-o IdentitiesOnly=yes -i "$BUILDBOT_LITE_SSH_KEY"')
        if self.sshHostKey is not None or self.sshKnownHosts is not None:
            files["BUILDBOT_LITE_KNOWN_HOSTS"] = f"{self.sshKnownHosts or '* ' + self.sshHostKey}\n"
            ssh.append('-o StrictHostKeyChecking=yes -o "UserKnownHostsFile=\\"$BUILDBOT_LITE_KNOWN_HOSTS\\""')
        if files:
            env["GIT_SSH_COMMAND"] = " ".join(ssh)
        if self.auth_credentials is not None:
            env["BUILDBOT_LITE_USER"], env["BUILDBOT_LITE_PASSWORD"] = self.auth_credentials
            options = ["-c", "credential.helper=", "-c", f"credential.{_web_host(self.repourl)}.helper={_HELPER}"]
        return await self._run(["git", *options, *words], workdir, env=env, files=files)

    async def _run(
        self,
        words: Sequence[str],
        workdir: str | None,
        *,
        env: Mapping[str, str | None] | None = None,
        sources: Mapping[str, Source] | None = None,
        **more: Any,
    ) -> Ran:
        if words[0] == "git":
            settings = [f"{name}={value}" for name, value in (self.config or {}).items() if value is not None]
            words = ["git", *(part for setting in settings for part in ("-c", setting)), *words[1:]]
        return await self.do(
            spec.Run(
                argv=tuple(words),
                workdir=self.workdir_path(workdir),
                env={**(self.env or {}), **_QUIET, **(env or {})},
                timeout=self.timeout,
                **more,
            ),
            sources=sources,
        )

    async def _slave_does(self, what: spec.Spec) -> None:
        result, said = verdict((await self.do(what)).outcome, self.slave_name)
        if result is not Result.SUCCESS:
            raise _Failed(result, said)

    def _must_succeed(self, ran: Ran, trying: str) -> None:
        result, said = verdict(ran.outcome, self.slave_name)
        if result is not Result.SUCCESS:
            if ran.outcome.ending is Ending.EXITED:
                said = _saying(ran) or said
            raise _Failed(result, f"git could not {trying}: {said.removesuffix('.')}.")


def _saying(ran: Ran) -> str:
    """
    What git said first of what went wrong; without that, what it said last.
    """
    lines = [line.strip() for line in re.split(r"[\r\n]+", ran.output()) if line.strip()]
    first = next((at for at, line in enumerate(lines) if line.startswith(_COMPLAINTS)), len(lines) - 1)
    if first > 0 and "Could not read from remote repository" in lines[first]:
        first -= 1  # ssh said why
    said = lines[first] if lines else ""
    return (said.partition(": ")[2] if said.startswith(_COMPLAINTS) else said)[:_LONGEST_SAYING]


def _web_host(url: str) -> str | None:
    """
    Scheme, host and port of a repository on the web; None for any other.
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    # An address of IPv6 had brackets, and has them for git.
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}"
