"""
Retention in master.cfg: how long the master keeps logs, artifacts and builds.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from attrs import frozen

from .argument_fit import NotingType
from .arguments import ArgumentChecker
from .executed_line import current_line

DAY = 86400.0
MOST_POLICIES = 100
MOST_DAYS = 36525


class Retention(metaclass=NotingType):
    """
    How long the master keeps the logs, artifacts and records of some builders.  For each number, None means no limit.

    *builders*: a name or a list of names, which may have ``*`` and ``?`` in them.  The first policy that matches a
    builder applies to it.
    *logDays*: logs that are older are removed; default 30.  *logBytes*: the oldest logs are removed when all logs of
    these builders together are larger, before compression; default 20 GiB.
    *artifactDays*: artifacts that are older are removed; default None.
    *buildDays*, *mostBuilds*: builds that are older (default 365), and the oldest of more builds of one builder
    (default None), are removed from the records.
    """

    def __init__(
        self,
        builders: Any = ("*",),
        *,
        logDays: Any = 30,
        logBytes: Any = 20 << 30,
        artifactDays: Any = None,
        buildDays: Any = 365,
        mostBuilds: Any = None,
    ) -> None:
        self.place = current_line(self)
        arguments = ArgumentChecker("Retention", self)
        self.builders = arguments.several("builders", [builders] if isinstance(builders, str) else builders)

        def days(name: str, value: Any) -> float:
            if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= MOST_DAYS:
                return value * DAY
            arguments.wrong(name, value, f"a number of days, above 0 and at most {MOST_DAYS}, or None")
            return DAY

        def whole(name: str, value: Any) -> int:
            return arguments.whole(name, value, least=1)

        self.log_age = arguments.optional(days, "logDays", logDays)
        self.log_bytes = arguments.optional(whole, "logBytes", logBytes)
        self.artifact_age = arguments.optional(days, "artifactDays", artifactDays)
        self.build_age = arguments.optional(days, "buildDays", buildDays)
        self.most_builds = arguments.optional(whole, "mostBuilds", mostBuilds)

    def matches(self, builder: str) -> bool:
        """
        Whether the policy may apply to *builder*.
        """
        return any(fnmatchcase(builder, each) for each in self.builders)


@frozen
class RetentionPolicies:
    """
    All policies of a farm.
    """

    policies: Sequence[Retention] = ()

    def of(self, builder: str) -> Retention:
        """
        The first policy that matches *builder*; if there is none, the default policy.
        """
        return next((each for each in self.policies if each.matches(builder)), _DEFAULT)


_DEFAULT = Retention()


def checked_policies(checker: ArgumentChecker, value: Any) -> RetentionPolicies:
    """
    Check ``c['retention']``: a `Retention`, or a list of them.
    """
    items = value if isinstance(value, (list, tuple)) else [value]
    if len(items) > MOST_POLICIES:
        checker.note(f"at most {MOST_POLICIES} policies are allowed.")
    for each in items:
        if not isinstance(each, Retention):
            checker.wrong("a policy", each, "one like util.Retention(logDays=30)")
    return RetentionPolicies([each for each in items[:MOST_POLICIES] if isinstance(each, Retention)])
