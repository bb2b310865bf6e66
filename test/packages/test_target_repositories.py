"""
Jobs and the repositories of their targets, in a running master.
"""

import hashlib
import os
import shutil
import tarfile
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from twisted.internet.defer import maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.child_programs import ProgramError
from buildbot_lite.errors import FileError
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import Download, Run
from buildbot_lite.packages import DebTarget, Mock, Overlay
from buildbot_lite.packages.building import farm_repository, rpm_steps, same_packages
from buildbot_lite.packages.building.farm_repository import FarmRepository
from buildbot_lite.packages.building.root import Root
from buildbot_lite.packages.building.rpm_steps import MOST_ROUNDS, RpmPrepping
from buildbot_lite.packages.control.job_actions import JobActions
from buildbot_lite.packages.control.package_jobs import PackageJobs
from buildbot_lite.packages.control.rebuilding import Rebuilding
from buildbot_lite.packages.keys.openpgp import armored_keys
from buildbot_lite.packages.records.job_states import JobState
from buildbot_lite.packages.records.jobs import Job
from buildbot_lite.packages.repositories import debian_metadata, for_builds
from buildbot_lite.packages.repositories.debian_metadata import DebianMetadata
from buildbot_lite.packages.repositories.for_builds import MOST_SENT, BuildRepository
from buildbot_lite.packages.repositories.repository import PackageRepository
from buildbot_lite.packages.repositories.snapshots import BUILD, PUBLIC, RepositoryBusyError
from buildbot_lite.packages.repositories.tools import output_of_tool
from buildbot_lite.packages.service.job_service import JobService
from buildbot_lite.packages.service.target_repositories import TargetRepositories, UnsignedRepository
from buildbot_lite.packages.targets.repository_place import shared
from buildbot_lite.packages.targets.signing_policy import SigningPolicy
from buildbot_lite.storage.files import write_whole
from buildbot_lite.storage.records import steps
from buildbot_lite.testing import Answer, command, replay, run
from test.control.test_submissions import FakeWatcher

from ..needs import needs
from .archives import archive, control_list, deb, greet
from .test_job_service import JobCase

LISTED = "\n greet deb misc optional arch=any"


def built(
    version: str = "1.0+farm1", name: str = "greet", text: str = "x", source: str = "greet"
) -> Mapping[str, bytes]:
    """
    The files that a build of greet 1.0 for amd64 makes.
    """
    fields = {"Package": name, "Version": version, "Architecture": "amd64", "Source": source}
    package = deb({**fields, "Maintainer": "Farm <farm@example.org>", "Description": text})
    files = {f"{name}_{version}_amd64.deb": package}
    listed = {kind: control_list(files, Version=version, Source=source) for kind in ("buildinfo", "changes")}
    return {
        **files,
        **{f"{source}_{version}_amd64.{kind}": text for kind, text in listed.items()},
        "installed.txt": b"",
    }


class JobsInRepositoriesCase(JobCase):
    """
    A target with repositories.
    """

    def setUp(self) -> None:
        super().setUp()
        self.building.files = dict(built())
        self.place = Path(self.harness.basedir) / "repos" / "bookworm"

    def configuration(self) -> str:
        return (
            "from buildbot_lite.packages import DebTarget, Plain\n"
            'c["slaves"] = [slave.BuildSlave("bot1", max_builds=3)]\n'
            'c["targets"] = [DebTarget("bookworm", arches=["amd64"], root=Plain(), version_suffix="+farm1", '
            'repository="repos/bookworm")]\n'
        )

    def build(self) -> None:
        """
        Submit greet 1.0, and let the slave build it.
        """
        self.submit_greet()
        self.attach()

    def submit_greet(self, **fields: str) -> None:
        """
        Submit greet 1.0, or with other *fields*.
        """
        self.run_command("bookworm", archive(greet(Package_List=LISTED, **fields)))
        self.harness.settle()

    def pool(self, kind: str) -> list[str]:
        """
        The packages of one of the repositories.
        """
        pool = self.place / kind / "pool"
        return sorted(os.listdir(pool)) if pool.exists() else []


@needs("apt-ftparchive")
class JobsInRepositoriesTests(JobsInRepositoriesCase):
    """
    From results to both repositories.
    """

    def test_entered(self) -> None:
        """
        Promise 9.6: the packages of a job enter the repository for builds, and without a signature also the public one;
        then the job is finished.
        """
        self.build()
        self.assertEqual((self.job().state, self.job().reason), (JobState.FINISHED, ""))
        self.assertEqual((self.pool("build"), self.pool("public")), (["greet_1.0+farm1_amd64.deb"],) * 2)
        states = [state for state, _ in self.job().history]
        self.assertEqual(states[-4:], ["repowait", "needsign", "pushed", "finished"])

    def test_another_name(self) -> None:
        """
        Promise 9.9: a slave that sends a package of another name fails the job, and no repository has it.
        """
        self.building.files = dict(built(name="bash"))
        self.build()
        self.assertEqual(self.job().state, JobState.FAILED)
        self.assertIn("bash_1.0+farm1_amd64.deb is no package that greet 1.0 makes", self.job().reason)
        self.assertEqual(self.pool("build"), [])

    def test_of_another_source(self) -> None:
        """
        Promise 9.6: a source that names another source's package as its own fails, and roots see nothing of it.
        """
        self.build()
        self.building.files = dict(built(version="2.0+farm1", source="evil"))
        self.run_command("bookworm", archive(greet(Source="evil", Version="2.0", Package_List=LISTED)))
        self.harness.settle()
        self.assertEqual(self.job(2).state, JobState.FAILED)
        self.assertIn("the repository has greet from greet", self.job(2).reason)
        self.assertEqual(self.pool("build"), ["greet_1.0+farm1_amd64.deb"])

    def test_old_versions(self) -> None:
        """
        Promise 9.6: the repository for builds has the newest three versions of a package, the public one has all.
        """
        self.attach()
        for version in ("1.9", "1.10", "2.0", "3.0"):
            self.building.files = dict(built(version=f"{version}+farm1"))
            self.submit_greet(Version=version)
        self.assertEqual(len(self.pool("public")), 4)
        self.assertEqual(self.indexed(), {f"greet_{each}+farm1_amd64.deb" for each in ("1.10", "2.0", "3.0")})

    def test_busy_at_start(self) -> None:
        """
        Promise 9.9: a master starts also while another program changes a repository, or its disk is full; its jobs go
        on afterwards.
        """
        self.build()
        there = PackageRepository(str(self.place), DebianMetadata("bookworm", ["amd64"]))
        with there.snapshots.locked():
            self.harness.restart()
        with mock.patch.object(PackageRepository, "start", side_effect=FileError("The disk is full.")):
            self.harness.restart()
        self.flushLoggedErrors(RepositoryBusyError)
        self.farm = self.harness.farm
        self.harness.attach("bot1", self.slave, platform={"machine": "x86_64"})
        self.building.files = dict(built(version="1.1+farm1"))
        self.submit_greet(Version="1.1")
        self.assertEqual(self.job(2).state, JobState.FINISHED)

    def test_unreadable(self) -> None:
        """
        Promise 9.9: a package that the program cannot read fails its job with one sentence, and the repository is as it
        was.
        """
        self.build()
        self.building.files = dict(built(version="1.1+farm1"))
        real = output_of_tool

        def failing(words: Sequence[str], directory: str, doing: str, unwanted: Event) -> bytes:
            if "packages" in words and any(Path(directory).rglob("*1.1*")):
                raise ProgramError(f"{doing}: it broke.")
            return real(words, directory, doing, unwanted)

        with mock.patch.object(debian_metadata, "output_of_tool", failing):
            self.submit_greet(Version="1.1")
        self.assertEqual(self.job(2).state, JobState.FAILED)
        sentence = "greet_1.1+farm1_amd64.deb is not taken into the repository: The packages could not be described"
        self.assertIn(sentence, self.job(2).reason)
        self.assertEqual(self.indexed(), {"greet_1.0+farm1_amd64.deb"})

    def test_withdrawn(self) -> None:
        """
        Promise 9.6: what was killed, or finished without being published, leaves the repository for builds, also when
        the master dies before that; what still waits for its signature stays.
        """

        async def unsigned(repository: UnsignedRepository, job: Job) -> bool:
            return True

        self.patch(UnsignedRepository, "needs_signature", unsigned)
        self.attach()
        for version in ("1.0", "1.1", "1.2", "1.3"):
            self.building.files = dict(built(version=f"{version}+farm1"))
            self.submit_greet(Version=version)
        self.assertEqual(len(self.indexed()), 4)
        actions = JobActions(self.farm, self.service())
        self.harness.done(actions.kill(2, "me"))
        self.harness.settle()
        self.assertEqual(self.indexed(), {f"greet_{each}+farm1_amd64.deb" for each in ("1.0", "1.2", "1.3")})
        self.harness.done(actions.finish(1, "me"))
        self.harness.settle()
        self.assertEqual(self.indexed(), {f"greet_{each}+farm1_amd64.deb" for each in ("1.2", "1.3")})
        with mock.patch.object(UnsignedRepository, "keep_only", side_effect=ProgramError("It broke.")):
            self.harness.done(actions.kill(3, "me"))
            self.harness.settle()
        self.flushLoggedErrors(ProgramError)
        self.harness.restart()
        self.harness.settle()
        self.assertEqual(self.indexed(), {"greet_1.3+farm1_amd64.deb"})

    def service(self) -> JobService:
        """
        The jobs of the farm.
        """
        return cast("PackageJobs", self.farm.extensions["jobs of packages"]).service

    def indexed(self) -> set[str]:
        """
        The packages that roots can install.
        """
        return set(PackageRepository(str(self.place), DebianMetadata("bookworm", ["amd64"])).packages(BUILD))

    def test_other_bytes(self) -> None:
        """
        Promise 9.6: a version that is in the repository is not replaced, although its results are gone.
        """
        self.build()
        shutil.rmtree(Path(self.harness.basedir) / "packages" / "bookworm")
        self.building.files = dict(built(text="other"))
        self.submit_greet()
        self.assertEqual(self.job(2).state, JobState.FAILED)
        self.assertIn("in the repository already, with other contents", self.job(2).reason)

    def test_trouble(self) -> None:
        """
        Promise 9.9: while a program does not work, the job waits with the reason; after the next start it goes on.
        """
        with mock.patch.object(debian_metadata, "output_of_tool", side_effect=ProgramError("It broke.")):
            self.build()
        self.flushLoggedErrors(ProgramError)
        self.assertEqual((self.job().state, self.job().reason), (JobState.REPOWAIT, "It broke."))
        self.assertEqual(self.pool("build"), [])
        self.harness.restart()
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.FINISHED)
        self.assertEqual(self.pool("public"), ["greet_1.0+farm1_amd64.deb"])


@needs("apt-ftparchive")
class FewVersionsTests(JobsInRepositoriesCase):
    """
    A target with few versions in its public repository.
    """

    def configuration(self) -> str:
        return super().configuration().replace("repository=", "versions=2, repository=")

    def test_few_versions(self) -> None:
        """
        Promise 9.9: with ``versions``, the public repository has the latest versions; an older one that is published
        stays in its index until its successor is published, and after that as a file.
        """
        self.attach()
        for number, (version, expected) in enumerate(
            (
                ("1.9", {"1.9"}),
                ("2.0", {"1.9", "2.0"}),
                ("1.10", {"1.10", "2.0"}),
                ("1.0", {"1.0", "1.10", "2.0"}),
                ("1.1", {"1.1", "1.10", "2.0"}),
                ("2.1", {"2.0", "2.1"}),
            ),
            1,
        ):
            self.building.files = dict(built(version=f"{version}+farm1"))
            self.submit_greet(Version=version)
            self.assertEqual(self.job(number).state, JobState.FINISHED)
            there = PackageRepository(str(self.place), DebianMetadata("bookworm", ["amd64"]))
            self.assertEqual(set(there.packages(PUBLIC)), {f"greet_{each}+farm1_amd64.deb" for each in expected})
        self.assertIn("greet_1.0+farm1_amd64.deb", self.pool("public"))


@needs("apt-ftparchive")
class PreppingTests(JobsInRepositoriesCase):
    """
    The repository for builds, in a root on a slave.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(farm_repository, "deferToThread", maybeDeferred)

    def configuration(self) -> str:
        return super().configuration().replace("root=Plain()", 'root=Overlay("bookworm")').replace("Plain", "Overlay")

    def downloads(self) -> list[Download]:
        """
        The files that were sent to the slave, without source packages.
        """
        found = [each.spec for each in self.slave.commands if isinstance(each.spec, Download)]
        return [each for each in found if "repositories" in each.path]

    def test_needed(self) -> None:
        """
        Promise 9.6: the first build gets nothing; later ones get the index, and of the packages those that apt names;
        and a build that a restart of the master interrupts goes on with them.
        """
        self.build()
        self.assertEqual(self.downloads(), [])
        (package,) = (self.place / "build" / "pool").iterdir()
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        self.building.said["--print-uris"] = (
            f"'http://deb/x.deb' x.deb 1 SHA256:{'0' * 64}\n"
            f"'copy:/build/repositories/bookworm/pool/{package.name.replace('+', '%2b')}' {package.name} 5 \n"
        )
        self.building.files = dict(built(version="1.1+farm1"))
        self.building.held.add("--download-only")
        self.submit_greet(Version="1.1")
        index, sent = self.downloads()
        place = "t/build/files/repositories/bookworm"
        self.assertEqual((index.unpack, index.path.endswith("files/repositories/bookworm")), (True, True), place)
        self.assertTrue(sent.path.endswith(f"/repositories/bookworm/pool/{package.name}"), sent.path)
        self.assertEqual((sent.size, sent.sha256), (package.stat().st_size, digest))
        with tarfile.open(next((self.place / "indexes").glob("*.tar"))) as archive:
            names = archive.getnames()
        self.assertIn("dists/bookworm/main/binary-amd64/Packages.gz", names)
        self.assertEqual([name for name in names if name.endswith(".deb")], [])

        self.harness.restart()
        self.harness.attach("bot1", self.slave, platform={"machine": "x86_64"}, held=self.slave.held())
        self.building.release()
        self.harness.settle()
        self.assertEqual((self.job(2).state, self.job(2).reason), (JobState.FINISHED, ""))
        self.assertEqual(len(self.pool("build")), 2)

    def test_rebuilt(self) -> None:
        """
        Promise 9.5: a rebuild to be compared gets the index that the first build had, and its packages, although
        they have left the repository since; a day later, the present index.
        """
        self.patch(same_packages, "deferToThread", maybeDeferred)
        self.build()
        (package,) = (self.place / "build" / "pool").iterdir()
        uri = f"'copy:/build/repositories/bookworm/pool/{package.name.replace('+', '%2b')}' {package.name} 5 \n"
        self.building.said["--print-uris"] = uri
        self.building.files = dict(built(version="1.1+farm1"))
        self.submit_greet(Version="1.1")
        first = self.downloads()
        self.assertEqual(len(first), 2)
        repository = PackageRepository(str(self.place), DebianMetadata("bookworm", ["amd64"]))
        repository.remove(BUILD, [package.name])
        for sent in (first, first[:0]):
            self.building.said["--print-uris"] = uri if sent else ""
            before = len(self.downloads())
            self.rebuild(2)
            again = [each.sha256 for each in self.downloads()[before:]]
            if sent:
                self.assertEqual(again, [each.sha256 for each in sent])
                for archive_file in (self.place / "indexes").iterdir():
                    os.utime(archive_file, (1, 1))
            else:
                self.assertEqual(len(again), 1)
                self.assertNotEqual(again[0], first[0].sha256)

    def rebuild(self, job: int) -> None:
        """
        Build *job* again, with the same packages.
        """
        jobs = cast(PackageJobs, self.farm.extensions["jobs of packages"])
        found = self.job(job)
        self.harness.done(Rebuilding(self.farm, jobs.service).rebuild(found, "me", same=True))
        self.harness.settle()

    def test_chain(self) -> None:
        """
        Promise 9.6: in the roots of a chain, the packages that were built before win over the distribution's.
        """
        self.build()
        self.building.files = dict(built(version="1.1+farm1", source="other", name="other"))
        for options, pinned in (({}, []), ({"after": 1}, ["Package: greet"])):
            feed = self.successResultOf(self.target("bookworm").submit_file(FakeWatcher(), options))
            assert feed is not None
            feed.feed(archive(greet(Source="other", Version="1.1", Package_List=LISTED.replace("greet", "other"))))
            feed.close()
            self.harness.settle()
            spec = next(each.spec for each in reversed(self.slave.commands) if "--print-uris" in str(each.spec))
            assert isinstance(spec, Run)
            pin = next(word for word in spec.argv if word.startswith("Package: ") and "Pin: release o=bookworm" in word)
            found = [line for line in pin.splitlines() if line.startswith("Package: ")]
            self.assertEqual(found, [*pinned, "Package: *"])

    def test_old_version_in_chain(self) -> None:
        """
        Promise 9.6: an older version that is published stays in the repository for builds while a job in its chain has
        not ended, although that repository has few versions.
        """
        self.build()
        for version in ("1.1", "1.2", "1.3"):
            self.building.files = dict(built(version=f"{version}+farm1"))
            self.submit_greet(Version=version)
        self.building.held.add("dpkg-buildpackage")
        self.building.files = dict(built(version="0.9+farm1"))
        self.submit_greet(Version="0.9")
        feed = self.successResultOf(self.target("bookworm").submit_file(FakeWatcher(), {"after": 5}))
        assert feed is not None
        feed.feed(archive(greet(Source="other", Version="1.1", Package_List=LISTED.replace("greet", "other"))))
        feed.close()
        self.harness.settle()
        self.assertEqual(self.job(6).state, JobState.WAITING)
        self.building.release()
        self.building.held.add("dpkg-buildpackage")
        self.building.files = dict(built(version="1.1+farm1", source="other", name="other"))
        self.harness.settle()
        self.assertEqual(self.job(5).state, JobState.FINISHED)
        self.assertIn("greet_0.9+farm1_amd64.deb", self.repository().packages(BUILD))
        self.building.release()
        self.harness.settle()
        self.assertEqual((self.job(6).state, self.job(6).reason), (JobState.FINISHED, ""))
        self.assertNotIn("greet_0.9+farm1_amd64.deb", self.repository().packages(BUILD))

    def repository(self) -> PackageRepository:
        """
        The repositories of the target.
        """
        return PackageRepository(str(self.place), DebianMetadata("bookworm", ["amd64"]))

    def test_from_public(self) -> None:
        """
        Promise 9.6: with ``roots_from="public"`` a build sees what is published; with None, nothing.
        """
        arches = {"arches": ["amd64"], "root": Overlay("bookworm"), "repository": "repos/t"}
        there = DebTarget("t", **arches, roots_from="public", replaces=["libfoo*"]).repository_for_builds
        assert there is not None
        self.assertEqual((there.kind, there.debian_use[2]), (PUBLIC, debian_metadata.pin("t", ["libfoo*"])))
        self.assertIsNone(DebTarget("t", **arches, roots_from=None).repository_for_builds)
        place = Path(self.mktemp())
        repository = PackageRepository(str(place), DebianMetadata("t", ["amd64"]))
        for kind, version in ((PUBLIC, "1.0"), (BUILD, "1.1")):
            path = Path(self.mktemp())
            path.mkdir()
            package = path / f"greet_{version}_amd64.deb"
            package.write_bytes(built(version)[package.name])
            repository.add(kind, [str(package)])
        for kind, version in ((PUBLIC, "1.0"), (BUILD, "1.1")):
            for_builds = BuildRepository(str(place), "pool", kind)
            self.assertEqual(for_builds.latest()[0].keys(), {f"greet_{version}_amd64.deb"})
            self.assertIn(f"/{kind}-", for_builds.index()["path"])

    def test_not_sent(self) -> None:
        """
        Promise 9.9: an index that cannot be read fails the step with the reason.
        """
        self.build()
        with mock.patch.object(BuildRepository, "index", side_effect=FileError("The disk is gone.")):
            self.submit_greet(Version="1.1")
        found = self.harness.read(lambda connection: steps.of_build(connection, 2))
        self.assertEqual([each.summary for each in found if each.name == "prepping"], ["The disk is gone."])


class LatestPackagesTests(SynchronousTestCase):
    """
    The packages that a build of an RPM target gets.
    """

    def setUp(self) -> None:
        super().setUp()
        self.place = Path(self.mktemp())
        self.repository = PackageRepository(str(self.place), cast("Any", NamedPackages()))

    def add(self, *names: str) -> None:
        """
        Add empty packages.
        """
        files = Path(self.mktemp())
        files.mkdir()
        for name in names:
            (files / name).touch()
        self.repository.add(BUILD, [str(files / name) for name in names])

    def test_latest(self) -> None:
        """
        Promise 9.6: the build gets one version of each package, the latest one, whenever that was added.
        """
        self.add("a-1.10-1.noarch.rpm", "b-1-1.noarch.rpm", "a-1.10-1.x86_64.rpm")
        self.add("a-1.9-1.noarch.rpm", "b-2-1.noarch.rpm")
        found, left_out = BuildRepository(str(self.place), "packages").latest()
        self.assertEqual(left_out, 0)
        self.assertEqual(set(found), {"a-1.10-1.noarch.rpm", "b-2-1.noarch.rpm", "a-1.10-1.x86_64.rpm"})
        self.assertTrue(all(os.path.isfile(path) for path, _, _ in found.values()))

    def test_first_build(self) -> None:
        """
        Promise 9.5: a rebuild also gets the earlier versions that the first build had, before all others; packages of
        the distribution that the list names are none of the farm's.
        """
        self.add("a-1.9-1.noarch.rpm", "b-1-1.noarch.rpm")
        self.add("a-1.10-1.noarch.rpm")
        listed = Path(self.mktemp())
        listed.write_text("libc6:amd64 2.36-9\na 1:1.9-1 noarch\nmake 4-1 x86_64\nmore than three words\n")
        also = same_packages.rpm_files(str(listed))
        self.assertEqual(also, {"a-1.9-1.noarch.rpm", "make-4-1.x86_64.rpm"})
        there = BuildRepository(str(self.place), "packages")
        self.assertEqual(there.latest()[0].keys(), {"a-1.10-1.noarch.rpm", "b-1-1.noarch.rpm"})
        self.assertEqual(there.latest(also)[0].keys(), there.latest()[0].keys() | {"a-1.9-1.noarch.rpm"})
        with mock.patch.object(for_builds, "MOST_SENT", 1):
            found, left_out = there.latest(also)
        self.assertEqual((list(found), left_out), (["a-1.9-1.noarch.rpm"], 2))

    def test_earlier_index(self) -> None:
        """
        Promise 9.5: a build gets an earlier index only while all packages that it lists are there; else the current
        one.
        """
        there = BuildRepository(str(self.place), "packages")
        self.add("a-1-1.noarch.rpm")
        first = str(there.index()["snapshot"])
        self.add("b-1-1.noarch.rpm")
        current = there.index()["snapshot"]
        self.assertEqual(there.index(first)["snapshot"], first)
        Path(there.chosen({"a-1-1.noarch.rpm"})["a-1-1.noarch.rpm"][0]).unlink()
        self.assertEqual(there.index(first)["snapshot"], current)

    def test_together(self) -> None:
        """
        Promise 9.6: the index is written once for builds that begin together.
        """
        self.add("a-1-1.noarch.rpm")
        there = BuildRepository(str(self.place), "packages")
        second, written = Event(), list[str]()

        def writing(path: str, contents: bytes) -> None:
            written.append(os.path.basename(path))
            if len(written) > 1:
                second.set()
            # As long as another build would need to come here, too.
            second.wait(0.5)
            write_whole(path, contents)

        with mock.patch.object(for_builds, "write_whole", writing), ThreadPoolExecutor(2) as pool:
            first, other = (each.result(60) for each in [pool.submit(there.index), pool.submit(there.index)])
        self.assertEqual(first, other)
        self.assertEqual(len(written), 2, written)

    def test_apart(self) -> None:
        """
        Promise 9.6: the index of a repository is written while that of another one is.
        """
        self.add("a-1-1.noarch.rpm")
        other = f"{self.place}-other"
        shutil.copytree(self.place, other, symlinks=True)
        both = Barrier(2)

        def writing(path: str, contents: bytes) -> None:
            if path.endswith(".tar"):
                both.wait(60)
            write_whole(path, contents)

        with mock.patch.object(for_builds, "write_whole", writing), ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(BuildRepository(place, "packages").index) for place in (str(self.place), other)]
            found = [each.result(60)["sha256"] for each in asked]
        self.assertEqual(found[0], found[1])

    def test_first_build_on_slave(self) -> None:
        """
        Promise 9.5: a rebuild of an RPM package gets these earlier versions on its slave, where the root cannot say
        what the build needs.
        """
        self.add("a-1.9-1.noarch.rpm")
        self.add("a-1.10-1.noarch.rpm")
        listed = Path(self.place, "packages", "t", "a", "installed.txt")
        listed.parent.mkdir(parents=True)
        listed.write_text("a 1.9-1 noarch\n")
        step = self.prepping(Mock("fedora-40-x86_64"))
        before = {"buildername": "b", "installed_before": {"b": "packages/t/a/installed.txt"}}
        for properties, sent in (
            ({"buildername": "b"}, "a-1.10-1.noarch.rpm"),
            (before, "a-1.10-1.noarch.rpm, a-1.9-1.noarch.rpm"),
        ):
            ran = run(step, properties=properties, master_directory=str(self.place))
            self.assertEqual(ran.result, Result.SUCCESS, ran.summary)
            self.assertIn(f"of the farm's own packages: {sent}", ran.remarks)

    def test_needed(self) -> None:
        """
        Promise 9.6: a build of an RPM package gets the packages of the farm that its root says it needs, round after
        round, and no others; one that always needs more fails.
        """
        self.add("a-1-1.noarch.rpm", "b-1-1.noarch.rpm", "c-1-1.noarch.rpm")
        # What is needed stands last, however much was printed before.
        self.patch(rpm_steps, "LONGEST_LIST", 1000)
        first = [*self.begun, *self.needing("debian unpack needs installed", "b")]
        ready = command("*'needs installed' x86_64 '' builder")
        steps = [*first, *self.needing("needs installed", "a"), ready]
        ran = replay(self.prepping(Overlay("bookworm")), *steps, **self.where)
        self.assertEqual((ran.result, ran.summary), (Result.SUCCESS, "root ready on bot1"))
        sent = [f"of the farm's own packages: {name}-1-1.noarch.rpm" for name in "ba"]
        self.assertEqual([each for each in ran.remarks if "farm's own" in each], sent)

        again = [
            each for number in range(MOST_ROUNDS - 1) for each in self.needing("needs installed", f"x{number}", sent=())
        ]
        ran = run(self.prepping(Overlay("bookworm")), *first, *again, **self.where)
        self.assertEqual(ran.result, Result.FAILURE)
        self.assertIn("needed more packages of the farm 10 times", ran.summary)

    def test_needed_again(self) -> None:
        """
        Promise 9.6: a package is sent once to a build, and a build that asks only for what was sent fails; nothing that
        the source prints makes the farm send more than the most.
        """
        self.add("a-1-1.noarch.rpm", "b-1-1.noarch.rpm", "c-1-1.noarch.rpm")
        first = [*self.begun, *self.needing("debian unpack needs installed", "b")]
        for names, sent, sentence in (
            (["b"], [], "it asks for b-1-1.noarch.rpm of the farm's packages once more"),
            (["a", "b"], ["a"], ""),
            (
                [f"x{number}" for number in range(MOST_SENT)],
                [],
                f"it needs {MOST_SENT + 1} packages of the farm; at most",
            ),
        ):
            with self.subTest(sentence=sentence):
                asked = self.needing("needs installed", *names, sent=sent)
                ready = [command("*'needs installed' x86_64 '' builder")] if sent else []
                ran = replay(self.prepping(Overlay("bookworm")), *first, *asked, *ready, **self.where)
                self.assertEqual(ran.result, Result.FAILURE if sentence else Result.SUCCESS)
                self.assertIn(sentence, ran.summary)

    def test_needed_elsewhere(self) -> None:
        """
        Where the root does not say what a build needs, a line of the source's asks for nothing.
        """
        self.add("a-1-1.noarch.rpm")
        prepared = command("* prepare *").exits(0, stdout="needs the package a-1-1.noarch.rpm\n")
        made, _, index = self.begun
        package = command("download */packages/a-1-1.noarch.rpm")
        ran = run(self.prepping(Mock("fedora-40-x86_64")), made, index, package, prepared, **self.where)
        self.assertEqual((ran.result, ran.summary), (Result.SUCCESS, "root ready on bot1"))

    @property
    def where(self) -> Any:
        """
        The build.
        """
        return {"properties": {"buildername": "b", "buildnumber": 1}, "master_directory": str(self.place)}

    begun = (command("mkdir *"), command("* begin *"), command("download */repositories/t"))

    def needing(self, verbs: str, *names: str, sent: Collection[str] | None = None) -> list[Answer]:
        """
        A preparation that says that it needs these packages, of which those *sent* follow (None: all).
        """
        said = "".join(f"needs the package {name}-1-1.noarch.rpm\n" for name in names)
        prepared = command(f"*'{verbs}' x86_64 '' builder").exits(0, stdout=f"{'dnf says ' * 500}\n{said}and more\n")
        following = names if sent is None else sent
        return [prepared, *(command(f"download */packages/{name}-1-1.noarch.rpm") for name in following)]

    def prepping(self, root: Root) -> RpmPrepping:
        """
        The step of a target with this *root* and these repositories.
        """
        for module in (farm_repository, same_packages):
            self.patch(module, "deferToThread", maybeDeferred)
        there = FarmRepository("t", "", "packages")
        return RpmPrepping(root=root, architecture="x86_64", target="x86_64", repository=there)

    def test_list_elsewhere(self) -> None:
        """
        Promise 9.5: a file that is not in the tree of results, which a submitter named in the property, is not sent.
        """
        secret = Path(self.place, "private", "key")
        secret.parent.mkdir(parents=True)
        secret.write_text("secret")
        self.patch(same_packages, "deferToThread", maybeDeferred)
        step = RpmPrepping(root=Overlay("bookworm"), architecture="x86_64", target="x86_64")
        for path in ("private/key", "packages/../private/key", str(secret), "../x", "packages", 7):
            properties: Any = {"buildername": "b", "buildnumber": 1, "installed_before": {"b": path}}
            ran = run(step, properties=properties, master_directory=str(self.place))
            self.assertEqual(ran.result, Result.EXCEPTION)
            self.assertIn("is no list in the results of a build", ran.summary)
            self.assertEqual([each for each in ran.asked if "wanted.txt" in str(each)], [])

    def test_left_out(self) -> None:
        """
        Promise 9.6: of too many packages, the build gets those that were added last, and the number of the others is
        known.
        """
        self.add("a-1-1.noarch.rpm", "b-1-1.noarch.rpm")
        self.add("c-1-1.noarch.rpm")
        with mock.patch.object(for_builds, "MOST_SENT", 2):
            found, left_out = BuildRepository(str(self.place), "packages").latest()
        self.assertEqual((list(found), left_out), (["b-1-1.noarch.rpm", "c-1-1.noarch.rpm"], 1))


class NamedPackages:
    """
    Empty metadata, for packages that are described by their file names.
    """

    directory = "packages"
    to_sign = ()
    signatures = ()

    def version(self, path: str) -> str:
        """
        The version in the name of the file.
        """
        return path.rpartition("/")[2].removesuffix(".noarch.rpm").partition("-")[2]

    def make(self, making: object) -> Sequence[str]:
        """
        Write nothing.
        """
        return ()


class ServedKeyTests(SynchronousTestCase):
    def test_served(self) -> None:
        """
        Promise 9.7: the public keys of targets that are signed are served; a file with a secret key, with no key, with
        too much, or none, is not, and the log says why.
        """
        place = Path(self.mktemp())
        place.mkdir()
        body = b"\x04" + bytes(40)
        keyring, secret = (bytes([head, len(body)]) + body for head in (0x98, 0x94))
        files = {"good": keyring, "secret": keyring + secret, "none": b"x", "large": keyring * 2000}
        for name, contents in files.items():
            (place / name).write_bytes(contents)
        targets = [
            SimpleNamespace(name=name, repository=f"repos/{name}", signing=SigningPolicy(sign, name))
            for name, sign in (*((name, "manual") for name in (*files, "missing")), ("unsigned", None))
        ]
        config = SimpleNamespace(extension=lambda name: targets)
        served = TargetRepositories(cast("Any", SimpleNamespace(config=config, basedir=str(place))))
        said: list[str] = []
        log = mock.Mock(warn=lambda text, target, why: said.append(target))
        with mock.patch.object(TargetRepositories, "_log", log):
            self.assertEqual(served.keys(), {"good": armored_keys(keyring).decode()})
        self.assertEqual(said, ["secret", "none", "large", "missing"])


class RepositoryPlaceTests(SynchronousTestCase):
    """
    The places of repositories.
    """

    def test_shared(self) -> None:
        """
        Two targets share nothing, neither the same directory nor one inside another's.
        """
        self.assertIsNone(shared(["a", "a-b", "ab", "", ""]))
        self.assertEqual(shared(["a/b", "c", "a"]), ("a", "a/b"))
        self.assertEqual(shared(["a", "a-b", "a"]), ("a", "a"))
