"""
Test cases with a farm.
"""

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from ..needs import MOUNTS
from .farm import Farm, can_mount


class FarmCase(SynchronousTestCase):
    """
    Tests that share one farm: `make` says which, and it is running before the first of them.
    """

    farm: ClassVar[Farm]

    @classmethod
    def make(cls) -> Farm:
        """
        The farm, not yet started.
        """
        raise NotImplementedError

    @classmethod
    def begin(cls) -> None:
        """
        Start it.
        """
        cls.farm.start()

    @classmethod
    def setUpClass(cls) -> None:
        """
        Make and start the farm.
        """
        super().setUpClass()
        cls.farm = cls.make()
        cls.addClassCleanup(cls.farm.close)
        cls.begin()


def root_only(case: Any) -> Any:
    """
    Skip *case* for whoever cannot mount small disks.
    """
    if not can_mount():
        case.skip = MOUNTS
    return case
