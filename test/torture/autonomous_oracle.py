"""
The oracle for changes, timers, triggers and locks: what the records and the witnesses of a campaign must say.
"""

from collections import Counter
from collections.abc import Callable

from .autonomous import CHANGE_SCHEDULERS, PERIOD, TIMERS, Repository
from .tortured_farm import TorturedFarm

Note = Callable[[str, bool, str], None]
LOSSES = ("changes", "buildsets of changes", "collapsed", "timers", "triggers", "lock holders")
# Seconds after a campaign's end: what has a later time was submitted while the master's clock was an hour ahead.
_AN_HOUR_AHEAD = 1800.0


def judge_autonomous(farm: TorturedFarm, repository: Repository, began: float, ended: float, note: Note) -> None:
    """
    Judge a campaign between *began* and *ended* (seconds since 1970), after which all requests have finished.
    """
    _changes(farm, repository, note)
    _buildsets(farm, note)
    _collapsed(farm, note)
    _timers(farm, began, ended, note)
    _triggers(farm, note)
    for line in farm.witnessed("overfull"):
        note("lock holders", False, line)
    for _ in farm.witnessed("holders"):
        note("lock holders", True, "")


def _changes(farm: TorturedFarm, repository: Repository, note: Note) -> None:
    found = Counter(farm.rows("select branch, revision from changes"))
    for branch, revision in sorted(repository.revisions()):
        count = found[(branch, revision)]
        note("changes", count == 1, f"{revision} on {branch} is {count} changes")
    for (branch, revision), count in found.items():
        note("changes", count == 1, f"{revision} on {branch} is {count} changes")


def _buildsets(farm: TorturedFarm, note: Note) -> None:
    for scheduler in CHANGE_SCHEDULERS:
        counted = farm.rows(
            "select c.id, count(b.id) from changes c left join buildset_changes x on x.change = c.id "
            "left join buildsets b on b.id = x.buildset and b.scheduler = ? group by c.id",
            scheduler,
        )
        for change, count in counted:
            note("buildsets of changes", count == 1, f"change {change} is in {count} buildsets of {scheduler}")
    for buildset, count in farm.rows(
        "select b.id, count(r.id) from buildsets b left join requests r on r.buildset = b.id "
        "where b.scheduler in ('each', 'stable', 'minutely', 'parts') group by b.id"
    ):
        note("buildsets of changes", count == 1, f"buildset {buildset} of one builder has {count} requests")


def _collapsed(farm: TorturedFarm, note: Note) -> None:
    for request, into, other in farm.rows(
        "select r.id, r.collapsed_into, o.id from requests r left join requests o on o.id = r.collapsed_into "
        "where r.collapsed_into is not null"
    ):
        note("collapsed", other is not None and into != request, f"request {request} was collapsed into {into}")


def _timers(farm: TorturedFarm, began: float, ended: float, note: Note) -> None:
    """
    Judge how often timers fired.  What was submitted while the master's clock was an hour ahead is not judged.
    """
    for name in TIMERS:
        fired = [at for (at,) in farm.rows("select submitted from buildsets where scheduler = ? order by id", name)]
        real = [at for at in fired if at < ended + _AN_HOUR_AHEAD]
        jumps = len(fired) - len(real)
        every = PERIOD if name == "often" else 60
        # One more at the launch, one at the campaign's end, and one whenever the clock is set back.
        most = (ended - began) / every + 2 + jumps
        note("timers", len(real) <= most, f"{name} fired {len(real)} times in {ended - began:.0f} s")
        for at in real:
            again = real.count(at)
            note("timers", again == 1, f"{name} fired {again} times at {at}")


def _triggers(farm: TorturedFarm, note: Note) -> None:
    for parent, count in farm.rows("select parent, count(*) from buildsets where scheduler = 'parts' group by parent"):
        note("triggers", parent is not None and count == 1, f"{parent} triggered {count} buildsets")
    for build, triggered in farm.rows(
        "select b.id, (select count(*) from buildsets s where s.parent_build = b.id) from builds b "
        "where b.builder = 'whole' and b.result = 0"
    ):
        note("triggers", triggered == 1, f"build {build} triggered {triggered} buildsets")
