"""
The memory of the web process under ten thousand requests of all kinds, while 50 people follow a log that grows.

- `web_memory`: resident MiB at the start, after 1,000, 5,000 and 10,000 requests, and the peak; the answers by status,
  and the sentences of those that say "later".  Then, in the same process, the peak while 1,000 clients of each kind of
  `unread` ask and read nothing, one kind after the other and all kinds at once (`unread_peak_mb`: the highest of all).

The farm is the one of `web` (100,000 builds, 1,000 slaves), and two of its logs have 1 GiB, one of them compressed.

    bench/run.py --only web_memory --rounds 1 --no-control --alone
"""

import json
import sqlite3
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

import proc
from unread import COUNT, unread_peaks
from visitors import LINE, log_readers, visiting
from web import PAGES, READERS, SLAVES, shown

STAGES = (1000, 5000, 10_000)


def web_memory(work, quick):
    builds, mib, stages = (10_000, 64, (100, 300, 600)) if quick else (100_000, 1024, STAGES)
    with shown(work, builds, slaves=100 if quick else SLAVES) as (farm, _):
        paths = paths_of(farm, mib)
        figures = {"start_mb": proc.memory(farm.web.pid)[0]}
        later, answers, asked, seconds = {}, {}, 0, 0.0
        with log_readers(farm, READERS) as stop:
            for stage in stages:
                with visiting("mixed", farm.address, stage - asked, stage, json.dumps(paths)) as done:
                    said = done()
                asked, seconds = stage, seconds + said["seconds"]
                _add(answers, said["answers"])
                _add(later, said["later"])
                figures[f"after_{stage}_mb"] = proc.memory(farm.web.pid)[0]
            followed = stop()
        peak = proc.memory(farm.web.pid)[1]
        return {
            **figures,
            "peak_mb": peak,
            **unread_peaks(farm, {**paths, "cookie": session_of(farm)}, 100 if quick else COUNT),
            "grown_mb": figures[f"after_{stages[-1]}_mb"] - figures[f"after_{stages[0]}_mb"],
            "requests_per_s": asked / seconds,
            "answers": answers,
            "later": later,
            **{f"readers_{name}": value for name, value in followed.items()},
        }


def session_of(farm):
    """
    The cookie of a session on *farm*'s pages that permits everything.
    """
    furl = (farm.directory / "web" / "private" / "watch.furl").read_text().strip()
    where = urlsplit(farm.address)
    with closing(HTTPConnection(where.hostname, where.port, timeout=60)) as connection:
        connection.request("POST", "/enter", urlencode({"code": furl}), {"Sec-Fetch-Site": "same-origin"})
        return connection.getresponse().headers["Set-Cookie"].partition(";")[0]


def paths_of(farm, mib):
    """
    The names and addresses that `visitors.Mixed` asks for, in *farm*; two of the logs get *mib* MiB.
    """
    database = farm.directory / "records" / "farm.sqlite"
    with closing(sqlite3.connect(database, isolation_level=None)) as records:
        logs = records.execute(
            "SELECT b.builder, b.number, s.step, s.path, s.id FROM builds b JOIN streams s ON s.build = b.id"
            " WHERE b.finished IS NOT NULL AND s.kind = 'log' ORDER BY b.id DESC, s.step LIMIT 8"
        ).fetchall()
        for (*_, path, stream), packed in zip(logs[:2], (False, True), strict=True):
            make_large(farm.directory / "streams" / path, mib, packed=packed)
            records.execute("UPDATE streams SET length=? WHERE id=?", (mib << 20, stream))
        artifacts = records.execute(
            "SELECT b.builder, b.number, s.name FROM builds b JOIN streams s ON s.build = b.id"
            " WHERE s.kind = 'artifact' ORDER BY b.id DESC LIMIT 5"
        ).fetchall()
        builders = [name for (name,) in records.execute("SELECT DISTINCT builder FROM builds").fetchall()]
    newest = farm.seeding.builds // len(builders)
    return {
        "pages": [path.format(newest=newest - 1, middle=newest // 2) for path in PAGES.values()],
        "builds": farm.seeding.builds,
        "newest": newest,
        "builders": builders,
        "logs": [f"builders/{builder}/{number}/steps/{step}/logs/stdio" for builder, number, step, *_ in logs],
        "length": mib << 20,
        "artifacts": [f"builders/{builder}/{number}/artifacts/{name}" for builder, number, name in artifacts],
    }


def make_large(path, mib, *, packed):
    """
    Make the stream file *path* with *mib* MiB of lines, unless it is there.
    """
    from buildbot_lite.storage.compressed_streams import SUFFIX, compress

    made, beside = path.with_name(path.name + SUFFIX), path.with_name(f"{path.name}.{mib}")
    if beside.exists():
        return
    made.unlink(missing_ok=True)
    block = b"".join(LINE % (number, number % 97) for number in range(10_000))
    with path.open("wb") as file:
        while file.tell() < mib << 20:
            file.write(block[: (mib << 20) - file.tell()])
    if packed:
        compress(str(path))
    beside.touch()


def _add(whole, more):
    for name, count in more.items():
        whole[name] = whole.get(name, 0) + count


MEASURES = {"web_memory": web_memory}
