"""Chunks of many points have a summary; runs that are being removed are marked.

The summaries of chunks that are there already are made in the background, once the lab is served.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chunk_summary",
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("blocks", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["chunk"], ["chunk.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("chunk"),
    )
    op.add_column("run", sa.Column("deleted", sa.Boolean(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("run", "deleted")
    op.drop_table("chunk_summary")
