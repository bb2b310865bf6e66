"""
Why a request is waiting: a closed list.

For every waiting request there is exactly one reason, and it names what has to change.  What the queue decides and
what it tells people are the same value, so that they cannot disagree.
"""

from collections.abc import Sequence
from enum import Enum

from attrs import frozen


class WaitKind(Enum):
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
    CAN_START_PENDING = "asked"
    CANCELLING = "cancelling"
    STARTING = "starting"


_NEARNESS = list(WaitKind)


@frozen
class WaitReason:
    """
    One thing in the way, in a *sentence* for people.
    """

    kind: WaitKind
    sentence: str


def nearest(reasons: Sequence[WaitReason]) -> WaitReason:
    """
    Of the *reasons* why each slave of a builder cannot take a request, the one that is likely to go away first.

    Slaves with the same kind of obstacle are named together.
    """
    kind = max((reason.kind for reason in reasons), key=_NEARNESS.index)
    sentences = [reason.sentence for reason in reasons if reason.kind is kind]
    shown = "; ".join(sentences[:5])
    return WaitReason(kind, shown if len(sentences) <= 5 else f"{shown}; and {len(sentences) - 5} more")


def no_builder(builder: str) -> WaitReason:
    """
    The configuration has no such builder any more.
    """
    return WaitReason(
        WaitKind.NO_BUILDER, f"builder {builder} is not in master.cfg any more; add it again, or cancel the request"
    )


def stopping() -> WaitReason:
    """
    The master starts nothing because it is about to stop.
    """
    return WaitReason(WaitKind.STOPPING, "the master is waiting to stop and starts no builds")


def disk_full() -> WaitReason:
    """
    The master has no room for logs.
    """
    return WaitReason(WaitKind.DISK_FULL, "the master's disk is full; builds start again when there is room")


def locked() -> WaitReason:
    """
    The master cannot write down what it would begin.
    """
    return WaitReason(
        WaitKind.LOCKED, "another program has the farm's database locked; builds start again when it lets go"
    )


def storage_failing(why: str) -> WaitReason:
    """
    The master's database or its directory cannot be used; *why* is a sentence.
    """
    return WaitReason(WaitKind.STORAGE, f"{why.rstrip('.')}; builds start again when that is mended")


def back_off(seconds: float, attempt: int) -> WaitReason:
    """
    It was tried and lost, and is tried again after a pause.  *attempt* 0: not even its beginning could be recorded.
    """
    if not attempt:
        return WaitReason(
            WaitKind.BACK_OFF, f"its beginning could not be recorded; it is tried again in {seconds:.0f} s"
        )
    return WaitReason(WaitKind.BACK_OFF, f"retry {attempt} begins in {seconds:.0f} s")


def absent(slave: str, since: str) -> WaitReason:
    """
    The slave is not connected; *since* is "since 12:00:01" or "never seen".
    """
    return WaitReason(WaitKind.ABSENT, f"{slave} is not connected ({since})")


def revoked(slave: str) -> WaitReason:
    """
    The slave's string was taken back.
    """
    return WaitReason(
        WaitKind.REVOKED, f"the string of {slave} was revoked; for a new one: buildbot-lite rotate {slave}"
    )


def busy(slave: str, builds: Sequence[str]) -> WaitReason:
    """
    The slave has no free slot; *builds* are what it runs, as "hello/12".
    """
    return WaitReason(WaitKind.BUSY, f"{slave} is busy with {', '.join(builds)}")


def builder_busy(slave: str, build: str) -> WaitReason:
    """
    The builder already runs on that slave and is not ``concurrent``.
    """
    return WaitReason(WaitKind.BUILDER_BUSY, f"{build} already runs on {slave}, and the builder is not concurrent")


def paused(slave: str) -> WaitReason:
    """
    An admin paused the slave.
    """
    return WaitReason(WaitKind.PAUSED, f"{slave} is paused")


def draining(slave: str) -> WaitReason:
    """
    The slave takes no new builds and leaves when its last one ended.
    """
    return WaitReason(WaitKind.DRAINING, f"{slave} is draining")


def low_space(slave: str, space: int, minspace: int) -> WaitReason:
    """
    The slave's disk has less room than its ``minspace``, in bytes.
    """
    return WaitReason(
        WaitKind.LOW_SPACE, f"{slave} has {space >> 20} MiB free, and needs {minspace >> 20} MiB (minspace)"
    )


def refused(slave: str, builder: str) -> WaitReason:
    """
    The builder's ``canStartBuild`` said no.
    """
    return WaitReason(WaitKind.REFUSED, f"canStartBuild of {builder} refuses {slave}")


def can_start_pending(slave: str, builder: str) -> WaitReason:
    """
    The builder's ``canStartBuild`` has not answered yet.
    """
    return WaitReason(WaitKind.CAN_START_PENDING, f"canStartBuild of {builder} is being asked about {slave}")


def cancelling() -> WaitReason:
    """
    Somebody cancelled it, and that is only being recorded.
    """
    return WaitReason(WaitKind.CANCELLING, "it is cancelled as soon as that can be recorded")


def starting() -> WaitReason:
    """
    Nothing stands in the way: it starts at once.
    """
    return WaitReason(WaitKind.STARTING, "the build is about to start")
