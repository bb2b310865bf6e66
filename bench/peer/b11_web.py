#!/usr/bin/env python3
"""A Buildbot with the builds of a buildbot_lite farm, for as long as standard input is open.

b11_web.py RECORDS LOG BUILDS TAG...   RECORDS: the farm's database; LOG: a file that every log of the newest BUILDS has
as its content; TAG: of the builders in turn.  When it can be asked, it prints a line: {"port": P, "pid": P, ...}.
Buildbot's database is made once, beside RECORDS, for each version of web_rows.py."""
import hashlib, os, sqlite3, sys, time; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import *
import web_rows

records, log, newest, *tags = sys.argv[1:]
records, log = os.path.abspath(records), os.path.abspath(log)
with sqlite3.connect(records) as farm:
    # A worker's name has no dot.
    workers = [name.replace('.', '_') for name, in farm.execute('SELECT name FROM slaves ORDER BY rowid')]
    builders = [name for name, in farm.execute('SELECT builder FROM builds GROUP BY builder ORDER BY min(id)')]
farm.close()
# Each builder has the workers that the records name: every tenth, if there are ten builders.
each = '\n'.join(f"c['builders'].append(util.BuilderConfig(name={name!r}, workernames=WORKERS[{at}::{len(builders)}], tags=[{tags[at % len(tags)]!r}],"
                 ' factory=util.BuildFactory([SH(T)])))' for at, name in enumerate(builders))
kept = f"{records}.buildbot-{hashlib.sha1(open(web_rows.__file__, 'rb').read()).hexdigest()[:8]}"


def started(database=None):
    L = Lab('web', each, builders, workers=workers, start_workers=False, database=database)
    web_rows.recorded(L.m + '/state.sqlite', len(builders), len(workers))
    return L


if not os.path.exists(kept):
    with started() as L:
        L.end_master()
        web_rows.fill(L.m + '/state.sqlite', records)
        L.start_master()
        for id in web_rows.newest_logs(L.m + '/state.sqlite', records, int(newest)):
            L.call('log', logid=id, path=log)
        L.end_master()
        shutil.copy(L.m + '/state.sqlite', kept + '.new')
        os.rename(kept + '.new', kept)
        os.sync()  # otherwise it is written while the pages are measured
with started(kept) as L:
    web_rows.attend(L.m + '/state.sqlite', records)
    print(json.dumps(dict(port=L.wwwport, pid=L.mpid, database_mb=sum(dbsize(L.m).values()) / 1e6)), flush=True)
    sys.stdin.read()
