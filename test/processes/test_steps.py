"""
Steps on a farm of real processes: steps that inspect the slave, steps of several programs, steps that start other
builds, and users' own steps.
"""

import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

from .farm import Farm
from .farm_case import FarmCase

OWN = """
class Listed(steps.ShellMixin, steps.BuildStep):
    name = "listed"

    def __init__(self, **kwargs):
        super().__init__(**self.setupShellMixin(kwargs))
        self.observer = util.BufferLogObserver()
        self.addLogObserver("stdio", self.observer)

    async def run(self):
        command = await self.makeRemoteShellCommand()
        await self.runCommand(command)
        lines = self.observer.getStdout().splitlines()
        self.setProperty("lines", len(lines))
        await self.addCompleteLog("reversed", "\\n".join(reversed(lines)))
        self.build.addStepsAfterCurrentStep(
            [steps.ShellCommand(name="says " + line, command=["echo", "it is", line]) for line in lines]
        )
        return command.results()


class Warned(util.LogLineObserver):
    found = 0

    def outLineReceived(self, line):
        self.found += line.startswith("W")


class Observed(steps.ShellCommand):
    name = "observed"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.observer = Warned()
        self.addLogObserver("stdio", self.observer)

    def evaluateCommand(self, cmd):
        return util.WARNINGS if self.observer.found == 2 else util.FAILURE
"""
CMAKE = "mkdir -p out; printf '#!/bin/sh\\necho \"$@\"' > fake-cmake; chmod +x fake-cmake"
GCC = "echo 'a.c:3: warning: odd'; echo 'b.c:4: warning: strange'"
EXTRACT = "warningExtractor=steps.Compile.warnExtractFromRegexpGroups, warningPattern='(.*?):([0-9]+): warning: (.*)'"
SECRET = "swordfish77"


class _Answering(BaseHTTPRequestHandler):
    """
    A server that returns each request in its answer.
    """

    seen: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.seen.append(f"{self.headers['X-Token']} {body}")
        said = self.seen[-1].encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: Any) -> None:
        pass


class StepsTests(FarmCase):
    """
    A farm with a builder for each group of steps.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create repositories, a server and the builders.
        """
        farm = Farm("bot1").secret("token", SECRET)
        farm.run(
            "git init -q -b main origin && cd origin && git config user.name me && git config user.email me@example.org"
            " && echo content > file && git add . && git commit -q -m first && git tag v1 && git checkout -q -b side"
            " && git commit -q --allow-empty -m side && git tag side-1 && git checkout -q main"
            " && git commit -q --allow-empty -m second"
        )
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
        Thread(target=server.serve_forever, daemon=True).start()
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        farm.config(
            f"c['secretsProviders'] = [secrets.SecretInAFile('secrets')]\nORIGIN = {str(farm.directory / 'origin')!r}\n"
            f"URL = 'http://127.0.0.1:{server.server_port}/builds'\n{OWN}"
        )
        farm.builder(
            "looking",
            "mkdir -p out; echo 1 > out/a.txt; echo 2 > out/b.txt; echo 3 > out/c.log",
            "steps.SetPropertiesFromEnv(variables=['PATH'])",
            "steps.Assert(check=util.renderer(lambda props: '/' in props.getProperty('PATH')))",
            "steps.FileExists(file='build/out/a.txt')",
            "steps.CopyDirectory(src='build/out', dest='copy')",
            "steps.ShellCommand(command='cat *', workdir='copy', name='copied')",
            "steps.LogRenderable(content=util.Interpolate('builder %(prop:buildername)s'))",
            "steps.MultipleFileUpload(slavesrcs=['out/*.txt'], masterdest='all', glob=True)",
            "steps.FileUpload(slavesrc='out/c.log', masterdest=util.Interpolate('../www/%(prop:buildername)s/c.log'))",
            "steps.MasterShellCommand(command=['cat', 'looking/c.log'], workdir='../www', name='elsewhere')",
            "steps.FileDownload(mastersrc='../www/looking/c.log', slavedest='again')",
            "steps.FileExists(file='build/none', haltOnFailure=False, flunkOnFailure=False)",
            "steps.Assert(check=False, name='wrong', flunkOnFailure=False)",
        )
        farm.builder(
            "several",
            "steps.ShellSequence(commands=[util.ShellArg(command=['echo', 'one'], logfile='first'),"
            " util.ShellArg(command='echo two; false', warnOnFailure=True, flunkOnFailure=False),"
            " util.ShellArg(command=[]), util.ShellArg(command=['echo', util.Property('buildername')])])",
            CMAKE,
            "steps.CMake(path='..', generator='Ninja', definitions={'A': True}, options=['-W'], cmake='./fake-cmake')",
            "echo 'a.c : odd' > supp",
            f"steps.Compile(command={GCC!r}, suppressionFile='supp', {EXTRACT})",
            "Observed(command='echo W1; echo x; echo W2')",
            "Listed(command=['printf', 'red\\nblue\\n'])",
            "steps.ShellCommand(command=['echo', util.Interpolate('%(prop:lines)s lines')], name='lines')",
        )
        described = "getDescription={'tags': True}, tags=True, retryFetch=True"
        shown = "%(prop:colour)s %(prop:branch)s %(src::revision)s"
        farm.builder(
            "sources",
            f"steps.Git(repourl=ORIGIN, branch='main', mode='full', method='clobber', {described})",
            "git tag",
            "steps.ShellCommand(command=['echo', util.Interpolate('%(prop:commit-description)s')], name='described')",
            "steps.Trigger(schedulerNames=[util.Interpolate('ch%(kw:x)s', x='ild')], waitForFinish=True,"
            " updateSourceStamp=True, set_properties={'colour': util.Interpolate('%(prop:commit-description)s')})",
            "steps.Trigger(name='latest', schedulerNames=['child'], waitForFinish=True,"
            " sourceStamp={'branch': 'side'}, alwaysUseLatest=False, set_properties={'colour': 'blue'})",
        )
        farm.builder(
            "child", f"steps.ShellCommand(command=['echo', util.Interpolate({shown!r})], name='shows')", submit=None
        )
        farm.builder(
            "network",
            "steps.POST(URL, data={'a b': util.Property('buildername')}, headers={'X-Token': util.Secret('token')})",
            "steps.GET(URL, flunkOnFailure=False)",
        )
        if shutil.which("svn") and shutil.which("hg"):
            farm.run(
                "svnadmin create svn && svn mkdir -q -m layout file://$PWD/svn/trunk && hg init hg && cd hg &&"
                " echo hg > file && hg commit -q -A -u me -m first"
            )
            farm.config(
                f"HG = {str(farm.directory / 'hg')!r}\nSVN = {'file://' + str(farm.directory / 'svn/trunk')!r}\n"
            )
            farm.builder(
                "others",
                "steps.SVN(repourl=SVN, mode='full', workdir='svn')",
                "steps.Mercurial(repourl=HG, mode='full', workdir='hg')",
                "steps.ShellCommand(command='ls -A; cat ../hg/file', workdir='svn', name='got')",
            )
        return farm.config("c['schedulers'].append(schedulers.Triggerable('child', builderNames=['child']))\n")

    def log_of(self, builder: str, step: str, name: str = "stdio", number: int = 1) -> str:
        """
        Return a log of a build.
        """
        return self.farm.log(builder, number, step, name).decode()

    def results(self, builder: str) -> dict[str, int]:
        """
        Return the result of each step of the first build.
        """
        return dict(
            self.farm.rows(
                "select steps.name, steps.result from steps join builds on builds.id = steps.build"
                " where builder = ? and builds.number = 1",
                builder,
            )
        )

    def test_looking(self) -> None:
        """
        Promise 8.6: steps inspect the slave, copy there, and send several files.
        """
        done = self.farm.submit("looking")
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(self.log_of("looking", "copied"), "1\n2\n3\n")
        self.assertEqual(self.log_of("looking", "LogRenderable", "Output"), "'builder looking'\n")
        directory = self.farm.master_directory / "artifacts" / "looking" / "1" / "all"
        self.assertEqual(sorted(path.name for path in directory.iterdir()), ["a.txt", "b.txt"])
        self.assertEqual(self.log_of("looking", "elsewhere"), "3\n")
        self.assertEqual((self.farm.master_directory.parent / "www" / "looking" / "c.log").read_text(), "3\n")
        results = self.results("looking")
        self.assertEqual((results["FileExists_1"], results["wrong"], results["Assert"]), (2, 2, 0))

    def test_several(self) -> None:
        """
        Promise 8.6: several programs in a step, tools, warnings with suppressions, and users' own steps with observers,
        in both styles.
        """
        done = self.farm.submit("several")
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(self.log_of("several", "ShellSequence"), "one\ntwo\nseveral\n")
        self.assertEqual(self.log_of("several", "ShellSequence", "first"), "one\n")
        self.assertEqual(self.log_of("several", "cmake"), "-G Ninja -DA=1 -W ..\n")
        self.assertEqual(self.log_of("several", "compile", "warnings"), "b.c:4: warning: strange\n")
        self.assertEqual(self.log_of("several", "listed", "reversed"), "blue\nred")
        self.assertEqual(self.log_of("several", "says blue"), "it is blue\n")
        self.assertEqual(self.log_of("several", "lines"), "2 lines\n")
        results = self.results("several")
        self.assertEqual([results[each] for each in ("ShellSequence", "compile", "observed", "listed")], [1, 1, 1, 0])

    def test_sources(self) -> None:
        """
        Promise 8.6: git's tags and description, and triggered builds with source stamps and properties of their own.
        """
        done = self.farm.submit("sources")
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(self.log_of("sources", "shell"), "side-1\nv1\n")
        described = self.log_of("sources", "described").strip()
        self.assertRegex(described, r"v1-1-g[0-9a-f]{7}")
        first, second = (self.log_of("child", "shows", number=number).split(" ") for number in (1, 2))
        self.assertEqual(first[0], described)
        self.assertRegex(first[2], f"^{described[-7:]}[0-9a-f]{{33}}\n$")
        self.assertEqual(second[:2], ["blue", "side"])

    def test_network(self) -> None:
        """
        Promise 8.6: the master sends a request with a secret, and no log contains it; a refused request is a failure.
        """
        done = self.farm.submit("network")
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(_Answering.seen, [f"{SECRET} a+b=network"])
        said = self.log_of("network", "http", "log")
        self.assertIn("X-Token: <HIDDEN>\n", said)
        self.assertIn("Status: 201\n", said)
        self.assertEqual(self.log_of("network", "http", "content"), f"{'*' * len(SECRET)} a+b=network")
        self.assertEqual(self.results("network"), {"http": 0, "http_1": 2})

    def test_other_repositories(self) -> None:
        """
        Promise 8.6: sources from Subversion and Mercurial.
        """
        if "others" not in self.farm._config:
            self.skipTest("svn or hg is not installed (Debian: apt install subversion mercurial)")
        done = self.farm.submit("others")
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(self.log_of("others", "got"), ".svn\nhg\n")
