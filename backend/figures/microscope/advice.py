"""Larger batch or more draws: the answer for a budget, and how its prediction was checked."""

import plotly.graph_objects as go

from backend.figures.data import variance_split
from backend.figures.data.query import BUDGETS, Query
from backend.figures.data.select import TRACES
from backend.figures.data.source import Source
from backend.figures.data.variance_split import Check, Split
from backend.figures.drawing import canvas
from backend.figures.drawing.text import clipped, plain, run_name
from backend.figures.info import Chart, FigureInfo, Place

INFO = FigureInfo(
    title="Advice for a budget",
    help="What lowers the variance of a gradient most for the budget: all of it on a larger batch, "
    "on more draws of this batch, or both. Then the variance that was predicted for fresh "
    "gradients at another batch and number of draws, and the variance that these have.",
    takeaway="Follow the answer unless the check is many standard errors off: then an assumption "
    "does not hold here (noise of the data that falls as 1 / B; noise of the estimator that is a "
    "constant plus a part that falls as 1 / B).",
    parameters=("runs", "budget", "layer", "estimator"),
    charts=(
        Chart(
            "advice",
            (Place("anatomy", "budget", 10),),
            "The answer for this budget",
            size="table",
            menus={"budget": BUDGETS},
        ),
    ),
)
HEAD = (
    "estimator", "answer", "examples × draws", "tr Var", "larger batch alone", "check",
    "measured", "predicted", "difference",
)  # fmt: skip


def figure(source: Source, query: Query) -> go.Figure:
    """One row an estimator and run."""
    found = variance_split.read(source, query, query.layer)[:TRACES]
    budget = variance_split.budget(found, query.budget)
    tally = canvas.Tally(len(found), len(found))
    if found:
        tally.say(
            f"budget: one gradient costs {budget:,} draws on {found[0].batch:,} examples, on a "
            "batch as many times as large or averaged"
        )
        tally.say(
            "larger batch alone: the variance of one draw on that many examples, relative to the "
            "answer"
        )
        tally.say("check: fresh gradients at that batch × draws, ± 1 standard error")
        tally.say(_limit(found[0]))
    unsure = [plain(clipped(one.label)) for one in found if _unsure(one, budget)]
    if unsure:
        tally.say(
            f"{', '.join(unsure)}: larger batch or more draws is not told apart, the 95 % "
            "interval of what one saves holds 0; more batches and draws tell"
        )
    if any(one.check and one.check.blurred for one in found):
        tally.say("no check: an error larger than half its value; more batches make it one")
    failed = [plain(clipped(one.label)) for one in found if one.check and one.check.failed]
    if failed:
        tally.say(
            f"{', '.join(failed)}: measured and predicted are more than {variance_split.APART:g} "
            "standard errors apart, so that the answer rests on an assumption that does not hold "
            "here: the noise need not fall as 1/B where a loss or a normalisation couples a batch"
        )
    rows = [_cells(one, budget, len(query.runs) > 1) for one in found]
    table = go.Table(
        header={"values": list(HEAD), "align": "left", "fill": {"color": canvas.CLEAR}},
        cells={"values": [[*column] for column in zip(*rows, strict=True)], "align": "left",
               "fill": {"color": canvas.CLEAR}, "height": 24},
        name=INFO.title, columnwidth=[2.8, 1.4, 1.4, 1.2, 1.6, 1, 1.6, 1.6, 1],
    )  # fmt: skip
    where = f" · {plain(clipped(query.layer))}" if query.layer else ""
    return canvas.finish(
        [table] if found else [], tally, title=INFO.title + where,
        height=150 + 40 * max(2, len(found)), showlegend=False,
    )  # fmt: skip


def _cells(one: Split, budget: float, several: bool) -> list[str]:
    label = plain(clipped(one.label))
    name = f"{label} · {run_name(one.run.number, one.run.name)}" if several else label
    best = one.best(budget)
    if best is None:
        return [name, "no variance at all", "", "0", "", *_checked(one.check)]
    if not best.told:
        return [name, best.words, "", "", "", *_checked(one.check)]
    return [
        name,
        best.words,
        f"{best.batch:,} × {best.draws:,}",
        _short(best.variance, 3),
        f"{best.alone:.3g} ×" if best.alone > 1 + variance_split.SAME else "the same",
        *_checked(one.check),
    ]


def _limit(one: Split) -> str:
    if one.population:
        return f"a batch is at most the training set, {one.population:,} examples"
    return f"a batch is at most the {one.given:,} examples of the batches that were given"


def _unsure(one: Split, budget: float) -> bool:
    best = one.best(budget)
    return best is not None and not best.told


def _checked(check: Check | None) -> list[str]:
    if check is None:
        return ["", "", "", ""]
    return [
        f"{check.batch:,} × {check.draws}",
        _with(check.measured, check.measured_se),
        _with(check.predicted, check.predicted_se),
        _apart(check),
    ]


def _apart(check: Check) -> str:
    if check.blurred:
        return "no check"
    return "" if check.apart is None else f"{abs(check.apart):.1f} s.e."


def _with(value: float, error: float | None) -> str:
    spread = f" ± {_short(error, 2)}" if error else ""
    return f"{_short(value, 3)}{spread}".replace("-", "−")


def _short(value: float, digits: int) -> str:
    """Without an exponent where a whole number is as short."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if 100 <= abs(rounded) < 1e6 else f"{value:.{digits}g}"
