"""Names, colours, axis titles and metrics of a study's figures, from its labels and measures."""

from collections import Counter
from collections.abc import Iterable

from backend.figures.data.metrics import Metric
from backend.figures.drawing import style
from backend.figures.drawing.names import distinct
from backend.figures.drawing.text import plain
from backend.studies.measure import Measure

FEWEST = 3
"""Fewest characters that are left of a method's name."""


def colour(label: str) -> str:
    """The colour of a variant: that of its method, shaded by what it varies.

    `forward_gradient, samples 4` is a shade of the colour that `forward_gradient` has everywhere.
    """
    method, _, fields = label.partition(", ")
    return style.colour(f"{method}({fields})" if fields else method)


def short_labels(labels: Iterable[str], longest: int) -> dict[str, str]:
    """{label: at most `longest` characters of it}; what a variant varies goes before its method.

    `forward_gradient, samples 16` becomes `forward_gra…, samples 16`.
    """
    whole = tuple(dict.fromkeys(labels))
    short = {label: _short(label, longest) for label in whole}
    counts = Counter(short.values())
    unlike = distinct(whole, longest)
    return {label: text if counts[text] == 1 else unlike[label] for label, text in short.items()}


def _short(label: str, longest: int) -> str:
    if len(label) <= longest:
        return label
    method, comma, fields = label.partition(", ")
    room = longest - len(comma + fields) - 1
    return f"{method[:room]}…{comma}{fields}" if room >= FEWEST else f"{label[: longest - 1]}…"


def axis_title(measure: Measure) -> str:
    """The measure with its unit: `test accuracy (%)`."""
    unit = measure.suffix.strip()
    return plain(f"{measure.title} ({unit})" if unit else measure.title)


def metric_in_units(measure: Measure) -> Metric:
    """The measure as its values are drawn, in percent where they are fractions."""
    bounds = (-1, 1) if measure.name.rpartition("/")[2] in ("cosine", "guess_cosine") else None
    return Metric(measure.title, axis_title(measure), measure.scaling, bounds)
