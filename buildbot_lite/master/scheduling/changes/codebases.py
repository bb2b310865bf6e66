"""
The codebases of changes whose source names none: what ``c['codebaseGenerator']`` returns for them.
"""

from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.logger import Logger

from ....errors import ConfigError
from ....model.change import Change
from ....model.change_view import ChangeView
from ....model.user_functions import error_text

_log = Logger()


def with_codebase(change: Change, generator: Callable[[dict[str, Any]], Any] | None, now: float) -> Change:
    """
    *change* with the codebase that *generator*, a function of master.cfg, returns for it; as it is when it has a
    codebase, or there is no generator.  *now*: seconds since 1970.

    `ConfigError` when the function fails or returns no text.  The change is not recorded then: recorded in a wrong
    codebase it would never be built, whereas its source tries again or is told.
    """
    if generator is None or change.codebase:
        return change
    try:
        codebase = generator(_dictionary(change, now))
    except Exception as error:
        _log.failure("c['codebaseGenerator'] failed")
        raise ConfigError(f"{_failed(change)} failed: {error_text(error)}") from error
    if not isinstance(codebase, str):
        raise ConfigError(f"{_failed(change)} returned {codebase!r:.100}, which is no text.")
    return evolve(change, codebase=codebase)


def _dictionary(change: Change, now: float) -> dict[str, Any]:
    # As Buildbot's: a change that is not recorded has no number.
    return {**ChangeView(change, 0, now).asDict(), "number": None, "changeid": None}


def _failed(change: Change) -> str:
    repository = f" in {change.repository!r:.200}" if change.repository else ""
    return (
        f"A change of {change.branch!r:.100}{repository} was not recorded, because c['codebaseGenerator'] in master.cfg"
    )
