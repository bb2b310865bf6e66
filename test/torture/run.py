"""
Running one schedule against one farm, with a verdict.
"""

from collections import Counter
from collections.abc import Callable

from attrs import frozen

from test.processes.farm import can_mount

from .campaign import Campaign
from .oracle import LOSSES, judge
from .schedules import Event
from .tortured_farm import GRACE, TorturedFarm
from .verdict import Verdict


@frozen
class Report:
    """
    The injected failures, and the verdict.
    """

    injected: Counter[str]
    verdict: Verdict
    retried: int

    def __str__(self) -> str:
        lines = ["injected:"]
        lines += [f"  {count:5} {name}" for name, count in sorted(self.injected.items())]
        lines += [f"builds that were tried again, with a reason: {self.retried}", "", *self.verdict.lines(LOSSES)]
        return "\n".join(lines)


def torture(events: list[Event], *, say: Callable[[str], None] = lambda text: None, grace: float = GRACE) -> Report:
    """
    Run *events* against a new farm.  *grace*: of its slaves, in seconds.
    """
    with TorturedFarm(disks=can_mount(), grace=grace) as farm:
        farm.start()
        campaign = Campaign(farm, say)
        campaign.run(events)
        verdict = judge(campaign)
        if verdict.lost:
            say(f"the master's log:\n{farm.master.log_path.read_text(errors='replace')}")
        ((retried,),) = farm.rows("select count(*) from builds where result = 5")
        return Report(campaign.injected, verdict, retried)
