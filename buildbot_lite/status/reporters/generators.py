"""
Generators: which builds a reporter sends messages about, and when.
"""

from collections.abc import Collection, Sequence
from typing import Any

from ...master.config.argument_fit import NotingType
from ...master.config.arguments import ArgumentChecker
from ...master.config.executed_line import current_line
from ...model.results import Result
from .details import BuildDetails
from .formatting import Formatter, MessageFormatter, MessageFormatterRenderable, formatter_of

MODES = ("change", "failing", "passing", "problem", "warnings", "exception", "cancelled")
ALL = ("failing", "passing", "warnings", "exception", "cancelled")
_BY_RESULT = {
    Result.SUCCESS: "passing",
    Result.WARNINGS: "warnings",
    Result.FAILURE: "failing",
    Result.EXCEPTION: "exception",
    Result.CANCELLED: "cancelled",
}


def checked_mode(arguments: ArgumentChecker, value: Any) -> tuple[str, ...]:
    """
    The modes in *value*: one of `MODES`, "all", or a list of `MODES`.
    """
    if value == "all":
        return ALL
    modes = [value] if isinstance(value, str) else value
    if isinstance(modes, (list, tuple, set, frozenset)) and modes and all(each in MODES for each in modes):
        return tuple(modes)
    arguments.wrong("mode", value, f'"all", or a list of {", ".join(MODES)}')
    return ALL


class Selection:
    """
    Which builds: of these *builders*, *tags*, *schedulers*, *branches*; None: all.
    """

    def __init__(self, arguments: ArgumentChecker, builders: Any, tags: Any, schedulers: Any, branches: Any) -> None:
        def names(name: str, value: Any) -> tuple[str, ...] | None:
            return None if value is None else arguments.texts(name, value)

        self.builders = names("builders", builders)
        self.tags = names("tags", tags)
        self.schedulers = names("schedulers", schedulers)
        self.branches = None if branches is None else tuple(branches)

    def matches(self, details: BuildDetails, tags: Collection[str]) -> bool:
        """
        Whether the build is one of these.  *tags*: of its builder.
        """
        branch = details.view.getProperty("branch", details.buildset.source.get("branch"))
        return (
            (self.builders is None or details.build.builder in self.builders)
            and (self.schedulers is None or details.buildset.scheduler in self.schedulers)
            and (self.branches is None or branch in self.branches)
            and (self.tags is None or bool(set(self.tags) & set(tags)))
        )


def in_mode(mode: Sequence[str], details: BuildDetails) -> bool:
    """
    Whether the result of a finished build is one of *mode*.

    "change": it differs from that of the builder's previous build; "problem": it failed, and the previous did not.
    """
    result = details.build.result
    if result is None or result is Result.RETRY:
        return False
    if "change" in mode and details.previous not in {None, result}:
        return True
    if "problem" in mode and result is Result.FAILURE and details.previous is not Result.FAILURE:
        return True
    return _BY_RESULT.get(result) in mode


class Generator(metaclass=NotingType):
    """
    The base of generators.  *of_sets*: messages are about whole buildsets, when they are finished.  *at_start*:
    messages are also about builds that begin.
    """

    of_sets = False
    at_start = False

    def __init__(
        self,
        mode: Any = ALL,
        tags: Any = None,
        builders: Any = None,
        schedulers: Any = None,
        branches: Any = None,
        subject: Any = None,
        add_logs: Any = None,
        add_patch: Any = False,
        report_new: Any = False,
        message_formatter: Any = None,
    ) -> None:
        self.place = current_line(self)
        arguments = ArgumentChecker(type(self).__name__, self)
        self.mode = checked_mode(arguments, mode)
        self.selection = Selection(arguments, builders, tags, schedulers, branches)
        self.at_start = type(self).at_start or arguments.flag("report_new", report_new)
        self.formatter = formatter_of(arguments, message_formatter, lambda: MessageFormatter(subject=subject))
        self.start_formatter: Formatter = self.formatter

    def wants(self, details: BuildDetails, tags: Collection[str]) -> bool:
        """
        Whether to send a message about this build.
        """
        if details.build.result is None:
            return self.at_start and self.selection.matches(details, tags)
        return in_mode(self.mode, details) and self.selection.matches(details, tags)


class BuildStatusGenerator(Generator):
    """
    Reports each build that ends with a result of *mode*.
    """


class BuildSetStatusGenerator(Generator):
    """
    Reports each buildset that ends, if a build of it ended with a result of *mode*.
    """

    of_sets = True


class BuildStartEndStatusGenerator(Generator):
    """
    Reports each build twice: when it begins, and when it ends, whatever its result.
    """

    at_start = True

    def __init__(
        self,
        tags: Any = None,
        builders: Any = None,
        schedulers: Any = None,
        branches: Any = None,
        add_logs: Any = None,
        add_patch: Any = False,
        start_formatter: Any = None,
        end_formatter: Any = None,
    ) -> None:
        super().__init__(ALL, tags, builders, schedulers, branches)
        arguments = ArgumentChecker(type(self).__name__, self)
        self.start_formatter = formatter_of(arguments, start_formatter, MessageFormatter, "start_formatter")
        self.formatter = formatter_of(arguments, end_formatter, MessageFormatter, "end_formatter")

    def wants(self, details: BuildDetails, tags: Collection[str]) -> bool:
        return self.selection.matches(details, tags)


class WorkerMissingGenerator(metaclass=NotingType):
    """
    Reports to the addresses in a slave's ``notify_on_missing`` that the slave stays away.  *workers*: names, or "all".
    """

    def __init__(self, workers: Any = "all", message_formatter: Any = None) -> None:
        self.place = current_line(self)
        arguments = ArgumentChecker(type(self).__name__, self)
        self.workers = None if workers == "all" else arguments.texts("workers", workers)
        if message_formatter is not None:
            arguments.note("the text about a missing slave is the farm's own; leave message_formatter out.")

    def wants_slave(self, slave: str) -> bool:
        """
        Whether to send a message about this slave.
        """
        return self.workers is None or slave in self.workers


def described(start: Any, end: Any, builders: Any) -> BuildStartEndStatusGenerator:
    """
    The generator of a commit status with these descriptions, renderables of the build; None: the farm's own.

    *builders*: those whose builds it reports; None: all.
    """
    return BuildStartEndStatusGenerator(
        builders=builders,
        start_formatter=None if start is None else MessageFormatterRenderable(start),
        end_formatter=None if end is None else MessageFormatterRenderable(end),
    )
