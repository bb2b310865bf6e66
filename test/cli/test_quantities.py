"""
Quantities with units, and times, as words of a command line.
"""

import time
from unittest import mock

import click
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.command_line.quantities import DURATION, SECONDS, SINCE, SIZE, WHEN

NOW = 1_800_000_000.0


class QuantityTests(SynchronousTestCase):
    """
    The parameter types.
    """

    def test_read(self) -> None:
        """
        A word becomes seconds, bytes or a time, whatever the case of its unit.
        """
        with mock.patch.object(time, "time", lambda: NOW):
            for kind, word, value in (
                (DURATION, "90m", 5400.0),
                (DURATION, "1.5H", 5400.0),
                (SIZE, "500", 500),
                (SIZE, "1.5k", 1536),
                (SIZE, "20M", 20 << 20),
                (SIZE, "0.1", 1),
                (SINCE, "7d", NOW - 7 * 86400),
                (SINCE, "999999999999999w", 0.0),
                (SINCE, "0002-01-01", 0.0),
                (SINCE, "2026-11-22T10:00:00+00:00", 1795341600.0),
                (WHEN, "1795341600.5", 1795341600.5),
                (WHEN, "2026-11-22T10:00:00+00:00", 1795341600.0),
                (SECONDS, "2.5", 2.5),
            ):
                self.assertEqual(kind.convert(word, None, None), value, word)

    def test_refused(self) -> None:
        """
        The sentence about another word contains the word and the form.
        """
        for kind, word, form in (
            (DURATION, "5", "one of s, m, h, d, w"),
            (DURATION, "0d", "one of s, m, h, d, w"),
            (DURATION, "999999999999999w", "at most 5200w"),
            (SIZE, "10x", "one of k, m, g, t"),
            (SIZE, "999999999999999t", "at most 1000000t"),
            (SINCE, "yesterday", "90m, 12h, 7d, or 2026-11-22"),
            (WHEN, "90m", "seconds since 1970, or 2026-11-22"),
            (SECONDS, "nan", "not a number"),
        ):
            refused = self.assertRaises(click.BadParameter, kind.convert, word, None, None)
            self.assertIn(word, refused.message)
            self.assertIn(form, refused.message)
