"""
Questions of an admin about grants: list, hand out, revoke, rotate.

The answer to ``grant`` is the only one that contains a FURL.  All other questions and answers identify a grant by its
number, by the name of its slave or submission, or by its label.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import frozen

from ..errors import NotFoundError, RefusedError
from ..master.config.schedulers import LARGEST_PRIORITY
from ..master.farm import Farm
from ..master.grants.verbs import (
    ADMIN,
    FARM,
    SLAVE,
    SUBMIT,
    WATCH,
    Designate,
    Verb,
)
from ..master.scheduling.requests import WATCH_AFTER_END
from ..model.json_reader import JsonReader
from ..model.suggestions import nearest, there_is_no
from ..storage.records import buildsets
from ..storage.records import grants as records_of_grants
from ..storage.records.grants import ELSEWHERE, WEB_PAGES, Grant, GrantLimits
from .web_sessions import WEB_SESSION

Answer = Mapping[str, Any]

LONGEST_LABEL = 200
LONGEST_OBJECT = 8000
MOST_LISTED = 10_000


@frozen
class GrantAdmin:
    """
    Answers about the grants of *farm*.
    """

    farm: Farm

    def answers(self) -> Mapping[str, Callable[[JsonReader], Awaitable[Answer]]]:
        """
        The questions, each with the method that answers it.
        """
        return {
            "grants": self._list,
            "grant": self._grant,
            "revoke": self._revoke,
            "rotate": self._rotate,
        }

    async def _list(self, question: JsonReader) -> Answer:
        grants = self.farm.grants
        if question.flag("all", default=False):
            rows: Sequence[Grant] = await self.farm.records.read(lambda c: records_of_grants.newest(c, MOST_LISTED))
            # The records lag behind by up to a minute; counts in memory are exact.
            in_force = {grant.id: grant for grant in grants.everything()}
            listed = [in_force.get(row.id, row) for row in sorted(rows, key=lambda grant: grant.id)]
        else:
            listed = [each for each in grants.everything() if self._is_of_interest(each)]
        return {"grants": [self._document(grant) for grant in listed]}

    def _is_of_interest(self, grant: Grant) -> bool:
        # Each request has a FURL to watch it; these come and go without an admin.
        of_a_request = grant.verb == WATCH and grant.label is None
        return not of_a_request and _state(grant, self.farm.wall()) != "expired"

    async def _grant(self, question: JsonReader) -> Answer:
        verb, designate = self._granted(question.text("to", limit=20))
        limits = _limits(question, self.farm.wall())
        if not verb.has_limits and limits != GrantLimits(expires=limits.expires):
            raise RefusedError(f"A string to {verb.name} has no limit but --expires.")
        object_, name = await designate(question.text("object", "", limit=LONGEST_OBJECT))
        if limits.most_priority is not None and not self._takes_priority(verb.name, object_):
            raise RefusedError(f"--priority is for strings of targets of packages, and {name} is none.")
        if verb.name == WATCH and object_.isdecimal():
            limits = await self._at_most_a_week_longer(int(object_), limits)
        label = question.prose("label", "", limit=LONGEST_LABEL)
        is_of_farm = (verb.name, object_) == (WATCH, FARM)
        if question.flag("web", default=False):
            name, label = _for_web_process(label, is_of_farm=is_of_farm)
        else:
            _check_label(label, is_of_farm=is_of_farm)
        grant = await self.farm.grants.hand_out(verb.name, object_, name=name, label=label, limits=limits)
        return {"grant": self._document(grant), "furl": self.farm.furls.furl(grant)}

    async def _revoke(self, question: JsonReader) -> Answer:
        grant = self._the(question.text("which", limit=LONGEST_LABEL))
        kill, cancel = question.flag("kill", default=False), question.flag("cancel", default=False)
        ended = await self.farm.revocation.revoke(grant, kill=kill, cancel=cancel)
        return {"grant": self._document(grant), "ended": ended}

    async def _rotate(self, question: JsonReader) -> Answer:
        name = question.text("name", limit=80)
        config = self.farm.config
        if name == WEB_PAGES:
            revoked = await self.farm.revocation.rotate_web()
            return {"name": name, "verb": WATCH, "ended": [], "revoked": [grant.id for grant in revoked]}
        if name in config.slaves:
            verb = SLAVE
        elif name in config.submits:
            verb = SUBMIT
        elif name == ADMIN:
            verb = ADMIN
        else:
            known = [*config.slaves, *config.submits, ADMIN, WEB_PAGES]
            raise NotFoundError(there_is_no("slave and no Submit scheduler", name, known, see="buildbot-lite grants"))
        return {"name": name, "verb": verb, "ended": await self.farm.revocation.rotate(verb, name)}

    def _takes_priority(self, verb: str, object_: str) -> bool:
        """
        Whether a submitter with a string for *object_* may choose a priority.
        """
        return verb == SUBMIT and object_ in (submits := self.farm.config.submits) and submits[object_].examines

    def _granted(self, name: str) -> tuple[Verb, Designate]:
        """
        The verb called *name*, which an admin may hand out.
        """
        verb = self.farm.grants.verbs.get(name)
        if verb is None or verb.designate is None:
            verbs = [each.name for each in self.farm.grants.verbs.values() if each.designate is not None]
            raise NotFoundError(there_is_no("string to", name, verbs))
        return verb, verb.designate

    def _the(self, reference: str) -> Grant:
        grants = self.farm.grants
        in_force = grants.everything()
        own = [each for each in in_force if each.label is None and each.name == reference]
        matches = [each for each in own if each.verb in {SLAVE, SUBMIT, ADMIN}]
        number = reference.removeprefix("#")
        if not matches and number.isascii() and number.isdecimal():
            matches = [each for each in in_force if each.id == int(number[:20])]
        if not matches and reference:
            matches = [each for each in in_force if each.label == reference]
        if len(matches) > 1:
            numbers = ", ".join(f"#{each.id}" for each in matches)
            raise NotFoundError(f"Several strings are called {reference!r:.100}: give the number of one, {numbers}.")
        if not matches:
            meant = nearest(reference, (each.label or each.name for each in in_force))
            near = f"Did you mean {meant!r}?" if meant else "See: buildbot-lite grants"
            raise NotFoundError(
                f"No string in force is called {reference!r:.100}.  Give a slave's or submission's name, a label or a "
                f"number.  {near}"
            )
        return matches[0]

    async def _at_most_a_week_longer(self, buildset: int, limits: GrantLimits) -> GrantLimits:
        row = await self.farm.records.read(lambda connection: buildsets.get(connection, buildset))
        if row is None or row.finished is None:
            return limits  # the end of the request sets its expiry
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
            "most_priority": grant.most_priority,
            "revoked": grant.revoked,
            "pinned": grant.pin is not None,
            "links": self.farm.grants.links(grant),
        }


def _for_web_process(label: str, *, is_of_farm: bool) -> tuple[str, str]:
    """
    The name and the label of a string for a web process elsewhere, if a string to watch is asked for with *label*.
    """
    if not is_of_farm:
        raise RefusedError("Only a string to watch the whole farm is for a web process: leave --web out.")
    if label not in {"", WEB_PAGES}:
        raise RefusedError(f"A string for a web process has the label {WEB_PAGES!r}: leave {label!r:.100} out.")
    return ELSEWHERE, WEB_PAGES


def _check_label(label: str, *, is_of_farm: bool) -> None:
    """
    `RefusedError` if *label* says of a string what only the master says.
    """
    if label.startswith(WEB_SESSION):
        raise RefusedError(f"Labels that begin with {WEB_SESSION!r} are those of browsers' sessions: choose another.")
    if is_of_farm and label == WEB_PAGES:
        raise RefusedError(
            f"The label {WEB_PAGES!r} is that of web processes.  For a string for one: buildbot-lite grant watch --web "
            "(a command that does not know --web is older than the master: use that of the master's machine)"
        )


def _limits(question: JsonReader, now: float) -> GrantLimits:
    def number(name: str) -> int | None:
        return question.optional(name, lambda field: question.integer(field, least=1))

    lasts = question.optional("lasts", question.number)
    if lasts is not None and lasts <= 0:
        raise RefusedError("--expires is in the past: the string would never be valid.")
    return GrantLimits(
        uses=number("uses"),
        expires=None if lasts is None else now + lasts,
        per_hour=number("per_hour"),
        largest=number("largest"),
        most_waiting=number("most_waiting"),
        most_priority=question.optional(
            "most_priority", partial(question.integer, least=-LARGEST_PRIORITY, most=LARGEST_PRIORITY)
        ),
    )


def _state(grant: Grant, now: float) -> str:
    if grant.revoked is not None:
        return "revoked"
    if grant.expires is not None and grant.expires <= now:
        return "expired"
    return "in force" if grant.live(now) else "used up"
