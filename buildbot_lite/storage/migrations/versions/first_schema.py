"""
The first schema.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Make every table.
    """
    op.create_table(
        "feed",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("request", sa.Integer(), nullable=True),
        sa.Column("build", sa.Integer(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("feed_by_request", "feed", ["request", "seq"], unique=False)
    op.create_table(
        "generations",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("applied", sa.Float(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "grants",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("verb", sa.String(length=20), nullable=False),
        sa.Column("object", sa.String(length=200), nullable=False),
        sa.Column("swissnum", sa.String(length=80), nullable=False),
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
        sa.UniqueConstraint("swissnum"),
    )
    op.create_index("grants_by_object", "grants", ["verb", "object"], unique=False)
    op.create_table(
        "inputs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("stored", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "slaves",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("home", sa.String(length=64), nullable=True),
        sa.Column("boot", sa.String(length=200), nullable=True),
        sa.Column("incarnation", sa.String(length=64), nullable=True),
        sa.Column("version", sa.String(length=40), nullable=True),
        sa.Column("platform", sa.Text(), server_default="{}", nullable=False),
        sa.Column("attached", sa.Float(), nullable=True),
        sa.Column("lost", sa.Float(), nullable=True),
        sa.Column("paused", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "buildsets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scheduler", sa.String(length=80), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("submitted", sa.Float(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.Column("input", sa.Integer(), nullable=True),
        sa.Column("parent", sa.String(length=120), nullable=True),
        sa.Column("finished", sa.Float(), nullable=True),
        sa.Column("result", sa.Integer(), nullable=True),
        sa.Column("by_grant", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["input"],
            ["inputs.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "buildsets_by_parent",
        "buildsets",
        ["parent"],
        unique=False,
        sqlite_where=sa.text("parent IS NOT NULL"),
        postgresql_where=sa.text("parent IS NOT NULL"),
    )
    op.create_index(
        "buildsets_by_grant",
        "buildsets",
        ["by_grant", "submitted"],
        unique=False,
        sqlite_where=sa.text("by_grant IS NOT NULL"),
        postgresql_where=sa.text("by_grant IS NOT NULL"),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("buildset", sa.Integer(), nullable=False),
        sa.Column("builder", sa.String(length=80), nullable=False),
        sa.Column("submitted", sa.Float(), nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before", sa.Float(), server_default="0", nullable=False),
        sa.Column("finished", sa.Float(), nullable=True),
        sa.Column("result", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["buildset"],
            ["buildsets.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("requests_by_buildset", "requests", ["buildset"], unique=False)
    op.create_index(
        "requests_unfinished",
        "requests",
        ["id"],
        unique=False,
        sqlite_where=sa.text("finished IS NULL"),
        postgresql_where=sa.text("finished IS NULL"),
    )
    op.create_table(
        "builds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("request", sa.Integer(), nullable=False),
        sa.Column("builder", sa.String(length=80), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("slave", sa.String(length=80), nullable=False),
        sa.Column("home", sa.String(length=64), server_default="", nullable=False),
        sa.Column("nonce", sa.String(length=32), nullable=False),
        sa.Column("generation", sa.String(length=64), nullable=False),
        sa.Column("started", sa.Float(), nullable=False),
        sa.Column("finished", sa.Float(), nullable=True),
        sa.Column("result", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("properties", sa.Text(), server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(
            ["generation"],
            ["generations.hash"],
        ),
        sa.ForeignKeyConstraint(
            ["request"],
            ["requests.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("builder", "number"),
    )
    op.create_index("builds_by_request", "builds", ["request"], unique=False)
    op.create_index(
        "builds_unfinished",
        "builds",
        ["id"],
        unique=False,
        sqlite_where=sa.text("finished IS NULL"),
        postgresql_where=sa.text("finished IS NULL"),
    )
    op.create_table(
        "journal",
        sa.Column("build", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("intent", sa.Text(), nullable=False),
        sa.Column("begun", sa.Float(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("ended", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["build"],
            ["builds.id"],
        ),
        sa.PrimaryKeyConstraint("build", "step", "ordinal"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "remarks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("build", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("log", sa.String(length=200), nullable=False),
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["build"],
            ["builds.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("remarks_by_build", "remarks", ["build", "step"], unique=False)
    op.create_table(
        "steps",
        sa.Column("build", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("started", sa.Float(), nullable=False),
        sa.Column("finished", sa.Float(), nullable=True),
        sa.Column("result", sa.Integer(), nullable=True),
        sa.Column("summary", sa.Text(), server_default="", nullable=False),
        sa.Column("hidden", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["build"],
            ["builds.id"],
        ),
        sa.PrimaryKeyConstraint("build", "number"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "streams",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("build", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("path", sa.String(length=400), nullable=False),
        sa.Column("length", sa.Integer(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["build"],
            ["builds.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("build", "step", "ordinal", "name"),
    )
