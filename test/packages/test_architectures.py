"""
For which architectures a package is built.
"""

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
    ("kernel", "", "", "", "x86_64 i686 i586", "s390x"),
    ("kernel", "", "x86_64 i586", "", "x86_64 i586", "i686 s390x"),
    ("kernel", "", "", "i586", "x86_64 i686", "s390x i586"),
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
