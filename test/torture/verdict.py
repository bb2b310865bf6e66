"""
What an oracle found.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from attrs import define, field


@define
class Verdict:
    """
    The result of the comparison.  *kept*: number of correct things by kind.  *lost*: kind and sentence of each loss.
    """

    kept: Counter[str] = field(factory=Counter)
    lost: list[tuple[str, str]] = field(factory=list)

    def note(self, kind: str, right: bool, sentence: str) -> None:
        """
        Record one comparison.
        """
        if right:
            self.kept[kind] += 1
        else:
            self.lost.append((kind, sentence))

    @property
    def judged(self) -> Counter[str]:
        """
        The number of comparisons of each kind.
        """
        return self.kept + Counter(kind for kind, _ in self.lost)

    def check_judged(self, missing: Sequence[str]) -> None:
        """
        Record whether each kind was compared.  *missing*: the kinds that should have been compared and were not.
        """
        self.note("judged", not missing, f"nothing was compared of: {', '.join(missing)}")

    def lines(self, kinds: Iterable[str]) -> list[str]:
        """
        A table of *kinds*, and all losses.
        """
        lost = Counter(kind for kind, _ in self.lost)
        rows = [f"  {self.kept[kind]:5} {lost[kind]:5} {kind}" for kind in kinds]
        return ["kept, lost:", *rows, *(f"LOST {kind}: {sentence}" for kind, sentence in self.lost)]
