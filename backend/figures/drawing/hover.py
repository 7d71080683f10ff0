"""Hover texts: the name of the line, the place and the value, with names and units.

Names come already escaped (`text.plain`); `%{...}` is plotly's, in d3's formats.
"""

from backend.figures.data.metrics import Metric

WHERE = {
    "step": "step %{x:,.0f}",
    "examples": "%{x:,.0f} examples",
    "forwards": "%{x:,.0f} forward passes",
    "seconds": "%{x:,.3~f} s of training",
    "draws": "%{x:,.0f} draws",
}
"""The horizontal place, by the query's `x`; a microscope's is in draws."""


def point(who: str, x: str, what: Metric, held: str = "y") -> str:
    """The template of a point; `held` names plotly's field of the value itself."""
    return f"{head(who)}<br>{WHERE[x]}<br>{what.short} %{{{held}:.4~g}}{what.suffix}<extra></extra>"


def mark(x: str) -> str:
    """The template of a mark that has a text of its own."""
    return f"%{{text}}<br>{WHERE[x]}<extra></extra>"


def head(who: str) -> str:
    """The first line: the name of the point's line."""
    return f"<b>{who}</b>"
