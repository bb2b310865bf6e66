"""
The pages and the API under load, by ``wrk`` (Debian: apt install wrk), which asks every page anew each time.

- `web`: 100,000 builds, 1000 slaves and 50 live readers of a log that grows (`visitors`): pages and API, size of the
  first page, memory.
- `web_million`: the slowest of each page with 1,000,000 builds.

The records are made up (test/seeded), and a stand-in answers for the master.  Each address gets
`SECONDS` of `CONNECTIONS` connections; with ``--quick`` one second, and a tenth of the builds.

    bench/run.py --only web --only web_million --rounds 1 --no-control
"""

import gzip
import http.client
import json
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import proc
from lab import BENCH
from visitors import log_readers

# Before the standard library, which has a package test of its own.
sys.path.insert(0, str(BENCH.parent))

CONNECTIONS = 4
SECONDS = 4
READERS = 50
SLAVES = 1000
PATIENCE = 120
PAGES = {
    "farm": "",
    "builder": "builders/linux-x86_64",
    "build": "builders/linux-x86_64/{middle}",
    "log": "builders/linux-x86_64/{newest}/steps/1/logs/stdio",
    "builds": "builds",
    "queue": "queue",
    "slaves": "slaves",
    "slave": "slaves/oak",
    "changes": "changes",
    "waterfall": "waterfall",
    "api_builders": "api/v1/builders",
    "api_builds": "api/v1/builds?builder=linux-x86_64",
    "api_build": "api/v1/builds/linux-x86_64/{middle}",
    "api_slaves": "api/v1/slaves",
    "api_changes": "api/v1/changes",
}
"""The addresses by name; one that answers 404 is left out."""


def web(work, quick):
    with shown(work, 10_000 if quick else 100_000, slaves=100 if quick else SLAVES) as (farm, paths):
        with log_readers(farm, READERS) as stop:
            pages = {name: asked(farm.address + path, 1 if quick else SECONDS) for name, path in paths.items()}
            followed = stop()
        memory = proc.memory(farm.web.pid)
        return {
            **_whole(pages),
            **first_page(farm.address),
            "memory_mb": memory[0],
            "peak_mb": memory[1],
            "readers": READERS,
            **{f"readers_{name}": value for name, value in followed.items()},
        }


def web_million(work, quick):
    copies = 10 if quick else 100
    with shown(work, 10_000, copies=copies, slaves=100) as (farm, paths):
        # One connection: the time of one page, without the wait for others.
        pages = {name: asked(farm.address + path, 1 if quick else 2, connections=1) for name, path in paths.items()}
        return {
            "builds": 10_000 * copies,
            "slowest_ms": max(each["max_ms"] for each in pages.values()),
            "memory_mb": proc.memory(farm.web.pid)[1],
            **{f"{name}_max_ms": each["max_ms"] for name, each in pages.items()},
        }


@contextmanager
def shown(work, builds, *, copies=1, slaves):
    """
    A made-up farm and its web process; yields it, and the paths that it answers.  The records are kept for later runs
    of the same revision.
    """
    from buildbot_lite.storage.upgrading import REVISION
    from test.browser.shown_farm import ShownFarm
    from test.seeded.files import make_farm
    from test.seeded.seeding import Seeding

    seeding = Seeding(builds=builds, slaves=slaves, hostile=False, steps=5 if copies == 1 else 1)
    directory = Path(work) / f"web-{REVISION}-{builds}x{copies}-{slaves}"
    if not (directory / "made").exists():
        shutil.rmtree(directory, ignore_errors=True)
        make_farm(directory, seeding, logs=40, copies=copies)
        (directory / "made").touch()
    newest = builds * copies // len(seeding.builders)
    paths = {name: path.format(newest=newest - 1, middle=newest // 2) for name, path in PAGES.items()}
    with ShownFarm(seeding, directory=directory) as farm:
        yield farm, {name: path for name, path in paths.items() if _status(farm.address + path) == 200}


def asked(address, seconds, connections=CONNECTIONS):
    """
    The figures of *seconds* of requests, all of which must be answered.
    """
    figures = tried(address, seconds, connections)
    if figures["refused"] or figures["broken"] or not figures["requests"]:
        raise RuntimeError(f"{address}: {figures}")
    return figures


def tried(address, seconds, connections=CONNECTIONS):
    """
    The figures of *seconds* of requests, some of which may be refused or not be answered.
    """
    command = [
        "wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s", "--timeout=30s",
        "--header=Accept-Encoding: gzip", f"--script={BENCH / 'wrk.lua'}", address,
    ]  # fmt: skip
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(re.search(r"^FIGURES (.*)$", said, re.MULTILINE)[1])


def first_page(address):
    """
    The bytes of the first page as a browser gets it; with what the browser needs before it paints, and the number of
    requests for that (stylesheets, and scripts that it has to wait for); with all that it loads but for events.
    """
    page = _get(address)
    beside = re.findall(r'<((?:link|script)\b[^>]*?\b(?:href|src)="([^"]+)"[^>]*)>', gzip.decompress(page).decode())
    sizes = {tag: len(_get(address + path.removeprefix("./"))) for tag, path in beside if 'rel="alternate"' not in tag}
    blocking = [size for tag, size in sizes.items() if 'rel="stylesheet"' in tag or not _WAITS_FOR_NOTHING.search(tag)]
    return {
        "first_page_kb": len(page) / 1000,
        "first_paint_kb": (len(page) + sum(blocking)) / 1000,
        "before_paint": len(blocking),
        "all_kb": (len(page) + sum(sizes.values())) / 1000,
        "beside": len(sizes),
    }


# What a browser loads without making the first paint wait.
_WAITS_FOR_NOTHING = re.compile(r'\b(?:defer|async)\b|rel="icon"')


def _whole(pages):
    html = {name: each for name, each in pages.items() if not name.startswith("api_")}
    api = {name: each for name, each in pages.items() if name.startswith("api_")}
    figures = {f"{name}_{kind}": each[kind] for name, each in pages.items() for kind in ("p50_ms", "p99_ms")}
    for kind, those in (("pages", html), ("api", api)):
        for figure in ("p50_ms", "p99_ms"):
            figures[f"{kind}_{figure}"] = max((each[figure] for each in those.values()), default=None)
    return figures


def _get(address):
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=_GZIP)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return body


_GZIP = {"Accept-Encoding": "gzip"}


def _status(address):
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


MEASURES = {"web": web, "web_million": web_million}
