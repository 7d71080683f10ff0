"""Stored configurations say that noise on inactive units was not masked.

`activity_forward_gradient` and `node_perturbation` have a field `masked_noise`, whose default is
true; runs that were stored without it had such noise.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from backend.config import FORMER_DEFAULTS, with_former_defaults

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_RUN = sa.table("run", sa.column("number"), sa.column("config", sa.JSON))


def upgrade() -> None:
    connection = op.get_bind()
    text = sa.cast(_RUN.c.config, sa.Text)
    affected = sa.or_(*(text.contains(name) for name in FORMER_DEFAULTS))
    for number, config in connection.execute(sa.select(_RUN).where(affected)).all():
        updated = _updated(config)
        if updated != config:
            row = _RUN.update().where(_RUN.c.number == number)
            connection.execute(row.values(config=updated))


def downgrade() -> None:
    """Nothing is undone: a run of this version may have the field on purpose."""


def _updated(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with the fields that its estimators lack."""
    updated = dict(config)
    if "estimator" in config:
        updated["estimator"] = with_former_defaults(config["estimator"])
    if "shadows" in config:
        updated["shadows"] = [with_former_defaults(each) for each in config["shadows"]]
    return updated
