"""Every figure by its name: a module of `run` or `microscope`, found by walking these packages.

A figure module defines `INFO`, a `FigureInfo`, and `figure(source, query)`. Nothing else has to
name it: the page, the export and the notebook read this catalogue.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from backend.figures import microscope, run
from backend.figures.data.metrics import is_of_the_run, metric, split_of
from backend.figures.data.query import PARAMETERS, Query
from backend.figures.data.source import Source
from backend.figures.info import Chart, FigureInfo, Page, Pick
from backend.figures.pages import SECTIONS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class FigureModule(Protocol):
    """What a figure module defines."""

    @property
    def INFO(self) -> FigureInfo: ...  # noqa: N802

    def figure(self, source: Source, query: Query) -> "Figure": ...


class PlacedChart(NamedTuple):
    """A chart with the name of its figure, and its words: the figure's own where it has none."""

    figure: str
    chart: Chart
    title: str
    help: str
    reading: str


@cache
def modules() -> dict[str, FigureModule]:
    """Figure modules by name. They load on first use: plotly is not imported with this package."""
    return {
        module.name.rpartition(".")[2]: cast(FigureModule, importlib.import_module(module.name))
        for package in (run, microscope)
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    }


def charts_of(page: Page) -> list[PlacedChart]:
    """The charts of a page, in their order."""
    names = [section.name for section in SECTIONS if section.page == page]
    placed = [
        ((names.index(place.section), place.order), _with_words(figure, module.INFO, chart))
        for figure, module in modules().items()
        for chart in module.INFO.charts
        for place in chart.places
        if place.page == page
    ]
    return [chart for _, chart in sorted(placed, key=lambda pair: pair[0])]


def _with_words(figure: str, info: FigureInfo, chart: Chart) -> PlacedChart:
    own_help = chart.help or info.help
    return PlacedChart(
        figure, chart, chart.title or info.title, own_help, chart.reading or info.reading
    )


def catalogue() -> dict[str, Any]:
    """All figures as plain JSON: `{parameters, sections, figures}`.

    `parameters` are by name; `sections` are in the order of their pages; `figures` are by name,
    `{name, title, help, reading, parameters, charts}`, with the words of every chart filled in.
    """
    return {
        "parameters": {name: asdict(parameter) for name, parameter in PARAMETERS.items()},
        "sections": [{**asdict(section), "picks": _picks(section.picks)} for section in SECTIONS],
        "figures": [entry_of(name, module.INFO) for name, module in sorted(modules().items())],
    }


def entry_of(name: str, info: FigureInfo) -> dict[str, Any]:
    """A figure of the catalogue as plain JSON."""
    charts = []
    for chart in info.charts:
        placed = _with_words(name, info, chart)
        words = {"title": placed.title, "help": placed.help, "reading": placed.reading}
        charts.append({**asdict(chart), **words, "picks": _picks(chart.picks)})
    return {
        "name": name,
        "title": info.title,
        "help": info.help,
        "reading": info.reading,
        "parameters": list(info.parameters),
        "charts": charts,
    }


def _picks(picks: Sequence[Pick]) -> list[dict[str, Any]]:
    """Controls with the titles of their choices."""
    return [
        {
            **asdict(pick),
            "title": pick.title or PARAMETERS[pick.parameter].title,
            "choices": [_metric_choice(name) for name in pick.choices]
            or [asdict(choice) for choice in PARAMETERS[pick.parameter].choices],
        }
        for pick in picks
    ]


def _metric_choice(name: str) -> dict[str, Any]:
    title, part = metric(name).title, split_of(name)
    if part:
        title = f"{part.capitalize()} {title.lower()}, by driver"
    return {"value": name, "title": title, "whole_run": is_of_the_run(name)}
