"""Runs say which share of their time measuring and reporting has taken."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("overhead", sa.Float(), nullable=True))


def downgrade() -> None:
    op.drop_column("run", "overhead")
