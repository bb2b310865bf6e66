"""
How a command ended, of all that happened to it.
"""

from collections.abc import Callable
from itertools import permutations
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper.outcome import OutcomeRecorder
from buildbot_lite.model.outcome import Ending, Outcome, Why


class _StillLoop:
    """
    A clock that stands still.
    """

    def now(self) -> float:
        return 0.0


REASONS: dict[tuple[Ending, Why | None, str], Callable[[OutcomeRecorder], None]] = {
    (Ending.FAILED, None, "no such program"): lambda recorder: recorder.failed("no such program"),
    (Ending.LOST, None, "it exits"): lambda recorder: recorder.killed("", "it exits"),
    (Ending.KILLED, Why.CAP, "too much"): lambda recorder: recorder.killed("cap", "too much"),
}


class FirstReasonTests(SynchronousTestCase):
    def test_first(self) -> None:
        """
        Of several reasons for which a command did not end by itself, the outcome has the first one, with its sentence.
        """
        for order in permutations(REASONS):
            recorder = OutcomeRecorder(cast(Any, _StillLoop()))
            for each in order:
                REASONS[each](recorder)
            outcome = Outcome.from_document(recorder.outcome({}))
            self.assertEqual((outcome.ending, outcome.why, outcome.sentence), order[0])
            self.assertEqual(recorder.life, "lost" if order[0][0] is Ending.LOST else "ended")

    def test_none(self) -> None:
        """
        A command that ended by itself has neither a reason nor a sentence.
        """
        recorder = OutcomeRecorder(cast(Any, _StillLoop()))
        outcome = Outcome.from_document({**recorder.outcome({}), "exit_code": 0})
        self.assertEqual((outcome.why, outcome.sentence, recorder.life), (None, "", "ended"))
