"""Best learning rates and expected decreases of the loss, as a table."""

import numpy as np
import plotly.graph_objects as go

from backend.figures.data.microscope import one_step
from backend.figures.data.microscope.one_step import OneStepDraws
from backend.figures.data.query import Query
from backend.figures.data.source import Floats, Source
from backend.figures.drawing import canvas
from backend.figures.info import Chart, FigureInfo, Place
from backend.figures.words import microscope as words_of
from estimators.statistics.student import Sample

INFO = FigureInfo(
    title="Expected decrease",
    help="The best learning rate of each estimator for one step, the decrease of the loss that is "
    "expected of it, and what the run's own learning rate does; the largest expected decrease "
    "first.",
    reading="The first row makes the best single step; its rate is often too large to train with: "
    "kept up, it diverges within dozens of steps. The last column has a rate that was kept up.",
    parameters=("runs", "estimator"),
    charts=(Chart("best-rates", (Place("one_step", "what-if", 10),), size="table"),),
)
HEAD = (
    "estimator", "best η", "expected decrease", "± s.e.", "mean change near it", "run's own η",
    "mean change there", "falls in", "kept up",
)  # fmt: skip


def figure(source: Source, query: Query) -> go.Figure:
    """One row an estimator and run, the largest expected decrease first."""
    estimators, several = one_step.read(source, query), len(query.runs) > 1
    estimators.sort(key=lambda steps: -(steps.decrease or 0.0))
    tally = canvas.Tally(len(estimators), len(estimators))
    for steps in estimators:
        name = steps.name(several)
        tally.say(f"{name}: no best rate, {steps.obstacle}" if steps.obstacle else "")
        tally.say(one_step.counted(steps, name))
    if estimators:
        tally.say(
            "expected decrease: to second order, from honest draws (by the estimator itself); "
            "mean changes: of the steps that were tried"
        )
    if any(steps.rehearsed for steps in estimators):
        tally.say(
            "kept up: the largest rate tried (from the best one down to a hundredth of it) whose "
            "loss stays finite and does not rise over 200 rehearsed steps of plain SGD from the "
            "checkpoint, compared with the checkpoint's weights on the same batches"
        )
    tally.conclude(words_of.best_steps([steps.best_step for steps in estimators]))
    cells = [
        [*steps] for steps in zip(*(_cells(steps, several) for steps in estimators), strict=True)
    ]
    table = go.Table(
        header={"values": list(HEAD), "align": "left", "fill": {"color": canvas.CLEAR}},
        cells={"values": cells, "align": "left", "fill": {"color": canvas.CLEAR}, "height": 24},
        name=INFO.title, columnwidth=[2.8, 1.2, 1.6, 1, 2, 1.2, 2, 1, 1.2],
    )  # fmt: skip
    return canvas.finish(
        [table] if estimators else [], tally, title=INFO.title,
        height=150 + 40 * max(2, len(estimators)),
        showlegend=False,
    )  # fmt: skip


def _cells(steps: OneStepDraws, several: bool) -> list[str]:
    near = steps.nearest(steps.best) if steps.best is not None and steps.changes else None
    usual = steps.nearest(steps.usual) if steps.usual and steps.own_is_within else None
    changes_there = steps.changes[usual] if usual else np.empty(0)
    return [
        steps.name(several),
        "none" if steps.best is None else f"{steps.best:.3g}",
        "" if steps.decrease is None else f"{steps.decrease:.4g}",
        "" if steps.decrease_se is None else f"{steps.decrease_se:.2g}",
        f"{_mean(steps.changes[near])} at {near:.3g}" if near else "",
        "" if steps.usual is None else f"{steps.usual:.3g}",
        _mean(changes_there) if len(changes_there) else "",
        f"{(changes_there < 0).mean():.0%}" if len(changes_there) else "",
        _kept(steps),
    ]


def _kept(steps: OneStepDraws) -> str:
    if not steps.rehearsed:
        return ""
    return "none of those tried" if steps.kept is None else f"{steps.kept:.3g}"


def _mean(values: Floats) -> str:
    finite = np.isfinite(values)
    if not finite.all():
        return f"{(~finite).sum():,} not finite"
    if not len(values):
        return ""
    error = Sample.from_values(values).standard_error
    spread = f" ± {error:.2g}" if np.isfinite(error) else ""
    return f"{values.mean():.3g}{spread}".replace("-", "−")
