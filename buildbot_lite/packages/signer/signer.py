"""
The signer's side of a round: fetches the bytes to be signed, shows what they are, lets the signer's gpg sign them, and
sends the signatures.

The farm may have been broken into.  So descriptions are read from the bytes themselves, and digests that the farm gives
are compared with the bytes.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Protocol

from attrs import define, evolve, frozen

from ...errors import InputError, MessageError
from ...model.json_reader import JsonReader
from ..keys.openpgp import Signature
from ..keys.signature_ids import id_of
from ..keys.wanted_file import LARGEST_PIECE, WantedFile
from .offered import OfferedJob, Offers
from .signable import described, is_index

MOST_AT_ONCE = 6 << 20
"""Bytes to be signed that are fetched with one question."""
MOST_SIGNATURES = 500
"""Signatures that are sent with one question."""
MOST_JOBS = 1000
"""Jobs of one round."""
MOST_FILES = 10_000
"""Packages in one round, unless one job has more."""
MOST_PAGES = 1000
"""Pages of an offer that are fetched."""

Ask = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Sends a question to the master."""
Sign = Callable[[bytes, bool], Awaitable[Signature]]
"""Signs bytes; the second argument is whether they are text."""


class Display(Protocol):
    """
    Shows the signer what happens.
    """

    def offered(self, offers: Offers) -> None:
        """
        Show the jobs that wait.
        """

    def to_sign(self, file: WantedFile, what: str) -> None:
        """
        Show that *file* is to be signed.  *what*: a description read from its bytes.
        """

    def also(self, jobs: Sequence[int]) -> None:
        """
        Show further jobs that the index to be signed contains.
        """

    def agreed(self) -> bool:
        """
        Ask whether the signer wants to sign what was shown.
        """


@define
class SigningSummary:
    """
    The result of a round.  *fetched*: bytes that were fetched to be signed; *size*: bytes of all packages and indexes.
    *jobs*: the jobs that the signed snapshot adds; *pushed*: whether the snapshot becomes public.  *refused*: the
    signer did not agree.
    """

    fetched: int = 0
    size: int = 0
    jobs: Sequence[int] = ()
    pushed: bool = False
    refused: bool = False


@frozen
class Signer:
    """
    *ask*: asks the master.  *sign*: the signer's gpg.  *target*: the target to name in each question, needed with an
    admin's string, which is for all targets; otherwise "".
    """

    ask: Ask
    sign: Sign
    display: Display
    target: str = ""

    async def offers(self, jobs: Sequence[int] | None) -> Offers:
        """
        The offers of *jobs*; None: of all that wait, at most as many as fit into one round.
        """
        return Offers.read(await self._asked(_about("sign-offer", jobs)))

    async def fitting(self, fits: Callable[[OfferedJob], bool]) -> Offers:
        """
        The oldest waiting jobs that *fits* accepts, at most as many as fit into one round.
        """
        jobs: list[OfferedJob] = []
        before, pages = 0, 0
        while True:
            reader = await self._asked({"ask": "sign-offer", "after": before})
            offers, pages = Offers.read(reader), pages + 1
            jobs += [job for job in offers.jobs if fits(job)]
            # A master of an earlier version sends one page, and no number for a next one.
            after = reader.optional("after", reader.integer)
            full = len(jobs) >= MOST_JOBS or sum(map(_count, jobs)) >= MOST_FILES
            if full or after is None or after <= before or pages >= MOST_PAGES:
                break
            before = after
        found = evolve(offers, jobs=_first(jobs))
        # The master forgets the earliest offers when there are too many.
        return await self.offers([job.job for job in found.jobs]) if pages > 1 and found.jobs else found

    async def run(self, offers: Offers) -> SigningSummary:
        """
        Sign the packages of *offers*, then the index of the repository with them.
        """
        if self.target != offers.target:
            # With an admin's string, the master has found the target by the jobs.
            return await evolve(self, target=offers.target).run(offers)
        summary = SigningSummary(size=sum(job.size for job in offers.jobs))
        self.display.offered(offers)
        contents = await self._contents([file for job in offers.jobs for file in job.missing], summary)
        if not self.display.agreed():
            summary.refused = True
            return summary
        for some in _pieces(list(contents.items()), MOST_SIGNATURES):
            await self._asked({"ask": "sign-give", "signatures": await self._signed(some)})
        await self._sign_index([job.job for job in offers.jobs], summary)
        return summary

    async def _sign_index(self, jobs: Sequence[int], summary: SigningSummary) -> None:
        answer = await self._asked(_about("sign-prepare", jobs))
        index = answer.objects("files", lambda file: (WantedFile.read(file), _checked(file)), most=10)
        if not index:
            summary.jobs = jobs
            return
        for file, data in index:
            summary.fetched += len(data)
            summary.size += 0 if file.text else file.size
            if not is_index(data):
                raise InputError("The farm asks to sign something else than the index of its repository.")
            self.display.to_sign(file, _described(file, data))
        others = sorted({int(job) for job in answer.document.get("jobs", ())} - set(jobs))
        if others:
            self.display.also(others)
            if not self.display.agreed():
                summary.refused = True
                return
        signatures = await self._signed([(file, data) for file, data in index])
        end = await self._asked({"ask": "sign-finish", "signatures": signatures})
        summary.jobs = [int(job) for job in end.document.get("jobs", ())]
        summary.pushed = end.flag("pushed")

    async def _contents(self, files: Sequence[WantedFile], summary: SigningSummary) -> dict[WantedFile, bytes]:
        found: dict[WantedFile, bytes] = {}
        for some in _by_size(files):
            answer = await self._asked({"ask": "sign-contents", "ids": [file.id for file in some]})
            contents = answer.mapping("contents")
            for file in some:
                data = found[file] = _decoded(file, contents.get(file.id))
                summary.fetched += len(data)
                self.display.to_sign(file, _described(file, data))
        return found

    async def _asked(self, question: Mapping[str, Any]) -> JsonReader:
        named = {"target": self.target} if self.target else {}
        return JsonReader(dict(await self.ask({**question, **named})), "the answer")

    async def _signed(self, contents: Sequence[tuple[WantedFile, bytes]]) -> dict[str, str]:
        return {file.id: b64encode((await self.sign(data, file.text)).data).decode() for file, data in contents}


def _first(jobs: Sequence[OfferedJob]) -> tuple[OfferedJob, ...]:
    """
    The first of *jobs*, at most as many as fit into one round.
    """
    counted = zip(jobs[:MOST_JOBS], accumulate(map(_count, jobs)), strict=False)
    return tuple(job for place, (job, count) in enumerate(counted) if not place or count <= MOST_FILES)


def _count(job: OfferedJob) -> int:
    """
    The number of packages of the job.
    """
    return max(len(job.files), len(job.packages))


def _about(question: str, jobs: Sequence[int] | None) -> dict[str, Any]:
    return {"ask": question, **({} if jobs is None else {"jobs": [str(job) for job in jobs]})}


def _checked(reader: JsonReader) -> bytes:
    return _decoded(WantedFile.read(reader), reader.text("contents", limit=2 * LARGEST_PIECE))


def _decoded(file: WantedFile, text: object) -> bytes:
    try:
        data = b64decode(text if isinstance(text, str) else "", validate=True)
    except (binascii.Error, ValueError):
        raise MessageError("What is to be signed, in the master's answer, is not base64.") from None
    if id_of(data, text=file.text) != file.id:
        raise InputError(f"The farm sent other bytes than it said for {file.name}: nothing was signed.")
    return data


def _described(file: WantedFile, data: bytes) -> str:
    # The signed text of an InRelease is the Release without its last line feed.
    return described(data + b"\n" if file.text else data)


def _by_size(files: Sequence[WantedFile]) -> Iterator[Sequence[WantedFile]]:
    some: list[WantedFile] = []
    for file in files:
        if some and sum(each.length for each in some) + file.length > MOST_AT_ONCE:
            yield some
            some = []
        some.append(file)
    if some:
        yield some


def _pieces(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + most] for start in range(0, len(items), most))
