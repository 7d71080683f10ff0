"""Variance and squared bias of estimators, in raw or in scaled units, probe by probe.

Raw, of one draw: tr S / ‖g‖² and the squared bias over ‖g‖². Scaled, the estimate is stretched
first so that its mean reaches as far along g as g itself, as a learning rate would: with
a = ⟨Eĝ, g⟩ / ‖g‖² > 0, the variance is tr S / (a² ‖g‖²) and the squared bias ‖Eĝ / a − g‖² / ‖g‖².
Then variance and squared bias add up to e / (1 − e) of the scaled error e.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.figures.data import draws
from backend.figures.data.query import Query
from backend.figures.data.select import Line, lines
from backend.figures.data.source import Floats, Source
from backend.figures.reference import Reference
from estimators.statistics.probes import SLOPE
from estimators.statistics.student import Sample

SPREAD, BIAS = "relative_variance", "relative_squared_bias"
ERRORS = (f"{SPREAD}_se", f"{BIAS}_se")
SHORTEST = 4
"""Fewest probes, and fewest windows, that make a path."""
CONVICTED = 4.0
"""Standard errors from 0 of a bias that is told."""
ALIGNED = ("scaled_error", "cosine", "norm_ratio")
"""The measures that the slope follows from in runs of before, which do not keep it."""


class Probes(NamedTuple):
    """The raw numbers of each probe of one estimator, all (n,); NaN where there is none."""

    line: Line
    steps: NDArray[np.int64]
    spread: Floats
    bias: Floats
    errors: tuple[Floats, Floats]
    """Standard errors of the two."""
    reach: Floats
    """a = ⟨Eĝ, g⟩ / ‖g‖²."""


class Errors(NamedTuple):
    """Variance, squared bias and their standard errors, pooled over some probes."""

    spread: float
    bias: float
    errors: tuple[float, float]
    reach: float
    step: int
    probes: int

    @property
    def hollow(self) -> bool:
        # Exactly 0 is no noise: backpropagation has no bias, and is drawn as sure of it.
        return self.bias != 0 and self.bias <= 2 * self.errors[1]

    @property
    def biased(self) -> bool:
        """Whether a bias is told: 4 standard errors from 0, since draws are heavy-tailed and many
        estimators and layers are looked at."""
        return self.bias > 0 and self.bias > CONVICTED * self.errors[1]

    @property
    def finite(self) -> bool:
        return bool(np.isfinite([self.spread, self.bias]).all())


def read(source: Source, query: Query) -> list[Probes]:
    """Every run's estimators that have both a variance and a bias at the question's layer."""
    names = (SPREAD, BIAS, *ERRORS, *ALIGNED, SLOPE)
    matches = [line for line in lines(source, query, names) if line.series.count]
    line_of = {(line.run_id, line.series.estimator, line.series.metric): line for line in matches}
    return [
        _probes(
            source, line, {m: line_of[run, label, m] for m in names if (run, label, m) in line_of}
        )
        for (run, label, name), line in line_of.items()
        if name == SPREAD and (run, label, BIAS) in line_of
    ]


def _probes(source: Source, line: Line, lines_of: dict[str, Line]) -> Probes:
    steps = source.points(line.series.id).steps
    steps = steps[~Reference(source, line.run_id).rounded(line.series, steps)]
    values = {name: _on(source, lines_of[name], steps) for name in lines_of}
    missing = np.full(len(steps), np.nan)
    errors = tuple(values.get(name, missing) for name in ERRORS)
    reach = values.get(SLOPE)
    if reach is None:
        old = (values.get(name, missing) for name in ALIGNED)
        reach = _reach(values[SPREAD], values[BIAS], *old)
    return Probes(line, steps, values[SPREAD], values[BIAS], (errors[0], errors[1]), reach)


def _on(source: Source, line: Line, steps: NDArray[np.int64]) -> Floats:
    """A series at these steps; NaN where it has no point."""
    points, values = source.points(line.series.id), np.full(len(steps), np.nan)
    _, at_steps, at_points = np.intersect1d(steps, points.steps, return_indices=True)
    values[at_steps] = points.values[at_points]
    return values


def _reach(spread: Floats, bias: Floats, error: Floats, cosine: Floats, norm: Floats) -> Floats:
    """a, from E‖ĝ − g‖² = q − 2a + 1 and e = 1 − a² / q: one of a quadratic's two roots.

    Beyond an error of 1 their signs differ and the cosine tells; else the norms do.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        mse, s = spread + bias, 1 - error
        root = np.sqrt(np.maximum(s * (s + mse - 1), 0))
        beyond_one = np.where(cosine < 0, s - root, s + root)
        far, near = (np.abs(np.sqrt(mse + 2 * a - 1) - norm) for a in (s + root, s - root))
        return np.where(mse >= 1, beyond_one, np.where(near < far, s - root, s + root))


def pooled(probes: Probes, window: int, end: int | None = None, *, scaled: bool) -> Errors:
    """The `window` probes before place `end` (all, if None) taken together."""
    # A microscope's points are the same draws counted on: the last one holds them all.
    size = 1 if draws.is_microscope(probes.line.run) else window
    stop = len(probes.steps) if end is None else end
    window_slice = slice(max(0, stop - size), stop)
    finite = np.isfinite(probes.spread[window_slice]) & np.isfinite(probes.bias[window_slice])
    step = int(probes.steps[window_slice][-1]) if stop else 0
    spread, bias, reach = (
        _mean(x[window_slice][finite]) for x in (probes.spread, probes.bias, probes.reach)
    )
    errors = (
        _error(probes.errors[0][window_slice][finite], probes.spread[window_slice][finite]),
        _error(probes.errors[1][window_slice][finite], np.empty(0)),
    )
    if scaled:
        with np.errstate(all="ignore"):
            # No learning rate above 0 turns a mean that points uphill to the gradient.
            square = np.float64(reach if reach > 0 else np.nan) ** 2
            spread, bias = spread / square, (bias - (1 - reach) ** 2) / square
            errors = (errors[0] / square, errors[1] / square)
        # What rounding leaves of an exact estimator is no bias.
        bias = 0.0 if abs(bias) < 1e-12 else bias
    return Errors(float(spread), float(bias), errors, reach, step, int(finite.sum()))


def _mean(values: Floats) -> float:
    with np.errstate(over="ignore"):
        return float(values.mean()) if len(values) else np.nan


def _error(recorded: Floats, values: Floats) -> float:
    """The standard error of a pooled mean: from recorded errors, else from the probes' scatter."""
    finite = recorded[np.isfinite(recorded)]
    with np.errstate(over="ignore", invalid="ignore"):
        if len(finite):
            # Probes are at different steps with noise of their own: errors add in squares.
            return float(np.sqrt(np.mean(finite**2) / len(finite)))
        return Sample.from_values(values).standard_error if len(values) > 2 else 0.0


def may_overtake(noisy: Errors, biased: Errors) -> bool:
    """Whether averaging makes the first better than the second: it has no significant bias, and the
    second has one beside a smaller variance."""
    unbiased = noisy.hollow or noisy.bias == 0
    is_biased = biased.bias > 0 and not biased.hollow
    return unbiased and is_biased and noisy.spread > biased.spread


def overtakes(noisy: Errors, biased: Errors) -> int | None:
    """The fewest draws K with V₁ / K ≤ V₂ / K + B₂, from which on the mean of K draws of the first
    is better than that of the second; None where it is from one draw on, or from 10⁹."""
    draws = (noisy.spread - biased.spread) / biased.bias
    return int(np.ceil(draws)) if 1 < draws < 1e9 else None


def path_of(probes: Probes, window: int, most: int, *, scaled: bool) -> list[Errors]:
    """The path over training: successive windows, evenly chosen, the latest last.

    Of few probes a window is a quarter, so that a short run has a path, too.
    """
    if draws.is_microscope(probes.line.run) or len(probes.steps) < SHORTEST:
        return []
    window = min(window, len(probes.steps) // SHORTEST)
    ends = np.arange(len(probes.steps), 0, -window)[::-1]
    keep = np.unique(np.linspace(0, len(ends) - 1, min(most, len(ends))).round().astype(int))
    spots = [pooled(probes, window, int(ends[i]), scaled=scaled) for i in keep]
    return [spot for spot in spots if spot.finite]
