"""
No test can hang the run.

::

    a Deferred that never fires   trial fails the test after its ``timeout``
    anything else that hangs      after the ini option ``timeout`` of pytest-timeout a watchdog of `faulthandler`, which
                                  needs no Python to run (not even the GIL), writes all stacks and ends the process
    a worker that does not end    the same, `ENDING` seconds after its last test

The stacks go to a file for each worker of xdist, and are printed at the end; without xdist to stderr, because the
process that would print them is the one that ends.  (Of pytest-timeout's own methods, *signal* does not interrupt
code that holds the GIL or catches all exceptions, and *thread* writes into the output of other tests.)
"""

import faulthandler
import os
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import IO, Any

import pytest
from twisted.trial.unittest import TestCase

# Seconds for the Deferreds of a test; less than the ini option `timeout`, so that the test fails and its process lives.
DEFERREDS = float(os.environ.get("TEST_DEFERREDS", "300"))
# Seconds for a worker to end after its last test.
ENDING = float(os.environ.get("TEST_ENDING", "60"))
_DIRECTORY = "stacks_directory"


def pytest_configure(config: pytest.Config) -> None:
    """
    Register the plugins, in each process.
    """
    TestCase.timeout = DEFERREDS  # type: ignore[attr-defined]  # trial looks for it, and declares it nowhere
    given = getattr(config, "workerinput", None)
    if given is None and config.getoption("numprocesses", None):
        config.pluginmanager.register(Stacks(), "bounds-stacks")
    elif given is not None:
        name = os.path.join(given[_DIRECTORY], given["workerid"])
        config.pluginmanager.register(Watchdog(open(name, "w"), config), "bounds-watchdog")  # noqa: SIM115
    else:
        stderr = os.fdopen(os.dup(2), "w")
        config.pluginmanager.register(Watchdog(stderr, config), "bounds-watchdog")


class Watchdog:
    """
    Ends this process when a test takes too long, and writes all stacks to *file*.
    """

    def __init__(self, file: IO[str], config: pytest.Config) -> None:
        self._file = file
        self._is_worker = hasattr(config, "workerinput")
        faulthandler.enable(file)

    @pytest.hookimpl(optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool:
        """
        Arm the watchdog for a test or its class.
        """
        self._say(f"{item.nodeid} took longer than {settings.timeout:g} s, or ended its process:")
        faulthandler.dump_traceback_later(settings.timeout, exit=True, file=self._file)
        return True

    @pytest.hookimpl(optionalhook=True)
    def pytest_timeout_cancel_timer(self, item: pytest.Item) -> bool:
        """
        Disarm the watchdog.
        """
        faulthandler.cancel_dump_traceback_later()
        self._say("")
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """
        Arm the watchdog for the end of a worker, which has no more tests.
        """
        if self._is_worker:
            self._say(f"A worker did not end within {ENDING:g} s after its last test:")
            faulthandler.dump_traceback_later(ENDING, exit=True, file=self._file)

    def _say(self, line: str) -> None:
        """
        Replace the contents of the file by *line*.
        """
        if self._is_worker:
            self._file.seek(0)
            self._file.truncate()
            self._file.write(line and f"{line}\n")
            self._file.flush()


class Stacks:
    """
    In the process that controls the workers: prints their files.
    """

    def __init__(self) -> None:
        self._directory = Path(mkdtemp(prefix="stacks-"))
        self._ended_badly: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """
        Tell a new worker the directory for its file.
        """
        node.workerinput[_DIRECTORY] = str(self._directory)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """
        Note a worker that ended abnormally.
        """
        if error:
            self._ended_badly.append(node.workerinput["workerid"])

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """
        Print the stacks of the workers that ended abnormally.
        """
        for worker in self._ended_badly:
            terminalreporter.section(f"stacks of {worker}, which had to end, or did")
            terminalreporter.write((self._directory / worker).read_text(errors="replace"))

    @pytest.hookimpl(wrapper=True)
    def pytest_unconfigure(self) -> Iterator[None]:
        """
        Remove the files.
        """
        rmtree(self._directory, ignore_errors=True)
        yield
