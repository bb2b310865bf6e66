"""
One slave in the registry: its configuration, its session and its state.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from ...model import wait_reasons
from ...model.display import clock_time
from ...model.machines import ARCH, architectures_of
from ...model.wait_reasons import WaitReason
from ..config.objects import BuilderConfig, BuildSlave, listed
from .session import Session


@frozen
class SpaceTerms:
    """
    The part of a slave's welcome that concerns its disk.

    *minspace*: bytes to keep free.  *directories*: those that the slave must not remove to make room; None: it must
    remove none.
    """

    minspace: int = 0
    directories: tuple[str, ...] | None = None


@define
class Member:
    """
    One slave in the registry.

    All times are in seconds since 1970.  *paused*: when an admin paused it, or None.  *lost_at*, *attached_at*: when
    its link was last lost and last made.  *revoked*: whether its FURL was revoked.  *draining*: whether it gets no new
    builds.  *leaving*: the incarnation of the slave process that must stop after its last build.  *breach*: when and
    how the slave last violated the protocol.  *refused*: when an attachment with its FURL was last refused, and the
    error that the slave got.  *version*, *platform*: the slave's last report about itself and its
    machine.  *terms*: those of its last welcome.
    """

    config: BuildSlave
    session: Session
    paused: float | None = None
    draining: bool = False
    lost_at: float | None = None
    attached_at: float | None = None
    revoked: bool = False
    leaving: str | None = None
    breach: tuple[float, str] | None = None
    refused: tuple[float, str] | None = None
    version: str | None = None
    platform: Mapping[str, Any] = field(factory=dict)
    terms: SpaceTerms = SpaceTerms()

    @property
    def name(self) -> str:
        """
        The name in master.cfg.
        """
        return self.config.name

    def obstacle(self) -> WaitReason | None:
        """
        Why the slave gets no builds at all; None if it does.
        """
        if self.revoked:
            return wait_reasons.revoked(self.name)
        hello = self.session.hello
        if hello is None:
            since = "never seen" if self.lost_at is None else f"since {clock_time(self.lost_at)}"
            return wait_reasons.absent(self.name, since, paused=self.paused is not None)
        if self.draining:
            return wait_reasons.draining(self.name)
        if self.paused is not None:
            return wait_reasons.paused(self.name)
        if hello.space < self.config.minspace:
            return wait_reasons.low_space(self.name, hello.space, self.config.minspace, hello.removed)
        return None

    @property
    def architectures(self) -> Sequence[str]:
        """
        Those whose programs it runs: its property ``arch`` names them, or they follow from its machine; none: it has
        not said yet what machine it is.
        """
        if ARCH in self.config.properties:
            return listed(self.config.properties[ARCH])
        machine = str(self.platform.get("machine", ""))
        return architectures_of(machine) if machine else ()

    def other_machine(self, builder: BuilderConfig) -> WaitReason | None:
        """
        The reason for which it cannot build for *builder*, because its machine is another; or None.
        """
        wanted = builder.architectures
        if not wanted or ARCH in self.config.properties:
            return None
        if any(each in wanted for each in self.architectures):
            return None
        return wait_reasons.other_machine(self.name, str(self.platform.get("machine", "")), wanted)
