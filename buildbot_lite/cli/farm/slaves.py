"""
Commands about slaves: pause, unpause, unpin, drain, lost.
"""

import click

from ..asking.farm_command import FarmClient, FarmCommand
from ..command_line.groups import Commands
from ..output.printing import note, tell

commands = Commands()


@commands.command(cls=FarmCommand)
@click.argument("slave")
def pause(farm: FarmClient, slave: str) -> None:
    """
    Have SLAVE take no new builds, until unpause.
    """
    answer = farm.ask({"ask": "pause", "slave": slave, "paused": True})
    if answer.get("connected", True):
        tell(f"{slave} takes no new builds.")
    else:
        tell(f"{slave} will take no builds when it connects: {answer['obstacle']}.")


@commands.command(cls=FarmCommand)
@click.argument("slave")
def unpause(farm: FarmClient, slave: str) -> None:
    """
    Have SLAVE take builds again.
    """
    answer = farm.ask({"ask": "pause", "slave": slave, "paused": False})
    if (obstacle := answer.get("obstacle")) is None:
        tell(f"{slave} takes builds again.")
    else:
        tell(f"{slave} is not paused any more, but takes no builds yet: {obstacle}.")


@commands.command(cls=FarmCommand)
@click.argument("slave")
def unpin(farm: FarmClient, slave: str) -> None:
    """
    Let another machine use the string of SLAVE.

    A string belongs to the first machine that uses it.  After this command, the next machine that uses it becomes its
    owner.
    """
    farm.ask({"ask": "unpin", "slave": slave})
    tell(f"{slave}'s string is free for a new machine.  A slave that was refused retries by itself, within 80 s.")


@commands.command(cls=FarmCommand, short_help="Have SLAVE take no new builds, and stop when it is idle.")
@click.argument("slave")
def drain(farm: FarmClient, slave: str) -> None:
    """
    Have SLAVE take no new builds, and stop when its last one has ended.

    When it is started again, it takes builds again.
    """
    answer = farm.ask({"ask": "drain", "slave": slave})
    after = f" when these have ended: {', '.join(answer['running'])}" if answer["running"] else " now"
    tell(f"{slave} takes no new builds, and stops{after}.")


@commands.command(cls=FarmCommand, short_help="Say that the machine of SLAVE is gone for good.")
@click.argument("slave")
def lost(farm: FarmClient, slave: str) -> None:
    """
    Say that the machine of SLAVE is gone for good: its builds are tried again at once.

    Without this they wait for the slave until its grace period is over.
    """
    answer = farm.ask({"ask": "lost", "slave": slave})
    if not answer["lost"]:
        tell(f"No build was on {slave}.")
        return
    for each in answer["lost"]:
        tell(f"{each} is given up there, and is tried again.")
    note(
        f"Warning: if {slave} still runs after all, it continues these builds until it reaches the master again, or "
        f"for up to {answer['grace'] / 60:.0f} min.  Until then two attempts may run at the same time."
    )
    if answer["connected"]:
        note(f"{slave} was connected.  If it still runs, it reconnects, ends these builds, and gets new ones.")
