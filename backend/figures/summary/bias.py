"""Whether a bias of an estimator was found in its latest probes, and how large it may be."""

from typing import Literal, NamedTuple

import numpy as np

from backend.figures.data import plane
from backend.figures.data.draws import is_microscope
from backend.figures.data.plane import Probes
from estimators.statistics.student import Sample

MIN_PROBES = 5
"""Fewest probes of a verdict."""
BOUND_ERRORS = 2.0
"""Standard errors above the mean at which a bias that was not found is bounded."""


class Bias(NamedTuple):
    """The squared bias over the squared gradient."""

    verdict: Literal["none found", "biased", "too early"]
    value: float
    error: float
    """Its standard error; NaN where it is not known."""
    bound: float
    """What a bias that was not found lies below; NaN where that is not known."""
    probes: int

    @property
    def words(self) -> str:
        """`none found`, `biased, 0.96` or `too early`."""
        from backend.figures.words.numbers import two_digits

        return f"biased, {two_digits(self.value)}" if self.verdict == "biased" else self.verdict


def bias_of(probes: Probes, window: int) -> Bias:
    """The verdict on one estimator, of the latest `window` probes."""
    spot = plane.pooled(probes, window, scaled=False)
    error = spot.errors[1] or _scatter(probes, window)
    if not np.isfinite(spot.bias):
        return Bias("too early", np.nan, np.nan, np.nan, spot.probes)
    bound = max(spot.bias, 0.0) + BOUND_ERRORS * error
    if spot.probes < MIN_PROBES and not is_microscope(probes.line.run):
        return Bias("too early", spot.bias, error, bound, spot.probes)
    # NaN, an error that is not known, convicts nobody.
    biased = spot._replace(errors=(spot.errors[0], error)).biased
    return Bias("biased" if biased else "none found", spot.bias, error, bound, spot.probes)


def _scatter(probes: Probes, window: int) -> float:
    """The standard error by the scatter of the probes, for runs of before that keep none."""
    values = probes.bias[-window:]
    if is_microscope(probes.line.run):
        return np.nan
    return Sample.from_values(values.tolist()).standard_error
