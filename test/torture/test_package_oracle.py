"""
What the oracle of packages finds.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from .kept_versions import Publication, kept_packages
from .package_campaign import PackageCampaign
from .package_farm import GOOD, LONGEST_PAUSE, OPEN, RPMS, Package, PackageFarm
from .package_oracle import _judge_jobs, judge_repository
from .verdict import Verdict

# The packages of a job, with their architectures.
FILES = {"p1": "amd64", "p1-data": "all"}


def _published(at: float) -> str:
    return json.dumps([["needsign", at], ["pushed", at + 0.5], ["finished", at + 0.6]])


class PatienceTests(SynchronousTestCase):
    def test_left_alone(self) -> None:
        """
        A job whose repository is not to be had goes on by itself after the longest pause of its target; one that
        people had to requeue is a loss.
        """
        farm, now = mock.MagicMock(spec=PackageFarm), [100.0]
        farm.daemon = mock.MagicMock()
        stuck = [(7, OPEN, "repowait", "the disk is full")]
        farm.rows = lambda query, *arguments: stuck if "package_jobs " in query else []
        campaign = PackageCampaign(farm, lambda said: None)
        with mock.patch("time.monotonic", lambda: now[0]), mock.patch("time.sleep"):
            self.assertFalse(campaign._settled())
            now[0] += LONGEST_PAUSE + 30
            self.assertFalse(campaign._settled())
            farm.verb.assert_not_called()
            now[0] += LONGEST_PAUSE
            self.assertFalse(campaign._settled())
        farm.verb.assert_called_once_with("requeue", "7")
        self.assertEqual(campaign.left_alone, ["job 7 stayed in repowait: the disk is full"])


class MadeUpFarm(PackageFarm):
    """
    A farm in the directory *place* whose jobs are *jobs*, all of them published, in this order.
    """

    def __init__(self, place: Path, jobs: Collection[Package] = ()) -> None:
        self.place = place
        self.jobs = jobs
        self.arch = "amd64"

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        return [(number, *each, "finished", "", _published(number)) for number, each in enumerate(self.jobs, 1)]

    def target_place(self, target: str) -> Path:
        return self.place / target

    def snapshot(self, target: str, kind: str, names: Collection[str]) -> None:
        """
        Let the repository *kind* of *target* have the packages *names*.
        """
        tree = self.place / target / "snapshots" / kind / "tree"
        tree.mkdir(parents=True)
        packages = {name: [1, "0" * 64] for name in names}
        (tree.parent / "snapshot.json").write_text(json.dumps({"packages": packages}))
        (self.place / target / kind).symlink_to(tree.resolve())


class PackageOracleTests(SynchronousTestCase):
    def test_kept(self) -> None:
        """
        The latest two versions of each package of the open target must be public, and the one that was published last,
        and no others.
        """
        jobs = [Package(OPEN, "p1", f"{number}.0") for number in (9, 10, 8, 11, 7)]
        for versions, lost in (((11, 10, 7), False), ((11, 10), True), ((11, 7), True), ((11, 10, 9, 7), True)):
            farm, verdict = MadeUpFarm(Path(self.mktemp()), jobs), Verdict()
            names = [f"{name}_{each}.0_{arch}.deb" for each in versions for name, arch in FILES.items()]
            farm.snapshot(OPEN, "public", names)
            _judge_jobs(farm, verdict, dict.fromkeys(jobs, GOOD), {}, [])
            self.assertEqual(bool(verdict.lost), lost, (versions, verdict.lost))

    def test_doubtful(self) -> None:
        """
        Where nobody knows which of two versions was published last, either may be public.
        """
        names = {number: frozenset({str(number)}) for number in (1, 2, 8, 9)}
        times = {8: (1.0, 2.0), 9: (3.0, 4.0), 1: (5.0, 8.0), 2: (6.0, 7.0)}
        published = [Publication("p", float(each), *times[each], names[each]) for each in times]
        self.assertEqual(kept_packages(published, 2), ({"8", "9"}, {"1", "2", "8", "9"}))

    def test_no_lists(self) -> None:
        """
        A repository for dnf without its lists is a loss.
        """
        farm, verdict = MadeUpFarm(Path(self.mktemp())), Verdict()
        farm.snapshot(RPMS, "public", [])
        judge_repository(farm, verdict, RPMS, "public")
        self.assertTrue(verdict.lost)
