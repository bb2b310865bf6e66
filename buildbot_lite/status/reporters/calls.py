"""
The methods of one reporter, each within its limits.

Methods may be code of master.cfg, which may raise anything, and wait for ever.
"""

from collections.abc import Coroutine
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ...errors import BuildbotLiteError
from ...master.config.overrides import is_shipped
from ...master.scheduling.code_time import OwnersTime
from ...model.display import printable
from ...model.user_functions import awaited
from .reporter import Reporter

LONGEST_FAILURE = 1000
"""Characters of an error's text."""
LONGEST_WORK = 300.0
"""Seconds that composing a message, or sending one, may take."""


class ReporterCalls:
    """
    Calls methods of *reporter*, which a reconfiguration replaces by another of the same name.  *budget*: the time for
    methods that master.cfg defines.
    """

    def __init__(self, reporter: Reporter, *, budget: OwnersTime, clock: IReactorTime) -> None:
        self.reporter = reporter
        self._budget = budget
        self._clock = clock

    @property
    def owner(self) -> str:
        """
        The owner of the reporter's state in the records.
        """
        return f"reporter:{self.reporter.name}"

    async def call(self, method: str, *args: Any) -> Any:
        """
        Call a *method* of the reporter; within the limits on code of master.cfg, if that has derived its class.
        """
        call = getattr(self.reporter, method)
        if is_shipped(call):
            return await awaited(call(*args))
        return await self._budget.run(f"{type(self.reporter).__name__}.{method}", call, *args)

    def in_time(self, work: Coroutine[Deferred[Any], Any, Any]) -> Deferred[Any]:
        """
        The result of *work*, which is cancelled after `LONGEST_WORK` seconds.
        """
        return Deferred.fromCoroutine(work).addTimeout(LONGEST_WORK, self._clock)


def why(error: BaseException) -> str:
    """
    *error* as a sentence for logs and ``status``.
    """
    if isinstance(error, defer.TimeoutError):
        return f"it did not end within {LONGEST_WORK / 60:.0f} min, and was given up"
    said = str(error) if isinstance(error, BuildbotLiteError) else f"{type(error).__name__}: {error}"
    return printable(said, longest=LONGEST_FAILURE)
