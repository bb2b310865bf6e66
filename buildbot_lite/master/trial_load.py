"""
Loading a master.cfg in a process of its own, to see whether it is good, before a master does.

A master.cfg is a program: it may loop, take all memory, or call ``os._exit``.  So it is loaded twice: first in a child
with bounds, which answers what is wrong with it; and, when nothing is, in the master.  Of the child the time (`MARGIN`
more than it is given, then it is killed with its descendants), the memory and the processor time are bounded.  Of the
second load only the time is (`time_limit`), and only as far as Python can be interrupted: a master.cfg that depends on
the hour or on other machines may still end otherwise there than in the child.

The child inherits the environment.  Secrets that were taken out of it (`secret_stores`) reach the child through a pipe.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pkgutil import resolve_name
from typing import Any

from attrs import frozen

from ..errors import BuildbotLiteError, ConfigError
from ..storage.permissions import check_farm
from .config.loading import load
from .config.master_config import DEFAULT_RECONFIG_TIMEOUT
from .config.mistakes import MAIN_FILE
from .config.secret_stores import taken
from .grants.listening import check_ports

MARGIN = 30.0
MEMORY = 1 << 30
LARGEST_RESULT = 4 << 20
# -P: a module in the current directory must not be taken for one of ours.
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from buildbot_lite.master.trial_load import main; main()"
# Named and not imported, because it is above: the child must know every key of c that the running master knows.
KEYS = "buildbot_lite.extensions:configuration_keys"
_SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@frozen
class TrialResult:
    """
    A master.cfg that is good: how many *slaves*, *builders* and *schedulers* it has.
    """

    slaves: int
    builders: int
    schedulers: int


class TrialLoad:
    """
    One load of the master.cfg in *basedir*, which may take so many *seconds*.

    *ports*: try as well whether a master could start with it: listen where it says, "free" when none runs there, "ours"
    when one does; and whether files with strings or records may be read by others, with which it would not.
    """

    def __init__(self, basedir: str, *, seconds: float = DEFAULT_RECONFIG_TIMEOUT, ports: str | None = None) -> None:
        self._basedir = os.path.abspath(basedir)
        self._seconds = seconds
        self._question = json.dumps(
            {"basedir": self._basedir, "seconds": seconds, "ports": ports, "environment": taken()}
        ).encode()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, *, quiet: bool = False) -> TrialResult:
        """
        Wait for the verdict; `ConfigError`, with all that is wrong, when it is not good.

        *quiet*: what master.cfg prints goes nowhere, instead of to standard error.
        """
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, _SOURCE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(self._question, timeout=self._seconds + MARGIN)
        except BaseException as error:
            # Before it is waited for: until then nobody else can get its number.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise self._refused(f"had not ended after {self._seconds:.0f} s") from None
            raise
        return self._result(said, process.returncode)

    def stop(self) -> None:
        """
        End it, from another thread; `run` raises.
        """
        if self._process is not None:
            self._process.kill()

    def _result(self, said: bytes, code: int) -> TrialResult:
        try:
            verdict: Mapping[str, Any] = json.loads(said[:LARGEST_RESULT])
        except ValueError:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise self._refused(f"{how} before it had been loaded") from None
        if verdict["wrong"]:
            raise ConfigError(verdict["wrong"])
        return TrialResult(verdict["slaves"], verdict["builders"], verdict["schedulers"])

    def _refused(self, what: str) -> ConfigError:
        return ConfigError(
            f"{MAIN_FILE}: The process in which it was tried {what}.  A master.cfg must come to its end."
        )


def main() -> None:
    """
    The child: read the question from standard input, write the verdict to standard output.
    """
    question = json.loads(sys.stdin.buffer.read())
    answer = os.fdopen(os.dup(1), "wb")
    # What master.cfg prints, and what its children have.
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _bound(resource.RLIMIT_DATA, MEMORY)
    _bound(resource.RLIMIT_CPU, int(question["seconds"] + MARGIN) + 1)
    os.environ.update(question["environment"])
    os.chdir(question["basedir"])
    sys.path.insert(0, question["basedir"])  # as twistd does
    answer.write(json.dumps(_judged(question)).encode())
    answer.flush()
    # Threads that master.cfg started are not waited for.
    os._exit(0)


def _judged(question: Mapping[str, Any]) -> Mapping[str, Any]:
    basedir = question["basedir"]
    try:
        keys = resolve_name(KEYS)()
        config = load(basedir, seconds=question["seconds"], keys=keys).config
        if question["ports"] is not None:
            check_farm(basedir, config.database_in(basedir))
            check_ports(config, os.path.join(basedir, "private"), running=question["ports"] == "ours")
    except BuildbotLiteError as error:
        return {"wrong": str(error)}
    counts = {"slaves": config.slaves, "builders": config.builders, "schedulers": config.schedulers}
    return {"wrong": "", **{name: len(things) for name, things in counts.items()}}


def _bound(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (limit, hard))
