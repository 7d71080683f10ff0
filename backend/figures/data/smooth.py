"""Smoothing of a line, which the reader asks for: the mean of so many points up to each."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backend.figures.data.source import Floats, Source
from backend.figures.data.window import Window


def smoothed(
    source: Source, series_ids: Sequence[int], points: Sequence[Window], over: int
) -> tuple[list[Window], str]:
    """What is drawn of each series, and a sentence that says so; "" if nothing is smoothed."""
    means = [means_of(source, i, shown, over) for i, shown in zip(series_ids, points, strict=True)]
    changed = any(mean is not shown for mean, shown in zip(means, points, strict=True))
    return means, f"smoothed: mean of {over:,} points up to each" if changed else ""


def means_of(source: Source, series_id: int, shown: Window, over: int) -> Window:
    """The points of `shown`, each with the mean of the `over` points of the series up to it.

    A series of fewer points stays as it is. Values that are not finite are left out of the means;
    where none is finite, the mean is NaN. All points are read, so that a mean does not depend on
    which of them are shown.
    """
    if over < 2:
        return shown
    pieces = [(piece.steps, piece.values) for piece in source.pieces(series_id)]
    steps = np.concatenate([piece[0] for piece in pieces] or [np.empty(0, np.int64)])
    if len(steps) < over:
        return shown
    means = running_mean(np.concatenate([piece[1] for piece in pieces]), over)
    at = np.searchsorted(steps, shown.steps)
    return replace(shown, values=means[np.minimum(at, len(means) - 1)])


def running_mean(values: Floats, over: int) -> Floats:
    """The mean of the finite ones of the last `over` values at each place (n,)."""
    finite = np.isfinite(values)
    # Relative to their own mean, so that small changes of large values keep their digits.
    offset = float(values[finite].mean()) if finite.any() else 0.0
    sums = _of_last(np.where(finite, values - offset, 0.0), over)
    counts = _of_last(finite.astype(np.float64), over)
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, offset + sums / np.maximum(counts, 1.0), np.nan)


def _of_last(values: Floats, over: int) -> Floats:
    """The sum of the last `over` values at each place."""
    totals = np.concatenate([[0.0], np.cumsum(values)])
    return totals[1:] - totals[np.maximum(np.arange(len(values)) + 1 - over, 0)]
