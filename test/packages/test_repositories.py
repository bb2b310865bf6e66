"""
Repositories, read by apt and dnf themselves.
"""

import contextlib
import gzip
import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import zlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import patch

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.child_programs import ProgramError
from buildbot_lite.errors import BuildbotLiteError, DiskFullError, InputError
from buildbot_lite.packages.repositories import (
    created_lists,
    debian_metadata,
    joined_lists,
    next_snapshot,
    rpm_metadata,
    tools,
)
from buildbot_lite.packages.repositories.debian_metadata import DebianMetadata
from buildbot_lite.packages.repositories.for_builds import BuildRepository
from buildbot_lite.packages.repositories.metadata import Making, Metadata
from buildbot_lite.packages.repositories.next_snapshot import KEPT_FOR
from buildbot_lite.packages.repositories.primary_metadata import IndexedPackage, read_primary
from buildbot_lite.packages.repositories.repository import PackageRepository
from buildbot_lite.packages.repositories.rpm_metadata import RpmMetadata
from buildbot_lite.packages.repositories.snapshots import (
    BUILD,
    PUBLIC,
    RepositoryBusyError,
    Snapshot,
    StaleSnapshotError,
)
from buildbot_lite.storage.files import write_whole

from ..needs import needs
from .built_packages import Apt, Dnf, WebServer, deb, rpm


class _RepositoryCase(SynchronousTestCase):
    """
    Behaviour of both kinds.
    """

    def setUp(self) -> None:
        super().setUp()
        self.top = Path(self.mktemp()).absolute()
        self.place = self.top / "repos" / "t"
        self.now = 1_000_000.0
        self.repository = PackageRepository(str(self.place), self.metadata(), now=lambda: self.now)

    def metadata(self) -> Metadata:
        """
        The metadata of the repository.
        """
        raise NotImplementedError

    def package(self, name: str, version: str = "1.0", text: str = "x") -> str:
        """
        The path of a package.
        """
        raise NotImplementedError

    def add(self, *files: str) -> None:
        """
        Publish *files*.
        """
        self.repository.publish(self.repository.prepare(PUBLIC, files))

    def seen(self) -> dict[str, bytes]:
        """
        All files that clients see.
        """
        top = self.place / "public"
        return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}

    def names(self) -> set[str]:
        """
        The packages in the index.
        """
        return set(self.repository.packages(PUBLIC))


class _Behaviour(_RepositoryCase):
    __test__ = False

    def test_waiting(self) -> None:
        """
        Promise 9.6: a prepared snapshot is seen by nobody until it is published, and is of no use when another one
        has been prepared or published since.
        """
        self.add(self.package("one"))
        before = self.seen()
        first = self.repository.prepare(PUBLIC, [self.package("two")])
        self.assertEqual(self.seen(), before)
        second = self.repository.prepare(PUBLIC, [self.package("two"), self.package("three")])

        self.assertRaises(StaleSnapshotError, self.repository.publish, first)
        self.assertRaises(StaleSnapshotError, self.repository.to_sign, first)
        self.assertEqual(self.seen(), before)
        self.repository.publish(second)
        self.repository.publish(second)
        self.assertEqual(len(self.names()), 3)
        self.assertRaises(StaleSnapshotError, self.repository.publish, first)

    def test_signatures(self) -> None:
        """
        Promise 9.6: what is to be signed is the metadata that are published, and signatures lie beside them; nothing
        else is taken for a signature.
        """
        prepared = self.repository.prepare(PUBLIC, [self.package("one")])
        to_sign = self.repository.to_sign(prepared)
        name = next(iter(self.metadata().signatures))
        for wrong in ({"../../x": b""}, {"Packages": b""}, {os.path.basename(name): b"x" * 2_000_000}):
            self.assertRaises(InputError, self.repository.publish, prepared, wrong)
        self.assertFalse((self.place / "public").exists())
        self.repository.publish(prepared, {os.path.basename(name): b"signature"})

        seen = self.seen()
        self.assertEqual(seen[name], b"signature")
        self.assertEqual({os.path.basename(path): seen[path] for path in self.metadata().to_sign}, to_sign)

    def test_other_contents(self) -> None:
        """
        Promise 9.6: a package of the same name with other bytes is refused, and the repository stays as it was; the
        same bytes change nothing.
        """
        one = self.package("one")
        self.repository.add(BUILD, [one])
        link = os.readlink(self.place / "build")
        self.assertRaisesRegex(
            InputError, "other contents", self.repository.add, BUILD, [self.package("one", text="y")]
        )
        self.repository.add(BUILD, [one])

        self.assertEqual(os.readlink(self.place / "build"), link)
        self.assertEqual(os.listdir(self.place / "snapshots"), [link.split("/")[1]])

    def test_another_source(self) -> None:
        """
        Promise 9.6: a package whose name belongs to another source is refused with one sentence, also when that one is
        in *public* alone; the same source may raise its version.
        """
        self.repository.add(BUILD, [self.package("one")], "first")
        newer = self.package("one", "2.0")
        self.assertRaisesRegex(
            InputError,
            "is made by second, but the repository has one from first",
            self.repository.add,
            BUILD,
            [newer],
            "second",
        )
        self.repository.add(BUILD, [newer], "first")
        self.add(*self.repository.package_paths(BUILD).values())
        self.repository.remove(BUILD, list(self.repository.packages(BUILD)))
        again = self.package("one", "3.0")
        self.assertRaisesRegex(InputError, "from first", self.repository.add, BUILD, [again], "second")
        self.repository.add(BUILD, [again], "first")
        self.assertEqual(len(self.repository.packages(BUILD)), 1)

    def test_removed(self) -> None:
        """
        Promise 9.6: a package that is taken out is no longer in the index, but for a day still a file; nor may other
        bytes take its name in that time.
        """
        self.add(self.package("one"), self.package("two"))
        one = next(name for name in self.names() if name.startswith("one"))
        path = next(path for path in self.seen() if path.endswith(one))
        self.repository.publish(self.repository.prepare(PUBLIC, [], without=[one]))
        self.assertIn(path, self.seen())
        self.assertRaisesRegex(InputError, "short time ago", self.add, self.package("one", text="y"))
        self.now += KEPT_FOR + 1
        self.add(self.package("three"))

        self.assertNotIn(path, self.seen())
        self.assertRaisesRegex(InputError, "not in the repository", self.repository.prepare, PUBLIC, [], without=[one])

    def test_few_versions(self) -> None:
        """
        Promise 9.9: when a version of a package is added to a repository with few versions, its latest ones stay, and
        the added one, in one snapshot; so an older version stays until its successor is added.  Other packages stay as
        they are, and files of those that leave stay for a day.
        """
        several = [self.package("one", version) for version in ("1.9", "1.10", "1.9~rc1")]
        twos = [self.package("two", version) for version in ("1.0", "1.1", "1.2")]
        self.repository.add(PUBLIC, [*several, *twos])
        few = self.with_versions(2)
        few.add(PUBLIC, [self.package("one", "1.2")])
        self.assertEqual(self.versions("one"), {"1.10", "1.2", "1.9"})
        self.assertEqual(self.versions("two"), {"1.0", "1.1", "1.2"})
        gone = next(path for path in self.seen() if "1.9~rc1" in path)
        few.add(PUBLIC, [self.package("two", "1.3")])
        self.assertEqual(self.versions("one"), {"1.10", "1.2", "1.9"})
        self.assertEqual(self.versions("two"), {"1.2", "1.3"})
        few.add(PUBLIC, [self.package("one", "1.11")])
        self.assertEqual(self.versions("one"), {"1.10", "1.11"})
        self.assertIn(gone, self.seen())
        self.now += KEPT_FOR + 1
        one = self.with_versions(1)
        one.publish(one.prepare(PUBLIC, [self.package("one", "1.3")]))
        self.assertNotIn(gone, self.seen())
        self.assertEqual(self.versions("one"), {"1.11", "1.3"})

    def test_few_versions_of_old(self) -> None:
        """
        Promise 9.9: the record of a snapshot from before versions were kept has none: the versions are those of the
        package files, so that a target to which an older version is added keeps the latest one.
        """
        self.repository.add(PUBLIC, [self.package("one", version) for version in ("1.9", "1.10")])
        self.forget_versions()
        few = self.with_versions(1)
        self.assertEqual(len(few.superseded(PUBLIC, 1)), 1)
        few.add(PUBLIC, [self.package("one", "1.2")])
        self.assertEqual(self.versions("one"), {"1.10", "1.2"})
        self.forget_versions()
        latest, _ = BuildRepository(str(self.place), self.metadata().directory, PUBLIC).latest()
        self.assertEqual({name for name in latest if "1.10" in name}, set(latest))
        few.add(PUBLIC, [self.package("one", "1.11")])
        self.assertEqual(self.versions("one"), {"1.11"})
        current = few.snapshots.current(PUBLIC)
        assert current is not None
        self.assertEqual(current.versions.keys(), current.packages.keys())

    def forget_versions(self) -> None:
        """
        Let the records of all snapshots be those of a farm that kept no versions.
        """
        for record in self.place.glob("snapshots/*/snapshot.json"):
            value = json.loads(record.read_text())
            value.pop("versions", None)
            record.write_text(json.dumps(value))

    def with_versions(self, versions: int) -> PackageRepository:
        """
        The repository, with so many versions.
        """
        return PackageRepository(str(self.place), self.metadata(), versions=versions, now=lambda: self.now)

    def versions(self, name: str) -> set[str]:
        """
        The versions of a package in the index.
        """
        return {
            re.sub(r"^[a-z]+[-_]|-1\.noarch\.rpm$|_all\.deb$", "", each)
            for each in self.names()
            if each.startswith(name)
        }

    def test_unreadable(self) -> None:
        """
        Promise 9.9: a package that the program cannot read, or that makes it fail, is an `InputError` that names it,
        beside good ones; where the program fails without packages, too, it is the machine's fault.
        """
        self.add(self.package("one"))
        before, good, bad = self.seen(), self.package("two"), self.package("bad")
        programs = self.top / "programs"
        programs.mkdir()
        # Fails when it reads a package of that name.
        for name, ask in (
            ("apt-ftparchive", "ls pool 2>/dev/null"),
            ("createrepo_c", "ls packages 2>/dev/null"),
        ):
            if real := shutil.which(name):
                script = f"if {{ {ask}; }} | grep -q bad; then echo 'E: odd' >&2; exit 2; fi\nexec {real} \"$@\"\n"
                (programs / name).write_text(f"#!/bin/sh\n{script}")
                (programs / name).chmod(0o755)
        with patch.dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}"):
            error = self.assertRaises(InputError, self.add, good, bad)
            self.assertIn(f"{os.path.basename(bad)} is not taken into the repository: ", str(error))
            self.assertEqual(self.seen(), before)
            with patch.object(tools, "LEAST_FREE", 1 << 62):
                self.assertRaises(ProgramError, self.add, good, bad)
            self.assertEqual(len(os.listdir(self.place / "snapshots")), 1)
            self.add(good)
        self.add(bad)

    def test_day(self) -> None:
        """
        Promise 9.6: files of earlier snapshots stay for 24 hours after they were superseded, however often something is
        published in between and however long the next snapshot has waited for its signature; then they go.
        """
        self.add(self.package("one"))
        first = self.lasting()
        self.now += 10 * KEPT_FOR
        waiting = self.repository.prepare(PUBLIC, [self.package("two")])
        self.now += 10 * KEPT_FOR
        self.repository.publish(waiting)
        self.now += KEPT_FOR - 10
        self.add(self.package("three"))
        self.assertEqual(first - self.seen().keys(), set())
        self.now += 20
        self.add(self.package("four"))

        self.assertEqual({path for path in first if path in self.seen()}, {path for path in first if "one" in path})
        self.assertLessEqual(len(os.listdir(self.place / "snapshots")), 2)

    def lasting(self) -> set[str]:
        """
        The paths that a client may fetch after it has read the index.
        """
        current = self.repository.snapshots.current(PUBLIC)
        assert current is not None
        directory = self.metadata().directory
        return {*current.lasting, *(f"{directory}/{name}" for name in current.packages)}

    def test_modes(self) -> None:
        """
        Promise 9.6: whatever the umask and the modes of the results, other users can read what is published, and the
        results stay as private as they were.
        """
        package = self.package("one")
        os.chmod(package, 0o600)
        before = os.umask(0o077)
        self.addCleanup(os.umask, before)
        self.add(package)
        os.umask(before)

        top = self.place / "public"
        modes = {path: path.stat().st_mode & 0o777 for path in [*top.resolve().rglob("*"), top, self.place]}
        self.assertEqual({path for path, mode in modes.items() if mode != (0o755 if path.is_dir() else 0o644)}, set())
        self.assertEqual(os.stat(package).st_mode & 0o777, 0o600)

    def test_linked(self) -> None:
        """
        A package takes room once, however many snapshots have it, in *build* and in *public*.
        """
        self.repository.add(BUILD, [self.package("one")])
        self.add(*self.repository.package_paths(BUILD).values())
        self.add(self.package("two"))

        (path,) = [path for path in self.seen() if os.path.basename(path).startswith("one")]
        self.assertEqual((self.place / "public" / path).stat().st_ino, (self.place / "build" / path).stat().st_ino)

    def test_no_package(self) -> None:
        """
        Promise 9.9: what is no package, or another one than its name says, is one sentence, and clients see the
        old packages.
        """
        self.add(self.package("one"))
        before = self.seen()
        good = Path(self.package("good"))
        wrong = good.with_name(good.name.replace("good", "evil"))
        shutil.copy(good, wrong)
        self.assertRaisesRegex(InputError, "its name is wrong", self.add, str(wrong))
        wrong.write_bytes(good.read_bytes()[:100])
        self.assertRaises(InputError, self.add, str(wrong))
        wrong.write_bytes(b"nothing of the kind")
        self.assertRaises(InputError, self.add, str(wrong))
        odd = good.with_name("-o=x$(id).deb")
        shutil.copy(good, odd)
        self.assertRaisesRegex(InputError, "no name of a file", self.add, str(odd))
        link = good.with_name(good.name.replace("good", "link"))
        link.symlink_to(good)
        self.assertRaises(BuildbotLiteError, self.add, str(link))

        self.assertEqual(self.seen(), before)
        self.assertEqual(len(os.listdir(self.place / "snapshots")), 1)

    def test_tools(self) -> None:
        """
        Promise 9.9: a program that fails, does not end or is missing, and a full disk, are one sentence each, and
        clients see the old packages.
        """
        self.add(self.package("one"))
        before, package = self.seen(), self.package("two")
        programs = self.top / "programs"
        programs.mkdir()
        for script, seconds, error, words in (
            ("echo 'E: broken' >&2; exit 3", 60.0, ProgramError, r"says: E: broken\.$"),
            ("exit 3", 60.0, ProgramError, r"exit code 3\.$"),
            ("kill -9 $$", 60.0, ProgramError, r"signal 9\.$"),
            ("exec sleep 1000", 0.2, ProgramError, "did not end"),
            ("echo 'write error: No space left on device' >&2; exit 1", 60.0, ProgramError, "No space left"),
        ):
            for name in ("apt-ftparchive", "createrepo_c"):
                (programs / name).write_text(f"#!/bin/sh\n{script}\n")
                (programs / name).chmod(0o755)
            with (
                patch.dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}"),
                patch.object(tools, "LONGEST_RUN", seconds),
            ):
                caught = self.assertRaises(error, self.add, package)
            self.assertRegex(str(caught), words)
            self.assertEqual(self.seen(), before)
        with patch.dict(os.environ, PATH="/nowhere"):
            self.assertIn("apt install", str(self.assertRaises(BuildbotLiteError, self.add, package)))
        full = OSError(28, "No space left on device")
        for module, function in ((next_snapshot, "link_or_copy"), (os, "fsync"), (os, "rename"), (os, "symlink")):
            with patch.object(module, function, side_effect=full):
                said = str(self.assertRaises(DiskFullError, self.add, package))
            room = f"there is no room for the repository {self.place.name}."
            self.assertEqual(said, f"The master's disk is full: {room}", function)
            self.assertEqual(self.seen(), before)
        self.add(package)

    def test_stopped(self) -> None:
        """
        Promise 9.6: a program that runs when the master stops is ended, and clients see the old packages.
        """
        self.add(self.package("one"))
        before, package = self.seen(), self.package("two")
        unwanted = Event()
        unwanted.set()
        stopping = PackageRepository(str(self.place), self.metadata(), unwanted=unwanted)
        self.assertRaisesRegex(ProgramError, "the master stops", stopping.prepare, PUBLIC, [package])
        self.assertEqual(self.seen(), before)

    def test_one_writer(self) -> None:
        """
        Promise 9.6: while one writer holds the repository, another one is refused.
        """
        other = PackageRepository(str(self.place), self.metadata())
        with self.repository.snapshots.locked():
            self.assertRaises(RepositoryBusyError, other.prepare, PUBLIC, [])
        other.prepare(PUBLIC, [self.package("one")])


_CHANGES = ("rename", "link", "symlink", "mkdir", "unlink", "rmdir", "fsync")


def _killed_at(step: int, found: PackageRepository, package: str) -> int:
    """
    Publish *package* in a process that is killed before its change *step* on the disk; its exit code.
    """
    child = os.fork()
    if child == 0:
        count = 0

        def counted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **more: Any) -> Any:
                nonlocal count
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **more)

            return call

        try:
            for name in _CHANGES:
                setattr(os, name, counted(getattr(os, name)))
            found.publish(found.prepare(PUBLIC, [package]))
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class _ListMetadata:
    """
    Metadata that are a list of names, so that a test of each moment is quick.
    """

    directory = "all"
    to_sign = ("list",)
    signatures = ("list.asc",)

    def version(self, path: str) -> str:
        return path.rpartition("-")[2]

    def make(self, making: Making) -> list[str]:
        text = "".join(f"{name}\n" for name in sorted(making.packages)).encode()
        unique = f"list-{hashlib.sha256(text).hexdigest()}"
        for name in ("list", unique):
            write_whole(os.path.join(making.tree, name), text, mode=0o644)
        return [unique]


class _ListCase(_RepositoryCase):
    """
    A repository whose packages are any files.
    """

    def metadata(self) -> _ListMetadata:
        return _ListMetadata()

    def package(self, name: str, version: str = "1.0", text: str = "x") -> str:
        self.top.mkdir(parents=True, exist_ok=True)
        path = self.top / f"{name}-{version}"
        path.write_text(text)
        return str(path)


class KilledWriterTests(_ListCase):
    """
    A writer that is killed at each moment.
    """

    def test_killed(self) -> None:
        """
        Promise 9.6: after a kill -9 before any change on the disk, clients see the old packages or the new ones,
        whole; the next start removes what is half-made, and publishing succeeds.
        """
        self.add(self.package("one"))
        two, old = self.package("two"), self.names()
        step = 0
        while True:
            step += 1
            copy = self.top / f"killed-{step}"
            shutil.copytree(self.place, copy, symlinks=True)
            found = PackageRepository(str(copy), self.metadata())
            code = _killed_at(step, found, two)
            names = set(found.packages(PUBLIC))
            self.assertIn(names, (old, {*old, os.path.basename(two)}))
            tree = copy / "public"
            self.assertEqual((tree / "list").read_text(), "".join(f"{name}\n" for name in sorted(names)))
            self.assertTrue(all((tree / "all" / name).is_file() for name in names))
            found.start()
            self.assertEqual([each for each in os.listdir(copy / "snapshots") if each.startswith(".")], [])
            found.publish(found.prepare(PUBLIC, [two]))
            self.assertLessEqual(len(os.listdir(copy / "snapshots")), 3)
            shutil.rmtree(copy)
            if code == 0:
                break
            self.assertEqual(code, -signal.SIGKILL)
        self.assertGreater(step, 10)


class RetainedFilesTests(_ListCase):
    """
    Files that clients may still fetch, in any history of a repository.
    """

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(("add", "add", "remove", "prepare", "publish", "restart")),
                st.integers(1, 6),
                st.sampled_from((1.0, 3600.0, KEPT_FOR / 2, KEPT_FOR - 1, KEPT_FOR + 1)),
            ),
            min_size=12,
            max_size=25,
        )
    )
    def test_any_history(self, history: list[tuple[str, int, float]]) -> None:
        """
        Promise 9.6, 9.9: whatever is added, removed, prepared and published, and however much time passes, each file of
        each index is there while that index is published and for 24 hours after it was superseded; what a prepared
        snapshot needs is there; and nothing grows without bound.
        """
        shutil.rmtree(self.top, ignore_errors=True)
        indexes: list[tuple[set[str], float]] = []
        waiting = ""
        for what, number, passed in history:
            file = self.package(f"p{number}", text=f"p{number}")
            if what == "restart":
                self.repository = PackageRepository(str(self.place), self.metadata(), now=lambda: self.now)
                self.repository.start()
            elif what == "prepare":
                waiting = self.repository.prepare(PUBLIC, [file])
            else:
                before = self.names()
                if what == "add":
                    self.repository.add(PUBLIC, [file])
                elif what == "remove" and os.path.basename(file) in before:
                    self.repository.remove(PUBLIC, [os.path.basename(file)])
                elif what == "publish" and waiting:
                    # A later change has made it stale, or it is seen now.
                    with contextlib.suppress(StaleSnapshotError):
                        self.repository.publish(waiting)
                current = self.repository.snapshots.current(PUBLIC)
                if current is not None and (not indexes or indexes[-1][0] != self.files_of(current)):
                    if indexes:
                        indexes[-1] = (indexes[-1][0], self.now)
                    indexes.append((self.files_of(current), math.inf))
            self.now += passed
            self.assert_kept(indexes)
        self.assertLessEqual(len(os.listdir(self.place / "snapshots")) if self.place.exists() else 0, 3)

    def files_of(self, snapshot: Snapshot) -> set[str]:
        """
        The files that an index names.
        """
        return {*snapshot.lasting, *(f"all/{name}" for name in snapshot.packages)}

    def assert_kept(self, indexes: list[tuple[set[str], float]]) -> None:
        """
        Check that the files of the current index, and of those superseded within a day, are there.
        """
        for files, superseded in indexes:
            if self.now - superseded < KEPT_FOR:
                gone = [each for each in files if not (self.place / "public" / each).is_file()]
                self.assertEqual(gone, [])


@needs("apt-ftparchive", "dpkg-deb", "apt-get")
class DebianRepositoryTests(_Behaviour):
    """
    Repositories of Debian.
    """

    __test__ = True

    def metadata(self) -> DebianMetadata:
        return DebianMetadata("t", ["amd64", "i386", "all"])

    def package(self, name: str, version: str = "1.0", text: str = "x") -> str:
        return str(deb(self.top / f"{version}-{text}".replace(":", "."), name, version, text=text))

    def test_apt(self) -> None:
        """
        Promise 9.6: apt-get, which has read the index before the flip, fetches from what is published after it, over
        HTTP: the old Packages by the digest in its Release, and packages that are no longer in the index.
        """
        self.add(self.package("one"), self.package("gone", "1:2.0"))
        with WebServer(self.place) as server:
            apt = Apt(self.top / "apt", f"deb [trusted=yes] {server.url}/public t main")
            release = (self.place / "public/dists/t/Release").read_bytes()
            updated = apt("update")
            self.assertEqual((updated.returncode, updated.stderr), (0, ""))
            self.repository.publish(
                self.repository.prepare(PUBLIC, [self.package("new")], without=["gone_2.0_all.deb"])
            )
            for name in ("one", "gone"):
                done = apt("download", name)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotEqual(apt("download", "new").returncode, 0)
            # Between Release and Packages: the files that the old Release lists stay available under their digests.
            old = [line.split() for line in release.decode().splitlines() if line.endswith("binary-amd64/Packages.gz")]
            self.assertEqual(
                [(place := f"dists/t/main/binary-amd64/by-hash/SHA256/{words[0]}") in self.seen() for words in old],
                [True],
                place,
            )
            self.assertEqual(apt("update").returncode, 0)
            self.assertEqual(apt("download", "new").returncode, 0)
            self.assertNotEqual(apt("download", "gone").returncode, 0)

    def test_between(self) -> None:
        """
        Promise 9.6: a flip between the fetches of Release and of Packages in one ``apt-get update`` is no error.
        """
        self.add(self.package("one"))
        flipped: list[str] = []

        def flip(path: str) -> None:
            if path.endswith("Release") and not flipped:
                flipped.append(path)
                return
            if "Packages" in path or "by-hash" in path:
                self.add(self.package("two")) if len(flipped) == 1 else None
                flipped.append(path)

        with WebServer(self.place, before=flip) as server:
            apt = Apt(self.top / "apt", f"deb [trusted=yes] {server.url}/public t main")
            updated = apt("update")
            self.assertEqual((updated.returncode, updated.stderr), (0, ""))
            self.assertIn("by-hash", "".join(flipped))
            self.assertEqual(apt("download", "one").returncode, 0)
            self.assertNotEqual(apt("download", "two").returncode, 0)

    def test_index(self) -> None:
        """
        The index of each architecture has its packages and those for all architectures; descriptions are copied
        unchanged from one index to the next.
        """
        self.add(self.package("one"), str(deb(self.top / "i", "native", architecture="i386")))
        first = self.seen()["dists/t/main/binary-i386/Packages"]
        self.add(self.package("two"))
        seen = self.seen()
        i386, amd64 = (seen[f"dists/t/main/binary-{each}/Packages"] for each in ("i386", "amd64"))

        self.assertEqual((i386.count(b"Package: "), amd64.count(b"Package: ")), (3, 2))
        self.assertIn(first.split(b"\n\n")[0], i386)
        self.assertIn(b"Architectures: amd64 i386\n", seen["dists/t/Release"])
        self.assertRaisesRegex(
            InputError, "no index", self.add, str(deb(self.top / "a", "other", architecture="arm64"))
        )

    def test_pin(self) -> None:
        """
        Promise 9.6: with the pin, a package of the farm is installed only if the distribution has none of that name,
        also where the farm's version is the later one; unless it is one of those that replace the distribution's.
        """
        self.add(self.package("one", "1.0"), self.package("two", "9.0"), self.package("own", "1.0"))
        other = PackageRepository(str(self.top / "other"), DebianMetadata("debian", ["amd64"]))
        other.add(PUBLIC, [self.package("one", "2.0"), self.package("two", "2.0")])
        lines = [
            f"deb [trusted=yes] file:{self.top}/{each}/public {suite} main"
            for each, suite in (("repos/t", "t"), ("other", "debian"))
        ]
        apt = Apt(self.top / "apt", "\n".join(lines))
        self.assertEqual(apt("update").returncode, 0)
        self.assertIn("two (9.0", apt("install", "--simulate", "two").stdout)
        (apt.directory / "preferences").write_text(debian_metadata.pin("t"))
        for name, version in (("one", "2.0"), ("two", "2.0"), ("own", "1.0")):
            self.assertIn(f"{name} ({version}", apt("install", "--simulate", name).stdout)
        (apt.directory / "preferences").write_text(debian_metadata.pin("t", ["x", "on*"]))
        for name, version in (("one", "1.0"), ("two", "2.0"), ("own", "1.0")):
            self.assertIn(f"{name} ({version}", apt("install", "--simulate", name).stdout)


@needs("createrepo_c", "rpmbuild", "dnf")
class RpmRepositoryTests(_Behaviour):
    """
    Repositories of RPM packages.
    """

    __test__ = True

    def metadata(self) -> RpmMetadata:
        return RpmMetadata()

    def package(self, name: str, version: str = "1.0", text: str = "x") -> str:
        return str(rpm(self.top / f"{version}-{text}", name, version, text=text))

    def test_read_otherwise(self) -> None:
        """
        Promise 9.9: what createrepo_c leaves out, or reads otherwise than the farm, is not published: of a new package
        an `InputError` that names it; of another one, whose lists are made anew, the machine's fault.
        """
        self.add(self.package("one"))
        before, new, read = self.seen(), self.package("two"), read_primary
        for name, change, error, sentence in (
            ("two", {"name": "tvo"}, InputError, "is another package for createrepo_c than for the farm: tvo 0:1.0-1"),
            ("two", {"version": "1:1.0-1"}, InputError, "than for the farm: two 1:1.0-1 for noarch"),
            ("two", {"architecture": "x86_64"}, InputError, "than for the farm: two 0:1.0-1 for x86_64"),
            ("two", {"sha256": "0" * 64}, InputError, "than for the farm"),
            ("two", None, InputError, "two-1.0-1.noarch.rpm is a package that createrepo_c cannot read"),
            ("one", {"sha256": "0" * 64}, ProgramError, "does not read one-1.0-1.noarch.rpm as before"),
            ("one", None, ProgramError, "does not read one-1.0-1.noarch.rpm as before"),
        ):

            def reading(path: str) -> dict[str, IndexedPackage]:
                found = read(path)
                place = f"packages/{name}-1.0-1.noarch.rpm"  # noqa: B023 - it is called in this round
                package = found.pop(place, None)
                return {**found, place: evolve(package, **change)} if package and change else found  # noqa: B023

            if name == "one":
                self.forget_lists()
            with patch.object(created_lists, "read_primary", reading):
                self.assertIn(sentence, str(self.assertRaises(error, self.add, new)))
            self.assertEqual(self.seen(), before)
        self.add(new)

    def test_lists_of_one(self) -> None:
        """
        Promise 9.9: a new package of which createrepo_c writes lists that cannot be read is named; damaged compressed
        lists are one sentence.
        """
        self.add(self.package("one"))
        before, package = self.seen(), self.package("two")

        class Damaged(created_lists.CreatedLists):
            def texts(self) -> Any:
                if any("two" in location for location in self.indexed):
                    raise ProgramError("The list is not well-formed.")
                return super().texts()

        with patch.object(rpm_metadata, "CreatedLists", Damaged):
            caught = self.assertRaises(InputError, self.add, package)
        self.assertIn("two-1.0-1.noarch.rpm is not taken into the repository: The list is not", str(caught))
        self.assertEqual(self.seen(), before)
        damaged = self.top / "damaged.xml.gz"
        damaged.write_bytes(gzip.compress(b"<metadata/>")[:10] + b"\xff" * 20)
        self.assertRaisesRegex(ProgramError, "cannot be read", read_primary, str(damaged))

    def test_dnf(self) -> None:
        """
        Promise 9.6: dnf, which has read the index before the flip, fetches from what is published after it, over HTTP;
        also when it flips between repomd.xml and the metadata that it lists.
        """
        self.add(self.package("one"), self.package("gone"))
        flipped: list[str] = []

        def flip(path: str) -> None:
            if "repomd.xml" not in path and not flipped:
                new = [self.package("new")]
                self.repository.publish(self.repository.prepare(PUBLIC, new, without=["gone-1.0-1.noarch.rpm"]))
            if "repomd.xml" not in path:
                flipped.append(path)

        with WebServer(self.place, before=flip) as server:
            dnf = Dnf(self.top / "dnf", f"{server.url}/public")
            made = dnf("makecache")
            self.assertEqual(made.returncode, 0, made.stderr)
            self.assertIn("new-1.0-1.noarch.rpm", self.names())
            for name in ("one", "gone"):
                done = dnf("install", "--downloadonly", name)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotEqual(dnf("install", "--downloadonly", "new").returncode, 0)
            self.assertEqual(dnf("clean", "metadata").returncode, 0)
            self.assertEqual(dnf("install", "--downloadonly", "new").returncode, 0)
            self.assertNotEqual(dnf("install", "--downloadonly", "gone").returncode, 0)

    def test_reused(self) -> None:
        """
        createrepo_c reads only the packages that the snapshot before did not have, and none when packages are removed;
        but all of them after a version that kept no lists, and where a list is damaged.
        """
        read: list[str] = []
        real = tools.output_of_tool

        def noted(words: list[str], directory: str, doing: str, unwanted: Event) -> bytes:
            output = real([*words[:-1], "--read-pkgs-list", f"{self.top}/read", words[-1]], directory, doing, unwanted)
            read.extend(os.path.basename(each).partition("-")[0] for each in (self.top / "read").read_text().split())
            return output

        def reads(*names: str) -> None:
            self.assertEqual(sorted(read), sorted(names))
            read.clear()
            self.as_created()

        self.patch(rpm_metadata, "output_of_tool", noted)
        self.add(self.package("one"))
        reads("one")
        self.add(self.package("two"))
        reads("two")
        self.repository.remove(PUBLIC, ["one-1.0-1.noarch.rpm"])
        reads()
        self.forget_lists()
        self.add(self.package("three"))
        reads("two", "three")
        current = next(path for path in self.lasting() if path.endswith("filelists.xml.gz"))
        with open(self.place / "public" / current, "r+b") as file:
            file.seek(-10, os.SEEK_END)
            file.write(b"damaged")
        self.add(self.package("four"))
        reads("two", "three", "four")

    def test_joined(self) -> None:
        """
        Promise 9.6: whatever was added and removed, the lists say of each package what createrepo_c says of it, in the
        same form, and ``repomd.xml`` tells their digests and sizes; members of the lists before are copied, and
        neighbours that fit together become one member.
        """
        (texts,) = self.created([self.package("size")]).values()
        self.patch(joined_lists, "LARGEST_MEMBER", 7 * sum(map(len, texts)) // 2)
        self.add()
        self.as_created()
        self.add(*(self.package(f"name{number}") for number in range(7)))
        self.as_created()
        self.assertEqual(self.members(), [3, 3, 1])
        before = self.lists()
        self.add(self.package("name7"), self.package("other"))
        self.as_created()
        self.assertEqual(self.members(), [3, 3, 3])
        self.assertEqual(self.same_members(before), 2)
        before = self.lists()
        self.repository.remove(PUBLIC, [f"name{number}-1.0-1.noarch.rpm" for number in (1, 3, 5)])
        self.as_created()
        self.assertEqual(self.members(), [3, 3])
        self.assertEqual(self.same_members(before), 1)
        self.repository.remove(PUBLIC, list(self.names()))
        self.as_created()
        self.patch(joined_lists, "LARGEST_MEMBER", 1)
        self.add(self.package("large"), self.package("larger"))
        self.as_created()
        self.assertEqual(self.members(), [1, 1])

    def created(self, packages: Collection[str]) -> dict[str, Sequence[bytes]]:
        """
        What createrepo_c says of packages, each with its text in the three lists.
        """
        top = self.top / "created"
        shutil.rmtree(top, ignore_errors=True)
        (top / "packages").mkdir(parents=True)
        for package in packages:
            os.link(package, top / "packages" / os.path.basename(package))
        subprocess.run(["createrepo_c", "--quiet", "--no-database", str(top)], check=True, capture_output=True)
        return dict(created_lists.CreatedLists(str(top / "repodata")).texts())

    def lists(self) -> list[bytes]:
        """
        The lists that clients see.
        """
        repomd = (self.place / "public/repodata/repomd.xml").read_bytes()
        found = []
        for kind, (digest, open_digest, location, size, open_size) in zip(
            created_lists.LISTS, _DESCRIBED.findall(repomd), strict=True
        ):
            path = self.place / "public" / location.decode()
            packed, text = path.read_bytes(), gzip.decompress(path.read_bytes())
            self.assertEqual(path.name, f"{digest.decode()}-{kind}.xml.gz")
            self.assertEqual(
                [hashlib.sha256(each).hexdigest() for each in (packed, text)], [digest.decode(), open_digest.decode()]
            )
            self.assertEqual([len(packed), len(text)], [int(size), int(open_size)])
            found.append(packed)
        return found

    def as_created(self) -> None:
        """
        Check that the lists say what createrepo_c says of the same packages.
        """
        created = self.created(list(self.repository.package_paths(PUBLIC).values()))
        for number, (kind, packed) in enumerate(zip(created_lists.LISTS, self.lists(), strict=True)):
            (path,) = (self.top / "created/repodata").glob(f"*-{kind}.xml.gz")
            text = gzip.decompress(packed)
            around = _PACKAGE.sub(b"", gzip.decompress(path.read_bytes()))
            self.assertEqual(_PACKAGE.sub(b"", text), around)
            self.assertEqual(sorted(_PACKAGE.findall(text)), sorted(texts[number] for texts in created.values()))

    def members(self) -> list[int]:
        """
        How many packages each member of the lists has.
        """
        return [len(_PACKAGE.findall(member)) for member in self._unpacked(self.lists()[0])[1:-1]]

    def same_members(self, before: list[bytes]) -> int:
        """
        How many members of each list were in those of *before*, without the first and the last one.
        """
        counts = {
            len(set(self._split(old)[1:-1]) & set(self._split(new)[1:-1]))
            for old, new in zip(before, self.lists(), strict=True)
        }
        (count,) = counts
        return count

    def _unpacked(self, packed: bytes) -> list[bytes]:
        return [gzip.decompress(each) for each in self._split(packed)]

    def _split(self, packed: bytes) -> list[bytes]:
        found = []
        while packed:
            unpacker = zlib.decompressobj(wbits=31)
            unpacker.decompress(packed)
            found.append(packed[: len(packed) - len(unpacker.unused_data)])
            packed = unpacker.unused_data
        return found

    def forget_lists(self) -> None:
        """
        Let the snapshots be those of a farm that kept no lists.
        """
        for record in self.place.glob("snapshots/*/state/lists.json"):
            record.unlink()


_PACKAGE = re.compile(rb"<package .*?</package>\n", re.DOTALL)
_DESCRIBED = re.compile(
    rb'<checksum type="sha256">(.*)</checksum>\s+<open-checksum type="sha256">(.*)</open-checksum>\s+'
    rb'<location href="(.*)"/>\s+<timestamp>[0-9]+</timestamp>\s+<size>(.*)</size>\s+<open-size>(.*)</open-size>'
)
