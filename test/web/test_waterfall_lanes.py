"""
Lanes of the waterfall.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.web.pages.waterfall_lanes import MOST_LANES, Extent, laid_out

EXTENTS = st.lists(st.tuples(st.integers(0, 100), st.integers(1, 30)), max_size=40)


class LanesTests(SynchronousTestCase):
    @given(EXTENTS)
    def test_nothing_hidden(self, given_extents: list[tuple[int, int]]) -> None:
        """
        No block hides another, none is lost, and all lanes of a group are equally wide.
        """
        extents = [Extent(n, top, top + height) for n, (top, height) in enumerate(given_extents)]
        lanes, crowds = laid_out(extents)
        self.assertEqual(len(lanes) + sum(each.count for each in crowds), len(extents))
        self.assertEqual(len({each.extent.what for each in lanes}), len(lanes))
        boxes = [
            (each.extent.top, each.extent.bottom, each.number / each.lanes, (each.number + 1) / each.lanes)
            for each in lanes
        ] + [(each.top, each.bottom, 1 - 1 / MOST_LANES, 1.0) for each in crowds]
        for index, (top, bottom, left, right) in enumerate(boxes):
            self.assertLessEqual(right, 1.0)
            for other_top, other_bottom, other_left, other_right in boxes[:index]:
                overlap = top < other_bottom and other_top < bottom and left < other_right and other_left < right
                self.assertFalse(overlap, boxes)

    def test_examples(self) -> None:
        """
        A block alone has the whole width; of more than four at a time, the last lane counts the others.
        """
        lanes, crowds = laid_out([Extent("a", 0, 5), Extent("b", 10, 15), Extent("c", 12, 20)])
        self.assertEqual(
            [(each.extent.what, each.number, each.lanes) for each in lanes], [("a", 0, 1), ("b", 0, 2), ("c", 1, 2)]
        )
        self.assertEqual(crowds, [])
        lanes, crowds = laid_out(Extent(str(n), 0, 5 + n) for n in range(6))
        self.assertEqual([each.extent.what for each in lanes], ["0", "1", "2"])
        self.assertEqual([(each.count, each.top, each.bottom) for each in crowds], [(3, 0, 10)])
