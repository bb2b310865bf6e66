"""
Test cases that share a farm.
"""

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from ..needs import MOUNTS
from .farm import Farm, can_mount


class FarmCase(SynchronousTestCase):
    """
    Tests that share one farm: `make` creates it, `begin` starts it, before the first test.
    """

    farm: ClassVar[Farm]

    @classmethod
    def make(cls) -> Farm:
        """
        Create the farm without starting it.
        """
        raise NotImplementedError

    @classmethod
    def begin(cls) -> None:
        """
        Start the farm.
        """
        cls.farm.start()

    @classmethod
    def setUpClass(cls) -> None:
        """
        Create and start the farm.
        """
        super().setUpClass()
        cls.farm = cls.make()
        cls.addClassCleanup(cls.farm.close)
        cls.begin()


def root_only(case: Any) -> Any:
    """
    Skip *case* for users who cannot mount small disks.
    """
    if not can_mount():
        case.skip = MOUNTS
    return case
