"""
The version of the packages that a job has built.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Add the column; of earlier jobs it is not known.
    """
    op.add_column("package_jobs", sa.Column("built_version", sa.String(200), nullable=True))
