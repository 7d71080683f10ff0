"""Spikes, plateaus and rises of a loss, from its steps and values alone.

No threshold is a loss of its own: each is made of the scatter of the series at hand, so that a
noisy training loss is not called unusual for its noise. A loss that is positive throughout is
judged by its logarithm, in which a ratio is a distance. Of a series without any of these, a spike
or a rise is told in at most `FALSE_ALARM_RATE` of all runs, and so is a plateau of a loss that
falls (`tests/backend/figures/data/test_signals.py` counts them).
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from backend.figures.data.source import Floats
from estimators.statistics.student import t_quantile

Steps = NDArray[np.int64]
FALSE_ALARM_RATE = 0.01
"""How often chance may raise an alarm anywhere in a series."""
SHORT = 16
"""Points of a block that a spike is measured against; the first block has no such measure."""
MOST_SHORT = 4096
"""Most of these blocks: a longer series has longer ones."""
HISTORY = 8
"""Blocks before a point that tell how much the values scatter there."""
MIN_POINTS = 320
"""Fewest values of which a spike is told."""
TAIL, MIN_TAIL = 0.1, 10
"""The share of the blocks, those with the largest deviations, that tell how the scatter ends, and
their least number."""
SPIKE = 1.5
"""How many times the level before it a spike is at least, of a positive loss."""
RETURN = 8
"""Blocks within which a spike returns halfway; else the loss has risen."""
LONG = 40
"""Blocks of a series in which levels are compared."""
MIN_BLOCK = 10
"""Fewest values of such a block by which a rise is told; a plateau is told by single values."""
MIN_LEVEL_BLOCKS, MIN_LEVEL_STEPS = 10, 100
"""Fewest blocks, and steps, of a plateau."""
LEVEL = 0.05
"""Most that a level loss falls from the plateau's begin to its end, as a share of it."""
STILL = 0.01
"""A fall that is smaller than this counts as none, however sure it is."""
RISE = 1.5
"""How many times its lowest level a loss is at least that has risen, if it is positive."""
DRIFT = 5
"""Blocks apart that tell how far a level drifts."""
AT_ONCE = 3.0
"""How many times its first value it is at least, if that was the lowest."""
RISE_ERRORS = 6.0
"""Standard errors of a block by which a rise exceeds the lowest level, the lowest of many."""
BEGIN = 5
"""The first values, by which a series began on its level or fell to it."""
END = 3
"""The last blocks, in all of which a loss that has risen is high."""


class Spike(NamedTuple):
    """A short rise of a loss that went back."""

    step: int
    value: float
    level: float
    """Of the values before."""


class Level(NamedTuple):
    """Where a loss no longer falls."""

    step: int
    """The first step of the plateau."""
    value: float
    """The mean of the finite values since then."""
    never_fell: bool
    """Whether it begins with the series."""


class Rise(NamedTuple):
    """A loss that ends above its lowest level."""

    step: int
    """Where it was lowest."""
    lowest: float
    value: float
    """Its level at the end."""


def first_nonfinite(steps: Steps, values: Floats) -> int | None:
    """The step from which on no value is finite; None where the last one is."""
    if not len(values) or np.isfinite(values[-1]):
        return None
    finite = np.flatnonzero(np.isfinite(values))
    return int(steps[finite[-1] + 1 if len(finite) else 0])


def spikes(steps: Steps, values: Floats) -> list[Spike]:
    """Short rises above the values before them, in order of steps.

    A value counts where it exceeds the medians of the two blocks before by more than the scatter
    there explains, whose tail is taken from the series itself (`_limit`). A rise that does not
    return within `RETURN` blocks is no spike.
    """
    steps, values = _finite(steps, values)
    size = max(SHORT, -(-len(values) // MOST_SHORT))
    count = len(values) // size
    if len(values) < MIN_POINTS or count < HISTORY + 2:
        return []
    y, is_log = _scaled(values)
    blocks = y[: count * size].reshape(count, size)
    medians = np.median(blocks, axis=1)
    before = np.maximum(medians[:-1], np.concatenate([medians[:1], medians[:-2]]))
    above = blocks[1:] - before[:, None]  # (count − 1, size)
    scatter = _scatter(above)  # the first blocks have none, and no score
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where(scatter[:, None] > 0, above / scatter[:, None], 0.0)
    limit = _limit(scores)
    high = (scores > limit) & (above > (np.log(SPIKE) if is_log else 0.0))
    return _episodes(steps, values, high, above, medians, before, size)


def _scatter(above: Floats) -> Floats:
    """The scatter of the deviations before each block, (blocks,); NaN where there are too few.

    The median of the blocks' median absolute deviations, over `HISTORY` blocks, as a normal's
    standard deviation. Of its own block's values a spike would lift the measure that it is judged
    by.
    """
    deviations = 1.4826 * np.median(np.abs(above), axis=1)
    scatter = np.full(len(above), np.nan)
    scatter[HISTORY:] = np.median(sliding_window_view(deviations, HISTORY), axis=1)[:-1]
    return scatter


def _limit(scores: Floats) -> float:
    """What the largest of all scores exceeds in `FALSE_ALARM_RATE` of all series.

    The largest scores of blocks, above a high quantile of theirs, are taken for a power law: no
    noise that a loss has ends later. Its index is of their median, which a few spikes do not move.

    Args:
        scores: (blocks, size).
    """
    highest = scores.max(axis=1)
    ordered = np.sort(highest[np.isfinite(highest) & (highest > 0)])
    count = max(MIN_TAIL, int(TAIL * len(highest)))
    if len(ordered) <= count:
        return np.inf
    start = ordered[-count - 1]
    index = float(np.median(np.log(ordered[-count:] / start))) / np.log(2)
    with np.errstate(over="ignore"):
        return float(start * np.float64(count / FALSE_ALARM_RATE) ** index)


def _episodes(
    steps: Steps,
    values: Floats,
    high: NDArray[np.bool_],
    above: Floats,
    medians: Floats,
    before: Floats,
    size: int,
) -> list[Spike]:
    """The spikes of which these are the high values; those of neighbouring blocks are one."""
    made: list[Spike] = []
    last = -2 * RETURN
    for row in np.flatnonzero(high.any(axis=1)).tolist():
        if row - last <= RETURN:
            last = row
            continue
        last = row
        half = before[row] + above[row].max() / 2
        after = medians[row + 1 : row + 2 + RETURN]
        # Its own block has returned where most of its values are low.
        if not (after[1:] <= half).any():
            continue
        at = (row + 1) * size + int(np.argmax(above[row]))
        level = float(np.median(values[row * size : (row + 1) * size]))
        made.append(Spike(int(steps[at]), float(values[at]), level))
    return made


def plateau(steps: Steps, values: Floats) -> Level | None:
    """Since when a loss has been level; None where it falls, rises, or too few values tell.

    The means of `LONG` blocks are fitted by a line from a first block to the last. The loss is
    level where the line falls by less than `LEVEL` with 99.5 % confidence and its slope is not
    significant, or where it falls by less than `STILL`; the first block may not lie above the rest.
    """
    steps, values = _finite(steps, values)
    size = len(values) // LONG
    if not size:
        return None
    start = len(values) - LONG * size
    is_positive = bool((values > 0).all())
    blocks = values[start:].reshape(LONG, size)
    means = blocks.mean(axis=1)
    # A block with one value far out would make every fall a small part of the range.
    spread = float(np.ptp(np.median(blocks, axis=1))) or 1.0
    y, unit = (np.log(means), 1.0) if is_positive else (means, spread)
    for first in range(LONG - MIN_LEVEL_BLOCKS + 1):
        if _is_level(y[first:] / unit):
            at = start + first * size if first else 0
            if steps[-1] - steps[at] < MIN_LEVEL_STEPS:
                return None
            return _level(steps, values, at, size)
    return None


def _level(steps: Steps, values: Floats, at: int, size: int) -> Level:
    """The plateau from place `at` on; at 0, the series began on its level or fell in a block."""
    level = float(values[at:].mean())
    scatter = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    began = float(np.median(values[:BEGIN])) - level
    if at == 0 and began > LEVEL * abs(level) + 3 * scatter:
        return Level(int(steps[size]), level, never_fell=False)
    return Level(int(steps[at]), level, never_fell=at == 0)


def _is_level(y: Floats) -> bool:
    """Whether successive means, as logarithms or as shares of their range, are level."""
    n = len(y)
    x = np.arange(n) - (n - 1) / 2
    slope = float(x @ y) / float(x @ x)
    left = y - y.mean() - slope * x
    # Successive means that drift together tell less than their number suggests.
    correlation = float(left[1:] @ left[:-1]) / float(left @ left) if left.any() else 0.0
    share = (1 + max(correlation, 0.0)) / (1 - min(max(correlation, 0.0), 0.9))
    error = float(np.sqrt(float(left @ left) / (n - 2) * share / float(x @ x)))
    fall, noise = -slope * (n - 1), error * (n - 1)
    quantile = t_quantile(0.995, n - 2)
    if abs(fall) + quantile * noise > LEVEL:
        return False
    excess = float(y[0] - y[1:].mean())
    spread = float(y[1:].std(ddof=1))
    if abs(excess) > LEVEL + 2 * spread or excess > STILL + 3 * spread:
        return False
    return abs(fall) < STILL or abs(fall) <= quantile * noise


def rise(steps: Steps, values: Floats) -> Rise | None:
    """A loss whose last blocks all lie above its lowest level, or whose second half lies above its
    first value, by more than its scatter explains."""
    steps, values = _finite(steps, values)
    size = len(values) // LONG
    if size and (at_once := _rise_at_once(steps, values)):
        return at_once
    if size < MIN_BLOCK:
        return None
    start = len(values) - LONG * size
    y, is_log = _scaled(values)
    levels = np.median(y[start:].reshape(LONG, size), axis=1)
    lowest = int(np.argmin(levels[:-END]))
    # Second differences have no trend and 6 times the variance; those of blocks further off hold a
    # drift, too.
    error = max(
        1.4826 * float(np.median(np.abs(levels[2 * n :] - 2 * levels[n:-n] + levels[: -2 * n])))
        for n in (1, DRIFT)
    ) / np.sqrt(6)
    threshold = max(RISE_ERRORS * error, float(np.log(RISE)) if is_log else 0.0)
    if not (levels[-END:] - levels[lowest] > threshold).all() or levels[-1] == levels[lowest]:
        return None
    low, high = levels[lowest], float(np.median(levels[-END:]))
    ends = np.exp([low, high]) if is_log else np.array([low, high])
    at = start + lowest * size + size // 2
    return Rise(int(steps[at]), float(ends[0]), float(ends[1]))


def _rise_at_once(steps: Steps, values: Floats) -> Rise | None:
    y, is_log = _scaled(values)
    half = y[len(y) // 2 :]
    level = float(np.median(half))
    scatter = 1.4826 * float(np.median(np.abs(half - level)))
    threshold = max(RISE_ERRORS * scatter, float(np.log(AT_ONCE)) if is_log else 0.0)
    if not level - y[0] > threshold:
        return None
    return Rise(int(steps[0]), float(values[0]), float(np.median(values[len(y) // 2 :])))


def _finite(steps: Steps, values: Floats) -> tuple[Steps, Floats]:
    finite = np.isfinite(values)
    return (steps, values) if finite.all() else (steps[finite], values[finite])


def _scaled(values: Floats) -> tuple[Floats, bool]:
    """The values on the scale on which they are judged, and whether it is the logarithm."""
    is_log = bool((values > 0).all())
    return (np.log(values), True) if is_log else (values, False)
