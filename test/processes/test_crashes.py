"""
CrashCase of the master, after every entry of the journal of a build that uses every shipped step.

The crash points are not listed here.  The build runs once, its journal is read, and each entry gives two crash points:
the commit of its intent and the commit of its outcome.  Then the build is submitted repeatedly to a master whose
``master.tac`` (the test's own; the product has no switch for this) ends it with kill -9 at some of the crash points,
far apart, until all have been used.
"""

import io
import os
import re
import tarfile
from collections.abc import Sequence
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.plugins import steps

from .farm import Farm
from .farm_case import FarmCase
from .master_death import CrashPoint, die_at, make_mortal, wait_for_death

GIT = """#!/bin/sh
echo "git $*" >> $WITNESS/lines
exec {git} "$@"
"""


def says(word: str) -> str:
    """
    Return a command that writes a line to the witness file, and one to its log.
    """
    return f"echo {word} >> $WITNESS/lines; echo {word}; echo {word} in two pieces >&2; printf 'and no newline'"


COMMIT = "echo property >> $WITNESS/lines; git rev-parse HEAD"
SHELL = "echo shell >> $WITNESS/lines; cat out/* unpacked/*; echo $0 $1"
BOTH = "util.Interpolate('%(prop:colour)s %(prop:size)s')"
STEPS = [
    "steps.Git(repourl=ORIGIN, mode='full', method='clobber')",
    "steps.RemoveDirectory(dir='build/out')",
    "steps.MakeDirectory(dir='build/out')",
    "steps.Unpack(slavedest='unpacked')",
    "steps.SubmittedFile(slavedest='out/archive.tar', input='tar')",
    "steps.StringDownload(s='a text', slavedest='out/text')",
    "steps.FileDownload(mastersrc='given', slavedest='out/given')",
    f"steps.Configure(command={says('configure')!r})",
    f"steps.Compile(command={says('compile')!r})",
    f"steps.Test(command={says('test')!r})",
    f"steps.SetPropertyFromCommand(property='commit', command={COMMIT!r})",
    "steps.SetProperty(property='colour', value='blue')",
    "steps.SetProperties(properties={'size': 3})",
    f"steps.MasterShellCommand(command={says('master')!r})",
    "steps.Trigger(schedulerNames=['child'], waitForFinish=True, copy_properties=['colour'])",
    f"steps.ShellCommand(command=['/bin/sh', '-c', {SHELL!r}, {BOTH}, util.Property('commit')])",
    "steps.FileUpload(slavesrc='out/archive.tar', masterdest='archive.tar')",
    "steps.DirectoryUpload(slavesrc='out', masterdest='out')",
]
# Steps whose crashes are only replayed in memory: test/master/test_steps_more.py, test_steps_svn.py,
# test_git_writing.py,
# test_steps_mercurial.py and test_steps_http.py.
REPLAYED = {
    "Assert",
    "CopyDirectory",
    "FileExists",
    "GitCommit",
    "GitPush",
    "GitTag",
    "HTTPStep",
    "LogRenderable",
    "Mercurial",
    "MultipleFileUpload",
    "SVN",
    "SetPropertiesFromEnv",
}
# One build crashes at every n-th crash point of its class.
BETWEEN = 5


def archive() -> bytes:
    """
    Return the submitted archive.
    """
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        content = bytes(range(256)) * 400
        member = tarfile.TarInfo("payload")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return whole.getvalue()


def any_child(log: bytes) -> bytes:
    """
    Return a log with the numbers of triggered builds replaced.
    """
    return re.sub(rb"child/\d+", b"child/N", log)


class CrashCase(FarmCase):
    """
    The crash points whose number leaves *remainder* when divided by *share*.
    """

    share: ClassVar[int] = 2
    remainder: ClassVar[int]
    number: ClassVar[int] = 0

    @classmethod
    def make(cls) -> Farm:
        """
        Create one builder with every step, and the builder that it triggers.
        """
        farm = Farm("bot1")
        make_origin(farm)
        (farm.master_directory / "given").write_bytes(b"given by the master\n")
        make_mortal(farm)
        farm.config(f"ORIGIN = {str(farm.directory / 'origin')!r}\n")
        farm.builder("all", *STEPS, submit="stdin='tar'")
        child = "echo child $0 >> $WITNESS/lines"
        farm.builder(
            "child", f"steps.ShellCommand(command=['/bin/sh', '-c', {child!r}, util.Property('colour')])", submit=None
        )
        return farm.config(
            "c['schedulers'].append(schedulers.Triggerable('child', builderNames=['child']))\nc['maxRetries'] = 0\n"
        )

    def reference(self) -> tuple[bytes, list[str], list[CrashPoint]]:
        """
        Run an undisturbed build; return its log, the witness lines of its commands, and the crash points of its
        journal.
        """
        done = self.farm.submit("all", archive())
        self.assertEqual(done.code, 0, done.err)
        type(self).number += 1
        journal = self.farm.rows(
            "select step, ordinal from journal join builds on id = build where builder = 'all' order by begun"
        )
        moments = [CrashPoint(step, ordinal, which) for step, ordinal in journal for which in ("begun", "ended")]
        return done.out, self.taken_witness(), moments

    def taken_witness(self) -> list[str]:
        """
        Return the witness lines of one build, sorted, because the order of two commands in a pipe varies.
        """
        lines = self.farm.witnessed()
        (self.farm.witness / "lines").unlink()
        return sorted(lines)

    def artifacts(self, number: int) -> dict[str, bytes]:
        """
        Return the artifacts of a build.
        """
        directory = self.farm.master_directory / "artifacts" / "all" / str(number)
        return {path.name: path.read_bytes() for path in directory.iterdir()}

    def check_moments(self) -> None:
        """
        Crash at each of our crash points: the same build continues, with the same results as an undisturbed one.
        """
        wanted_log, wanted_witness, moments = self.reference()
        wanted_artifacts = self.artifacts(1)
        self.assertEqual(set(wanted_artifacts), {"archive.tar", "out.tar"})
        self.assertGreater(len(moments), 2 * 12)
        ours = moments[self.remainder :: self.share]
        for first in range(BETWEEN):
            chosen = ours[first::BETWEEN]
            self.die_at(chosen)
            number = type(self).number
            done = self.farm.watch(self.farm.watch_furl_of("all", number))
            self.assertEqual(done.code, 0, f"{chosen}: {done.err}")
            self.assertEqual(any_child(done.out), any_child(wanted_log), chosen)
            self.assertEqual(self.taken_witness(), wanted_witness, chosen)
            self.assertEqual(self.artifacts(number)["archive.tar"], wanted_artifacts["archive.tar"], chosen)
            ((count, result),) = self.farm.rows(
                "select count(*), max(result) from builds where builder = 'all' and number >= ?", number
            )
            self.assertEqual((count, result), (1, 0), f"{chosen}: it was the same build that went on")

    def die_at(self, moments: Sequence[CrashPoint]) -> None:
        """
        Submit, and crash the master at each of *moments*; restart it each time.
        """
        ((newest,),) = self.farm.rows("select max(id) from builds")
        type(self).number += 1
        for moment in moments:
            die_at(self.farm, newest + 1, moment)
            if moment is moments[0]:
                client = self.farm.submitting("all", archive())
            else:
                self.farm.start_master()
            wait_for_death(self.farm)
        self.farm.start_master()
        self.assertNotEqual(client.wait().code, 0)


class IntentCrashTests(CrashCase):
    remainder = 0

    def test_every_second_moment(self) -> None:
        """
        Promise 7: after kill -9 of the master at the commit of an intent the build continues, and each command runs
        once.
        """
        self.check_moments()


class OutcomeCrashTests(CrashCase):
    remainder = 1

    def test_every_other_moment(self) -> None:
        """
        Promise 7: after kill -9 of the master at the commit of an outcome the build continues, and each command runs
        once.
        """
        self.check_moments()


class CrashedStepsTests(SynchronousTestCase):
    def test_the_build_uses_every_step(self) -> None:
        """
        Promise 7: the crashing build uses every shipped step, or a step of which it is a kind.
        """
        classes = vars(steps)
        used = tuple(classes[name] for name in re.findall(r"steps\.(\w+)\(", " ".join(STEPS)))
        shipped = {name: cls for name, cls in classes.items() if is_step(cls) and name not in {"BuildStep", "Source"}}
        known = {*used, *(classes[name] for name in REPLAYED)}
        others = {
            name
            for name, cls in shipped.items()
            if not name.startswith("_") and cls not in used and not known.intersection(cls.__mro__[1:])
        }
        self.assertEqual(others, REPLAYED)


def is_step(thing: object) -> bool:
    """
    Say whether it is a class of steps, which a mixin or an exception of the same module is not.
    """
    return isinstance(thing, type) and issubclass(thing, steps.BuildStep)


def make_origin(farm: Farm) -> None:
    """
    Create a repository, and a ``git`` that records its calls.
    """
    git = next(
        os.path.join(directory, "git")
        for directory in farm.env["PATH"].split(":")
        if os.access(os.path.join(directory, "git"), os.X_OK)
    )
    farm.run(
        "git init -q origin && cd origin && echo content > file && git add . &&"
        " git -c user.name=me -c user.email=me@example.org commit -q -m first"
    )
    programs = farm.directory / "bin"
    programs.mkdir()
    (programs / "git").write_text(GIT.format(git=git))
    (programs / "git").chmod(0o755)
    farm.env["PATH"] = f"{programs}:{farm.env['PATH']}"
