"""
Small configurations made of the vocabulary of real ones.
"""

import io
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite import plugins
from buildbot_lite.master.config.keys import OWN_KEYS

from .__main__ import main
from .probe import Answer, probe

VOCABULARY = """\
kind\tname\tconfigurations
key\tc['builders']\t3
key\tc['titleURL']\t2
name\tutil.BuildMaster\t1
unheard\tof\t9
"""


class ProbeTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        """
        Of each kind of word there is one that is taken, and one that is refused or taken with a remark.
        """
        for (kind, name), answer in {
            ("name", "util.BuilderConfig"): Answer.TAKEN,
            ("name", "slave.Worker"): Answer.TAKEN,
            ("name", "util.Authz"): Answer.REMARK,
            ("name", "util.BuildMaster"): Answer.REFUSED,
            ("subclass", "steps.BuildStep"): Answer.TAKEN,
            ("subclass", "slave.LocalSlave"): Answer.REFUSED,
            ("key", "c['builders']"): Answer.TAKEN,
            ("key", "c['workers']"): Answer.TAKEN,
            ("key", "c['titleURL']"): Answer.REMARK,
            ("key", "c['frob']"): Answer.REFUSED,
            ("kwarg", "steps.ShellCommand(command=)"): Answer.TAKEN,
            ("kwarg", "steps.ShellCommand(frob=)"): Answer.REFUSED,
            ("kwarg", "util.BuilderConfig(factory=)"): Answer.TAKEN,
            ("kwarg", "util.BuilderConfig(frob=)"): Answer.REFUSED,
            ("kwarg", "slave.LocalSlave(name=)"): Answer.REFUSED,
            ("kwarg", "util.Interpolate(a=)"): Answer.TAKEN,
            ("interpolate", "%(prop:…)s"): Answer.TAKEN,
            ("interpolate", "%(frob:…)s"): Answer.REFUSED,
            ("step method", "run"): Answer.TAKEN,
            ("step method", "start"): Answer.TAKEN,
            ("step method", "describe"): Answer.REFUSED,
            ("step method", "helper"): Answer.TAKEN,
        }.items():
            self.assertEqual((name, probe(kind, name)), (name, answer))
        self.assertIsNone(probe("unheard", "of"))

    def test_all_words(self) -> None:
        """
        Each word that there is is taken as such, also with Buildbot's imports; so is each key.
        """
        for where in plugins.__all__:
            for word in dir(getattr(plugins, where)):
                self.assertEqual((word, probe("name", f"{where}.{word}")), (word, Answer.TAKEN))
        for key in OWN_KEYS:
            self.assertEqual((key, probe("key", f"c['{key}']")), (key, Answer.TAKEN))

    def test_table(self) -> None:
        """
        The program prints the shares, and the words that are refused.
        """
        path = Path(self.mktemp())
        path.write_text(VOCABULARY)
        self.patch(sys, "argv", ["corpus", str(path), "--missing", "5"])
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        main()
        lines = out.getvalue().splitlines()
        self.assertEqual(lines[1].split(), ["key", "5", "60.0%", "40.0%", "0.0%"])
        self.assertEqual(lines[-1].split(), ["1", "name", "util.BuildMaster"])
