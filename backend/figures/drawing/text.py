"""Names and hover texts: plotly reads a little HTML and templates in every string that it draws.

The names in a hover text are escaped already (`plain`); its `%{...}` are plotly's, in d3's formats.
"""

import re

from backend.figures.data.metrics import Metric
from backend.figures.drawing import names
from backend.figures.drawing.names import clipped
from backend.figures.words.names import capital, short_names

__all__ = [
    "clipped", "full_name", "hover_head", "hover_mark", "hover_point", "line_name", "plain",
    "run_name", "without_paths",
]  # fmt: skip

_QUOTED_PATH = re.compile(r"(['\"])[^'\"]*[\\/][^'\"]*\1")
_PATH = re.compile(r"(?<!\S)(?!∂\w/∂\w(?!\S))\S*[\\/]\S*")
"""A word with a slash; a derivative such as ∂f/∂z is no path."""
_BREAK = re.compile(r"(.{40,70}?[,(·] ?)(?=.)")
"""Where a long name goes on in the next line of a hover."""


def plain(text: str) -> str:
    """The text so that plotly draws it literally, whatever it holds."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("%{", "%&#123;")


def run_name(number: int | None, name: str) -> str:
    """The name of a run in legends and titles, escaped; beside other runs, what differs of it."""
    return plain(names.of_run(number, name))


def line_name(label: str, number: int | None, name: str, *, several: bool) -> str:
    """The name of an estimator's line, escaped; with its run where there are several.

    What a legend shows of it is noted beside: the estimator as people write it, and only what
    differs of the run; of one estimator in several runs, the run alone.
    """
    shown = plain(names.of_line(label, number, name, several=several))
    labels = names.labels()
    short = capital(short_names(labels if label in labels else (*labels, label))[label])
    run = names.of_run(number, name) if several else ""
    if several and labels == (label,):
        short = run
    elif several:  # runs are often named after their driver
        short = f"{short} · {' '.join(word for word in run.split() if word != label)}"
    names.remember(shown, plain(short))
    return shown


def full_name(*parts: str) -> str:
    """All that a name is made of, whole and escaped: for hovers and titles."""
    return plain(" · ".join(part for part in parts if part))


def without_paths(text: str) -> str:
    """The text with every word left out that could be a path: what a reader elsewhere may see."""
    return _PATH.sub("…", _QUOTED_PATH.sub("…", text))


HOVER_PLACES = {
    "step": "step %{x:,.0f}",
    "examples": "%{x:,.0f} examples",
    "forwards": "%{x:,.0f} forward passes",
    "seconds": "%{x:,.3~f} s of training",
    "draws": "%{x:,.0f} draws",
}
"""The horizontal place, by the query's `x`; a microscope's is in draws."""


def hover_point(name: str, x: str, what: Metric, value_field: str = "y") -> str:
    """The template of a point; `value_field` is plotly's field of the value itself."""
    value = f"{what.short} %{{{value_field}:.4~g}}{what.suffix}"
    return f"{hover_head(name)}<br>{HOVER_PLACES[x]}<br>{value}<extra></extra>"


def hover_mark(x: str) -> str:
    """The template of a mark that has a text of its own."""
    return f"%{{text}}<br>{HOVER_PLACES[x]}<extra></extra>"


def hover_head(name: str) -> str:
    """The first lines: the whole name of the point's line."""
    lines = _BREAK.sub(r"\1<br>", name)
    return f"<b>{lines}</b>"
