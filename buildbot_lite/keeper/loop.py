"""
The event loop: ready descriptors, due timers, signals.

One thread, one `selectors` selector.  On every system, the only notice that a child ended is SIGCHLD, through the
wake-up descriptor.  Rejected: a pidfd for each command, because orphans that the kernel gives to this subreaper must be
reaped, too, and only SIGCHLD reports their end.
"""

import contextlib
import heapq
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
_MOST_DEFECTS = 100


class Timer:
    """
    A call to be made later, unless it is cancelled.
    """

    __slots__ = ("call", "due")

    def __init__(self, due: float, call: Callable[[], object]) -> None:
        self.due = due
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        """
        Do not make the call.  Cancelling twice, or too late, is harmless.
        """
        self.call = None


class Loop:
    """
    Runs until it is stopped.

    A callback that raises is a defect of this program: the traceback goes to stderr, and its descriptor is no longer
    watched, so that it is not called again and again; other commands go on.  The hundredth exception ends the loop.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._soon: list[Callable[[], object]] = []
        self._signals: dict[int, Callable[[], object]] = {}
        self._count = 0
        self._running = False
        self._defects = 0
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _portable_pipe()
        self._former_waker = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self.watch(self._woken, self._signalled)

    def close(self) -> None:
        """
        Close the descriptors and restore the signals.
        """
        signal.set_wakeup_fd(self._former_waker)
        for signum in self._signals:
            signal.signal(signum, signal.SIG_DFL)
        os.close(self._woken)
        os.close(self._waker)
        self._selector.close()

    def now(self) -> float:
        """
        Seconds on the monotonic clock.
        """
        return time.monotonic()

    def boottime(self) -> float:
        """
        Seconds on a clock that also counts while the machine is suspended.
        """
        return boottime()

    def watch(self, fd: int, ready: Callable[[], object], events: int = READ) -> None:
        """
        Call *ready* whenever *fd* is ready for *events*; this replaces an earlier watch on it.
        """
        try:
            self._selector.register(fd, events, ready)
        except KeyError:
            self._selector.modify(fd, events, ready)

    def unwatch(self, fd: int) -> None:
        """
        Stop watching *fd*, if it is watched.
        """
        with contextlib.suppress(KeyError):
            self._selector.unregister(fd)

    def later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """
        Call *call* once, in *seconds*, on the clock of `now`.
        """
        timer = Timer(self.now() + max(0.0, seconds), call)
        self._count += 1
        heapq.heappush(self._timers, (timer.due, self._count, timer))
        return timer

    def soon(self, call: Callable[[], object]) -> None:
        """
        Call *call* at the end of this turn.
        """
        self._soon.append(call)

    def on_signal(self, signum: int, call: Callable[[], object]) -> None:
        """
        Call *call* when *signum* was received; signals that arrive together cause one call.
        """
        self._signals[signum] = call
        signal.signal(signum, _nothing)

    def stop(self) -> None:
        """
        Return from `run` at the end of this turn.
        """
        self._running = False

    def run(self) -> None:
        """
        Call `turn` until stopped.
        """
        self._running = True
        while self._running:
            self.turn()

    def turn(self) -> None:
        """
        Wait for events, and make their calls.
        """
        for key, _events in self._selector.select(self._select_timeout()):
            # An earlier call of this turn may have closed or replaced the descriptor.
            current = self._selector.get_map().get(key.fd)
            if current is not None and current.data is key.data:
                self._do(key.data, key.fd)
        now = self.now()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            call, timer.call = timer.call, None
            if call is not None:
                self._do(call)
        while self._soon:
            calls, self._soon = self._soon, []
            for call in calls:
                self._do(call)

    def _do(self, call: Callable[[], object], fd: int | None = None) -> None:
        try:
            call()
        except Exception:
            self._defects += 1
            if self._defects >= _MOST_DEFECTS:
                raise
            sys.excepthook(*sys.exc_info())
            if fd is not None:
                self.unwatch(fd)

    def _select_timeout(self) -> float | None:
        if self._soon:
            return 0.0
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - self.now())

    def _signalled(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for signum in set(os.read(self._woken, 4096)):
                if signum in self._signals:
                    self._signals[signum]()


class Timers:
    """
    Named timers of one object.  Setting a name again replaces its timer; a timer that has fired is not pending.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._pending: dict[str, Timer] = {}

    def __contains__(self, name: str) -> bool:
        """
        Whether the timer *name* is pending.
        """
        return name in self._pending

    def set(self, name: str, seconds: float, call: Callable[[], object]) -> None:
        """
        Call *call* once, in *seconds*; this replaces a pending timer *name*.
        """
        self.cancel(name)
        self._pending[name] = self._loop.later(seconds, lambda: self._due(name, call))

    def cancel(self, name: str) -> None:
        """
        Cancel the timer *name* if it is pending.
        """
        timer = self._pending.pop(name, None)
        if timer is not None:
            timer.cancel()

    def clear(self) -> None:
        """
        Cancel all of them.
        """
        for name in list(self._pending):
            self.cancel(name)

    def _due(self, name: str, call: Callable[[], object]) -> None:
        del self._pending[name]
        call()


def boottime() -> float:
    """
    Seconds on a clock that also counts while the machine is suspended (CLOCK_BOOTTIME), when the master goes on.

    Where there is none (not Linux), the monotonic clock.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def warn(sentence: str) -> None:
    """
    Write a line to the keeper's log; a full disk loses the line.
    """
    # Not with sys.stderr: on a full disk, it would keep the text in its buffer and raise at each later write, too.
    with contextlib.suppress(OSError):
        os.write(2, f"keeper: {sentence}\n".encode("utf-8", "replace"))


def _nothing(signum: int, frame: object) -> None:
    """
    Do nothing: the wake-up descriptor reports the signal, but Python requires a handler.
    """


def _portable_pipe() -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends
