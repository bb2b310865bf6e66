"""
Buildbot's factories for projects with common build systems.

Each takes *source*: the step that gets the sources, or a pair of its class and a dictionary of its arguments.
"""

from typing import Any

from ..config.build_factory import BuildFactory
from ..config.mistakes import note
from .counting import Compile, Test
from .shell import Configure, ShellCommand
from .svn import SVN
from .tools import Trial

__all__ = ["CPAN", "BasicSVN", "Distutils", "GNUAutoconf", "TrialFactory"]


class GNUAutoconf(BuildFactory):
    """
    For projects with GNU autoconf and automake: configure, compile, test, and test the archive for distribution.

    *configure*: the program, or a list of words; *configureEnv*: variables for it; *configureFlags*: further words.
    *reconf*: True to make "configure" with ``autoreconf -si`` first, or the command for that; default None: it is not
    made.  *compile*, *test*, *distcheck*: the commands of steps, by default ``make all``, ``make check`` and
    ``make distcheck``; None leaves the step out.
    """

    def __init__(
        self,
        source: Any,
        configure: Any = "./configure",
        configureEnv: Any = None,
        configureFlags: Any = (),
        reconf: Any = None,
        compile: Any = ("make", "all"),  # noqa: A002 - Buildbot's name
        test: Any = ("make", "check"),
        distcheck: Any = ("make", "distcheck"),
    ) -> None:
        super().__init__([source])
        if reconf:
            command = ["autoreconf", "-si"] if reconf is True else reconf
            self.addStep(ShellCommand(name="autoreconf", command=command, env=configureEnv))
        if configure is not None:
            self.addStep(Configure(command=_with_flags(configure, configureFlags), env=configureEnv))
        if compile is not None:
            self.addStep(Compile(command=compile))
        if test is not None:
            self.addStep(Test(command=test))
        if distcheck is not None:
            self.addStep(Test(name="distcheck", command=distcheck))


class BasicSVN(GNUAutoconf):
    """
    A `GNUAutoconf` without ``make distcheck``, whose sources are checked out from *svnurl* with Subversion,
    incrementally.
    """

    useProgress = False

    def __init__(
        self,
        svnurl: Any,
        configure: Any = "./configure",
        configureEnv: Any = None,
        compile: Any = ("make", "all"),  # noqa: A002 - Buildbot's name
        test: Any = ("make", "check"),
    ) -> None:
        super().__init__(SVN(repourl=svnurl), configure, configureEnv, compile=compile, test=test, distcheck=None)


class CPAN(BuildFactory):
    """
    For Perl modules with MakeMaker; *perl* is the interpreter.
    """

    def __init__(self, source: Any, perl: Any = "perl") -> None:
        super().__init__([source, Configure(command=[perl, "Makefile.PL"]), Compile(command=["make"]), Test()])


class Distutils(BuildFactory):
    """
    For Python projects with a ``setup.py``; *python* is the interpreter, *test* a command that tests, if there is one.
    """

    def __init__(self, source: Any, python: Any = "python", test: Any = None) -> None:
        super().__init__([source, Compile(command=[python, "./setup.py", "build"])])
        if test is not None:
            self.addStep(Test(command=test))


class TrialFactory(BuildFactory):
    """
    For Python projects that Twisted's ``trial`` tests; `util.Trial` in a configuration.

    *buildpython*: the interpreter that runs ``setup.py build``, as a list of words; empty: nothing is built.
    *trialpython*: the interpreter that runs trial, as a list of words; empty: trial is run directly.  *tests*: what is
    tested; required.  Other arguments are those of the step `Trial`.
    """

    def __init__(
        self,
        source: Any,
        buildpython: Any = ("python",),
        trialpython: Any = (),
        tests: Any = None,
        useTestCaseNames: Any = False,
        **trial: Any,
    ) -> None:
        super().__init__([source])
        if useTestCaseNames:
            note("Trial: useTestCaseNames is not supported.  Give the names in tests.", of=self)
        elif tests is None:
            note("Trial needs the argument 'tests'.", of=self)
        if buildpython:
            self.addStep(Compile(command=[*buildpython, "./setup.py", "build"]))
        self.addStep(Trial(tests=tests, python=list(trialpython) or None, **trial))


def _with_flags(configure: Any, flags: Any) -> Any:
    if not flags:
        return configure
    if isinstance(configure, str) and " " in configure:
        note("GNUAutoconf: with configureFlags, configure must be one word or a list of words.")
    return [*([configure] if isinstance(configure, str) else configure), *flags]
