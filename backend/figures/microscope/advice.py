"""Larger batch or more draws: the answer for a budget, and how its prediction was checked."""

import plotly.graph_objects as go

from backend.figures.data.microscope import variance_split
from backend.figures.data.microscope.variance_split import MeasuredSplit
from backend.figures.data.query import BUDGETS, Query
from backend.figures.data.select import TRACES
from backend.figures.data.source import Source
from backend.figures.drawing import canvas
from backend.figures.drawing.text import clipped, line_name, plain
from backend.figures.info import Chart, FigureInfo, Place
from backend.figures.words import microscope as words_of
from estimators.statistics.variance_check import MAX_ERRORS, Check
from estimators.statistics.variance_split import TOLERANCE, Advice

INFO = FigureInfo(
    title="Advice for a budget",
    help="What lowers the variance of a gradient most for the budget: all of it on a larger batch, "
    "on more draws of this batch, or both. Then the variance that was predicted for fresh "
    "gradients at another batch and number of draws, and the variance that these have.",
    reading="Follow the answer unless the check is many standard errors off: then an assumption "
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
    "estimator", "answer", "examples × draws", "tr Var", "largest batch, 1 draw", "check",
    "measured", "predicted", "difference",
)  # fmt: skip


def figure(source: Source, query: Query) -> go.Figure:
    """One row for each estimator and run."""
    splits = variance_split.read(source, query, query.layer)[:TRACES]
    budget = variance_split.budget(splits, query.budget)
    advice = [measured.split.advise(budget) for measured in splits]
    tally = canvas.Tally(len(splits), len(splits))
    for text in _notes(splits, advice, budget):
        tally.say(text)
    tally.conclude(words_of.advice({
        measured.label: best.verdict for measured, best in zip(splits, advice, strict=True)
    }))  # fmt: skip
    several = len(query.runs) > 1
    rows = [_cells(measured, best, several) for measured, best in zip(splits, advice, strict=True)]
    table = go.Table(
        header={"values": list(HEAD), "align": "left", "fill": {"color": canvas.CLEAR}},
        cells={"values": [[*column] for column in zip(*rows, strict=True)], "align": "left",
               "fill": {"color": canvas.CLEAR}, "height": 24},
        name=INFO.title, columnwidth=[2.8, 1.4, 1.4, 1.2, 1.6, 1, 1.6, 1.6, 1],
    )  # fmt: skip
    where = f" · {plain(clipped(query.layer))}" if query.layer else ""
    height = 150 + 40 * max(2, len(splits))
    return canvas.finish(
        [table] if splits else [], tally, title=INFO.title + where, height=height, showlegend=False
    )


def _notes(splits: list[MeasuredSplit], advice: list[Advice], budget: int) -> list[str]:
    """How to read the table, and what it leaves open."""
    if not splits:
        return []
    names = [plain(clipped(measured.label)) for measured in splits]
    pairs = list(zip(names, advice, strict=True))
    unsure = [name for name, best in pairs if best.verdict == "undecided"]
    checks = [
        (name, measured.check)
        for name, measured in zip(names, splits, strict=True)
        if measured.check
    ]
    failed = [name for name, check in checks if check.failed]
    return [
        f"budget: one gradient costs {budget:,} draws on {splits[0].split.batch:,} examples, spent "
        "on a larger batch or on more draws",
        "largest batch, 1 draw: the variance that one draw on the largest batch leaves, relative "
        "to the answer",
        "check: fresh gradients at that batch × draws, ± 1 standard error",
        _limit(splits[0]),
        f"{', '.join(unsure)}: no decision between a larger batch and more draws, because the "
        "95 % interval of what one saves holds 0 or there are too few batches; take more batches "
        "and draws"
        if unsure
        else "",
        "no check: a standard error is larger than half its value; take more batches"
        if any(check.blurred for _, check in checks)
        else "",
        f"{', '.join(failed)}: measured and predicted differ by more than "
        f"{MAX_ERRORS:g} standard errors, so that the answer rests on an "
        "assumption that does not hold here: the noise need not fall as 1/B where a loss or a "
        "normalisation couples a batch"
        if failed
        else "",
    ]


def _cells(measured: MeasuredSplit, best: Advice, several: bool) -> list[str]:
    run = measured.run
    name = line_name(measured.label, run.number, run.name, several=several)
    if best.verdict == "no variance":
        return [name, "no variance at all", "", "0", "", *_checked(measured.check)]
    if best.verdict == "undecided":
        return [name, best.verdict, "", "", "", *_checked(measured.check)]
    return [
        name,
        best.verdict,
        f"{best.batch:,} × {best.draws:,}",
        _short(best.variance, 3),
        f"{best.batch_alone:.3g} ×" if best.batch_alone > 1 + TOLERANCE else "the same",
        *_checked(measured.check),
    ]


def _limit(measured: MeasuredSplit) -> str:
    if measured.split.population:
        return f"a batch is at most the training set, {measured.split.population:,} examples"
    given = measured.split.largest_batch
    return f"a batch is at most the {given:,} examples of the batches that were given"


def _checked(check: Check | None) -> list[str]:
    if check is None:
        return ["", "", "", ""]
    return [
        f"{check.batch:,} × {check.draws}",
        _with(check.measured, check.measured_se),
        _with(check.predicted, check.predicted_se),
        _difference(check),
    ]


def _difference(check: Check) -> str:
    if check.blurred:
        return "no check"
    return "" if check.errors is None else f"{abs(check.errors):.1f} s.e."


def _with(value: float, error: float | None) -> str:
    spread = f" ± {_short(error, 2)}" if error else ""
    return f"{_short(value, 3)}{spread}".replace("-", "−")


def _short(value: float, digits: int) -> str:
    """Without an exponent where a whole number is as short."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if 100 <= abs(rounded) < 1e6 else f"{value:.{digits}g}"
