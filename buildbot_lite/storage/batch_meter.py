"""
How the writer of the database works: its transactions, and how long each took.
"""

from attrs import define, field

from ..model.histogram import Histogram


@define
class BatchMeter:
    """
    Counts transactions since the process started.  *changes*: those in all of them.  *seconds*: from the begin of each
    to its commit on the disk.
    """

    changes: int = 0
    seconds: Histogram = field(factory=Histogram)

    def add(self, changes: int, seconds: float) -> None:
        """
        Count a transaction.
        """
        self.changes += changes
        self.seconds.add(seconds)
