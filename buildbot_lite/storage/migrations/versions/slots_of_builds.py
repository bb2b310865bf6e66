"""
The slot of a build, which says where it is on its slave.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Add the column; earlier builds have no slot.
    """
    op.add_column("builds", sa.Column("slot", sa.Integer(), nullable=True))
