"""
Turns by group.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.round_robin import RoundRobin


class RoundRobinTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        Nothing waits.
        """
        self.waiting: RoundRobin[int] = RoundRobin()

    def add(self, **groups: list[int]) -> None:
        """
        Items of several groups.
        """
        for group, items in groups.items():
            for item in items:
                self.waiting.add(group, item)

    def taken(self) -> list[int]:
        """
        All that waits, in the order of the turns.
        """
        found = []
        while self.waiting:
            found.append(self.waiting.take())
        return found

    def test_groups_in_turn(self) -> None:
        """
        One item of each group, then the next of each; within a group first come, first served.
        """
        self.add(a=[1, 2, 3], b=[4, 5], c=[6])

        self.assertEqual(self.taken(), [1, 4, 6, 2, 5, 3])

    def test_comes_back(self) -> None:
        """
        A group whose only item was taken and comes again waits for one item of each other group, however many they
        have.
        """
        self.add(crowd=list(range(1000)), alone=[-1])
        found = []
        for _ in range(6):
            found.append(self.waiting.take())
            if found[-1] < 0:
                self.add(alone=[found[-1] - 1])

        self.assertEqual(found, [0, -1, 1, -2, 2, -3])

    def test_removed(self) -> None:
        """
        An item that waits no longer takes no turn, and neither does its group when it was the only one.
        """
        self.add(a=[1, 2], b=[3])
        self.waiting.remove("a", 1)
        self.waiting.remove("b", 3)

        self.assertEqual(self.taken(), [2])

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30))
    def test_each_once(self, steps: list[tuple[str, bool]]) -> None:
        """
        Whatever the order of adding and taking: each item is taken once, and those of a group in their order.
        """
        waiting: RoundRobin[tuple[str, int]] = RoundRobin()
        added, found = [], []
        for number, (group, take) in enumerate(steps):
            added.append((group, number))
            waiting.add(group, added[-1])
            if take:
                found.append(waiting.take())
        while waiting:
            found.append(waiting.take())

        self.assertEqual(sorted(found), sorted(added))
        for group in "abc":
            of_group = [number for each, number in found if each == group]
            self.assertEqual(of_group, sorted(of_group))
