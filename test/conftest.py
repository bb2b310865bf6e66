"""
What holds for every test of the run.
"""

import os
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """
    Let tests make their temporary directories outside this checkout.

    A test of the Git step once ran in a directory below it, and git took the checkout around it for the build's own.
    """
    os.chdir(tempfile.mkdtemp(prefix="buildbot-lite-tests-"))
