"""Every figure once: the live page, the one-file export and a notebook draw the same.

A figure is a module of `run` or `microscope` with `title`, `help`, `parameters` and
`figure(source, query) -> plotly.graph_objects.Figure`; it is found by walking these packages. Its
traces hold plain lists of float64 x and y, so that the browser can extend them; one that can grow
says of which series: `meta: {series, run, x}`. The modules load on first use: plotly is not
imported with this package.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from backend.figures import microscope, run
from backend.figures.data.memory import Memory, MemoryRun
from backend.figures.data.query import PARAMETERS, parse
from backend.figures.data.source import FigureError, Source

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = [
    "FigureError",
    "Memory",
    "MemoryRun",
    "Source",
    "catalogue",
    "draw",
    "measurement",
    "plotted",
]


def catalogue() -> list[dict[str, Any]]:
    """All figures: `{name, title, help, parameters}`, by name."""
    return [
        {
            "name": name,
            "title": module.title,
            "help": module.help,
            "parameters": [{"name": one, **PARAMETERS[one]} for one in module.parameters],
        }
        for name, module in sorted(_modules().items())
    ]


def draw(name: str, source: Source, query: Mapping[str, str]) -> dict[str, Any]:
    """Draw a figure as plain JSON: `{figure: {data, layout}, shown, count, note}`.

    Raises FigureError for an unknown figure or a query that it cannot answer.
    """
    plain = plotted(name, source, query).to_plotly_json()
    told = plain["layout"].pop("meta")
    return {"figure": {"data": plain["data"], "layout": plain["layout"]}, **told}


def plotted(name: str, source: Source, query: Mapping[str, str]) -> "Figure":
    """The same as plotly's own object; its `layout.meta` tells `{shown, count, note}`."""
    modules = _modules()
    if name not in modules:
        raise FigureError(f"there is no figure {name!r}; there are {', '.join(sorted(modules))}")
    return modules[name].figure(source, parse(query))


def measurement(measured: Any) -> "Figure":
    """Draw what `estimators.measure(...)` returned: each measure by layer, a dot an estimator.

    Takes anything with `rows()` of (metric, layer, estimator, value).
    """
    from backend.figures.drawing import measured as drawing

    return drawing.figure(measured)


@cache
def _modules() -> dict[str, ModuleType]:
    modules = {}
    for package in (run, microscope):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            modules[module.name.rpartition(".")[2]] = importlib.import_module(module.name)
    return modules
