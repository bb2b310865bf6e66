"""
What an admin says of slaves: take no builds for now, and who may use a string.
"""

import click

from .connection import Farm, FarmCommand
from .main import program


@program.command(cls=FarmCommand)
@click.argument("slave")
def pause(farm: Farm, slave: str) -> None:
    """
    Have SLAVE take no new builds, until unpause.
    """
    farm.ask({"ask": "pause", "slave": slave, "paused": True})
    click.echo(f"{slave} takes no new builds.")


@program.command(cls=FarmCommand)
@click.argument("slave")
def unpause(farm: Farm, slave: str) -> None:
    """
    Have SLAVE take builds again.
    """
    farm.ask({"ask": "pause", "slave": slave, "paused": False})
    click.echo(f"{slave} takes builds again.")


@program.command(cls=FarmCommand)
@click.argument("slave")
def unpin(farm: Farm, slave: str) -> None:
    """
    Let another machine use the string of SLAVE.

    A string belongs to the first machine that uses it.  After this command, the next machine that uses it becomes its
    owner.
    """
    farm.ask({"ask": "unpin", "slave": slave})
    click.echo(f"{slave}'s string is free for a new machine.  A slave that was refused retries by itself, within 80 s.")
