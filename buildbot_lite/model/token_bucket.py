"""
Token bucket: the one implementation of rate limits.
"""

from collections.abc import Callable

from attrs import define, field


@define
class TokenBucket:
    """
    A bucket of *most* tokens, which is full at first and gets *per_second* tokens each second.  *now*: returns the
    seconds of a monotonic clock.
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
        The number of tokens in the bucket; negative after `spend` took more than there were.
        """
        now = self.now()
        self._left = min(self.most, self._left + (now - self._counted) * self.per_second)
        self._counted = now
        return self._left

    @property
    def wait(self) -> float:
        """
        Seconds until `left` is not negative.
        """
        return max(0.0, -self.left / self.per_second)

    def take(self, amount: float = 1.0) -> bool:
        """
        Take *amount* tokens if there are so many; return whether it did.
        """
        if self.left < amount:
            return False
        self._left -= amount
        return True

    def spend(self, amount: float) -> float:
        """
        Take *amount* tokens, even if there are fewer, and return how many are left.  A negative *amount* is a refund,
        which fills the bucket up to *most*.
        """
        self._left = self.left - amount
        return self._left


def once_every(seconds: float, now: Callable[[], float]) -> TokenBucket:
    """
    A bucket that gives one token every *seconds*, for example for a log line.
    """
    return TokenBucket(now, 1.0, 1.0 / seconds)
