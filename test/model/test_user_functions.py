"""
Functions of a master.cfg: limited in time, and named in errors.
"""

import re
import traceback
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import UserFunctionOverdueError
from buildbot_lite.model import user_functions
from buildbot_lite.model.user_functions import LONGEST_CALL, SHORTEST_LIMIT, error_text, limited

from .test_time_limit import endless


class LimitedTests(SynchronousTestCase):
    def test_overdue(self) -> None:
        """
        A function that never ends is ended; the error has its name and place, and is no `BaseException` alone.
        """
        self.patch(user_functions, "LONGEST_CALL", 0.05)
        with self.assertRaises(UserFunctionOverdueError) as caught:
            limited(endless, "nextBuild")()
        self.assertRegex(str(caught.exception), r"^nextBuild \(endless, test_time_limit.py line \d+\) was ended")
        self.assertIn(", in endless", "".join(traceback.format_exception(caught.exception)))

    def test_hostile_search(self) -> None:
        """
        A search with a regular expression is interrupted, too.
        """
        self.patch(user_functions, "LONGEST_CALL", 0.05)
        with self.assertRaises(UserFunctionOverdueError):
            limited(lambda: re.match("(a+)+b", "a" * 60), "filter_fn")()

    def test_error(self) -> None:
        """
        An exception of the function stays what it is; what people read has the function's name and place.
        """

        def broken(x: int) -> None:
            raise ValueError(f"no {x}")

        with self.assertRaises(ValueError) as caught:
            limited(broken, "priority")(3)
        self.assertRegex(
            error_text(caught.exception), r"^ValueError: no 3, in priority \(broken, test_user_functions.py line \d+\)$"
        )

    def test_awaited(self) -> None:
        """
        What is awaited has no limit, and its errors are named in the same way.
        """
        fired: Deferred[int] = Deferred()

        async def waits(*, fail: bool) -> int:
            found = await fired
            if fail:
                raise KeyError("x")
            return found

        good, bad = (Deferred.fromCoroutine(limited(waits, "f")(fail=fail)) for fail in (False, True))
        fired.callback(5)
        self.assertEqual(self.successResultOf(good), 5)
        self.assertIn("in f (waits, ", error_text(self.failureResultOf(bad, KeyError).value))

    def test_overdue_in_deferred(self) -> None:
        """
        Twisted makes a failure of the interruption of an ``inlineCallbacks`` function: it is the same error.
        """
        self.patch(user_functions, "LONGEST_CALL", 0.05)

        @inlineCallbacks
        def old() -> Any:
            endless()
            yield

        self.failureResultOf(Deferred.fromCoroutine(limited(old, "f")()), UserFunctionOverdueError)

    def test_slow(self) -> None:
        """
        A function that is slow again and again gets less time, but never less than the shortest limit; with time, it
        gets more again.
        """
        now, limits = [0.0], []

        def call_within(limit: float, function: Any) -> Any:
            limits.append(limit)
            now[0] += function()
            return None

        took = iter([0.4, 3.0, 2.0, 0.6, 0.0, 0.0])
        slow = limited(lambda: next(took), "f")
        with (
            mock.patch.object(user_functions, "call_within", call_within),
            mock.patch("time.monotonic", lambda: now[0]),
        ):
            for _ in range(5):
                slow()
            now[0] += 1000
            slow()
        self.assertEqual(limits[0], LONGEST_CALL)
        self.assertEqual(limits[1], LONGEST_CALL)
        self.assertAlmostEqual(limits[2], LONGEST_CALL - 3.0)
        self.assertAlmostEqual(limits[3], 0.2)
        self.assertAlmostEqual(limits[4], SHORTEST_LIMIT)
        self.assertEqual(limits[5], LONGEST_CALL)
        self.assertGreater(SHORTEST_LIMIT, 0.0)

    def test_limited_anew(self) -> None:
        """
        A function that is limited anew for each call, such as a doStepIf, has one share for all calls.
        """
        limits = []

        def call_within(limit: float, function: Any) -> Any:
            limits.append(limit)
            now[0] += function()

        now = [0.0]

        def slow() -> float:
            return 3.0

        with (
            mock.patch.object(user_functions, "call_within", call_within),
            mock.patch("time.monotonic", lambda: now[0]),
        ):
            for _ in range(2):
                limited(slow, "doStepIf")()
        self.assertEqual(limits[0], LONGEST_CALL)
        self.assertAlmostEqual(limits[1], LONGEST_CALL - 3.0)

    def test_method(self) -> None:
        """
        A method stays one.
        """

        class Of:
            def own(self, x: int) -> tuple[Any, int]:
                return self, x

        of = Of()
        found = limited(of.own, "f")
        self.assertIs(found.__self__, of)  # type: ignore[attr-defined]  # a method
        self.assertEqual(found(3), (of, 3))
