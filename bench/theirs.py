"""
The same measures of Buildbot 4.3, by the harness in peer/: each script in a process of its own, with one run.
"""

import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

PEER = Path(__file__).resolve().parent / "peer"
PATIENCE = 120


class Peer:
    """
    A Buildbot in *work*/peer, installed when it is first needed.
    """

    def __init__(self, work):
        self.directory = Path(work) / "peer"

    def set_up(self):
        if not (self.directory / "venv/bin/buildbot").exists():
            print("installing Buildbot 4.3", flush=True)
        # It also copies the scripts, which may have changed.
        subprocess.run(["sh", str(PEER / "set-up.sh"), str(self.directory)], check=True, stdout=subprocess.DEVNULL)

    def run(self, script, *arguments, **env):
        """
        Return the figures of one run of *script*.
        """
        command = [str(self.directory / "venv/bin/python"), str(self.directory / "bench" / script)]
        done = subprocess.run(
            [*command, *map(str, arguments)], env={**os.environ, **env}, check=False, capture_output=True
        )
        if done.returncode:
            raise RuntimeError(f"{script}:\n{done.stderr.decode()[-3000:]}")
        document = json.loads(done.stdout.splitlines()[-1])
        return document["runs"][0] if "runs" in document else document

    @contextmanager
    def running(self, script, *arguments):
        """
        Run *script* until the end of the block; yields the document that it prints when it is ready.
        """
        command = [str(self.directory / "venv/bin/python"), str(self.directory / "bench" / script)]
        with subprocess.Popen(
            [*command, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                line = process.stdout.readline()
                if not line:
                    raise RuntimeError(f"{script} did not start")
                yield json.loads(line)
            finally:
                process.stdin.close()
                process.wait(PATIENCE)


def throughput(peer):
    return peer.run("b1_throughput.py", 1)


def steps(peer):
    return peer.run("b2_steps.py", 1)


def latency(peer):
    return peer.run("b3_latency.py", 1)


def written(peer):
    counted = peer.run("b2x_counters.py")["per_1step_build"]
    return {**counted, "kb_per_build": counted["write_bytes"] / 1000}


def log(peer):
    row = peer.run("b4_logstream.py", 1, "tls")
    return {
        **row,
        "master_mb_more": row["master_peak_rss_mb_at_finish"] - row["master_idle_rss_mb"],
        "worker_mb_more": row["worker_peak_rss_mb"] - row["worker_idle_rss_mb"],
    }


def small_writes(peer):
    return peer.run("b5_smallwrites.py", 1, "tls")


def transfer(peer):
    row = peer.run("b6_transfer.py", 1, "tls")
    for way in ("up", "down"):
        row[f"{way}_best_MiBps"] = max(row[f"{way}_{size}_MiBps"] or 0 for size in ("default", "64k", "512k"))
    return row


def crowd(peer):
    return peer.run("b7_connections.py", 1, "tls", 500, 30, 4096)


def idle(peer):
    return peer.run("b0_idle.py", 1)


def new_user(peer):
    return peer.run("b9_newuser.py", 1)


def changes(peer):
    return peer.run("b10_changes.py", 1)


MEASURES = {
    "changes": changes,
    "throughput": throughput,
    "steps": steps,
    "latency": latency,
    "written": written,
    "log": log,
    "small_writes": small_writes,
    "transfer": transfer,
    "crowd": crowd,
    "idle": idle,
    "new_user": new_user,
}
