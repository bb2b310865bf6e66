"""
Bringing a database to this version's schema, however old it is, with the revisions in ``migrations``.

A database from a newer version carries the name of a revision that is unknown here.  It is left alone.
"""

from importlib import resources

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from ..errors import NewerDatabaseError


def upgrade(connection: Connection) -> None:
    """
    Make *connection*'s database this version's: all of it in one transaction, or nothing.
    """
    config = configuration()
    with connection.begin():
        scripts = ScriptDirectory.from_config(config)
        current = MigrationContext.configure(connection).get_current_revision()
        if current == scripts.get_current_head():
            return
        if not _known(scripts, current):
            raise NewerDatabaseError
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def configuration() -> Config:
    """
    What Alembic needs to know; it is in no file.
    """
    config = Config()
    config.set_main_option("script_location", str(resources.files(__package__) / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _known(scripts: ScriptDirectory, revision: str | None) -> bool:
    if revision is None:
        return True
    try:
        return scripts.get_revision(revision) is not None
    except CommandError:
        return False
