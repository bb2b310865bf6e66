"""
Fetching the files that the builds of a job made.
"""

from typing import Any

import click

from ...errors import NotFoundError
from ..asking.connection import MasterLink
from ..asking.download import DownloadedFile
from ..asking.farm_command import FarmClient
from ..command_line.next_commands import command_here
from ..output.printing import note, show
from .jobs import JobCommand
from .words import JobNumber

_TAKEN = ("needsign", "pushed", "finished")
_SAID = {"failed": "failed", "killed": "was killed"}


@click.command("fetch", cls=JobCommand, short_help="Fetch the packages of a job.")
@click.argument("job", type=JobNumber(1, 1 << 53))
@click.argument("arches", metavar="[ARCH]...", nargs=-1)
@click.option("--to", metavar="DIRECTORY", default=".", help="The directory for them, instead of the current one.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option("--list", "only_list", is_flag=True, help="Only list them, with their digests.")
@click.option("--json", "as_json", is_flag=True, help="Only list them, as JSON.")
def fetch(
    farm: FarmClient, job: int, arches: tuple[str, ...], to: str, overwrite: bool, only_list: bool, as_json: bool
) -> None:
    """
    Fetch what was built for JOB: its packages, and what its builds tell of them, into a directory for each ARCH; for
    all architectures, if none is named.

    A file is written only if all of it arrived, with the right checksum.  A target's string permits it for the jobs
    that were submitted with it.  Of a job that is not finished, or was refused, a remark says so.
    """

    async def work(link: MasterLink) -> None:
        files = await _files(link, job, arches)
        if only_list or as_json:
            show(files, "job-files", as_json=as_json)
            return
        for file in files:
            path = f"{file['architecture']}/{file['name']}"
            with DownloadedFile(to, path, overwrite=overwrite, length=file["length"]) as download:
                question = {"job": job, "architecture": file["architecture"], "name": file["name"]}
                sent = await link.follow({"follow": "package-file", **question}, download.take)
                download.keep(sent["length"], sent["sha256"])
            click.echo(download.shown)

    farm.call(work)


async def _files(link: MasterLink, job: int, arches: tuple[str, ...]) -> list[dict[str, Any]]:
    """
    The files of *job* for *arches*, all of them if there are none; `NotFoundError` if an architecture has none.
    """
    answer = await link.ask({"ask": "package-files", "job": job})
    found: list[dict[str, Any]] = answer["files"]
    of = dict.fromkeys(str(each["architecture"]) for each in found)
    if not of:
        raise NotFoundError(
            f"Job {job} has no files: its builds made none, or they were removed.  See: "
            f"{command_here('package show', job)}"
        )
    if missing := [each for each in arches if each not in of]:
        raise NotFoundError(f"Job {job} has no files for {missing[0]!r:.100}, but for {', '.join(of)}.")
    # A master of an earlier version does not tell the state.
    if remark := _remark(job, str(answer.get("state", _TAKEN[0]))):
        note(remark)
    return [each for each in found if not arches or each["architecture"] in arches]


def _remark(job: int, state: str) -> str:
    """
    What to know of files of a job in this *state*; "" if the master has taken all of them.
    """
    if state in _TAKEN:
        return ""
    return f"# job {job} {_SAID.get(state, 'is not finished')}: what was built may be incomplete, or be refused"
