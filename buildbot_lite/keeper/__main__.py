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
"""The exit code when another keeper holds the directory."""
# Bytes; a longer log is emptied when a keeper starts.
_LARGEST_LOG = 1 << 20


def main(arguments: list[str] | None = None) -> int:
    """
    Start the keeper; return the exit code.
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
        _run_keeper(directory, options)
        return 0
    return _run_in_background(directory, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m buildbot_lite.keeper", description="Runs the commands of a slave.  The slave starts it."
    )
    parser.add_argument("directory")
    parser.add_argument("--foreground", action="store_true", help="run in the foreground, and log to stderr")
    parser.add_argument(
        "--linger", type=float, default=60.0, metavar="SECONDS", help="exit after so long without client and commands"
    )
    parser.add_argument(
        "--disk-patience",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="kill a command after so long with a full disk",
    )
    parser.add_argument(
        "--haste",
        type=float,
        default=15.0,
        metavar="SECONDS",
        help="the longest sigtermTime when a lease ends or this keeper has to exit",
    )
    parser.add_argument(
        "--without",
        default="",
        metavar="FACILITIES",
        help="do not use these of pidfd,subreaper,proc,inotify,spawn (for tests)",
    )
    return parser


def _run_in_background(directory: str, options: argparse.Namespace) -> int:
    """
    Run the keeper in a daemon process, which inherits the lock; return the exit code when it listens or has failed.
    """
    ready, ready_fd = os.pipe()
    if os.fork():
        os.close(ready_fd)
        listening = os.read(ready, 1) == b"!"
        return 0 if listening else 1
    os.close(ready)
    os.setsid()
    _redirect()
    _run_keeper(directory, options, ready_fd)
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


def _run_keeper(directory: str, options: argparse.Namespace, ready_fd: int | None = None) -> None:
    loop = Loop()
    without = tuple(filter(None, options.without.split(",")))
    settings = Settings(options.linger, without, WaitLimits(disk=options.disk_patience, urgent=options.haste))
    keeper = Keeper(directory, loop, settings)
    loop.on_signal(signal.SIGCHLD, keeper.reap)
    loop.on_signal(signal.SIGTERM, keeper.stop)
    # Closing the terminal, or Ctrl-C in it, must not end the keeper.
    for signum in (signal.SIGHUP, signal.SIGINT):
        loop.on_signal(signum, _nothing)
    if ready_fd is not None:
        os.write(ready_fd, b"!")
        os.close(ready_fd)
    loop.run()
    keeper.close()


def _nothing() -> None:
    """
    Handle the signal without effect.  (It is not ignored, because the commands would inherit that: execve(2).)
    """


if __name__ == "__main__":
    sys.exit(main())
