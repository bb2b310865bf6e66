"""
Request builds, cancel them, print their logs, fetch their artifacts.
"""

from collections.abc import Sequence

import click

from ...errors import InputError
from ..asking.arguments import (
    NUMBER,
    PAIR,
    REQUEST,
    AskedRequest,
    property_option,
    text_of,
)
from ..asking.connection import MasterLink
from ..asking.download import DownloadedFile
from ..asking.farm_command import BuildCommand, FarmClient, FarmCommand
from ..command_line.groups import Commands
from ..output.printing import Document, json_option, note, show, tell

commands = Commands()


@commands.command(cls=FarmCommand)
@click.argument("builder")
@property_option("A property")
@click.option(
    "--file",
    "files",
    type=PAIR,
    multiple=True,
    metavar="NAME=PATH",
    help="A property whose value is the text in a file, such as patch.body; - is standard input.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why; builds shows it.")
@click.option("--scheduler", default="", metavar="NAME", help="Which ForceScheduler, if several have the builder.")
@click.option("--wait", is_flag=True, help="Show the log until the build ends; the exit code is the build's.")
def force(
    farm: FarmClient,
    builder: str,
    pairs: tuple[tuple[str, str], ...],
    files: tuple[tuple[str, str], ...],
    reason: str,
    scheduler: str,
    wait: bool,
) -> int:
    """
    Request a build of BUILDER.

    A ForceScheduler in master.cfg must have the builder; its parameters check the properties.  Branch and revision are
    given as properties, too: -p branch=main

    With --wait the log goes to standard output and remarks to standard error.  The exit code is 0 for success and
    warnings, 1 for a failure, 2 for an exception, 4 if the build was cancelled or its retries were used up.
    """
    texts = {name: text_of(path) for name, path in files}
    properties = {**dict(pairs), **texts}
    given = {name: value for name, value in (("reason", reason), ("scheduler", scheduler)) if value}
    asked = {"ask": "force", "builder": builder, "properties": properties, **given}
    return _ask_for(farm, {**asked, "problems": True, "remarks": True}, wait=wait)


@commands.command(cls=BuildCommand)
@click.argument("builder")
@click.argument("number", type=NUMBER)
@click.option("--wait", is_flag=True, help="Show the log until the build ends; the exit code is the build's.")
def rebuild(farm: FarmClient, builder: str, number: int, wait: bool) -> int:
    """
    Run a build once more.

    The new build has the same properties, the same patch or file, and the same sources at the same revision.
    """
    return _ask_for(farm, {"ask": "rebuild", "builder": builder, "number": number}, wait=wait)


@commands.command(cls=FarmCommand)
@click.argument("request", type=REQUEST)
def cancel(farm: FarmClient, request: AskedRequest) -> None:
    """
    Cancel a request, whether it waits or is being built.

    REQUEST is its number, as in queue and builds, or the build, as BUILDER/NUMBER.  Requests that its build triggered
    and waits for are cancelled as well.
    """

    async def work(link: MasterLink) -> tuple[int, Document]:
        number = await request.find(link)
        return number, await link.ask({"ask": "cancel", "request": number, "reason": "cancelled from the command line"})

    number, answer = farm.call(work)
    if waits := answer.get("waits"):
        tell(f"Request {number} will be cancelled as soon as that can be recorded.  {waits}")
    else:
        tell(f"Request {number} is cancelled.")
    for child in answer.get("also", ()):
        tell(f"Also cancelled: request {child['request']} ({child['build']}), which its build triggered.")


@commands.command(cls=BuildCommand)
@click.argument("builder")
@click.argument("number", type=NUMBER)
@click.option("--reason", default="kept from the command line", show_default=True, help="Why; kept shows it.")
def keep(farm: FarmClient, builder: str, number: int, reason: str) -> None:
    """
    Keep a build, with its logs and artifacts, until unkeep.

    Nothing of it is removed, whatever c['retention'] in master.cfg says.
    """
    farm.ask({"ask": "keep", "builder": builder, "number": number, "reason": reason})
    tell(f"{builder}/{number} is kept until: {farm.command('unkeep', builder, number)}")


@commands.command(cls=BuildCommand)
@click.argument("builder")
@click.argument("number", type=NUMBER)
def unkeep(farm: FarmClient, builder: str, number: int) -> None:
    """
    Let c['retention'] apply again to a build that was kept.
    """
    farm.ask({"ask": "unkeep", "builder": builder, "number": number})
    tell(f"{builder}/{number} is removed when c['retention'] says so.")


@commands.command(cls=FarmCommand)
@json_option
def kept(farm: FarmClient, as_json: bool) -> None:
    """
    The builds that keep marked, and why.
    """
    show(farm.ask({"ask": "kept"})["kept"], "kept", as_json=as_json)


@commands.command(cls=BuildCommand, short_help="Print the logs of a build.")
@click.argument("builder")
@click.argument("number", type=NUMBER, required=False)
@click.argument("step", required=False)
@click.argument("log_name", metavar="[LOG]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Continue until the build, or the step, has ended.")
@click.option("--remarks", is_flag=True, help="Also print remarks, on standard error.")
def log(
    farm: FarmClient,
    builder: str,
    number: int | None,
    step: str | None,
    log_name: str | None,
    follow: bool,
    remarks: bool,
) -> None:
    """
    Print the logs of a build; without NUMBER of the newest one.

    With a STEP (its name, or its number counted from 0), print exactly the bytes of its log; LOG is stdio by default.
    Without a STEP, print the logs of all steps, under headings.
    """

    async def work(link: MasterLink) -> None:
        build_number = number
        if build_number is None:
            # After a restart of the master, another build may be the newest.
            found = (await link.ask({"ask": "builds", "builder": builder, "most": 1}))["builds"]
            build_number = found[0]["number"] if found else None
        question = {
            "follow": "log",
            "builder": builder,
            "number": build_number,
            "step": step,
            "log": log_name,
            "remarks": remarks,
            "to_the_end": follow,
        }
        words = [] if build_number is None else [build_number]
        advice = f"The build continues.  To follow it again: {farm.command('log', builder, *words, '--follow')}"
        await link.follow_to_end(question, advice)

    farm.call(work)


@commands.group()
def artifacts() -> None:
    """
    The files that builds produced.
    """


@artifacts.command("list", cls=BuildCommand)
@click.argument("builder")
@click.argument("number", type=NUMBER)
@json_option
def list_artifacts(farm: FarmClient, builder: str, number: int, as_json: bool) -> None:
    """
    The files that a build produced.
    """
    answer = farm.ask({"ask": "artifacts", "builder": builder, "number": number})
    show(answer["artifacts"], "artifacts", as_json=as_json)


@artifacts.command("fetch", cls=BuildCommand)
@click.argument("builder")
@click.argument("number", type=NUMBER)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--to", metavar="DIRECTORY", default=".", help="The directory for them, instead of the current one.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def fetch_artifacts(
    farm: FarmClient, builder: str, number: int, names: tuple[str, ...], to: str, overwrite: bool
) -> None:
    """
    Fetch files that a build produced.

    Those with these NAMEs, or all of the build.

    A file is written only if all of it arrived, with the right checksum.
    """
    if not all(names):
        raise click.UsageError("NAME is the name of an artifact, and this is an empty word.")
    of = {"builder": builder, "number": number}

    async def work(link: MasterLink) -> None:
        found = (await link.ask({"ask": "artifacts", **of}))["artifacts"]
        known = {each["name"]: each for each in found}
        if not (names or known):
            note(f"{builder}/{number} has no artifacts.")
        for name in names or known:
            # The master refuses an unknown name, and lists the known ones.
            with DownloadedFile(to, name, overwrite=overwrite, length=known.get(name, {}).get("length")) as download:
                sent = await link.follow({"follow": "artifact", "name": name, **of}, download.take)
                download.keep(sent["length"], sent["sha256"])
            click.echo(download.shown)

    farm.call(work)


def _lines_of(question: Document, problems: Sequence[Document]) -> str:
    """
    A line for each of the *problems* with the values in *question*, and how those are given that are missing.
    """
    lines = [str(each["sentence"]) for each in problems]
    missing = {each["name"] for each in problems} - {*question["properties"], *question}
    if "reason" in missing:
        lines.append("The reason is given with --reason TEXT.")
    if missing - {"reason", ""}:
        lines.append("A value is given with -p NAME=VALUE.")
    return "\n".join(lines)


def _ask_for(farm: FarmClient, question: Document, *, wait: bool) -> int:
    """
    Request the build that *question* describes.  With *wait*, show it to its end, and return its exit code.
    """
    requests: list[int] = []

    async def work(link: MasterLink) -> int:
        answer = await link.ask(question)
        if problems := answer.get("problems"):
            raise InputError(_lines_of(question, problems))
        for remark in answer.get("remarks", ()):
            note(f"# {remark}")
        requests.append(answer["request"])
        if not wait:
            tell(f"request {answer['request']}")
            return 0
        note(f"# request {answer['request']}")
        advice = (
            f"The build continues.  To see it: {farm.command('builds', question['builder'])}    "
            f"To end it: {farm.command('cancel', answer['request'])}"
        )
        followed = await link.follow_to_end({"follow": "request", "buildset": answer["buildset"]}, advice)
        return int(followed["exit_code"])

    try:
        return farm.call(work)
    except KeyboardInterrupt:
        if requests:
            # On the line after the ^C of the terminal.
            note(f"\nThe build continues.  To end it: {farm.command('cancel', requests[0])}")
        raise click.Abort from None
