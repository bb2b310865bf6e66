"""
The registry of slaves: which are connected, and which may get builds.

A `Member` is a slave with its `Session` and its state: paused, draining, revoked and so on (`member`).  A `SlaveDesk`
is the object that a slave's FURL designates (`desk`); the grants decide who may use it.
"""

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...deferreds import background
from ...errors import RefusedError
from ...model.display import printable
from ...model.hello import (
    MOST_DIRECTORIES,
    Hello,
)
from ...model.token_bucket import TokenBucket
from ...storage.records import slaves as records_of_slaves
from ...storage.roles import Records
from ..config.objects import BuildSlave
from .member import Member, SpaceTerms
from .session import Session
from .slots import Slots

LONGEST_BREACH = 500
COMPLAINTS_AT_ONCE = 20
COMPLAINTS_PER_SECOND = 0.1
NO_MORE = "this slave is not in master.cfg any more"
MOST_CHARACTERS = 1 << 19
"""The most characters of all directories in a welcome, so that they fit into its bytes in any encoding."""
OWN = "master"
"""The name of the session of the keeper on the master's own machine."""


class SlaveRegistry:
    """
    All slaves, by name.

    *wall*: returns the time in seconds since 1970.  *changed*: called when a slave may have become able to get builds.
    *seen*: called when only the view of a slave changed.
    *remark*: called with a slave's name and a sentence about what happened to it.  *slots*: which builds run on which
    slaves.  *directories*: returns the directories of the current builders that may build on the slave of a name.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        records: Records,
        clock: IReactorTime,
        wall: Callable[[], float],
        changed: Callable[[], None],
        seen: Callable[[], None],
        remark: Callable[[str, str], None],
        slots: Slots,
        directories: Callable[[str], Sequence[str]],
    ) -> None:
        self._records = records
        self._clock = clock
        self._wall = wall
        self._changed = changed
        self._seen = seen
        self._remark = remark
        self._slots = slots
        self._directories = directories
        self._members: dict[str, Member] = {}
        self._complaints: dict[str, TokenBucket] = {}
        # Slaves that left the configuration while builds still run on them.
        self._leaving: dict[str, Member] = {}
        self.own = Session(OWN, clock=clock, listener=self)
        self.attaches = 0
        """How often a slave attached since the master's start."""
        self.reconnects = 0
        """How often a slave attached that had attached before, since the master's start."""
        self.epoch = 0
        """How often this farm was restored from a backup, for `Welcome.epoch`; set before slaves can attach."""

    def remember(self, rows: Sequence[records_of_slaves.Slave]) -> None:
        """
        Restore the state of the slaves from the records.

        A slave that was connected when the master last stopped counts as lost from now on.
        """
        for row in rows:
            if member := self._members.get(row.name):
                member.paused = row.paused
                member.lost_at = row.lost
                member.version = row.version
                member.platform = row.platform
                if row.lost is None and row.attached is not None:
                    member.lost_at = self._wall()
                    self._note_loss(row.name, member.lost_at)

    def configure(self, slaves: Mapping[str, BuildSlave]) -> None:
        """
        Make *slaves* the configured slaves.  Those that were configured before keep their sessions; a removed one stays
        connected until its last build ends.
        """
        for name in set(self._members) - set(slaves):
            removed = self._members.pop(name)
            if self._slots.on(name):
                self._leaving[name] = removed
            else:
                removed.session.dismiss(NO_MORE)
        for name, config in slaves.items():
            if member := self._members.get(name):
                member.config = config
            else:
                back = self._leaving.pop(name, None)
                session = back.session if back else Session(name, clock=self._clock, listener=self)
                self._members[name] = Member(config, session)
        for member in self._members.values():
            self._renew_terms(member)
        self._changed()

    def __getitem__(self, name: str) -> Member:
        return self._members.get(name) or self._leaving[name]

    def serving(self, name: str) -> Member | None:
        """
        The slave called *name* if it is configured, or if builds still run on it.
        """
        return self._members.get(name) or (self._leaving.get(name) if self._slots.on(name) else None)

    def get(self, name: str) -> Member | None:
        """
        The configured slave called *name*.
        """
        return self._members.get(name)

    def everyone(self) -> Sequence[Member]:
        """
        The configured slaves, in the order of master.cfg.
        """
        return tuple(self._members.values())

    def session(self, name: str) -> Session:
        """
        The session of the slave called *name*, also when it is no longer configured, because a build may wait for it.
        """
        if name == OWN:
            return self.own
        member = self._members.get(name) or self._leaving.get(name)
        if member is None:
            member = self._leaving[name] = Member(BuildSlave(name), Session(name, clock=self._clock, listener=self))
        return member.session

    def build_ended(self, name: str) -> None:
        """
        Called when a build on the slave *name* has left its slot.  If it was the last one, a removed slave is
        disconnected, and a draining one is told to stop.
        """
        member = self._members.get(name)
        if member is not None:
            self._renew_terms(member)
        if self._slots.on(name):
            return
        if member is None:
            if removed := self._leaving.pop(name, None):
                removed.session.dismiss(NO_MORE)
        elif member.draining:
            # The slave connects again, and its welcome says that it is idle.
            member.session.dismiss("drained")

    def terms(self, name: str) -> SpaceTerms:
        """
        The terms for the welcome of the slave *name*.
        """
        member = self._members.get(name)
        if member is None:
            return SpaceTerms()
        member.terms = self._terms(member)
        return member.terms

    def _terms(self, member: Member) -> SpaceTerms:
        """
        The current terms of *member*.  Without a minspace there are none: the list of directories would not be used.
        """
        if not member.config.minspace:
            return SpaceTerms()
        running = [slot.directory for slot in self._slots.on(member.name)]
        directories = {*self._directories(member.name), *(each for each in running if each is not None)}
        complete = (
            None not in running
            and len(directories) <= MOST_DIRECTORIES
            and sum(map(len, directories)) <= MOST_CHARACTERS
        )
        return SpaceTerms(member.config.minspace, tuple(sorted(directories)) if complete else None)

    def _renew_terms(self, member: Member) -> None:
        """
        Have the slave attach again if its last welcome is out of date: if minspace changed, or if the slave may remove
        directories and others are in use now.  A slave with enough space gets the new terms when it attaches next.
        """
        hello, old_terms = member.session.hello, member.terms
        if hello is None:
            return
        other = old_terms.minspace != member.config.minspace
        if other or (hello.space < old_terms.minspace and old_terms != self._terms(member)):
            member.session.dismiss("its minspace or its builders changed")

    def files_left(self, name: str) -> None:
        """
        Called when a build with a directory of its own is over that could not remove its files from the slave *name*.
        The slave removes them when it attaches again: `Welcome.building`.
        """
        if member := self._members.get(name):
            member.session.dismiss("it is to remove what a build left there that is over")

    async def pause(self, name: str, *, paused: bool) -> None:
        """
        Give the slave *name* no new builds, or give it builds again.  Returns when this is recorded.
        """
        at = self._wall() if paused else None
        await self._records.write(lambda connection: records_of_slaves.pause(connection, name, at))
        if member := self._members.get(name):
            member.paused = at
            self._changed()

    def bar(self, name: str) -> None:
        """
        Give the slave *name* no more builds, because its FURL is being revoked.
        """
        self._members[name].revoked = True

    def ban(self, name: str, reason: str) -> None:
        """
        Disconnect the slave *name*, whose FURL was revoked; its commands are lost immediately.  *reason*: for people.
        """
        self._members[name].revoked = True
        self.string_changed(name)
        self._members[name].session.ban(reason)
        self._changed()

    def restore(self, name: str) -> None:
        """
        Called when the slave *name* has a valid FURL again.
        """
        if member := self._members.get(name):
            member.revoked = False
            self.string_changed(name)
            self._changed()

    def give_up(self, name: str, reason: str) -> None:
        """
        Treat the machine of the slave *name* as lost, as an admin declared; its commands are lost immediately.
        *reason*: for people.
        """
        self[name].session.give_up(reason)
        self._changed()

    def drain(self, name: str) -> None:
        """
        Give the slave *name* no new builds, and have it stop when its last build ends.  `RefusedError` if it is not
        connected.
        """
        member = self._members[name]
        if member.session.hello is None:
            raise RefusedError(
                f"{name} is not connected, so it cannot be drained.  To give it no builds: buildbot-lite pause {name}"
            )
        member.draining, member.leaving = True, member.session.hello.incarnation
        # The slave connects again, and its welcome tells it to drain.
        member.session.dismiss("it will stop")
        self._changed()

    def is_to_leave(self, name: str) -> bool:
        """
        Whether the slave *name* must drain when it attaches.
        """
        member = self._members.get(name)
        return member is not None and member.leaving is not None

    def breached(self, name: str, sentence: str) -> None:
        """
        Called when the slave *name* violated the protocol, as *sentence* says, and its link was closed.  At most
        `COMPLAINTS_AT_ONCE`, and then one in ten seconds, are logged.
        """
        sentence = printable(sentence, longest=LONGEST_BREACH)
        if member := self._members.get(name):
            member.breach = self._wall(), sentence
            self._seen()
        complaints = TokenBucket(self._clock.seconds, COMPLAINTS_AT_ONCE, COMPLAINTS_PER_SECOND)
        if not self._complaints.setdefault(name, complaints).take():
            return
        self._log.warn("{slave} violated the protocol, and its link was closed: {why}", slave=name, why=sentence)
        self._remark(name, f"{name} violated the protocol, and its link was closed: {sentence}")

    def refused(self, name: str, sentence: str) -> None:
        """
        Called when an attachment with the FURL of the slave *name* was refused with the error *sentence*.
        """
        if member := self._members.get(name):
            member.refused = self._wall(), sentence
            self._seen()

    def string_changed(self, name: str) -> None:
        """
        Called when the FURL of the slave *name*, or its pin, changed: an earlier refusal is then out of date.
        """
        if member := self._members.get(name):
            member.refused = None
            self._seen()

    # The role `session.SessionListener`.

    def slave_attached(self, name: str, hello: Hello, news: str) -> None:
        now = self._wall()
        if name != OWN:
            self._log.info("{slave}: {news}", slave=name, news=news)
            background(
                self._records.write(lambda c: records_of_slaves.seen(c, name, hello, now)), self._log, "noting a slave"
            )
            if member := self._members.get(name):
                self.attaches += 1
                self.reconnects += member.attached_at is not None
                member.attached_at = now
                member.version = hello.version
                member.platform = hello.platform
                member.refused = None
                if hello.incarnation != member.leaving:
                    member.leaving = None  # the slave process was started again
                member.draining = hello.draining or member.leaving is not None
            self._remark(name, f"{name}: {news}")
        self._changed()

    def _note_loss(self, name: str, now: float) -> None:
        background(self._records.write(lambda c: records_of_slaves.lost(c, name, now)), self._log, "noting a loss")

    def slave_lost(self, name: str) -> None:
        now = self._wall()
        if name == OWN:
            return
        self._log.info("{slave}: connection lost", slave=name)
        self._note_loss(name, now)
        if member := self._members.get(name):
            member.lost_at = now
        self._remark(name, f"{name}: connection lost; waiting for it to come back")
        self._changed()
