"""
What the oracle of packages finds.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from .package_farm import GOOD, OPEN, RPMS, Package, PackageFarm
from .package_oracle import _judge_jobs, _judge_repository
from .verdict import Verdict


class MadeUpFarm(PackageFarm):
    """
    A farm in the directory *place* whose jobs are *jobs*, all of them published.
    """

    def __init__(self, place: Path, jobs: Collection[Package] = ()) -> None:
        self.place = place
        self.jobs = jobs
        self.arch = "amd64"

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        history = json.dumps([["pushed", 1.0], ["finished", 2.0]])
        return [(number, *each, "finished", "", history) for number, each in enumerate(self.jobs, 1)]

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
    def test_latest(self) -> None:
        """
        The latest version of each package that was pushed to the open target must be public; earlier ones need not.
        """
        jobs = [Package(OPEN, "p1", f"{number}.0") for number in (9, 10, 8)]
        for version, lost in (("10.0", False), ("9.0", True)):
            farm, verdict = MadeUpFarm(Path(self.mktemp()), jobs), Verdict()
            farm.snapshot(OPEN, "public", [f"p1_{version}_amd64.deb", f"p1-data_{version}_all.deb"])
            _judge_jobs(farm, verdict, dict.fromkeys(jobs, GOOD), {}, [])
            self.assertEqual(bool(verdict.lost), lost, verdict.lost)

    def test_no_lists(self) -> None:
        """
        A repository for dnf without its lists is a loss.
        """
        farm, verdict = MadeUpFarm(Path(self.mktemp())), Verdict()
        farm.snapshot(RPMS, "public", [])
        _judge_repository(farm, verdict, RPMS, "public")
        self.assertTrue(verdict.lost)
