"""
The logs of the builds of a job.
"""

import click

from ..asking.connection import MasterLink
from ..asking.farm_command import FarmClient
from .jobs import JobCommand
from .words import JobNumber


@click.command("log", cls=JobCommand, short_help="Print the logs of a job.")
@click.argument("job", type=JobNumber(1, 1 << 53))
@click.argument("arch")
@click.argument("step", required=False)
@click.option("-f", "--follow", is_flag=True, help="Continue until the build, or the step, has ended.")
@click.option("--remarks", is_flag=True, help="Also print remarks, on standard error.")
def log(farm: FarmClient, job: int, arch: str, step: str | None, follow: bool, remarks: bool) -> None:
    """
    Print the logs of the latest build of JOB for ARCH.

    With a STEP, such as prepping or building, print exactly the bytes of its log; without, the logs of all steps, under
    headings.  A target's string permits it for the jobs that were submitted with it.
    """
    question = {
        "follow": "package-log",
        "job": job,
        "architecture": arch,
        "step": step,
        "remarks": remarks,
        "to_the_end": follow,
    }

    async def work(link: MasterLink) -> None:
        shown = (await link.ask({"ask": "package-show", "job": job}))["job"]
        # What is printed after a lost connection must be of the same build.
        number = next((each["build"] for each in shown["arches"] if each["architecture"] == arch), None)
        pinned = {} if number is None else {"number": number}
        again = farm.command("package log", job, arch, *([] if step is None else [step]), "--follow")
        await link.follow_to_end({**question, **pinned}, f"The build continues.  To follow it again: {again}")

    farm.call(work)
