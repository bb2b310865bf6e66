"""
Cleanup after a worker of xdist that ended in the middle of a test.

::

    worker ends --> the test that it ran has failed; the rest of its class runs in the worker that replaces it
                --> its processes (farms, keepers, commands) are killed
"""

import contextlib
import os
import signal
import time
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it has no types

from test.process_table import other_pids, read_proc

# A variable in the environment of a worker, and so of all processes that it starts.
MARK = "BUILDBOT_LITE_TEST_WORKER"
_PATIENCE = 10.0


class ClassScheduling(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """
    Keeps the tests of a class together.

    It also works around two defects of `LoadScopeScheduling`.  There, the test during which a worker ended is scheduled
    again: it ends the next worker, too, and so on until none is replaced.  And when two workers are replaced at the
    same time, one gets work before its collection is known, which ends the run.
    """

    def _reschedule(self, node: Any) -> None:
        if node in self.registered_collections:
            super()._reschedule(node)

    def remove_node(self, node: Any) -> str | None:
        """
        Remove a worker; return the test during which it ended, if any.
        """
        units = self.assigned_work[node]
        ended_by = next((test for unit in units.values() for test, is_done in unit.items() if not is_done), None)
        for unit in units.values():
            if ended_by in unit:
                unit[ended_by] = True
        self.assigned_work[node] = {scope: unit for scope, unit in units.items() if not all(unit.values())}
        super().remove_node(node)
        return ended_by


def pytest_configure(config: pytest.Config) -> None:
    """
    Mark a worker.
    """
    given = getattr(config, "workerinput", None)
    if given is not None:
        os.environ[MARK] = _name(given)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """
    Return one worker more than there are processors, because tests with processes also wait.
    """
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """
    Keep the tests of a class together, in the order of `pytest_collection_modifyitems`.
    """
    config.option.loadscopereorder = False
    return ClassScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """
    Kill the processes of a worker that ended in the middle of a test.
    """
    if error:
        kill_marked(_name(node.workerinput))


def kill_marked(name: str) -> None:
    """
    Send SIGKILL to all processes that the worker *name* started, until none is left.
    """
    mark = f"{MARK}={name}\0".encode()
    deadline = time.monotonic() + _PATIENCE
    while (
        left := [pid for pid in other_pids() if mark in read_proc(pid, "environ") + b"\0"]
    ) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _name(given: dict[str, Any]) -> str:
    return f"{given['testrunuid']}/{given['workerid']}"
