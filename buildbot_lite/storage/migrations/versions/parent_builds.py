"""
Record the build that submitted a buildset, so that parent and children find each other.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Add the column, and fill it in: an entry of a journal is called "NONCE-STEP-ORDINAL", with its build's nonce.
    """
    op.add_column("buildsets", sa.Column("parent_build", sa.Integer(), nullable=True))
    op.create_index(
        "buildsets_by_parent_build",
        "buildsets",
        ["parent_build"],
        unique=False,
        sqlite_where=sa.text("parent_build IS NOT NULL"),
        postgresql_where=sa.text("parent_build IS NOT NULL"),
    )
    connection = op.get_bind()
    asked = connection.execute(sa.text("SELECT id, parent FROM buildsets WHERE parent IS NOT NULL")).all()
    if not asked:
        return
    builds = {row.nonce: row.id for row in connection.execute(sa.text("SELECT nonce, id FROM builds"))}
    for buildset, parent in asked:
        connection.execute(
            sa.text("UPDATE buildsets SET parent_build = :build WHERE id = :buildset"),
            {"build": builds.get(parent.partition("-")[0]), "buildset": buildset},
        )
