"""
Whole numbers in texts of others.
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.whole_numbers import whole_number


class WholeNumberTests(SynchronousTestCase):
    def test_numbers(self) -> None:
        """
        Decimal digits of ASCII are a number, up to as many as are wanted; nothing else is.
        """
        for text in ("0", "7", "007", "9" * 15):
            self.assertEqual(whole_number(text), int(text))
        self.assertEqual(whole_number("12345", 5), 12345)
        for text in ("", "-1", "+1", " 1", "1\n", "1_0", "1.0", "²", "٣", "9" * 16, "9" * 5000):
            self.assertIsNone(whole_number(text), text[:20])
        self.assertIsNone(whole_number("123456", 5))
