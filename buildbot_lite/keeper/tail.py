"""
Log files that a command writes, copied into a spool as they grow, as by ``tail``.

What is in the file when the command starts is not its output and is skipped.  Rotation (another file under the
name), truncation, writing anew and late creation are told in remarks, never in the log.  inotify, where there is one,
only makes it quicker: once a second every file is looked at anyway, which also sees network file systems.
"""

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Callable

from .loop import Loop, Timer
from .wrapper import open_below

_CHUNK = 256 << 10
_PERIOD = 1.0
# Enough to tell one log from another.
_TAIL = 256
_IN_MODIFY = 0x2
_IN_IGNORED = 0x8000


class LogTail:
    """
    One followed file.  *accept* answers whether it will take more right now; *remark* takes stream, offset and text.
    *root*: follow no symbolic link below it, since whoever put it there may see less than we do.
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
        self._required = 0
        self._odd = False
        self._finished = False
        self._end: int | None = None
        self._open("there already")

    def poll(self) -> bool:
        """
        Copy what is new, a chunk at most; answers whether there may be more right now.
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
            self._say(f"{os.path.basename(self.path)} cannot be read any more: {error.strerror}.")
            self._close()
            self._finished = True
            return False

    def finish(self) -> bool:
        """
        The same for the last time: answers whether to call again.  Afterwards the file is closed.
        """
        if self._finished:
            return False
        if self._fd >= 0 and self._end is None:
            # Somebody who was left running may write on and on.
            self._end = os.fstat(self._fd).st_size
        if self.poll():
            return True
        self._finished = True
        if self._fd < 0 and not self._odd:
            self._say(f"{os.path.basename(self.path)} was never written.")
        self._close()
        return False

    def close(self) -> None:
        """
        Follow it no more, and say nothing of it: nobody was there to write it.
        """
        self._finished = True
        self._close()

    def _copy(self) -> bool:
        size = _CHUNK if self._end is None else max(0, min(_CHUNK, self._end - self._position))
        data = os.pread(self._fd, size, self._position)
        if not data:
            return False
        if not self._goes_on():
            self._say(f"{os.path.basename(self.path)} was written anew; it is read from its beginning.")
            self._position, self._last_bytes = 0, b""
            return True
        self._position += len(data)
        self._last_bytes = (self._last_bytes + data)[-_TAIL:]
        self._required += len(data)
        # If it will take no more, poll is called again when it will.
        return self._accept(self._stream, data)

    def _goes_on(self) -> bool:
        """
        Whether what was read last is still there.  A file can be emptied and filled again between two looks.
        """
        return os.pread(self._fd, len(self._last_bytes), self._position - len(self._last_bytes)) == self._last_bytes

    def _changed(self) -> bool:
        """
        Whether the end of the file that was read is not the end of what is there to read.
        """
        name = os.path.basename(self.path)
        if os.fstat(self._fd).st_size < self._position:
            self._say(f"{name} was truncated; it is read from its beginning again.")
            self._position, self._last_bytes = 0, b""
            return True
        try:
            there = os.stat(self.path)
        except OSError:
            # Moved away, or removed: what we have open may still be written, until something new has the name.
            return False
        here = os.fstat(self._fd)
        if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
            return False
        if self._end is None and os.pread(self._fd, 1, self._position):
            return True
        self._close()
        self._say(f"{name} was replaced by another file, which is read from its beginning.")
        self._open("replaced")
        return self._fd >= 0

    def _open(self, how: str) -> None:
        try:
            # A FIFO would block us, a device might answer for ever.
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
            if not self._odd:
                self._odd = True
                self._say(f"{os.path.basename(self.path)} is not a regular file; it is not followed.")
            return
        self._fd = fd
        self._position, self._last_bytes = 0, b""
        self._end = None
        name = os.path.basename(self.path)
        if how == "appeared":
            self._say(f"{name} appeared.")
        elif how == "there already" and state.st_size:
            self._position = state.st_size
            begin = max(0, state.st_size - _TAIL)
            self._last_bytes = os.pread(fd, state.st_size - begin, begin)
            self._say(f"{name} was there before; its first {state.st_size} bytes are not shown.")

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _say(self, text: str) -> None:
        self._remark(self._stream, self._required, text)


class ChangeNotifier:
    """
    Sees to it that followed files are looked at: once a second, and at once when inotify tells of a change.
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
        Let go of the descriptor.
        """
        if self._fd >= 0:
            self._loop.unwatch(self._fd)
            os.close(self._fd)

    def add(self, log_tail: LogTail, poll: Callable[[LogTail], None]) -> None:
        """
        Call *poll* whenever *log_tail* should look.
        """
        self._polls[log_tail] = poll
        self._attend(log_tail)
        if self._timer is None:
            self._timer = self._loop.later(_PERIOD, self._tick)

    def remove(self, log_tail: LogTail) -> None:
        """
        No more.
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
            self._attend(log_tail)
            poll(log_tail)
        if self._polls and self._timer is None:
            self._timer = self._loop.later(_PERIOD, self._tick)

    def _begin_inotify(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd >= 0:
            self._loop.watch(self._fd, self._inotify_ready)

    def _attend(self, log_tail: LogTail) -> None:
        if self._fd < 0 or self._libc is None:
            return
        # Asking again for the same file is cheap and gives the same number; for a new one under the name, a new one.
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
