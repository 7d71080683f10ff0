"""`show`: every figure of what was measured, with one call."""

from backend.notebook import series
from backend.notebook.views import Views
from estimators.measure.measurement import Measurement


def show(found: Measurement, name: str = "") -> Views:
    """The figures of what `measure` gave, which a notebook shows one below the other.

    `name` stands above them. Raises TypeError for anything else.
    """
    if isinstance(found, Measurement):
        return Views(series.source(found, name), series.RUN, found, _words(found))
    raise TypeError(f"{type(found).__name__} was given; what measure() returned is allowed")


def _words(of: Measurement) -> str:
    """What is to be said of the whole network, a line an estimator."""
    return "\n".join(
        f"{label}: {'; '.join(one[0].text for one in said)}"
        for label in of.values
        if (said := [one[label] for one in (of.findings, of.verdicts) if label in one])
    )
