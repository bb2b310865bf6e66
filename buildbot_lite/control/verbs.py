"""
The verbs whose FURLs an admin hands out, in one table: what each permits, what it leads to, how it is limited.
"""

from collections.abc import Collection, Sequence
from typing import Any, Protocol, runtime_checkable

from ..errors import NotFoundError, RefusedError
from ..master.farm import Farm
from ..master.grants.verbs import (
    ADMIN,
    CHANGE,
    CONTROL,
    FARM,
    SUBMIT,
    WATCH,
    WEBHOOKS,
    Designate,
    Expose,
    Verb,
)
from ..master.scheduling.continuation import continued
from ..model.suggestions import there_is_no
from ..status.estimating import Estimator
from ..status.farm_news import FarmNews
from ..status.following import LogFollower
from ..storage.records import requests
from ..storage.records.grants import Grant
from ..wire.control import ExposedControl
from ..wire.exposed import Exposed, Revocable
from ..wire.flapp import FlappService
from .admin import AdminDesk
from .changes import Binding, ChangeIntake, ChangeTarget, LineIntake
from .questions import QuestionDesk
from .rights import MAY_CONTROL, MAY_LOOK
from .submissions import SubmitTarget
from .watched_requests import WatchTarget
from .web_codes import WebCodes
from .webhooks import WebhookIntake


def granted_verbs(farm: Farm) -> Sequence[Verb]:
    """
    The table for *farm*.
    """
    designating = _Designating(farm)
    exposing = _Exposing(farm)
    return (
        Verb(SUBMIT, exposing.submission, designating.submission, has_limits=True, takes="BUILDER"),
        Verb(CHANGE, exposing.changes, designating.changes, has_limits=True, takes="REPOSITORY"),
        Verb(WATCH, exposing.watched, designating.watched, counts_lookups=True),
        Verb(CONTROL, exposing.desk(MAY_CONTROL), designating.farm(CONTROL), preauth=True, counts_lookups=True),
        Verb(ADMIN, exposing.desk(None), designating.farm(ADMIN), preauth=True, counts_lookups=True),
        *[
            verb
            for each in farm.extensions.values()
            if isinstance(each, GrantingExtension)
            for verb in each.verbs(exposing.questions)
        ],
    )


@runtime_checkable
class GrantingExtension(Protocol):
    """
    An extension of the farm with verbs of its own.
    """

    def verbs(self, expose: Expose) -> Sequence[Verb]:
        """
        All of them.  *expose*: makes an object that answers and sends what extensions permit the grant's holder.
        """


class _Exposing:
    """
    The objects that FURLs lead to, made on demand.
    """

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._follower = LogFollower(
            records=farm.records,
            notifications=farm.notifications,
            streams_directory=farm.stream_storage.streams,
            why=farm.dispatcher.why,
            decided=lambda: farm.choice.decided,
            clock=farm.clock,
            continued=lambda buildset: continued(farm.continuations.values(), buildset),
            tells_steps=lambda name: name in farm.config.builders and farm.config.builders[name].tells_steps,
        )

        self._estimates = Estimator(farm.records)
        self._news = FarmNews(farm)
        self._codes = WebCodes(farm.clock.seconds)

    def submission(self, grant: Grant, revocable: Revocable) -> Exposed:
        submitting = SubmitTarget(
            grant=grant.id,
            submissions=self._farm.submissions,
            store=self._farm.inputs,
            follower=self._follower,
            account=revocable.account,
            others=self._questions(grant, revocable),
        )
        return FlappService(submitting, revocable)

    def changes(self, grant: Grant, revocable: Revocable) -> Exposed:
        farm = self._farm
        parts: dict[str, Any] = {"recorder": farm.changes, "sources": farm.change_sources, "wall": farm.wall}
        parts["config"] = lambda: farm.config
        intake: ChangeIntake = (
            WebhookIntake(in_thread=farm.in_thread, **parts)
            if grant.object == WEBHOOKS
            else LineIntake(records=farm.records, **parts)
        )
        target = ChangeTarget(
            grant=grant, intake=intake, limits=farm.submit_limits, clock=farm.clock, account=revocable.account
        )
        return FlappService(target, revocable)

    def watched(self, grant: Grant, revocable: Revocable) -> Exposed:
        """
        The farm, read only, or one submission.
        """
        if grant.object == FARM:
            return self.desk(MAY_LOOK)(grant, revocable)
        return FlappService(WatchTarget(self._follower, int(grant.object), revocable.account), revocable)

    def desk(self, may: Collection[str] | None) -> Expose:
        """
        The admin's desk; *may*: the permitted questions, None: all.
        """

        def expose(grant: Grant, revocable: Revocable) -> Exposed:
            others = self._questions(grant, revocable)
            desk = AdminDesk(
                self._farm,
                self._follower,
                may,
                revocable.account,
                grant.id,
                self._estimates,
                others,
                self._news,
                self._codes,
            )
            return ExposedControl(desk, revocable)

        return expose

    def questions(self, grant: Grant, revocable: Revocable) -> Exposed:
        """
        The questions of extensions, and nothing else.
        """
        return ExposedControl(self._questions(grant, revocable), revocable)

    def _questions(self, grant: Grant, revocable: Revocable) -> QuestionDesk:
        return QuestionDesk(self._farm, grant, revocable.account, self._follower)


class _Designating:
    """
    Objects of grants, found by the name that an admin gives.
    """

    def __init__(self, farm: Farm) -> None:
        self._farm = farm

    async def submission(self, object_name: str) -> tuple[str, str]:
        """
        A Submit scheduler: by its own name, or by that of a builder, if it is the only one that submits to this builder
        alone.
        """
        name = self._scheduler(object_name)
        return name, name

    async def changes(self, object_name: str) -> tuple[str, str]:
        """
        A `Binding.document` as JSON; or `WEBHOOKS`.
        """
        if object_name == WEBHOOKS:
            return WEBHOOKS, WEBHOOKS
        binding = Binding.from_text(object_name)
        await self._farm.records.write(lambda connection: binding.keep(connection, self._farm.wall()))
        return binding.digest, binding.name

    async def watched(self, object_name: str) -> tuple[str, str]:
        """
        A request by its number; "": the farm.
        """
        if not object_name:
            return FARM, FARM
        if not (object_name.isascii() and object_name.isdecimal()):
            raise NotFoundError(f"{object_name!r:.100} is not the number of a request.")
        number = int(object_name[:18])
        row = await self._farm.records.read(lambda connection: requests.get(connection, number))
        if row is None:
            raise NotFoundError(f"There is no request {number}.")
        return str(row.buildset), f"request-{number}"

    def farm(self, verb: str) -> Designate:
        """
        The farm, for *verb*.
        """

        async def designate(object_name: str) -> tuple[str, str]:
            if object_name:
                raise RefusedError(f"A string to {verb} is for the whole farm: leave {object_name!r:.100} out.")
            return FARM, FARM

        return designate

    def _scheduler(self, object_name: str) -> str:
        submits = self._farm.config.submits
        if object_name in submits:
            return object_name
        matching = [name for name, submit in submits.items() if list(submit.builder_names) == [object_name]]
        if len(matching) == 1:
            return matching[0]
        if matching:
            raise NotFoundError(f"Several Submit schedulers build {object_name}: name one of {', '.join(matching)}.")
        if object_name in self._farm.config.builders:
            raise NotFoundError(
                f"No Submit scheduler in master.cfg builds {object_name} alone.  Add: "
                f"schedulers.Submit({object_name!r}, [{object_name!r}])"
            )
        raise NotFoundError(there_is_no("Submit scheduler", object_name, submits, see="buildbot-lite schedulers"))
