"""
Extension points.
"""

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.registry import Registry


@frozen
class _Verb:
    name: str


class RegistryTests(SynchronousTestCase):
    """
    Extension points are registries.
    """

    def test_order(self) -> None:
        """
        Entries are found by name, and listed in the order in which they were added.
        """
        registry = Registry("verb", [_Verb("slave"), _Verb("admin")])
        watch = registry.add(_Verb("watch"))

        self.assertEqual(list(registry), ["slave", "admin", "watch"])
        self.assertEqual(len(registry), 3)
        self.assertIs(registry["watch"], watch)
        self.assertIsNone(registry.get("submit"))

    def test_taken(self) -> None:
        """
        A name that is taken is refused, and the first entry stays.
        """
        first = _Verb("slave")
        registry = Registry("verb", [first])

        error = self.assertRaises(ValueError, registry.add, _Verb("slave"))

        self.assertEqual(str(error), "There are two entries for the verb 'slave'.")
        self.assertIs(registry["slave"], first)

    def test_separate(self) -> None:
        """
        An entry that is added to one registry is in no other.
        """
        registry, other = Registry[_Verb]("verb"), Registry[_Verb]("verb")
        registry.add(_Verb("slave"))

        self.assertEqual(dict(other), {})
