"""Best learning rates and expected decreases of the loss, as a table."""

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import one_step
from backend.figures.data.one_step import Lottery
from backend.figures.data.query import Query
from backend.figures.data.source import Floats, Source
from backend.figures.drawing import canvas
from backend.figures.info import Chart, FigureInfo, Place

INFO = FigureInfo(
    title="Expected decrease",
    help="The best learning rate of each estimator for one step, the decrease of the loss that is "
    "expected of it, and what the run's own learning rate does; the largest expected decrease "
    "first.",
    takeaway="The first row makes the best single step; its rate is often too large to train with.",
    parameters=("runs", "estimator"),
    charts=(Chart("best-rates", (Place("one_step", "what-if", 10),), size="table"),),
)
HEAD = (
    "estimator", "best η", "expected decrease", "± s.e.", "mean change near it", "run's own η",
    "mean change there", "falls in",
)  # fmt: skip


def figure(source: Source, query: Query) -> go.Figure:
    """One row an estimator and run, the largest expected decrease first."""
    found, several = one_step.read(source, query), len(query.runs) > 1
    found.sort(key=lambda one: -(one.decrease or 0.0))
    tally = canvas.Tally(len(found), len(found))
    for one in found:
        name = one.name(several)
        tally.say(f"{name}: no best rate, {one.obstacle}" if one.obstacle else "")
        tally.say(one_step.counted(one, name))
    if found:
        tally.say("expected: to second order, honest draws; changes: of the steps as taken")
    cells = [[*one] for one in zip(*(_cells(one, several) for one in found), strict=True)]
    table = go.Table(
        header={"values": list(HEAD), "align": "left", "fill": {"color": canvas.CLEAR}},
        cells={"values": cells, "align": "left", "fill": {"color": canvas.CLEAR}, "height": 24},
        name=INFO.title, columnwidth=[2.8, 1.2, 1.6, 1, 2, 1.2, 2, 1],
    )  # fmt: skip
    return canvas.finish(
        [table] if found else [], tally, title=INFO.title, height=150 + 40 * max(2, len(found)),
        showlegend=False,
    )  # fmt: skip


def _cells(one: Lottery, several: bool) -> list[str]:
    near = one.nearest(one.best) if one.best is not None and one.changes else None
    usual = one.nearest(one.usual) if one.usual and one.changes else None
    there = one.changes[usual] if usual else np.empty(0)
    return [
        one.name(several),
        "none" if one.best is None else f"{one.best:.3g}",
        "" if one.decrease is None else f"{one.decrease:.4g}",
        "" if one.decrease_se is None else f"{one.decrease_se:.2g}",
        f"{_mean(one.changes[near])} at {near:.3g}" if near else "",
        "" if one.usual is None else f"{one.usual:.3g}",
        _mean(there) if len(there) else "",
        f"{(there < 0).mean():.0%}" if len(there) else "",
    ]


def _mean(values: Floats) -> str:
    finite = np.isfinite(values)
    if not finite.all():
        return f"{(~finite).sum():,} not finite"
    if not len(values):
        return ""
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    spread = f" ± {error:.2g}" if np.isfinite(error) else ""
    return f"{values.mean():.3g}{spread}".replace("-", "−")
