"""`Figure`: the base of a figure in a plug-in file, and what the page is told of it."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from backend.figures.data.source import FigureError, Source
from backend.figures.data.tally import Tally
from backend.figures.drawing.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from backend.figures.info import Chart, FigureInfo, Place

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
"""Those of lines and bars without one: the palette without the yellow, faint on white."""
COLOURED = frozenset({"scatter", "scattergl", "bar", "histogram"})
MOST_NUMBERS = 200_000
"""Numbers in the traces of one figure: what a browser still draws."""
MOST_BYTES = 16_000_000
"""Of a figure as JSON: MOST_NUMBERS points of two numbers each, and as much for texts."""


class Figure(ABC):
    """Base of figures of one's own: a frozen dataclass with the method `figure`.

    The docstring is the figure's help. It stands in the section *Your figures* of a training run.
    """

    title: ClassVar[str] = ""
    """Empty for the class name in words."""
    reading: ClassVar[str] = ""
    """One sentence: how to read it, and what to conclude."""
    metrics: ClassVar[tuple[str, ...]] = ()
    """The metrics whose new points change it; empty for every metric."""

    @abstractmethod
    def figure(self, source: Source, run: str, /) -> "go.Figure":
        """The figure of a run, as plotly's object.

        `source.series(run)` lists the series, each with `metric`, `layer` and `estimator`;
        `source.points(series.id, max=1000)` has their `steps` and `values`; `source.run(run)` has
        the `config` and the `labels` of driver and shadows.
        """


def info_of(name: str, cls: type[Figure], title: str) -> FigureInfo:
    """What the catalogue says of the figure `name`; `title` is that of one without its own."""
    chart = Chart(
        f"own-{name.replace('_', '-')}", (Place("run", "own", 10),),
        follows=cls.metrics, size="tall", runs="focused",
    )  # fmt: skip
    words = " ".join((cls.__doc__ or "").split())
    return FigureInfo(cls.title or title, words, cls.reading, ("runs",), (chart,))


def drawn(figure: Figure, info: FigureInfo, source: Source, run: str) -> "go.Figure":
    """The figure of a run in the lab's layout. Raises FigureError for what is no figure."""
    import plotly.graph_objects as go

    from backend.figures.drawing import canvas
    from backend.figures.drawing.text import plain

    made = figure.figure(source, run)
    if not isinstance(made, go.Figure):
        kind = type(made).__name__
        raise FigureError(
            f"figure() returned a {kind}; it must return a plotly.graph_objects.Figure"
        )
    traces: Any = made.data
    numbers = sum(_length(trace) for trace in traces)
    if numbers > MOST_NUMBERS:
        raise FigureError(
            f"the figure has {numbers:,} points; at most {MOST_NUMBERS:,} are drawn: read them "
            "with source.points(id, max=1000)"
        )
    layout = made.to_plotly_json()["layout"]
    title = (layout.pop("title", None) or {}).get("text") or plain(info.title)
    own = {key: value for key, value in layout.items() if key not in ("template", "meta")}
    _colour(traces, own.get("colorway") or COLOURS)
    axes = {key: {"automargin": True, **own.pop(key, {})} for key in _axes(traces)}
    return canvas.finish(traces, Tally(numbers, numbers), title=title, **axes, **own)


def _colour(traces: Any, colours: Sequence[str]) -> None:
    """Give lines and bars without a colour the next one, so that a legend can show it."""
    for at, trace in enumerate(traces):
        if trace.type not in COLOURED:
            continue
        parts = [trace[key] for key in ("line", "marker") if key in trace]
        given = [part.color for part in parts if isinstance(part.color, str)]
        for part in parts:
            if part.color is None:
                part.color = given[0] if given else colours[at % len(colours)]


def _axes(traces: Any) -> list[str]:
    """The names of the axes in a layout, which the page gives the colours of its theme."""
    used = {
        (trace[side] or side[0]).replace(side[0], side, 1)
        for trace in traces
        for side in ("xaxis", "yaxis")
        if side in trace
    }
    return sorted(used)


def in_json(figure: "go.Figure") -> dict[str, Any]:
    """What `drawn` gave as `backend.figures.draw` returns it; NaN and infinities are None, gaps.

    Raises FigureError for what JSON cannot hold, and for more than MOST_BYTES.
    """
    from plotly.utils import PlotlyJSONEncoder  # knows numpy's numbers, and times

    from backend.figures import as_json

    try:
        text = json.dumps(as_json(figure), cls=PlotlyJSONEncoder)
    except (TypeError, ValueError) as error:
        raise FigureError(f"the figure does not fit in JSON: {error}") from error
    if len(text) > MOST_BYTES:
        raise FigureError(
            f"the figure takes {len(text) / 1e6:,.1f} MB; at most {MOST_BYTES / 1e6:,.0f} MB are "
            "drawn: show fewer points, or shorter texts"
        )
    return json.loads(text)


def _length(trace: Any) -> int:
    """The points of a trace: of the longest of its arrays."""
    arrays = (trace[key] for key in ("x", "y", "z", "values") if key in trace)
    return max((getattr(a, "size", 0) or len(a) for a in arrays if a is not None), default=0)
