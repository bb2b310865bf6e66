"""
What an admin asks about those who hold strings: who they are, what they may do, and that they may no more.

A string itself is told once, to whoever asked for it to be made.  Otherwise it is spoken of by its number, by the name
of its slave or submission, or by its label.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from ..errors import NotFoundError, RefusedError
from ..master.farm import Farm
from ..master.grants.registry import Verb
from ..master.scheduling.requests import WATCH_AFTER_END
from ..master.slaves.session import LEASE_MARGIN
from ..model.json_reader import JsonReader
from ..storage.records import grants as records_of_grants
from ..storage.records import requests
from ..storage.records.grants import Grant, GrantLimits

Answer = Mapping[str, Any]

FARM = "farm"
"""What a string is a right to that is about the whole farm."""
ADMIN = "admin"
"""What the admin's own string is called."""
LONGEST_LABEL = 200
MOST_LISTED = 10_000

MAY_LOOK = frozenset(
    {"status", "queue", "slaves", "builders", "builds", "build", "artifacts", "request", "log", "artifact"}
)
"""What may be asked with a string to watch the farm."""
MAY_CONTROL = MAY_LOOK | {"force", "rebuild", "cancel", "pause", "drain"}
"""The same, with a string to control it."""


@frozen
class Holders:
    """
    The holders of strings of *farm*.
    """

    farm: Farm

    def answers(self) -> Mapping[str, Callable[[JsonReader], Awaitable[Answer]]]:
        """
        What can be asked here.
        """
        return {
            "grants": self._list,
            "grant": self._grant,
            "revoke": self._revoke,
            "rotate": self._rotate,
            "unpin": self._unpin,
            "pause": self._pause,
            "drain": self._drain,
            "lost": self._lost,
        }

    # Strings.

    async def _list(self, question: JsonReader) -> Answer:
        grants = self.farm.grants
        if question.flag("all", default=False):
            rows: Sequence[Grant] = await self.farm.records.read(lambda c: records_of_grants.newest(c, MOST_LISTED))
            # Uses are recorded now and then; those in memory are exact.
            in_force = {grant.id: grant for grant in grants.everything()}
            found = [in_force.get(row.id, row) for row in sorted(rows, key=lambda grant: grant.id)]
        else:
            found = [each for each in grants.everything() if self._is_of_interest(each)]
        return {"grants": [self._document(grant) for grant in found]}

    def _is_of_interest(self, grant: Grant) -> bool:
        # Each request has a string to watch it with; they come and go by themselves.
        of_a_request = grant.verb == Verb.WATCH.value and grant.label is None
        return not of_a_request and _state(grant, self.farm.wall()) != "expired"

    async def _grant(self, question: JsonReader) -> Answer:
        verb = _verb(question.text("to", limit=20))
        limits = _limits(question, self.farm.wall())
        if verb is not Verb.SUBMIT and limits != GrantLimits(expires=limits.expires):
            raise RefusedError(f"A string to {verb.value} has no limit but --expires.")
        object_, name = await self._object(verb, question.text("object", "", limit=200))
        if verb is Verb.WATCH and object_ != FARM:
            limits = await self._at_most_a_week_longer(int(object_), limits)
        label = question.prose("label", "", limit=LONGEST_LABEL)
        grant = await self.farm.grants.hand_out(verb, object_, name=name, label=label, limits=limits)
        return {"grant": self._document(grant), "furl": self.farm.furl(grant)}

    async def _revoke(self, question: JsonReader) -> Answer:
        grant = self._the(question.text("which", limit=LONGEST_LABEL))
        kill, cancel = question.flag("kill", default=False), question.flag("cancel", default=False)
        ended = await self.farm.revoking.revoke(grant, kill=kill, cancel=cancel)
        return {"grant": self._document(grant), "ended": ended}

    async def _rotate(self, question: JsonReader) -> Answer:
        name = question.text("name", limit=80)
        config = self.farm.config
        if name in config.slaves:
            verb = Verb.SLAVE
        elif name in config.submits:
            verb = Verb.SUBMIT
        elif name == ADMIN:
            verb = Verb.ADMIN
        else:
            known = ", ".join([*config.slaves, *config.submits, ADMIN])
            raise NotFoundError(f"There is no slave and no Submit scheduler {name!r:.100}.  There are: {known}.")
        return {"name": name, "verb": verb.value, "ended": await self.farm.revoking.rotate(verb, name)}

    async def _unpin(self, question: JsonReader) -> Answer:
        name = self._slave(question)
        await self.farm.grants.unpin(name)
        self.farm.roster.string_changed(name)
        return {"slave": name}

    # Slaves.

    async def _pause(self, question: JsonReader) -> Answer:
        name, paused = self._slave(question), question.flag("paused")
        await self.farm.roster.pause(name, paused=paused)
        return {"slave": name, "paused": paused}

    async def _drain(self, question: JsonReader) -> Answer:
        name = self._slave(question)
        running = sorted(each.label for each in self.farm.queue.slots.on(name))
        self.farm.roster.drain(name)
        return {"slave": name, "running": running}

    async def _lost(self, question: JsonReader) -> Answer:
        name = question.text("slave", limit=200)
        member = self.farm.roster.serving(name)
        if member is None:
            name = self._slave(question)
            member = self.farm.roster[name]
        running = sorted(each.label for each in self.farm.queue.slots.on(name))
        connected = member.session.hello is not None
        self.farm.roster.give_up(name, f"an admin says that {name} is lost")
        grace = member.config.grace + LEASE_MARGIN
        return {"slave": name, "connected": connected, "lost": running, "grace": grace}

    # What is meant.

    def _slave(self, question: JsonReader) -> str:
        name = question.text("slave", limit=200)
        if self.farm.roster.get(name) is None:
            known = ", ".join(self.farm.config.slaves) or "none"
            raise NotFoundError(f"No slave is called {name!r:.100}.  There are: {known}.")
        return name

    def _the(self, which: str) -> Grant:
        grants = self.farm.grants
        everything = grants.everything()
        own = [each for each in everything if each.label is None and each.name == which]
        found = [each for each in own if each.verb in {Verb.SLAVE.value, Verb.SUBMIT.value, Verb.ADMIN.value}]
        number = which.removeprefix("#")
        if not found and number.isascii() and number.isdecimal():
            found = [each for each in everything if each.id == int(number[:20])]
        if not found and which:
            found = [each for each in everything if each.label == which]
        if len(found) > 1:
            numbers = ", ".join(f"#{each.id}" for each in found)
            raise NotFoundError(f"Several strings are called {which!r:.100}: give the number of one, {numbers}.")
        if not found:
            raise NotFoundError(
                f"No string in force is called {which!r:.100}.  Give a slave's or submission's name, a label or a "
                "number.  See: buildbot-lite grants"
            )
        return found[0]

    async def _object(self, verb: Verb, wanted: str) -> tuple[str, str]:
        """
        What a right is to, and what that is called.
        """
        if verb is Verb.SUBMIT:
            name = self._submission(wanted)
            return name, name
        if verb is Verb.WATCH and wanted:
            if not (wanted.isascii() and wanted.isdecimal()):
                raise NotFoundError(f"{wanted!r:.100} is not the number of a request.")
            number = int(wanted[:18])
            row = await self.farm.records.read(lambda connection: requests.get(connection, number))
            if row is None:
                raise NotFoundError(f"There is no request {number}.")
            return str(row.buildset), f"request-{number}"
        if wanted:
            raise RefusedError(f"A string to {verb.value} is for the whole farm: leave {wanted!r:.100} out.")
        return FARM, FARM

    def _submission(self, wanted: str) -> str:
        """
        The Submit scheduler that is meant: by its own name, or by that of the builder for which alone it asks.
        """
        submits = self.farm.config.submits
        if wanted in submits:
            return wanted
        for_it = [name for name, submit in submits.items() if list(submit.builder_names) == [wanted]]
        if len(for_it) == 1:
            return for_it[0]
        if for_it:
            raise NotFoundError(f"Several Submit schedulers ask for {wanted}: name one of {', '.join(for_it)}.")
        if wanted in self.farm.config.builders:
            raise NotFoundError(
                f"No Submit scheduler in master.cfg asks for {wanted} alone.  Add: "
                f"schedulers.Submit({wanted!r}, [{wanted!r}])"
            )
        known = ", ".join(submits) or "none"
        raise NotFoundError(f"There is no Submit scheduler {wanted!r:.100}.  There are: {known}.")

    async def _at_most_a_week_longer(self, buildset: int, limits: GrantLimits) -> GrantLimits:
        row = await self.farm.records.read(lambda connection: requests.buildset(connection, buildset))
        if row is None or row.finished is None:
            return limits  # its last day is set when it ends
        last = self.farm.wall() + WATCH_AFTER_END
        return GrantLimits(expires=last if limits.expires is None else min(last, limits.expires))

    def _document(self, grant: Grant) -> dict[str, Any]:
        return {
            "grant": grant.id,
            "verb": grant.verb,
            "name": grant.name,
            "label": grant.label,
            "state": _state(grant, self.farm.wall()),
            "created": grant.created,
            "used": grant.used,
            "uses": grant.uses,
            "uses_allowed": grant.uses_allowed,
            "expires": grant.expires,
            "per_hour": grant.per_hour,
            "largest": grant.largest,
            "most_waiting": grant.most_waiting,
            "revoked": grant.revoked,
            "pinned": grant.pin is not None,
            "links": self.farm.grants.links(grant),
        }


def _verb(text: str) -> Verb:
    for verb in (Verb.SUBMIT, Verb.WATCH, Verb.CONTROL, Verb.ADMIN):
        if verb.value == text:
            return verb
    raise NotFoundError(f"There is no string to {text!r:.40}.  There are: submit, watch, control, admin.")


def _limits(question: JsonReader, now: float) -> GrantLimits:
    def number(name: str) -> int | None:
        return question.optional(name, lambda field: question.integer(field, least=1))

    lasts = question.optional("lasts", question.number)
    if lasts is not None and lasts <= 0:
        raise RefusedError("A string that has expired before it was made is of no use.")
    return GrantLimits(
        uses=number("uses"),
        expires=None if lasts is None else now + lasts,
        per_hour=number("per_hour"),
        largest=number("largest"),
        most_waiting=number("most_waiting"),
    )


def _state(grant: Grant, now: float) -> str:
    if grant.revoked is not None:
        return "revoked"
    if grant.expires is not None and grant.expires <= now:
        return "expired"
    return "in force" if grant.live(now) else "used up"
