"""
So much at once, and then so much a second: the one way in which rates are bounded here.
"""

from collections.abc import Callable

from attrs import define, field


@define
class Allowance:
    """
    A purse that is filled with *per_second* until it holds *most*.  It is full at first.  *now* tells the seconds.
    """

    now: Callable[[], float]
    most: float
    per_second: float
    _left: float = field(init=False)
    _counted: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._left, self._counted = self.most, self.now()

    @property
    def left(self) -> float:
        """
        What is in it; less than nothing after `spend` took more than there was.
        """
        now = self.now()
        self._left = min(self.most, self._left + (now - self._counted) * self.per_second)
        self._counted = now
        return self._left

    @property
    def wait(self) -> float:
        """
        Seconds until nothing is owed.
        """
        return max(0.0, -self.left / self.per_second)

    def take(self, amount: float = 1.0) -> bool:
        """
        Take *amount* out, if there is as much.
        """
        if self.left < amount:
            return False
        self._left -= amount
        return True

    def spend(self, amount: float) -> None:
        """
        Take *amount* out, even if less is there.
        """
        self._left = self.left - amount
