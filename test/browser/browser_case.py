"""
Test cases that share a browser.
"""

from collections.abc import Sequence
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from .browser import Browser


class BrowserCase(SynchronousTestCase):
    """
    Tests that share one browser.  `serve` starts the pages before the first test, and says where they are.

    A subclass has the decorator ``@needs("chromium", "chromedriver")``.
    """

    browser: ClassVar[Browser]
    hosts: ClassVar[Sequence[str]] = ()
    """Names that lead to this machine in the browser."""

    @classmethod
    def serve(cls) -> str:
        """
        Start what the browser shall see; returns its address, which ends with "/".
        """
        raise NotImplementedError

    @classmethod
    def setUpClass(cls) -> None:
        """
        Start the pages and the browser.
        """
        super().setUpClass()
        if getattr(cls, "skip", ""):
            return
        address = cls.serve()
        cls.browser = Browser(address, cls.hosts)
        cls.addClassCleanup(cls.browser.close)

    def setUp(self) -> None:
        """
        Begin each test with an empty page.
        """
        self.browser.reset()

    def assert_sound(self) -> None:
        """
        The page complains of nothing, contains nothing that is not ours, and has no serious violation of accessibility.
        """
        self.assertEqual(self.browser.complaints(), [])
        self.assertEqual(self.browser.injected(), [])
        self.assertEqual(self.browser.violations(), [])
