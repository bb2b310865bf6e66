"""
One slave as builds see it: commands run on it, however often its link is lost.

`session_machine` decides what happens to commands when the slave comes and goes; `session_core` has the data.
"""

from collections.abc import Iterable

from attrs import evolve
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...model.hello import Hello
from ...model.outcome import Outcome
from ...wire.roles import Slave
from .command import DispatchedCommand
from .session_core import Core, SessionListener
from .session_machine import Attachment, machine


class Session:
    """
    One slave as builds see it: commands run on it, however often its link is lost.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
    The session of the slave *name*, from the start of the master to its end.
