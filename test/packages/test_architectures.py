"""
For which architectures a package is built.
"""

import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import InputError
from buildbot_lite.packages.formats.architectures import (
    ArchitectureBuild,
    BuildPlan,
    RpmArchitectures,
    debian_plan,
    rpm_plan,
)
from buildbot_lite.packages.formats.debian_source import read_dsc

from ..needs import needs
from .archives import dsc

BOOKWORM = ["amd64", "i386", "all"]

DEBIAN = [
    # the field Architecture, the target's; what is built, what is skipped
    ("any", BOOKWORM, "amd64 i386", "all"),
    ("any all", BOOKWORM, "amd64 i386 all", ""),
    ("all", BOOKWORM, "all", "amd64 i386"),
    ("all", ["amd64"], None, ""),
    ("any all", ["amd64"], "amd64", "all"),
    ("linux-any", BOOKWORM, "amd64 i386", "all"),
    ("any-i386", BOOKWORM, "i386", "amd64 all"),
    ("i386 arm64", BOOKWORM, "i386", "amd64 all"),
    ("arm64", BOOKWORM, None, ""),
    ("hurd-any", BOOKWORM, None, ""),
    ("linux-any all", BOOKWORM, "amd64 i386 all", ""),
    ("all linux-any", BOOKWORM, "amd64 i386 all", ""),
    ("any-amd64", BOOKWORM, "amd64", "i386 all"),
    ("any-amd64", ["amd64", "x32", "all"], "amd64 x32", "all"),
    ("any linux-any", BOOKWORM, "amd64 i386", "all"),
    ("amd64 amd64", BOOKWORM, "amd64", "i386 all"),
    ("kfreebsd-any hurd-any all", BOOKWORM, "all", "amd64 i386"),
    ("source", BOOKWORM, None, ""),
]
RPM = [
    # name, BuildArch, ExclusiveArch, ExcludeArch; what is built, what is skipped
    ("hello", "", "", "", "x86_64 i686", "s390x"),
    ("hello", "noarch", "", "", "noarch", "x86_64 i686 s390x"),
    ("hello", "", "x86_64", "", "x86_64", "i686 s390x"),
    ("hello", "", "x86_64 aarch64", "", "x86_64", "i686 s390x aarch64"),
    ("hello", "", "s390x x86_64", "", "x86_64 s390x", "i686"),
    ("hello", "", "", "i686", "x86_64", "i686 s390x"),
    ("hello", "", "", "i686 x86_64", None, ""),
    ("hello", "", "aarch64", "", None, ""),
    ("hello", "i686", "", "", "i686", "x86_64 s390x"),
    ("hello", "noarch", "x86_64 noarch", "", "noarch", "x86_64 i686 s390x"),
    ("hello", "noarch", "aarch64 noarch", "", None, ""),
    ("hello", "noarch", "noarch", "", None, ""),  # rpmbuild: "Architecture is not included: x86_64"
    ("hello", "noarch", "x86_64", "", "noarch", "x86_64 i686 s390x"),
    ("hello", "noarch", "", "noarch", "noarch", "x86_64 i686 s390x"),
    ("hello", "noarch", "", "x86_64 i686", None, ""),
    ("hello", "", "noarch", "", None, ""),
    ("hello", "", "x86_64 noarch", "", "x86_64", "i686 s390x noarch"),  # noarch subpackages
    ("hello", "", "x86_64", "x86_64", None, ""),
    ("hello", "x86_64 i686", "", "", "x86_64 i686", "s390x"),
    ("hello", "i686 x86_64", "", "i686", "x86_64", "i686 s390x"),
    ("hello", "s390x", "", "", "s390x", "x86_64 i686"),
    # Of several values of BuildArch, the first that the machine can run counts.
    ("hello", "noarch x86_64", "", "", "noarch", "x86_64 i686 s390x"),
    ("hello", "x86_64 noarch", "", "", "x86_64", "i686 s390x noarch"),
    ("hello", "x86_64 noarch", "", "x86_64", "noarch", "x86_64 i686 s390x"),
    ("hello", "i586 i686", "", "", None, ""),
    ("kernel", "i586 i686", "", "", "i586", "x86_64 i686 s390x"),
    ("kernel", "i686 i586", "", "", "i686", "x86_64 s390x i586"),
    ("kernel", "", "", "", "x86_64 i686 i586", "s390x"),
    ("kernel", "", "x86_64 i586", "", "x86_64 i586", "i686 s390x"),
    ("kernel", "", "", "i586", "x86_64 i686", "s390x i586"),
]
BESIDE_RPMBUILD = [
    # BuildArch, ExclusiveArch, ExcludeArch
    ("", "", ""),
    ("", "HERE", ""),
    ("", "noarch", ""),
    ("", "", "HERE"),
    ("noarch", "", ""),
    ("noarch", "HERE", ""),
    ("noarch", "noarch", ""),
    ("noarch", "HERE noarch", ""),
    ("noarch", "", "noarch"),
    ("noarch", "", "HERE"),
    ("HERE noarch", "", ""),
    ("noarch HERE", "", ""),
    ("s390x HERE", "", ""),
    ("s390x", "", ""),
]
WORDS = st.lists(st.sampled_from(["x86_64", "i686", "i586", "s390x", "noarch", "aarch64"]), max_size=4).map(tuple)


def fedora(name: str, declared: RpmArchitectures) -> BuildPlan:
    """
    The plan at a target with optional and additional architectures.
    """
    return rpm_plan(
        name, declared, base=["x86_64", "i686"], optional=["noarch", "s390x"], additional={"kernel": ["i586"]}
    )


class ArchitecturesTests(SynchronousTestCase):
    """
    Tables of cases, and what always holds.
    """

    def test_debian(self) -> None:
        """
        Promise 9.3: wildcards, "all" once, and a reason for each architecture that is left out.
        """
        for declared, arches, built, skipped in DEBIAN:
            with self.subTest(declared=declared, arches=arches):
                self._check(lambda: debian_plan("hello", declared.split(), arches), built, skipped)  # noqa: B023 - called at once

    def test_rpm(self) -> None:
        """
        Promise 9.3: all values of BuildArch, ExclusiveArch and ExcludeArch count; optional architectures are built when
        the package asks for them, additional ones for the packages named, noarch once.
        """
        for name, build, exclusive, exclude, built, skipped in RPM:
            declared = RpmArchitectures(tuple(build.split()), tuple(exclusive.split()), tuple(exclude.split()))
            with self.subTest(name=name, declared=declared):
                self._check(lambda: fedora(name, declared), built, skipped)  # noqa: B023 - called at once

    def test_noarch_without_build_arch(self) -> None:
        """
        Promise 9.3: a package that names noarch in ExclusiveArch only is not built for it, and the reason says why.
        """
        plan = fedora("hello", RpmArchitectures(exclusive=("noarch", "x86_64")))
        self.assertEqual(
            plan.skipped["noarch"],
            "BuildArch of the package does not name it; noarch subpackages are built with the others",
        )

    def test_where_noarch_is_built(self) -> None:
        """
        A noarch package is built on any machine that it does not exclude.
        """
        plan = fedora("data", RpmArchitectures(("noarch",), exclude=("i686",)))
        self.assertEqual(plan.builds, (ArchitectureBuild("noarch", ("x86_64",)),))

    def test_where_all_is_built(self) -> None:
        """
        Packages that are the same on every architecture are built on any of the target's machines.
        """
        plan = debian_plan("data", ["all"], BOOKWORM)
        self.assertEqual(plan.builds, (ArchitectureBuild("all", ("amd64", "i386")),))

    def test_reasons(self) -> None:
        """
        The reasons are the package's own words.
        """
        plan = fedora("hello", RpmArchitectures(exclusive=("x86_64", "aarch64")))
        self.assertEqual(
            plan.skipped,
            {
                "i686": "ExclusiveArch of the package is x86_64 aarch64",
                "s390x": "it is built for packages that ask for it (optional_arches)",
                "aarch64": "the target does not build it",
            },
        )
        error = self.assertRaises(InputError, debian_plan, "hello", ["arm64"], ["amd64"])
        self.assertEqual(str(error), "hello cannot be built at this target: amd64: the package is for arm64 only.")

    def test_expanded(self) -> None:
        """
        Promise 9.3: the header has what a macro like %{ix86} became: a list, of which the target has one.
        """
        ix86 = ("i386", "i486", "i586", "i686", "pentium3", "pentium4", "athlon", "geode")
        plan = fedora("hello", RpmArchitectures(exclusive=(*ix86, "x86_64")))
        self.assertEqual([each.architecture for each in plan.builds], ["x86_64", "i686"])
        self.assertEqual(list(plan.skipped), ["s390x", "athlon geode i386 i486 i586 pentium3 pentium4"])

    def test_first_of_several(self) -> None:
        """
        Promise 9.3: the reason says which value of BuildArch comes before the one that is left out.
        """
        plan = fedora("kernel", RpmArchitectures(build=("i586", "i686", "noarch")))
        self.assertEqual(plan.skipped["i686"], "BuildArch of the package is i586 i686 noarch, and i586 comes first")
        self.assertEqual(plan.skipped["noarch"], "BuildArch of the package is i586 i686 noarch, and i586 comes first")

    def test_runs_but_not_built(self) -> None:
        """
        Promise 9.3: a machine of the target may run what the package is for, and the target does not build it: the
        reasons say for what the machine makes packages, and, if a noarch package can be made, how.
        """
        build = RpmArchitectures(build=("i386",))
        error = self.assertRaises(InputError, rpm_plan, "h", build, base=["i686", "x86_64"])
        self.assertEqual(
            str(error),
            "h cannot be built at this target: i686: BuildArch of the package is i386, so a machine for i686 makes "
            "packages for i386; x86_64: BuildArch of the package is i386; i386: the target does not build it.",
        )
        build = RpmArchitectures(build=("i386", "noarch"))
        for base in (["i686"], ["x86_64", "i686"]):
            error = self.assertRaises(InputError, rpm_plan, "h", build, base=base, optional=["noarch"])
            self.assertIn(
                "noarch: BuildArch of the package is i386 noarch, and i386 comes first, which the target does not "
                "build: let noarch come first; i386: the target does not build it.",
                str(error),
            )

    @needs("rpmbuild")
    def test_beside_rpmbuild(self) -> None:
        """
        Promise 9.3: rpmbuild makes packages for the architectures of the plan on this machine, and refuses what has no
        plan.
        """
        here = platform.machine()
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        for case in BESIDE_RPMBUILD:
            build, exclusive, exclude = (each.replace("HERE", here) for each in case)
            with self.subTest(build=build, exclusive=exclusive, exclude=exclude):
                declared = RpmArchitectures(tuple(build.split()), tuple(exclusive.split()), tuple(exclude.split()))
                try:
                    plan = rpm_plan("h", declared, base=[here], optional=["noarch"])
                    planned = [each.architecture for each in plan.builds]
                except InputError:
                    planned = []
                tags = {"BuildArch": build, "ExclusiveArch": exclusive, "ExcludeArch": exclude}
                lines = "".join(f"{tag}: {words}\n" for tag, words in tags.items() if words)
                made = [_rpmbuild(directory, lines, target) for target in planned or (here, "noarch")]
                self.assertEqual(made, [[each] for each in planned] or [[], []])

    def test_negated(self) -> None:
        """
        Promise 9.3: a field Architecture has no negation (Debian Policy 5.6.8), and a .dsc with one is refused.
        """
        for declared in ("!amd64", "any !i386", "linux-any !hurd-i386"):
            error = self.assertRaises(InputError, read_dsc, dsc({"greet_1.0.tar.xz": b"x"}, Architecture=declared))
            self.assertIn("which is no architecture of Debian", str(error))

    def test_bound(self) -> None:
        """
        Promise 9.3: all architectures that a package names and the target does not have are one entry, however many
        they are.
        """
        many = tuple(f"a{number:03}" for number in range(200))
        plan = fedora("hello", RpmArchitectures(("x86_64", *many), ("x86_64", *many)))
        self.assertEqual(set(plan.skipped), {"i686", "s390x", "a000 a001 a002 a003 a004 a005 a006 a007 … (192 more)"})
        self.assertLess(max(map(len, plan.skipped.values())), 100)

    @given(WORDS, WORDS, WORDS, st.sampled_from(["hello", "kernel"]))
    def test_always(
        self, build: tuple[str, ...], exclusive: tuple[str, ...], exclude: tuple[str, ...], name: str
    ) -> None:
        """
        Nothing is built that the package excludes, nothing twice, and nothing is both built and skipped.
        """
        try:
            plan = fedora(name, RpmArchitectures(build, exclusive, exclude))
        except InputError:
            return
        built = [each.architecture for each in plan.builds]
        self.assertEqual(len(built), len(set(built)))
        self.assertFalse(set(built) & plan.skipped.keys())
        for each in plan.builds:
            self.assertTrue(each.on)
            self.assertFalse(set(each.on) & set(exclude))
        self.assertEqual({"x86_64", "i686", "s390x"} - set(built) - plan.skipped.keys(), set())

    def _check(self, make: object, built: str | None, skipped: str) -> None:
        assert callable(make)
        if built is None:
            self.assertRaises(InputError, make)
            return
        plan: BuildPlan = make()
        self.assertEqual([each.architecture for each in plan.builds], built.split())
        self.assertEqual(list(plan.skipped), skipped.split())
        self.assertTrue(all(plan.skipped.values()))


def _rpmbuild(directory: Path, lines: str, target: str) -> list[str]:
    """
    The architectures of the packages that rpmbuild makes for *target*, of a spec file with *lines*.
    """
    spec = directory / "h.spec"
    spec.write_text(f"Name: h\nVersion: 1\nRelease: 1\nSummary: h\nLicense: x\n{lines}%description\nh\n%files\n")
    words = ["rpmbuild", "--quiet", "--define", f"_topdir {directory}/top", "--target", target, "-bb", str(spec)]
    subprocess.run(words, capture_output=True, check=False, timeout=60)
    made = sorted(path.parent.name for path in (directory / "top").rglob("*.rpm"))
    shutil.rmtree(directory / "top", ignore_errors=True)
    return made
