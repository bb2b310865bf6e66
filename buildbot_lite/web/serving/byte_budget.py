"""
The one number that says how many bytes of strangers this process holds, whatever they send, or do not read.

::

    the budget ──┬── what each room may have for sure
                 └── the rest, of which each room takes what it needs, and gives it back

Each kind of bytes has a `BudgetShare`: heads, forms, webhooks, answers.  Bounds of their own for all of them were
rejected: a process that keeps them all must have memory for their sum, which no farm ever needs, or each is so small
that it is in the way on a day when many do the same.  A part for sure for each: or what fills the budget by not reading
would keep webhooks out.
"""

from attrs import define, field


@define(eq=False)
class ByteBudget:
    """
    At most *most* bytes in all.  *promised*: of these, what the shares may have for sure.  *lent*: what they have
    beyond that.
    """

    most: int
    promised: int = 0
    lent: int = 0

    def share(self, sure: int) -> "BudgetShare":
        """
        A share that may have *sure* bytes whatever others have.
        """
        self.promised += sure
        assert self.promised <= self.most, "no more is promised than there is"
        return BudgetShare(self, sure)


@define(eq=False)
class BudgetShare:
    """
    What one kind of bytes has of *budget*: *held*, and *sure* of them whatever others have.
    """

    budget: ByteBudget
    sure: int
    held: int = field(default=0, init=False)

    def lacking(self, count: int) -> int:
        """
        How many bytes of its own must be given back before there is room for *count* more.
        """
        beyond = max(0, self.held + count - self.sure)
        lendable = self.budget.most - self.budget.promised - self.budget.lent + self._borrowed
        return max(0, beyond - max(0, lendable))

    @property
    def _borrowed(self) -> int:
        return max(0, self.held - self.sure)

    def add(self, count: int) -> None:
        """
        It has *count* bytes more; fewer, if that is negative.
        """
        before = self._borrowed
        self.held += count
        self.budget.lent += self._borrowed - before
