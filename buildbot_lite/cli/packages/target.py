"""
The target for which ``package build`` submits, and what is said where there is none of that name.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ...errors import BuildbotLiteError, NotFoundError, WrongVerbError
from ...model.suggestions import there_is_no
from ..asking.connection import MasterLink
from ..asking.farm_command import FarmClient
from ..builds.submitted import submit_furl

T = TypeVar("T")

WRITTEN = "Targets are written in c['targets'] of master.cfg; docs/packages.md has examples."


def submitted_to(farm: FarmClient, target: str, work: Callable[[MasterLink], Awaitable[T]]) -> T:
    """
    Run *work* with a link for the string of *target* of the master whose directory *farm* has; `NotFoundError` if it
    has no such target.
    """
    from ...wire.furl import read_furl

    try:
        furl = submit_furl(farm, target)
    except NotFoundError as error:
        wrong = error
    else:

        async def submit(link: MasterLink) -> T:
            try:
                return await work(link)
            except WrongVerbError as refusal:
                # The string of a scheduler that is no target.
                raise await _explained(link.at(read_furl(farm.furlfile)), target, refusal) from None

        submitted: T = farm.connect(furl, submit)
        return submitted
    raise farm.call(lambda link: _explained(link, target, wrong))


async def _explained(link: MasterLink, target: str, error: BuildbotLiteError) -> BuildbotLiteError:
    """
    The error for *target*: that there is none of that name, or *error*, if there is one or the master does not say.
    """
    try:
        targets = (await link.ask({"ask": "package-targets"}))["targets"]
    except BuildbotLiteError:
        return error
    names = [name for each in targets for name in (each["target"], *each.get("aliases", ()))]
    if target in names:
        return error
    if not names:
        return NotFoundError(f"The farm has no target {target!r:.100}, and no other.  {WRITTEN}")
    return NotFoundError(f"{there_is_no('target', target, names)}  {WRITTEN}")
