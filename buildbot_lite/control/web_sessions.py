"""
The strings of browsers' sessions: how the master knows them among all control strings.

::

    grant of a web process, #12 ── redeems a code ──► grant called ``web/session-of-12``, with a label for people

The name says which string of a web process they came from.  Nobody can choose the name of a string that is handed out,
but everybody who hands one out can choose its label, so that says nothing.
"""

import re
from collections.abc import Callable

from ..master.grants.verbs import CONTROL, FARM
from ..model import holder_name
from ..model.display import clock_time
from ..storage.records.grants import SESSION_OF, Grant
from .web_codes import SESSION, CodeTerms

WEB_SESSION = holder_name.SESSION
"""The beginning of the label of a session's string, and of no other that is handed out."""
# The sessions of earlier versions had no name of their own.
_EARLIER_LABEL = re.compile(
    rf"{WEB_SESSION}( of .+)? \((from .+, )?\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d(, code of #\d+)?\)\Z"
)


def session_name(opener: int) -> str:
    """
    The name of the strings of sessions that the web process with grant *opener* keeps.
    """
    return f"{SESSION_OF}{opener}"


def session_label(terms: CodeTerms, origin: str, now: float) -> str:
    """
    The label of the string that a code becomes: whose it is, from where, and when.  *now*: seconds since 1970.
    """
    of = f" of {terms.label}" if terms.label else ""
    whence = [f"from {origin}"] if origin else []
    made = [f"code of #{terms.by}"] if terms.by is not None else []
    return f"{WEB_SESSION}{of} ({', '.join([*whence, clock_time(now), *made])})"


def is_session(grant: Grant) -> bool:
    """
    Whether *grant* is that of a session, also of one of an earlier version.
    """
    return opener_of(grant) is not None or _is_earlier_session(grant)


def ends_with(grant: Grant, opener: int, is_in_force: Callable[[int], bool]) -> bool:
    """
    Whether *grant* is that of a session which ends when the web process with grant *opener* says that it keeps none: it
    is one of its own, or of a web process whose grant is void.  Those of earlier versions expire.
    """
    own = opener_of(grant)
    return own is not None and (own == opener or not is_in_force(own))


def opener_of(grant: Grant) -> int | None:
    """
    The number of the web process's grant with which the session of *grant* began; None if it is no session's.
    """
    number = grant.name.removeprefix(SESSION_OF)
    is_one = grant.verb == CONTROL and grant.object == FARM and number != grant.name and number.isdecimal()
    return int(number) if is_one else None


def _is_earlier_session(grant: Grant) -> bool:
    # An admin could have chosen such a label, but hardly all of this.
    return (
        (grant.verb, grant.object, grant.name) == (CONTROL, FARM, FARM)
        and grant.expires is not None
        and grant.expires - grant.created <= SESSION
        and _EARLIER_LABEL.match(grant.label or "") is not None
    )
