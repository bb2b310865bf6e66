"""
The oracle: compares the results of a campaign with the expected ones.
"""

from buildbot_lite.model.results import Result

from .autonomous_oracle import LOSSES as AUTONOMOUS_LOSSES
from .autonomous_oracle import judge_autonomous, missing_kinds
from .campaign import Campaign, Excuse, told
from .jobs import STEPS, Job
from .verdict import Verdict

RETRIES = 3
EXIT_OF = {Result.SUCCESS: 0, Result.WARNINGS: 0, Result.FAILURE: 1, Result.EXCEPTION: 2}
LOSSES = (
    "promises", "results", "exit codes", "log bytes", "artifacts", "runs too many", "attempts at once",
    "retries without need", *AUTONOMOUS_LOSSES, "judged",
)  # fmt: skip


def judge(campaign: Campaign) -> Verdict:
    """
    Compare all results of *campaign*.
    """
    farm, verdict = campaign.farm, Verdict()
    for line in farm.witnessed("violations"):
        verdict.note("attempts at once", False, line)
    evidence = campaign.evidence()
    judge_autonomous(evidence, verdict.note)
    rows = farm.rows(
        "select r.id, r.buildset, r.result, r.reason from requests r join buildsets b on b.id = r.buildset "
        f"where b.scheduler in ({', '.join('?' * len(STEPS))})",
        *STEPS,
    )
    known: dict[str, int] = {}
    for request, buildset, number, reason in rows:
        ((properties,),) = farm.rows("select properties from buildsets where id = ?", buildset)
        job = next(job for job in campaign.jobs.values() if f'"{job.name}"' in properties)
        known[job.name] = request
        _judge(campaign, verdict, job, request, Result(number), reason)
    for name, done in campaign.watched().items():
        verdict.note("promises", name in known, f"{name} was acknowledged, and is not in the records")
        if name in known:
            job = campaign.jobs[name]
            result = Result(next(row[2] for row in rows if row[0] == known[name]))
            spent = result is Result.EXCEPTION and job.builder != "once"
            verdict.note(
                "exit codes", done.code == (4 if spent else EXIT_OF[result]), f"{name}: {done.code} for {result.name}"
            )
            if result in {Result.SUCCESS, Result.FAILURE}:
                verdict.note("log bytes", done.out.endswith(job.whole_log), f"{name}: its watcher saw another log")
    verdict.check_judged([*missing_kinds(evidence, verdict.judged), *_missing(campaign, verdict)])
    return verdict


def _missing(campaign: Campaign, verdict: Verdict) -> list[str]:
    """
    The kinds of jobs that the campaign contained and of which none was judged.
    """
    had = ("promises", "exit codes", "results") if any(map(told, campaign.clients.values())) else ()
    return [kind for kind in had if not verdict.judged[kind]]


def _judge(campaign: Campaign, verdict: Verdict, job: Job, request: int, result: Result, reason: str) -> None:
    farm = campaign.farm
    builds = farm.rows(
        "select builder, number, slave, result, reason, started, finished from builds where request = ? "
        "order by number",
        request,
    )
    tried = [build for build in builds if Result(build[3]) is Result.RETRY]
    excused = 0
    for builder, number, slave, _, why, started, finished in tried:
        excuse = _excuse(campaign, slave, started, finished)
        excused += excuse is not None
        verdict.note("retries without need", excuse is not None and bool(why), f"{builder}/{number} on {slave}: {why}")
        for step in STEPS[job.builder]:
            found = farm.log(builder, number, step)
            verdict.note("log bytes", job.log(step).startswith(found), f"{builder}/{number} {step}: no prefix")
    builder, number, slave, _, _, started, finished = builds[-1]
    wanted = Result.FAILURE if job.exit_code else Result.SUCCESS
    if result is not wanted:
        spent = len(tried) == RETRIES + 1 and result is Result.EXCEPTION
        lost_once = job.builder == "once" and result is Result.EXCEPTION
        fair = spent or (lost_once and _excuse(campaign, slave, started, finished) is not None)
        end = farm.log(builder, number)[-200:]
        verdict.note("results", fair, f"{builder}/{number} ({job.name}) is {result.name}: {reason}; {end!r}")
        return
    verdict.note("results", True, "")
    for step in STEPS[job.builder]:
        runs = farm.witnessed(f"{job.name}.{step}").count("begun")
        verdict.note("runs too many", 1 <= runs <= len(builds), f"{job.name} {step} ran {runs} times")
        found = farm.log(builder, number, step)
        verdict.note(
            "log bytes",
            found == job.log(step),
            f"{builder}/{number} {step}: {len(found)} of {job.size} bytes: {found[-300:]!r}",
        )
    path = farm.master_directory / "artifacts" / builder / str(number) / "artifact"
    whole = path.exists() and path.read_bytes() == job.artifact
    verdict.note("artifacts", whole, f"{builder}/{number}: {path.exists()}")


def _excuse(campaign: Campaign, slave: str, started: float, finished: float) -> Excuse | None:
    """
    A failure of the slave during the build that explains a retry.  The farm's clocks may have been an hour ahead.
    """
    for excuse in campaign.excuses:
        ahead = 3600.0 if campaign.injected["clock"] else 0.0
        if excuse.slave == slave and excuse.begins <= finished and started - ahead <= excuse.ends:
            return excuse
    return None
