"""
Tables for the jobs of packages.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Add the tables, empty.
    """
    op.create_table(
        "package_jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("target", sa.String(80), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("version", sa.String(200), nullable=False),
        sa.Column("submitter", sa.String(200), nullable=False),
        sa.Column("by_grant", sa.Integer(), nullable=True),
        sa.Column("scratch", sa.Integer(), server_default="0", nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("buildset", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("changed", sa.Float(), nullable=False),
        sa.Column("finished", sa.Float(), nullable=True),
        sa.Column("history", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "package_job_arches",
        sa.Column("job", sa.Integer(), nullable=False),
        sa.Column("architecture", sa.String(80), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("builder", sa.String(80), server_default="", nullable=False),
        sa.Column("request", sa.Integer(), nullable=True),
        sa.Column("build", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("history", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["package_jobs.id"]),
        sa.PrimaryKeyConstraint("job", "architecture"),
        sqlite_with_rowid=False,
    )
    for name, table, column, where in (
        ("package_jobs_unfinished", "package_jobs", "id", "finished IS NULL"),
        ("package_job_arches_by_request", "package_job_arches", "request", "request IS NOT NULL"),
    ):
        op.create_index(
            name, table, [column], unique=False, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )
