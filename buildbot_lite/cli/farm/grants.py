"""
List, revoke and rotate FURLs that were handed out.
"""

import shlex

import click

from ..asking.farm_command import FarmClient, FarmCommand
from ..command_line.groups import Commands
from ..output.cells import grant_purpose
from ..output.printing import json_option, note, show, tell

commands = Commands()


@commands.command(cls=FarmCommand, short_help="List the strings that were handed out, and their limits.")
@click.option("--all", "everything", is_flag=True, help="Also those of single requests, and revoked or expired ones.")
@json_option
def grants(farm: FarmClient, everything: bool, as_json: bool) -> None:
    """
    List the strings that were handed out: what each permits, its limits, and when it was last used.

    The strings themselves are never shown.
    """
    show(farm.ask({"ask": "grants", "all": everything})["grants"], "grants", as_json=as_json)


@commands.command(cls=FarmCommand, short_help="Revoke a string.")
@click.argument("which")
@click.option("--kill", is_flag=True, help="Of a slave: end its commands first, which takes at most 10 s.")
@click.option("--cancel", is_flag=True, help="End its builds as cancelled, instead of trying them again elsewhere.")
def revoke(farm: FarmClient, which: str, kill: bool, cancel: bool) -> None:
    """
    Revoke the string of a slave or Submit scheduler by its name, or any string by its label or number (see grants).

    Connections that use the string are cut at once.  A slave's builds are tried again on another slave.
    """
    answer = farm.ask({"ask": "revoke", "which": which, "kill": kill, "cancel": cancel})
    revoked = answer["grant"]
    tell(f"Revoked string #{revoked['grant']} ({grant_purpose(revoked)}).")
    if revoked["verb"] == "slave" and answer["ended"] and not kill:
        note(
            "Warning: if the slave cannot be reached, its commands end only after its grace period.  Until then two "
            "attempts of a build may run at the same time."
        )
    _tell_ended(answer["ended"], cancelled=cancel)


@commands.command(cls=FarmCommand, short_help="Replace a string with a new one.")
@click.argument("name")
def rotate(farm: FarmClient, name: str) -> None:
    """
    Replace the string of the slave or Submit scheduler NAME, the admin's own (admin), or those of the web process ("web
    pages"), with a new one.

    The old string is revoked, and the farm's files contain the new one.  The builds of a slave are tried again.
    """
    answer = farm.ask({"ask": "rotate", "name": name})
    if answer["verb"] == "admin":
        tell("Replaced the admin's string.  The new one is in private/admin.furl.")
    elif answer["verb"] == "watch":
        tell("Replaced the strings of the web process, which reads the new ones in web/private by itself.")
        if revoked := answer.get("revoked"):
            tell(f"Revoked, also for web processes on other machines: {', '.join(f'#{each}' for each in revoked)}.")
    else:
        where = shlex.quote(farm.directory or "DIR")
        tell(f"Replaced the string of {name}.  To see the new one: buildbot-lite furl {where} {name}")
    _tell_ended(answer["ended"], cancelled=False)


def _tell_ended(ended: list[str], *, cancelled: bool) -> None:
    if ended:
        fate = "ends as cancelled" if cancelled else "is tried again"
        for each in ended:
            tell(f"{each} {fate}.")
