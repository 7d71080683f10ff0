"""Every figure once: the live page, the one-file export and a notebook draw the same.

A figure is a module of `run` or `microscope`: it defines `INFO` (its words, parameters and charts,
an `info.FigureInfo`) and `figure(source, query) -> plotly.graph_objects.Figure`. Its traces hold
plain lists of float64 x and y, so that the browser can extend them; a trace that can grow names
its series: `meta: {series, run, x}`. The modules load on first use: plotly is not imported with
this package.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backend.figures.catalogue import catalogue, modules
from backend.figures.data.query import parse
from backend.figures.data.read_once import ReadOnce
from backend.figures.data.select import families
from backend.figures.data.source import FigureError, Memory, MemoryRun, Source
from backend.figures.data.tally import note_text
from backend.figures.drawing.inks import dark_shades
from backend.figures.drawing.names import numbered, remembered, side_by_side

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = [
    "FigureError",
    "Memory",
    "MemoryRun",
    "Source",
    "as_json",
    "catalogue",
    "draw",
    "measurement",
    "note_text",
    "plotted",
]


def draw(name: str, source: Source, query: Mapping[str, str]) -> dict[str, Any]:
    """Draw a figure as plain JSON: `{figure: {data, layout}, shades, takeaway, shown, count,
    selection, zoomed, note, details, meta}`.

    `shades` has for each colour of the data the one that stands for it on a dark page;
    `takeaway` is a sentence on what the numbers say; `shown` of `count` points are drawn, selected
    by `selection`; `note` is a list of sentences that belong beside the figure, `details` of those
    that are shown on demand; `meta` holds named numbers for other parts of the page.
    Raises FigureError for an unknown figure or a query that it cannot answer.
    """
    return as_json(plotted(name, source, query))


def as_json(figure: "Figure") -> dict[str, Any]:
    """A figure in the lab's layout as `draw` returns it."""
    plain = figure.to_plotly_json()
    parts = plain["layout"].pop("meta")
    data = [{key: _as_lists(value) for key, value in trace.items()} for trace in plain["data"]]
    shades = dark_shades(data)
    return {"figure": {"data": data, "layout": plain["layout"]}, "shades": shades, **parts}


def _as_lists(value: Any) -> Any:
    """An array that plotly has encoded, as lists in which NaN is None; else the value itself.

    Figures give large grids as arrays, because plotly checks lists number by number.
    """
    if not (isinstance(value, dict) and "bdata" in value):
        return value
    from base64 import b64decode

    import numpy as np

    shape = [int(size) for size in str(value.get("shape", "-1")).split(",")]
    array = np.frombuffer(b64decode(value["bdata"]), value["dtype"]).reshape(shape)
    listed = array.astype(object)
    listed[np.isnan(array)] = None
    return listed.tolist()


def plotted(name: str, source: Source, query: Mapping[str, str]) -> "Figure":
    """The same as plotly's own object; its `layout.meta` has all but `figure`."""
    figures = modules()
    if name not in figures:
        raise FigureError(f"there is no figure {name!r}; there are {', '.join(sorted(figures))}")
    asked, source = parse(query), ReadOnce(source)
    runs = [source.run(run_id) for run_id in asked.runs]
    with side_by_side(families(runs), [numbered(run.number, run.name) for run in runs]):
        return _with_short_names(figures[name].figure(source, asked), remembered())


def _with_short_names(figure: "Figure", short: Mapping[str, str]) -> "Figure":
    """The figure with what a legend shows of each line in `meta.short`."""
    traces: Any = figure.data
    for trace in traces:
        if trace.name in short and short[trace.name] != trace.name:
            trace.meta = {**(trace.meta or {}), "short": short[trace.name]}
    return figure


def measurement(measured: Any) -> "Figure":
    """Draw what `estimators.measure(...)` returned: each measure by layer, a dot an estimator.

    Takes anything with `rows()` of (metric, layer, estimator, value).
    """
    from backend.figures.drawing import measured as drawing

    rows = [tuple(row) for row in measured.rows()]
    with side_by_side([(row[2] for row in rows), (row[1] for row in rows)]):
        return drawing.figure(measured)
