"""
Past builds: lists, one in detail, the last good one.
"""

from typing import Any

import click

from ...model.display import local_time, printable
from ..asking.arguments import (
    NUMBER,
    newest_options,
    property_option,
)
from ..asking.connection import MasterLink
from ..asking.farm_command import BuildCommand, FarmClient, FarmCommand
from ..command_line.groups import Commands
from ..command_line.quantities import SINCE
from ..output.printing import Document, json_option, note, show

commands = Commands()

MOST = 1000
RESULTS = ("SUCCESS", "WARNINGS", "FAILURE", "SKIPPED", "EXCEPTION", "RETRY", "CANCELLED", "running")
GOOD = ["SUCCESS", "WARNINGS"]
BAD = ["FAILURE", "EXCEPTION"]


@commands.command(cls=BuildCommand, short_help="The newest builds, filtered; or one in detail.")
@click.argument("builder", required=False)
@click.argument("number", type=NUMBER, required=False)
@newest_options(MOST)
@click.option("--branch", metavar="NAME", help="Only of that branch.")
@click.option(
    "--result",
    "results",
    type=click.Choice(RESULTS, case_sensitive=False),
    metavar="RESULT",
    multiple=True,
    help="Only with that result, or running; may be repeated.",
)
@click.option("--slave", metavar="NAME", help="Only on that slave.")
@click.option("--since", type=SINCE, help="Only those that began since then: 90m, 12h, 7d, 2026-11-22.")
@property_option("Only with that property")
@json_option
def builds(farm: FarmClient, builder: str | None, number: int | None, most: int, as_json: bool, **options: Any) -> None:
    """
    The newest builds, of BUILDER or of all; with NUMBER one build in detail.
    """
    if builder is not None and number is not None:
        if given := [*_options(options, most), *(["--before"] if options["before"] else [])]:
            raise click.UsageError(f"{given[0]} chooses among builds: leave it out, or NUMBER.")
        answer = farm.ask({"ask": "build", "builder": builder, "number": number})
        show(answer["build"], "build", as_json=as_json)
        return
    question = {
        "builder": builder,
        "branch": options["branch"],
        "results": list(options["results"]) or None,
        "slave": options["slave"],
        "since": options["since"],
        "properties": dict(options["pairs"]) or None,
    }
    found, older = farm.call(lambda link: _page(link, question, most, options["before"]))
    show(found, "builds", as_json=as_json)
    if older is not None and not as_json:
        again = [] if builder is None else [builder]
        note(f"# older ones: {farm.command('builds', *again, *_options(options, most), '--before', older)}")


@commands.command("last-good", cls=FarmCommand, short_help="The newest good build of BUILDER.")
@click.argument("builder")
@click.option("--branch", metavar="NAME", help="Only of that branch.")
@json_option
def last_good(farm: FarmClient, builder: str, branch: str | None, as_json: bool) -> None:
    """
    The newest build of BUILDER that ended with success or warnings: its name, its revision, when it ended.

    A remark on standard error names the first build after it that failed.
    """
    question = {"builder": builder, "branch": branch, "results": GOOD}

    async def work(link: MasterLink) -> tuple[Any, Any]:
        found, _ = await _page(link, question, 1, None)
        if not found:
            of_branch = "" if branch is None else f" of the branch {branch!r:.100}"
            raise click.ClickException(f"{builder!r:.100} has no build{of_branch} that ended with success or warnings.")
        bad = {**question, "results": BAD, "after": found[0]["number"]}
        answer = await link.ask({"ask": "first-bad", **{key: value for key, value in bad.items() if value is not None}})
        return found[0], answer["build"]

    good, first_bad = farm.call(work)
    show({**good, "first_bad": first_bad}, "last-good", as_json=as_json)
    if first_bad is not None and not as_json:
        of = f", of {first_bad['revision']}" if first_bad["revision"] else ""
        note(printable(f"# the first bad build after it: {builder}/{first_bad['number']}{of}"))


async def _page(link: MasterLink, question: Document, most: int, before: int | None) -> tuple[list[Any], int | None]:
    """
    At most *most* builds, and where older ones begin.  A master examines a bounded number of builds for each question,
    so repeat the question until there are enough builds, or no more.
    """
    given = {name: value for name, value in question.items() if value is not None}
    found: list[Any] = []
    while True:
        page = {"most": most - len(found)} if before is None else {"most": most - len(found), "before": before}
        answer = await link.ask({"ask": "builds", **given, **page})
        found += answer["builds"]
        before = answer.get("before")
        if before is None or len(found) >= most:
            return found, before


def _options(options: dict[str, Any], most: int) -> list[str]:
    """
    The options that were given, as they are typed.
    """
    given: list[tuple[str, Any]] = [("--branch", options["branch"]), ("--slave", options["slave"])]
    given += [("--result", each) for each in options["results"]]
    given += [("--property", f"{name}={value}") for name, value in options["pairs"]]
    since = options["since"]
    given += [("--since", None if since is None else _iso(since)), ("--most", None if most == 20 else most)]
    return [str(word) for option, value in given if value is not None for word in (option, value)]


def _iso(seconds: float) -> str:
    return local_time(seconds).isoformat(" ", "seconds")
