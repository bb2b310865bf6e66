"""
Slave access: the object of a slave's FURL, and the machine that may use it.

With a *pin* in master.cfg, the first machine that attaches with a FURL owns it.  A peer that shows the FURL of another
machine's slave is refused before it is treated as that slave in any way.
"""

from attrs import field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..errors import BuildbotLiteError
from ..storage.records.grants import Grant
from ..wire.exposed import (
    Exposed,
    ExposedDesk,
    Revocable,
)
from .grants.location import Location
from .grants.pins import check_pin
from .grants.registry import GrantRegistry
from .grants.verbs import SLAVE
from .scheduling.running_builds import RunningBuilds
from .slaves.attach_limit import AttachLimit
from .slaves.desk import SlaveDesk
from .slaves.registry import SlaveRegistry
from .slaves.slots import Slots


@frozen
class SlaveAccess:
    """
    The hooks of `GrantRegistry` for slaves' grants; grants with another verb pass.
    """

    slaves: SlaveRegistry
    slots: Slots
    running: RunningBuilds
    location: Location
    clock: IReactorTime
    _log: Logger = field(factory=Logger)

    def admit(self, grant: Grant, key: str) -> None:
        """
        Raise an error for the peer when *grant* is pinned to another Tub than that of *key*.
        """
        if grant.verb != SLAVE:
            return
        member = self.slaves.serving(grant.object)
        if member is not None and member.config.pin:
            try:
                check_pin(grant, key)
            except BuildbotLiteError as error:
                self.slaves.refused(grant.object, str(error))
                raise

    def breach(self, grant: Grant, sentence: str) -> bool:
        """
        Note how a holder of *grant* broke the contract.  True: the holder is a slave, so cut its link.
        """
        if grant.verb != SLAVE:
            return False
        self.slaves.breached(grant.object, sentence)
        return True

    def slowed(self, grant: Grant, sentence: str) -> None:
        """
        Add a remark beside the builds of a slave: it uses too much of the master's time, and waits.
        """
        if grant.verb == SLAVE:
            self.running.remark(grant.object, f"{grant.object}: {sentence}")

    def expose(self, grants: GrantRegistry, grant: Grant, revocable: Revocable) -> Exposed:
        """
        The desk of the slave that *grant* is for.
        """
        name = grant.object
        limit = AttachLimit(self.clock)

        def admit(key: str) -> None:
            member = self.slaves.serving(name)
            if member is None:
                raise BuildbotLiteError(f"The slave {name} is not in master.cfg any more.")
            if member.config.pin:
                try:
                    grants.pins.pin(grant, key)
                except BuildbotLiteError as error:
                    if limit.may_report():
                        self._log.warn("{slave} was refused: {why}", slave=name, why=str(error))
                    raise
            limit.admit(name)
            grants.used(grant)

        def idle() -> bool:
            return not self.slots.on(name)

        def building() -> tuple[str, ...] | None:
            return self.slots.places_on(name)

        return ExposedDesk(SlaveDesk(name, self.slaves, admit, self.location.hints, idle, building), revocable)
