"""
Steps that check packages with the tools of their distributions.
"""

from ..config.arguments import ArgumentChecker
from . import argument_checks as checks
from .argument import argument
from .tools import Tool

__all__ = ["DebLintian", "RpmLint"]


class DebLintian(Tool):
    """
    Check a Debian package with ``lintian -v``.

    *fileloc*: the ``.deb`` or ``.changes`` file; required unless *command* is given.  *suppressTags*: a list of
    lintian's tags that are not reported.
    """

    name = "lintian"
    fileloc = argument(checks.word, default=None, positional=True)
    suppressTags = argument(checks.texts, default=(), positional=True)

    def check(self, checker: ArgumentChecker) -> None:
        """
        Require *fileloc* or *command*.
        """
        if self.fileloc is None and self.command is None:
            checker.note("it needs the argument 'fileloc'.")

    def words(self) -> list[str]:
        suppressed = ["--suppress-tags", ",".join(self.suppressTags)] if self.suppressTags else []
        return ["lintian", "-v", *suppressed, self.fileloc]


class RpmLint(Tool):
    """
    Check RPM packages and spec files with ``rpmlint -i``.

    *fileloc*: a file, or a directory that is searched for them; default: *workdir*.  *config*: the path of a
    configuration of rpmlint.
    """

    name = "rpmlint"
    fileloc = argument(checks.word, default=".")
    config = argument(checks.word, default=None)

    def words(self) -> list[str]:
        return ["rpmlint", "-i", *([] if self.config is None else ["-f", self.config]), self.fileloc]
