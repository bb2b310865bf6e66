"""
Alembic's environment: runs the revisions on the connection from `buildbot_lite.storage.upgrading`.
"""

from alembic import context

from buildbot_lite.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # in SQLite altering a table means copying it
)
context.run_migrations()
