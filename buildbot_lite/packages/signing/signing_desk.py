"""
The objects behind sign strings and push strings: they answer the questions of ``buildbot-lite package sign | push``.

A sign string does not permit pushing, and a push string does not permit signing.  With ``sign="auto"``, packages are
published when they are signed.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import asdict, frozen
from twisted.internet.defer import Deferred

from ...control.questions import QuestionDesk
from ...errors import MessageError, RefusedError
from ...model.json_reader import JsonReader
from ...storage.records.inputs import Input
from ...wire.control import Follower
from ...wire.limits.account import Account
from ..keys.openpgp import LARGEST_SIGNATURE
from .offers import Offer
from .signing_jobs import MOST_JOBS
from .signing_round import SigningRound

Answer = Mapping[str, Any]

SIGN, PUSH = "sign", "push"
MOST_SIGNATURES = 1000
"""Signatures in one question."""
MOST_FILES = 10_000
"""Files in one answer."""


@frozen
class SignedTarget:
    """
    A target, as holders of its sign and push strings use it.  *automatic*: whether it has ``sign="auto"``.  *proceed*:
    lets jobs go on, by number.
    """

    name: str
    automatic: bool
    round: SigningRound
    proceed: Callable[[int], None]


@frozen
class SigningDesk:
    """
    The role `wire.control.Control`, for the holder of a grant for *verb*.  *target*: returns the target of the grant;
    raises a `RefusedError` when the target is no longer signed.  *others*: refuses all other questions of the holder,
    and knows for which grants they are.
    """

    verb: str
    target: Callable[[], SignedTarget]
    others: QuestionDesk
    account: Account

    def ask(self, question: Answer) -> Deferred[Answer]:
        return self.account.answered(question, self._ask)

    def follow(self, question: Answer, follower: Follower) -> Deferred[Answer]:
        return self.others.follow(question, follower)

    async def _ask(self, question: JsonReader) -> Answer:
        answer = ANSWERS[self.verb].get(question.text("ask", limit=40))
        if answer is None:
            return await self.others.answer(question)
        return await answer(self.target(), question)


async def _offer(target: SignedTarget, question: JsonReader) -> Answer:
    # A signer of an earlier version does not ask for pages.
    after = question.optional("after", question.integer)
    if after is not None:
        page = await target.round.offers.page(after)
        return {**_offer_document(target, page.offers), "after": page.after}
    offers = await target.round.offers.make(jobs_of(question))
    if len(offers) > 1 and sum(len(offer.packages) for offer in offers) > MOST_FILES:
        raise RefusedError(f"That is more than {MOST_FILES} packages.  Name some of the jobs.")
    return _offer_document(target, offers)


def _offer_document(target: SignedTarget, offers: Sequence[Offer]) -> Answer:
    return {"target": target.name, "auto": target.automatic, "jobs": [_job_document(offer) for offer in offers]}


async def _contents(target: SignedTarget, question: JsonReader) -> Answer:
    found = await target.round.offers.contents(question.texts("ids", most=MOST_FILES))
    return {"contents": {id: b64encode(data).decode() for id, data in found.items()}}


async def _give(target: SignedTarget, question: JsonReader) -> Answer:
    signatures = _signatures(question)
    await target.round.offers.give(signatures)
    return {"taken": len(signatures)}


async def _prepare(target: SignedTarget, question: JsonReader) -> Answer:
    wanted = await target.round.prepare(jobs_of(question) or ())
    files = [{**each.document, "contents": b64encode(each.contents()).decode()} for each in wanted]
    return {"files": files, "jobs": list(target.round.prepared)}


async def _finish(target: SignedTarget, question: JsonReader) -> Answer:
    signed = await target.round.finish(_signatures(question), push=target.automatic)
    if signed.pushed:
        for job in signed.jobs:
            target.proceed(job)
    return {"jobs": list(signed.jobs), "pushed": signed.pushed}


async def _push(target: SignedTarget, question: JsonReader) -> Answer:
    jobs = await target.round.push(jobs_of(question))
    for job in jobs:
        target.proceed(job)
    return {"target": target.name, "jobs": list(jobs)}


ANSWERS: Mapping[str, Mapping[str, Callable[[SignedTarget, JsonReader], Awaitable[Answer]]]] = {
    SIGN: {
        "sign-offer": _offer,
        "sign-contents": _contents,
        "sign-give": _give,
        "sign-prepare": _prepare,
        "sign-finish": _finish,
    },
    PUSH: {"push": _push},
}
"""By verb: the questions that strings with that verb permit."""


def jobs_of(question: JsonReader) -> list[int] | None:
    """
    The numbers of jobs; None: all.
    """
    if not question.has("jobs"):
        return None
    texts = question.texts("jobs", most=MOST_JOBS)
    if not all(text.isascii() and text.isdecimal() and len(text) < 18 for text in texts):
        raise MessageError("The field jobs of the question is not a list of numbers.")
    return [int(text) for text in texts]


def _signatures(question: JsonReader) -> dict[str, bytes]:
    given = question.mapping("signatures", most=MOST_SIGNATURES)
    try:
        found = {id: b64decode(text, validate=True) for id, text in given.items()}
    except (binascii.Error, ValueError, TypeError):
        raise MessageError("A signature is not base64.") from None
    if any(len(signature) > LARGEST_SIGNATURE for signature in found.values()):
        raise MessageError(f"A signature has more than {LARGEST_SIGNATURE} bytes.")
    return found


def _job_document(offer: Offer) -> dict[str, Any]:
    job = offer.job
    missing = {each.id for each in offer.missing}
    return {
        "job": job.id,
        "package": job.name,
        "version": job.shown_version,
        "submitter": job.submitter,
        "arches": [each.architecture for each in job.built],
        "size": offer.size,
        "files": [{**each.document, "missing": each.id in missing} for each in offer.wanted],
        "packages": [
            {"name": file.name, "architecture": file.architecture, "size": size, "sha256": file.sha256}
            for file, size in offer.packages
        ],
        "source": None if offer.source is None else _source_document(offer.source),
        "origin": None if job.origin is None else asdict(job.origin),
    }


def _source_document(source: Input) -> dict[str, Any]:
    return {"name": source.name, "size": source.length, "sha256": source.sha256}
