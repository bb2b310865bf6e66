"""
The difference between a working tree and what its repository's server has, as a patch.

::

    git   the newest commit that a remote has ──► local commits, staged and unstaged changes, new files
    hg    the newest public commit            ──► local commits, changes, added files
    svn   the checked-out revision            ──► changes, added files

Nothing in the tree is changed, nor git's index.  Ignored files never belong to the patch.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import IO, Any, Self

from attrs import field, frozen

from ...errors import BuildbotLiteError, InputError, NotFoundError
from ...model.patch_base import PatchBase
from ...storage.inputs import LARGEST_INPUT

_REMOTES = "refs/remotes/"
_PIECE = 256 << 10


@frozen
class WorkingPatch:
    """
    A patch.  *file*: holds it, at most `LARGEST_INPUT` bytes; the file has no name, and ends with its last reference.
    *base*: the revision to which it applies.  *remarks*: files and changes that are not in it.
    """

    file: IO[bytes]
    base: PatchBase
    remarks: Sequence[str] = ()

    @property
    def length(self) -> int:
        """
        Bytes of the patch.
        """
        return os.fstat(self.file.fileno()).st_size


def working_patch(directory: str, base: str | None = None) -> WorkingPatch:
    """
    The patch of the working tree that *directory* is in.  *base*: the revision to compare with, instead of the one that
    the server has.  `BuildbotLiteError` if there is no working tree, no difference, no program for it, or too large a
    difference.
    """
    above = os.path.abspath(directory)
    while not (kind := next((name for name in _KINDS if os.path.exists(os.path.join(above, name))), None)):
        if above == os.path.dirname(above):
            place = "The current directory" if directory == "." else directory
            raise NotFoundError(f"{place} is not in a working tree of git, Mercurial or Subversion.")
        above = os.path.dirname(above)
    found = _KINDS[kind](above, base)
    if not found.length:
        revision = f" of {found.base.revision[:12]}" if found.base.revision else ""
        raise BuildbotLiteError(f"There is nothing to try: {above} has the files{revision} unchanged.")
    return found


@frozen
class _Program:
    """
    A program for version control, run in the directory *top*.
    """

    name: str
    top: str
    environment: Mapping[str, str] = field(factory=dict)

    def output(self, *words: str) -> bytes:
        """
        The output of the program; `BuildbotLiteError`, with its message, if it fails.
        """
        done = self._run(words)
        self._check(words, done.returncode, done.stderr)
        return done.stdout

    def patch(self, *words: str) -> IO[bytes]:
        """
        A new file with the patch that it prints; `BuildbotLiteError` if it fails, or prints more than `LARGEST_INPUT`.
        """
        file = tempfile.TemporaryFile(prefix="try-")  # noqa: SIM115 - its user closes it
        with (
            tempfile.TemporaryFile(prefix="try-") as errors,
            subprocess.Popen(stdout=subprocess.PIPE, stderr=errors, **self._options(words)) as running,
        ):
            assert running.stdout is not None
            try:
                _copy(running.stdout, file)
            except BaseException:
                running.kill()
                raise
            code = running.wait()
            errors.seek(0)
            self._check(words, code, errors.read(_PIECE))
        return file

    def line(self, *words: str) -> str | None:
        """
        The first line that it prints; None if it fails or prints nothing.
        """
        done = self._run(words)
        lines = done.stdout.decode("utf-8", "surrogateescape").splitlines()
        return lines[0] if lines and not done.returncode else None

    def _check(self, words: Sequence[str], code: int, errors: bytes) -> None:
        if code:
            reason = errors.decode("utf-8", "replace").strip() or f"exit code {code}"
            raise BuildbotLiteError(f"{self.name} {words[0]} failed: {reason}")

    def _run(self, words: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(capture_output=True, check=False, **self._options(words))

    def _options(self, words: Sequence[str]) -> dict[str, Any]:
        """
        The arguments for `subprocess` to run it with *words*.
        """
        if shutil.which(self.name) is None:
            raise NotFoundError(f"{self.top} is a working tree of {self.name}, which is not installed here.")
        # What they print is read by this program.
        environment = {**os.environ, "LC_ALL": "C", "HGPLAIN": "1", "GIT_OPTIONAL_LOCKS": "0", **self.environment}
        return {"args": [self.name, *words], "cwd": self.top, "env": environment, "stdin": subprocess.DEVNULL}

    def with_environment(self, **more: str) -> Self:
        """
        A copy of this object whose commands get more environment variables.
        """
        return type(self)(self.name, self.top, {**self.environment, **more})


def _copy(source: IO[bytes], to: IO[bytes]) -> None:
    """
    Copy the patch in *source*, which may have `LARGEST_INPUT` bytes.
    """
    length = 0
    while piece := source.read(_PIECE):
        length += len(piece)
        if length > LARGEST_INPUT:
            raise InputError(
                f"The changes are larger than the {LARGEST_INPUT} bytes that a master takes.  Let git, hg or svn "
                "ignore files that the builds do not need."
            )
        try:
            to.write(piece)
            to.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, tempfile.gettempdir()) from None


def _of_git(top: str, revision: str | None) -> WorkingPatch:
    git = _Program("git", top)
    if git.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}") is None:
        raise BuildbotLiteError(f"There is no commit in {top} yet.")
    base = _git_base(git, revision)
    assert base.revision is not None
    with tempfile.TemporaryDirectory(prefix="try-") as directory:
        # New files become known in a copy of the index.
        index = os.path.join(directory, "index")
        own = git.line("rev-parse", "--git-path", "index")
        if own is not None and os.path.exists(path := os.path.join(top, own)):
            # With its time, by which git knows what it has to look at again.
            shutil.copy2(path, index)
        copied = git.with_environment(GIT_INDEX_FILE=index)
        copied.output("add", "--all", "--intent-to-add", "--", ".")
        options = (
            *("--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv", "--no-relative"),
            *("--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--ignore-submodules=dirty"),
        )
        return WorkingPatch(copied.patch("diff", *options, base.revision, "--"), base)


def _git_base(git: _Program, wanted: str | None) -> PatchBase:
    """
    The newest commit that the working tree is based on and a remote has, and its branch there; without remotes HEAD.
    """
    if wanted is not None:
        revision = git.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{wanted}^{{commit}}")
        if revision is None:
            raise NotFoundError(f"There is no commit {wanted!r:.100} here.")
        return PatchBase(revision)
    followed = git.line("rev-parse", "--symbolic-full-name", "@{upstream}")
    if followed is not None and followed.startswith(_REMOTES):
        revision = git.line("merge-base", "HEAD", followed)
        if revision is not None:
            return PatchBase(revision, _branch(followed))
    words = ("--merged", "HEAD", "--sort=-committerdate", "--format=%(objectname) %(refname)", "refs/remotes")
    listed = git.output("for-each-ref", *words).decode("utf-8", "surrogateescape").splitlines()
    for line in listed:
        revision, _, name = line.partition(" ")
        if not name.endswith("/HEAD"):
            return PatchBase(revision, _branch(name))
    return PatchBase(git.line("rev-parse", "HEAD"))


def _branch(remote_ref: str) -> str | None:
    """
    What the server calls refs/remotes/origin/main: "main".
    """
    return remote_ref.removeprefix(_REMOTES).partition("/")[2] or None


def _of_hg(top: str, wanted: str | None) -> WorkingPatch:
    hg = _Program("hg", top)
    chosen = wanted if wanted is not None else "last(public() and ancestors(.))"
    revision = hg.line("log", "--limit=1", f"--rev={chosen}", "--template={node}\n")
    if revision is None:
        raise NotFoundError(
            f"There is no commit {wanted!r:.100} here." if wanted else f"No commit in {top} is public yet: hg push."
        )
    patch = hg.patch("diff", "--git", f"--rev={revision}")
    branch = hg.line("log", "--limit=1", "--rev=.", "--template={branch}\n")
    return WorkingPatch(patch, PatchBase(revision, branch), _left_out(hg.output("status", "-un", "-0"), "hg add"))


def _of_svn(top: str, wanted: str | None) -> WorkingPatch:
    svn = _Program("svn", top)
    if wanted is not None:
        raise BuildbotLiteError("A base is for git and Mercurial: in Subversion it is the checked-out revision.")
    revision = svn.line("info", "--show-item=revision", "--no-newline")
    patch = svn.patch("diff", "--git", "--internal-diff")
    unknown = b"\0".join(
        line[8:] for line in svn.output("status").splitlines() if line.startswith(b"?") and len(line) > 8
    )
    return WorkingPatch(patch, PatchBase(revision), _left_out(unknown, "svn add"))


def _left_out(names: bytes, remedy: str) -> list[str]:
    """
    The remark about files that are unknown; *names*: separated by NUL.
    """
    found = [name.decode("utf-8", "replace") for name in names.split(b"\0") if name]
    if not found:
        return []
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return [f"not in the patch, because they were not added ({remedy}): {', '.join(found[:3])}{more}"]


_KINDS: Mapping[str, Callable[[str, str | None], WorkingPatch]] = MappingProxyType(
    {".git": _of_git, ".hg": _of_hg, ".svn": _of_svn}
)
