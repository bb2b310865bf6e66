"""
Trial load: a master.cfg is loaded in a process of its own before a master loads it.

A master.cfg is a program: it may loop, use all memory, or call ``os._exit``.  So it is loaded twice: first in a bounded
child process, which reports the mistakes; then, if there are none, in the master.  The child's time is bounded (by
`MARGIN` more than the given time; then the child and its descendants are killed), and so are its memory and processor
time.  The second load is bounded in time only (`call_within`), as far as Python can be interrupted: a master.cfg that
depends on the hour or on other machines may still behave differently there.

The child inherits the environment.  Secrets that were removed from it (`secret_stores`) reach the child through a pipe.
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
from .config.executed_line import MAIN_FILE
from .config.loading import load
from .config.master_config import DEFAULT_RECONFIG_TIMEOUT
from .config.secret_stores import taken
from .grants.listening import check_ports

MARGIN = 30.0
MEMORY = 1 << 30
LARGEST_RESULT = 4 << 20
# -P (Python's manual, "Command line"): do not import our modules from the current directory.
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from buildbot_lite.master.trial_load import main; main()"
# Named and not imported, because it is above: the child must know every key of c that the running master knows.
KEYS = "buildbot_lite.extensions:configuration_keys"
_SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@frozen
class TrialResult:
    """
    The numbers of slaves, builders and schedulers in a valid master.cfg, and *remarks* with their lines.
    """

    slaves: int
    builders: int
    schedulers: int
    remarks: tuple[str, ...] = ()


class TrialLoad:
    """
    One load of the master.cfg in *basedir*, within *seconds*.

    *ports*: also check whether a master could start: whether its ports are free ("free"), or free apart from those of
    the master that runs in *basedir* ("ours"); and whether the permissions of files with FURLs or records are safe.
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
        Load it, and block until the child has ended; `ConfigError` lists all mistakes.

        *quiet*: discard what master.cfg prints, instead of writing it to standard error.
        """
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, _SOURCE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(self._question, timeout=self._seconds + MARGIN)
        except BaseException as error:
            # Killed before `wait`: until then, no other process can have its process id.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise self._refused(f"had not ended after {self._seconds:.0f} s") from None
            raise
        return self._result(output, process.returncode)

    def stop(self) -> None:
        """
        Kill the child, from another thread; `run` raises.
        """
        if self._process is not None:
            self._process.kill()

    def _result(self, output: bytes, code: int) -> TrialResult:
        try:
            result: Mapping[str, Any] = json.loads(output[:LARGEST_RESULT])
        except ValueError:
            ending = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise self._refused(f"{ending} before it had been loaded") from None
        if result["wrong"]:
            raise ConfigError(result["wrong"])
        return TrialResult(result["slaves"], result["builders"], result["schedulers"], tuple(result["remarks"]))

    def _refused(self, sentence: str) -> ConfigError:
        return ConfigError(
            f"{MAIN_FILE}: The process in which it was tried {sentence}.  A master.cfg must come to its end."
        )


def main() -> None:
    """
    The child: read the question (JSON) from standard input, write the result (JSON) to standard output.
    """
    question = json.loads(sys.stdin.buffer.read())
    answer = os.fdopen(os.dup(1), "wb")
    # The output of master.cfg and its children goes to standard error; their standard input is empty.
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _bound(resource.RLIMIT_DATA, MEMORY)
    _bound(resource.RLIMIT_CPU, int(question["seconds"] + MARGIN) + 1)
    os.environ.update(question["environment"])
    os.chdir(question["basedir"])
    sys.path.insert(0, question["basedir"])  # as twistd does
    answer.write(json.dumps(_load_and_check(question)).encode())
    answer.flush()
    # Without waiting for threads that master.cfg started.
    os._exit(0)


def _load_and_check(question: Mapping[str, Any]) -> Mapping[str, Any]:
    basedir = question["basedir"]
    try:
        keys = resolve_name(KEYS)()
        generation = load(basedir, seconds=question["seconds"], keys=keys)
        config = generation.config
        if question["ports"] is not None:
            check_farm(basedir, config.database_in(basedir))
            check_ports(config, os.path.join(basedir, "private"), running=question["ports"] == "ours")
    except BuildbotLiteError as error:
        return {"wrong": str(error)}
    counts = {"slaves": config.slaves, "builders": config.builders, "schedulers": config.schedulers}
    remarks = [str(remark) for remark in generation.remarks]
    return {"wrong": "", "remarks": remarks, **{name: len(things) for name, things in counts.items()}}


def _bound(what: int, bound: int) -> None:
    hard = resource.getrlimit(what)[1]
    limit = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
    resource.setrlimit(what, (limit, hard))
