"""
What holds for every test of the run.
"""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """
    Let tests make their temporary directories outside this checkout.

    A test of the Git step once ran in a directory below it, and git took the checkout around it for the build's own.
    """
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("tests"))
    yield
    os.chdir(before)
