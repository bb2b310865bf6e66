"""
The targets in master.cfg, ``c["targets"]``::

    c["targets"] = [DebTarget("bookworm", arches=["amd64", "i386", "all"], root=Overlay("bookworm"))]

makes the builders bookworm-amd64, bookworm-i386 and bookworm-all, and a string in ``furls/bookworm.furl``.
"""

from collections.abc import Sequence
from typing import Any

from ...master.config.arguments import ArgumentChecker
from ...master.config.executed_line import SourceLine, placed
from ...master.config.keys import Contribution, Key
from ...master.config.mistakes import note
from .package_scheduler import PackageScheduler
from .repository_place import shared
from .target import Target

MOST_TARGETS = 50


def checked_targets(checker: ArgumentChecker, value: Any) -> tuple[Target, ...]:
    """
    The value of ``c["targets"]``.
    """
    if not isinstance(value, (list, tuple)):
        checker.wrong("the value", value, "a list of targets")
        return ()
    if len(value) > MOST_TARGETS:
        checker.note(f"{len(value)} targets; at most {MOST_TARGETS} are allowed.")
    targets: dict[str, Target] = {}
    for each in value[:MOST_TARGETS]:
        if not isinstance(each, Target):
            checker.wrong("a target", each, 'one like DebTarget("bookworm", …)')
        elif each.name in targets:
            note(f"There are two targets called {each.name!r}.", each.place or SourceLine())
        elif each.name:
            targets[each.name] = each
    if both := shared(target.repository for target in targets.values()):
        checker.note(f"Two targets have their repository in {both[1]!r} and {both[0]!r}; give each a place of its own.")
    return tuple(targets.values())


def _contribution(targets: Sequence[Target]) -> Contribution:
    return Contribution(
        builders=[builder for target in targets for builder in target.all_builders],
        schedulers=[scheduler for target in targets for scheduler in _schedulers(target)],
    )


def _schedulers(target: Target) -> Sequence[PackageScheduler]:
    # A mistake about one of them, such as a name that is taken, stands at the line of the target.
    with placed(target.place or SourceLine()):
        return [PackageScheduler(target, name) for name in target.names]


TARGETS = Key("targets", checked_targets, (), contributes=_contribution)
"""The key ``c["targets"]``."""
