"""
``make demo``: a farm on this machine, one real job, and a terminal to try more from.

Everything is in ``.demo`` below the checkout and is started by the stock programs: twistd runs the master and the
slaves, flappclient submits.  However this ends (the job with ONCE=1, Ctrl-C, a closed terminal), every process of the
farm ends with it.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

CHECKOUT = Path(__file__).resolve().parents[2]
FARM = CHECKOUT / ".demo"
BIN = Path(sys.executable).parent
SLAVES = ("bot1", "bot2")
PATIENCE = 60.0

ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ.get('PATH', '/usr/local/bin:/usr/bin:/bin')}",
    "DEMO_CHECKOUT": str(CHECKOUT),
    "DEMO_PYTHON": sys.executable,
}


class DemoError(Exception):
    """
    The demo cannot go on; its sentence says why.
    """


class Ended(BaseException):
    """
    Somebody wants the demo to end.
    """


class Farm:
    """
    The processes of the demo.
    """

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, directory: Path, tac: str) -> None:
        """
        Start one with twistd, in a session of its own, so that Ctrl-C is ours to pass on.
        """
        command = [str(BIN / "twistd"), "--nodaemon", "--pidfile=", "--logfile=twistd.log", "-y", tac]
        self._running[name] = subprocess.Popen(
            command,
            cwd=directory,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def wait_for(self, path: Path, name: str) -> None:
        """
        Wait until *name* has written *path*.
        """
        self._wait(path.exists, name)

    def wait_for_line(self, path: Path, text: str, name: str) -> None:
        """
        Wait until *text* is in the file *path*.
        """
        self._wait(lambda: path.exists() and text in path.read_text(errors="replace"), name)

    def stop(self) -> None:
        """
        End all of them, with everything that they run.
        """
        for process in self._running.values():
            if process.poll() is None:
                # SIGUSR1: kill what runs, the keepers too, and stop.
                process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 15
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def _wait(self, done: "object", name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():  # type: ignore[operator]  # a function
            process = self._running[name]
            if process.poll() is not None:
                said = process.stderr.read().decode(errors="replace") if process.stderr else ""
                raise DemoError(f"{name} ended: {said.strip() or 'see .demo/*/twistd.log'}")
            if time.monotonic() > deadline:
                raise DemoError(f"{name} did not start within {PATIENCE:.0f} s; see .demo/*/twistd.log")
            time.sleep(0.05)


def run(*command: str, **options: object) -> None:
    """
    Run one of our own commands, quietly.
    """
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise DemoError(done.stderr.decode(errors="replace").strip() or f"{command[0]} failed")


def set_up() -> None:
    """
    Make the directories of the master and its slaves, unless an earlier demo did.
    """
    if not (FARM / "master" / "master.tac").exists():
        run(str(BIN / "buildbot-lite"), "create-master", str(FARM / "master"))
    (FARM / "master" / "master.cfg").write_text((CHECKOUT / "docs" / "demo" / "master.cfg").read_text())


def set_up_slave(name: str) -> None:
    """
    Make a slave's directory from its one string.
    """
    if not (FARM / name / "slave.tac").exists():
        furl = (FARM / "master" / "furls" / f"{name}.furl").read_text().splitlines()[-1]
        run(str(BIN / "buildbot-lite"), "create-slave", str(FARM / name), "-", input=furl.encode())


def submit() -> int:
    """
    The job: its log on the terminal, its result as exit code.
    """
    furl = FARM / "master" / "furls" / "demo.furl"
    say(f"$ flappclient --furlfile {furl.relative_to(CHECKOUT)} run-command")
    process = subprocess.Popen(
        [str(BIN / "flappclient"), "--furlfile", str(furl), "run-command"], env=ENVIRONMENT, stdin=subprocess.DEVNULL
    )
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def say(text: str) -> None:
    """
    A line for whoever watches.
    """
    try:
        print(text, flush=True)
    except OSError:
        raise Ended from None


def what_next() -> str:
    """
    Commands that work while the demo is up.
    """
    bin_, master = BIN.relative_to(CHECKOUT), (FARM / "master").relative_to(CHECKOUT)
    return f"""
The farm is up.  Try, in another terminal, from {CHECKOUT}:

  {bin_}/buildbot-lite status {master}
  {bin_}/buildbot-lite builds {master}
  {bin_}/buildbot-lite log {master} demo 1
  {bin_}/flappclient --furlfile {master}/furls/demo.furl run-command
  {bin_}/buildbot-lite force {master} demo --wait

Its configuration is {master}/master.cfg.  Ctrl-C ends everything.
"""


def end(number: int, frame: FrameType | None) -> None:
    """
    A signal asks us to end.
    """
    raise Ended


def main() -> int:
    """
    Run the demo; answers the exit code.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    farm = Farm()
    try:
        set_up()
        (FARM / "master" / "twistd.log").unlink(missing_ok=True)
        farm.start("master", FARM / "master", "master.tac")
        farm.wait_for_line(FARM / "master" / "twistd.log", "the master is ready", "master")
        for name in SLAVES:
            set_up_slave(name)
            (FARM / name / "twistd.log").unlink(missing_ok=True)
            farm.start(name, FARM / name, "slave.tac")
        for name in SLAVES:
            farm.wait_for_line(FARM / name / "twistd.log", "attached to the master", name)
        say("a master and two slaves are running, started with twistd")
        code = submit()
        say(f"\nthe job's exit code: {code}")
        if os.environ.get("ONCE"):
            return code
        say(what_next())
        while True:
            signal.pause()
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except Ended:
        return 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        farm.stop()


if __name__ == "__main__":
    sys.exit(main())
