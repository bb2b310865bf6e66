"""
Reasons why a request waits: a closed list.

Every waiting request has exactly one reason, which names the obstacle.  The queue decides by the same value that is
shown to people, so that both always agree.
"""

from collections.abc import Sequence
from enum import Enum

from attrs import frozen


class WaitKind(Enum):
    """
    Kinds of obstacles, from those that will probably last longest to those that will end soonest.
    """

    NO_BUILDER = "no-builder"
    OTHER_MACHINE = "other-machine"
    STOPPING = "stopping"
    DISK_FULL = "disk-full"
    LOCKED = "database-locked"
    STORAGE = "storage-failing"
    BACK_OFF = "back-off"
    AFTER = "after"
    REVOKED = "revoked"
    ABSENT = "absent"
    REFUSED = "refused"
    LOW_SPACE = "low-space"
    PAUSED = "paused"
    DRAINING = "draining"
    BUILDER_BUSY = "builder-busy"
    BUSY = "busy"
    LOCK = "lock"
    CAN_START_PENDING = "asked"
    CANCELLING = "cancelling"
    STARTING = "starting"


_NEARNESS = list(WaitKind)
_STAYING = frozenset({WaitKind.REVOKED, WaitKind.LOW_SPACE, WaitKind.PAUSED, WaitKind.DRAINING})
"""Obstacles of slaves that remain until somebody removes them."""


@frozen
class WaitReason:
    """
    One obstacle, with a *sentence* for people.
    """

    kind: WaitKind
    sentence: str


def nearest(reasons: Sequence[WaitReason]) -> WaitReason:
    """
    Choose from *reasons*, one for each slave of a builder, the obstacle that will probably end first.

    The sentence names up to five slaves with an obstacle of this kind.  If no obstacle ends by itself, somebody has to
    choose one to remove, so the sentence also names slaves with other obstacles.
    """
    if len(reasons) == 1:
        return reasons[0]
    kind = max((reason.kind for reason in reasons), key=_NEARNESS.index)
    sentences = [reason.sentence for reason in reasons if reason.kind is kind]
    if kind in _STAYING:
        others = (reason for reason in reasons if reason.kind is not kind)
        sentences += [each.sentence for each in sorted(others, key=lambda each: -_NEARNESS.index(each.kind))]
    text = "; ".join(sentences[:5])
    return WaitReason(kind, text if len(sentences) <= 5 else f"{text}; and {len(sentences) - 5} more")


def no_builder(builder: str) -> WaitReason:
    """
    The configuration no longer has *builder*.
    """
    return WaitReason(
        WaitKind.NO_BUILDER, f"builder {builder} is not in master.cfg any more; add it again, or cancel the request"
    )


def no_slave_of(builder: str, slaves: Sequence[str]) -> WaitReason:
    """
    The request is limited to *slaves*, of which *builder* has none.
    """
    return WaitReason(
        WaitKind.NO_BUILDER, f"only {', '.join(slaves)} may build it, but {builder} has none of these slaves"
    )


def other_machine(slave: str, machine: str, wanted: Sequence[str]) -> WaitReason:
    """
    The machine of *slave*, as it calls itself, is none of the architectures *wanted*.
    """
    return WaitReason(
        WaitKind.OTHER_MACHINE,
        f"{slave} is a machine of {machine or 'an unknown kind'}, and {' or '.join(wanted)} is needed",
    )


def stopping() -> WaitReason:
    """
    The master will stop and starts no builds.
    """
    return WaitReason(
        WaitKind.STOPPING, "the master will stop when the running builds have ended, and starts no others"
    )


def disk_full() -> WaitReason:
    """
    The master's disk has no room for logs.
    """
    return WaitReason(WaitKind.DISK_FULL, "the master's disk is full; builds start again when there is room")


def locked() -> WaitReason:
    """
    Another program has the farm's database locked.
    """
    return WaitReason(
        WaitKind.LOCKED, "another program has the farm's database locked; builds start again when it releases the lock"
    )


def storage_failing(why: str) -> WaitReason:
    """
    The master's database or its directory cannot be used; *why* is a sentence.
    """
    return WaitReason(WaitKind.STORAGE, f"{why.rstrip('.')}; builds start again when this is repaired")


def back_off(seconds: float, attempt: int) -> WaitReason:
    """
    The next attempt begins in *seconds*.  *attempt*: the number of the retry; 0: it is the first attempt again, because
    its start could not be recorded.
    """
    if not attempt:
        return WaitReason(
            WaitKind.BACK_OFF, f"the start of its build could not be recorded; next attempt in {seconds:.0f} s"
        )
    return WaitReason(WaitKind.BACK_OFF, f"retry {attempt} begins in {seconds:.0f} s")


def after_another(what: str, state: str) -> WaitReason:
    """
    The request is built after *what*, which is in a *state*: "job 12: hello 2.10-3", "building".
    """
    return WaitReason(WaitKind.AFTER, f"it is built after {what}, which is in the state {state}")


def absent(slave: str, since: str, *, paused: bool = False) -> WaitReason:
    """
    The slave is not connected.  *since*: "since 2026-11-30 12:00:01 +0100" or "never seen".  *paused*: an admin paused
    it, too.
    """
    return WaitReason(WaitKind.ABSENT, f"{slave} is not connected ({since})" + (" and paused" if paused else ""))


def revoked(slave: str) -> WaitReason:
    """
    The slave's FURL is revoked.
    """
    return WaitReason(
        WaitKind.REVOKED, f"the string of {slave} was revoked; for a new one: buildbot-lite rotate {slave}"
    )


def busy(slave: str, builds: Sequence[str]) -> WaitReason:
    """
    The slave has no free slot.  *builds*: the builds that it runs, as "hello/12".
    """
    return WaitReason(WaitKind.BUSY, f"{slave} is busy with {', '.join(builds)}")


def one_at_a_time(slave: str, build: str) -> WaitReason:
    """
    The slave builds a package, *build*, and has no ``max_builds``.
    """
    return WaitReason(
        WaitKind.BUSY, f"{slave} is busy with {build}, and builds one package at a time, because it has no max_builds"
    )


def builder_busy(slave: str, build: str) -> WaitReason:
    """
    *build* of the same builder, which is not ``concurrent``, runs on the slave.
    """
    return WaitReason(
        WaitKind.BUILDER_BUSY,
        f"{build} already runs on {slave}, one at a time: the builder has no concurrent=True in its BuilderConfig",
    )


def paused(slave: str) -> WaitReason:
    """
    An admin paused the slave.
    """
    return WaitReason(WaitKind.PAUSED, f"{slave} is paused")


def builder_held(why: str) -> WaitReason:
    """
    An admin has paused the package target, or another source of builds, to which the builder belongs.
    """
    return WaitReason(WaitKind.PAUSED, why)


def draining(slave: str) -> WaitReason:
    """
    The slave accepts no new builds and stops after its last one.
    """
    return WaitReason(WaitKind.DRAINING, f"{slave} is draining")


def low_space(slave: str, space: int, minspace: int, removed: Sequence[str] = ()) -> WaitReason:
    """
    The slave's disk has *space* bytes free, less than its ``minspace``, although it *removed* these work directories.
    """
    sentence = f"{slave} has {space >> 20} MiB free, and needs {minspace >> 20} MiB (minspace)"
    if removed:
        sentence += f", although it removed work directories that no builder uses: {', '.join(removed)}"
    return WaitReason(WaitKind.LOW_SPACE, sentence)


def lock(name: str, requests: Sequence[str], *, held: bool) -> WaitReason:
    """
    The lock called *name* is not available.  *requests*: the builds that hold it, as "hello/12"; or, if not *held*, the
    requests and builds that have waited for it for longer.
    """
    text = ", ".join(requests[:5]) + (f" and {len(requests) - 5} more" if len(requests) > 5 else "")
    state = f"is held by {text}" if held else f"is reserved for {text}"
    return WaitReason(WaitKind.LOCK, f"lock {name} {state}")


def locks_unknown(builder: str, why: str) -> WaitReason:
    """
    The builder's ``locks`` cannot be rendered.
    """
    return WaitReason(WaitKind.REFUSED, f"the locks of {builder} cannot be computed: {why}")


def refused(slave: str, builder: str) -> WaitReason:
    """
    The builder's ``canStartBuild`` returned false.
    """
    return WaitReason(WaitKind.REFUSED, f"canStartBuild of {builder} refuses {slave}")


def left_out(function: str, of: str) -> WaitReason:
    """
    The *function* of master.cfg that decides about *of* did not choose it.
    """
    return WaitReason(WaitKind.REFUSED, f"{function} does not choose {of}")


def function_pending(function: str, of: str) -> WaitReason:
    """
    The *function* of master.cfg that decides about *of* has not answered.
    """
    return WaitReason(WaitKind.CAN_START_PENDING, f"{function} is being asked about {of}")


def function_failed(function: str, of: str) -> WaitReason:
    """
    The *function* of master.cfg that decides about *of* failed.
    """
    return WaitReason(WaitKind.REFUSED, f"{function} failed for {of}; the master's log has its error")


def can_start_pending(slave: str, builder: str) -> WaitReason:
    """
    The builder's ``canStartBuild`` has not returned yet.
    """
    return WaitReason(
        WaitKind.CAN_START_PENDING, f"canStartBuild of {builder} has not answered yet whether {slave} may build it"
    )


def cancelling() -> WaitReason:
    """
    The request was cancelled, and the cancellation is not recorded yet.
    """
    return WaitReason(WaitKind.CANCELLING, "it will be cancelled when the master can record that")


def starting() -> WaitReason:
    """
    There is no obstacle: the build starts at once.
    """
    return WaitReason(WaitKind.STARTING, "the build is about to start")
