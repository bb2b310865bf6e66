"""
What Alembic runs: the revisions, on the connection that `buildbot_lite.storage.upgrading` hands over.
"""

from alembic import context

from buildbot_lite.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
context.run_migrations()
