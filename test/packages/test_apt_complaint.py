"""
The packages that apt cannot install, in one sentence.  The outputs are shortened ones of apt 2.6.
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.steps.context import CommandResult
from buildbot_lite.model.outcome import Ending, Outcome
from buildbot_lite.packages.building.apt_complaint import MOST_NAMED, apt_complaint

HEAD = """\
Building dependency tree...
The following information may help to resolve the situation:

The following packages have unmet dependencies:
"""
END = "E: Unable to correct problems, you have held broken packages.\n"


class AptComplaintTests(SynchronousTestCase):
    """
    Outputs of apt, and the sentences for them.
    """

    def said(self, output: str) -> str:
        """
        The sentence for a command with this output.
        """

        def read(log: str, limit: int) -> bytes:
            return output.encode()

        return apt_complaint(CommandResult(Outcome(Ending.EXITED, exit_code=100), read, read))

    def test_missing(self) -> None:
        """
        Promise 9.6: a package that no repository has is named, with its version and alternatives.
        """
        output = f"""{HEAD}\
 builddeps:./in/lacks_1.0.dsc : Depends: nowhere-to-be-found but it is not installable
                                Depends: elsewhere (>= 1.0) but it is not installable or
                                         other-place but it is not installable
{END}"""
        self.assertEqual(
            self.said(output),
            "neither the distribution nor a repository of the farm has nowhere-to-be-found, elsewhere (>= 1.0) or "
            "other-place",
        )

    def test_others(self) -> None:
        """
        Other obstacles are named, too: another version, a conflict, a missing dependency of another package.
        """
        output = f"""{HEAD}\
 builddeps:./in/x.dsc : Depends: hello (>= 2.10-3+farm1) but 2.10-3 is to be installed
                        Conflicts: coreutils but 9.1-1 is to be installed
                        Depends: libfoo-dev but it is not going to be installed
                        Depends: sl (= 1.0) but it is not going to be installed
{END}"""
        self.assertEqual(
            self.said(output),
            "hello (>= 2.10-3+farm1) is needed, and version 2.10-3 would be installed; coreutils must not be installed;"
            " libfoo-dev, which is needed, cannot be installed with the rest; sl (= 1.0) is needed, and no repository"
            " has such a version, or it cannot be installed with the rest",
        )
        output = f"{HEAD} libbar : Depends: libbaz but it is not going to be installed\n{END}"
        self.assertEqual(self.said(output), "libbaz, which is needed by libbar, cannot be installed with the rest")

    def test_without_why(self) -> None:
        """
        Apt does not always say what it would install instead.
        """
        output = f"{HEAD} builddeps:./in/x.dsc : Depends: hello (>= 2.10-3+farm1)\n{END}"
        said = "hello (>= 2.10-3+farm1) is needed, and no repository has such a version, or it cannot be installed with"
        self.assertEqual(self.said(output), f"{said} the rest")

    def test_many(self) -> None:
        """
        If many packages are missing, only some are named.
        """
        lines = "".join(f" x : Depends: nothing{number} but it is not installable\n" for number in range(20))
        self.assertTrue(self.said(HEAD + lines + END).endswith(f", nothing{MOST_NAMED - 1} and 12 more"))

    def test_nothing(self) -> None:
        """
        For any other failure, the sentence is apt's last line.
        """
        self.assertEqual(self.said(f"{HEAD}{END}"), END.strip().removesuffix("."))
        self.assertEqual(self.said("E: no space left\n"), "E: no space left")
        self.assertEqual(self.said(""), "")
