"""
One build that starts many, hands them its artifact, and joins their results.
"""

from .farm import Farm
from .farm_case import FarmCase
from .master_death import CrashPoint, die_at, make_mortal, wait_for_death

COMBINATIONS = [f"{system}-{bits}" for system in ("bsd", "linux", "plan9") for bits in (32, 64)]


class FanOutTests(FarmCase):
    """
    "fan" runs on the slave "bot1" and starts "part" there six times; "lib" is built on "bot2".
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create the builders.
        """
        farm = Farm("bot1", "bot2")
        make_mortal(farm)
        number = "util.Interpolate('%(prop:buildername)s %(prop:buildnumber)s')"
        upload = "steps.FileUpload({0!r}, {0!r})"
        make_it = f"steps.StringDownload({number}, {{!r}})"
        farm.builder("lib", make_it.format("lib"), upload.format("lib"), more="slavenames=['bot2']")
        matrix = "util.Matrix(system=['bsd', 'linux', 'plan9'], bits=[32, 64])"
        trigger = f"steps.Trigger(schedulerNames=['parts'], waitForFinish=True, matrix={matrix})"
        farm.builder("fan", make_it.format("app"), upload.format("app"), trigger, more="slavenames=['bot1']")
        used = (
            'echo "$(cat app) with $(cat lib) on $0-$1"; echo $0-$1 >> $WITNESS/parts;'
            ' test $0-$1 != "$(cat $WITNESS/broken)"'
        )
        farm.builder(
            "part",
            "steps.FileDownload(util.Artifact('app', build='trigger'), 'app')",
            "steps.FileDownload(util.Artifact('lib', builder='lib'), 'lib')",
            f"steps.ShellCommand(command=['sh', '-c', {used!r}, util.Property('system'), util.Property('bits')])",
            submit=None,
            more="slavenames=['bot1']",
        )
        (farm.witness / "broken").write_text("none")
        return farm.config("c['schedulers'].append(schedulers.Triggerable('parts', builderNames=['part']))\n")

    def test_joined(self) -> None:
        """
        Promise 7: a Trigger joins the results of all combinations.  A child takes an artifact of the triggering build,
        and the last good one of another builder.  After two kill -9 of the master it is still the one chosen first,
        although a newer one exists.
        """
        farm = self.farm
        self.assertEqual(farm.submit("lib").code, 0)
        # Builds are numbered in the order of their starts: lib, fan, and the first part.
        part = 3
        die_at(farm, part, CrashPoint(step=1, ordinal=0, which="ended"))
        farm.submitting("fan")
        wait_for_death(farm)
        chosen = farm.rows("select kind, outcome is not null from journal where build = ? and step = 1", part)
        self.assertEqual(chosen, [("artifact", 1)])

        # While the slave of the parts is away, no download begins, and the other slave makes a newer good build.
        farm.slave("bot1").kill()
        farm.start_master()
        self.assertEqual(farm.submit("lib").code, 0)
        farm.master.kill()
        farm.start_master()
        farm.start_slave("bot1")
        done = farm.watch(farm.watch_furl_of("fan", 1))

        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(sorted(farm.witnessed("parts")), COMBINATIONS)
        self.assertRegex(farm.log("part", 1), rb"^fan 1 with lib 1 on ")
        self.assertEqual(farm.rows("select count(*), max(result) from builds where builder = 'part'"), [(6, 0)])

        # One failing combination fails the whole, after all have ended.
        (farm.witness / "broken").write_text("linux-64")
        failed = farm.submit("fan")
        self.assertEqual(failed.code, 1, failed.err)
        self.assertEqual(sorted(farm.witnessed("parts")), sorted(2 * COMBINATIONS))
        self.assertIn("parts (linux-64): part/", failed.err)
