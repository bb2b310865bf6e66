"""
The job before a job of packages, and the commit of its source; for whom triggered buildsets are built; the highest
priority that a grant permits.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Add the columns; that of buildsets filled in from the parent builds, as far as they are still recorded.
    """
    op.add_column("grants", sa.Column("most_priority", sa.Integer(), nullable=True))
    op.add_column("package_jobs", sa.Column("after_job", sa.Integer(), nullable=True))
    op.add_column("package_jobs", sa.Column("origin", sa.Text(), server_default="", nullable=False))
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
