"""
The Git step in directories that an earlier build, or a killed git, left in any state.
"""

import os
import stat
import subprocess
import tempfile
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.steps import Git
from buildbot_lite.model.rendering import Secret
from buildbot_lite.model.results import Result

from .git_repository import (
    NO_SEARCH_ABOVE,
    PASSWORD,
    GitHttpServer,
    GitRepository,
)
from .local_machine import LocalMachine

NOBODY = 65534

MODES: Mapping[str, Mapping[str, str]] = {
    "incremental": {},
    "fresh": {"mode": "full"},
    "clean": {"mode": "full", "method": "clean"},
    "copy": {"mode": "full", "method": "copy"},
    "clobber": {"mode": "full", "method": "clobber"},
}

# Objects of one kind, which may all have been lost in a power failure.
_WITHOUT = (
    "for git in .git .git/modules/lib; do"
    " git --git-dir=$git cat-file --batch-all-objects --batch-check='%(objectname) %(objecttype)' |"
    " sed -n 's/ {kind}$//p' | while read -r id; do"
    " rm -f $git/objects/$(echo $id | cut -c1-2)/$(echo $id | cut -c3-); done; done"
)

# Shell commands that a build runs in its directory.  The submodule is "lib"; $ELSEWHERE is another directory.
LEFTOVERS = {
    "nothing": ":",
    "another work tree": "mkdir -p $ELSEWHERE/w; git config core.worktree $ELSEWHERE/w; echo mine > hello",
    "a sparse checkout": "git sparse-checkout set --no-cone /dir",
    "a sparse checkout of cones": "git sparse-checkout set dir",
    "a file to be skipped": "git update-index --skip-worktree hello; echo mine > hello",
    "a file that is assumed to be unchanged": "git update-index --assume-unchanged hello; echo mine > hello",
    "other line ends": "git config core.autocrlf true; rm hello; git checkout -q -- hello;"
    " touch -d '1 day ago' .git/index",
    "other line ends by attributes": "mkdir -p .git/info; echo '* text eol=crlf' > .git/info/attributes; rm hello;"
    " git checkout -q -- hello",
    "an index that lies": "echo MINE > hello; git update-index --add hello",
    "no index": "rm .git/index",
    "an empty index": ": > .git/index",
    "no indexes": "rm .git/index .git/checked-out",
    "empty indexes": ": > .git/index; : > .git/checked-out",
    "damaged indexes": "for i in .git/index .git/checked-out; do printf xyz | dd of=$i conv=notrunc 2>&1; done",
    "a directory as an index": "rm -f .git/index .git/checked-out; mkdir -p .git/index/a .git/checked-out/a",
    "an index that is split": "git config core.splitIndex true; git update-index --split-index;"
    " rm -f .git/sharedindex.*",
    "a lock of the index": "touch .git/index.lock",
    "locks everywhere": "for f in HEAD config packed-refs shallow refs/fetched/it refs/heads/main objects/pack/x"
    " modules/lib/index modules/lib/HEAD modules/lib/config modules/lib/refs/fetched/it;"
    " do mkdir -p $(dirname .git/$f); touch .git/$f.lock; done",
    "a HEAD that is no ref": "echo nonsense > .git/HEAD",
    "an empty HEAD": ": > .git/HEAD; : > .git/modules/lib/HEAD",
    "empty refs": "find .git/refs .git/modules/lib/refs -type f | while read f; do : > $f; done",
    "refs to nothing": "find .git/refs -type f | while read f; do printf '%040d\\n' 1 > $f; done",
    "nonsense in packed refs": "echo nonsense > .git/packed-refs",
    "nonsense as a shallow file": "echo nonsense > .git/shallow; echo nonsense > .git/modules/lib/shallow",
    "no configuration": "rm .git/config .git/modules/lib/config",
    "a configuration that cannot be read": "echo '[core' > .git/config; echo '[core' > .git/modules/lib/config",
    "a repository without objects": "rm -rf .git/objects",
    "a repository without packs": "rm -rf .git/objects/pack/*",
    "a repository without some objects": "rm -rf .git/objects/[0-7]*",
    **{f"a repository without any {kind}": _WITHOUT.format(kind=kind) for kind in ("commit", "tree", "blob")},
    "damaged objects": "for f in $(find .git/objects .git/modules -type f -path '*objects*'); do"
    " chmod u+w $f; printf xyz | dd of=$f conv=notrunc bs=1 seek=30 2> /dev/null; done",
    "no repository": "rm -rf .git",
    "a file that is no repository": "rm -rf .git; echo nonsense > .git",
    "a file for a repository": 'mv .git $ELSEWHERE/r; echo "gitdir: $ELSEWHERE/r" > .git',
    "a link for a repository": "mv .git $ELSEWHERE/r; ln -s $ELSEWHERE/r .git",
    "links in the repository": "mkdir -p $ELSEWHERE/o; mv .git/objects $ELSEWHERE/o; ln -s $ELSEWHERE/o/objects .git;"
    " mv .git/config $ELSEWHERE/o; ln -s $ELSEWHERE/o/config .git; mv .git/modules $ELSEWHERE/o;"
    " ln -s $ELSEWHERE/o/modules .git",
    "a common directory": "git init -q $ELSEWHERE/c; echo $ELSEWHERE/c/.git > .git/commondir",
    "another worktree's settings": "git config extensions.worktreeConfig true; git config --worktree core.bare true",
    "a bare repository": "git config core.bare true",
    "an unknown format": "git config core.repositoryformatversion 7; git config extensions.what ever",
    "replaced objects": "git replace $(git rev-parse HEAD:hello) $(echo mine | git hash-object -w --stdin);"
    " rm hello; git checkout -q -- hello",
    "grafts": "mkdir -p .git/info; git rev-parse HEAD > .git/info/grafts",
    "alternates that are gone": "mkdir -p .git/objects/info; echo /nowhere > .git/objects/info/alternates",
    "a hook that fails": "mkdir -p .git/hooks; for h in post-checkout reference-transaction post-index-change; do"
    " printf '#!/bin/sh\\nexit 1\\n' > .git/hooks/$h; chmod +x .git/hooks/$h; done",
    "another address": "git config url.file:///nowhere/.insteadOf /; git config remote.origin.url /nowhere",
    "another address of a submodule": "git -C lib config url.file:///nowhere/.insteadOf /;"
    " git config submodule.lib.url /nowhere; git -C lib config remote.origin.url /nowhere",
    "a submodule that is not wanted": "git config submodule.lib.update none; git config submodule.active nothing",
    "a submodule without a repository": "rm -rf .git/modules/lib",
    "a submodule with half a repository": "rm -rf .git/modules/lib/objects; mkdir .git/modules/lib/objects",
    "a submodule with a repository of its own": "rm -rf lib/.git; git init -q lib; git -C lib config core.bare true",
    "a submodule that points elsewhere": "echo gitdir: /nowhere > lib/.git",
    "a submodule that was removed": "git submodule -q deinit -f lib; rm -rf lib",
    "a submodule that is a file": "rm -rf lib; echo mine > lib",
    "a submodule that is a link": "mv lib $ELSEWHERE/lib; ln -s $ELSEWHERE/lib lib",
    "a directory that is a link": "mv dir $ELSEWHERE/dir; ln -s $ELSEWHERE/dir dir",
    "a directory that is a file": "rm -rf dir; echo mine > dir",
    "a file that is a directory": "rm hello; git init -q hello; mkdir -p hello/a; echo b > hello/a/b",
    "a file with another mode": "chmod 755 hello; chmod 644 script",
    "a link to another place": "rm link; ln -s nowhere link",
    "a merge": "git checkout -q -b a; echo a > hello; git commit -qam a; git checkout -q -b b HEAD~; echo b > hello;"
    " git commit -qam b; git merge -q a",
    "a rebase": "git checkout -q -b a; echo a > hello; git commit -qam a; git checkout -q -b b HEAD~; echo b > hello;"
    " git commit -qam b; git rebase -q a",
    "a bisection": "git bisect start; git bisect bad; git bisect good HEAD~1",
    "a commit": "echo mine > hello; echo x > extra; git add .; git commit -qm mine; rm -f extra",
    "a local tag": "git tag v1.0",
    "directories without permission to write": "mkdir -p go/mod; echo x > go/mod/f; chmod -R a-w go dir",
    "directories without any permission": "mkdir -p t/locked/x; echo x > t/locked/f; chmod 000 t/locked dir",
    "all without permission to write": "chmod -R a-w .",
    "what is too deep for git": "python3 -c \"import os\nfor i in range(3000): os.mkdir('deep'); os.chdir('deep')\"",
    "names that are long": "mkdir -p $(printf 'd%.0s' $(seq 200))/$(printf 'e%.0s' $(seq 200));"
    " touch -- -x '--' 'a\nb'",
    "temporary files of a killed git": "touch .git/objects/pack/tmp_pack_x .git/objects/pack/.tmp-1-pack-x;"
    " mkdir .git~new",
}


# Forgeries: an index or objects whose contents do not match their names.  Modes that use nothing of an earlier build
# must not be deceived.
_FORGE = """python3 - <<'END'
import os, subprocess, zlib
def git(*words): return subprocess.run(['git', *words], capture_output=True, check=True).stdout
def forge(name, kind, data):
    path = '.git/objects/%s/%s' % (name[:2], name[2:])
    if os.path.exists(path):
        os.chmod(path, 0o644)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(zlib.compress(b'%s %d\\0%s' % (kind, len(data), data)))
def id_of(what): return git('rev-parse', what).decode().strip()
{forge}
END
"""
FORGED = {
    "a file that is not what it is called": _FORGE.format(
        forge="forge(id_of('HEAD:hello'), b'blob', b'MINE'); os.unlink('hello')"
    ),
    "a directory that is not what it is called": _FORGE.format(
        forge="tree = git('cat-file', 'tree', 'HEAD:dir')[:-20] + bytes.fromhex(id_of('HEAD:script'));"
        "forge(id_of('HEAD:dir'), b'tree', tree); os.unlink('dir/file1'); os.unlink('.git/checked-out')"
    ),
    "an index that lies about a file": _FORGE.format(
        forge="was = id_of('HEAD:hello'); open('hello', 'w').write('mine'); git('add', 'hello');"
        "now = id_of(':hello'); data = open('.git/index', 'rb').read().replace(bytes.fromhex(now), bytes.fromhex(was));"
        "import hashlib; data = data[:-20] + hashlib.sha1(data[:-20]).digest();"
        "open('.git/index', 'wb').write(data); os.replace('.git/index', '.git/checked-out')"
    ),
}

# After these commands, the files of the earlier commit are not known, so that mode="incremental" leaves them.
LOSES_HISTORY = {
    "a repository without objects",
    "no repository",
    "a file that is no repository",
    "a file for a repository",
    "a link for a repository",
    "links in the repository",
    "another repository",
}


class FileState(NamedTuple):
    """
    A file's mode and contents.
    """

    mode: int
    contents: bytes


def state_of(directory: str) -> dict[str, FileState]:
    """
    The state of each file in *directory*, except git's own files.
    """
    found = {}
    for above, names, files in os.walk(directory):
        links = [name for name in names if os.path.islink(os.path.join(above, name))]
        names[:] = sorted(set(names) - {".git"} - set(links))
        for name in {*files, *links} - {".git"}:
            path = os.path.join(above, name)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                contents = os.readlink(path).encode()
            else:
                with open(path, "rb") as file:
                    contents = file.read()
            # Git records only the executable bit.
            found[os.path.relpath(path, directory)] = FileState(status.st_mode & ~0o677, contents)
    return found


class Origin:
    """
    A repository with a submodule that alternates between two commits.
    """

    def __init__(self, directory: str) -> None:
        self.library = GitRepository(os.path.join(directory, "library"))
        self.repository = GitRepository(os.path.join(directory, "origin"))
        path = self.repository.path
        os.mkdir(os.path.join(path, "dir"))
        os.symlink("hello", os.path.join(path, "link"))
        for name in ("script", "dir/file0", "dir/file1", "hello"):
            with open(os.path.join(path, name), "w") as file:
                file.write(f"{name}\n")
        os.chmod(path + "/script", 0o755)
        self.library.commit(inner="first\n", same="same\n")
        self.repository.git("-c", "protocol.file.allow=always", "submodule", "-q", "add", self.library.path, "lib")
        self._grown = 0
        self._states = deque(self._commit(number) for number in range(2))
        self.turn()

    def _commit(self, number: int) -> tuple[str, dict[str, FileState]]:
        self._change_library(f"{number}\n")
        if number:
            os.unlink(os.path.join(self.repository.path, f"new{number - 1}"))
        commit = self.repository.commit(**{f"new{number}": "new\n", "changes": f"{number}\n"})
        return commit, state_of(self.repository.path)

    def turn(self) -> None:
        """
        Move main to the other commit, which differs by a new, a missing and a changed file and by the submodule's
        commit.
        """
        self._states.rotate()
        self.repository.git("update-ref", "refs/heads/main", self._states[0][0])

    def _change_library(self, inner: str) -> None:
        commit = self.library.commit(inner=inner)
        self.repository.git("-C", "lib", "fetch", "-q", self.library.path)
        self.repository.git("-C", "lib", "checkout", "-q", commit)

    def grow(self) -> None:
        """
        Make a new commit, with a new commit of the submodule.
        """
        self._grown += 1
        self._change_library(f"grown {self._grown}\n")
        self._states[0] = (self.repository.commit(), state_of(self.repository.path))

    @property
    def state(self) -> dict[str, FileState]:
        """
        The files of the present commit.
        """
        return self._states[0][1]

    @property
    def past(self) -> dict[str, FileState]:
        """
        The files of the other commit.
        """
        return self._states[1][1]


class LeftoverTests(SynchronousTestCase):
    """
    Promise 6.20: whatever was left in the directory, the step checks out exactly the commit.
    """

    mode: ClassVar[str] = "incremental"

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp()
        self.addCleanup(subprocess.run, ["rm", "-rf", self.directory], check=True)
        self.origin = Origin(self.directory)
        self.elsewhere = os.path.join(self.directory, "elsewhere")
        self.user = NOBODY if os.geteuid() == 0 else None
        self.machine = self.new_machine("slave")

    def new_machine(self, name: str) -> LocalMachine:
        """
        A slave that runs its commands as an unprivileged user.
        """
        root = os.path.join(self.directory, name)
        os.makedirs(os.path.join(root, "builder"))
        with open(os.path.join(root, ".gitconfig"), "w") as file:
            file.write("[safe]\n directory = *\n")  # the origin has another owner
        os.chmod(self.directory, 0o755)
        if self.user is not None:
            subprocess.run(["chown", "-R", str(self.user), root], check=True)
        return LocalMachine(root, env=NO_SEARCH_ABOVE, user=self.user)

    def check_out(self, *, remembers: bool = True, **arguments: Any) -> str:
        """
        Run the step.  Return "" or what is wrong.  *remembers*: whether the files of the earlier commit can be known.
        """
        given = {
            "repourl": self.origin.repository.path,
            "submodules": True,
            "config": {"protocol.file.allow": "always"},
            "progress": False,
            **MODES[self.mode],
            **arguments,
        }
        step = Git(**given)
        self.machine.output = ""
        result = self.machine.run(step)
        if result is not Result.SUCCESS:
            return f"{step.summary}\n{self.machine.output}"
        found, wanted = state_of(self.machine.path("build")), self.origin.state
        past = self.origin.past
        if self.mode == "incremental":
            # Untracked files stay; files of the earlier commit that the new commit does not have must be removed.
            found = {name: each for name, each in found.items() if name in wanted or (remembers and name in past)}
        differing = {name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)}
        return f"{sorted(differing)}\n{self.machine.output}" if differing else ""

    def build(self, command: str) -> None:
        """
        Run a build's *command* in the directory after a checkout.
        """
        subprocess.run(["rm", "-rf", self.elsewhere], check=True)
        os.makedirs(self.elsewhere)
        os.chmod(self.elsewhere, 0o777)
        env = {
            "PATH": os.environ["PATH"],
            "HOME": self.elsewhere,
            "ELSEWHERE": self.elsewhere,
            "GIT_AUTHOR_NAME": "B",
            "GIT_AUTHOR_EMAIL": "b@example.org",
            "GIT_COMMITTER_NAME": "B",
            "GIT_COMMITTER_EMAIL": "b@example.org",
            **NO_SEARCH_ABOVE,
        }
        subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.machine.path("build"),
            env=env,
            user=self.user,
            group=self.user,
            capture_output=True,
            check=False,
        )

    def check(self, left: Mapping[str, str]) -> None:
        """
        After each command of *left*, the next two commits are checked out exactly.
        """
        wrong = {}
        self.assertEqual(self.check_out(), "")
        for number, (name, command) in enumerate(left.items()):
            self.build(command)
            self.origin.turn()
            said = self.check_out(remembers=name not in LOSES_HISTORY)
            if said:
                wrong[name] = said
                self.machine = self.new_machine(f"slave{number}")
                self.assertEqual(self.check_out(), "")
        self.assertEqual(wrong, {}, "\n\n".join(f"{name}: {said}" for name, said in wrong.items()))

    def test_left(self) -> None:
        """
        Each state that a build can leave is repaired and does not affect the checkout.
        """
        self.check(LEFTOVERS)


class FreshTests(LeftoverTests):
    mode = "fresh"

    def test_forged(self) -> None:
        """
        A forged index or object is not used.
        """
        self.check(FORGED)


class ReviewCaseTests(LeftoverTests):
    """
    Cases from a review of the checkout script.
    """

    mode = "fresh"

    def test_left(self) -> None:
        """
        Uncommitted attributes, and locks and refs with other contents, do not affect the checkout.
        """
        self.check(
            {
                "attributes, and no repository": "rm -rf .git; echo '* text eol=crlf' > .gitattributes",
                "a lock with a hash in it": "cp .git/refs/fetched/it .git/refs/fetched/checked-out.lock",
            }
        )

    def test_links(self) -> None:
        """
        The target of a link inside the repository is not changed, whichever part of the path is the link.
        """
        self.assertEqual(self.check_out(), "")
        for link in ("objects", "modules"):
            self.build(
                f"mkdir -p $ELSEWHERE/t/lib; cp -R .git/{link}/. $ELSEWHERE/t; echo dear > $ELSEWHERE/t/letter;"
                f" echo dear > $ELSEWHERE/t/lib/letter; rm -rf .git/{link}; ln -s $ELSEWHERE/t .git/{link}"
            )
            self.origin.turn()
            self.assertEqual(self.check_out(), "")
            for letter in ("t/letter", "t/lib/letter"):
                self.assertTrue(os.path.exists(os.path.join(self.elsewhere, letter)), (link, letter))

    def test_other_refs(self) -> None:
        """
        A ref that a build created is not used instead of the repository's.
        """
        self.assertEqual(self.check_out(), "")
        self.build(
            "mkdir -p .git/refs/remotes/origin; echo 'ref: refs/fetched/checked-out                    '"
            " > .git/refs/remotes/origin/main"
        )
        self.origin.turn()
        self.assertEqual(self.check_out(revision="main"), "")

    def test_no_longer_shallow(self) -> None:
        """
        After a shallow checkout, a complete one fetches the whole history.
        """
        path = "file://" + self.origin.repository.path
        self.assertEqual(self.check_out(repourl=path, shallow=True), "")
        self.assertEqual(self.check_out(repourl=path), "")
        counted = subprocess.run(
            ["git", "-c", "safe.directory=*", "rev-list", "--count", "HEAD"],
            cwd=self.machine.path("build"),
            capture_output=True,
            check=True,
        )
        self.assertGreater(int(counted.stdout), 1)

    def test_fetch_that_dies(self) -> None:
        """
        After a fetch that was killed, the next checkout fetches again.
        """
        self.assertEqual(self.check_out(), "")
        self.origin.turn()
        programs = os.path.join(self.directory, "programs")
        os.mkdir(programs)
        with open(os.path.join(programs, "git"), "w") as file:
            file.write(
                '#!/bin/sh\ncase " $* " in *" fetch "*) kill -9 $PPID; exit 1;; esac\nPATH=${PATH#*:} exec git "$@"\n'
            )
        os.chmod(os.path.join(programs, "git"), 0o755)
        path = f"{programs}:{os.environ['PATH']}"
        said = self.check_out(env={"PATH": path})
        self.assertTrue(said and not said.startswith("["), said)
        self.assertEqual(self.check_out(), "")


# These states take another path than with method="fresh".
SELECTED = {
    "a file to be skipped",
    "locks everywhere",
    "damaged indexes",
    "a HEAD that is no ref",
    "damaged objects",
    "links in the repository",
    "another address of a submodule",
    "a submodule that is a link",
    "a directory that is a link",
    "directories without permission to write",
    "directories without any permission",
    "all without permission to write",
    "what is too deep for git",
    "names that are long",
}


class CleanTests(LeftoverTests):
    mode = "clean"

    def test_left(self) -> None:
        """
        A selection of the states is repaired as well.
        """
        self.check({name: command for name, command in LEFTOVERS.items() if name in SELECTED})


class CopyTests(CleanTests):
    mode = "copy"

    def build(self, command: str) -> None:
        """
        Run *command* also in the directory from which copies are made.
        """
        super().build(f"{command}\ncd ../source\n{command}")


class ClobberTests(CleanTests):
    mode = "clobber"


# Each trap makes git run the program $RUNS, with the password in its environment, when git is used in the repository
# $G. All are tried in the repository; the first dictionary is tried in the submodule too.
_TRAPS_ANYWHERE = {
    "hooks": "mkdir -p $G/hooks; for h in reference-transaction post-checkout post-index-change pre-auto-gc post-merge;"
    " do cp $RUNS $G/hooks/$h; done",
    "a place for hooks": "mkdir -p hooks; cp $RUNS hooks/reference-transaction; cp $RUNS hooks/post-checkout;"
    " git config core.hooksPath $PWD/hooks",
    "file system monitors": "git config core.fsmonitor $RUNS",
    "filters": "for f in smudge clean process; do git config filter.f.$f $RUNS; done;"
    " mkdir -p $G/info; echo '* filter=f' > $G/info/attributes",
    "a transport": "git config remote.origin.uploadpack $RUNS; git config remote.origin.url $ORIGIN",
    "an address that runs a program": "git config protocol.ext.allow always; git config protocol.allow always;"
    ' git config remote.origin.url "ext::$RUNS"',
    "an include": 'printf "[core]\\n fsmonitor = $RUNS\\n" > inc; git config include.path $PWD/inc',
    "the settings of a worktree": "git config extensions.worktreeConfig true;"
    " git config --worktree core.fsmonitor $RUNS",
    "a common directory": "cp -r $G $ELSEWHERE/common; mkdir -p $ELSEWHERE/common/hooks;"
    " cp $RUNS $ELSEWHERE/common/hooks/reference-transaction; echo $ELSEWHERE/common > $G/commondir",
    "another repository": "cp -r $G $ELSEWHERE/r; git config -f $ELSEWHERE/r/config core.fsmonitor $RUNS;"
    " git config -f $ELSEWHERE/r/config core.worktree $PWD; rm -rf .git; echo gitdir: $ELSEWHERE/r > .git",
    "a link to another configuration": "cp $G/config $ELSEWHERE/c; git config -f $ELSEWHERE/c core.fsmonitor $RUNS;"
    " ln -sf $ELSEWHERE/c $G/config",
}
_TRAPS_AT_THE_TOP = {
    "alternates": "git config core.alternateRefsCommand $RUNS; mkdir -p $G/objects/info;"
    " git init -q $ELSEWHERE/a; echo $ELSEWHERE/a/.git/objects > $G/objects/info/alternates",
    "an ssh": "git config core.sshCommand $RUNS; git config url.ssh://127.0.0.1:1/.insteadOf $ADDRESS",
    "a git proxy": "git config core.gitProxy $RUNS; git config url.git://127.0.0.1:1/.insteadOf $ADDRESS",
    "another address that runs a program": "git config protocol.ext.allow always; git config protocol.allow always;"
    ' git config "url.ext::$RUNS .insteadOf" $ADDRESS',
    "credential helpers": "git config credential.helper $RUNS",
    "a program that asks for passwords": "git config core.askPass $RUNS",
    "a submodule of its own": "rm -f lib/.git; git init -q lib; cd lib; git config core.fsmonitor $RUNS;"
    " git config filter.f.clean $RUNS; mkdir -p .git/info .git/hooks; echo '* filter=f' > .git/info/attributes;"
    " cp $RUNS .git/hooks/reference-transaction; cp $RUNS .git/hooks/post-checkout; touch mess",
    "an update of a submodule": 'git config submodule.lib.update "!$RUNS"; git config submodule.recurse true',
    "a program that shows differences": "git config diff.external $RUNS; echo mine > hello",
}
_IN = "cd {place}; G=$(git rev-parse --absolute-git-dir) || exit; {trap}"
TRAPS = {
    **{name: _IN.format(place=".", trap=trap) for name, trap in (_TRAPS_ANYWHERE | _TRAPS_AT_THE_TOP).items()},
    **{f"{name}, in a submodule": _IN.format(place="lib", trap=trap) for name, trap in _TRAPS_ANYWHERE.items()},
}

TRAP = """\
#!/bin/sh
env > {out}.$$
"""

# A checkout that trusts the directory.
TRUSTING_CHECKOUT = """\
git -c credential.$HOST.helper= fetch $ADDRESS; git fetch origin; git fetch $ADDRESS
git checkout -f --detach FETCH_HEAD; git diff; git reset --hard; git clean -ffdx
git submodule foreach git fetch origin; git submodule update --init --force
git submodule foreach 'git reset --hard; git clean -ffdx'; git gc --auto
"""


class TrapTests(LeftoverTests):
    """
    Promise 6.16: no program that a build left runs while the password is in the environment.
    """

    def setUp(self) -> None:
        super().setUp()
        self.web = GitHttpServer(self.directory)
        self.addCleanup(self.web.close)
        self.address = f"{self.web.address}/origin/.git"
        self.runs = os.path.join(self.directory, "runs")
        self.seen = os.path.join(self.directory, "seen")
        os.mkdir(self.seen)
        os.chmod(self.seen, 0o777)
        with open(self.runs, "w") as file:
            file.write(TRAP.format(out=os.path.join(self.seen, "env")))
        os.chmod(self.runs, 0o755)

    def new_machine(self, name: str) -> LocalMachine:
        """
        A slave that has the password as a secret.
        """
        machine = super().new_machine(name)
        return LocalMachine(machine.root, env=NO_SEARCH_ABOVE, user=self.user, secrets={"token": PASSWORD})

    def build(self, command: str) -> None:
        """
        Set the trap.  What it sees during the build itself is discarded.
        """
        address = f"ADDRESS={self.address} ORIGIN={self.origin.repository.path} RUNS={self.runs}"
        super().build(f"{address}; {command}")
        self.environments_of_traps()

    def check_out(self, **arguments: Any) -> str:
        """
        Check out with the password.  Return also whether a trap ran.
        """
        self.origin.grow()
        self.origin.repository.git("update-server-info")
        arguments |= {"repourl": self.address, "auth_credentials": ("me", Secret("token"))}
        said = super().check_out(**arguments)
        return said + "".join(
            f"\nit ran{' with the password' * (PASSWORD in each)}" for each in self.environments_of_traps()
        )

    def environments_of_traps(self) -> list[str]:
        """
        The environments of all traps that have run since the last call.
        """
        found = []
        for name in sorted(os.listdir(self.seen)):
            path = os.path.join(self.seen, name)
            with open(path) as file:
                found.append(file.read())
            os.unlink(path)
        return found

    def test_left(self) -> None:
        """
        No trap runs in a checkout.
        """
        self.check(TRAPS)


class FreshTrapTests(TrapTests):
    mode = "fresh"

    def test_control(self) -> None:
        """
        Each trap catches a git that trusts the directory: the trap gets the password.
        """
        self.assertEqual(self.check_out(), "")
        self.origin.grow()
        self.origin.repository.git("update-server-info")
        harmless = []
        subprocess.run(["mv", self.machine.path("build"), self.machine.path("before")], check=True)
        for name, trap in TRAPS.items():
            subprocess.run(["rm", "-rf", self.machine.path("build")], check=True)
            subprocess.run(["cp", "-a", self.machine.path("before"), self.machine.path("build")], check=True)
            self.build(trap)
            self.check_out_trustingly()
            if not any(PASSWORD in each for each in self.environments_of_traps()):
                harmless.append(name)
        self.assertEqual(harmless, [])

    def check_out_trustingly(self) -> None:
        """
        Check out with plain git commands and the password.
        """
        helper = "!f() { echo username=me; echo password=$PASSWORD; }; f"
        settings = {
            "protocol.file.allow": "always",
            "safe.directory": "*",
            f"credential.{self.web.address}.helper": helper,
        }
        env = {
            "PATH": os.environ["PATH"],
            "HOME": self.machine.root,
            "ADDRESS": self.address,
            "HOST": self.web.address,
            "PASSWORD": PASSWORD,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_PARAMETERS": " ".join(f"'{name}={value}'" for name, value in settings.items()),
            **NO_SEARCH_ABOVE,
        }
        subprocess.run(
            ["/bin/sh", "-c", TRUSTING_CHECKOUT],
            cwd=self.machine.path("build"),
            env=env,
            user=self.user,
            group=self.user,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
        )
