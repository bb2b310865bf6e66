"""
The table of ratios, from raw figures.

A raw file: {"rounds": [{measure: {"ours": {…}, "again": {…}, "theirs": {…}}}, …], …}.  "again" is a second run of ours
in the same round: the ratio of the two shows the precision of a ratio (the A/A control).  The measure "bare" has only
"theirs": the limits.
"""

from statistics import median

from attrs import frozen

NONE = "-"


@frozen
class Row:
    """
    *ours*, *theirs*: "measure.figure"; *theirs* may be bare limits.  *more*: more is better.  *must*, *goal*: the
    requirement: "x25" is 25 times as good as theirs, "<6" at most 6, ">0.8" at least 0.8; commas join requirements.
    """

    what: str
    unit: str
    ours: str
    theirs: str = ""
    more: bool = False
    must: str = ""
    goal: str = ""


SHOWN = {
    "builders": "the builders with their newest builds",
    "builder": "builds of a builder",
    "build": "a build with its steps",
    "log": "lines of a log",
    "failures": "failed builds",
    "queue": "what waits",
    "slaves": "the slaves",
    "slave": "builds of a slave",
    "changes": "changes",
}
ROWS = (
    Row(
        "one-step builds, 4 slaves of 4, in the master",
        "builds/s",
        "throughput.builds_per_s",
        "throughput.builds_per_s",
        True,
        "x25",
        "x50",
    ),
    Row(
        "the same as a connected client sees it",
        "builds/s",
        "throughput.client_builds_per_s",
        "throughput.builds_per_s",
        True,
    ),
    Row(
        "CPU of the master per such build",
        "ms",
        "throughput.master_cpu_ms_per_build",
        "throughput.master_cpu_ms_per_build",
        False,
        "<6",
        "<3",
    ),
    Row("CPU of the slaves per such build", "ms", "throughput.slaves_cpu_ms_per_build"),
    Row("commits per such build, under load", "", "throughput.commits_per_build"),
    Row("a step of a build of 200", "ms", "steps.ms_per_step", "steps.ms_per_step", False, "<15,x8", "<8"),
    Row("CPU of the master per such step", "ms", "steps.master_cpu_ms_per_step"),
    Row("written to disk per such step", "KB", "steps.kb_per_step"),
    Row(
        "submission to finish, idle, in the master",
        "ms",
        "latency.ms",
        "latency.inproc_ms_median20",
        False,
        "<25",
        "<12",
    ),
    Row(
        "the same as a client sees it (theirs: HTTP)",
        "ms",
        "latency.client_ms",
        "latency.rest_ms_median20",
        False,
        "",
        "<30",
    ),
    Row("written to disk per build, alone", "KB", "written.kb_per_build", "written.kb_per_build", False, "<60", "<20"),
    Row("commits per build, alone", "", "written.commits_per_build", "written.commits", False, "<6"),
    Row("written per build that a client asked for", "KB", "written.client_kb_per_build"),
    Row("100 MiB of log lines, stored and complete, TLS", "MiB/s", "log.mib_per_s", "log.mib_per_s", True, "x35"),
    Row("the same, against bare Foolscap", "MiB/s", "log.mib_per_s", "bare.mib_per_s", True, "x0.6", "x0.9"),
    Row(
        "the same, against bare Foolscap whose receiver writes a file and syncs it",
        "MiB/s",
        "log.mib_per_s",
        "bare_to_disk.log_mib_per_s",
        True,
        "x0.6",
        "x0.8",
    ),
    Row("memory of the master for it", "MB more", "log.master_mb_more", "log.master_mb_more"),
    Row("memory of the master for 1 GiB", "MB more", "log_gib.master_mb_more", "", False, "<32", "<16"),
    Row("memory of slave and keeper for 1 GiB", "MB more", "log_gib.slave_and_keeper_mb_more", "", False, "<32", "<16"),
    Row("1 GiB of log lines", "MiB/s", "log_gib.mib_per_s", "bare.mib_per_s", True),
    Row("the last 64 KiB of it, compressed", "ms", "log_gib.tail_ms", "", False, "<100", "<20"),
    Row(
        "200,000 lines, one write each",
        "lines/s",
        "small_writes.lines_per_s",
        "small_writes.lines_per_s",
        True,
        "x10",
        "x20",
    ),
    Row("200 MiB slave → master, TLS", "MiB/s", "transfer.up_mib_per_s", "transfer.up_best_MiBps", True, "", "x4"),
    Row("the same, against bare Foolscap", "MiB/s", "transfer.up_mib_per_s", "bare.mib_per_s", True, "x0.6"),
    Row(
        "the same, against bare Foolscap whose receiver writes a file and syncs it",
        "MiB/s",
        "transfer.up_mib_per_s",
        "bare_to_disk.file_mib_per_s",
        True,
        "x0.6",
        "x0.8",
    ),
    Row("200 MiB master → slave, TLS", "MiB/s", "transfer.down_mib_per_s", "transfer.down_best_MiBps", True, "", "x4"),
    Row("the same, against bare Foolscap", "MiB/s", "transfer.down_mib_per_s", "bare.mib_per_s", True, "x0.6"),
    Row(
        "the same, against bare Foolscap whose receiver writes a file and syncs it",
        "MiB/s",
        "transfer.down_mib_per_s",
        "bare_to_disk.file_mib_per_s",
        True,
        "x0.6",
        "x0.8",
    ),
    Row(
        "100 MiB of log, by the command (bare: a file by Foolscap)",
        "s",
        "log_to_client.whole_s",
        "log_to_client.whole_s",
        False,
        "x0.5",
        "x1",
    ),
    Row("CPU of the master for it", "s", "log_to_client.master_cpu_s"),
    Row(
        "the same, by flappclient (theirs: flappserver running cat)",
        "s",
        "log_to_flappclient.whole_s",
        "log_to_flappclient.whole_s",
        False,
        "x1",
    ),
    Row("CPU of the master for it", "s", "log_to_flappclient.master_cpu_s"),
    Row(
        "how much a flappclient slows the build", "times", "watched_ingestion.slowed_by_flappclient", "", False, "<1.1"
    ),
    Row("how much a follower by the command does", "times", "watched_ingestion.slowed_by_log", "", False, "<1.1"),
    Row("how much nothing does (the control)", "times", "watched_ingestion.slowed_by_nothing"),
    Row("how much 50 followers slow the build", "times", "fifty_followers.slowed", "", False, "<2", "<1.2"),
    Row("memory of the master for them", "MB more", "fifty_followers.master_mb_more", "", False, "<32", "<16"),
    Row("how often the log was read for them", "times", "fifty_followers.times_read", "", False, "<2"),
    Row("1000 slaves attach at once (theirs: 500, TLS)", "slaves/s", "crowd.attach_per_s", "crowd.attach_per_s", True),
    Row(
        "the same, against bare Foolscap",
        "slaves/s",
        "crowd.attach_per_s",
        "bare.connections_per_s",
        True,
        "x0.5",
        "x0.77",
    ),
    Row("of 1000 attached", "slaves", "crowd.attached", "", True, ">1000"),
    Row(
        "memory of the master per attached slave",
        "KB",
        "crowd.master_kb_each",
        "crowd.master_kb_per_worker",
        False,
        "<130",
        "<100",
    ),
    Row(
        "CPU of the master, 1000 attached, idle",
        "%",
        "crowd.idle_cpu_percent",
        "crowd.master_idle_cpu_pct",
        False,
        "<2",
        "<0.5",
    ),
    Row("start of the master", "s", "idle.master_start_s", "idle.master_startup_s_www", False, "<1.2", "<0.8"),
    Row(
        "start of a slave until it is attached",
        "s",
        "idle.slave_start_s",
        "idle.worker_start_to_attached_s_www",
        False,
        "<0.8",
        "<0.5",
    ),
    Row("memory of an idle master", "MB", "idle.master_mb", "idle.master_idle_rss_mb_www", False, "<90", "<75"),
    Row(
        "memory of an idle slave and its keeper",
        "MB",
        "idle.slave_and_keeper_mb",
        "idle.worker_idle_rss_mb_www",
        False,
        "<75",
        "<62",
    ),
    Row(
        "500 changes at once, 100 schedulers of a branch each",
        "s",
        "changes.by_branch_s",
        "changes.by_branch_s",
        False,
        "<2",
    ),
    Row("CPU of the master for it", "s", "changes.by_branch_cpu_s", "changes.by_branch_cpu_s"),
    Row("the same, each scheduler takes all and waits", "s", "changes.waiting_s", "", False, "<2"),
    Row("CPU of the master for it", "s", "changes.waiting_cpu_s"),
    Row("the same, each scheduler builds each change: 50,000 build sets", "s", "changes.each_s"),
    Row("CPU of the master for it", "s", "changes.each_cpu_s"),
    Row("longest turn of its reactor meanwhile", "s", "changes.each_longest_turn_s"),
    Row("memory more than before, at the peak", "MiB", "changes.each_memory_mib"),
    Row(
        "CPU with 100 repositories polled a minute, 10,000 changes a day, 1,000 builders",
        "%",
        "pollers.cpu_percent",
        "",
        False,
        "<5",
    ),
    Row("builds/s with 1,000,000 builds stored, against none", "", "stored.ratio", "", True, ">0.8", ">0.95"),
    Row("installed packages: everything", "", "installed.all_packages", "", False, "<35"),
    Row("installed: everything, with the venv", "MB", "installed.all_mb", "", False, "<154"),
    Row(
        "installed packages: a slave",
        "",
        "installed.slave_packages",
        "new_user.worker_only_packages",
        False,
        "<21",
        "<20",
    ),
    Row(
        "installed: a slave, with the venv",
        "MB",
        "installed.slave_mb",
        "new_user.worker_only_venv_mb",
        False,
        "<101",
        "<60",
    ),
    Row("first green build from nothing", "s", "new_user.first_green_s", "new_user.first_green_s"),
    Row("the same without pip", "s", "new_user.first_green_without_pip_s", "new_user.first_green_minus_pip_s"),
    Row(
        "commands to type for it, with venv and pip",
        "",
        "new_user.commands",
        "new_user.commands_first_build",
        False,
        "<7",
    ),
    Row("one more slave (theirs: with TLS)", "s", "new_user.one_more_s", "new_user.tls_worker_green_s"),
    Row("commands to type for it", "", "new_user.one_more_commands", "new_user.commands_tls_worker", False, "<2"),
    Row("a decision, 10,000 requests of 1000 builders wait for locks", "ms", "deciding.many_builders_ms", must="<50"),
    Row("the same, of 10 builders whose locks are rendered", "ms", "deciding.rendered_ms", must="<50"),
    Row("the first decision of the 1000 builders after a start", "ms", "deciding.many_builders_first_ms", must="<50"),
    Row("the first one of the 10 builders after a start", "ms", "deciding.rendered_first_ms", must="<50"),
    Row(
        "the slowest page: half of the answers, 100,000 builds",
        "ms",
        "web.pages_p50_ms",
        must="<30",
    ),
    Row("the same: 99 % of the answers", "ms", "web.pages_p99_ms", must="<150"),
    Row("the slowest address of the API: half of the answers", "ms", "web.api_p50_ms", must="<30"),
    Row("the same: 99 % of the answers", "ms", "web.api_p99_ms", must="<150"),
    Row("the farm's page until its first paint", "KB", "web.first_paint_kb", must="<60"),
    Row("memory of the web process under load", "MB", "web.peak_mb", must="<120"),
    Row("the slowest page with 1,000,000 builds", "ms", "web_million.slowest_ms", must="<200"),
    Row("the same after 10,000 requests of all kinds, 50 people follow a log", "MB", "web_memory.after_10000_mb"),
    Row("the same at its peak", "MB", "web_memory.peak_mb", must="<120"),
    Row("the peak with 1,000 that read nothing, 21 kinds and all", "MB", "web_memory.unread_peak_mb", must="<120"),
    Row("more than after the first 1,000 of them", "MB", "web_memory.grown_mb"),
    Row("builds while nobody looks (the control)", "times", "web_builds.nobody_slowed"),
    Row("builds beside a program that computes at the lowest priority", "times", "web_builds.idler_slowed"),
    Row("builds while pages are asked for without a pause, against nobody", "times", "web_builds.slowed", must="<1.05"),
    Row("builds while 50 follow a log, 100 pages and answers a second", "times", "web_builds.day_slowed", must="<1.05"),
    Row("CPU of the master per build meanwhile", "times", "web_builds.day_master_cpu"),
    Row("builds while 50 follow a log, alone", "times", "web_builds.readers_slowed", must="<1.05"),
    Row("CPU of the master per build meanwhile", "times", "web_builds.readers_master_cpu"),
    *(
        Row(f"builds that compute, {looking}", "times", f"web_builds.computing_{name}_slowed", must=must)
        for name, looking, must in (
            ("nobody", "while nobody looks", ""),
            ("idler", "beside a program that computes at the lowest priority", ""),
            ("flood", "while pages are asked for without a pause", "<1.05"),
            ("day", "while 50 follow a log, 100 pages and answers a second", "<1.05"),
            ("readers", "while 50 follow a log, alone", "<1.05"),
        )
    ),
    *(
        Row(
            f"API with the same builds, half of the answers: {what}",
            "ms",
            f"web_peer.{name}_api_p50_ms",
            f"web_peer.{name}_api_p50_ms",
            must="x10",
        )
        for name, what in SHOWN.items()
    ),
    *(
        Row(
            f"page on the screen of Chromium: {what}",
            "ms",
            f"web_peer.{name}_screen_ms",
            f"web_peer.{name}_screen_ms",
        )
        for name, what in SHOWN.items()
    ),
    Row(
        "the same of the builders, the first visit of a browser",
        "ms",
        "web_peer.first_screen_ms",
        "web_peer.first_screen_ms",
        must="x10",
    ),
    Row("loads for it", "", "web_peer.first_screen_requests", "web_peer.first_screen_requests"),
    Row("bytes for it", "KB", "web_peer.first_screen_kb", "web_peer.first_screen_kb", must="<60,x10"),
    Row("the same of an empty page", "ms", "web_peer.empty_screen_ms"),
    Row("memory after it (theirs: the master)", "MB", "web_peer.memory_mb", "web_peer.memory_mb", must="<120"),
)


def figures(raw, path, *who):
    """
    Return, for each round, the median of "measure.figure" of *who*, or None.
    """
    measure, _, figure = path.partition(".")
    found = []
    for each in raw["rounds"]:
        values = [(each.get(measure, {}).get(one) or {}).get(figure) for one in who]
        values = [value for value in values if value is not None]
        found.append(median(values) if values else None)
    return found


def ratios(first, second):
    """
    Return the ratios of the rounds that have both figures.
    """
    return [one / other for one, other in zip(first, second, strict=True) if one is not None and other]


def middle(values):
    values = [value for value in values if value is not None]
    return median(values) if values else None


def lines(raw):
    """
    The table in Markdown.  A ratio is the median of the rounds' own ratios: what was measured hours apart does not
    compare.
    """
    yield "| work | unit | Buildbot or bare | ours | times better | A/A | must | goal | |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in ROWS:
        ours = figures(raw, row.ours, "ours", "again")
        mine = middle(ours)
        if mine is None:
            continue
        theirs = figures(raw, row.theirs, "theirs")
        times = middle(ratios(ours, theirs) if row.more else ratios(theirs, ours))
        if times is not None:
            theirs = [value for value, beside in zip(theirs, ours, strict=True) if beside is not None]
        control = middle(ratios(figures(raw, row.ours, "ours"), figures(raw, row.ours, "again")))
        cells = (
            row.what,
            row.unit,
            number(middle(theirs)),
            number(mine),
            NONE if times is None else f"**{number(times)}**",
            NONE if control is None else f"{control:.2f}",
            shown(row.must),
            shown(row.goal),
            verdict(row, mine, times),
        )
        yield f"| {' | '.join(cells)} |"


def verdict(row, mine, times):
    if row.goal and met(row.goal, mine, times):
        return "goal"
    if "x" in row.must and times is None:
        return "not compared"
    if row.must:
        return "met" if met(row.must, mine, times) else "**missed**"
    return ""


def met(asked, mine, times):
    for each in asked.split(","):
        limit = float(each[1:])
        if each[0] == "x" and (times is None or times < limit):
            return False
        if each[0] == "<" and mine > limit:
            return False
        if each[0] == ">" and mine < limit:
            return False
    return True


def shown(asked):
    signs = {"x": "≥ {} ×", "<": "≤ {}", ">": "≥ {}"}  # noqa: RUF001 - it is a multiplication
    return ", ".join(signs[each[0]].format(each[1:]) for each in asked.split(",") if each) or NONE


def number(value):
    if value is None:
        return NONE
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
