"""
Why a request is waiting: a closed list.

For every waiting request there is exactly one reason, and it names what has to change.  What the queue decides and
what it tells people are the same value, so that they cannot disagree.
"""

from collections.abc import Sequence
from enum import Enum

from attrs import frozen


class Kind(Enum):
    """
    What stands in the way, from the farthest from running to the nearest.
    """

    NO_BUILDER = "no-builder"
    STOPPING = "stopping"
    DISK_FULL = "disk-full"
    LOCKED = "database-locked"
    STORAGE = "storage-failing"
    BACK_OFF = "back-off"
    REVOKED = "revoked"
    ABSENT = "absent"
    REFUSED = "refused"
    LOW_SPACE = "low-space"
    PAUSED = "paused"
    DRAINING = "draining"
    BUILDER_BUSY = "builder-busy"
    BUSY = "busy"
    ASKED = "asked"
    CANCELLING = "cancelling"
    STARTING = "starting"


_NEARNESS = list(Kind)


@frozen
class Reason:
    """
    One thing in the way, in a *sentence* for people.
    """

    kind: Kind
    sentence: str


def nearest(reasons: Sequence[Reason]) -> Reason:
    """
    Of the *reasons* why each slave of a builder cannot take a request, the one that is likely to go away first.

    Slaves with the same kind of obstacle are named together.
    """
    kind = max((reason.kind for reason in reasons), key=_NEARNESS.index)
    sentences = [reason.sentence for reason in reasons if reason.kind is kind]
    shown = "; ".join(sentences[:5])
    return Reason(kind, shown if len(sentences) <= 5 else f"{shown}; and {len(sentences) - 5} more")


def no_builder(builder: str) -> Reason:
    """
    The configuration has no such builder any more.
    """
    return Reason(
        Kind.NO_BUILDER, f"builder {builder} is not in master.cfg any more; add it again, or cancel the request"
    )


def stopping() -> Reason:
    """
    The master starts nothing because it is about to stop.
    """
    return Reason(Kind.STOPPING, "the master is waiting to stop and starts no builds")


def disk_full() -> Reason:
    """
    The master has no room for logs.
    """
    return Reason(Kind.DISK_FULL, "the master's disk is full; builds start again when there is room")


def locked() -> Reason:
    """
    The master cannot write down what it would begin.
    """
    return Reason(Kind.LOCKED, "another program has the farm's database locked; builds start again when it lets go")


def storage_failing(why: str) -> Reason:
    """
    The master's database or its directory cannot be used; *why* is a sentence.
    """
    return Reason(Kind.STORAGE, f"{why.rstrip('.')}; builds start again when that is mended")


def back_off(seconds: float, attempt: int) -> Reason:
    """
    It was tried and lost, and is tried again after a pause.  *attempt* 0: not even its beginning could be recorded.
    """
    if not attempt:
        return Reason(Kind.BACK_OFF, f"its beginning could not be recorded; it is tried again in {seconds:.0f} s")
    return Reason(Kind.BACK_OFF, f"retry {attempt} begins in {seconds:.0f} s")


def absent(slave: str, since: str) -> Reason:
    """
    The slave is not connected; *since* is "since 12:00:01" or "never seen".
    """
    return Reason(Kind.ABSENT, f"{slave} is not connected ({since})")


def revoked(slave: str) -> Reason:
    """
    The slave's string was taken back.
    """
    return Reason(Kind.REVOKED, f"the string of {slave} was revoked; for a new one: buildbot-lite rotate {slave}")


def busy(slave: str, builds: Sequence[str]) -> Reason:
    """
    The slave has no free slot; *builds* are what it runs, as "hello/12".
    """
    return Reason(Kind.BUSY, f"{slave} is busy with {', '.join(builds)}")


def builder_busy(slave: str, build: str) -> Reason:
    """
    The builder already runs on that slave and is not ``concurrent``.
    """
    return Reason(Kind.BUILDER_BUSY, f"{build} already runs on {slave}, and the builder is not concurrent")


def paused(slave: str) -> Reason:
    """
    An admin paused the slave.
    """
    return Reason(Kind.PAUSED, f"{slave} is paused")


def draining(slave: str) -> Reason:
    """
    The slave takes no new builds and leaves when its last one ended.
    """
    return Reason(Kind.DRAINING, f"{slave} is draining")


def low_space(slave: str, space: int, minspace: int) -> Reason:
    """
    The slave's disk has less room than its ``minspace``, in bytes.
    """
    return Reason(Kind.LOW_SPACE, f"{slave} has {space >> 20} MiB free, and needs {minspace >> 20} MiB (minspace)")


def refused(slave: str, builder: str) -> Reason:
    """
    The builder's ``canStartBuild`` said no.
    """
    return Reason(Kind.REFUSED, f"canStartBuild of {builder} refuses {slave}")


def asked(slave: str, builder: str) -> Reason:
    """
    The builder's ``canStartBuild`` has not answered yet.
    """
    return Reason(Kind.ASKED, f"canStartBuild of {builder} is being asked about {slave}")


def cancelling() -> Reason:
    """
    Somebody cancelled it, and that is only being recorded.
    """
    return Reason(Kind.CANCELLING, "it is cancelled as soon as that can be recorded")


def starting() -> Reason:
    """
    Nothing stands in the way: it starts at once.
    """
    return Reason(Kind.STARTING, "the build is about to start")
