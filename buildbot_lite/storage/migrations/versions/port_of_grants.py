"""
Record the master's port by which a string was last used, to name the strings that a closed port affects.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Add the column; of strings shown before, nothing is known.
    """
    op.add_column("grants", sa.Column("port", sa.Integer(), nullable=True))
