"""
Remarks on properties that nothing sets, and the properties that each build has.
"""

import os

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.config.build_factory import BuildFactory
from buildbot_lite.master.config.loading import load
from buildbot_lite.master.config.objects import BuilderConfig
from buildbot_lite.master.config.renderable_objects import Interpolate
from buildbot_lite.master.scheduling.preparation import directories_of
from buildbot_lite.master.steps import ShellCommand
from buildbot_lite.model.spec import Run
from buildbot_lite.testing import command, run

from .configurations import HEAD as WORDS
from .configurations import master_cfg
from .harness import FakeSlave, MasterHarness, StartedCommand, hello


class UnsetTests(SynchronousTestCase):
    def remarks(self, text: str) -> list[str]:
        """
        The remarks on *text*.
        """
        return [str(remark) for remark in load("/nowhere", WORDS + text).remarks]

    def test_nothing_sets_it(self) -> None:
        """
        Promise 8.13: an Interpolate or a Property of a property that nothing can set is a remark with its line.
        """
        remarks = self.remarks(
            "a = steps.ShellCommand(command=util.Interpolate('rm -rf %(prop:biulddir)s/work'))\n"
            "b = util.Property('tagret')\n"
            "b = util.Property('tagret')\n"
        )
        said = "sets the property {}: without it, the text is empty there."
        self.assertEqual(
            remarks,
            [
                "master.cfg:3: Nothing here " + said.format("'biulddir'"),
                "master.cfg:4: Nothing here " + said.format("'tagret'"),
            ],
        )

    def test_of_old(self) -> None:
        """
        So is one in WithProperties, in both of its forms.
        """
        remarks = self.remarks("util.WithProperties('%s', 'tagret')\nutil.WithProperties('%(biuld)s')\n")
        self.assertEqual(
            [line.partition(" sets ")[2][:20] for line in remarks], ["the property 'tagret", "the property 'biuld'"]
        )

    def test_set_somewhere(self) -> None:
        """
        No remark on what the build has by itself, what has a replacement, and what is mentioned anywhere else.
        """
        for text in (
            "util.Interpolate('%(prop:builddir)s %(prop:workdir)s %(prop:got_revision)s %(prop:scheduler)s')",
            "util.Interpolate('%(prop:a:-b)s %(prop:a:+b)s %(prop:a:?|b|c)s'); util.Property('a', 'b')",
            "util.Property('a', default=None)",
            "util.Interpolate('%(prop:a)s'); steps.SetProperty(property='a', value='b')",
            "util.Property('a'); steps.SetProperties(properties=dict(a=1))",
            "util.Property('a'); steps.SetPropertyFromCommand(command='x', extract_fn=lambda r, o, e: {'a': o})",
            "util.Property('a'); c['slaves'] = [slave.BuildSlave('bot1', properties={'a': 1})]",
        ):
            self.assertEqual(self.remarks(text), [], text)

    def test_of_steps(self) -> None:
        """
        No remark on what a shipped step sets under a name of its own.
        """
        for name in ("commit-description", "tree-size-KiB", "warnings-count"):
            self.assertEqual(self.remarks(f"util.Property({name!r})"), [], name)

    def test_computed_names(self) -> None:
        """
        When names are computed, by a step's extract_fn or by a forge whose webhooks are taken, only on those that look
        like a misspelt name of the build's.
        """
        text = (
            "import os\nutil.Property('a')\nutil.Property('biulddir')\n"
            "def found(rc, out, err):\n    return dict([out.split('=')])\n"
            "c['slaves'] = [slave.BuildSlave('bot1')]\n"
            "f = util.BuildFactory([steps.ShellCommand(command=['true'])])\n"
            "c['builders'] = [util.BuilderConfig('b', ['bot1'], f)]\n"
        )
        step = "f.addStep(steps.SetPropertyFromCommand(command=['env'], extract_fn=found))\n"
        hook = "c['www'] = {'change_hook_dialects': {'github': {'secret': os.environ['HOOK_SECRET']}}}\n"
        self.patch(os, "environ", {**os.environ, "HOOK_SECRET": "0123456789abcdef"})
        self.assertEqual(len(self.remarks(text)), 2)
        for more in (step, hook):
            (remark,) = self.remarks(text + more)
            self.assertIn("'biulddir'", remark)

    def test_submitted_properties(self) -> None:
        """
        A Submit scheduler whose submissions bring properties can set any.
        """
        text = (
            "util.Property('a')\n"
            "c['slaves'] = [slave.BuildSlave('bot1')]\n"
            "c['builders'] = [util.BuilderConfig('b', ['bot1'], util.BuildFactory())]\n"
            "c['schedulers'] = [schedulers.Submit('s', builderNames=['b'], stdin='none')]\n"
        )
        self.assertEqual(len(self.remarks(text)), 1)
        self.assertEqual(self.remarks(text.replace("'none'", "'properties'")), [])


class DirectoriesTests(SynchronousTestCase):
    def test_directories(self) -> None:
        """
        Promise 8.13: builddir and workdir are the path of the builder's directory on the slave, basedir that of all.
        """
        builder = BuilderConfig("a b", ["bot1"], BuildFactory())
        self.assertEqual(
            directories_of(builder, "/home/x/work"),
            {"basedir": "/home/x/work", "builddir": "/home/x/work/a_b", "workdir": "/home/x/work/a_b"},
        )

    def test_unknown(self) -> None:
        """
        With a slave that does not tell where it is, they are never empty.
        """
        builder = BuilderConfig("b", ["bot1"], BuildFactory())
        self.assertEqual(directories_of(builder, None), {"basedir": "../..", "builddir": "..", "workdir": ".."})

    def test_artifacts(self) -> None:
        """
        Promise 8.13: artifactsdir is the directory of the build's artifacts on the master, which commands there can
        use.
        """
        harness = MasterHarness(
            master_cfg(
                steps=(
                    'steps.FileUpload("x", "a/b")',
                    'steps.MasterShellCommand(["cat", util.Interpolate("%(prop:artifactsdir)s/a/b")])',
                )
            )
        )

        def behave(started: StartedCommand) -> None:
            started.write(b"text", "artifact")
            started.end(0, streams={"artifact": b"text"})

        harness.farm.slaves.own.attached(own := FakeSlave(), hello())
        harness.attach(slave=FakeSlave(behaviour=behave))
        harness.submit()
        (started,) = own.commands
        assert isinstance(started.spec, Run)
        (_, path) = started.spec.argv
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"text")

    def test_upload_used_elsewhere(self) -> None:
        """
        Promise 8.13: checkconfig remarks on a command of the master that names an earlier upload of its factory, unless
        it says where that is.
        """
        rows = [
            ('steps.FileUpload("x", "a/b")', 'steps.MasterShellCommand("tar xf a/b")', "a/b"),
            ('steps.FileUpload("x", "a/b")', 'steps.MasterShellCommand(["sh", "-c", "cat < a/b"])', "a/b"),
            ('steps.DirectoryUpload("x", "out")', 'steps.MasterShellCommand(["cp", "out/x", "/srv"])', "out.tar"),
            ('steps.FileUpload("x", util.Interpolate("%(prop:n)s.t"))',
             'steps.MasterShellCommand(["ls", util.Interpolate("%(prop:n)s.t")])', "%(prop:n)s.t"),
            ('steps.FileUpload("x", "a/b")',
             'steps.MasterShellCommand(util.Interpolate("cat %(prop:artifactsdir)s/a/b"))', None),
            ('steps.FileUpload("x", "/srv/a/b")', 'steps.MasterShellCommand("cat /srv/a/b")', None),
            ('steps.FileUpload("x", "a/b")', 'steps.MasterShellCommand("cat a/b.asc c/a/b /a/b")', None),
            ('steps.MasterShellCommand("cat a/b")', 'steps.FileUpload("x", "a/b")', None),
        ]  # fmt: skip
        for *given, stored in rows:
            with self.subTest(given):
                loaded = load("/nowhere", WORDS + master_cfg(steps=given))
                remarks = [each.sentence for each in loaded.remarks if "of the build's artifacts" in each.sentence]
                expected = [] if stored is None else [f'util.Interpolate("%(prop:artifactsdir)s/{stored}").']
                self.assertEqual([each.rpartition("write ")[2] for each in remarks], expected)

    def test_in_tests_of_steps(self) -> None:
        """
        A step that is tested by itself has them as well, and does not show them among what it set.
        """
        step = ShellCommand(command=Interpolate("rm -rf %(prop:builddir)s/work"))
        ran = run(step, command("rm -rf /slave/work/test/work").exits(0))
        self.assertEqual(ran.properties, {})
