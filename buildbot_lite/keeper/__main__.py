"""
``python -m buildbot_lite.keeper DIRECTORY``: start a keeper in the background, unless there is one.

Exit code 0: the keeper's socket accepts connections.  Exit code 3: another keeper holds the directory.
"""

import argparse
import contextlib
import fcntl
import os
import signal
import sys

from .context import WaitLimits
from .keeper import Keeper, Settings
from .loop import Loop
from .wrapper import UMASK

BUSY = 3
_LARGEST_LOG = 1 << 20


def main(arguments: list[str] | None = None) -> int:
    """
    Return the exit code.
    """
    options = _parser().parse_args(arguments)
    os.makedirs(options.directory, mode=0o700, exist_ok=True)
    os.chdir(options.directory)
    directory = os.getcwd()
    lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write("Another keeper already works in this directory.\n")
        return BUSY
    os.umask(UMASK)
    if options.foreground:
        _work(directory, options)
        return 0
    return _detached(directory, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m buildbot_lite.keeper", description="Runs the commands of a slave.  The slave starts it."
    )
    parser.add_argument("directory")
    parser.add_argument("--foreground", action="store_true", help="stay, and log to stderr")
    parser.add_argument(
        "--linger", type=float, default=60.0, metavar="SECONDS", help="stay so long when idle and alone"
    )
    parser.add_argument("--disk-patience", type=float, default=600.0, metavar="SECONDS", help="wait so long for room")
    parser.add_argument("--haste", type=float, default=15.0, metavar="SECONDS", help="the longest sigtermTime in haste")
    parser.add_argument(
        "--without", default="", metavar="MEANS", help="do not use: pidfd,subreaper,proc,inotify,spawn (for tests)"
    )
    return parser


def _detached(directory: str, options: argparse.Namespace) -> int:
    """
    Run the keeper in a daemon process.  The child inherits the lock with its descriptor; the parent waits until the
    child listens.
    """
    ready, ready_fd = os.pipe()
    if os.fork():
        os.close(ready_fd)
        listening = os.read(ready, 1) == b"!"
        return 0 if listening else 1
    os.close(ready)
    os.setsid()
    _redirect()
    _work(directory, options, ready_fd)
    return 0


def _redirect() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with contextlib.suppress(OSError):
        if os.path.getsize("keeper.log") > _LARGEST_LOG:
            flags |= os.O_TRUNC
    log = os.open("keeper.log", flags, 0o600)
    os.dup2(log, 2)
    os.close(null)
    os.close(log)


def _work(directory: str, options: argparse.Namespace, ready_fd: int | None = None) -> None:
    loop = Loop()
    without = tuple(filter(None, options.without.split(",")))
    settings = Settings(options.linger, without, WaitLimits(disk=options.disk_patience, urgent=options.haste))
    keeper = Keeper(directory, loop, settings)
    loop.on_signal(signal.SIGCHLD, keeper.reap)
    loop.on_signal(signal.SIGTERM, keeper.stop)
    # A terminal that is closed, or Ctrl-C in it, must not end the keeper.
    for signum in (signal.SIGHUP, signal.SIGINT):
        loop.on_signal(signum, _nothing)
    if ready_fd is not None:
        os.write(ready_fd, b"!")
        os.close(ready_fd)
    loop.run()
    keeper.close()


def _nothing() -> None:
    """
    Catch the signal without effect.  (An ignored signal would be ignored in the commands as well: execve(2).)
    """


if __name__ == "__main__":
    sys.exit(main())
