"""
Which strings permit which question, and the refusal that names the right one.

A question of the farm's own belongs to the least right that permits it: to look, to control, or everything (an
admin's).  A question of an extension says which verbs permit it (`questions.Question`).
"""

from collections.abc import Collection

from ..errors import RefusedError
from ..master.farm import Farm
from ..master.grants.verbs import ADMIN, CONTROL, SUBMIT, WATCH

MAY_LOOK = frozenset(
    {"status", "queue", "slaves", "builders", "builds", "build", "artifacts", "request", "log", "artifact", "kept"}
    | {"schedulers", "changes", "first-bad", "tail", "farm", "www", "me", "redeem", "end-sessions", "metrics"}
)
"""The questions that a FURL to watch the farm permits."""
MAY_CONTROL = MAY_LOOK | {
    "force",
    "force-forms",
    "rebuild",
    "cancel",
    "pause",
    "drain",
    "keep",
    "unkeep",
    "sendchange",
    "sign-out",
}
"""The questions that a FURL to control the farm permits."""


def verbs_for(question: str) -> tuple[str, ...]:
    """
    The verbs whose FURLs permit *question*, one of the farm's own, the least right first.
    """
    beside = [verb for verb, questions in ((WATCH, MAY_LOOK), (CONTROL, MAY_CONTROL)) if question in questions]
    return (*beside, ADMIN)


def not_permitted(farm: Farm, question: str, verbs: Collection[str]) -> RefusedError:
    """
    The refusal of *question* for the holder of a string that is for none of *verbs*: it says how the admin makes one
    that is, with the least right.
    """
    return RefusedError(
        f"This string does not permit {question!r:.60}.  Ask the farm's admin for one that does: "
        f"buildbot-lite grant {_least(farm, verbs)}"
    )


def _least(farm: Farm, verbs: Collection[str]) -> str:
    """
    The words after ``grant`` for the narrowest of *verbs*: one for a single object before one for the whole farm, and
    of several the one that the farm has first.
    """
    known = [verb for name, verb in farm.verbs.items() if name in verbs]
    # Whoever may submit has a string of that kind for jobs of their own only.
    narrowest = min((each for each in known if each.name != SUBMIT), key=lambda each: not each.takes, default=None)
    return ADMIN if narrowest is None else f"{narrowest.name} {narrowest.takes}".rstrip()
