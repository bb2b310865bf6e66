"""
Submit source packages as a chain, each to be built after the one before it, and follow them in their order.
"""

from collections.abc import Sequence
from typing import IO

from ...errors import BuildbotLiteError, InputError, RefusedError
from ...packages.records.job_options import AFTER, MOST_MEMBERS
from ..asking.connection import MasterLink
from ..builds.submitted import SubmittedRequest, told_requests
from ..output.printing import Document, note
from .outcome import follow_packages


def check_chain(files: Sequence[IO[bytes]], options: Document) -> None:
    """
    `InputError` when *files* cannot be a chain with these *options*; one file is always good.
    """
    if len(files) > 1 and options.get("scratch"):
        raise InputError("Scratch builds enter no repository, so none is built after another.  Give one package.")
    if len(files) > MOST_MEMBERS:
        raise InputError(f"{len(files)} packages; a chain has at most {MOST_MEMBERS}.")


async def built_in_order(link: MasterLink, files: Sequence[IO[bytes]], options: Document, *, wait: bool) -> int:
    """
    Submit *files* with *options*, each after the one before it, and follow their builds if *wait* is set.  Returns the
    exit code: that of the first that is not built, for which those after it end.
    """
    submitted: list[Sequence[SubmittedRequest]] = []
    for file in files:
        try:
            async with link.submit_file(file, options) as answer:
                submitted.append(told_requests(answer))
        except BuildbotLiteError:
            if submitted:
                note(f"# {len(submitted)} of {len(files)} packages are submitted, and this is about the next:")
            raise
        if len(submitted) < len(files):
            options = {**options, AFTER: _number(answer)}
    for requests in submitted if wait else ():
        if code := await follow_packages(link, requests):
            return code
    return 0


def _number(answer: Document) -> int:
    number = answer.get("number")
    if not isinstance(number, int):
        raise RefusedError("The master is older than this program, and builds no package after another.")
    return number
