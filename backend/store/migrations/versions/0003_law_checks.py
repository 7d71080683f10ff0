"""Series of law checks are called `law_check/<metric>`; they were `lamp/<metric>`.

A run that already has a series of the new name keeps it: the old one of the same key stays as it
is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _rename("lamp/", "law_check/")


def downgrade() -> None:
    _rename("law_check/", "lamp/")


def _rename(old: str, new: str) -> None:
    """Replace a prefix of metrics, where no series of the new name is in the way."""
    series = sa.table("series", *map(sa.column, ("id", "run", "metric", "layer", "estimator")))
    other = series.alias("other")
    name = sa.literal(new) + sa.func.substr(series.c.metric, len(old) + 1)
    taken = sa.exists().where(
        other.c.run == series.c.run,
        other.c.metric == name,
        other.c.layer == series.c.layer,
        other.c.estimator == series.c.estimator,
    )
    begins = sa.func.substr(series.c.metric, 1, len(old)) == old
    op.execute(series.update().where(begins, ~taken).values(metric=name))
