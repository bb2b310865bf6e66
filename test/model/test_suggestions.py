"""
Suggestions for misspelt names.
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.suggestions import FEW, did_you_mean, nearest, there_is_no


class SuggestionTests(SynchronousTestCase):
    def test_near(self) -> None:
        """
        A name that is nearly another one is probably meant to be that.
        """
        self.assertEqual(did_you_mean("buidlers", ["builders", "slaves"]), "  Did you mean 'builders'?")
        self.assertEqual(there_is_no("slave", "bto1", ["bot1"]), "There is no slave 'bto1'.  Did you mean 'bot1'?")

    def test_equally_near(self) -> None:
        """
        Where several names are equally near, none of them is proposed.
        """
        self.assertIsNone(nearest("bot9", ["bot1", "bot2"]))
        self.assertEqual(did_you_mean("bot9", ["bot1", "bot2"]), "  There are: bot1, bot2.")
        self.assertEqual(nearest("bot2a", ["bot1", "bot2"]), "bot2")

    def test_few(self) -> None:
        """
        A few names are listed, in their order; of many it is said where to see them.
        """
        self.assertEqual(did_you_mean("x", ["slaves", "builders"]), "  There are: slaves, builders.")
        many = [str(number) for number in range(FEW + 1)]
        self.assertEqual(did_you_mean("x", many), "")
        self.assertEqual(did_you_mean("x", many, see="buildbot-lite builders"), "  See: buildbot-lite builders")

    def test_none(self) -> None:
        """
        Where there is nothing of the kind, nothing is proposed.
        """
        self.assertEqual(did_you_mean("x", [], see="buildbot-lite builders"), "")
