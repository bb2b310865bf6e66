"""
Steps that run one well-known tool: a `ShellCommand` that makes the command from arguments and evaluates the output.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from ...model.results import Result
from ...model.spec import Run
from ..config.arguments import ArgumentChecker
from . import argument_checks as checks
from .argument import argument
from .shell import ShellCommand

__all__ = ["CMake", "PyFlakes", "PyLint", "RemovePYCs", "Sphinx", "TreeSize", "Trial"]


def _definitions(checker: ArgumentChecker, name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        checker.wrong(name, value, "a dictionary")
        return {}
    return {
        checks.word(checker, f"a name in {name}", key): str(int(item)) if isinstance(item, bool) else
        checks.words(checker, f"{name}[{key!r}]", item)
        for key, item in value.items()
    }  # fmt: skip


def _options(checker: ArgumentChecker, name: str, value: Any) -> str | list[str]:
    return [] if value in ([], ()) else checks.command(checker, name, value)


class Tool(ShellCommand):
    """
    A `ShellCommand` that makes its command from its other arguments, unless *command* is given.
    """

    command = argument(checks.command, default=None)

    def words(self) -> list[str]:
        """
        The words of the command.
        """
        raise NotImplementedError

    def spec(self) -> Run:
        if self.command is None:
            self.command = self.words()
        return super().spec()


class CMake(Tool):
    """
    Run ``cmake``.  Its failure ends the build.

    *path*: the directory of the sources, or of an existing build.  *generator*: for ``-G``.  *definitions*: a
    dictionary of names and values, for ``-D``.  *options*: a list of further words.  *cmake*: the program, default
    "cmake".
    """

    DEFAULT_CMAKE: ClassVar[str] = "cmake"

    name = "cmake"
    haltOnFailure = True
    path = argument(checks.words, default=None, positional=True)
    generator = argument(checks.word, default=None, positional=True)
    definitions = argument(_definitions, default=None, positional=True)
    options = argument(_options, default=None, positional=True)
    cmake = argument(checks.word, default=None, positional=True)

    def words(self) -> list[str]:
        generator = [] if self.generator is None else ["-G", self.generator]
        defined = [f"-D{name}={value}" for name, value in (self.definitions or {}).items()]
        options = [self.options] if isinstance(self.options, str) else self.options or []
        return [self.cmake or self.DEFAULT_CMAKE, *generator, *defined, *options, *([self.path] if self.path else [])]


class Trial(Tool):
    """
    Run Twisted's ``trial``; the summary has the numbers of tests.

    *tests*: modules, files or names of tests, as text or a list; default: none are named.
    *testpath*: a directory that is put at the front of PYTHONPATH, default "."; None: none.
    *python*: the interpreter that runs *trial*, as text or a list; default: *trial* is run directly.
    *trial*: the program, default "trial".  *trialMode*: its first arguments, default ``["--reporter=bwverbose"]``.
    *trialArgs*: further arguments.  *jobs*: for ``--jobs``.  *recurse*: pass ``--recurse``.  *reactor*: for
    ``--reactor``.  *randomly*: pass ``--random=0``.

    The log "test.log" has the file of that name that trial writes, unless *logfiles* is given.
    """

    name = "trial"
    flunkOnFailure = True
    python = argument(checks.command, default=None)
    trial = argument(checks.word, default="trial")
    testpath = argument(checks.text, default=".", nullable=True)
    tests = argument(checks.command, default=None)
    trialMode = argument(checks.texts, default=("--reporter=bwverbose",))
    trialArgs = argument(checks.texts, default=())
    jobs = argument(checks.whole, default=None)
    recurse = argument(checks.flag, default=False)
    reactor = argument(checks.word, default=None)
    randomly = argument(checks.flag, default=False)

    def words(self) -> list[str]:
        python, tests = ([each] if isinstance(each, str) else each or [] for each in (self.python, self.tests))
        flags = {
            f"--jobs={self.jobs}": self.jobs,
            "--recurse": self.recurse,
            f"--reactor={self.reactor}": self.reactor,
            "--random=0": self.randomly,
        }
        given = [flag for flag, wanted in flags.items() if wanted]
        return [*python, self.trial, *self.trialMode, *given, *self.trialArgs, *tests]

    def spec(self) -> Run:
        if self.testpath is not None:
            path = (self.env or {}).get("PYTHONPATH") or "${PYTHONPATH}"
            self.env = {**(self.env or {}), "PYTHONPATH": f"{self.testpath}:{path}"}
        if self.logfiles is None:
            place = "_trial_temp/0/test.log" if self.jobs else "_trial_temp/test.log"
            self.logfiles = {"test.log": place}
        return super().spec()

    async def run(self) -> Result:
        ran = await self.do(self.spec())
        result = await self.conclude(ran)
        output = ran.output(limit=64 << 20)[-10000:]
        totals = re.findall(r"^Ran (\d+) tests?", output, re.MULTILINE)
        if not totals:
            return result
        counts = re.findall(r"^(?:PASSED|FAILED) ?\((.*)\)$", output, re.MULTILINE)
        self.summary = f"{totals[-1]} tests" + (f", {counts[-1]}" if counts else "")
        return result


class Sphinx(Tool):
    """
    Make documents with ``sphinx-build``.  Its failure ends the build; warnings in the output make it WARNINGS.

    *sphinx_sourcedir*: the directory of the sources, default ".".  *sphinx_builddir*: the directory of the results.
    *sphinx_builder*: for ``-b``.  *sphinx*: the program, default "sphinx-build".  *tags*: a list, for ``-t``.
    *defines*: a dictionary of names and values, for ``-D``.  *strict_warnings*: warnings are errors (``-W``).  *mode*:
    "incremental" (default), or "full", which reads all sources again (``-E``).
    """

    name = "sphinx"
    haltOnFailure = True
    sphinx_sourcedir = argument(checks.word, default=".", positional=True)
    sphinx_builddir = argument(checks.word, positional=True)
    sphinx_builder = argument(checks.word, default=None)
    sphinx = argument(checks.word, default="sphinx-build")
    tags = argument(checks.texts, default=())
    defines = argument(_definitions, default=None)
    strict_warnings = argument(checks.flag, default=False)
    mode = argument(checks.choice("incremental", "full"), default="incremental")

    def words(self) -> list[str]:
        return [
            self.sphinx,
            *(["-b", self.sphinx_builder] if self.sphinx_builder else []),
            *[word for tag in self.tags for word in ("-t", tag)],
            *[word for name, value in (self.defines or {}).items() for word in ("-D", f"{name}={value}")],
            *(["-E"] if self.mode == "full" else []),
            *(["-W"] if self.strict_warnings else []),
            self.sphinx_sourcedir,
            self.sphinx_builddir,
        ]

    async def run(self) -> Result:
        ran = await self.do(self.spec())
        result = await self.conclude(ran)
        warnings = [line for line in ran.output().splitlines() if "WARNING: " in line or "ERROR: " in line]
        self.setStatistic("warnings", len(warnings))
        if not warnings:
            return result
        self.bench.write("warnings", "\n".join(warnings) + "\n")
        self.summary = self.summary or f"{len(warnings)} warnings"
        return Result.WARNINGS if result is Result.SUCCESS else result


class _Linter(ShellCommand):
    """
    The base of steps that run a linter.  They divide its messages into kinds.  Each kind has a log with its messages,
    and a statistic and a property with their number.

    *prefix*: the beginning of the names of statistics and properties.  *kinds*: kind → word in these names.
    *flunkingIssues*: kinds that make the result FAILURE.
    """

    prefix: ClassVar[str]
    flunkingIssues: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[Mapping[str, str]]

    def kind_of(self, line: str) -> str | None:
        """
        The kind of the message in *line*, or None if it is not a message.
        """
        raise NotImplementedError

    async def run(self) -> Result:
        ran = await self.do(self.spec())
        result = await self.conclude(ran)
        counts: Counter[str] = Counter()
        for line in ran.output(limit=16 << 20).splitlines():
            if kind := self.kind_of(line):
                counts[kind] += 1
                self.bench.write(self.kinds[kind], line + "\n")
        for kind, word in self.kinds.items():
            self.setStatistic(f"{self.prefix}-{word}", counts[kind])
            self.setProperty(f"{self.prefix}-{word}", counts[kind])
        self.setProperty(f"{self.prefix}-total", counts.total())
        if not counts:
            return result
        self.summary = " ".join(f"{self.kinds[kind]}={count}" for kind, count in sorted(counts.items()))
        if any(counts[kind] for kind in self.flunkingIssues):
            return Result.FAILURE
        # Linters exit with a code other than 0 if they print messages, so the exit code is no failure here.
        return Result.WARNINGS if ran.outcome.exit_code is not None else result


class PyFlakes(_Linter):
    """
    Run ``make pyflakes``, or another *command* that runs pyflakes.  Its messages make the result WARNINGS; undefined
    names make it FAILURE, which does not fail the build.  The properties "pyflakes-unused", "pyflakes-undefined",
    "pyflakes-redefs", "pyflakes-import*", "pyflakes-misc" and "pyflakes-total" have the numbers of messages.
    """

    name = "pyflakes"
    flunkOnFailure = False
    command = ("make", "pyflakes")
    prefix: ClassVar[str] = "pyflakes"
    flunkingIssues: ClassVar[tuple[str, ...]] = ("undefined",)
    kinds: ClassVar[Mapping[str, str]] = {
        each: each for each in ("unused", "undefined", "redefs", "import*", "misc")
    }  # fmt: skip
    _SIGNS: ClassVar[Mapping[str, str]] = {
        "imported but unused": "unused",
        "*' used; unable to detect undefined names": "import*",
        "undefined name": "undefined",
        "redefinition of": "redefs",
    }

    def kind_of(self, line: str) -> str | None:
        if not re.match(r".+:\d+:", line):
            return None
        return next((kind for sign, kind in self._SIGNS.items() if sign in line), "misc")


class PyLint(_Linter):
    """
    Run a *command* that runs pylint.  Its messages make the result WARNINGS; errors and fatal errors make it FAILURE.
    The properties "pylint-convention", "pylint-refactor", "pylint-warning", "pylint-error", "pylint-fatal",
    "pylint-info" and "pylint-total" have the numbers of messages.
    """

    name = "pylint"
    prefix: ClassVar[str] = "pylint"
    flunkingIssues: ClassVar[tuple[str, ...]] = ("E", "F")
    kinds: ClassVar[Mapping[str, str]] = {
        "C": "convention", "R": "refactor", "W": "warning", "E": "error", "F": "fatal", "I": "info",
    }  # fmt: skip

    def kind_of(self, line: str) -> str | None:
        match = re.match(r"([CRWEFI])(?:\d{4})?: *\d+(?:, *\d+)?:.+|[^:]+:\d+(?::\d+)?: (?:\[)?([CRWEFI])\d{4}", line)
        return match[1] or match[2] if match else None


class RemovePYCs(ShellCommand):
    """
    Remove the files ``*.pyc`` below *workdir*.
    """

    name = "remove-.pyc"
    command = ("find", ".", "-name", "*.pyc", "-exec", "rm", "{}", "+")


class TreeSize(ShellCommand):
    """
    Measure the size of *workdir* with ``du``; the property "tree-size-KiB" gets the size in KiB.
    """

    name = "treesize"
    command = ("du", "-s", "-k", ".")

    async def run(self) -> Result:
        ran = await self.do(self.spec())
        result = await self.conclude(ran)
        match = re.search(r"(\d+)", ran.output())
        if match is None or result is not Result.SUCCESS:
            return max(result, Result.WARNINGS)
        self.setProperty("tree-size-KiB", int(match[1]))
        self.summary = f"treesize {match[1]} KiB"
        return result
