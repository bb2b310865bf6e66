"""
What bare Foolscap and bare processes cost here, by the programs in limits/.
"""

import json
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

LIMITS = Path(__file__).resolve().parent / "limits"


def measure(work, quick):
    figures = {}
    with tempfile.TemporaryDirectory(dir=work) as directory:

        def run(script, *arguments):
            command = [sys.executable, str(LIMITS / script), *map(str, arguments)]
            return subprocess.run(command, cwd=directory, check=True, stdout=subprocess.PIPE, text=True).stdout

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, str(LIMITS / "foolscap_server.py"), str(port)]
        with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE) as server:
            try:
                server.stdout.readline()
                figures.update(json.loads(run("foolscap_client.py", "calls")))
                bulk = json.loads(run("foolscap_client.py", "bulk", 256 << 10, 50 if quick else 400, 4))
                figures["mib_per_s"] = bulk["mib_s"]
            finally:
                server.kill()
        # A server of its own: what it needs for each connection is seen in its peak.
        with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE) as server:
            try:
                server.stdout.readline()
                many = json.loads(run("foolscap_connections.py", 50 if quick else 300))
                figures["connections_per_s"] = many["n"] / many["connect_s"]
                figures["kb_per_connection"] = many["server_kb_per_conn"]
                figures["cpu_ms_per_connection"] = many["server_cpu"] * 1000 / many["n"]
            finally:
                server.kill()
        probe = [sys.executable, str(LIMITS.parent / "peer" / "fsync_probe.py"), directory]
        synced = json.loads(subprocess.run(probe, check=True, stdout=subprocess.PIPE).stdout)
        figures["fsync_ms"] = synced["ms_median"]
        spawned = re.search(r"popen true\+session\+pidfd ([0-9.]+)", run("spawn_subprocess.py"))
        figures["spawn_ms"] = float(spawned[1])
    return figures
