"""The latest probes of a series taken together: their mean and their spread."""

from dataclasses import dataclass

import numpy as np

from backend.figures.data.source import Source


@dataclass(frozen=True)
class Pooled:
    """Mean, lowest and highest of the finite values among the last `probes` points."""

    mean: float
    low: float
    high: float
    rms: float
    """Root mean square."""
    probes: int
    lost: int
    """Of these, how many were NaN or infinite."""


def latest(source: Source, series_id: int, window: int) -> Pooled:
    """Pool the last `window` points; the mean is NaN where none is finite."""
    points = source.points(series_id)
    values = points.values[-window:]
    good = values[np.isfinite(values)]
    lost = len(values) - len(good)
    if not len(good):
        return Pooled(np.nan, np.nan, np.nan, np.nan, len(values), lost)
    ends = float(good.min()), float(good.max())
    # A diverging run's values overflow: infinity is then the right answer.
    with np.errstate(over="ignore"):
        mean, rms = float(good.mean()), float(np.sqrt(np.mean(good**2)))
    return Pooled(mean, *ends, rms, len(values), lost)


def words(window: int) -> str:
    """What dots and whiskers mean."""
    return (
        f"best first; dot: mean of the last {window} probes, "
        "whisker: lowest to highest of these, not a confidence interval"
    )
