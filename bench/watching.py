"""
Measures of followed logs of this farm.  Each returns a dict of figures, like those of `ours`.
"""

import statistics
import subprocess
import time
from pathlib import Path

import bare
import proc
from lab import BIN, Lab
from ours import LINE, MIB, _last_step_s

FOLLOWERS = 50


def builders(mib, lines=f'yes "{LINE}"'):
    command = ["bash", "-c", f"{lines} | head -c {mib * MIB}"]
    return f'{{"b": [SH({command!r})], "w": [SH(["true"])]}}'


def log_to_client(work, quick):
    """
    Measure ``buildbot-lite log`` of a finished build.
    """
    mib = 10 if quick else 100
    with Lab(work, builders(mib)) as lab:
        lab.submit("b")
        time.sleep(1 if quick else 4)  # it is compressed meanwhile
        cpu, read = proc.cpu(lab.master_pid), proc.read(lab.master_pid)
        figures = bare.timed([str(BIN / "buildbot-lite"), "log", "b", "1", "0"], lab.master)
        return {
            **figures,
            "master_cpu_s": proc.cpu(lab.master_pid) - cpu,
            "read_mib": (proc.read(lab.master_pid) - read) / MIB,
        }


def log_to_flappclient(work, quick):
    """
    Measure a stock ``flappclient`` with the watch FURL of a finished build.
    """
    mib = 10 if quick else 100
    with Lab(work, builders(mib)) as lab:
        watch = Path(lab.directory, "watch.furl")
        submitted = [*flappclient(lab, "b")]
        said = subprocess.run(
            submitted, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ).stderr
        watch.write_text(next(word for word in said.split() if word.startswith("pb://")) + "\n")
        time.sleep(1 if quick else 4)
        cpu = proc.cpu(lab.master_pid)
        command = [str(BIN / "flappclient"), "--furlfile", str(watch), "run-command"]
        figures = bare.timed(command, lab.master, stderr=subprocess.DEVNULL)
        return {**figures, "master_cpu_s": proc.cpu(lab.master_pid) - cpu}


def watched_ingestion(work, quick):
    """
    Measure the duration of a step that writes a long log while it is watched by nobody, by a stock client, and by the
    command, in turn.
    """
    mib = 10 if quick else 100
    with Lab(work, builders(mib)) as lab:
        lab.submit("w")
        seconds = {"unwatched": [], "flappclient": [], "log": [], "again": []}
        for _ in range(1 if quick else 3):
            lab.submit("b")
            seconds["unwatched"].append(_last_step_s(lab))
            bare.timed(flappclient(lab, "b"), lab.master, stderr=subprocess.DEVNULL)
            seconds["flappclient"].append(_last_step_s(lab))
            lab.submit("b")
            seconds["again"].append(_last_step_s(lab))
            command = [str(BIN / "buildbot-lite"), "force", "b", "--wait"]
            bare.timed(command, lab.master, stderr=subprocess.DEVNULL)
            seconds["log"].append(_last_step_s(lab))

        def ratio(name):
            # The median of the ratios of each pair.
            return statistics.median(a / b for a, b in zip(seconds[name], seconds["unwatched"], strict=True))

        return {
            "unwatched_mib_per_s": mib / statistics.median(seconds["unwatched"]),
            "slowed_by_flappclient": ratio("flappclient"),
            "slowed_by_log": ratio("log"),
            "slowed_by_nothing": ratio("again"),
        }


def fifty_followers(work, quick):
    """
    Measure fifty clients, each with its own connection, of one log while it is written; the log compresses badly, so
    that the bytes read from it can be counted.
    """
    mib, rounds = (4, 1) if quick else (20, 3)
    settled = 5  # the log is compressed meanwhile, from a second after the build on, which reads it as well
    with Lab(work, builders(mib, "base64 /dev/urandom")) as lab:
        lab.submit("w")
        lab.submit("b")
        time.sleep(settled)
        before = proc.memory(lab.master_pid)[0]
        found = []
        for _ in range(rounds):
            start = proc.read(lab.master_pid)
            lab.submit("b")
            alone = _last_step_s(lab)
            time.sleep(settled)
            unwatched = proc.read(lab.master_pid) - start
            cpu, start = proc.cpu(lab.master_pid), proc.read(lab.master_pid)
            proc.forget_peak(lab.master_pid)
            answer = lab.client(lab.furl_file("b"), "followers", FOLLOWERS)
            assert answer["bytes"] == [mib * MIB] * FOLLOWERS, answer
            time.sleep(settled)
            found.append(
                {
                    "slowed": _last_step_s(lab) / alone,
                    "master_mb_more": proc.memory(lab.master_pid)[1] - before,
                    "master_cpu_s": proc.cpu(lab.master_pid) - cpu,
                    "all_have_it_s": answer["wall_s"],
                    "times_read": (proc.read(lab.master_pid) - start - unwatched) / (mib * MIB),
                }
            )
        return {name: statistics.median(each[name] for each in found) for name in found[0]}


def flappclient(lab, builder):
    return [str(BIN / "flappclient"), "--furlfile", str(lab.furl_file(builder)), "run-command"]


MEASURES = {
    "log_to_client": log_to_client,
    "log_to_flappclient": log_to_flappclient,
    "watched_ingestion": watched_ingestion,
    "fifty_followers": fifty_followers,
}
