"""
What a farm costs that starts builds by itself: pollers on many repositories, and many changes at once.
"""

import os
import subprocess
import time

import proc
from lab import Lab

BUILDERS = "{f'b{n}': [SH(['true'])] for n in range(%d)}"
REPOSITORIES, CHANGES_A_DAY, POLL_INTERVAL = 100, 10_000, 60
SCHEDULERS, CHANGES = 100, 500
# By branch: a scheduler takes five changes, a build for each.  Waiting: every scheduler takes every change.
# Each: every scheduler takes every change, a build for each.
BY_BRANCH = """
c["schedulers"] += [schedulers.SingleBranchScheduler(
    f"s{n}", change_filter=util.ChangeFilter(branch=f"b{n}"), treeStableTimer=None, builderNames=[f"b{n}"])
    for n in range(%d)]
"""
WAITING = """
c["schedulers"] += [schedulers.AnyBranchScheduler(f"s{n}", treeStableTimer=3600, builderNames=[f"b{n}"])
    for n in range(%d)]
"""
EACH = """
c["schedulers"] += [schedulers.AnyBranchScheduler(f"s{n}", treeStableTimer=None, builderNames=[f"b{n}"])
    for n in range(%d)]
"""
POLLERS = """
from buildbot_lite.plugins import changes
c["change_source"] = [changes.GitPoller(f"{directory}/r{n}.git", project=f"p{n}", pollInterval=%d, pollAtLaunch=True)
    for n in range(%d)]
c["schedulers"] += [schedulers.AnyBranchScheduler(
    f"s{n}", change_filter=util.ChangeFilter(project=f"p{n}"), treeStableTimer=None, builderNames=[f"b{n}"])
    for n in range(%d)]
"""


def changes(work, quick):
    """
    Measure the time and the master's processor time from many changes at once to the last scheduler's decision.
    """
    figures = {}
    for name, config, table, wanted in (
        ("by_branch", BY_BRANCH, "buildsets", CHANGES),
        ("waiting", WAITING, "pending_changes", CHANGES * SCHEDULERS),
        ("each", EACH, "buildsets", CHANGES * SCHEDULERS),
    ):
        with Lab(work, BUILDERS % SCHEDULERS, start_slaves=False, more=config % SCHEDULERS) as lab:
            lab.call("longest_turn")
            proc.forget_peak(lab.master_pid)
            memory = proc.memory(lab.master_pid)[0]
            cpu, began = proc.cpu(lab.master_pid), time.monotonic()
            lab.call("changes", n=CHANGES, branches=SCHEDULERS)
            figures[f"{name}_recorded_s"] = time.monotonic() - began
            while lab.call("count", table=table)["rows"] < wanted:
                if time.monotonic() - began > 300:
                    raise RuntimeError(f"{lab.call('count', table=table)} of {wanted} {table}")
                time.sleep(0.05)
            figures[f"{name}_s"] = time.monotonic() - began
            figures[f"{name}_cpu_s"] = proc.cpu(lab.master_pid) - cpu
            figures[f"{name}_longest_turn_s"] = lab.call("longest_turn")["seconds"]
            figures[f"{name}_memory_mib"] = proc.memory(lab.master_pid)[1] - memory
    return figures


def pollers(work, quick):
    """
    Measure the processor time of a master with pollers, and of its git, in percent of a core.

    Each repository is polled once a minute; the changes are pushed evenly.
    """
    seconds, builders = (60, 100) if quick else (180, 1000)
    directory = work / f"repositories-{os.getpid()}"
    repositories = [_repository(directory / f"r{number}.git") for number in range(REPOSITORIES)]
    more = f"directory = {str(directory)!r}\n" + POLLERS % (POLL_INTERVAL, REPOSITORIES, REPOSITORIES)
    with Lab(work, BUILDERS % builders, start_slaves=False, more=more) as lab:
        time.sleep(POLL_INTERVAL)
        cpu, began = proc.cpu_with_children(lab.master_pid), time.monotonic()
        own, pushed = proc.cpu(lab.master_pid), 0
        while (now := time.monotonic() - began) < seconds:
            if now >= pushed * 86_400 / CHANGES_A_DAY:
                _commit(repositories[pushed % REPOSITORIES], "refs/heads/master")
                pushed += 1
            time.sleep(0.2)
        spent = time.monotonic() - began
        return {
            "cpu_percent": 100 * (proc.cpu_with_children(lab.master_pid) - cpu) / spent,
            "master_cpu_percent": 100 * (proc.cpu(lab.master_pid) - own) / spent,
            "pushed": pushed,
            "buildsets": lab.call("count", table="buildsets")["rows"],
            "polls": spent * REPOSITORIES / POLL_INTERVAL,
        }


def _repository(path):
    subprocess.run(["git", "init", "-q", "--bare", "-b", "master", str(path)], check=True)
    _commit(path, "refs/heads/master")
    return path


def _commit(path, ref):
    tree = _git(path, "mktree")
    known = subprocess.run(["git", "rev-parse", "-q", "--verify", ref], cwd=path, stdout=subprocess.PIPE, check=False)
    parent = ["-p", known.stdout.decode().strip()] if known.returncode == 0 else []
    _git(path, "update-ref", ref, _git(path, "commit-tree", tree, *parent, "-m", f"{time.time()}"))


def _git(path, *words):
    who = {f"GIT_{role}_{what}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", *words]
    done = subprocess.run(
        command, cwd=path, env={**os.environ, **who}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True
    )
    return done.stdout.decode().strip()


MEASURES = {"changes": changes, "pollers": pollers}
