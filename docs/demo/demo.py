"""
``make demo``: a farm on this machine, one real job, its pages, and a terminal to try more from.

Everything is in ``.demo`` below the checkout and is started by the stock programs: twistd runs the master, the slaves
and the web process, flappclient submits.  However this ends (the job with ONCE=1, Ctrl-C, a closed terminal), every
process of the farm ends with it, the keepers and what they run included.
"""

import fcntl
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

CHECKOUT = Path(__file__).resolve().parents[2]
# Relative to the checkout, in which all of this runs: a socket's path must be short.
FARM = Path(".demo")
MASTER = FARM / "master"
WEB = MASTER / "web"
BIN = Path(sys.executable).parent
SLAVES = ("bot1", "bot2")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds until a process counts as stuck.
TIMEOUT = 60.0
STOP_TIMEOUT = 15.0
INTERRUPTED = 130

ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ.get('PATH', '/usr/local/bin:/usr/bin:/bin')}",
    "DEMO_CHECKOUT": str(CHECKOUT),
    "DEMO_PYTHON": sys.executable,
    # The checkout may belong to somebody else, as in a container; git would refuse to clone it.
    "GIT_CONFIG_GLOBAL": str(CHECKOUT / FARM / "gitconfig"),
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
        self._running: dict[Path, subprocess.Popen[bytes]] = {}

    def start(self, directory: Path, *, until: str) -> None:
        """
        Start one with twistd, and wait until its log says *until*.
        """
        log = directory / "twistd.log"
        log.unlink(missing_ok=True)
        process = self._start(directory)

        def ready() -> bool:
            if process.poll() is not None:
                said = (directory / "twistd.errors").read_text(errors="replace").strip()
                raise DemoError(f"{directory.name} ended: {said or f'see {log}'}")
            return log.exists() and until in log.read_text(errors="replace")

        if not wait(ready, TIMEOUT):
            raise DemoError(f"{directory.name} did not start within {TIMEOUT:.0f} s; see {log}")

    def revive(self) -> None:
        """
        Start those again that died, as systemd would.
        """
        for directory, process in list(self._running.items()):
            if process.poll() is not None:
                say(f"{directory.name} died; it is started again.")
                self._start(directory)

    def stop(self) -> None:
        """
        End all of them, with everything that they run.
        """
        for process in self._running.values():
            # SIGUSR1: kill what runs, the keeper too, and stop.
            process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + STOP_TIMEOUT
        for directory, process in self._running.items():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
            # Also what it was just about to start.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            (directory / "twistd.pid").unlink(missing_ok=True)
        for directory in (MASTER / "own", *(FARM / name for name in SLAVES)):
            end_keeper(directory / "keeper")

    def _start(self, directory: Path) -> subprocess.Popen[bytes]:
        # One that was killed has left it.
        (directory / "twistd.pid").unlink(missing_ok=True)
        tac = {MASTER: "master.tac", WEB: "web.tac"}.get(directory, "slave.tac")
        with noted(), (directory / "twistd.errors").open("wb") as said:
            process = self._running[directory] = subprocess.Popen(
                [str(BIN / "twistd"), "--nodaemon", "--logfile=twistd.log", "-y", tac],
                cwd=directory,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                # Ctrl-C is ours to pass on.
                start_new_session=True,
            )
        return process


@contextmanager
def noted() -> Iterator[None]:
    """
    A signal that comes meanwhile is heard afterwards: what is started here is noted, and ends with the others.
    """
    came: list[int] = []
    ours = [number for number in SIGNALS if signal.getsignal(number) is end]
    for number in ours:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, end)
        for number in came[:1]:
            signal.raise_signal(number)


def end_keeper(directory: Path) -> None:
    """
    End a keeper whose slave was gone before it could do that.  It is there as long as its lock is held.
    """

    def gone() -> bool:
        with (directory / "lock").open("ab") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        with socket.socket(socket.AF_UNIX) as line, suppress(OSError):
            line.settimeout(1)
            line.connect(str(directory / "socket"))
            line.sendall(b'{"op":"stop"}\n')
        return False

    if (directory / "lock").exists() and not wait(gone, STOP_TIMEOUT):
        raise DemoError(f"a keeper does not end; its log is {directory / 'keeper.log'}")


def wait(done: Callable[[], bool], patience: float) -> bool:
    """
    Until it is *done*, at most *patience* seconds; answers whether it is.
    """
    end = time.monotonic() + patience
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def run(*command: str | Path, text: str = "") -> None:
    """
    Run one of our own commands, quietly.
    """
    done = subprocess.run(
        [str(BIN / command[0]), *map(str, command[1:])],
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
        input=text.encode(),
    )
    if done.returncode:
        raise DemoError(done.stderr.decode(errors="replace").strip() or f"{command[0]} failed")


def only_one() -> object:
    """
    See that no other demo runs here, as long as the answer is kept.
    """
    FARM.mkdir(mode=0o700, exist_ok=True)
    lock = (FARM / "lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DemoError("another demo runs in this checkout") from None
    return lock


def start_all(farm: Farm) -> None:
    """
    Make what an earlier demo did not, and start a master, its web process and its slaves.
    """
    if not (CHECKOUT / ".git").exists():
        raise DemoError(f"the demo's job clones this checkout with git, and {CHECKOUT} is none")
    (FARM / "gitconfig").write_text(f'[safe]\n\tdirectory = "{CHECKOUT}"\n\tdirectory = "{CHECKOUT}/.git"\n')
    make(MASTER, "master.tac", "create-master", MASTER, "--host", "127.0.0.1")
    shutil.copy(Path("docs/demo/master.cfg"), MASTER / "master.cfg")
    if not (WEB / "web.tac").exists():
        # The master was made by an earlier version.
        make(WEB, "web.tac", "create-web", WEB)
    farm.start(MASTER, until="the master is ready")
    farm.start(WEB, until="listening at")
    for name in SLAVES:
        # All that a slave needs is this one string.
        furl = (MASTER / "furls" / f"{name}.furl").read_text()
        make(FARM / name, "slave.tac", "create-slave", FARM / name, "-", text=furl)
        farm.start(FARM / name, until="attached to the master")


def make(directory: Path, last: str, *arguments: str | Path, text: str = "") -> None:
    """
    Have *directory* made by the command, unless its *last* file is there.
    """
    if not (directory / last).exists():
        # What was left of one that was interrupted.
        shutil.rmtree(directory, ignore_errors=True)
        run("buildbot-lite", *arguments, text=text)


def submit(farm: Farm) -> int:
    """
    The job: its log on the terminal, its result as exit code.
    """
    command = ["flappclient", "--furlfile", str(MASTER / "furls" / "demo.furl"), "run-command"]
    say(f"$ {' '.join(command)}")
    process = subprocess.Popen([str(BIN / command[0]), *command[1:]], env=ENVIRONMENT, stdin=subprocess.DEVNULL)
    try:
        stay(farm, process)
        return process.returncode
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def say(text: str) -> None:
    """
    A line for whoever watches.
    """
    try:
        print(text, flush=True)
    except OSError:
        raise Ended from None


def pages() -> str:
    """
    The address of the farm's pages.
    """
    return (WEB / "address").read_text().strip()


def what_next() -> str:
    """
    Commands that work while the demo is up.
    """
    bin_ = BIN.relative_to(CHECKOUT) if BIN.is_relative_to(CHECKOUT) else BIN
    return f"""
The farm is up.  In another terminal:

  cd {shlex.quote(str(CHECKOUT))}
  {bin_}/buildbot-lite status {MASTER}
  {bin_}/buildbot-lite builds {MASTER}
  {bin_}/buildbot-lite log {MASTER} demo 1 test
  {bin_}/buildbot-lite force {MASTER} demo --wait
  git diff HEAD | {bin_}/flappclient --furlfile {MASTER}/furls/try.furl run-command      # your changes, tested
  {bin_}/flappclient --furlfile {MASTER}/furls/count.furl run-command

The last one counts for a minute.  While it does, kill the slaves in a third terminal: the count goes on.

  kill -9 $(cat {FARM}/bot1/twistd.pid) $(cat {FARM}/bot2/twistd.pid)

The configuration is {MASTER}/master.cfg; after a change:  {bin_}/buildbot-lite reconfig {MASTER}
Its pages:  {pages()}
Ctrl-C here ends everything.
"""


def stay(farm: Farm, job: subprocess.Popen[bytes] | None = None) -> None:
    """
    Until the *job* is over, or without one until a signal comes.  `Ended` when nobody is left to read what we say: the
    terminal or the pipe was closed.
    """
    hung_up = select.poll()
    hung_up.register(1, 0)
    while job is None or job.poll() is None:
        if hung_up.poll(200):
            raise Ended
        farm.revive()


def end(number: int, frame: FrameType | None) -> None:
    """
    A signal asks us to end.  Once: what follows must not be interrupted.
    """
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Ended


def main() -> int:
    """
    Run the demo; answers the exit code.
    """
    os.chdir(CHECKOUT)
    for number in SIGNALS:
        # Under nohup, SIGHUP is not for us.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)
    farm = Farm()
    # Unless the job ended: Ctrl-C after that is how the demo is meant to end.
    code = INTERRUPTED
    try:
        lock = only_one()
        try:
            say("Starting a master and two slaves.")
            start_all(farm)
            say("A master and two slaves are running, started with twistd.")
            say(f"Their pages, as long as they run: {pages()}\n\nA job for them:\n")
            code = submit(farm)
            say(f"\nThe job's exit code is {code}.")
            if not os.environ.get("ONCE"):
                say(what_next())
                stay(farm)
            return code
        finally:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            farm.stop()
            del lock
    except DemoError as error:
        with suppress(OSError):
            print(f"demo: {error}", file=sys.stderr)
        return 1
    except Ended:
        with suppress(OSError):
            print("\nEverything has ended.", flush=True)
        return code


if __name__ == "__main__":
    sys.exit(main())
