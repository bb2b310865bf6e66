"""
Jobs of packages: list, show, kill, requeue, finish; and the targets, which can be paused.
"""

from typing import Any

import click

from ...model.suggestions import there_is_no
from ..asking.connection import MasterLink
from ..asking.farm_command import FarmClient, FarmCommand
from ..command_line.groups import Commands
from ..output.printing import json_option, note, show, tell
from .words import JobNumber

commands = Commands()
"""Those below ``package``."""

MOST = 20
STATES = (
    *("initialize", "checkout", "make_srpm", "prep", "waiting", "building"),
    *("repowait", "needsign", "pushed", "finished", "failed", "killed"),
)
"""Those of `packages.records.job_states`, which needs the master's packages."""

_job = click.argument("job", type=JobNumber(1, 1 << 53))


class JobCommand(FarmCommand):
    """
    A `FarmCommand` whose string may be that of a target, too.
    """

    furlfile_help = (
        "A file with a string, instead of DIR: a target's, for the jobs that were submitted with it, or one that "
        "buildbot-lite grant jobs made."
    )


@commands.command("list", cls=JobCommand, short_help="List the jobs.")
@click.option("--target", metavar="TARGET", help="Only those of this target.")
@click.option(
    "--state",
    type=click.Choice(STATES),
    metavar="STATE",
    help="Only those in this state, like needsign or failed.",
)
@click.option("--user", "submitter", metavar="LABEL", help="Only those submitted with the string of this label.")
@click.option("--active", is_flag=True, help="Only those that have not ended.")
@click.option(
    "-n", "--most", type=click.IntRange(1, 1000), metavar="N", default=MOST, show_default=True, help="At most so many."
)
@click.option("--before", type=JobNumber(1, 1 << 53), metavar="JOB", help="Only jobs older than this one.")
@json_option
def list_jobs(farm: FarmClient, most: int, before: int | None, as_json: bool, **wanted: Any) -> None:
    """
    List the jobs, the newest first, with the state of each architecture.
    """
    found, older = farm.call(lambda link: _page(link, most, before, wanted))
    show(found, "jobs", as_json=as_json)
    if older is not None and not as_json:
        note(f"# older ones: --before {older}")


async def _page(
    link: MasterLink, most: int, before: int | None, wanted: dict[str, Any]
) -> tuple[list[Any], int | None]:
    found: list[Any] = []
    filters = {name: value for name, value in wanted.items() if value}
    while len(found) < most:
        place = {} if before is None else {"before": before}
        answer = await link.ask({"ask": "package-list", "most": min(most - len(found), 200), **filters, **place})
        found += answer["jobs"]
        before = answer["before"]
        if before is None:
            break
    if not found and (target := filters.get("target")):
        await _hint(link, target)
    return found, before


async def _hint(link: MasterLink, target: str) -> None:
    """
    Say why *target* has no jobs, if it is no target's name.
    """
    targets = (await link.ask({"ask": "package-targets"}))["targets"]
    names = [each["target"] for each in targets]
    of_alias = next((each["target"] for each in targets if target in each.get("aliases", ())), None)
    if target not in names:
        note(f"# {there_is_no('target', target, [of_alias] if of_alias else names)}")


@commands.command("show", cls=JobCommand, short_help="Show one job.")
@_job
@json_option
def show_job(farm: FarmClient, job: int, as_json: bool) -> None:
    """
    Show a job: its states with their times, and what each architecture does, or why it is not built.
    """
    show(farm.ask({"ask": "package-show", "job": job})["job"], "job", as_json=as_json)


@commands.command("kill", cls=JobCommand, short_help="End a job, and cancel its builds.")
@_job
def kill_job(farm: FarmClient, job: int) -> None:
    """
    End a job, and cancel its builds.
    """
    _tell(farm.ask({"ask": "package-kill", "job": job}))


@commands.command("requeue", cls=JobCommand, short_help="Build again what failed.")
@_job
def requeue(farm: FarmClient, job: int) -> None:
    """
    Build a job again for the architectures for which it failed or was killed.  If it was built for all, try again what
    comes after the builds.
    """
    answer = farm.ask({"ask": "package-requeue", "job": job})
    if answer["architectures"]:
        tell(f"Job {answer['job']} is built again for {', '.join(answer['architectures'])}.")
    else:
        tell(f"Job {answer['job']} goes on after its builds, all of which succeeded.")


@commands.command("finish", cls=JobCommand, short_help="End a job that waits for a signature.")
@_job
def finish(farm: FarmClient, job: int) -> None:
    """
    End a job that waits for a signature, without publishing it.
    """
    _tell(farm.ask({"ask": "package-finish", "job": job}))


@commands.command("targets", cls=JobCommand, short_help="List the targets.")
@json_option
def targets(farm: FarmClient, as_json: bool) -> None:
    """
    List the targets, with the number of their unfinished jobs by state.
    """
    show(farm.ask({"ask": "package-targets"})["targets"], "targets", as_json=as_json)


@commands.command("pause", cls=JobCommand, short_help="Start no more builds of a target.")
@click.argument("target")
@click.option("--reason", default="", help="Shown by buildbot-lite queue, beside each request that waits.")
def pause(farm: FarmClient, target: str, reason: str) -> None:
    """
    Start no more builds of TARGET.  Those that run continue, and packages can be submitted.
    """
    answer = farm.ask({"ask": "package-pause", "target": target, "reason": reason})
    tell(f"{answer['target']} is paused.  To go on: {farm.command('package unpause', target)}")


@commands.command("unpause", cls=JobCommand, short_help="Start builds of a target again.")
@click.argument("target")
def unpause(farm: FarmClient, target: str) -> None:
    """
    Start builds of TARGET again.
    """
    answer = farm.ask({"ask": "package-unpause", "target": target})
    tell(f"{answer['target']} is not paused.")


def _tell(answer: Any) -> None:
    tell(f"Job {answer['job']} is {answer['state']}.")
