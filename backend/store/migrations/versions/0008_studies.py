"""Studies have a document, from which the server makes their runs; a run has its place in one."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("status", sa.String(), nullable=False, server_default="finished"),
        sa.Column("finished", sa.String(), nullable=True),
        sa.Column("cells", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("timings", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("document", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("variants", sa.JSON(), nullable=False, server_default="[]"),
    ):
        op.add_column("study", column)
    op.add_column("run", sa.Column("cell", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("run", "cell")
    for name in ("variants", "document", "timings", "cells", "finished", "status"):
        op.drop_column("study", name)
