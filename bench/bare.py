"""
The limits: bare Foolscap and bare processes on this machine, measured with the programs in limits/.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

LIMITS = Path(__file__).resolve().parent / "limits"
BIN = Path(sys.executable).parent
CHUNK = 256 << 10
IN_FLIGHT = 4


class LimitPrograms:
    """
    A *directory* in which the programs of limits/ run.
    """

    def __init__(self, directory):
        self.directory = directory

    def run(self, script, *arguments):
        command = [sys.executable, str(LIMITS / script), *map(str, arguments)]
        return subprocess.run(command, cwd=self.directory, check=True, stdout=subprocess.PIPE, text=True).stdout

    @contextmanager
    def running(self, *command):
        """
        Run a server; the block begins when it is up.
        """
        with subprocess.Popen([*map(str, command)], cwd=self.directory, stdout=subprocess.PIPE) as server:
            try:
                server.stdout.readline()
                yield
            finally:
                server.kill()

    def foolscap(self):
        return self.running(sys.executable, LIMITS / "foolscap_server.py", free_port())


@contextmanager
def place(work):
    with tempfile.TemporaryDirectory(dir=work) as directory:
        yield LimitPrograms(directory)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def measure(work, quick):
    figures = {}
    with place(work) as here:
        with here.foolscap():
            figures.update(json.loads(here.run("foolscap_client.py", "calls")))
            bulk = json.loads(here.run("foolscap_client.py", "bulk", CHUNK, 50 if quick else 400, IN_FLIGHT))
            figures["mib_per_s"] = bulk["mib_s"]
        # A server of its own: its peak shows the memory of a connection.
        with here.foolscap():
            many = json.loads(here.run("foolscap_connections.py", 50 if quick else 300))
            figures["connections_per_s"] = many["n"] / many["connect_s"]
            figures["kb_per_connection"] = many["server_kb_per_conn"]
            figures["cpu_ms_per_connection"] = many["server_cpu"] * 1000 / many["n"]
        probe = [sys.executable, str(LIMITS.parent / "peer" / "fsync_probe.py"), here.directory]
        synced = json.loads(subprocess.run(probe, check=True, stdout=subprocess.PIPE).stdout)
        figures["fsync_ms"] = synced["ms_median"]
        spawned = re.search(r"popen true\+session\+pidfd ([0-9.]+)", here.run("spawn_subprocess.py"))
        figures["spawn_ms"] = float(spawned[1])
    return figures


def to_disk(work, quick):
    """
    Measure the transfer of as many bytes as a log of `ours.log` and a file of `ours.transfer` have; the receiver writes
    and syncs them.
    """
    with place(work) as here, here.foolscap():

        def mib_per_s(mib):
            return json.loads(here.run("foolscap_client.py", "disk", CHUNK, mib, IN_FLIGHT))["mib_s"]

        return {"log_mib_per_s": mib_per_s(10 if quick else 100), "file_mib_per_s": mib_per_s(20 if quick else 200)}


def hand_over(work, quick):
    """
    Measure the transfer of a file, from the start to the end of the receiving process.
    """
    with place(work) as here:
        made(here.directory, 10 if quick else 100)
        port = free_port()
        serving = [sys.executable, LIMITS / "hand_over.py", "serve", "file", CHUNK, IN_FLIGHT, port]
        with here.running(*serving):
            return timed([sys.executable, str(LIMITS / "hand_over.py"), "fetch"], here.directory)


def flappserver(work, quick):
    """
    Measure a stock ``flappserver`` with ``cat`` and a stock ``flappclient``, from its start to its end.
    """
    with place(work) as here:
        file = made(here.directory, 10 if quick else 100)
        port = free_port()
        location = [f"--port=tcp:{port}:interface=127.0.0.1", f"--location=tcp:127.0.0.1:{port}"]
        flapp = [str(BIN / "flappserver")]
        subprocess.run([*flapp, "create", *location, "flapp"], cwd=here.directory, check=True, capture_output=True)
        adding = [*flapp, "add", "flapp", "run-command", ".", "cat", str(file)]
        added = subprocess.run(adding, cwd=here.directory, check=True, capture_output=True, text=True)
        Path(here.directory, "furl").write_text(re.search(r"pb://\S+", added.stdout)[0] + "\n")
        tac = Path(here.directory, "flapp", "flappserver.tac")
        command = [str(BIN / "twistd"), "--nodaemon", "--pidfile=", "-y", tac.name]
        with subprocess.Popen(command, cwd=tac.parent, stdout=subprocess.DEVNULL) as server:
            try:
                listening(port)
                return timed([str(BIN / "flappclient"), "--furlfile", "furl", "run-command"], here.directory)
            finally:
                server.kill()


def made(directory, mib):
    """
    Create a file of so many MiB of lines.
    """
    path = Path(directory, "file")
    path.write_bytes((b"%078d\n" % 0 * ((mib << 20) // 79 + 1))[: mib << 20])
    return path


def listening(port):
    for _ in range(600):
        with socket.socket() as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("nobody listens")


def timed(command, directory, **more):
    """
    Return the duration of *command*, and the time from its first to its last byte of output, through a pipe.
    """
    began = time.monotonic()
    read, first = 0, None
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, bufsize=0, **more) as process:
        while data := process.stdout.read(1 << 20):
            first = first or time.monotonic()
            read += len(data)
        last = time.monotonic()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or first is None:
        raise RuntimeError(f"{command}: {process.returncode}")
    mib = read / (1 << 20)
    return {
        "mib": mib,
        "whole_s": time.monotonic() - began,
        "mib_per_s": mib / (last - first),
        "first_byte_s": first - began,
        "cpu_s": used.ru_utime + used.ru_stime,
    }
