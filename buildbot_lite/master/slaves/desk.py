"""
The desk of a slave: the object that its FURL designates.
"""

from collections.abc import Callable, Sequence

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger

from ... import __version__
from ...errors import BuildbotLiteError, RefusedError, SupersededError
from ...model.hello import (
    PROTOCOL,
    Hello,
    Welcome,
)
from ...wire.roles import Slave
from .registry import SlaveRegistry


@define
class SlaveDesk:
    """
    The object that one slave's FURL designates: the role `wire.roles.Desk`.

    *admit*: called with the Tub id of the caller; raises an error to refuse it.  *hints*: returns the connection hints
    for the welcome.  *idle*: returns whether no build runs on the slave.  *building*: returns the directories of builds
    for `Welcome.building`.
    """

    name: str
    slaves: SlaveRegistry
    admit: Callable[[str], None]
    hints: Callable[[], Sequence[str]]
    idle: Callable[[], bool] = lambda: False
    building: Callable[[], tuple[str, ...] | None] = lambda: None
    _log: Logger = field(factory=Logger)

    def attach(self, slave: Slave, hello: Hello, key: str) -> Deferred[Welcome]:
        if hello.protocol != PROTOCOL:
            sentence = (
                f"This master uses version {PROTOCOL} of the protocol, the slave {hello.protocol}.  Install the same "
                "buildbot_lite on both."
            )
            self.slaves.refused(self.name, sentence)
            return fail(RefusedError(sentence))
        try:
            self.admit(key)
            if hello.epoch > self.slaves.epoch:
                # Checked before the session compares commands: an old copy of the farm must not end the commands of
                # the restored one.
                raise SupersededError  # noqa: TRY301 - noted like the other refusals
        except Exception as error:  # noqa: BLE001 - the caller gets any error
            if isinstance(error, BuildbotLiteError):
                self.slaves.refused(self.name, str(error))
            return fail()
        self.slaves.session(self.name).attached(slave, hello)
        terms = self.slaves.terms(self.name)
        welcome = Welcome(
            name=self.name,
            version=__version__,
            hints=tuple(self.hints()),
            idle=self.idle(),
            drain=self.slaves.is_to_leave(self.name),
            epoch=self.slaves.epoch,
            minspace=terms.minspace,
            directories=terms.directories,
            building=self.building(),
        )
        return succeed(welcome)
