"""Names and hover texts: plotly reads a little HTML and templates in every string that it draws.

The names in a hover text are escaped already (`plain`); its `%{...}` are plotly's, in d3's formats.
"""

from backend.figures.data.metrics import Metric

LONGEST = 48


def plain(text: str) -> str:
    """The text so that plotly draws it literally, whatever it holds."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("%{", "%&#123;")


def clipped(text: str, longest: int = LONGEST) -> str:
    """The text, or its beginning with an ellipsis; before `plain`, which it could cut in two."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def run_name(number: int | None, name: str) -> str:
    """The name of a run in legends and titles, escaped; without a number, its name alone."""
    numbered = name if number is None else f"#{number} {name}"
    return plain(clipped(numbered.strip()))


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
    """The first line: the name of the point's line."""
    return f"<b>{name}</b>"
