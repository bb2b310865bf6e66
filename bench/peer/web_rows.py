"""Fills the database of a stopped Buildbot 4.3 from the records of a buildbot_lite farm, so that both have the same builds.

Ids are the farm's.  Buildbot's names of tables and columns are those that its `upgrade-master` made.  Times are whole
seconds, which is what its columns take."""
import contextlib, hashlib, sqlite3, time

ROWS = {
    'sourcestamps (id, ss_hash, branch, revision, repository, project, codebase, created_at)':
        "SELECT id, sha(revision), branch, revision, repository, project, '', CAST(received AS INTEGER) FROM farm.changes",
    'changes (changeid, author, comments, branch, revision, revlink, when_timestamp, repository, codebase, project, sourcestampid)':
        "SELECT id, author, comments, branch, revision, revlink, CAST(happened AS INTEGER), repository, '', project, id FROM farm.changes",
    'change_files (changeid, filename)': 'SELECT changes.id, each.value FROM farm.changes, json_each(changes.files) AS each',
    'change_properties (changeid, property_name, property_value)':
        'SELECT changes.id, each.key, each.value FROM farm.changes, json_each(changes.properties) AS each',
    'buildsets (id, reason, submitted_at, complete, complete_at, results)':
        'SELECT id, reason, CAST(submitted AS INTEGER), finished IS NOT NULL, CAST(finished AS INTEGER), coalesce(result, -1) FROM farm.buildsets',
    'buildset_properties (buildsetid, property_name, property_value)':
        """SELECT id, 'scheduler', '["commits", "Scheduler"]' FROM farm.buildsets""",
    # A request without a source is in no list of Buildbot's.
    'buildset_sourcestamps (buildsetid, sourcestampid)':
        'SELECT buildsets.id, coalesce(change, (SELECT max(id) FROM farm.changes))'
        ' FROM farm.buildsets LEFT JOIN farm.buildset_changes ON buildset = buildsets.id',
    'buildrequests (id, buildsetid, builderid, priority, complete, results, submitted_at, complete_at, waited_for)':
        'SELECT requests.id, buildset, builders.id, priority, finished IS NOT NULL, coalesce(result, -1), CAST(submitted AS INTEGER),'
        ' CAST(finished AS INTEGER), 0 FROM farm.requests JOIN builders ON builders.name = requests.builder',
    'builds (id, number, builderid, buildrequestid, workerid, masterid, started_at, complete_at, locks_duration_s, state_string, results)':
        "SELECT builds.id, number, builders.id, request, workers.id, (SELECT max(id) FROM masters), CAST(started AS INTEGER),"
        " CAST(finished AS INTEGER), 0, CASE WHEN finished IS NULL THEN 'building' WHEN builds.reason = '' THEN 'build successful'"
        " ELSE builds.reason END, result FROM farm.builds JOIN builders ON builders.name = builds.builder"
        " JOIN workers ON workers.name = replace(builds.slave, '.', '_')",
    'build_properties (buildid, name, value, source)':
        'SELECT builds.id, each.key, json_quote(json_extract(each.value, \'$[0]\')), json_extract(each.value, \'$[1]\')'
        ' FROM farm.builds, json_each(builds.properties) AS each',
    'steps (id, number, name, buildid, started_at, locks_acquired_at, complete_at, state_string, results, urls_json, hidden)':
        "SELECT build * 8 + number, number, name, build, CAST(started AS INTEGER), CAST(started AS INTEGER), CAST(finished AS INTEGER),"
        " summary, result, '[]', hidden FROM farm.steps",
    'logs (id, name, slug, stepid, complete, num_lines, type)':
        "SELECT id, name, name, id, length IS NOT NULL, 0, 's' FROM farm.streams WHERE kind = 'log'",
}
RUNNING = 'SELECT id FROM farm.builds WHERE finished IS NULL'


def recorded(path, builders, workers):
    """Wait until an active master has recorded its configuration, which happens a little after its start."""
    active = 'JOIN masters ON masters.id = masterid WHERE active'
    deadline = time.monotonic() + 120
    while True:
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as db:
            found = [db.execute(f'SELECT count(*) FROM {each}').fetchone()[0] for each in (
                f'builder_masters {active}', f'configured_workers JOIN builder_masters ON builder_masters.id = buildermasterid {active}')]
        if found == [builders, workers]: return
        if time.monotonic() > deadline: raise SystemExit(f'Buildbot has {found} builders, workers of builders')
        time.sleep(0.1)


def fill(path, records):
    """Before the start."""
    with opened(path, records) as db:
        db.executescript('PRAGMA synchronous=OFF; PRAGMA foreign_keys=OFF; PRAGMA cache_size=-262144;')
        for into, query in ROWS.items():
            with db:
                db.execute(f'INSERT INTO {into} {query}')
        # What runs: a start would call these builds lost.
        with db:
            db.execute(f'UPDATE builds SET complete_at = started_at, results = 0 WHERE id IN ({RUNNING})')
        db.execute('ANALYZE')
        if db.execute('SELECT count(*) FROM builds').fetchone() != db.execute('SELECT count(*) FROM farm.builds').fetchone():
            raise SystemExit('not all builds have a builder and a worker')


def attend(path, records):
    """After the start: all workers are here, the newest builds run, their requests are claimed."""
    with opened(path, records) as db:
        (master,) = db.execute('SELECT id FROM masters WHERE active').fetchone()
        with db:
            db.execute('INSERT INTO connected_workers (masterid, workerid) SELECT ?, id FROM workers', (master,))
            db.execute(f'UPDATE builds SET complete_at = NULL, results = NULL WHERE id IN ({RUNNING})')
            db.execute('UPDATE builds SET masterid = ? WHERE masterid != ?', (master, master))
            db.execute('INSERT INTO buildrequest_claims (brid, masterid, claimed_at)'
                       f' SELECT buildrequestid, ?, started_at FROM builds WHERE id IN ({RUNNING})', (master,))


def newest_logs(path, records, builds):
    """The ids of the logs of the newest *builds*."""
    with opened(path, records) as db:
        return [id for id, in db.execute("SELECT id FROM farm.streams WHERE kind = 'log' AND build IN"
                                         ' (SELECT id FROM farm.builds ORDER BY id DESC LIMIT ?)', (builds,))]


@contextlib.contextmanager
def opened(path, records):
    """The database, with the farm's attached as `farm`."""
    db = sqlite3.connect(path, timeout=60)
    db.create_function('sha', 1, lambda text: hashlib.sha1(text.encode()).hexdigest(), deterministic=True)
    db.execute('ATTACH ? AS farm', (records,))
    try:
        yield db
    finally:
        db.close()
