"""
Packages of Debian and RPM, built for real from source packages that are made here.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.packages.building.debian_roots import Overlay
from buildbot_lite.packages.formats.architectures import RpmArchitectures
from buildbot_lite.packages.formats.built_packages import built_packages
from buildbot_lite.packages.formats.joined_builds import joined
from buildbot_lite.packages.formats.source_package import RPM, SourcePackage

from ..needs import NO_SOURCES, needs
from ..packages.test_overlay import make_base
from .farm import Done, Farm, until
from .git_server import GitServer

CONTROL = """\
Source: greet
Maintainer: Farm <farm@example.org>
Section: misc
Priority: optional
Standards-Version: 4.6.2
Rules-Requires-Root: no
{more}
Package: greet
Architecture: any
Description: greets
 A package for tests.

Package: greet-data
Architecture: all
Description: what greet says
 A package for tests.
"""
CHANGELOG = """\
greet (1.0) unstable; urgency=low

  * First.

 -- Farm <farm@example.org>  Sat, 28 Nov 2026 12:00:00 +0000
"""
# Without debhelper, so that dpkg-dev and make are enough.
RULES = """\
#!/usr/bin/make -f
build build-arch build-indep:
\t{script}
\tmkdir -p debian/greet/usr/bin debian/greet-data/usr/share/greet
\tuname -m > debian/greet/usr/bin/greet
\techo hello > debian/greet-data/usr/share/greet/words
binary: binary-arch binary-indep
binary-arch: build
\t$(call package,greet)
binary-indep: build
\t$(call package,greet-data)
define package
\tmkdir -p debian/$(1)/DEBIAN
\tdpkg-gencontrol -p$(1) -Pdebian/$(1)
\tdpkg-deb --root-owner-group --build debian/$(1) ..
endef
clean:
\trm -rf debian/greet debian/greet-data debian/files debian/substvars
"""
# The way out of a chroot (chroot(2)): a process whose directory is not below its root may go up.  It succeeds when
# there is nothing of the machine outside.
ESCAPE = (
    'mkdir "/deeper"; opendir my $outside, "/"; chroot "/deeper" or die; chdir $outside or die;'
    'chdir ".." for 1 .. 50; chroot "." or die; die "outside" if -e "PLACE"'
)
# Without the macros of any distribution.
SPEC = """\
Name: hello
Version: 1.0
Release: 1%{?dist}
Summary: greets
License: MIT
Source0: hello.c
BuildRequires: gcc, make >= 3, /bin/sh
%global debug_package %{nil}

%description
A package for tests.

%package doc
Summary: what hello says
BuildArch: noarch

%description doc
A package for tests.

%prep
%setup -q -c -T
%build
test "$(id -u)" != 0
! getent hosts deb.debian.org
! touch /usr/touched
gcc %{optflags} %{SOURCE0} -o hello
%install
install -D hello %{buildroot}/usr/bin/hello
./hello >words
install -D -m 644 words %{buildroot}/usr/share/hello/words
%files
/usr/bin/hello
%files doc
/usr/share/hello
%changelog
* Sat Nov 28 2026 Farm <farm@example.org> - 1.0-1
- First.
"""
NEEDY = """\
Name: greet
Version: 1.0
Release: 1
Summary: greets
License: MIT
BuildArch: noarch
BuildRequires: hello >= 1, gcc, pkgconfig(nothing)
%description
A package for tests.
%files
"""
# "talks" prints the name of a package that "asks" needs as well.
TALKS = """\
Name: talks
Version: 1.0
Release: 1
Summary: talks
License: MIT
BuildArch: noarch
%description
A package for tests.
%package words
Summary: words
%description words
A package for tests.
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/share/talks
printf '#!/bin/sh\necho "talks-words >= 1.0"\n' >%{buildroot}/usr/bin/talks
chmod 755 %{buildroot}/usr/bin/talks
echo hello >%{buildroot}/usr/share/talks/words
%files
/usr/bin/talks
%files words
/usr/share/talks
%package unwanted
Summary: no package needs it
%description unwanted
A package for tests.
%files unwanted
"""
ASKS = """\
Name: asks
Version: 1.0
Release: 1
Summary: asks
License: MIT
BuildArch: noarch
BuildRequires: talks >= 1.0
%description
A package for tests.
%generate_buildrequires
talks
%build
grep hello /usr/share/talks/words
! getent hosts deb.debian.org
%files
"""
HEAD = "from buildbot_lite.packages import DebTarget, Overlay, Plain, RpmTarget, Sbuild\n"


def native(script: str = "true", more: str = "", name: str = "greet") -> dict[str, str]:
    """
    The files of a native source package of Debian, by path.
    """
    files = {
        "control": CONTROL.format(more=more),
        "changelog": CHANGELOG,
        "rules": RULES.replace("{script}", script),
        "source/format": "3.0 (native)\n",
    }
    return {f"debian/{path}": text.replace("greet", name) for path, text in files.items()}


class PackagesCase(SynchronousTestCase):
    """
    *target*: the only one, called "t".  *of_slave*: further arguments of the slave.
    """

    target = ""
    of_slave = ""

    def setUp(self) -> None:
        super().setUp()
        self.farm = Farm()
        self.addCleanup(self.farm.close)
        architecture = self.farm.directory / "architecture"
        self.farm.run(f"dpkg --print-architecture > {architecture}")
        self.arch = architecture.read_text().strip()
        self.farm.slave_options["bot1"] = self.of_slave
        self.farm.config(HEAD + f"c['targets'] = [{self.target.replace('ARCH', self.arch)}]\n")

    def built(self, target: str, data: bytes) -> Done:
        """
        Submit *data* to *target*, which may have to make a base.
        """
        done = self.farm.submit(target, data, within=550.0)
        if b"Unable to fetch" in done.out or b"Could not resolve" in done.out:
            raise SkipTest(NO_SOURCES)
        return done

    def source(self, script: str = "true", more: str = "", name: str = "greet") -> bytes:
        """
        Return an archive of the source package *name*, whose build runs *script*; *more*: further fields of
        debian/control.
        """
        tree = self.farm.directory / name
        (tree / "debian" / "source").mkdir(parents=True, exist_ok=True)
        for path, text in native(script, more, name).items():
            (tree / path).write_text(text)
        (tree / "debian" / "rules").chmod(0o755)
        self.farm.run(f"dpkg-source --build {name} && tar -cf {name}.tar {name}_1.0*")
        return (self.farm.directory / f"{name}.tar").read_bytes()

    def submit(self, data: bytes, within: float = 120.0) -> Done:
        """
        Submit it to the target.
        """
        return self.farm.submit("t", data, within=within)

    def until_job(self, job: int, state: str) -> None:
        """
        Wait until *job* is in *state*, by the records: a command at each look would take a processor from its build.
        """
        query = "select 1 from package_jobs where id = ? and state = ?"
        until(lambda: self.farm.rows(query, job, state), f"job {job} is in the state {state}")

    def until_architecture(self, job: int, state: str) -> None:
        """
        Wait until an architecture of *job* is in *state*.
        """
        query = "select 1 from package_job_arches where job = ? and state = ?"
        until(lambda: self.farm.rows(query, job, state), f"an architecture of job {job} is in the state {state}")

    def artifacts(self, builder: str) -> set[str]:
        """
        Return the names of the artifacts of the last build of *builder*.
        """
        return {path.name for path in self.artifact_directory(builder).rglob("*") if path.is_file()}

    def artifact_directory(self, builder: str) -> Path:
        """
        Return the directory of the artifacts of the last build of *builder*.
        """
        directory = Path(self.farm.master_directory) / "artifacts" / builder
        return max((each for each in directory.iterdir() if each.name.isdecimal()), key=lambda each: int(each.name))

    def left_on_slave(self) -> set[str]:
        """
        Return the files that the builds have left in their directories on the slave.
        """
        work = self.farm.slave_directory("bot1") / "work"
        return {path.name for directory in work.glob("[nrt]-*/build*") for path in directory.iterdir()}


@needs("dpkg-buildpackage")
class PlainTests(PackagesCase):
    """
    Builds on the slave itself, without a root.
    """

    target = 'DebTarget("t", arches=["ARCH", "riscv64", "all"], root=Plain(), version_suffix="+farm1")'

    def test_built(self) -> None:
        """
        Promise 9.1: flappclient submits a source package, which is built for each architecture, one of which no machine
        has; what fails, and what is no source package, has its exit code and says why.
        """
        self.farm.start()
        submitting = self.farm.submitting("t", self.source())
        builds = self._until_ended(2)
        self.assertEqual(
            {(each["builder"], each["result"]) for each in builds},
            {("t-all", "SUCCESS"), (f"t-{self.arch}", "SUCCESS")},
        )
        self.assertEqual(
            self.artifacts(f"t-{self.arch}"),
            {f"greet_1.0+farm1_{self.arch}.{kind}" for kind in ("deb", "buildinfo", "changes")} | {"installed.txt"},
        )
        self.assertIn("greet-data_1.0+farm1_all.deb", self.artifacts("t-all"))
        self.assertEqual(self.left_on_slave(), set())
        queued = json.loads(self.farm.command("queue", str(self.farm.master_directory), "--json").out)
        self.assertIn("riscv64 is needed", queued[0]["why"]["sentence"])
        cancelled = self.farm.command("cancel", str(self.farm.master_directory), str(queued[0]["request"]))
        self.assertEqual(cancelled.code, 0, cancelled)
        done = submitting.wait()
        self.assertNotEqual(done.code, 0)
        # The states of the architecture that comes first, with their times.
        told = re.findall(r"(?m)^# (\w+) since [0-9:]{8} UTC$", done.err)
        self.assertEqual(told[:5], ["downloading", "prepping", "building", "uploading", "cleanup"])
        self._fetch()

    def _fetch(self) -> None:
        """
        Promise 9.8: the target's string, with which the job was submitted, fetches what was built of it, and replaces
        nothing.
        """
        furls, got = Path(self.farm.master_directory, "furls"), self.farm.directory / "got"
        words = ("package", "fetch", "1", self.arch, "--to", str(got), "--furlfile")
        done = self.farm.command(*words, str(furls / "t.furl"))
        self.assertEqual(done.code, 0, done)
        name = f"greet_1.0+farm1_{self.arch}.deb"
        built = next(self.artifact_directory(f"t-{self.arch}").rglob(name))
        self.assertEqual((got / self.arch / name).read_bytes(), built.read_bytes())
        self.assertIn(f"{got / self.arch / name}\n", done.out.decode())
        again = self.farm.command(*words, str(furls / "t.furl"))
        self.assertEqual(again.code, 70)
        self.assertIn("exists already", again.err)

    def test_failing(self) -> None:
        """
        Promise 9.1: a build that fails, and a file that is no source package, end the client with a sentence.
        """
        self.farm.start()
        broken = self.farm.submit("t", b"nonsense" * 100)
        self.assertEqual(broken.code, 2)
        self.assertIn("That is no tar archive", broken.err)
        submitting = self.farm.submitting("t", self.source("echo it broke; false"))
        builds = self._until_ended(2)
        self.assertEqual({each["result"] for each in builds}, {"FAILURE"})
        self.assertEqual(self.left_on_slave(), set())
        submitting.process.kill()

    def _until_ended(self, count: int) -> list[dict[str, Any]]:
        query = "select 1 from builds where finished is not null"
        until(lambda: len(self.farm.rows(query)) >= count, f"{count} builds ended")
        listed = json.loads(self.farm.command("builds", str(self.farm.master_directory), "--json").out)
        return [each for each in listed if each["result"] is not None]


@needs("dpkg-buildpackage")
class JobTests(PackagesCase):
    """
    Jobs in a master that is killed.
    """

    target = 'DebTarget("t", arches=["ARCH", "all"], root=Plain())'

    def test_killed_master(self) -> None:
        """
        Promise 9.2, 9.5, 9.8: a job whose master is killed while it is built is finished by the next one, once; its
        results are whole, with their digests; the holder of the target's string sees it.
        """
        go = self.farm.directory / "go"
        self.farm.start()
        submitting = self.farm.submitting("t", self.source(f"while [ ! -e {go} ]; do sleep 0.2; done"))
        self.until_architecture(1, "building")
        self.assertIn("# job 1: greet 1.0 for t", submitting.err)
        self.farm.master.kill()
        self.farm.start_master()
        self.assertTrue({"building", "waiting"} & set(self._states()))
        go.touch()
        self.until_job(1, "finished")
        self.assertEqual([state for state, _ in self._job()["history"]].count("finished"), 1)
        results = Path(self.farm.master_directory) / "packages" / "t" / "greet" / "1.0"
        self.assertEqual({path.name for path in results.iterdir()}, {self.arch, "all"})
        for arch in (self.arch, "all"):
            self.assertTrue(list((results / arch).glob("*.deb")))
            self.farm.run(f"cd {results / arch} && sha256sum --check --strict --quiet SHA256SUMS")
        self.farm.command("package", "kill", "--furlfile", str(self._string()), "1")
        listed = self.farm.command("package", "list", "--furlfile", str(self._string()))
        self.assertRegex(listed.out.decode(), r"(?m)^1 +greet 1\.0 +t +finished")
        submitting.process.kill()

    def test_compared_over_restart(self) -> None:
        """
        Promise 9.5: `package rebuild --compare`, with the string of the target, goes on over a kill -9 of the master,
        and names packages that differ, and how to look into them; "failed" is not "different".
        """
        hold, fails, other = (self.farm.directory / name for name in ("hold", "fails", "other"))
        self.farm.start()
        script = f"while [ -e {hold} ]; do sleep 0.1; done; test ! -e {other} || echo more >debian/x; test ! -e {fails}"
        install = "cp debian/x debian/greet/usr/bin/x 2>/dev/null || true"
        source = self.source(script)
        rules = self.farm.directory / "greet" / "debian" / "rules"
        rules.write_text(rules.read_text().replace("\tuname -m", f"\t{install}\n\tuname -m"))
        self.farm.run("dpkg-source --build greet && tar -cf greet.tar greet_1.0*")
        source = (self.farm.directory / "greet.tar").read_bytes()
        self.assertEqual(self.submit(source).code, 0)
        self.until_job(1, "finished")
        hold.touch()
        words = ["package", "rebuild", "1", "--compare", "--furlfile", str(self._string())]
        client = self.farm.client("buildbot-lite", *words)
        # Before the command has the number of its job, it has nothing to go on with.
        until(lambda: "# job 2 builds it again" in client.err, "the command has the number of its job")
        self.until_architecture(2, "building")
        self.farm.master.kill()
        until(lambda: "# lost the connection to the master; the builds continue." in client.err, "the loss is told")
        self.farm.start_master()
        hold.unlink()
        done = client.wait(within=120.0)
        self.assertEqual((done.code, done.out.count(b"the same, bit for bit")), (0, 2), done)
        other.touch()
        done = self.farm.client("buildbot-lite", *words).wait(within=120.0)
        self.assertEqual(done.code, 1, done)
        self.assertIn(f"{self.arch}: different, in equal roots: greet_1.0_{self.arch}.deb".encode(), done.out)
        name = f"greet_1.0_{self.arch}.deb"
        self.assertIn(f"diffoscope job-1/{self.arch}/{name} job-3/{self.arch}/{name}\n", done.err)
        self.assertIn(b"all: the same, bit for bit", done.out)
        fails.touch()
        done = self.farm.client("buildbot-lite", *words).wait(within=120.0)
        self.assertEqual((done.code, done.out.count(b"the build failed, so there is nothing to compare")), (2, 2), done)

    def _string(self) -> Path:
        return Path(self.farm.master_directory) / "furls" / "t.furl"

    def _job(self, number: int = 1) -> dict[str, Any]:
        shown = self.farm.command("package", "show", str(self.farm.master_directory), str(number), "--json")
        found: dict[str, Any] = json.loads(shown.out) if shown.code == 0 else {"state": "", "arches": [], "history": []}
        return found

    def _states(self, number: int = 1) -> list[str]:
        return [arch["state"] for arch in self._job(number)["arches"]]


@needs("dpkg-buildpackage", "mmdebstrap", "newuidmap")
class LeftTests(PackagesCase):
    """
    Builds over a small base, whose apt waits until the test is over.
    """

    target = 'DebTarget("t", ["ARCH"], root=Overlay("bookworm"))'

    def begun(self) -> tuple[Path, Path]:
        """
        Submit a package, and wait until its root is prepared.  Returns the directory of the build, and the base.
        """
        self.farm.start()
        build = self.farm.slave_directory("bot1") / "work" / f"t-{self.arch}" / "build"
        base = (build / Overlay("bookworm").begin(self.arch)[0][6]).resolve() / "base.1.1"
        make_base(base)
        apt = base / "bin" / "apt-get"
        apt.write_text("#!/bin/sh\ncat /proc/sys/kernel/random/uuid >here\nwhile :; do sleep 0.1; done\n")
        apt.chmod(0o755)
        Path(f"{base}.made").touch()
        (base.parent / "current").symlink_to(base.name)
        self.source()
        source = str(self.farm.directory / "greet_1.0.dsc")
        queued = self.farm.command("package", "build", str(self.farm.master_directory), "t", source, "--no-wait")
        self.assertEqual(queued.code, 0, queued)
        until((build / "files" / "here").exists, "the root is prepared")
        return build, base

    def kill_job(self) -> None:
        """
        Kill the job.
        """
        killed = self.farm.command("package", "kill", str(self.farm.master_directory), "1")
        self.assertEqual(killed.code, 0, killed)
        self.until_job(1, "killed")

    def test_killed_for_good(self) -> None:
        """
        Promise 9.4: what a build has left whose keeper and slave were killed with kill -9, and whose job was killed
        before the slave came back, is removed when the slave comes back, without another build.
        """
        _, base = self.begun()
        self.farm.kill(self.farm.keeper_pid())
        self.farm.slave().kill()
        self.kill_job()
        self.assertTrue({"files", "root"} <= self.left_on_slave())
        self.farm.start_slave()
        until(lambda: not self.left_on_slave(), "nothing is left of the build")
        self.assertEqual(self.farm.rows("select count(*) from builds"), [(1,)])
        self.assertTrue(base.exists())

    def test_tried_again(self) -> None:
        """
        Promise 9.4: when the keeper alone was killed, the slave removes what the build has left, and the next attempt
        begins in the same directory and loses nothing.
        """
        build, _ = self.begun()
        here = build / "files" / "here"
        until(lambda: here.read_text() != "", "it is there")
        before = here.read_text()
        self.farm.kill(self.farm.keeper_pid())

        def is_another() -> bool:
            try:
                return here.read_text() not in ("", before)
            except FileNotFoundError:
                return False

        until(is_another, "the next attempt has prepared its root")
        self.assertEqual(self.farm.rows("select count(*) from builds"), [(2,)])
        self.assertEqual(self.left_on_slave(), {"files", "root"})
        log = (self.farm.slave_directory("bot1") / "twistd.log").read_text()
        self.assertIn(f"removing what builds that are over have left in work: t-{self.arch}/build\n", log)
        self.kill_job()
        until(lambda: not self.left_on_slave(), "nothing is left of the builds")


@needs("dpkg-buildpackage", "mmdebstrap", "newuidmap")
class OverlayTests(PackagesCase):
    """
    Builds in clean roots, over bases that the tests share.
    """

    root = 'Overlay("bookworm", packages=["rpm", "dnf", "file"])'
    target = (
        f'DebTarget("t", ["ARCH"], root={root}, repository="repos/t", replaces=["hello"], sources=SOURCES),'
        f' RpmTarget("r", ["x86_64", "i686"], {root}, dist=".f4", sources=SOURCES),'
        f' RpmTarget("n", ["x86_64"], {root}, repository="repos/n")'
    )
    of_slave = "max_builds=3"
    bases = ""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.bases = tempfile.mkdtemp(prefix="bases-")
        os.chmod(cls.bases, 0o755)
        cls.addClassCleanup(shutil.rmtree, cls.bases, ignore_errors=True)
        try:
            subprocess.run(["apt-get", "--version"], check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.CalledProcessError):
            raise SkipTest(NO_SOURCES) from None

    def setUp(self) -> None:
        directory = tempfile.mkdtemp(prefix="farm-git-")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        self.server = GitServer(Path(directory) / "repositories")
        self.addCleanup(self.server.close)
        self.target = self.target.replace("SOURCES", f'"{self.server.address}/{{name}}.git"')
        super().setUp()
        self.farm.start()
        work = self.farm.slave_directory("bot1") / "work"
        work.mkdir(exist_ok=True)
        (work / "roots").symlink_to(self.bases)

    def test_built(self) -> None:
        """
        Promise 9.4: what a package needs is installed in a root of its own; its build has no network and cannot change
        the base, and nothing of the root is left.  Root in it can neither leave it nor make a device.
        """
        script = "command -v xz; id -u; ! getent hosts deb.debian.org; touch /usr/touched; test -x /usr/bin/ed"
        done = self.built("t", self.source(script, "Build-Depends: ed\n"))
        self.assertEqual(done.code, 0, done.out[-3000:])
        self.assertIn(f"greet_1.0_{self.arch}.deb", self.artifacts(f"t-{self.arch}"))
        self.assertEqual(self.left_on_slave(), set())
        self.assertEqual(list(Path(self.bases).glob("*/current/usr/touched")), [])
        # The second build has the base, and the first one's changes are not in it.
        escape = ESCAPE.replace("PLACE", str(self.farm.directory)).replace("$", "$$")
        script = f"test ! -e /usr/touched; ! command -v ed; perl -e '{escape}'; ! mknod /disk b 8 0"
        again = self.submit(self.source(script), within=300.0)
        self.assertEqual(again.code, 0, again.out[-3000:])

    @needs("rpmbuild")
    def test_from_git(self) -> None:
        """
        Promise 9.1: source packages of both families are made in a root, from which neither a spec file that runs
        programs nor anything else of the repository comes to the slave or to the network.
        """
        self.server.commit("greet", native(), "v1.0")
        done = self.built("t", b"package=greet\nrevision=v1.0\n")
        self.assertEqual(done.code, 0, done.out[-3000:])
        self.assertIn(f"greet_1.0_{self.arch}.deb", self.artifacts(f"t-{self.arch}"))
        self.assertEqual(self.left_on_slave(), set())
        if self.arch != "amd64":
            raise SkipTest("this package is for x86_64")
        # Without a license, there is no package.
        alone = f"! touch {self.farm.directory}/escaped && ! touch /usr/touched && ! getent hosts deb.debian.org"
        program = f'%(test "$(id -un)" = builder && {alone} && echo MIT)'
        sources = {"hello.c": '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'}
        spec = SPEC.replace("License: MIT", f"License: {program}\nExclusiveArch: x86_64")
        self.server.commit("hello", {"hello.spec": spec, **sources}, "v1.0")
        done = self.built("r", b"package=hello\nrevision=v1.0\n")
        self.assertEqual(done.code, 0, done.out[-3000:])
        self.assertFalse((self.farm.directory / "escaped").exists())
        self.assertIn("hello-1.0-1.f4.x86_64.rpm", self.artifacts("r-x86_64"))
        self.assertEqual(self.left_on_slave(), set())

    @needs("apt-ftparchive")
    def test_own_packages(self) -> None:
        """
        Promise 9.6: a package that needs another one, which the target replaces, gets the farm's, although Debian has
        a later version of it; one that needs a package which is nowhere is refused with its name.
        """
        hello = self.built("t", self.source(name="hello"))
        self.assertEqual(hello.code, 0, hello.out[-3000:])
        self.until_finished(1)
        script = "dpkg-query --show hello | grep -w 1.0 && test -e /usr/bin/hello && ! getent hosts deb.debian.org"
        asks = self.built("t", self.source(script, "Build-Depends: hello (>= 1.0)\n", name="asks"))
        self.assertEqual(asks.code, 0, asks.out[-3000:])
        self.assertIn("farm's own packages: hello_1.0_", asks.err)
        lacks = self.built("t", self.source(more="Build-Depends: nowhere-to-be-found\n", name="lacks"))
        self.assertNotEqual(lacks.code, 0)
        self.assertIn(b"nowhere-to-be-found", lacks.out)
        why = "neither the distribution nor a repository of the farm has nowhere-to-be-found"
        self.assertIn(why, self.shown(3)["reason"])

    @needs("apt-ftparchive")
    def test_chain(self) -> None:
        """
        Promise 9.6: a package that needs another one of the farm's fails with its name; built in a chain after that
        one, it has it in its root, although Debian has a later version.  When the first of a chain fails, the second is
        not built, and says why.
        """
        self.source(name="sl")
        script = "dpkg-query --show sl | grep -w 1.0 && test -e /usr/bin/sl && ! getent hosts deb.debian.org"
        asks = self.source(script, "Build-Depends: sl (= 1.0)\n", name="asks")
        early = self.built("t", asks)
        self.assertNotEqual(early.code, 0)
        self.assertIn("sl (= 1.0) is needed, and no repository has such a version", self.shown(1)["reason"])
        built = self.chained("t", "sl_1.0.dsc", "asks_1.0.dsc")
        self.assertEqual(built.code, 0, (built.out[-3000:], built.err[-1000:]))
        self.assertIn(f"# job 3: asks 1.0 for t ({self.arch}), after job 2", built.err)
        self.assertIn("farm's own packages: sl_1.0_", built.err)
        self.until_finished(3)
        installed = (self.artifact_directory(f"t-{self.arch}") / "packages" / "installed.txt").read_text()
        self.assertRegex(installed, r"(?m)^sl(:\S+)? 1\.0$")
        self.source("false", name="broken")
        broken = self.chained("t", "broken_1.0.dsc", "asks_1.0.dsc")
        self.assertEqual(broken.code, 1, broken.err[-1000:])
        self.until_job(5, "killed")
        self.assertEqual(self.shown(5)["reason"], "job 4: broken 1.0 failed, and this job is built after it")

    @needs("apt-ftparchive")
    def test_chain_killed(self) -> None:
        """
        Promise 9.2, 9.6: a master that is killed with kill -9 while the first package of a chain is built, and again
        when that one is in the repository and the second one waits, goes on with the chain: each is built once, and the
        second sees the first.
        """
        self.built("t", self.source())
        self.source("while test ! -e /build/go; do sleep 0.1; done", name="sl")
        self.source("dpkg-query --show sl | grep -w 1.0", "Build-Depends: sl (= 1.0)\n", name="asks")
        master = str(self.farm.master_directory)
        paths = [str(self.farm.directory / name) for name in ("sl_1.0.dsc", "asks_1.0.dsc")]
        queued = self.farm.command("package", "build", master, "t", *paths, "--no-wait")
        self.assertEqual(queued.code, 0, queued)
        self.until_architecture(2, "building")
        # Running builds go on, so the second package can be found waiting.
        self.assertEqual(self.farm.command("package", "pause", master, "t").code, 0)
        self.farm.master.kill()
        (self.farm.slave_directory("bot1") / "work" / f"t-{self.arch}" / "build" / "files" / "go").touch()
        self.farm.start_master()
        self.until_finished(2)
        second = self.shown(3)
        self.assertEqual((second["state"], second["after"], second["arches"][0]["build"]), ("waiting", 2, None))
        self.farm.master.kill()
        self.farm.start_master()
        self.assertEqual(self.shown(3)["history"], second["history"])
        self.assertEqual(self.farm.command("package", "unpause", master, "t").code, 0)
        self.until_finished(3)
        self.assertEqual([self.shown(job)["arches"][0]["build"] for job in (2, 3)], [2, 3])
        for job in (2, 3):
            states = [state for state, _ in self.shown(job)["history"]]
            self.assertEqual([states.count(each) for each in ("building", "repowait", "finished")], [1, 1, 1], states)
        installed = (self.artifact_directory(f"t-{self.arch}") / "packages" / "installed.txt").read_text()
        self.assertRegex(installed, r"(?m)^sl(:\S+)? 1\.0$")

    def test_killed_slave(self) -> None:
        """
        Promise 9.2, 9.4: two packages of one target and architecture are built on a slave at a time, each in a root of
        its own.  When the machine is killed with kill -9, both are built again, and nothing of any root is left.
        """
        self.built("t", self.source(name="first"))
        for name in ("greet", "sl"):
            self.source(
                f"test ! -e /usr/{name}; touch /usr/{name}; while test ! -e /build/{name}; do sleep 0.1; done",
                name=name,
            )
            words = ("package", "build", str(self.farm.master_directory), "t", "--no-wait")
            queued = self.farm.command(*words, str(self.farm.directory / f"{name}_1.0.dsc"))
            self.assertEqual(queued.code, 0, queued)
        first = self._both_building(after=1)
        self.assertEqual(set(first.values()), {1, 2})
        self.farm.kill(self.farm.keeper_pid())
        self.farm.slave().kill()
        self.farm.start_slave()
        again = self._both_building(after=3)
        self.assertEqual(set(again.values()), {1, 2})
        for job, name in ((2, "greet"), (3, "sl")):
            directory = "build" if again[job] == 1 else "build-2"
            (self.farm.slave_directory("bot1") / "work" / f"t-{self.arch}" / directory / "files" / name).touch()
            self.until_finished(job)
        self.assertEqual(self.farm.rows("select result from builds order by id"), [(0,), (5,), (5,), (0,), (0,)])
        self.assertEqual(self.left_on_slave(), set())

    def _both_building(self, after: int) -> dict[int, int]:
        """
        Wait until both jobs are built, in builds whose numbers are above *after*.  By job: the build's slot.
        """
        query = "select a.job, b.slot from package_job_arches a"
        query += " join builds b on b.number = a.build and b.builder = a.builder"
        query += " where a.job in (2, 3) and a.state = 'building' and a.build > ?"

        def slots() -> dict[int, int]:
            found = dict(self.farm.rows(query, after))
            return found if len(found) == 2 else {}

        return until(slots, "two packages are built", 550.0)

    def chained(self, target: str, *files: str) -> Done:
        """
        Build source packages that are in the farm's directory as a chain.
        """
        paths = [str(self.farm.directory / name) for name in files]
        words = ("package", "build", str(self.farm.master_directory), target, *paths)
        return self.farm.client("buildbot-lite", *words).wait(550.0)

    def shown(self, job: int) -> dict[str, Any]:
        """
        What ``package show`` says about *job*.
        """
        shown = self.farm.command("package", "show", str(self.farm.master_directory), str(job), "--json")
        found: dict[str, Any] = json.loads(shown.out)
        return found

    def until_finished(self, job: int) -> None:
        """
        Wait until *job* is finished, so that its packages are in the repositories.
        """
        self.until_job(job, "finished")

    @needs("rpmbuild")
    def test_source_rpm(self) -> None:
        """
        Promise 9.4: a source RPM is built by an ordinary user, without the network, for each architecture; the noarch
        packages of both builds are one.  A package that needs what is not there says what, before it is built.
        """
        if self.arch != "amd64":
            raise SkipTest("these packages are for x86_64 and i686")
        done = self.built("r", self.source_rpm("hello", SPEC))
        self.assertEqual(done.code, 0, done.out[-3000:])
        builds = {arch: self.artifact_directory(f"r-{arch}") / "packages" for arch in ("x86_64", "i686")}
        source = SourcePackage(RPM, "hello", "", "1.0-1", RpmArchitectures())
        packages = joined({arch: built_packages(path, source, arch, ".f4") for arch, path in builds.items()})
        self.assertEqual(
            [each.path.name for each in packages],
            ["hello-1.0-1.f4.x86_64.rpm", "hello-doc-1.0-1.f4.noarch.rpm", "hello-1.0-1.f4.i686.rpm"],
        )
        self.assertIn("\ngcc-", (builds["i686"] / "installed.txt").read_text())
        self.until_finished(1)
        self.assertEqual(self.shown(1)["built_version"], "1.0-1.f4")
        results = Path(self.farm.master_directory) / "packages" / "r" / "hello" / "1.0-1.f4"
        self.assertEqual({path.name for path in results.iterdir()}, {"x86_64", "i686"})
        self.assertEqual(self.left_on_slave(), set())

        needy = self.built("r", self.source_rpm("greet", NEEDY))
        self.assertNotEqual(needy.code, 0)
        self.assertIn(b"neither the root nor a repository of the farm has hello >= 1, pkgconfig(nothing)", needy.out)
        self.assertEqual(self.left_on_slave(), set())

    @needs("createrepo_c", "rpmbuild")
    def test_own_rpms(self) -> None:
        """
        Promise 9.5, 9.6: a package that needs another one is refused with its name; built in a chain after that one, it
        gets the farm's, and what only a program of the farm's package says that it needs, too, but no other package of
        the farm.  A rebuild has the same packages.
        """
        if self.arch != "amd64":
            raise SkipTest("these packages are built on x86_64")
        asks = self.source_rpm("asks", ASKS)
        early = self.built("n", asks)
        self.assertNotEqual(early.code, 0)
        self.assertIn(b"neither the root nor a repository of the farm has talks >= 1.0", early.out)
        self.assertIn("has talks >= 1.0", self.shown(1)["reason"])
        for name, data in (("talks", self.source_rpm("talks", TALKS)), ("asks", asks)):
            (self.farm.directory / f"{name}.src.rpm").write_bytes(data)
        done = self.chained("n", "talks.src.rpm", "asks.src.rpm")
        self.assertEqual(done.code, 0, (done.out[-3000:], done.err[-1000:]))
        sent = [line.partition("packages: ")[2] for line in done.err.splitlines() if "farm's own packages" in line]
        self.assertEqual(sent, ["talks-1.0-1.noarch.rpm", "talks-words-1.0-1.noarch.rpm"])
        installed = (self.artifact_directory("n-noarch") / "packages" / "installed.txt").read_text()
        for package in ("talks", "talks-words"):
            self.assertIn(f"\n{package} 1.0-1 noarch\n", f"\n{installed}")
        self.until_finished(3)
        words = ["package", "rebuild", str(self.farm.master_directory), "3", "--compare"]
        again = self.farm.client("buildbot-lite", *words).wait(within=300.0)
        self.assertEqual((again.code, again.out), (0, b"noarch: the same, bit for bit, in equal roots.\n"), again.err)
        self.assertEqual(self.left_on_slave(), set())

    def source_rpm(self, name: str, text: str) -> bytes:
        """
        The source package of the spec file *text*.
        """
        top = self.farm.directory / name
        (top / "SOURCES").mkdir(parents=True)
        (top / "SOURCES" / "hello.c").write_text('#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n')
        (top / f"{name}.spec").write_text(text)
        self.farm.run(f"rpmbuild --quiet --define '_topdir {top}' -bs {top}/{name}.spec")
        (made,) = (top / "SRPMS").iterdir()
        return made.read_bytes()
