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
import shutil
import tarfile
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from threading import Thread
from typing import Any, ClassVar

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.builds.step_time import OVERDUE_ORDINAL
from buildbot_lite.plugins import steps

from .farm import Done, Farm
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
DATES = "{'GIT_AUTHOR_DATE': '2026-01-01T00:00:00Z', 'GIT_COMMITTER_DATE': '2026-01-01T00:00:00Z'}"
ME = "{'user.name': 'me', 'user.email': 'me@example.org'}"
GCC = "echo gcc >> $WITNESS/lines; echo 'a.c:3: warning: odd'; echo 'b.c:4: warning: strange'"
EXTRACT = "warningExtractor=steps.Compile.warnExtractFromRegexpGroups, warningPattern='(.*?):([0-9]+): warning: (.*)'"
SEQUENCE = (
    "steps.ShellSequence(commands=[util.ShellArg(command='echo one >> $WITNESS/lines; cat copy/*', logname='first'),"
    " util.ShellArg(command='echo two >> $WITNESS/lines; echo two')])"
)
# The master dies in every second step that has an entry in the journal.
OTHER_STEPS = [
    "mkdir -p some; echo a > some/a; echo b > some/b; printf 'a.c : odd\nb.c : strange\n' > suppressed",
    "steps.SetPropertiesFromEnv(variables=['WITNESS'])",
    "steps.Assert(check=util.Property('WITNESS') == WITNESS)",
    "steps.FileExists(file='build/some/a')",
    "steps.CopyDirectory(src='build/some', dest='build/copy')",
    "steps.Git(repourl=ORIGIN, mode='full', method='clobber', branch='main', workdir='repository')",
    SEQUENCE,
    "steps.LogRenderable(content=util.Property('buildername'))",
    "steps.ShellCommand(command='echo new > new', workdir='repository')",
    f"steps.Compile(command={GCC!r}, suppressionFile='suppressed', {EXTRACT})",
    says("between"),
    "steps.MultipleFileUpload(slavesrcs=['copy/?', 'suppressed'], masterdest='several', glob=True)",
    says("after"),
    "steps.HTTPStep(URL, method='PUT', data='text')",
    "steps.ShellCommand(command=['sh', '-c', 'git --git-dir $0 update-ref -d refs/heads/main || :', PUSHED])",
    f"steps.GitCommit(workdir='repository', paths=['new'], messages=['Add it'], config={ME}, env={DATES})",
    "steps.GitTag(workdir='repository', tagName='v1')",
    says("tagged"),
    "steps.GitDiffInfo(workdir='repository', compareToRef='v1')",
    "steps.GitPush(workdir='repository', repourl=PUSHED, branch='main', force=True)",
]
if shutil.which("svn") and shutil.which("hg"):
    OTHER_STEPS += [
        says("others"),
        "steps.SVN(repourl=SVN, mode='full', method='clobber', workdir='svn')",
        "cat ../svn/file",
        "steps.Mercurial(repourl=HG, mode='full', method='clobber', workdir='hg')",
        "cat ../hg/file",
    ]
# Steps that this machine lacks a program for, or that are only replayed in memory.
REPLAYED = {"SVN", "Mercurial"} if not (shutil.which("svn") and shutil.which("hg")) else set()
# One build crashes at every n-th crash point of its class.
BETWEEN = 5


@frozen
class Build:
    """
    What a build did: its log, the lines that its commands wrote to the witness file, and its artifacts by name.
    """

    log: bytes
    witness: list[str]
    artifacts: dict[str, bytes]


class Answering(BaseHTTPRequestHandler):
    """
    A server that accepts every PUT.
    """

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        # Without the date, so that all answers are the same.
        self.send_response_only(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


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
    A builder "all" with *steps*, whose master dies at crash points of its builds.
    """

    steps: ClassVar[Sequence[str]]
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
        names = {"ORIGIN": str(farm.directory / "origin"), **cls.make_servers(farm)}
        farm.config("".join(f"{name} = {value!r}\n" for name, value in names.items()))
        farm.builder("all", *cls.steps, submit="stdin='tar'")
        child = "echo child $0 >> $WITNESS/lines"
        farm.builder(
            "child", f"steps.ShellCommand(command=['/bin/sh', '-c', {child!r}, util.Property('colour')])", submit=None
        )
        return farm.config(
            "c['schedulers'].append(schedulers.Triggerable('child', builderNames=['child']))\nc['maxRetries'] = 0\n"
        )

    @classmethod
    def make_servers(cls, farm: Farm) -> dict[str, str]:
        """
        Create the servers and repositories that the steps need; return the names that they use, with their values.
        """
        return {}

    def reference(self) -> tuple[Build, list[CrashPoint]]:
        """
        Run an undisturbed build; return it, and the crash points of its journal.
        """
        done = self.farm.submit("all", archive())
        self.assertEqual(done.code, 0, done.err)
        type(self).number += 1
        journal = self.farm.rows(
            "select step, ordinal from journal join builds on id = build where builder = 'all' order by begun"
        )
        moments = [CrashPoint(step, ordinal, which) for step, ordinal in journal for which in ("begun", "ended")]
        return self.build(done), moments

    def build(self, done: Done) -> Build:
        """
        Return what the newest build did; *done*: the client that watched it.

        The witness lines are sorted, because the order of two commands in a pipe varies.
        """
        lines = self.farm.witnessed()
        (self.farm.witness / "lines").unlink()
        directory = self.farm.master_directory / "artifacts" / "all" / str(type(self).number)
        # An archive of a directory has its times.
        files = [path for path in directory.rglob("*") if path.is_file() and path.name != "out.tar"]
        contents = {path.name: path.read_bytes() for path in files}
        return Build(any_child(done.out), sorted(lines), contents)

    def crash(self, expected: Build, moments: Sequence[CrashPoint]) -> None:
        """
        Crash the master at each of *moments* of one build: it continues, with the same results as an undisturbed one.
        """
        self.die_at(moments)
        number = type(self).number
        done = self.farm.watch(self.farm.watch_furl_of("all", number))
        self.assertEqual(done.code, 0, f"{moments}: {done.err}")
        self.assertEqual(self.build(done), expected, moments)
        ((count, result),) = self.farm.rows(
            "select count(*), max(result) from builds where builder = 'all' and number >= ?", number
        )
        self.assertEqual((count, result), (1, 0), f"{moments}: it was the same build that went on")

    def die_at(self, moments: Sequence[CrashPoint]) -> None:
        """
        Submit, and crash the master at each of *moments*; restart it each time.
        """
        ((newest,),) = self.farm.rows("select coalesce(max(id), 0) from builds")
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


class AllMomentsCase(CrashCase):
    """
    The crash points whose number leaves *remainder* when divided by *share*.
    """

    steps = STEPS
    share: ClassVar[int] = 2
    remainder: ClassVar[int]

    def check_moments(self) -> None:
        """
        Crash at each of our crash points.
        """
        expected, moments = self.reference()
        self.assertEqual(set(expected.artifacts), {"archive.tar"})
        self.assertGreater(len(moments), 2 * 12)
        ours = moments[self.remainder :: self.share]
        for first in range(BETWEEN):
            self.crash(expected, ours[first::BETWEEN])


class IntentCrashTests(AllMomentsCase):
    remainder = 0

    def test_every_second_moment(self) -> None:
        """
        Promise 7: after kill -9 of the master at the commit of an intent the build continues, and each command runs
        once.
        """
        self.check_moments()


class OutcomeCrashTests(AllMomentsCase):
    remainder = 1

    def test_every_other_moment(self) -> None:
        """
        Promise 7: after kill -9 of the master at the commit of an outcome the build continues, and each command runs
        once.
        """
        self.check_moments()


class OtherStepsCrashTests(CrashCase):
    """
    Further steps, in each of which the master dies once.
    """

    steps = OTHER_STEPS

    @classmethod
    def make_servers(cls, farm: Farm) -> dict[str, str]:
        """
        Create an HTTP server and repositories.
        """
        server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        Thread(target=server.serve_forever, daemon=True).start()
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        # The calls of git here are none of a build.
        farm.run("git init -q --bare pushed; git -C origin branch -M main; rm $WITNESS/lines")
        if not REPLAYED:
            farm.run(
                "svnadmin create svn && echo svn > file && svn import -q -m first file file://$PWD/svn/trunk/file"
                " && hg init hg && cd hg && echo hg > file && hg commit -q -A -u me -m first"
            )
        names = {"URL": f"http://127.0.0.1:{server.server_port}/", "WITNESS": str(farm.witness)}
        names |= {name.upper(): str(farm.directory / name) for name in ("pushed", "hg")}
        return {**names, "SVN": f"file://{farm.directory}/svn/trunk"}

    def test_once_in_each_step(self) -> None:
        """
        Promise 7: after kill -9 of the master once in each step the build continues, and each command runs once.
        """
        expected, moments = self.reference()
        self.assertEqual(set(expected.artifacts), {"a", "b", "suppressed"})
        by_step = [list(group) for _, group in groupby(moments, key=lambda moment: moment.step)][1::2]
        self.assertGreater(len(by_step), 7)
        # In the first of them at the commit of its first intent, in the second at that of the first outcome, and so on.
        # Two deaths need some time between them: an outcome and the next intent may be committed together.
        self.crash(expected, [group[number % len(group)] for number, group in enumerate(by_step)])


ENDLESS = """
    import re


    class Endless(steps.BuildStep):
        name = "endless"

        async def run(self):
            await self.execute("echo endless >> $WITNESS/lines")
            while True:
                pass


    class Searching(steps.ShellCommand):
        name = "searching"

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.addLogObserver("stdio", Observer())


    class Observer(util.LogLineObserver):
        def outLineReceived(self, line):
            re.search("(a+)+b", line)
"""


class EndlessStepsCrashTests(CrashCase):
    """
    Steps whose code never ends.
    """

    steps = (
        "Endless(alwaysRun=True)",
        f"Searching(command='echo searching >> $WITNESS/lines; echo {60 * 'a'}', alwaysRun=True)",
        "steps.ShellCommand(command='echo after >> $WITNESS/lines', alwaysRun=True)",
    )

    @classmethod
    def make_servers(cls, farm: Farm) -> dict[str, str]:
        """
        Add the classes of the steps.
        """
        farm.config(ENDLESS)
        return {}

    def test_ended_once(self) -> None:
        """
        Promise 8.25: a step that never returns and an observer with a bad regular expression are ended, and the farm
        goes on; after kill -9 of the master at each moment of that the build ends as it did, and no command runs twice.
        """
        # A master that replays the first step dies only in the second one: when it is ready, as `die_at` expects.
        self.die_at([CrashPoint(0, 0, "ended"), CrashPoint(1, OVERDUE_ORDINAL, "ended")])
        self.check_ended(self.farm.watch(self.farm.watch_furl_of("all", 1)))
        self.die_at([CrashPoint(0, OVERDUE_ORDINAL, "begun"), CrashPoint(1, OVERDUE_ORDINAL, "begun")])
        self.check_ended(self.farm.watch(self.farm.watch_furl_of("all", 2)))

    def check_ended(self, done: Done) -> None:
        """
        Check that the newest build ended with both steps as exceptions, and that each command ran once.
        """
        self.assertEqual(self.build(done).witness, ["after", "endless", "searching"])
        rows = self.farm.rows(
            "select steps.name, steps.result, steps.summary from steps join builds on id = build"
            " where builds.number = ? order by steps.number",
            type(self).number,
        )
        self.assertEqual([(name, result) for name, result, _ in rows], [("endless", 4), ("searching", 4), ("shell", 0)])
        for _, _, summary in rows[:2]:
            self.assertRegex(summary, r"^The code of this step \(\w+, master.cfg line \d+\) was ended")
        self.assertEqual(self.farm.rows("select count(*) from builds where result is not null"), [(type(self).number,)])


class CrashedStepsTests(SynchronousTestCase):
    def test_the_build_uses_every_step(self) -> None:
        """
        Promise 7: the crashing build uses every shipped step, or a step of which it is a kind.
        """
        classes = vars(steps)
        used = tuple(classes[name] for name in re.findall(r"steps\.(\w+)\(", " ".join([*STEPS, *OTHER_STEPS])))
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
    Return whether it is a class of steps; a module has mixins and exceptions, too.
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
