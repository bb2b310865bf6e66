"""
Copies a command's log files into spools as they grow, as ``tail -F`` does.

The contents of a file when the command starts are not its output and are skipped.  Rotation (another file under the
name), truncation, rewriting and late creation become remarks, never log text.  inotify(7) only reduces the delay: every
file is checked once a second anyway, which also covers network file systems.
"""

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Callable

from .loop import Loop, Timer
from .wrapper import open_below

# Bytes to read at a time.
_CHUNK = 256 << 10
# Seconds between two checks of a file.
_PERIOD = 1.0
# Bytes before the position that are compared to recognise a rewritten file.
_TAIL = 256
# Event masks: inotify(7).
_IN_MODIFY = 0x2
_IN_IGNORED = 0x8000


class LogTail:
    """
    One followed file.  *accept* takes bytes, and returns whether it takes more now; *remark* takes stream, offset and
    text.  *root*: a directory below which no symbolic link is followed, because the command may have fewer permissions
    than the keeper.
    """

    def __init__(
        self,
        stream: str,
        path: str,
        *,
        accept: Callable[[str, bytes], bool],
        remark: Callable[[str, int, str], None],
        root: str | None = None,
    ) -> None:
        self._root = root
        self._stream = stream
        self.path = path
        self._accept = accept
        self._remark = remark
        self._fd = -1
        self._position = 0
        self._last_bytes = b""
        self._accepted = 0
        self._is_irregular = False
        self._finished = False
        self._end: int | None = None
        self._open("existed")

    def poll(self) -> bool:
        """
        Copy new bytes, one chunk at most; return whether there may be more.
        """
        if self._finished:
            return False
        if self._fd < 0:
            self._open("appeared")
            if self._fd < 0:
                return False
        try:
            return self._copy() or self._changed()
        except OSError as error:
            self._add_remark(f"{os.path.basename(self.path)} cannot be read any more: {error.strerror}.")
            self._close()
            self._finished = True
            return False

    def finish(self) -> bool:
        """
        Copy one chunk of the rest; return whether there may be more.  After the last chunk the file is closed.
        """
        if self._finished:
            return False
        if self._fd >= 0 and self._end is None:
            # Bounded, because a process that was left running may write for ever.
            self._end = os.fstat(self._fd).st_size
        if self.poll():
            return True
        self._finished = True
        if self._fd < 0 and not self._is_irregular:
            self._add_remark(f"{os.path.basename(self.path)} was never written.")
        self._close()
        return False

    def close(self) -> None:
        """
        Close the file, without a remark that it was never written.
        """
        self._finished = True
        self._close()

    def _copy(self) -> bool:
        size = _CHUNK if self._end is None else max(0, min(_CHUNK, self._end - self._position))
        data = os.pread(self._fd, size, self._position)
        if not data:
            return False
        if not self._is_continued():
            self._add_remark(f"{os.path.basename(self.path)} was overwritten; it is read from its beginning.")
            self._position, self._last_bytes = 0, b""
            return True
        self._position += len(data)
        self._last_bytes = (self._last_bytes + data)[-_TAIL:]
        self._accepted += len(data)
        # After *accept* has returned False, `poll` is called again when there is room.
        return self._accept(self._stream, data)

    def _is_continued(self) -> bool:
        """
        Whether the bytes that were read last are unchanged.  Between two polls, a file can be truncated and filled
        again.
        """
        return os.pread(self._fd, len(self._last_bytes), self._position - len(self._last_bytes)) == self._last_bytes

    def _changed(self) -> bool:
        """
        Whether a file that was read to its end was truncated or replaced, so that there may be more to read.
        """
        name = os.path.basename(self.path)
        if os.fstat(self._fd).st_size < self._position:
            self._add_remark(f"{name} was truncated; it is read from its beginning again.")
            self._position, self._last_bytes = 0, b""
            return True
        try:
            named = os.stat(self.path)
        except OSError:
            # It was renamed or removed.  The open file may still grow until another file has the name.
            return False
        opened = os.fstat(self._fd)
        if (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino):
            return False
        if self._end is None and os.pread(self._fd, 1, self._position):
            return True
        self._close()
        self._add_remark(f"{name} was replaced by another file, which is read from its beginning.")
        self._open("replaced")
        return self._fd >= 0

    def _open(self, how: str) -> None:
        try:
            # O_NONBLOCK, because opening a FIFO would block.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
            if self._root is None:
                fd = os.open(self.path, flags)
            else:
                fd = open_below(self._root, os.path.relpath(self.path, self._root), flags=flags)
        except OSError:
            return
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode):
            os.close(fd)
            if not self._is_irregular:
                self._is_irregular = True
                self._add_remark(f"{os.path.basename(self.path)} is not a regular file; it is not followed.")
            return
        self._fd = fd
        self._position, self._last_bytes = 0, b""
        self._end = None
        name = os.path.basename(self.path)
        if how == "appeared":
            self._add_remark(f"{name} appeared.")
        elif how == "existed" and state.st_size:
            self._position = state.st_size
            begin = max(0, state.st_size - _TAIL)
            self._last_bytes = os.pread(fd, state.st_size - begin, begin)
            self._add_remark(f"{name} existed before; its first {state.st_size} bytes are not shown.")

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _add_remark(self, text: str) -> None:
        self._remark(self._stream, self._accepted, text)


class ChangeNotifier:
    """
    Polls followed files: once a second, and at once when inotify reports a change.
    """

    def __init__(self, loop: Loop, *, inotify: bool = True) -> None:
        self._loop = loop
        self._polls: dict[LogTail, Callable[[LogTail], None]] = {}
        self._watches: dict[int, set[LogTail]] = {}
        self._timer: Timer | None = None
        self._libc: ctypes.CDLL | None = None
        self._fd = -1
        if inotify:
            self._begin_inotify()

    def close(self) -> None:
        """
        Close the inotify descriptor.
        """
        if self._fd >= 0:
            self._loop.unwatch(self._fd)
            os.close(self._fd)

    def add(self, log_tail: LogTail, poll: Callable[[LogTail], None]) -> None:
        """
        Call *poll* whenever *log_tail* should check its file.
        """
        self._polls[log_tail] = poll
        self._add_watch(log_tail)
        if self._timer is None:
            self._timer = self._loop.later(_PERIOD, self._tick)

    def remove(self, log_tail: LogTail) -> None:
        """
        Stop calling *poll* for *log_tail*.
        """
        self._polls.pop(log_tail, None)
        for watch, log_tails in list(self._watches.items()):
            log_tails.discard(log_tail)
            if not log_tails and self._libc is not None:
                del self._watches[watch]
                self._libc.inotify_rm_watch(self._fd, watch)

    def _tick(self) -> None:
        self._timer = None
        for log_tail, poll in list(self._polls.items()):
            self._add_watch(log_tail)
            poll(log_tail)
        if self._polls and self._timer is None:
            self._timer = self._loop.later(_PERIOD, self._tick)

    def _begin_inotify(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd >= 0:
            self._loop.watch(self._fd, self._inotify_ready)

    def _add_watch(self, log_tail: LogTail) -> None:
        if self._fd < 0 or self._libc is None:
            return
        # Repeated for the same file, this returns the same watch; if another file has the name, a new one.
        watch = self._libc.inotify_add_watch(self._fd, os.fsencode(log_tail.path), _IN_MODIFY)
        if watch >= 0:
            self._watches.setdefault(watch, set()).add(log_tail)

    def _inotify_ready(self) -> None:
        try:
            events = os.read(self._fd, 64 << 10)
        except BlockingIOError:
            return
        changed: dict[LogTail, None] = {}
        at = 0
        while at < len(events):
            watch, mask, _cookie, length = struct.unpack_from("iIII", events, at)
            at += 16 + length
            if mask & _IN_IGNORED:
                self._watches.pop(watch, None)
            changed.update(dict.fromkeys(self._watches.get(watch, ())))
        for log_tail in changed:
            if log_tail in self._polls:
                self._polls[log_tail](log_tail)
