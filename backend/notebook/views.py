"""The figures of what was measured, by name and all together."""

import inspect
import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.figures import Source, measurement, note_text, plotted
from backend.figures.catalogue import charts_of, modules
from backend.figures.data.source import FigureError
from backend.figures.drawing.text import plain
from backend.figures.info import FigureInfo, Page
from backend.notebook.series import RUN

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from backend.figures.findings import Finding
    from backend.sharing.panels import Own

INK, GRID = "#1b1f24", "#e1e4e8"
LINE = 150
"""Characters of a line of a note."""


class Views:
    """What the lab's page shows, as plotly figures; a method is called as its figure is.

    The methods come from the catalogue of figures: `.histogram(metric="cosine")` draws the figure
    `histogram`, and its arguments are the figure's parameters (`help(views.histogram)` lists
    them). `layer` is the name of a stage or a tensor, "" for the whole network; `estimator` is a
    label, "" for all of them, or for the first where there can be one only. A method raises
    FigureError, in words, for a question that its figure cannot answer.
    """

    page: Page = "draws"
    """The page whose charts these are."""

    def __init__(
        self,
        source: Source,
        table: Any,
        words: str = "",
        *,
        run: str = RUN,
        own: "Own" = lambda run_id: (),
    ) -> None:
        """`table` is shown above the figures; `words` stand above them in a file. `run` is the id
        that the run has in `source`; `own` gives its figures of plug-ins."""
        self._source, self._table, self._words = source, table, words
        self._run, self._own = run, own

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of the methods that draw the page's figures."""
        return tuple(dict.fromkeys(placed.figure for placed in charts_of(self.page)))

    def __getattr__(self, name: str) -> Callable[..., "Figure"]:
        if name.startswith("_") or name not in modules():
            raise AttributeError(f"{type(self).__name__} has no figure {name!r}")
        return _method(self, name, modules()[name].INFO)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.figures]

    def figure(self, name: str, **asked: Any) -> "Figure":
        """Any figure of the lab, by its name and its parameters."""
        query = {key: _text(value) for key, value in asked.items() if value not in ("", None)}
        self._check(query)
        return on_white(plotted(name, self._source, {"runs": self._run, **query}))

    def all(self) -> "list[Figure]":
        """All charts that the page and its export hold, in their order."""
        import plotly.graph_objects as go

        from backend.sharing.panels import BUDGET, of_run, own_panels

        _, panels = of_run(self._source, self._run, "view", BUDGET)
        panels += own_panels(self._run, "view", self._own)
        firsts = [json.loads(next(iter(panel.figures.values()))) for panel in panels]
        return [
            on_white(
                go.Figure(d["figure"]),
                "; ".join(filter(None, (d["note"], d["details"]))),
                d["takeaway"],
            )
            for d in firsts
        ]

    def findings(self) -> "list[Finding]":
        """What a reader must know besides, the most severe first, in the words of the lab's page:
        its losses, its layers, its estimators, and what it recorded itself.

        for finding in show_run(12).findings(): print(finding)
        """
        from backend.figures.findings import findings_of

        return findings_of(self._source, self._run)

    def save(self, path: Path | str) -> Path:
        """Write everything into one HTML file that works without a network; returns its path."""
        from backend.sharing import html

        to = Path(path)
        page = html(self._source, [self._run], text=self._words, own=self._own)
        to.write_text(page, encoding="utf-8")
        return to

    def _check(self, query: dict[str, str]) -> None:
        """A layer or an estimator that is not there would be an empty figure."""
        series = self._source.series(self._run)
        allowed_names = {
            "layer": dict.fromkeys(each.layer for each in series if each.layer),
            "estimator": dict.fromkeys(each.estimator for each in series if each.estimator),
        }
        for key, names in allowed_names.items():
            if key in query and query[key] not in names:
                allowed = ", ".join(map(repr, names)) or "none"
                raise FigureError(f"there is no {key} {query[key]!r}; there are {allowed}")

    def _ipython_display_(self) -> None:
        from IPython.display import display  # type: ignore[import-not-found]

        above = () if self._table is None else (self._table,)
        for finding in self.findings():
            print(finding)
        display(*above, *self.all())

    def __repr__(self) -> str:
        methods = ", ".join(f".{name}()" for name in self.figures)
        run = self._source.run(self._run)
        name = run.name or f"run {run.number}"
        return f"figures of {name}: {methods}; .all() of them; .save('figures.html')"


class MeasurementViews(Views):
    """The figures of a measurement."""

    @property
    def figures(self) -> tuple[str, ...]:
        return (*super().figures, "dots")

    def dots(self, level: str = "stage") -> "Figure":
        """Every measure by layer, a dot an estimator; level "tensor" has the tensors too."""
        hidden = () if level == "tensor" else self._table.tensors
        rows = [row for row in self._table.rows() if row.layer not in hidden]
        return on_white(measurement(Rows(rows)))


@dataclass(frozen=True)
class Rows:
    """Some of a measurement's numbers."""

    kept: Sequence[Any]

    def rows(self) -> Sequence[Any]:
        return self.kept


class SweepViews(Views):
    """The figures of a sweep."""

    page = "sweep"


class AnatomyViews(Views):
    """The figures of an anatomy."""

    page = "anatomy"


class WhatIfViews(Views):
    """The figures of steps that were tried."""

    page = "one_step"


class AdjointMapViews(Views):
    """The figures of an adjoint map."""

    page = "adjoint_map"


class ComparisonViews(Views):
    """The figures of a comparison."""

    page = "comparison"

    def figure(self, name: str, **asked: Any) -> "Figure":
        """As `Views.figure`; the compared measure and layer where others are not asked for."""
        compared = {"metric": self._table.metric, "layer": self._table.layer}
        takes = modules()[name].INFO.parameters if name in modules() else ()
        return super().figure(name, **{k: v for k, v in compared.items() if k in takes} | asked)

    def all(self) -> "list[Figure]":
        return [self.figure(name) for name in self.figures]


def on_white(figure: "Figure", note: str | None = None, takeaway: str = "") -> "Figure":
    """The same traces on white, with takeaway and note below the title, whatever theme a notebook
    has.

    Without a `note` both are those that the figure carries in its `layout.meta`.
    """
    layout: Any = figure.layout
    if note is None:
        meta = layout.meta or {}
        takeaway, note = meta.get("takeaway", ""), note_text(meta) if meta else ""
    wrapped = textwrap.wrap(note, LINE)
    first = f"<b>{plain(takeaway)}</b>" if takeaway else ""
    lines = [line for line in (first, layout.title.subtitle.text, *map(plain, wrapped)) if line]
    room = 16 * (len(wrapped) + bool(takeaway))
    figure.update_layout(
        title_subtitle_text="<br>".join(lines),
        margin_t=(layout.margin.t or 60) + room,
        height=(layout.height or 360) + room,
        paper_bgcolor="white",
        plot_bgcolor="white",
        font_color=INK,
    )
    traces: Any = figure.data
    for trace in traces:
        if short := (trace.meta or {}).get("short"):
            trace.name = short
    figure.update_xaxes(gridcolor=GRID, linecolor=GRID)
    figure.update_yaxes(gridcolor=GRID, linecolor=GRID)
    return figure


def _method(views: Views, name: str, info: FigureInfo) -> Callable[..., "Figure"]:
    """A figure as a method: its parameters as arguments, its words as the docstring."""
    names = [parameter for parameter in info.parameters if parameter != "runs"]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(each, kind, default="") for each in names])

    def method(*args: Any, **asked: Any) -> "Figure":
        return partial(views.figure, name)(**signature.bind(*args, **asked).arguments)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"{info.title}. {info.help}\n\n{info.reading}"
    method.__signature__ = signature  # type: ignore[attr-defined]
    return method


def _text(value: Any) -> str:
    """A value as an address would hold it."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
