"""The matrix of a study: variants by seeds, the metric as colour, and what has no value."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.drawing import canvas, cells, style
from backend.figures.drawing.text import hover_head, plain
from backend.figures.info import FigureInfo
from backend.figures.studies.labels import axis_title, metric_in_units, short_labels
from backend.figures.words import studies as words_of
from backend.studies.measure import Measure
from backend.studies.table import Cell, Row, State, StudyTable
from estimators.statistics.formatting import counted

INFO = FigureInfo(
    title="Matrix of the study",
    help="A row for each variant and a column for each seed. Colour is the metric; a cell without "
    "a value says why. A cell leads to its run.",
    reading="Compare the cells of a column: they have the same seed.",
    parameters=(),
    charts=(),
)
SIDE = 40
"""Most rows and columns that are drawn."""
NAMED = 8
"""Most columns whose cells have their numbers printed; more leave no room on a phone."""
LABEL = 24
"""Most characters of a row's name."""
TICKS = 8
"""Most columns that are named."""
ROW = 26
"""Pixels of a row."""
MARKS: Mapping[State, str] = {
    "failed": "✕", "diverged": "∞", "cancelled": "−", "running": "▸", "queued": "·", "missing": "",
}  # fmt: skip
"""What stands in a cell without a value."""
STATES = list(MARKS)
GREYS = [
    [0.0, "rgba(213,94,0,0.55)"], [0.4, "rgba(230,159,0,0.55)"], [0.5, "rgba(128,128,128,0.35)"],
    [1.0, "rgba(128,128,128,0.12)"],
]  # fmt: skip
"""Failed and diverged cells stand out, those to come recede."""


def figure(table: StudyTable) -> go.Figure:
    """Draw the first `SIDE` variants and seeds of a table."""
    seeds = list(dict.fromkeys(cell.seed for row in table.rows for cell in row.cells))
    rows, columns = table.rows[:SIDE], seeds[:SIDE]
    grid = [[{cell.seed: cell for cell in row.cells}.get(seed) for seed in columns] for row in rows]
    count = sum(len(row.cells) for row in table.rows)
    shown = sum(cell is not None for line in grid for cell in line)
    tally = canvas.Tally(shown, count, f"the first {SIDE} variants and seeds")
    for words in _notes(table):
        tally.say(words)
    tally.conclude(words_of.of_table(table))
    height = 150 + ROW * max(3, len(rows))
    return canvas.finish(
        _traces(table.measure, rows, columns, grid) if shown else [],
        tally,
        title=f"{INFO.title}: {axis_title(table.measure)}",
        height=height,
        margin={"l": 16, "r": 16, "t": 44, "b": 96},
        showlegend=False,
        nothing="no cells yet",
        xaxis=canvas.axis("seed", **_across([str(seed) for seed in columns])),
        yaxis=canvas.axis("variant", **_down(rows)),
    )


def _across(seeds: Sequence[str]) -> dict[str, Any]:
    """The columns; of many, some are named."""
    shown = seeds[:: max(1, -(-len(seeds) // TICKS))]
    return {**_categories(seeds), "tickvals": shown, "ticktext": shown, "tickangle": 0}


def _down(rows: Sequence[Row]) -> dict[str, Any]:
    """The rows, the first at the top."""
    labels = [row.label for row in rows]
    short = short_labels(labels, LABEL)
    return {
        **_categories(list(map(plain, labels))), "tickvals": list(map(plain, labels)),
        "ticktext": [plain(short[label]) for label in labels],
        "range": [max(len(rows), 1) - 0.5, -0.5],
    }  # fmt: skip


def _categories(names: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "category", "categoryorder": "array", "categoryarray": list(names),
        "tickmode": "array", "ticks": "", "fixedrange": True, "showgrid": False,
        "tickfont": {"size": 11},
    }  # fmt: skip


def _traces(
    measure: Measure,
    rows: Sequence[Row],
    seeds: Sequence[int],
    grid: Sequence[Sequence[Cell | None]],
) -> list[go.Heatmap]:
    """The cells with a value; then those without one, by their state."""
    values = np.array(
        [[np.nan if (v := _value(cell)) is None else v for cell in line] for line in grid],
        np.float64,
    )
    values *= measure.scale
    colours = cells.Colours.for_values(metric_in_units(measure), values)
    positions = cells.gaps(colours.position(values))
    states = [
        [None if _value(cell) is not None else STATES.index(_state(cell)) for cell in line]
        for line in grid
    ]
    printed = len(seeds) <= NAMED
    spread = float(np.nanstd(values)) if np.isfinite(values).sum() > 1 else float("nan")

    def each(text_of: Callable[[int, int], str]) -> list[list[str]]:
        return [[text_of(i, j) for j in range(len(seeds))] for i in range(len(rows))]

    def number_of(i: int, j: int) -> str:
        cell = grid[i][j]
        value = _value(cell)
        return "" if value is None or not printed else measure.number(value, spread / measure.scale)

    def hover(i: int, j: int) -> str:
        return _hover(rows[i], seeds[j], grid[i][j], measure)

    shared: dict[str, Any] = {
        "x": [str(seed) for seed in seeds], "y": [plain(row.label) for row in rows],
        "hovertext": each(hover),
        "texttemplate": "%{text}", "hovertemplate": "%{hovertext}<extra></extra>",
        "hoverongaps": False, "xgap": 1 if len(seeds) > NAMED else 2, "ygap": 2, "name": "",
    }  # fmt: skip
    links = each(lambda i, j: cell.run if (cell := grid[i][j]) else "")
    return [
        go.Heatmap(
            **shared, text=each(number_of), z=positions, customdata=cells.gaps(values),
            zmin=colours.low, zmax=colours.high, colorscale=colours.scale, colorbar=colours.bar(),
            meta={"links": links},
        ),
        go.Heatmap(
            **shared, text=each(lambda i, j: "" if states[i][j] is None else _mark(grid[i][j])),
            textfont={"color": style.GREY, "size": 13}, z=states, zmin=0, zmax=len(STATES) - 1,
            colorscale=GREYS, showscale=False, meta={"links": links, "valueless": True},
        ),
    ]  # fmt: skip


def _value(cell: Cell | None) -> float | None:
    """The value of a cell that has a finite one."""
    if cell is None or cell.state != "finished" or cell.value is None:
        return None
    return cell.value if isfinite(cell.value) else None


def _state(cell: Cell | None) -> State:
    if cell is None:
        return "missing"
    # A run that ended without its metric has failed to give one.
    return "failed" if cell.state == "finished" else cell.state


def _mark(cell: Cell | None) -> str:
    return MARKS[_state(cell)]


def _hover(row: Row, seed: int, cell: Cell | None, measure: Measure) -> str:
    value = _value(cell)
    words = measure.value(value) if value is not None else _why(cell)
    return f"{hover_head(plain(row.label))}<br>seed {seed}<br>{plain(words)}"


def _why(cell: Cell | None) -> str:
    if cell is None or cell.state == "missing":
        return "no run yet"
    if cell.state == "finished":
        return "finished without a value"
    return f"{cell.state}: {cell.reason.strip()[:300]}" if cell.reason.strip() else cell.state


def _notes(table: StudyTable) -> list[str]:
    """Which variant has the best mean, and how many cells have no value."""
    with_value = [row for row in table.rows if row.sample.count]
    said = []
    if with_value:
        sign = 1 if table.measure.higher_is_better else -1
        best = max(with_value, key=lambda row: sign * row.sample.mean)
        value, seeds = best.mean_text(table.measure), counted(len(best.cells), "seed")
        said.append(f"best mean: {best.label}, {value} over {best.sample.count} of {seeds}")
    states = Counter(
        _state(cell) for row in table.rows for cell in row.cells if _value(cell) is None
    )
    counts = [f"{states[state]:,} {state}{_legend(state)}" for state in STATES if states[state]]
    return [*said, f"without a value: {', '.join(counts)}"] if counts else said


def _legend(state: State) -> str:
    return f" ({MARKS[state]})" if MARKS[state] else ""
