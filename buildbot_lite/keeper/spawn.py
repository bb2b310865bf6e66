"""
Spawns a command in a session of its own.

``posix_spawn`` takes 1.2 ms, less than a fork even of this small process, and resets SIGPIPE and SIGXFSZ, which Python
ignores, as a child would otherwise inherit that.  It cannot change the directory, so the keeper, which has one thread,
changes its own during the call.  With a libc whose ``posix_spawn`` cannot make a session, the slower ``subprocess`` is
used.
"""

import contextlib
import errno
import fcntl
import os
import pty
import signal
import termios
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .wrapper import inside

# Bytes of output that may wait in a pipe until the keeper reads them: four times the default (pipe(7)).
_PIPE = 256 << 10
_SET_SIZE = getattr(fcntl, "F_SETPIPE_SZ", None)  # Linux
# Signals that Python ignores, and those that the keeper's parent may have ignored (nohup).
_RESET = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT]


class SpawnError(Exception):
    """
    A sentence: why the command could not be started.
    """


class Spawned(NamedTuple):
    """
    A running process.  *outputs*: descriptor by stream, for reading.  *feed*: the descriptor of its stdin, or -1.
    """

    pid: int
    outputs: dict[str, int]
    feed: int


class ChildDescriptors(NamedTuple):
    """
    The keeper's descriptors that become the child's 0, 1, 2 and 3 (*extra*; -1: none).  *terminal*: the path of the
    child's pty, or None.
    """

    stdin: int
    stdout: int
    stderr: int
    terminal: str | None
    extra: int = -1


def spawn(
    argv: Sequence[bytes],
    env: Mapping[bytes, bytes],
    *,
    workdir: str,
    stdin_path: str | None,
    feed: bool,
    pty: bool,
    separate_stderr: bool,
    portable: bool = False,
    root: str | None = None,
    descriptor_3: bytes | None = None,
    umask: int | None = None,
) -> Spawned:
    """
    Start *argv* in *workdir*, made if missing; `SpawnError` is a sentence.

    *feed*: stdin is a pipe; otherwise it is the file *stdin_path*, or empty.  *pty*: the output is a terminal.
    *portable*: do not use ``posix_spawn``.  *root*: below it, *workdir* must not go through a symbolic link.
    *descriptor_3*: what the command reads from descriptor 3.  *umask*: None for the keeper's.
    """
    ours: list[int] = []
    theirs: list[int] = []
    try:
        stdin, feeder = _stdin(stdin_path, feed, ours, theirs)
        outputs, stdout, stderr, terminal = _outputs(pty, separate_stderr, ours, theirs)
        memory = -1 if descriptor_3 is None else _memory(descriptor_3, theirs)
        with _inside(workdir, root):
            program = find_program(argv[0], env)
            start = _by_subprocess if portable else _by_posix_spawn
            with _umask(umask):
                pid = _started(start, program, argv, env, ChildDescriptors(stdin, stdout, stderr, terminal, memory))
    except SpawnError:
        _close(ours)
        raise
    except OSError as error:
        _close(ours)
        raise SpawnError(f"The command could not be started: {error.strerror}.") from None
    finally:
        _close(theirs)
    for fd in ours:
        os.set_blocking(fd, False)
    return Spawned(pid, outputs, feeder)


def find_program(name: bytes, env: Mapping[bytes, bytes]) -> bytes:
    """
    The path of the program *name*: found in the PATH of *env*, or *name* itself if it has a slash.
    """
    readable = os.fsdecode(name)
    if b"/" in name:
        return name
    path = env.get(b"PATH", os.defpath.encode())
    for directory in path.split(b":"):
        candidate = os.path.join(directory or b".", name)
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
    raise SpawnError(f"No such program: {readable!r:.200} (looked for in {os.fsdecode(path):.500}).")


def _started(
    start: object, program: bytes, argv: Sequence[bytes], env: Mapping[bytes, bytes], ends: ChildDescriptors
) -> int:
    assert callable(start)
    try:
        try:
            return int(start(program, argv, env, ends))
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without "#!": run it with sh, as shells do (execvp(3)).
            return int(start(b"/bin/sh", [b"/bin/sh", program, *argv[1:]], env, ends))
    except OSError as error:
        shown = os.fsdecode(argv[0])
        raise SpawnError(
            {
                errno.ENOENT: f"No such program: {shown!r:.200} (or the interpreter in its first line is missing).",
                errno.EACCES: f"Not allowed to run {shown!r:.200}: permission denied.",
                errno.E2BIG: "The arguments and the environment are too long for this system.",
            }.get(error.errno or 0, f"{shown!r:.200} could not be started: {error.strerror}.")
        ) from None


def _by_posix_spawn(program: bytes, argv: Sequence[bytes], env: Mapping[bytes, bytes], ends: ChildDescriptors) -> int:
    actions: list[tuple[int, ...] | tuple[int, int, bytes, int, int]] = [(os.POSIX_SPAWN_DUP2, ends.stdin, 0)]
    if ends.terminal is None:
        actions += [(os.POSIX_SPAWN_DUP2, ends.stdout, 1), (os.POSIX_SPAWN_DUP2, ends.stderr, 2)]
    else:
        # The session is made before the file actions, so the first terminal opened becomes its controlling terminal.
        actions += [
            (os.POSIX_SPAWN_OPEN, 1, os.fsencode(ends.terminal), os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
    if ends.extra >= 0:
        actions.append((os.POSIX_SPAWN_DUP2, ends.extra, 3))
    try:
        return os.posix_spawn(
            program, list(argv), env, file_actions=actions, setsid=True, setsigmask=[], setsigdef=_RESET
        )
    except NotImplementedError:
        return _by_subprocess(program, argv, env, ends)


def _by_subprocess(program: bytes, argv: Sequence[bytes], env: Mapping[bytes, bytes], ends: ChildDescriptors) -> int:
    if ends.extra >= 0:
        # subprocess cannot give a descriptor another number.
        raise SpawnError("This system cannot start commands through a wrapper: its posix_spawn cannot make sessions.")

    def prepare() -> None:
        for each in _RESET:
            signal.signal(each, signal.SIG_DFL)
        if ends.terminal is not None:
            os.close(os.open(ends.terminal, os.O_RDWR))

    import subprocess  # costs memory, and is needed only here

    process = subprocess.Popen(
        list(argv),
        executable=program,
        env=dict(env),
        stdin=ends.stdin,
        stdout=ends.stdout,
        stderr=ends.stderr,
        start_new_session=True,
        # Safe here: one thread.
        preexec_fn=prepare,  # noqa: PLW1509
    )
    # `Keeper.reap` reaps the process: Popen must neither wait for it nor warn about it.
    process.returncode = 0
    return process.pid


def _stdin(path: str | None, feed: bool, ours: list[int], theirs: list[int]) -> tuple[int, int]:
    if feed:
        stdin, feeder = os.pipe()
        theirs.append(stdin)
        ours.append(feeder)
        return stdin, feeder
    try:
        stdin = os.open(path or os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SpawnError(f"The input of the command cannot be read: {error.strerror}.") from None
    theirs.append(stdin)
    return stdin, -1


def _memory(contents: bytes, theirs: list[int]) -> int:
    """
    A descriptor of an unnamed file with *contents*, positioned at its beginning.
    """
    if hasattr(os, "memfd_create"):
        made = os.memfd_create("settings")
    else:
        import tempfile  # only where there is no memfd

        with tempfile.TemporaryFile() as file:
            made = os.dup(file.fileno())
    # Not descriptor 3: dup2 onto itself would leave close-on-exec set.
    high = fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(made)
    theirs.append(high)
    rest = memoryview(contents)
    while rest:
        rest = rest[os.write(high, rest) :]
    os.lseek(high, 0, os.SEEK_SET)
    return high


def _outputs(
    terminal: bool, separate_stderr: bool, ours: list[int], theirs: list[int]
) -> tuple[dict[str, int], int, int, str | None]:
    if terminal:
        master, slave = pty.openpty()
        ours.append(master)
        theirs.append(slave)
        _make_transparent(slave)
        return {"stdio": master}, slave, slave, os.ttyname(slave)
    read, write = _pipe()
    ours.append(read)
    theirs.append(write)
    if not separate_stderr:
        return {"stdio": read}, write, write, None
    read_too, write_too = _pipe()
    ours.append(read_too)
    theirs.append(write_too)
    return {"stdio": read, "stderr": read_too}, write, write_too, None


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    resize_pipe(read, _PIPE)
    return read, write


def resize_pipe(descriptor: int, size: int) -> None:
    """
    Let a pipe hold *size* bytes, where the system permits; without effect if *descriptor* is no pipe.

    The system refuses when the pipes of this user are too large together (/proc/sys/fs/pipe-user-pages-soft).
    """
    if _SET_SIZE is not None:
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, _SET_SIZE, size)


def _make_transparent(terminal: int) -> None:
    """
    Pass output through unchanged: no carriage returns added, no echo.  80 columns, 24 lines.
    """
    state = termios.tcgetattr(terminal)
    state[1] &= ~termios.OPOST
    state[3] &= ~(termios.ECHO | termios.ECHONL)
    termios.tcsetattr(terminal, termios.TCSANOW, state)
    if hasattr(termios, "tcsetwinsize"):
        termios.tcsetwinsize(terminal, (24, 80))


@contextlib.contextmanager
def _inside(workdir: str, root: str | None) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(inside(workdir, root))
        except OSError as error:
            raise SpawnError(f"The working directory {workdir!r:.500} cannot be used: {error.strerror}.") from None
        yield


@contextlib.contextmanager
def _umask(umask: int | None) -> Iterator[None]:
    # The keeper has one thread, so it makes no file meanwhile.
    before = None if umask is None else os.umask(umask)
    try:
        yield
    finally:
        if before is not None:
            os.umask(before)


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
