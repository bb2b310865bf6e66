"""
The tables of the farm's database.

Rights (``grants``), changes to source code (``changes``), what schedulers and pollers know (``pending_changes``,
``states``), submissions (``buildsets``, ``requests``, ``inputs``), builds (``builds``, ``steps``), the effects of
builds (``journal``), the files of their logs and artifacts (``streams``), the committed events in their order
(``feed``), messages that are still to be sent (``outbox``), and the jobs of packages (``package_jobs``).  The database
contains no bytes of logs and nothing that gives its reader a right: no FURL, no key, no text of a master.cfg.

Each commit writes all pages that it changed, and each index adds one.  So there are few indexes, those of unfinished
rows are partial, and tables whose rows are found by their primary key are stored by it (``sqlite_with_rowid=False``).
(PostgreSQL's options belong in its migration: naming one here loads its dialect and asyncio, 2 MB and a tenth of the
start of every master.)

Times are seconds since 1970 as floats; documents are JSON text; results are the numbers of `Result`.
"""

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

metadata = MetaData()

settings = Table(
    "settings",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("value", Text, nullable=False),
)

grants = Table(
    "grants",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False),  # of the slave or the submission, or of the object
    Column("verb", String(20), nullable=False),  # slave, submit, watch, control, admin
    Column("object", String(200), nullable=False),  # a slave, a scheduler, a buildset id
    Column("digest", String(64), nullable=False, unique=True),  # of the swissnum, which is not stored: `swissnums`
    Column("salt", String(64)),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("used", Float),
    Column("uses", Integer, nullable=False, server_default="0"),
    Column("uses_allowed", Integer),
    Column("revoked", Float),
    Column("pin", String(80)),  # Tub id of the first user
    Column("label", String(200)),  # of a FURL that an admin minted; none: it is in the farm's files
    Column("per_hour", Integer),  # submissions an hour; largest: bytes of each; most_waiting: requests
    Column("largest", Integer),
    Column("most_waiting", Integer),
    Column("port", Integer),  # the master's port in the FURL as last shown
    Column("most_priority", Integer),  # that a submitter may choose
)
Index("grants_by_object", grants.c.verb, grants.c.object)

generations = Table(
    "generations",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("applied", Float, nullable=False),  # the text is in a file: `generation_texts`
)

slaves = Table(
    "slaves",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("home", String(64)),
    Column("boot", String(200)),
    Column("incarnation", String(64)),
    Column("version", String(40)),
    Column("platform", Text, nullable=False, server_default="{}"),
    Column("attached", Float),  # most recently
    Column("lost", Float),
    Column("paused", Float),
)

changes = Table(
    "changes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),  # of the fields that identify a change
    Column("received", Float, nullable=False),
    Column("happened", Float, nullable=False),  # as its source says
    Column("author", Text, nullable=False),
    Column("committer", Text, nullable=False, server_default=""),
    Column("comments", Text, nullable=False, server_default=""),
    Column("files", Text, nullable=False, server_default="[]"),
    Column("revision", String(200)),
    Column("branch", String(1000)),
    Column("repository", String(1000), nullable=False, server_default=""),
    Column("project", String(200), nullable=False, server_default=""),
    Column("codebase", String(200), nullable=False, server_default=""),
    Column("category", String(200)),
    Column("revlink", Text, nullable=False, server_default=""),
    Column("properties", Text, nullable=False, server_default="{}"),  # {"name": [value, source]}
    Column("source", String(200), nullable=False),  # the change source, or the label of the grant, that reported it
    Column("untrusted", Integer, nullable=False, server_default="0"),  # 1: from a fork
    Column("move", String(200)),  # of a reference to the revision; null: not known
)
Index("changes_by_digest", changes.c.digest)

pending_changes = Table(
    "pending_changes",  # those that a scheduler's next builds will have
    metadata,
    Column("scheduler", String(80), primary_key=True),
    Column("change", Integer, ForeignKey("changes.id"), primary_key=True),
    Column("important", Integer, nullable=False),
    Column("added", Float, nullable=False),
    sqlite_with_rowid=False,
)

states = Table(
    "states",  # kept over restarts: the position of a poller, the time when a scheduler last fired
    metadata,
    Column("owner", String(200), primary_key=True),  # "scheduler:nightly", "source:https://…"
    Column("value", Text, nullable=False),
    Column("updated", Float, nullable=False),
)

inputs = Table(
    "inputs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False),  # as the submitter named it
    Column("kind", String(20), nullable=False),  # patch, tar, file
    Column("length", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("stored", Float, nullable=False),
)

buildsets = Table(
    "buildsets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scheduler", String(80), nullable=False),
    Column("reason", Text, nullable=False),
    Column("submitted", Float, nullable=False),
    Column("source", Text, nullable=False),  # {"branch":…, "revision":…, "repository":…, "project":…}
    Column("properties", Text, nullable=False),  # {"name": [value, source]}
    Column("input", Integer, ForeignKey("inputs.id")),
    Column("parent", String(120)),  # the journal entry of the Trigger that submitted it
    Column("finished", Float),
    Column("result", Integer),
    Column("by_grant", Integer),  # the grant of the FURL that submitted it, if any
    Column("parent_build", Integer),  # the build whose Trigger submitted it
    Column("for_grant", Integer),  # by_grant of the buildset at the root of its triggers
)
Index(
    "buildsets_by_parent",
    buildsets.c.parent,
    sqlite_where=buildsets.c.parent.is_not(None),
)
Index(
    "buildsets_by_parent_build",
    buildsets.c.parent_build,
    sqlite_where=buildsets.c.parent_build.is_not(None),
)
Index(
    "buildsets_by_grant",
    buildsets.c.by_grant,
    buildsets.c.submitted,
    sqlite_where=buildsets.c.by_grant.is_not(None),
)

Index("buildsets_by_input", buildsets.c.input, sqlite_where=buildsets.c.input.is_not(None))

buildset_changes = Table(
    "buildset_changes",
    metadata,
    Column("buildset", Integer, ForeignKey("buildsets.id"), primary_key=True),
    Column("change", Integer, ForeignKey("changes.id"), primary_key=True),
    sqlite_with_rowid=False,
)
Index("buildset_changes_by_change", buildset_changes.c.change)

requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("buildset", Integer, ForeignKey("buildsets.id"), nullable=False),
    Column("builder", String(80), nullable=False),
    Column("submitted", Float, nullable=False),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("retries", Integer, nullable=False, server_default="0"),
    Column("not_before", Float, nullable=False, server_default="0"),
    Column("finished", Float),
    Column("result", Integer),
    Column("reason", Text, nullable=False, server_default=""),  # of the result, for people
    Column("collapsed_into", Integer),  # the request whose build serves this one, too
)
Index(
    "requests_unfinished",
    requests.c.id,
    sqlite_where=requests.c.finished.is_(None),
)
Index("requests_by_buildset", requests.c.buildset)

builds = Table(
    "builds",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("request", Integer, ForeignKey("requests.id"), nullable=False),
    Column("builder", String(80), nullable=False),
    Column("number", Integer, nullable=False),
    Column("slave", String(80), nullable=False),
    Column("home", String(64), nullable=False, server_default=""),  # id of the slave's directory at that time
    Column("nonce", String(32), nullable=False),  # 128 random bits; command ids derive from it
    Column("generation", String(64), ForeignKey("generations.hash"), nullable=False),
    Column("started", Float, nullable=False),
    Column("finished", Float),
    Column("result", Integer),
    Column("reason", Text, nullable=False, server_default=""),
    Column("properties", Text, nullable=False, server_default="{}"),
    Column("locks", Text, nullable=False, server_default="[]"),  # those that the build holds from beginning to end
    Column("kept", Text),  # why retention must not remove it
    Column("slot", Integer),  # which of the builder's directories on the slave it has; NULL: builds share one
    UniqueConstraint("builder", "number"),
)
Index(
    "builds_unfinished",
    builds.c.id,
    sqlite_where=builds.c.finished.is_(None),
)
Index("builds_by_request", builds.c.request)
Index("builds_kept", builds.c.id, sqlite_where=builds.c.kept.is_not(None))

steps = Table(
    "steps",
    metadata,
    Column("build", Integer, ForeignKey("builds.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("started", Float, nullable=False),
    Column("finished", Float),
    Column("result", Integer),
    Column("summary", Text, nullable=False, server_default=""),
    Column("hidden", Integer, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)

journal = Table(
    "journal",
    metadata,
    Column("build", Integer, ForeignKey("builds.id"), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("intent", Text, nullable=False),
    Column("begun", Float, nullable=False),
    Column("outcome", Text),
    Column("ended", Float),
    sqlite_with_rowid=False,
)

streams = Table(
    "streams",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("build", Integer, ForeignKey("builds.id"), nullable=False),
    Column("step", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),  # the journal entry that wrote it
    Column("name", String(200), nullable=False),  # of the log or artifact that contains it
    Column("kind", String(20), nullable=False),  # log, artifact
    Column("path", String(400), nullable=False),  # below the farm's streams/ or artifacts/
    Column("length", Integer),  # known once sealed
    Column("sha256", String(64)),
    UniqueConstraint("build", "step", "ordinal", "name"),
)

remarks = Table(
    "remarks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("build", Integer, ForeignKey("builds.id"), nullable=False),
    Column("step", Integer, nullable=False),
    Column("log", String(200), nullable=False),
    Column("offset", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("text", Text, nullable=False),
)
Index("remarks_by_build", remarks.c.build, remarks.c.step)

feed = Table(
    "feed",
    metadata,
    Column("seq", Integer, primary_key=True),  # the newest row stays, so that no number is used twice
    Column("at", Float, nullable=False),
    Column("kind", String(40), nullable=False),  # e.g. build.started
    Column("request", Integer),
    Column("build", Integer),
    Column("body", Text, nullable=False),
)
Index("feed_by_request", feed.c.request, feed.c.seq)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("reporter", String(80), nullable=False),
    Column("key", String(200), nullable=False),  # identifies the message
    Column("subject", String(200), nullable=False, server_default=""),  # messages with the same value are sent in order
    Column("body", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("not_before", Float, nullable=False, server_default="0"),
    Column("failure", Text, nullable=False, server_default=""),  # of the last attempt, for people
    UniqueConstraint("reporter", "key"),
)
Index("outbox_by_subject", outbox.c.reporter, outbox.c.subject, outbox.c.id)

package_jobs = Table(
    "package_jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("target", String(80), nullable=False),
    Column("name", String(200), nullable=False),  # of the source package
    Column("version", String(200), nullable=False),  # with epoch and release, as people write it
    Column("submitter", String(200), nullable=False),  # the label of the grant, or the name of the target
    Column("by_grant", Integer),
    Column("scratch", Integer, nullable=False, server_default="0"),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("buildset", Integer, nullable=False),  # the first one; it has the input and the properties
    Column("state", String(20), nullable=False),
    Column("reason", Text, nullable=False, server_default=""),  # why it failed, was killed, or cannot go on
    Column("created", Float, nullable=False),
    Column("changed", Float, nullable=False),
    Column("finished", Float),
    Column("history", Text, nullable=False),  # [[state, time], …]
    Column("after_job", Integer),  # the job before it in its chain
    Column("origin", Text, nullable=False, server_default=""),  # JSON: the commit of which the source was made
    Column("built_version", String(200)),  # of the built packages; null until they are there
)
Index("package_jobs_unfinished", package_jobs.c.id, sqlite_where=package_jobs.c.finished.is_(None))

package_job_arches = Table(
    "package_job_arches",
    metadata,
    Column("job", Integer, ForeignKey("package_jobs.id"), primary_key=True),
    Column("architecture", String(80), primary_key=True),
    Column("place", Integer, nullable=False),  # the order in which they are shown
    Column("builder", String(80), nullable=False, server_default=""),
    Column("request", Integer),  # null: it is not built
    Column("build", Integer),  # the last build of the request
    Column("state", String(20), nullable=False),
    Column("reason", Text, nullable=False, server_default=""),  # why it is skipped, failed, or was killed
    Column("history", Text, nullable=False),
    sqlite_with_rowid=False,
)
Index(
    "package_job_arches_by_request",
    package_job_arches.c.request,
    sqlite_where=package_job_arches.c.request.is_not(None),
)
