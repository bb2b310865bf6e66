"""
Hand out FURLs: one command for each right.
"""

import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import click

from ...errors import BuildbotLiteError, RefusedError
from ..asking.arguments import REQUEST, AskedRequest
from ..asking.connection import MasterLink
from ..asking.farm_command import FarmClient, FarmCommand
from ..command_line.groups import Commands
from ..command_line.quantities import DURATION, SIZE
from ..output.cells import WEBHOOKS, grant_purpose
from ..output.printing import Document, new_secret_file, note, secret_file_option

commands = Commands()
F = TypeVar("F", bound=Callable[..., Any])

_WEB_PAGES = "web pages"
_count = click.IntRange(1, 1 << 40)
_per_hour = click.option("--per-hour", type=_count, metavar="N", help="The number of times in any hour.")
_uses = click.option("--uses", type=_count, metavar="N", help="The number of times that it may be used.")
_target = click.argument("object", metavar="TARGET")


def _of_every_string(function: F) -> F:
    """
    Add the options that every kind of string has.
    """
    expires = click.option("--expires", "lasts", type=DURATION, help="How long it is valid: 90m, 12h, 7d, 4w.")
    label = click.option("--label", default="", help="A note about its user or its purpose; shown by grants.")
    return expires(label(secret_file_option(function)))


@commands.group(cls=Commands, short_help="Make a string: to submit, watch, control, sign, administer, …")
def grant() -> None:
    """
    Make a string: to request builds, to report changes, to look, to control, to sign and publish packages, or to do
    everything.

    The string is printed once, on standard output, or written to the FILE of --to.  It is in no file of the farm.
    """


@grant.command("submit", cls=FarmCommand, short_help="A string to request builds.")
@click.argument("object", metavar="BUILDER")
@_uses
@_per_hour
@click.option("--largest", type=SIZE, help="The largest input of a submission: 500k, 20M.")
@click.option("--waiting", "most_waiting", type=_count, metavar="N", help="The number of its requests that may wait.")
@click.option(
    "--priority",
    "most_priority",
    type=click.IntRange(-1_000_000, 1_000_000),
    metavar="MAX",
    help="Of a target: the highest priority of its jobs; 0 otherwise.",
)
@_of_every_string
def grant_submit(farm: FarmClient, **of: Any) -> None:
    """
    A string to request builds: of the Submit scheduler BUILDER, or of the one that submits to that builder alone.

    Use it with: flappclient --furlfile FILE run-command

    If the scheduler takes files: flappclient --furlfile FILE upload-file NAME
    """
    _hand_out(farm, "submit", **of)


@grant.command("change", cls=FarmCommand, short_help="A string to report changes of one REPOSITORY.")
@click.argument("repository")
@click.option("--branch", "branches", multiple=True, metavar="GLOB", help="Only these branches; may be repeated.")
@click.option("--project", default="", help="The project of the changes.")
@click.option("--codebase", default="", help="The codebase of the changes.")
@click.option("--category", help="The category of the changes.")
@_uses
@_per_hour
@click.option("--largest", type=SIZE, help="The largest input: 500k, 1M.")
@_of_every_string
def grant_change(
    farm: FarmClient,
    repository: str,
    branches: tuple[str, ...],
    project: str,
    codebase: str,
    category: str | None,
    **of: Any,
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
    _hand_out(farm, "change", object=json.dumps(binding), **of)


@grant.command("webhooks", cls=FarmCommand, short_help="A string for the web process, to pass on webhooks.")
@click.option("--per-hour", type=_count, metavar="N", help="How many webhooks in any hour.")
@_of_every_string
def grant_webhooks(farm: FarmClient, **of: Any) -> None:
    """
    A string to pass webhooks of forges to the master, which checks each with the secret in master.cfg.

    Use it with: buildbot-lite create-web WEBDIR -
    """
    _hand_out(farm, "change", object=WEBHOOKS, **of)


@grant.command("jobs", cls=FarmCommand, short_help="A string for all jobs of packages of one TARGET.")
@_target
@_of_every_string
def grant_jobs(farm: FarmClient, **of: Any) -> None:
    """
    A string for all jobs of packages of TARGET: to list, show, kill, requeue and finish them, and to pause the target.

    Use it with: buildbot-lite package list --furlfile FILE, and so on.
    """
    _hand_out(farm, "jobs", **of)


@grant.command("shell", cls=FarmCommand, short_help="A string for shells in the roots of failed builds of TARGET.")
@_target
@click.option(
    "--jobs-of",
    metavar="NUMBER",
    type=click.IntRange(1),
    help="Only of the jobs that were submitted with this string (see grants).",
)
@_of_every_string
def grant_shell(farm: FarmClient, object: str, jobs_of: int | None, **of: Any) -> None:
    """
    A string to list and show the jobs of TARGET, and to enter the roots of builds that failed.  Whoever has it can run
    any program there, on the slave's machine, without the network.

    No other string permits that but an admin's.  The slave's owner must permit it, too (shells=True in slave.tac).

    Use it with: buildbot-lite package shell --furlfile FILE JOB ARCH
    """
    _hand_out(farm, "shell", object=object if jobs_of is None else f"{object} {jobs_of}", **of)


@grant.command("watch", cls=FarmCommand, short_help="A string to look at one REQUEST, or at the whole farm.")
@click.argument("request", type=REQUEST, required=False)
@_of_every_string
@click.option("--web", is_flag=True, help="For a web process that is not beside the master: it redeems codes, too.")
def grant_watch(farm: FarmClient, request: AskedRequest | None, label: str, web: bool, **of: Any) -> None:
    """
    A string to look at one REQUEST, or without one at the whole farm.  REQUEST is its number, or a build of it, as
    BUILDER/NUMBER.

    For a request, use it with: flappclient --furlfile FILE run-command

    For the farm: buildbot-lite status --furlfile FILE, and every other command that changes nothing.

    With --web, put it into the web.tac of a web process: watch=...
    """
    # Masters of earlier versions know it by its label.
    kind = {"web": True, "label": label or _WEB_PAGES} if web else {"label": label}
    _hand_out(farm, "watch", object="", about=request, **kind, **of)


@grant.command(
    "control", cls=FarmCommand, short_help="A string to look at the farm, and to force, cancel, pause and the like."
)
@_of_every_string
@click.option("--web", is_flag=True, help="For a browser: print an address with a code, which works once.")
def grant_control(farm: FarmClient, web: bool, to: str | None, **of: Any) -> None:
    """
    A string to look at the farm, and to force, rebuild, cancel, keep, pause, drain and sendchange.

    Use it with: buildbot-lite force --furlfile FILE, and so on.

    With --web, open the printed address in a browser within 10 minutes; the string, which is valid for 12 hours or less
    (--expires), stays in the web process.
    """
    if web and to is not None:
        raise click.UsageError("--web prints an address and no string: leave --to out.")
    if web:
        _hand_out_code(farm, **of)
    else:
        _hand_out(farm, "control", to=to, **of)


@grant.command("sign", cls=FarmCommand, short_help="A string to sign the packages of TARGET.")
@_target
@_of_every_string
def grant_sign(farm: FarmClient, **of: Any) -> None:
    """
    A string to see which packages of TARGET wait for a signature, and to sign them.  Publishing them is another right.

    Use it with: buildbot-lite package sign --all --key KEY --furlfile FILE
    """
    _hand_out(farm, "sign", **of)


@grant.command("push", cls=FarmCommand, short_help="A string to publish the signed packages of TARGET.")
@_target
@_of_every_string
def grant_push(farm: FarmClient, **of: Any) -> None:
    """
    A string to publish the packages of TARGET that are signed.

    Use it with: buildbot-lite package push --all --furlfile FILE
    """
    _hand_out(farm, "push", **of)


@grant.command("admin", cls=FarmCommand, short_help="A string to do everything that this command can do.")
@_of_every_string
def grant_admin(farm: FarmClient, **of: Any) -> None:
    """
    A string to do everything that this command can do, also to hand out others.
    """
    _hand_out(farm, "admin", **of)


_LIMITS = {
    "per_hour": "--per-hour",
    "largest": "--largest",
    "most_waiting": "--waiting",
    "most_priority": "--priority",
}
"""The limits that a master tells by the same names with a new string, and their options."""


def _hand_out(farm: FarmClient, verb: str, about: AskedRequest | None = None, to: str | None = None, **of: Any) -> None:
    """
    Have a string for *verb* made, and print it, or write it to the new file *to*.  *about*: the request that it is for.
    """
    question = {"ask": "grant", "to": verb, **{name: value for name, value in of.items() if value is not None}}

    async def work(link: MasterLink) -> None:
        named = {} if about is None else {"object": str(await about.find(link))}
        answer = await _limited(link, {**question, **named})
        given = answer["grant"]
        where, number = "shown only this once" if to is None else f"it is in {to} alone", f"#{given['grant']}"
        try:
            note(f"# string {number} ({grant_purpose(given)}); {where}")
            give(answer["furl"])
        except OSError:
            # Nobody has it.
            try:
                await _revoke(link, given)
                note(f"# string {number} could not be written, and is revoked")
            except BuildbotLiteError:
                note(f"# string {number} is lost; to revoke it: {farm.command('revoke', number)}")
            raise

    with nullcontext(click.echo) if to is None else new_secret_file(to) as give:
        farm.call(work)


def _hand_out_code(farm: FarmClient, *, lasts: float | None, label: str) -> None:
    answer = farm.ask({"ask": "web-code", "label": label, **({} if lasts is None else {"lasts": lasts})})
    note(
        f"# works once, within {answer['valid'] / 60:.0f} minutes; the session ends after "
        f"{answer['lasts'] / 3600:.3g} h; shown only this once"
    )
    click.echo(f"{answer['address']}enter?code={answer['code']}")


async def _limited(link: MasterLink, question: dict[str, Any]) -> Document:
    """
    The answer to *question*, with a new string.  `RefusedError` if the string lacks a limit, because the master is of
    an earlier version, which does not know that limit; then the string is revoked.
    """
    answer = await link.ask(question)
    given = answer["grant"]
    missing = [option for name, option in _LIMITS.items() if name in question and name not in given]
    if missing:
        await _revoke(link, given)
        raise RefusedError(
            f"The master is too old for {' and '.join(missing)}: its string would not have that limit, so it is "
            "revoked.  Update and restart the master, or leave the option out."
        )
    return answer


async def _revoke(link: MasterLink, given: Document) -> None:
    await link.ask({"ask": "revoke", "which": f"#{given['grant']}", "kill": False, "cancel": False})
