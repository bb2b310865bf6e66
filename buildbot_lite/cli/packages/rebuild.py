"""
Building the packages of a job again, and whether they are the same.
"""

import shlex
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import click

from ..asking.connection import MasterLink
from ..asking.farm_command import FarmClient
from ..output.printing import json_option, note, show, tell
from .job_following import job_follower
from .jobs import JobCommand
from .words import JobNumber

MOST_TOLD = 10
"""Packages of one architecture for which a command is told."""
LOOK = 1.0
"""Seconds between two looks whether the rebuild has ended."""
_ENDS = ("finished", "failed", "killed")


@click.command("rebuild", cls=JobCommand, short_help="Build a job again, and compare.")
@click.argument("job", type=JobNumber(1, 1 << 53))
@click.option("--compare", is_flag=True, help="Wait for it, and tell whether the packages are the same bit for bit.")
@json_option
def rebuild(farm: FarmClient, job: int, compare: bool, as_json: bool) -> int:
    """
    Build the source of JOB again, for the same architectures.  The new packages enter no repository.

    With --compare, the packages that were installed for JOB are installed again, with the same versions.  The exit code
    is 0 when all packages are the same, 1 when some differ, and 2 when a build failed or cannot be compared.
    """
    if not compare:
        begun = farm.ask({"ask": "package-rebuild", "job": job})["rebuild"]
        if as_json:
            show({"job": job, "rebuild": begun}, "", as_json=True)
        else:
            tell(f"Job {begun} builds it again.")
        return 0
    rebuilt, arches = farm.call(lambda link: _compared(link, job))
    if as_json:
        show({"job": job, "rebuild": rebuilt, "arches": arches}, "", as_json=True)
    else:
        for each in arches:
            click.echo(summary_of(each))
            for line in each["installed"] or ():
                tell(f"  installed: {line}")
        for line in _how_to_look(farm, job, rebuilt, arches):
            note(line)
    verdicts = {each["verdict"] for each in arches}
    return 0 if verdicts == {"same"} else 1 if verdicts <= {"same", "different"} else 2


async def _compared(link: MasterLink, job: int) -> tuple[int, Sequence[Mapping[str, Any]]]:
    rebuilt = (await link.ask({"ask": "package-rebuild", "job": job, "same": True}))["rebuild"]
    note(f"# job {rebuilt} builds it again")
    async with job_follower(link, "the builds continue") as follower:
        question = {"ask": "package-show", "job": rebuilt}
        await follower.job_when(question, lambda job: job["state"] in _ENDS, repeat(LOOK))
        answer = await follower.ask({"ask": "package-compare", "job": job, "rebuild": rebuilt})
    return rebuilt, answer["arches"]


def _how_to_look(farm: FarmClient, job: int, rebuilt: int, arches: Sequence[Mapping[str, Any]]) -> list[str]:
    """
    The commands that show where packages differ; none where the master has called none different.
    """
    different = [str(each["architecture"]) for each in arches if each["verdict"] == "different"]
    if not different:
        return []
    fetched = [(each, f"job-{each}") for each in (job, rebuilt)]
    lines = [farm.command("package fetch", each, *different, "--to", to) for each, to in fetched]
    for arch in arches:
        if arch["architecture"] in different:
            lines += _programs(arch, [to for _, to in fetched])
    return ["# to see where they differ:", *(f"#   {each}" for each in lines)]


def _programs(arch: Mapping[str, Any], places: Sequence[str]) -> list[str]:
    """
    The commands for the packages of one architecture, which are in the directories *places*.
    """
    # A master of an earlier version does not say which packages only one of the builds made.
    both = [str(name) for name in arch["files"] if name not in arch.get("alone", ())]
    paths = [[f"{place}/{arch['architecture']}/{name}" for place in places] for name in both]
    lines = [shlex.join(["diffoscope", *each]) for each in paths[:MOST_TOLD]]
    return lines if len(paths) <= MOST_TOLD else [*lines, f"and so on for {len(paths) - MOST_TOLD} more"]


def summary_of(arch: Mapping[str, Any]) -> str:
    """
    A sentence about one architecture of a comparison.
    """
    name = arch["architecture"]
    if arch["verdict"] == "failed":
        return f"{name}: the build failed, so there is nothing to compare."
    if arch["verdict"] == "running":
        return f"{name}: it is still being built."
    if arch["verdict"] == "incomparable":
        return f"{name}: cannot be compared: {arch['reason'].removesuffix('.')}."
    installed = arch["installed"]
    roots = "" if installed is None else ", with other packages installed" if installed else ", in equal roots"
    if arch["verdict"] == "same":
        return f"{name}: the same, bit for bit{roots}."
    return f"{name}: different{roots}: {', '.join(arch['files'])}"
