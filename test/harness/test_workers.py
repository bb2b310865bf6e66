"""
The number of workers, and the order of the tests.
"""

import os
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from .nested_pytest import NestedPytestCase
from .workers import pytest_xdist_auto_num_workers as auto_num_workers

CONFTEST = """
    import os

    import pytest
    from test.conftest import pytest_collection_modifyitems

    @pytest.fixture(autouse=True)
    def noted(request):
        with open(os.environ["NOTES"], "a") as file:
            file.write(f"{request.node.name}\\n")
    """
TESTS = """
    from twisted.trial.unittest import SynchronousTestCase

    class FirstTests(SynchronousTestCase):
        def test_first(self):
            pass

        def test_second(self):
            pass

    class SecondTests(SynchronousTestCase):
        def test_third(self):
            pass
    """


class OrderTests(NestedPytestCase):
    plugins = ("test.harness.workers",)

    def setUp(self) -> None:
        """
        Tests in memory, and of both kinds with processes.
        """
        super().setUp()
        self.file("conftest.py", CONFTEST)
        for path in ("test/model/test_a.py", "test/processes/test_b.py", "test/torture/test_c.py"):
            self.file(path, TESTS.replace("test_", f"test_{path[-4]}_"))
        self.notes = self.directory / "notes"

    def test_longest_first(self) -> None:
        """
        The longest tests run first, so that no worker is left with them at the end; the others keep their order.
        """
        ran = self.pytest("-n0", "--import-mode=importlib", env={"NOTES": str(self.notes)})
        self.assertEqual(ran.code, 0, ran.text)
        names = self.notes.read_text().splitlines()
        self.assertEqual(names, [f"test_{kind}_{which}" for kind in "cba" for which in ("first", "second", "third")])


class NumberTests(SynchronousTestCase):
    def test_one_more(self) -> None:
        """
        ``-n auto`` starts one worker more than the available processors.
        """
        with mock.patch.object(os, "sched_getaffinity", return_value={0, 3}):
            self.assertEqual(auto_num_workers(), 3)
