"""
Slaves as JSON documents, each with its state as one word.

::

    never-seen ──► here ◄──► paused, draining, low-space        connected
                    ▲  │
                    │  ▼
                reconnecting ──► away                           disconnected: within its grace, and after it
                    │
                    '──► refused                                its last attempt was refused, or its string revoked
"""

from attrs import frozen

from ..master.farm import Farm
from ..master.slaves.member import Member
from ..model.display import by_number
from ..model.lease import master_deadline
from ..model.wait_reasons import WaitKind
from ..wire.contract import JITTER, REFUSED_DELAY
from .build_documents import Document

STATES = ("here", "paused", "draining", "low-space", "reconnecting", "away", "refused", "never-seen")
"""All words for the state of a slave."""
_CONNECTED = {WaitKind.DRAINING: "draining", WaitKind.PAUSED: "paused", WaitKind.LOW_SPACE: "low-space"}


@frozen
class SlaveState:
    """
    The state of a slave: one of `STATES`, and the reason for it as a sentence, None for "here".
    """

    word: str
    reason: str | None


def of_slave(farm: Farm, member: Member) -> Document:
    """
    One slave.  ``state``: a word of `STATES`; ``why``: the reason for it.  ``grace_left``: seconds until its builds are
    given up, null when it is connected or none of its builds waits for it.  ``obstacle``: the reason for which it takes
    no builds; ``low_space``: whether this reason is its disk; ``version`` and ``platform``: of its latest connection.
    """
    hello = member.session.hello
    obstacle = member.obstacle()
    state = state_of(farm, member)
    return {
        "slave": member.name,
        "state": state.word,
        "why": state.reason,
        "grace_left": None if hello is not None else member.session.grace_left,
        "connected": hello is not None,
        "since": member.attached_at if hello is not None else member.lost_at,
        "paused": member.paused,
        "draining": member.draining,
        "revoked": member.revoked,
        "refused": _refused(member),
        "breach": None if member.breach is None else {"at": member.breach[0], "reason": member.breach[1]},
        "obstacle": None if obstacle is None else obstacle.sentence,
        "running": sorted((running.label for running in farm.slots.on(member.name)), key=by_number),
        "max_builds": member.config.max_builds,
        "builders": [builder.name for builder in farm.config.builders_on(member.name)],
        "version": member.version,
        "space": None if hello is None else hello.space,
        "low_space": obstacle is not None and obstacle.kind is WaitKind.LOW_SPACE,
        "removed": [] if hello is None else list(hello.removed),
        "platform": dict(member.platform) or None,
    }


def state_of(farm: Farm, member: Member) -> SlaveState:
    """
    The state of *member*.
    """
    obstacle = member.obstacle()
    sentence = None if obstacle is None else obstacle.sentence
    if member.revoked:
        return SlaveState("refused", sentence)
    if member.session.hello is not None:
        return SlaveState("here" if obstacle is None else _CONNECTED[obstacle.kind], sentence)
    if (refused := _refused(member)) is not None:
        return SlaveState("refused", refused["reason"])
    if member.lost_at is None:
        return SlaveState("never-seen", sentence)
    within_grace = farm.wall() < member.lost_at + master_deadline(member.config.grace)
    return SlaveState("reconnecting" if within_grace or member.session.grace_left is not None else "away", sentence)


def _refused(member: Member) -> Document | None:
    """
    The last refusal of a slave that is not connected: when, why, and the latest time of its next attempt.
    """
    if member.refused is None or member.session.hello is not None:
        return None
    at, reason = member.refused
    if at < (member.lost_at or 0.0):
        return None  # another machine was connected as this slave at that time
    return {"at": at, "reason": reason, "asks_again_by": at + REFUSED_DELAY * (1 + JITTER)}
