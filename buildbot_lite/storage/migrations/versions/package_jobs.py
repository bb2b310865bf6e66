"""
Tables for the jobs of packages; for whom triggered buildsets are built; the highest priority that a grant permits.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Add the tables, empty; and the columns, that of buildsets filled in from the parent builds, as far as they are still
    recorded.
    """
    op.add_column("grants", sa.Column("most_priority", sa.Integer(), nullable=True))
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
        sa.Column("after_job", sa.Integer(), nullable=True),
        sa.Column("origin", sa.Text(), server_default="", nullable=False),
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
    op.add_column("buildsets", sa.Column("for_grant", sa.Integer(), nullable=True))
    connection = op.get_bind()
    triggered = connection.execute(sa.text("SELECT id FROM buildsets WHERE parent_build IS NOT NULL ORDER BY id")).all()
    for (buildset,) in triggered:
        # A parent is older than its children, so it is filled in before them.
        connection.execute(
            sa.text(
                "UPDATE buildsets SET for_grant = ("
                "SELECT coalesce(s.by_grant, s.for_grant) FROM builds b JOIN requests r ON r.id = b.request "
                "JOIN buildsets s ON s.id = r.buildset WHERE b.id = buildsets.parent_build) WHERE id = :buildset"
            ),
            {"buildset": buildset},
        )
