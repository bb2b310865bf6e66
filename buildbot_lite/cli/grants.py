"""
Hand out, list, revoke and rotate FURLs.
"""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

import click

from ..errors import RefusedError
from .arguments import REQUEST, AskedRequest
from .commands import Commands
from .connection import FarmClient, FarmCommand, MasterLink
from .output import note, show, tell
from .show import json_option

commands = Commands()


class _Quantity(click.ParamType[float]):
    """
    A number with a unit, one of *units*.
    """

    def __init__(self, name: str, units: dict[str, float]) -> None:
        self.name = name
        self._units = units

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([A-Za-z]?)", str(value))
        if match is None or match[2].lower() not in self._units or not float(match[1]):
            units = ", ".join(unit for unit in self._units if unit)
            self.fail(f"{value!r:.100} is no {self.name}: a number and one of {units}.", param, ctx)
        return float(match[1]) * self._units[match[2].lower()]


TIME = _Quantity("time", {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400})
SIZE = _Quantity("size", {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40})

_expires = click.option("--expires", type=TIME, metavar="TIME", help="How long it is valid: 90m, 12h, 7d, 4w.")
_WEBHOOKS = "webhooks"
"""The name of a grant for webhooks, as in `control.webhooks`, which only the master's packages can import."""
_WEB_PAGES = "web pages"
_label = click.option("--label", default="", help="A note about its user or its purpose; shown by grants.")
_count = click.IntRange(1, 1 << 40)


@commands.group(cls=Commands, short_help="Make a string: to submit, watch, control, sign, administer, …")
def grant() -> None:
    """
    Make a string: to request builds, to report changes, to look, to control, to sign and publish packages, or to do
    everything.

    The string is printed once, on standard output, and is in no file of the farm.
    """


@grant.command("submit", cls=FarmCommand, short_help="A string to request builds.")
@click.argument("builder")
@click.option("--uses", type=_count, metavar="N", help="The number of times that it may be used.")
@_expires
@click.option("--per-hour", type=_count, metavar="N", help="The number of times in any hour.")
@click.option("--largest", type=SIZE, metavar="SIZE", help="The largest input of a submission: 500k, 20M.")
@click.option("--waiting", "most_waiting", type=_count, metavar="N", help="The number of its requests that may wait.")
@click.option(
    "--priority",
    "most_priority",
    type=click.IntRange(-1_000_000, 1_000_000),
    metavar="MAX",
    help="Of a target: the highest priority of its jobs; 0 otherwise.",
)
@_label
def grant_submit(farm: FarmClient, builder: str, largest: float | None, expires: float | None, **more: Any) -> None:
    """
    A string to request builds: of the Submit scheduler BUILDER, or of the one that submits to that builder alone.

    Use it with: flappclient --furlfile FILE run-command

    If the scheduler takes files: flappclient --furlfile FILE upload-file NAME
    """
    more["largest"] = None if largest is None else max(1, int(largest))
    _hand_out(farm, "submit", object=builder, lasts=expires, **more)


@grant.command("change", cls=FarmCommand, short_help="A string to report changes of one REPOSITORY.")
@click.argument("repository")
@click.option("--branch", "branches", multiple=True, metavar="GLOB", help="Only these branches; may be repeated.")
@click.option("--project", default="", help="The project of the changes.")
@click.option("--codebase", default="", help="The codebase of the changes.")
@click.option("--category", help="The category of the changes.")
@click.option("--uses", type=_count, metavar="N", help="How often it may be used.")
@_expires
@click.option("--per-hour", type=_count, metavar="N", help="How often in any hour.")
@click.option("--largest", type=SIZE, metavar="SIZE", help="The largest input: 500k, 1M.")
@_label
def grant_change(
    farm: FarmClient,
    repository: str,
    branches: tuple[str, ...],
    project: str,
    codebase: str,
    category: str | None,
    expires: float | None,
    largest: float | None,
    **more: Any,
) -> None:
    """
    A string to report changes of REPOSITORY, and nothing else.  REPOSITORY is the address that the changes get.

    It is for a hook.  In git's hooks/post-receive: exec flappclient --furlfile FILE run-command

    Branches are given without refs/heads/; in GLOB, * stands for anything.
    """
    binding = {
        "repository": repository,
        "branches": list(branches) or ["*"],
        "project": project,
        "codebase": codebase,
        "category": category,
    }
    more["largest"] = None if largest is None else max(1, int(largest))
    _hand_out(farm, "change", object=json.dumps(binding), lasts=expires, **more)


@grant.command("webhooks", cls=FarmCommand, short_help="A string for the web process, to pass on webhooks.")
@_expires
@click.option("--per-hour", type=_count, metavar="N", help="How many webhooks in any hour.")
@_label
def grant_webhooks(farm: FarmClient, expires: float | None, per_hour: int | None, label: str) -> None:
    """
    A string to pass webhooks of forges to the master, which checks each with the secret in master.cfg.

    Use it with: buildbot-lite create-web WEBDIR -
    """
    _hand_out(farm, "change", object=_WEBHOOKS, lasts=expires, per_hour=per_hour, label=label)


@grant.command("jobs", cls=FarmCommand, short_help="A string for all jobs of packages of one TARGET.")
@click.argument("target")
@_expires
@_label
def grant_jobs(farm: FarmClient, target: str, expires: float | None, label: str) -> None:
    """
    A string for all jobs of packages of TARGET: to list, show, kill, requeue and finish them, and to pause the target.

    Use it with: buildbot-lite package list --furlfile FILE, and so on.
    """
    _hand_out(farm, "jobs", object=target, lasts=expires, label=label)


@grant.command("shell", cls=FarmCommand, short_help="A string for shells in the roots of failed builds of TARGET.")
@click.argument("target")
@click.option(
    "--jobs-of",
    metavar="NUMBER",
    type=click.IntRange(1),
    help="Only of the jobs that were submitted with this string (see grants).",
)
@_expires
@_label
def grant_shell(farm: FarmClient, target: str, jobs_of: int | None, expires: float | None, label: str) -> None:
    """
    A string to list and show the jobs of TARGET, and to enter the roots of builds that failed.  Whoever has it can run
    any program there, on the slave's machine, without the network.

    No other string permits that but an admin's.  The slave's owner must permit it, too (shells=True in slave.tac).

    Use it with: buildbot-lite package shell --furlfile FILE JOB ARCH
    """
    _hand_out(farm, "shell", object=target if jobs_of is None else f"{target} {jobs_of}", lasts=expires, label=label)


@grant.command("watch", cls=FarmCommand, short_help="A string to look at one REQUEST, or at the whole farm.")
@click.argument("request", type=REQUEST, required=False)
@_expires
@_label
@click.option("--web", is_flag=True, help="For a web process that is not beside the master: it redeems codes, too.")
def grant_watch(farm: FarmClient, request: AskedRequest | None, expires: float | None, label: str, web: bool) -> None:
    """
    A string to look at one REQUEST, or without one at the whole farm.  REQUEST is its number, or a build of it, as
    BUILDER/NUMBER.

    For a request, use it with: flappclient --furlfile FILE run-command

    For the farm: buildbot-lite status --furlfile FILE, and every other command that changes nothing.

    With --web, put it into the web.tac of a web process: watch=...
    """
    # Masters of earlier versions know it by its label.
    more = {"web": True, "label": label or _WEB_PAGES} if web else {"label": label}
    _hand_out(farm, "watch", object="", about=request, lasts=expires, **more)


@grant.command(
    "control", cls=FarmCommand, short_help="A string to look at the farm, and to force, cancel, pause and the like."
)
@_expires
@_label
@click.option("--web", is_flag=True, help="For a browser: print an address with a code, which works once.")
def grant_control(farm: FarmClient, expires: float | None, label: str, web: bool) -> None:
    """
    A string to look at the farm, and to force, rebuild, cancel, keep, pause, drain and sendchange.

    Use it with: buildbot-lite force --furlfile FILE, and so on.

    With --web, open the printed address in a browser within 10 minutes; the string, which is valid for 12 hours or less
    (--expires), stays in the web process.
    """
    if web:
        _hand_out_code(farm, lasts=expires, label=label)
    else:
        _hand_out(farm, "control", lasts=expires, label=label)


@grant.command("sign", cls=FarmCommand, short_help="A string to sign the packages of TARGET.")
@click.argument("target")
@_expires
@_label
def grant_sign(farm: FarmClient, target: str, expires: float | None, label: str) -> None:
    """
    A string to see which packages of TARGET wait for a signature, and to sign them.  Publishing them is another right.

    Use it with: buildbot-lite package sign --all --key KEY --furlfile FILE
    """
    _hand_out(farm, "sign", object=target, lasts=expires, label=label)


@grant.command("push", cls=FarmCommand, short_help="A string to publish the signed packages of TARGET.")
@click.argument("target")
@_expires
@_label
def grant_push(farm: FarmClient, target: str, expires: float | None, label: str) -> None:
    """
    A string to publish the packages of TARGET that are signed.

    Use it with: buildbot-lite package push --all --furlfile FILE
    """
    _hand_out(farm, "push", object=target, lasts=expires, label=label)


@grant.command("admin", cls=FarmCommand, short_help="A string to do everything that this command can do.")
@_expires
@_label
def grant_admin(farm: FarmClient, expires: float | None, label: str) -> None:
    """
    A string to do everything that this command can do, also to hand out others.
    """
    _hand_out(farm, "admin", lasts=expires, label=label)


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
    tell(f"Revoked string #{revoked['grant']} ({_purpose(revoked)}).")
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


_LIMITS = {
    "per_hour": "--per-hour",
    "largest": "--largest",
    "most_waiting": "--waiting",
    "most_priority": "--priority",
}
"""The limits that a master tells by the same names with a new string, and their options."""


def _hand_out(farm: FarmClient, verb: str, about: AskedRequest | None = None, **of: Any) -> None:
    """
    Have a string for *verb* made, and print it.  *about*: the request that it is for.
    """
    question = {"ask": "grant", "to": verb, **{name: value for name, value in of.items() if value is not None}}

    async def work(link: MasterLink) -> Mapping[str, Any]:
        named = {} if about is None else {"object": str(await about.find(link))}
        return await _limited(link, {**question, **named})

    answer = farm.call(work)
    given = answer["grant"]
    note(f"# string #{given['grant']} ({_purpose(given)}); shown only this once")
    click.echo(answer["furl"])


def _hand_out_code(farm: FarmClient, *, lasts: float | None, label: str) -> None:
    answer = farm.ask({"ask": "web-code", "label": label, **({} if lasts is None else {"lasts": lasts})})
    note(
        f"# works once, within {answer['valid'] / 60:.0f} minutes; the session ends after "
        f"{answer['lasts'] / 3600:.3g} h; shown only this once"
    )
    click.echo(f"{answer['address']}enter?code={answer['code']}")


async def _limited(link: MasterLink, question: dict[str, Any]) -> Mapping[str, Any]:
    """
    The answer to *question*, with a new string.  `RefusedError` if the string lacks a limit, because the master is of
    an earlier version, which does not know that limit; then the string is revoked.
    """
    answer = await link.ask(question)
    given = answer["grant"]
    missing = [option for name, option in _LIMITS.items() if name in question and name not in given]
    if missing:
        await link.ask({"ask": "revoke", "which": f"#{given['grant']}", "kill": False, "cancel": False})
        raise RefusedError(
            f"The master is too old for {' and '.join(missing)}: its string would not have that limit, so it is "
            "revoked.  Update and restart the master, or leave the option out."
        )
    return answer


def _purpose(grant: dict[str, Any]) -> str:
    label = f", {grant['label']!r}" if grant["label"] else ""
    if (grant["verb"], grant["name"]) == ("change", _WEBHOOKS):
        return f"{_WEBHOOKS}{label}"
    return f"{_PURPOSES[grant['verb']]} {grant['name']}{label}"


_PURPOSES = {
    "slave": "slave",
    "submit": "submit to",
    "change": "changes of",
    "jobs": "jobs of",
    "shell": "shells in roots of",
    "watch": "watch",
    "control": "control",
    "sign": "sign packages of",
    "push": "publish packages of",
    "admin": "administer",
}


def _tell_ended(ended: list[str], *, cancelled: bool) -> None:
    if ended:
        fate = "ends as cancelled" if cancelled else "is tried again"
        for each in ended:
            tell(f"{each} {fate}.")
