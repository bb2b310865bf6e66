"""
Gates of a master: chosen functions, before or after which it waits for the test, or ends itself with kill -9.

The product has no switch for this: `Gates.install` replaces the ``master.tac`` of a test's farm.  A gate is called
"Class.method.before", "module.function.after" and so on.
"""

from collections.abc import Sequence
from contextlib import suppress

from attrs import frozen

from .farm import MASTER_TAC, Farm, until

_TAC = (
    """
import os
import signal
import time
from functools import wraps
from importlib import import_module
from inspect import iscoroutinefunction

PLACE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "gates")


def pass_through(gate):
    path = os.path.join(PLACE, gate)
    try:
        with open(path) as file:
            order = file.read()
    except FileNotFoundError:
        return
    if order == "die":
        os.unlink(path)
        os.kill(os.getpid(), signal.SIGKILL)
    os.mkdir(f"{path}.reached")
    while os.path.exists(path):
        time.sleep(0.02)


def gated(function, name):
    @wraps(function)
    def call(*words, **more):
        pass_through(f"{name}.before")
        answer = function(*words, **more)
        pass_through(f"{name}.after")
        return answer

    @wraps(function)
    async def await_it(*words, **more):
        pass_through(f"{name}.before")
        answer = await function(*words, **more)
        pass_through(f"{name}.after")
        return answer

    return await_it if iscoroutinefunction(function) else call


def install(place):
    module, _, path = place.partition(":")
    owner = import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    setattr(owner, name, gated(getattr(owner, name), f"{owner.__name__.rpartition('.')[2]}.{name}"))


for each in PLACES:
    install(each)
"""
    + MASTER_TAC
)


@frozen
class Gates:
    """
    The gates of the master of *farm*.
    """

    farm: Farm

    def install(self, places: Sequence[str], more: str = "") -> None:
        """
        Give the farm a master with gates at *places*, each "package.module:Class.method" or "package.module:function".
        *more*: further lines of its ``master.tac``.
        """
        (self.farm.directory / "gates").mkdir()
        (self.farm.master_directory / "master.tac").write_text(f"{more}PLACES = {list(places)!r}\n{_TAC}")

    def close(self, gate: str) -> None:
        """
        Have the master wait at *gate*, when it comes there next.
        """
        with suppress(FileNotFoundError):
            (self.farm.directory / "gates" / f"{gate}.reached").rmdir()
        (self.farm.directory / "gates" / gate).write_text("wait")

    def wait_reached(self, gate: str) -> None:
        """
        Wait until the master waits there.
        """
        until((self.farm.directory / "gates" / f"{gate}.reached").exists, f"the master came to {gate}")

    def open(self, gate: str) -> None:
        """
        Let it go on.
        """
        (self.farm.directory / "gates" / gate).unlink()

    def die_at(self, gate: str) -> None:
        """
        Have the master die there, once.
        """
        (self.farm.directory / "gates" / gate).write_text("die")

    def wait_for_death(self, gate: str) -> None:
        """
        Wait for the death that `die_at` ordered.
        """
        self.farm.master.wait()
        order = self.farm.master_directory / "gates" / gate
        assert not order.exists(), f"the master died of something else than {gate}"
