"""The grid of targets and guesses: a measure as colour, a cell for each pair."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data.metrics import is_of_the_run, metric, metric_of_part
from backend.figures.data.query import Query
from backend.figures.data.source import Source
from backend.figures.drawing import canvas, cells, style
from backend.figures.drawing.names import distinct
from backend.figures.drawing.text import clipped, hover_head, plain
from backend.figures.guesses import members
from backend.figures.guesses.cells import (
    Cell,
    Reader,
    by_place,
    cell_of,
    is_at_a_point,
    panels,
    rows_of_others,
)
from backend.figures.guesses.places import column_titles, differences, target_order
from backend.figures.info import Chart, FigureInfo, Pick, Place
from estimators.statistics.formatting import short
from estimators.statistics.reference import HATCH, HATCH_NOTE

OF_RUNS = ("test/accuracy", "test/loss", "estimator/guess_cosine", "cosine", "train/loss")
OF_ESTIMATORS = ("cosine", "scaled_error", "estimator/guess_cosine")
"""What is drawn where no measure is asked for: the first of these that somebody has."""
MEASURES = (
    "test/accuracy", "test/loss", "train/loss", "cosine", "scaled_error", "norm_ratio",
    "relative_variance", "estimator/guess_cosine", "estimator/projection_cosine",
    "estimator/span_cosine", "estimator/guess_difference", "estimator/guess_norm_ratio",
    "estimator/ascends", "estimator/auxiliary_accuracy",
)  # fmt: skip
PICKS = (Pick("metric", choices=MEASURES, empty="automatic", own=True),)
FOLLOWS = ("test/*", "cosine", "scaled_error", "norm_ratio", "relative_variance", "{metric}")
INFO = FigureInfo(
    title="Targets and guesses",
    help="A measure of estimators that project a target on a guess (guess_and_target): a row for "
    "each target, a column for each guess. Of several runs, each is placed by its driver, and the "
    "runs of a cell that differ in their seed alone are averaged; of a single run, its driver and "
    "its shadows are placed. A cell leads to its run.",
    reading="Compare the cells of a row: they follow the same target by different guesses.",
    parameters=("runs", "metric", "layer", "window"),
    charts=(
        Chart("study-grid", (Place("study", "study", 10),), follows=FOLLOWS, picks=PICKS),
        Chart(
            "guess-target-grid",
            (Place("run", "guesses", 10), Place("draws", "read", 30)),
            follows=FOLLOWS,
            picks=PICKS,
            with_points=True,
            menus={"metric": ("cosine", "scaled_error", "relative_variance", "norm_ratio")},
            together={},
        ),
    ),
)
PANELS = 6
ROW, LINE, LETTER = 44, 16, 7
"""Pixels for a row, for a line of a heading, and for a letter of a column's name."""
WIDTH, MOST_LINES = 48, 6
"""Most characters of a line of a heading, which a phone holds, and most lines."""
COLUMN = 14
"""Most characters of a line of a column's name, unless a word is longer."""
NO_RUN, NO_VALUE = 1, 2
GREYS = [[0.0, "rgba(128,128,128,0.12)"], [1.0, "rgba(128,128,128,0.35)"]]


@dataclass(frozen=True)
class Panel:
    """A grid of one setting, or the list of the estimators of another kind."""

    heading: str
    rows: list[str]
    columns: list[str]
    cells: Sequence[Sequence[Cell | None]]
    of_runs: bool
    """Whether cells are of runs; else of the estimators of a single run."""
    named: bool = True
    """Whether rows and columns are named at their sides; else each cell says its row."""

    @property
    def lines(self) -> list[str]:
        """The heading in lines; the last says so where more would follow."""
        return wrap(self.heading, WIDTH, max_lines=MOST_LINES, placeholder=" …")

    @property
    def above(self) -> int:
        """Pixels for the heading."""
        return 10 + LINE * max(1, len(self.lines))

    @property
    def below(self) -> int:
        """Pixels for the names of the columns, which stand upright on a phone."""
        longest = max((len(line) for name in self.columns for line in _broken(name)), default=0)
        return 34 + LETTER * longest if self.named else 16

    @property
    def height(self) -> int:
        """Pixels in all."""
        return self.above + ROW * len(self.rows) + self.below


def figure(source: Source, query: Query) -> go.Figure:
    """Draw the first metric named; else the first of the usual ones that there is."""
    group, reader = members.of_runs(source, query.runs), Reader(source, query)
    name = query.metrics[0] if query.metrics else _usual(group, reader)
    all_panels = _panels(group, reader, name) if group.placed else []
    named = [panel for panel in all_panels if panel.named]
    shown = [panel for panel in all_panels if not panel.named or panel in named[:PANELS]]
    counts = [sum(map(_count, some)) for some in (shown, all_panels)]
    tally = canvas.Tally(counts[0], counts[1], "the first panels")
    for sentence in _notes(group, all_panels, name, query):
        tally.say(sentence)
    # A row each, so that a cell that is exact does not stretch the colours of a cosine.
    values = [[cell.sample.mean] for panel in shown for row in panel.cells for cell in row if cell]
    colours = cells.Colours.for_values(metric(name), np.array(values, np.float64).reshape(-1, 1))
    traces = [
        trace for at, panel in enumerate(shown) for trace in _traces(at, panel, name, colours)
    ]
    return canvas.finish(
        traces,
        tally,
        title=f"{INFO.title}: {metric_of_part(name).short}",
        showlegend=False,
        **_layout(shown),
    )


def _count(panel: Panel) -> int:
    return sum(cell is not None for row in panel.cells for cell in row)


def _usual(group: members.Members, reader: Reader) -> str:
    names = OF_RUNS if group.several else OF_ESTIMATORS
    candidates = (name for name in names if any(reader.has(m, name) for m in group.placed))
    return next(candidates, names[0])


def _panels(group: members.Members, reader: Reader, name: str) -> list[Panel]:
    """A panel for each setting, all with the same rows and columns; then the other estimators."""
    places = [member.place for member in group.placed if member.place]
    titles = column_titles(places)
    targets = sorted({place.target for place in places}, key=target_order)
    settings = panels(group.placed)
    headings = differences([each[0].setting for each in settings])
    drawn = []
    for heading, each in zip(headings, settings, strict=True):
        grouped = by_place(each)
        rows = [
            [
                cell_of(reader, grouped[target, column], name)
                if (target, column) in grouped
                else None
                for column in titles
            ]
            for target in targets
        ]
        drawn.append(Panel(heading, targets, list(titles.values()), rows, group.several))
    if others := rows_of_others(group.others):
        rows = [[cell_of(reader, each, name)] for each in others.values()]
        names = list(others)
        drawn.append(Panel("Without a guess", names, ["none"], rows, group.several, named=False))
    return drawn


def _notes(
    group: members.Members, drawn: Sequence[Panel], name: str, query: Query
) -> Iterator[str]:
    yield from group.left_out
    all_cells = [cell for panel in drawn for row in panel.cells for cell in row if cell]
    if not all_cells:
        return
    yield f"colour: {metric_of_part(name).axis.replace('<br>', ', ')}{_where(name, query)}"
    if not group.several and any(
        cell is None for panel in drawn for row in panel.cells for cell in row
    ):
        yield "none: no estimator of this run has this target and guess"
    if all(is_at_a_point(member, name) for cell in all_cells for member in cell.members):
        yield "newest value"
    else:
        yield f"mean of the last {query.window} points"
    if any(cell.sample.count > 1 for cell in all_cells):
        yield "several runs in a cell: mean over seeds, 95 % t-interval in the table and on hover"
    if any(len(cell.rounded) == len(cell.members) for cell in all_cells):
        yield HATCH_NOTE
    if any(cell.missing and cell.sample.count for cell in all_cells):
        yield "*: some runs of the cell have no value"
    if sum(panel.named for panel in drawn) > 1:
        yield "a panel for each setting, since different settings are never averaged"
    if any(cell.tuned for cell in all_cells):
        yield "of several optimisers in a cell, the best on the validation part"


def _where(name: str, query: Query) -> str:
    """The layer that a measure is of, where it has layers."""
    if is_of_the_run(name):
        return ""
    if query.layer:
        return f" in {clipped(query.layer)}"
    return ", mean over the blocks" if name.startswith("estimator/") else ""


def _traces(at: int, panel: Panel, name: str, colours: cells.Colours) -> list[go.Heatmap]:
    """The cells that have a value, and in grey those that have none or nobody in them."""
    axes = {"xaxis": f"x{at + 1 if at else ''}", "yaxis": f"y{at + 1 if at else ''}"}
    means = np.array(
        [[cell.sample.mean if cell else np.nan for cell in row] for row in panel.cells], np.float64
    )
    positions = cells.gaps(colours.position(means))
    has_colour = np.isfinite(positions)
    codes = [
        [
            None if has_colour[i, j] else NO_RUN if cell is None else NO_VALUE
            for j, cell in enumerate(row)
        ]
        for i, row in enumerate(panel.cells)
    ]
    shared: dict[str, Any] = {
        "x": [plain(each) for each in panel.columns], "y": [plain(each) for each in panel.rows],
        "hovertext": _each(panel, lambda i, j: _hover(panel, i, j, name)),
        "texttemplate": "%{text}", "hovertemplate": "%{hovertext}<extra></extra>",
        "hoverongaps": False, "xgap": 3, "ygap": 3, "name": "", **axes,
    }  # fmt: skip
    meta: dict[str, Any] = {"full": plain(panel.heading)} if panel.heading else {}
    if panel.of_runs:
        meta["links"] = _each(panel, lambda i, j: _link(panel, i, j))
    value = go.Heatmap(
        **shared, text=_each(panel, lambda i, j: _printed(panel, i, j) if has_colour[i, j] else ""),
        z=positions, customdata=cells.gaps(means), zmin=colours.low, zmax=colours.high,
        colorscale=colours.scale, showscale=at == 0, colorbar=colours.bar() if at == 0 else None,
        meta=meta,
    )  # fmt: skip
    without = go.Heatmap(
        **shared, text=_each(panel, lambda i, j: "" if has_colour[i, j] else _printed(panel, i, j)),
        textfont={"color": style.GREY}, z=codes,
        zmin=NO_RUN, zmax=NO_VALUE, colorscale=GREYS, showscale=False,
        meta={**meta, "valueless": True},
    )  # fmt: skip
    return [value, without]


def _each(panel: Panel, text_of: Callable[[int, int], str]) -> list[list[str]]:
    return [[text_of(i, j) for j in range(len(panel.columns))] for i in range(len(panel.rows))]


def _printed(panel: Panel, i: int, j: int) -> str:
    """What stands in a cell: its value, or in a word why there is none."""
    cell = panel.cells[i][j]
    whose = "" if panel.named else f"{plain(distinct(tuple(panel.rows), 30)[panel.rows[i]])}: "
    if cell is None:
        return "no run" if panel.of_runs else "none"
    if not cell.sample.count:
        if len(cell.rounded) == len(cell.members):
            return f"{whose}{HATCH}"
        statuses = dict.fromkeys(member.run.status for member in cell.members)
        ended = "no value" if "finished" in statuses else next(iter(statuses))
        return f"{whose}{ended}"
    return f"{whose}{short(cell.sample.mean)}{'*' if cell.missing else ''}".replace("-", "−")


def _hover(panel: Panel, i: int, j: int, name: str) -> str:
    cell = panel.cells[i][j]
    row, column = plain(panel.rows[i]), plain(panel.columns[j])
    head = hover_head(f"target {row}, guess {column}" if panel.named else row)
    whole = "no run" if panel.of_runs else "no estimator of this run"
    said = cell.words(name) if cell else [f"{whole} has this target and guess"]
    runs = [f"#{member.run.number}" for member in cell.members if member.run.number] if cell else []
    whose = [", ".join(runs[:6]) + (" …" if len(runs) > 6 else "")] if runs else []
    return "<br>".join([head, *(plain(line) for line in [*said, *whose])])


def _link(panel: Panel, i: int, j: int) -> str:
    cell = panel.cells[i][j]
    return ",".join(cell.runs) if cell else ""


def _layout(drawn: Sequence[Panel]) -> dict[str, Any]:
    """Panels below each other, each as high as its rows, headings above them."""
    whole = sum(panel.height for panel in drawn) or 1.0
    layout: dict[str, Any] = {"height": int(np.clip(whole + 100, 220, 2400)), "annotations": []}
    top = 1.0
    for at, panel in enumerate(drawn):
        suffix, share = at + 1 if at else "", panel.height / whole
        above, below = panel.above / whole, panel.below / whole if panel.named else 0.0
        domain = [max(0.0, top - share + below), top - above]
        layout["annotations"].append(_heading(panel.lines, domain[1]))
        layout |= _axes(panel, suffix, domain)
        top -= share
    return layout


def _axes(panel: Panel, suffix: int | str, domain: list[float]) -> Mapping[str, Any]:
    shared = {"type": "category", "showgrid": False, "fixedrange": True, "ticks": ""}
    return {
        f"xaxis{suffix}": canvas.axis(
            "guess" if panel.named else "", anchor=f"y{suffix}", showticklabels=panel.named,
            tickmode="array", tickvals=[plain(name) for name in panel.columns],
            ticktext=["<br>".join(map(plain, _broken(name))) for name in panel.columns],
            autotickangles=[0, -90], **shared,
        ),
        f"yaxis{suffix}": canvas.axis(
            "target" if panel.named else "", anchor=f"x{suffix}", domain=domain,
            autorange="reversed", showticklabels=panel.named, **shared,
        ),
    }  # fmt: skip


def _broken(name: str) -> list[str]:
    """A column's name in lines: broken behind spaces and underscores."""
    lines: list[str] = []
    for word in re.findall(r"[^_ ]*[_ ]?", name):
        if lines and len(lines[-1] + word.rstrip()) <= COLUMN:
            lines[-1] += word
        else:
            lines.append(word)
    return [line.rstrip() for line in lines if line.strip()]


def _heading(lines: Sequence[str], y: float) -> dict[str, Any]:
    return {
        "text": "<br>".join(map(plain, lines)), "x": 0, "xref": "paper", "xanchor": "left", "y": y,
        "yref": "paper", "yanchor": "bottom", "showarrow": False, "font": {"size": 12},
        "align": "left",
    }  # fmt: skip
