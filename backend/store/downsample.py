"""Downsampling for charts: MinMaxLTTB keeps the extrema; NaN and infinities stay visible.

MinMaxLTTB (Van Der Donckt et al., 2023) preselects the extrema of each bucket and chooses among
them by triangle area. Non-finite points have no area and are chosen separately: the first and
the last point of each unbroken sequence of NaN, +inf or -inf.
"""

import numpy as np
from numpy.typing import NDArray
from tsdownsample import MinMaxLTTBDownsampler

from backend.store.chunks import Steps, Values

MIN_POINTS = 10
"""First, last, lowest, highest, one of each kind of non-finite value, and a few more."""
LARGE = 1e150
"""Magnitude from which the products in a triangle's area could overflow."""
Indices = NDArray[np.intp]


def downsample(steps: Steps, values: Values, size: int) -> Indices:
    """Ascending indices of at most max(`size`, 10) points that represent all of them.

    Among them are the first and the last point, the lowest and the highest finite value and
    the first NaN, +inf and -inf.
    """
    size = max(size, MIN_POINTS)
    if len(values) <= size:
        return np.arange(len(values))
    finite = np.isfinite(values)
    if finite.all():
        return _finite(steps, values, size)
    odd = _odd(values, ~finite, (size - 4) // 2)
    where = np.flatnonzero(finite)
    room = size - len(odd) - len({0, len(values) - 1} - set(odd.tolist()))
    chosen = where if len(where) <= room else where[_finite(steps[where], values[where], room)]
    return np.unique(np.concatenate([odd, chosen, [0, len(values) - 1]]).astype(np.intp))


def _finite(steps: Steps, values: Values, size: int) -> Indices:
    """The same for finite values; `size` is at least 4."""
    ends = np.array([0, len(values) - 1, values.argmin(), values.argmax()])
    if size <= len(ends):
        return np.unique(ends)
    # LTTB may skip an extremum if its bucket has another point with a larger triangle.
    peak = max(abs(values[ends[2]]), abs(values[ends[3]]))
    scaled = values / peak if peak > LARGE else values
    chosen = MinMaxLTTBDownsampler().downsample(steps, scaled, n_out=size - 2)
    return np.unique(np.concatenate([chosen.astype(np.intp), ends]))


def _odd(values: Values, odd: NDArray[np.bool_], size: int) -> Indices:
    """First and last point of each unbroken sequence of one non-finite value, at most `size`."""
    kind = np.where(np.isnan(values), 1, np.where(values > 0, 2, 3)) * odd
    starts = np.flatnonzero(np.diff(kind, prepend=0) != 0)
    ends = np.append(starts[1:], len(values)) - 1
    keep = odd[starts]
    chosen = np.unique(np.concatenate([starts[keep], ends[keep]]))
    if len(chosen) <= size:
        return chosen
    first_of_each = [np.flatnonzero(kind == k)[:1] for k in (1, 2, 3)]
    must = np.concatenate(first_of_each)[:size]
    even = chosen[np.linspace(0, len(chosen) - 1, size - len(must)).astype(np.intp)]
    return np.unique(np.concatenate([must, even]))
