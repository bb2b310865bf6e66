"""
Tables for changes, for what schedulers and pollers know, and for messages; columns for locks, marks and collapsing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Add the tables, empty, and the columns; what is recorded stays as it is.
    """
    _add_changes()
    op.create_table(
        "states",
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("updated", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("owner"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reporter", sa.String(80), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("subject", sa.String(200), server_default="", nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before", sa.Float(), server_default="0", nullable=False),
        sa.Column("failure", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("reporter", "key"),
    )
    op.create_index("outbox_by_subject", "outbox", ["reporter", "subject", "id"])
    op.add_column("requests", sa.Column("collapsed_into", sa.Integer(), nullable=True))
    op.add_column("builds", sa.Column("locks", sa.Text(), server_default="[]", nullable=False))
    op.add_column("builds", sa.Column("kept", sa.Text(), nullable=True))
    for name, table, column, where in (
        ("builds_kept", "builds", "id", "kept IS NOT NULL"),
        ("buildsets_by_input", "buildsets", "input", "input IS NOT NULL"),
    ):
        op.create_index(
            name, table, [column], unique=False, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )


def _add_changes() -> None:
    op.create_table(
        "changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("received", sa.Float(), nullable=False),
        sa.Column("happened", sa.Float(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("committer", sa.Text(), server_default="", nullable=False),
        sa.Column("comments", sa.Text(), server_default="", nullable=False),
        sa.Column("files", sa.Text(), server_default="[]", nullable=False),
        sa.Column("revision", sa.String(200), nullable=True),
        sa.Column("branch", sa.String(1000), nullable=True),
        sa.Column("repository", sa.String(1000), server_default="", nullable=False),
        sa.Column("project", sa.String(200), server_default="", nullable=False),
        sa.Column("codebase", sa.String(200), server_default="", nullable=False),
        sa.Column("category", sa.String(200), nullable=True),
        sa.Column("revlink", sa.Text(), server_default="", nullable=False),
        sa.Column("properties", sa.Text(), server_default="{}", nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("untrusted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("move", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("changes_by_digest", "changes", ["digest"], unique=False)
    op.create_table(
        "pending_changes",
        sa.Column("scheduler", sa.String(80), nullable=False),
        sa.Column("change", sa.Integer(), nullable=False),
        sa.Column("important", sa.Integer(), nullable=False),
        sa.Column("added", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["change"], ["changes.id"]),
        sa.PrimaryKeyConstraint("scheduler", "change"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "buildset_changes",
        sa.Column("buildset", sa.Integer(), nullable=False),
        sa.Column("change", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["buildset"], ["buildsets.id"]),
        sa.ForeignKeyConstraint(["change"], ["changes.id"]),
        sa.PrimaryKeyConstraint("buildset", "change"),
        sqlite_with_rowid=False,
    )
    op.create_index("buildset_changes_by_change", "buildset_changes", ["change"], unique=False)
