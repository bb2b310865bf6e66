"""
Move secrets from the database to ``private/``: swissnums, and texts of configurations.

The files are written before the transaction commits.  Afterwards the whole file is rewritten (`upgrading`), because
deleted data stays in an SQLite file until then.
"""

import json

import sqlalchemy as sa
from alembic import context, op

from buildbot_lite.errors import StorageError
from buildbot_lite.storage import swissnums
from buildbot_lite.storage.generation_texts import GenerationTexts

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_LET_GO = "{}"


def upgrade() -> None:
    """
    From the records to files, and digests instead.
    """
    connection = op.get_bind()
    grants = connection.execute(sa.text("SELECT id, verb, swissnum, revoked FROM grants")).all()
    generations = connection.execute(sa.text("SELECT hash, files FROM generations")).all()
    # Watch strings are shown when they are made, and never again.
    kept = [swissnum for _, verb, swissnum, revoked in grants if revoked is None and verb != "watch"]
    texts = {hash_: json.loads(files) for hash_, files in generations if files != _LET_GO}
    if kept or texts:
        _store(context.config.attributes.get("private"), kept, texts)

    with op.batch_alter_table("generations", recreate="always") as table:
        table.drop_column("files")
    op.add_column("grants", sa.Column("digest", sa.String(64)))
    if grants:
        connection.execute(
            sa.text("UPDATE grants SET digest = :digest WHERE id = :id"),
            [{"id": id_, "digest": swissnums.digest_of(swissnum)} for id_, _, swissnum, _ in grants],
        )
    _make_grants_anew()


def _store(private: str | None, kept: list[str], texts: dict[str, dict[str, str]]) -> None:
    if private is None:
        raise StorageError("This database is of 0.1.0, and no directory was given for the strings in it.")
    swissnums.keep(private, kept)
    for hash_, files in texts.items():
        GenerationTexts(private).keep(hash_, files)


def _make_grants_anew() -> None:
    op.drop_index("grants_by_object", table_name="grants")
    op.rename_table("grants", "grants_before")
    op.create_table(
        "grants",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("verb", sa.String(length=20), nullable=False),
        sa.Column("object", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("salt", sa.String(length=64), nullable=True),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("expires", sa.Float(), nullable=True),
        sa.Column("used", sa.Float(), nullable=True),
        sa.Column("uses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("uses_allowed", sa.Integer(), nullable=True),
        sa.Column("revoked", sa.Float(), nullable=True),
        sa.Column("pin", sa.String(length=80), nullable=True),
        sa.Column("label", sa.String(length=200), nullable=True),
        sa.Column("per_hour", sa.Integer(), nullable=True),
        sa.Column("largest", sa.Integer(), nullable=True),
        sa.Column("most_waiting", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("grants_by_object", "grants", ["verb", "object"], unique=False)
    op.execute(
        "INSERT INTO grants SELECT id, name, verb, object, digest, NULL, created, expires, used, uses, uses_allowed, "
        "revoked, pin, label, per_hour, largest, most_waiting FROM grants_before"
    )
    op.drop_table("grants_before")
