"""
The measures of this farm.  Each returns a dict of figures; *quick*: a small run, to see whether the measure works.
"""

import json
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import proc
from lab import BENCH, Lab

MIB = 1 << 20
LINE = ("x" * 10 + " the quick brown fox jumps over the lazy dog 0123456789 abcdefghijklm " + "z" * 80)[:79]
TRUE = '{"b": [SH(["true"])]}'


def throughput(work, quick):
    count = 40 if quick else 200
    with Lab(work, TRUE, slaves=4) as lab:
        lab.submit("b", 4)
        time.sleep(1)
        master, slaves = proc.cpu(lab.master_pid), sum(map(proc.cpu, lab.slave_pids.values()))
        commits = lab.call("commits")["commits"]
        seconds = lab.submit("b", count)
        time.sleep(0.3)
        figures = {
            "builds_per_s": count / seconds,
            "master_cpu_ms_per_build": (proc.cpu(lab.master_pid) - master) * 1000 / count,
            "slaves_cpu_ms_per_build": (sum(map(proc.cpu, lab.slave_pids.values())) - slaves) * 1000 / count,
            "commits_per_build": (lab.call("commits")["commits"] - commits) / count,
        }
        burst = lab.client(lab.furl_file("b"), "burst", count)["wall_s"]
        return {**figures, "client_builds_per_s": count / burst}


def steps(work, quick):
    count = 50 if quick else 200
    with Lab(work, f'{{"b": [SH(["true"]) for n in range({count})], "w": [SH(["true"])]}}') as lab:
        lab.submit("w")
        time.sleep(1)
        before, bytes_ = proc.cpu(lab.master_pid), proc.written(lab.master_pid)
        seconds = lab.submit("b")
        return {
            "ms_per_step": seconds * 1000 / count,
            "master_cpu_ms_per_step": (proc.cpu(lab.master_pid) - before) * 1000 / count,
            "kb_per_step": (proc.written(lab.master_pid) - bytes_) / count / 1000,
        }


def latency(work, quick):
    count = 5 if quick else 20
    with Lab(work, TRUE) as lab:
        lab.submit("b")
        times = []
        for _ in range(count):
            time.sleep(0.25)
            times.append(lab.submit("b") * 1000)
        client = lab.client(lab.furl_file("b"), "latency", count)
        return {"ms": statistics.median(times), "ms_min": min(times), "client_ms": client["ms"]}


def written(work, quick):
    count = 5 if quick else 20
    with Lab(work, TRUE) as lab:
        lab.submit("b", 4)
        time.sleep(1)
        bytes_, commits = proc.written(lab.master_pid), lab.call("commits")["commits"]
        for _ in range(count):
            lab.submit("b")
            time.sleep(0.25)
        # A client's submission has a watch FURL, which uses memory, too.
        alone = {
            "kb_per_build": (proc.written(lab.master_pid) - bytes_) / count / 1000,
            "commits_per_build": (lab.call("commits")["commits"] - commits) / count,
        }
        bytes_, commits = proc.written(lab.master_pid), lab.call("commits")["commits"]
        lab.client(lab.furl_file("b"), "latency", count)
        return {
            **alone,
            "client_kb_per_build": (proc.written(lab.master_pid) - bytes_) / (count + 1) / 1000,
            "client_commits_per_build": (lab.call("commits")["commits"] - commits) / (count + 1),
        }


def log(work, quick):
    figures, _ = _log(work, 10 if quick else 100)
    return figures


def log_gib(work, quick):
    """
    A log of 1 GiB: memory, and the first byte of its tail when it has been compressed.
    """
    figures, tail = _log(work, 64 if quick else 1024, look_at_tail=True)
    return {**figures, **tail}


def _log(work, mib, *, look_at_tail=False):
    command = f'yes "{LINE}" | head -c {mib * MIB}'
    with Lab(work, f'{{"b": [SH({["bash", "-c", command]!r})], "w": [SH(["true"])]}}') as lab:
        lab.submit("w")
        time.sleep(1)
        pids = {"master": lab.master_pid, "slave": lab.slave_pids["w0"], "keeper": lab.keeper_pid()}
        before = {name: proc.memory(pid)[0] for name, pid in pids.items()}
        cpu = {name: proc.cpu(pid) for name, pid in pids.items()}
        for pid in pids.values():
            proc.forget_peak(pid)
        seconds = lab.submit("b")
        figures = {"mib_per_s": mib / seconds}
        for name, pid in pids.items():
            figures[f"{name}_mb_more"] = proc.memory(pid)[1] - before[name]
            figures[f"{name}_cpu_s"] = proc.cpu(pid) - cpu[name]
        figures["slave_and_keeper_mb_more"] = figures["slave_mb_more"] + figures["keeper_mb_more"]
        stored, path = _stream_of(lab)
        if stored != mib * MIB:
            raise RuntimeError(f"{stored} bytes were stored, not {mib * MIB}")
        tail = {}
        if look_at_tail:
            began = time.monotonic()
            while not os.path.exists(f"{path}.zst") or os.path.exists(path):
                if time.monotonic() - began > 300:
                    raise RuntimeError("the log was not compressed")
                time.sleep(0.1)
            figures["compressed_after_s"] = time.monotonic() - began
            for name, pid in pids.items():
                figures[f"{name}_mb_more_compressed"] = proc.memory(pid)[1] - before[name]
            tail = _tail(path, mib)
        return figures, tail


def _stream_of(lab):
    with closing(sqlite3.connect(f"file:{lab.master}/records/farm.sqlite?mode=ro", uri=True)) as database:
        (length, path) = database.execute(
            "select length, path from streams where sha256 is not null order by length desc"
        ).fetchone()
    return length, str(lab.master / "streams" / path)


def _tail(path, mib):
    from buildbot_lite.storage.compressed_streams import open_stream

    times = []
    for _ in range(5):
        began = time.monotonic()
        stream = open_stream(path)
        data = stream.read(stream.length - 65536, 65536)
        times.append((time.monotonic() - began) * 1000)
        assert len(data) == 65536
        stream.close()
    return {
        "tail_ms": statistics.median(times),
        "compressed_to_percent": os.path.getsize(f"{path}.zst") / mib / MIB * 100,
    }


def small_writes(work, quick):
    lines = 20_000 if quick else 200_000
    program = f"import os\nfor i in range({lines}): os.write(1, b'line %09d %s\\n' % (i, b'y' * 64))"
    with Lab(work, f'{{"b": [SH({["python3", "-c", program]!r})], "w": [SH(["true"])]}}') as lab:
        lab.submit("w")
        time.sleep(1)
        seconds = lab.submit("b")
        stored, _ = _stream_of(lab)
        assert stored == lines * 80, stored
        return {"lines_per_s": lines / seconds}


def transfer(work, quick):
    mib = 20 if quick else 200
    source = Path(work) / f"random-{mib}"
    if not source.exists():
        with source.open("wb") as out:
            for _ in range(mib):
                out.write(os.urandom(MIB))
    builders = (
        '{"w": [SH(["true"])], '
        f'"up": [SH(["cp", {str(source)!r}, "file"]), steps.FileUpload(slavesrc="file", masterdest="up.bin")], '
        f'"cp": [SH(["cp", {str(source)!r}, "file"])], '
        f'"down": [steps.FileDownload(mastersrc={str(source)!r}, slavedest="down.bin")]}}'
    )
    with Lab(work, builders) as lab:
        lab.submit("w")
        lab.submit("cp")
        figures = {}
        for name in ("up", "down"):
            before = proc.cpu(lab.master_pid)
            lab.submit(name)
            figures[f"{name}_mib_per_s"] = mib / _last_step_s(lab)
            figures[f"{name}_master_cpu_s"] = proc.cpu(lab.master_pid) - before
        return figures


def _last_step_s(lab):
    """
    Return the recorded duration of the last step of the last build, in seconds.
    """
    with closing(sqlite3.connect(f"file:{lab.master}/records/farm.sqlite?mode=ro", uri=True)) as database:
        (seconds,) = database.execute(
            "select finished - started from steps where finished is not null order by build desc, number desc"
        ).fetchone()
    return seconds


def crowd(work, quick):
    """
    Measure a thousand slaves at once, each with its own Tub, in one process (crowd.py).
    """
    count = 100 if quick else 1000
    with Lab(work, TRUE, slaves=[f"w{n}" for n in range(count)], start_slaves=False) as lab:
        time.sleep(2)
        before, cpu = proc.memory(lab.master_pid)[0], proc.cpu(lab.master_pid)
        command = [sys.executable, str(BENCH / "crowd.py"), str(lab.master / "buildslave.furls")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                process.stdout.readline()
                process.stdin.write(b"go\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())
                figures = {
                    "slaves": count,
                    "attached": lab.call("slaves")["connected"],
                    "attach_s": answer["attach_s"],
                    "attach_per_s": count / answer["attach_s"],
                    "master_cpu_ms_each": (proc.cpu(lab.master_pid) - cpu) * 1000 / count,
                }
                time.sleep(3)
                figures["master_kb_each"] = (proc.memory(lab.master_pid)[0] - before) * 1024 / count
                lab.call("collect")
                cpu, began = proc.cpu(lab.master_pid), time.monotonic()
                time.sleep(5 if quick else 30)
                figures["idle_cpu_percent"] = 100 * (proc.cpu(lab.master_pid) - cpu) / (time.monotonic() - began)
                return figures
            finally:
                process.kill()


def idle(work, quick):
    with Lab(work, TRUE) as lab:
        time.sleep(3)
        slave, keeper = proc.memory(lab.slave_pids["w0"])[0], proc.memory(lab.keeper_pid())[0]
        cpu, began = proc.cpu(lab.master_pid), time.monotonic()
        time.sleep(2 if quick else 5)
        return {
            "master_start_s": lab.master_start_s,
            "slave_start_s": lab.slaves_start_s,
            "master_mb": proc.memory(lab.master_pid)[0],
            "slave_mb": slave,
            "keeper_mb": keeper,
            "slave_and_keeper_mb": slave + keeper,
            "idle_cpu_percent": 100 * (proc.cpu(lab.master_pid) - cpu) / (time.monotonic() - began),
        }


def stored(work, quick):
    """
    Measure the builds per second with a million finished builds, and with none.
    """
    import stored as storing

    count, builds = (40, 20_000) if quick else (200, 1_000_000)
    database = Path(work) / f"stored-{builds}.sqlite"
    if not database.exists():
        storing.make(database, builds)
    figures = {"database_mb": database.stat().st_size / MIB}
    for name, given in (("empty", None), ("full", database), ("empty_again", None), ("full_again", database)):
        with Lab(work, TRUE, slaves=4, database=given) as lab:
            figures[f"{name}_start_s"] = lab.master_start_s
            lab.submit("b", 20)
            time.sleep(1)
            figures[f"{name}_builds_per_s"] = count / lab.submit("b", count)
    with suppress(FileNotFoundError):
        shutil.rmtree(Path(work) / "runs")
    full = figures["full_builds_per_s"] + figures["full_again_builds_per_s"]
    empty = figures["empty_builds_per_s"] + figures["empty_again_builds_per_s"]
    return {**figures, "ratio": full / empty}


def installed(work, quick):
    """
    Measure the packages that pip installs, in a fresh venv.
    """
    figures = {}
    for name, what in (("all", f"{BENCH.parent}[master]"), ("slave", str(BENCH.parent))):
        with tempfile.TemporaryDirectory(dir=work) as directory:
            subprocess.run([sys.executable, "-m", "venv", directory], check=True)
            pip = f"{directory}/bin/pip"
            subprocess.run([pip, "install", "--quiet", what], check=True, stderr=subprocess.DEVNULL)
            listed = subprocess.run([pip, "list", "--format=freeze"], check=True, stdout=subprocess.PIPE, text=True)
            figures[f"{name}_packages"] = len(re.findall(r"^(?!pip=|setuptools=)\S", listed.stdout, re.MULTILINE))
            size = subprocess.run(["du", "-sm", directory], check=True, stdout=subprocess.PIPE, text=True)
            figures[f"{name}_mb"] = int(size.stdout.split()[0])
    return figures


def new_user(work, quick):
    """
    From nothing to the first green build, and one more slave.  Each command that a person would type goes through
    *user*; files that they would edit through *edit*.
    """
    directory = Path(tempfile.mkdtemp(dir=work))
    commands = []
    began = time.monotonic()

    def user(command):
        commands.append(command)
        done = subprocess.run(
            ["bash", "-c", command], cwd=directory, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if done.returncode:
            raise RuntimeError(f"{command}: {done.returncode}\n{done.stdout.decode()[-2000:]}")
        return done.stdout

    env = 'PATH="$PWD/venv/bin:$PATH"'
    try:
        user("python3 -m venv venv")
        user(f"venv/bin/pip install '{BENCH.parent}[master]'")
        pip = time.monotonic() - began
        user("venv/bin/buildbot-lite create-master farm")
        user(f"{env}; cd farm && twistd -y master.tac")
        _wait(directory / "farm" / "furls" / "bot1.furl")
        user("venv/bin/buildbot-lite create-slave bot1 - < farm/furls/bot1.furl")
        user(f"{env}; cd bot1 && twistd -y slave.tac")
        user("venv/bin/flappclient --furlfile farm/furls/hello.furl run-command")
        first, typed = time.monotonic() - began, len(commands)
        began = time.monotonic()
        user("venv/bin/buildbot-lite create-slave bot2 - < farm/furls/bot2.furl")
        user(f"{env}; cd bot2 && twistd -y slave.tac")
        pattern = re.compile(r"^bot2\s+here\b", re.MULTILINE)
        while not pattern.search(_slaves(directory)):
            if time.monotonic() - began > 30:
                raise RuntimeError(f"bot2 does not attach:\n{_slaves(directory)}")
        return {
            "pip_s": pip,
            "first_green_s": first,
            "first_green_without_pip_s": first - pip,
            "commands": typed,
            "edits": 0,
            "strings": 1,
            "one_more_s": time.monotonic() - began,
            "one_more_commands": len(commands) - typed,
            "typed": commands,
        }
    finally:
        for path in directory.glob("*/twistd.pid"):
            with suppress(ProcessLookupError, ValueError):
                os.kill(int(path.read_text()), 9)
        for pid in proc.processes_with("buildbot_lite.keeper", str(directory)):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        shutil.rmtree(directory, ignore_errors=True)


def _slaves(directory):
    command = [str(directory / "venv/bin/buildbot-lite"), "slaves", str(directory / "farm")]
    return subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True).stdout


def _wait(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"there is no {path}")
        time.sleep(0.02)


MEASURES = {
    "throughput": throughput,
    "steps": steps,
    "latency": latency,
    "written": written,
    "log": log,
    "small_writes": small_writes,
    "transfer": transfer,
    "crowd": crowd,
    "idle": idle,
    "log_gib": log_gib,
    "stored": stored,
    "installed": installed,
    "new_user": new_user,
}
