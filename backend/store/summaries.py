"""Summaries of points: what a chart needs of many points, in blocks of about 256 points each.

A block holds the first, last, lowest and highest point, the number of points, how many of them are
not finite, and the mean and the sum of squared deviations M2 of the finite ones. Blocks merge
exactly: with n = Σ nᵢ finite points, mean = Σ nᵢ meanᵢ / n and M2 = Σ M2ᵢ + Σ nᵢ (meanᵢ − mean)²
(Chan, Golub and LeVeque 1979).

Blocks begin at multiples of a power of two of steps, so that series with the same steps have the
same blocks, however their chunks were cut.
"""

import numpy as np
from numpy.typing import NDArray

from backend.store.chunks import Steps, Values

BLOCK_POINTS = 256
"""About how many points a block of evenly spaced points holds."""
SUMMARISED = 4 * BLOCK_POINTS
"""Chunks of fewer points have no stored summary: reading their points is as cheap."""
BLOCK = np.dtype(
    [
        ("first_step", "<i8"), ("first", "<f8"), ("last_step", "<i8"), ("last", "<f8"),
        ("low_step", "<i8"), ("low", "<f8"), ("high_step", "<i8"), ("high", "<f8"),
        ("count", "<i8"), ("odd", "<i8"), ("mean", "<f8"), ("m2", "<f8"),
    ]
)  # fmt: skip
"""`odd` counts the points that are not finite; `low` … `m2` are of the others, NaN without any."""

Blocks = NDArray[np.void]
Starts = NDArray[np.intp]
"""The index of the first element of each group; the groups follow each other without gaps."""


def width(first_step: int, last_step: int, count: int) -> int:
    """The steps of a block: a power of two, at least those of BLOCK_POINTS points on average."""
    wanted = (last_step - first_step + 1) * BLOCK_POINTS / count
    return 1 << max(0, int(np.ceil(np.log2(wanted))))


def summarise(steps: Steps, values: Values, size: int) -> Blocks:
    """The blocks, of `size` steps each, of points in ascending order of step."""
    if not len(steps):
        return np.empty(0, BLOCK)
    return of_points(steps, values, np.flatnonzero(np.diff(steps // size, prepend=-1)))


def of_points(steps: Steps, values: Values, starts: Starts) -> Blocks:
    """One block for each group of points, all (groups,)."""
    blocks = np.empty(len(starts), BLOCK)
    lasts = np.append(starts[1:], len(steps)) - 1
    blocks["first_step"], blocks["first"] = steps[starts], values[starts]
    blocks["last_step"], blocks["last"] = steps[lasts], values[lasts]
    blocks["count"] = lasts - starts + 1
    is_finite = np.isfinite(values)
    blocks["odd"] = blocks["count"] - np.add.reduceat(is_finite, starts, dtype=np.int64)
    for name, extremum, empty in (("low", np.minimum, np.inf), ("high", np.maximum, -np.inf)):
        kept = values if is_finite.all() else np.where(is_finite, values, empty)
        extrema = extremum.reduceat(kept, starts)
        at = np.flatnonzero(kept == np.repeat(extrema, blocks["count"]))
        blocks[f"{name}_step"] = steps[at[np.searchsorted(at, starts)]]
        blocks[name] = np.where(blocks["odd"] < blocks["count"], extrema, np.nan)
    _set_moments(blocks, np.where(is_finite, values, 0.0), is_finite, starts)
    return blocks


def _set_moments(
    blocks: Blocks, values: Values, is_finite: NDArray[np.bool_], starts: Starts
) -> None:
    """Mean and M2 by two passes; `values` are 0 where they are not finite."""
    finite = blocks["count"] - blocks["odd"]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        blocks["mean"] = np.add.reduceat(values, starts) / finite
        deviations = np.where(is_finite, values - np.repeat(blocks["mean"], blocks["count"]), 0.0)
        blocks["m2"] = np.where(finite > 0, np.add.reduceat(deviations**2, starts), np.nan)


def merge(blocks: Blocks, starts: Starts) -> Blocks:
    """One block for each group of blocks, which are in ascending order of step."""
    merged = np.empty(len(starts), BLOCK)
    lasts = np.append(starts[1:], len(blocks)) - 1
    sizes = lasts - starts + 1
    merged["first_step"], merged["first"] = blocks["first_step"][starts], blocks["first"][starts]
    merged["last_step"], merged["last"] = blocks["last_step"][lasts], blocks["last"][lasts]
    for name in ("count", "odd"):
        merged[name] = np.add.reduceat(blocks[name], starts)
    for name, extremum in (("low", np.fmin), ("high", np.fmax)):
        merged[name] = extremum.reduceat(blocks[name], starts)
        same = blocks[name] == np.repeat(merged[name], sizes)
        # A group without a finite point has no extremum: its step is that of its first block.
        same[starts] |= np.isnan(merged[name])
        at = np.flatnonzero(same)
        merged[f"{name}_step"] = blocks[f"{name}_step"][at[np.searchsorted(at, starts)]]
    _merge_moments(merged, blocks, starts, sizes)
    return merged


def _merge_moments(merged: Blocks, blocks: Blocks, starts: Starts, sizes: Starts) -> None:
    n = blocks["count"] - blocks["odd"]
    means, m2 = (np.where(n > 0, blocks[name], 0.0) for name in ("mean", "m2"))
    total = merged["count"] - merged["odd"]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        merged["mean"] = np.add.reduceat(n * means, starts) / total
        deviations = np.where(n > 0, means - np.repeat(merged["mean"], sizes), 0.0)
        merged["m2"] = np.where(total > 0, np.add.reduceat(m2 + n * deviations**2, starts), np.nan)


def blocks_from(blob: bytes) -> Blocks:
    """Stored blocks, read-only."""
    return np.frombuffer(blob, BLOCK)
