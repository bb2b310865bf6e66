#!/usr/bin/env python3
"""Pages and /api/v2 of a master with many builds, under wrk.  b11_web.py RUNS BUILDS WORKERS WRK.LUA"""
import os, re, sqlite3, sys, time; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gzip, http.client
from lab import *

BUILDERS = 10
STEPS = ('git', 'configure', 'compile', 'test', 'package')
SECONDS = 4
ADDRESSES = {
    'page': '/',
    'api_builders': '/api/v2/builders',
    # What its own pages ask for: the newest builds of a builder, and the newest of all with their properties.
    'api_builds': '/api/v2/builders/1/builds?limit=50&order=-number',
    'api_build': '/api/v2/builders/1/builds/100/steps',
    'api_slaves': '/api/v2/workers',
    'api_changes': '/api/v2/changes?limit=50&order=-changeid',
}


def fill(path, builds):
    db = sqlite3.connect(path, timeout=60)
    columns = {t: [r[1] for r in db.execute(f'PRAGMA table_info({t})')] for t in ('builds', 'steps', 'logs', 'changes')}
    builders = [r[0] for r in db.execute('SELECT id FROM builders ORDER BY id')][:BUILDERS]
    while not db.execute('SELECT id FROM workers').fetchone() or not builders:  # configured a little after the start
        time.sleep(0.1)
        builders = [r[0] for r in db.execute('SELECT id FROM builders ORDER BY id')][:BUILDERS]
    master, worker = (db.execute(f'SELECT id FROM {t}').fetchone()[0] for t in ('masters', 'workers'))
    now = int(time.time())
    stamp = db.execute("INSERT INTO sourcestamps (ss_hash, branch, revision, repository, project, codebase, created_at)"
                       " VALUES ('x', 'main', 'r', 'g', 'farm', '', ?)", (now,)).lastrowid

    def put(table, rows):
        names = list(rows[0])
        db.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(':' + n for n in names)})", rows)

    for first in range(1, builds + 1, 10_000):
        many = range(first, min(first + 10_000, builds + 1))
        at = {b: now - (builds - b) * 180 for b in many}
        put('buildsets', [dict(id=b, reason='new commits', submitted_at=at[b], complete=1, complete_at=at[b] + 90, results=0) for b in many])
        put('buildset_sourcestamps', [dict(buildsetid=b, sourcestampid=stamp) for b in many])
        put('buildrequests', [dict(id=b, buildsetid=b, builderid=builders[b % len(builders)], priority=0, complete=1, results=0,
                                   submitted_at=at[b], complete_at=at[b] + 90, waited_for=0) for b in many])
        put('builds', [dict(id=b, number=(b - 1) // len(builders) + 1, builderid=builders[b % len(builders)], buildrequestid=b,
                            workerid=worker, masterid=master, started_at=at[b], complete_at=at[b] + 90, state_string='build successful',
                            results=0, **({'locks_duration_s': 0} if 'locks_duration_s' in columns['builds'] else {})) for b in many])
        put('build_properties', [dict(buildid=b, name='branch', value='"main"', source='Build') for b in many])
        steps = [(b, n, name) for b in many for n, name in enumerate(STEPS)]
        put('steps', [dict(id=b * 8 + n, number=n, name=name, buildid=b, started_at=at[b], complete_at=at[b] + 10, state_string='done',
                           results=0, urls_json='[]', hidden=0,
                           **({'locks_acquired_at': at[b]} if 'locks_acquired_at' in columns['steps'] else {})) for b, n, name in steps])
        put('logs', [dict(id=b * 8 + n, name='stdio', slug='stdio', stepid=b * 8 + n, complete=1, num_lines=0, type='s') for b, n, name in steps])
        db.commit()
    put('changes', [dict(changeid=c, author='ada', comments='a change', branch='main', revision=str(c), revlink='', when_timestamp=now,
                         repository='g', codebase='', project='farm', sourcestampid=stamp) for c in range(1, builds // BUILDERS + 1)])
    db.commit(); db.close()


def get(port, path):
    c = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    c.request('GET', path, headers={'Accept-Encoding': 'gzip'}); a = c.getresponse(); body = a.read(); c.close()
    return a.status, body


def asked(port, path, script):
    said = subprocess.run(['wrk', '--threads=1', '--connections=4', f'--duration={SECONDS}s', '--timeout=30s', '--header=Accept-Encoding: gzip',
                           f'--script={script}', f'http://127.0.0.1:{port}{path}'], check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(re.search(r'^FIGURES (.*)$', said, re.M)[1])


runs = []
builds, workers, script = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
for i in range(nruns()):
    names = [f'b{n}' for n in range(BUILDERS)]
    with Lab('web', '\n'.join(f"B({n!r}, [SH(T)])" for n in names), names, workers=workers, start_workers=False) as L:
        fill(L.m + '/state.sqlite', builds)
        row = {}
        for name, path in ADDRESSES.items():
            status, _ = get(L.wwwport, path)
            if status != 200:
                raise SystemExit(f'{path}: {status}')
            figures = asked(L.wwwport, path, script)
            row.update({f'{name}_{k}': figures[k] for k in ('p50_ms', 'p99_ms')})
        _, page = get(L.wwwport, '/')
        text = gzip.decompress(page).decode() if page[:2] == b'\x1f\x8b' else page.decode()
        beside = re.findall(r'<(?:link|script)\b[^>]*?\b(?:href|src)="([^"]+)"', text)
        sizes = [len(get(L.wwwport, '/' + each.lstrip('./'))[1]) for each in beside]
        row.update(first_page_kb=len(page) / 1000, first_paint_kb=(len(page) + sum(sizes)) / 1000, beside=len(beside),
                   memory_mb=mem(L.mpid)['VmRSS'] / 1024, peak_mb=mem(L.mpid)['VmHWM'] / 1024,
                   pages_p50_ms=row['page_p50_ms'], pages_p99_ms=row['page_p99_ms'],
                   **{f'api_{k}': max(v for n, v in row.items() if n.startswith('api_') and n.endswith(k)) for k in ('p50_ms', 'p99_ms')})
        runs.append(row)
emit('b11_web', runs)
