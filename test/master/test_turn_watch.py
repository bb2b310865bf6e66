"""
The watch on code of the configuration that keeps the reactor's thread.
"""

import os
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.builds.turn_watch import INTERRUPT_AFTER, SAY_AFTER, TICK, TurnWatch, described
from buildbot_lite.model import time_limit
from buildbot_lite.model.code_owner import is_users
from buildbot_lite.model.time_limit import (
    OverdueError,
    allow_interruptions,
    call_within,
    interrupt_unlimited,
)
from buildbot_lite.plugins import steps
from buildbot_lite.testing import command, run

from .test_function_limits import hang


class TurnWatchTests(SynchronousTestCase):
    """
    Promise 8.25: code of the configuration that keeps the master from everything else is named, and interrupted.
    """

    def setUp(self) -> None:
        """
        A watch whose thread is the test.
        """
        self.interrupted = 0
        self.watch = TurnWatch(Clock(), stack=sys._getframe, interrupt=self.interrupt)
        self.said: list[str] = []
        self.watch._log = mock.Mock()
        self.watch._log.warn = lambda text, **fields: self.said.append(text.format(**fields))

    def interrupt(self) -> None:
        """
        Count.
        """
        self.interrupted += 1

    def test_quiet(self) -> None:
        """
        While the reactor beats, nothing is said or interrupted, however long that is.
        """
        for _ in range(5):
            for _ in range(SAY_AFTER - 1):
                self.watch.tick()
            self.watch.beat()
        self.assertEqual((self.said, self.interrupted), ([], 0))

    def test_hang(self) -> None:
        """
        The log says who keeps the reactor, and again each minute; then that is interrupted; the end is said, too.
        """
        for _ in range(SAY_AFTER):
            self.watch.tick()
        self.assertRegex(self.said.pop(), r"nothing else for about 10 s: it runs .*test_turn_watch\.py line \d+")
        for _ in range(INTERRUPT_AFTER - SAY_AFTER):
            self.assertEqual(self.interrupted, 0)
            self.watch.tick()
        self.assertEqual((self.said, self.interrupted), ([], 1))
        for _ in range(SAY_AFTER):
            self.watch.tick()
        self.assertEqual((len(self.said), self.interrupted), (1, SAY_AFTER + 1))
        self.watch.beat()
        self.assertEqual(self.said[1:], ["the master works again, after about 70 s"])

    def test_thread(self) -> None:
        """
        The thread ticks, and ends with `stop`; the reactor beats.
        """
        clock, ticked = Clock(), threading.Event()
        self.patch(sys.modules[TurnWatch.__module__], "TICK", 0.01)
        watch = TurnWatch(clock)
        self.patch(watch, "tick", ticked.set)
        watch.start()
        self.assertTrue(ticked.wait(60))
        beats: list[None] = []
        self.patch(watch._beat, "f", lambda: beats.append(None))
        clock.advance(TICK)
        watch.stop()
        self.assertTrue(beats)
        self.assertFalse(watch._thread.is_alive())

    def test_step(self) -> None:
        """
        The step and its build are named, also in a callback that belongs to no turn of the step.
        """
        found: list[str] = []

        async def work(self: Any) -> int:
            def callback() -> None:
                found.append(described(sys._getframe() if self else None))

            callback()
            await self.execute(["x"])
            return 0

        step = type("Own", (steps.BuildStep,), {"run": work})(name="slow one")
        run(step, command("x"), properties={"buildername": "b", "buildnumber": 7})
        self.assertRegex(found[0], r"^the step 'slow one' of b/7 runs callback, .*test_turn_watch\.py line \d+$")

    def test_objects_of_the_user(self) -> None:
        """
        The user's objects in the frames are looked at only: none of their code is called, in this other thread.
        """
        asked: list[str] = []

        def lazy_class(self: Any) -> Any:
            asked.append(f"the class of {type(self)}")
            raise RuntimeError

        def name(self: Any) -> str:
            asked.append(f"the name {self!r}")
            return "computed"

        def callback(*objects: Any) -> str:
            lazy, step = objects
            return described(sys._getframe() if lazy is not step else None)

        lazy = type("Lazy", (), {"__class__": property(lazy_class)})()
        step: Any = object.__new__(type("Computing", (steps.BuildStep,), {"name": property(name)}))
        self.assertRegex(callback(lazy, step), r"^the step 'Computing' runs callback, ")
        self.assertEqual(asked, [])

    def test_unreadable(self) -> None:
        """
        Frames that cannot be read end nothing: the log says so, and what keeps the reactor is interrupted.
        """

        def unreadable() -> None:
            raise RuntimeError("dictionary changed size during iteration")

        self.watch._stack = unreadable
        for _ in range(INTERRUPT_AFTER):
            self.watch.tick()
        self.assertRegex(self.said[0], "nothing is known about its thread$")
        self.assertEqual(self.interrupted, 1)

    def test_nothing_known(self) -> None:
        """
        A thread that has ended has no frame.
        """
        self.assertIn("nothing is known", described(None))


class InterruptionTests(SynchronousTestCase):
    """
    What another thread can interrupt.
    """

    def interrupt(self, function: Callable[[Callable[[], None]], Any]) -> None:
        """
        Let another thread interrupt *function* once, as soon as it calls its argument.
        """
        begun = threading.Event()

        def ask() -> None:
            if begun.wait(60):
                interrupt_unlimited()

        thread = threading.Thread(target=ask)
        thread.start()
        with self.assertRaises(OverdueError):
            function(begun.set)
        thread.join(60)
        self.assertFalse(thread.is_alive())

    def test_unlimited(self) -> None:
        """
        Code of the user's without a limit is interrupted, also where it called Python's library.
        """

        def hangs(begun: Callable[[], None]) -> None:
            begun()
            hang()

        def in_library(begun: Callable[[], None]) -> None:
            begun()
            while True:
                textwrap.wrap("a b c")

        allow_interruptions()
        for function in (hangs, in_library):
            with self.subTest(function.__name__):
                self.interrupt(function)

    def test_packages(self) -> None:
        """
        Code of an installed package is the user's, if the user's code has called it, or the reactor itself; and that
        of an earlier configuration.  What runs the farm is not, nor is what this program has called.
        """
        packages, library = "/usr/lib/python3/dist-packages", os.path.dirname(os.__file__)
        user, reactor, ours = "/home/me/own.py", f"{packages}/twisted/internet/base.py", time_limit.__file__
        for expected, *paths in (
            (True, f"{library}/socket.py", f"{packages}/urllib3/a.py", f"{packages}/requests/b.py", user, reactor),
            (True, f"{library}/socket.py", "/v/site-packages/own_steps/a.py", reactor, "/usr/bin/twistd"),
            (True, "/v/site-packages/own_step.py", "<string>", user, ours, reactor),
            (True, f"{library}/socket.py", "<generation 0123456789ab>/master.cfg", reactor),
            (False, f"{packages}/jinja2/a.py", ours, user, reactor),
            (False, f"{packages}/sqlalchemy/a.py", user, reactor),
            (False, "<frozen>", f"{packages}/hyperlink/a.py", reactor, "/usr/bin/twistd"),
            (False, f"{library}/socket.py", reactor, "/usr/bin/twistd"),
            (False, f"{library}/runpy.py"),
        ):
            frame: Any = None
            for path in reversed(paths):
                frame = mock.Mock(f_back=frame, f_code=mock.Mock(co_filename=path))
            with self.subTest(paths=paths):
                self.assertEqual(is_users(frame), expected)

    def test_ours(self) -> None:
        """
        Code of this program is not interrupted; nor is code with a limit, before that is over.
        """

        class Ours:
            f_back = None
            f_code = mock.Mock(co_filename=time_limit.__file__)

        for frame in (Ours(), None):
            time_limit._is_asked = True
            time_limit._interrupt(0, frame)  # type: ignore[arg-type]  # of the same form
            self.assertFalse(time_limit._is_asked)
        calls: list[None] = []

        def limited() -> None:
            time_limit._is_asked = True
            time_limit._interrupt(0, sys._getframe())
            calls.append(None)

        call_within(60.0, limited)
        self.assertEqual(calls, [None])
