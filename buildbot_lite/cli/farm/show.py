"""
Show the farm: status, queue, slaves, builders.
"""

from typing import Any

import click

from ..asking.connection import MasterLink
from ..asking.farm_command import FarmClient, FarmCommand
from ..command_line.groups import Commands
from ..output.printing import json_option, show

commands = Commands()


@commands.command(cls=FarmCommand)
@json_option
def status(farm: FarmClient, as_json: bool) -> None:
    """
    The farm at a glance.

    Its slaves, the running builds, and the waiting requests with the reasons.
    """
    _show(farm, {"ask": "status"}, as_json=as_json)


@commands.command(cls=FarmCommand)
@click.option("-n", "--most", type=click.IntRange(1), metavar="N", help="How many; all by default.")
@json_option
def queue(farm: FarmClient, most: int | None, as_json: bool) -> None:
    """
    The waiting requests, and why each of them waits.

    The one to build next comes first: by priority, then by the turns of submitters, then by age.
    """

    async def work(link: MasterLink) -> list[Any]:
        found: list[Any] = []
        after: list[int] | None = None
        while most is None or len(found) < most:
            answer = await link.ask({"ask": "queue", **({"after": after} if after else {})})
            found += answer["queue"]
            after = answer.get("next")
            if after is None:
                break
        return found

    show(farm.call(work)[:most], "queue", as_json=as_json)


@commands.command(cls=FarmCommand)
@json_option
def slaves(farm: FarmClient, as_json: bool) -> None:
    """
    The slaves, whether each is connected, and what it runs.
    """
    _show(farm, {"ask": "slaves"}, as_json=as_json)


@commands.command(cls=FarmCommand)
@json_option
def builders(farm: FarmClient, as_json: bool) -> None:
    """
    The builders, with the result of each one's last build.
    """
    _show(farm, {"ask": "builders"}, as_json=as_json)


@commands.command(cls=FarmCommand)
@json_option
def schedulers(farm: FarmClient, as_json: bool) -> None:
    """
    The schedulers, and what each of them waits for.

    With the time when it fires next, and its last error.
    """
    _show(farm, {"ask": "schedulers"}, as_json=as_json)


def _show(farm: FarmClient, question: dict[str, Any], *, as_json: bool) -> None:
    question_name = question["ask"]
    show(farm.ask(question)[question_name], question_name, as_json=as_json)
