"""
A master that ends itself with kill -9 right after a chosen commit of a build's journal.

`MORTAL_MASTER_TAC` replaces the ``master.tac`` of a test's farm; the product has no switch for this.
"""

from pathlib import Path

from attrs import frozen

from .farm import MASTER_TAC, Farm

MORTAL_MASTER_TAC = (
    """
import os
import signal
from buildbot_lite.master.builds.recorder import BuildRecorder

MOMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "die-at")


def dying(method, which):
    def then_die(self, build, entry, *rest):
        def committed(answer):
            try:
                with open(MOMENT) as file:
                    wanted = file.read()
            except FileNotFoundError:
                return answer
            if wanted == f"{build} {entry.step} {entry.ordinal} {which}":
                os.unlink(MOMENT)
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return method(self, build, entry, *rest).addCallback(committed)

    return then_die


BuildRecorder.begin = dying(BuildRecorder.begin, "begun")
BuildRecorder.end = dying(BuildRecorder.end, "ended")
"""
    + MASTER_TAC
)


@frozen
class CrashPoint:
    """
    A crash point: the commit after which the master dies.

    *which*: "begun", the commit of the intent of the journal's entry; "ended", that of its outcome.
    """

    step: int
    ordinal: int
    which: str


def make_mortal(farm: Farm) -> None:
    """
    Give *farm* a master that `die_at` can kill.
    """
    (farm.master_directory / "master.tac").write_text(MORTAL_MASTER_TAC)


def die_at(farm: Farm, build: int, point: CrashPoint) -> None:
    """
    Have the master die at *point* of *build* (a row).
    """
    _order(farm).write_text(f"{build} {point.step} {point.ordinal} {point.which}")


def wait_for_death(farm: Farm) -> None:
    """
    Wait for the death that `die_at` ordered.
    """
    farm.master.wait()
    order = _order(farm)
    assert not order.exists(), f"the master died of something else than {order.read_text()!r}"


def _order(farm: Farm) -> Path:
    return farm.master_directory / "die-at"
