"""
What people look at, and its addresses in this farm and in Buildbot 4.3 with the same records.
"""

import json
import sqlite3
from contextlib import closing
from urllib.request import urlopen

from attrs import frozen
from screen import Content

BUILDER = "linux-x86_64"
SLAVE = "oak"
PATIENCE = 60
_STREAMS_OF_BUILD = 8
_LINES = 100


@frozen
class Thing:
    """
    Addresses below the two programs' own, and what their pages have when they are shown.  Buildbot has no *view* of a
    list of builds with a filter.
    """

    name: str
    api: str
    page: str
    content: Content
    their_api: str
    their_view: str | None
    their_content: Content | None


@frozen
class Records:
    """
    Numbers of builds of `BUILDER`: the newest one, which runs; one with a log; one of long ago that went well.  Then
    Buildbot's ids, and the number of lines of the log in each program.
    """

    newest: int
    with_log: int
    old: int
    builder: int
    builders: str
    slave: int
    log: int
    their_lines: int
    our_lines: int

    @classmethod
    def of(cls, records, theirs, log):
        """
        Look them up in the farm's database, and in the API of Buildbot at *theirs*.  *log*: the content of each log.
        """
        with closing(sqlite3.connect(records)) as database:

            def one(which, *values):
                query = f"SELECT number, id FROM builds WHERE builder = ? AND {which} ORDER BY number DESC LIMIT 1"
                return database.execute(query, (BUILDER, *values)).fetchone()

            newest, _ = one("1")
            with_log, id_with_log = one("result = 0")
            old, _ = one("result = 0 AND number < ?", newest // 2)
        ids = {each["name"]: each["builderid"] for each in _of_theirs(theirs, "builders")}
        (worker,) = _of_theirs(theirs, f"workers?name={SLAVE}")
        # The log of the second step.
        (log_there,) = _of_theirs(theirs, f"logs/{id_with_log * _STREAMS_OF_BUILD + 1}")
        return cls(
            newest,
            with_log,
            old,
            ids[BUILDER],
            "&".join(f"builderid__eq={each}" for each in sorted(ids.values())),
            worker["workerid"],
            log_there["logid"],
            log_there["num_lines"],
            log.count(b"\n"),
        )


def things(at):
    """
    The things of *at*.  Buildbot's addresses are those that its own page asks for, but for no more entries than one
    answer of this farm has: 50 (of the builders, the newest 200 builds, as its page does).
    """
    build, log = f"{BUILDER}/{at.old}", f"{BUILDER}/{at.with_log}"
    properties = "property=owners&property=workername&property=branch&property=revision"
    builds = Content('main a[href*="builders/"]', 50)
    return (
        Thing(
            "builders", "api/v1/builders", "", Content(f'a[href$="/{at.newest}"]', 10),
            f"api/v2/builds?limit=200&order=-started_at&{at.builders}&property=branch",
            "#/builders", Content(f'a[href$="/builds/{at.newest}"]', 10),
        ),
        Thing(
            "builder", f"api/v1/builds?builder={BUILDER}", f"builders/{BUILDER}", builds,
            f"api/v2/builds?builderid={at.builder}&{properties}&limit=50&order=-number",
            f"#/builders/{at.builder}", Content('a[href*="/builds/"]', 50),
        ),
        Thing(
            "build", f"api/v1/builds/{build}", f"builders/{build}", Content(text="3 files uploaded"),
            f"api/v2/builders/{at.builder}/builds/{at.old}/steps",
            f"#/builders/{at.builder}/builds/{at.old}", Content(text="3 files uploaded"),
        ),
        Thing(
            "log", f"api/v1/builds/{log}/logs/1/stdio/lines?first={at.our_lines - _LINES + 1}",
            f"builders/{log}/steps/1/logs/stdio", Content(text="FAILED (failures=2)"),
            f"api/v2/logs/{at.log}/contents?offset={at.their_lines - _LINES}&limit={_LINES}",
            f"#/builders/{at.builder}/builds/{at.with_log}/steps/1/logs/stdio", Content(text="downloading:   3 %"),
        ),
        Thing(
            "failures", "api/v1/builds?result=FAILURE", "builds?result=FAILURE", builds,
            f"api/v2/builds?results=2&limit=50&order=-buildid&{properties}", None, None,
        ),
        Thing(
            "queue", "api/v1/queue", "queue", Content("main tbody tr", 50),
            "api/v2/buildrequests?limit=50&order=-priority&order=-submitted_at&claimed=false",
            "#/pendingbuildrequests", Content('a[href*="buildrequests/"]', 50),
        ),
        Thing(
            "slaves", "api/v1/slaves", "slaves", Content('main a[href*="slaves/"]', 50),
            "api/v2/workers?order=name&limit=50", "#/workers", Content('a[href*="/builds/"]', 10),
        ),
        Thing(
            "slave", f"api/v1/builds?slave={SLAVE}", f"slaves/{SLAVE}", Content('main a[href*="builders/"]', 20),
            f"api/v2/builds?workerid__eq={at.slave}&{properties}&limit=50&order=-buildid",
            f"#/workers/{at.slave}", Content('a[href*="/builds/"]', 20),
        ),
        Thing(
            "changes", "api/v1/changes", "changes", Content(text="storage: write the index"),
            "api/v2/changes?limit=50&order=-changeid", "#/changes", Content(text="storage: write the index"),
        ),
    )  # fmt: skip


def _of_theirs(theirs, path):
    """
    The entries of an answer of Buildbot's API.
    """
    with urlopen(f"{theirs}api/v2/{path}", timeout=PATIENCE) as answer:
        document = json.load(answer)
    (entries,) = (each for name, each in document.items() if name != "meta")
    return entries
