"""Law check: does a measure agree with the value that theory (the estimator's law) gives for it?

One rule for page, export, notebook and terminal. A measure at a frozen point is checked, in this
order,

1. where it equals its law but for rounding, it agrees;
2. fewer than 64 draws are not judged;
3. evidence that a standard error would hide: a mean of squares that exceeds its law further than
   Markov's inequality explains (`exceeds`), or a squared error of the mean that is too large for
   the law's own variance (`mean_exceeds`); then it disagrees;
4. by the interval of the draws themselves at a level of 5 standard errors, if there is one, or by
   the stored verdict that was made from it;
5. by its standard error: it may be 5 of them off. A mean of squares may be below its law by 6 on a
   logarithmic scale: where rare large draws are missing, the standard error is too small as well.

Live probes of a training run are independent of each other. Numbers whose mean is 0 where the law
holds (or ratios whose mean is 1) are checked by their scatter over at least 8 probes (`check_zero`,
`check_ratio`).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from estimators.statistics.reference import ROUNDED
from estimators.statistics.student import Sample, t_of_normal

MIN_DRAWS = 64
"""Fewest draws of a check, at one point or in all probes together."""
MIN_PROBES = 8
"""Fewest probes of a check."""
MAX_ERRORS = 5.0
"""Standard errors that a measure at a point may be off its law."""
MAX_ERRORS_OF_PROBES = 4.0
"""Standard errors that a mean over many probes may be off its law; over few, Student's t allows
more."""
MAX_ERRORS_BELOW = 6.0
"""Standard errors, on a logarithmic scale, that a mean of squares may be below its law."""
LEVEL = 1 - 5.7e-7
"""Level of the interval of the draws themselves: `MAX_ERRORS` standard errors of a normal."""
ROUNDING = 1e-6
"""Differences up to this fraction are rounding of single-precision draws."""
TWICE = 2.0
"""Up to this ratio of measure to law, the standard errors alone decide."""
FAR = math.exp(MAX_ERRORS)
"""Ratio to the law from which a mean exceeds it even if its standard error is as large as itself.
By Markov's inequality, chance explains this with a probability of at most 0.7 %."""

SQUARES = ("relative_variance", "relative_mse")
"""Measures that are means of numbers that are never negative."""
VARIANCE, BIAS, SNR = "relative_variance", "relative_squared_bias", "snr"
RECORD = "law_check/"
"""Prefix of the series that keep verdicts: 1 agrees, 0 disagrees."""
LAW = "law/"
"""Prefix of the series that keep the values that the law gives."""

Verdict = Literal["agrees", "disagrees", "not judged"]


@dataclass(frozen=True)
class LawCheck:
    """Whether a measure agrees with its law."""

    verdict: Verdict
    errors: float = math.nan
    """Standard errors between measure and law, with the sign of measure − law; NaN if not known."""
    reason: str = ""
    """Why it is not judged, or what shows that it disagrees beyond the standard errors."""
    ratio: float = math.nan
    """Mean of measure over law, where the check is of such a ratio."""
    ratio_se: float = math.nan
    """Its standard error."""

    @property
    def words(self) -> str:
        """`agrees`, `disagrees`, `not judged (too few draws)`."""
        return f"not judged ({self.reason})" if self.verdict == "not judged" else self.verdict

    @property
    def record(self) -> float:
        """The number that is stored: 1 agrees, 0 disagrees, NaN not judged."""
        return {"agrees": 1.0, "disagrees": 0.0}.get(self.verdict, math.nan)


NO_LAW = LawCheck("not judged", reason="no law")
TOO_FEW_DRAWS = LawCheck("not judged", reason="too few draws")
TOO_FEW_PROBES = LawCheck("not judged", reason="too few probes")
NO_ERROR = LawCheck("not judged", reason="no standard error")
NO_VALUE = LawCheck("not judged", reason="no value")
NO_REFERENCE = LawCheck("not judged", reason=ROUNDED)
"""Of a layer whose exact gradient is rounding, from which the law is computed too."""


def check_measure(
    metric: str,
    numbers: Mapping[str, float],
    draws: int,
    interval: tuple[float, float] | None = None,
) -> LawCheck:
    """Check one measure at a frozen point, in one layer, from the numbers at that point.

    Args:
        metric: a measure's name, such as `relative_variance`.
        numbers: by the names of their series: measures (`relative_variance`), their standard
            errors (`relative_variance_se`), laws (`law/relative_variance`) and verdicts on record
            (`law_check/relative_variance`: 1 or 0). What is absent or NaN is unknown.
        draws: how many draws were made.
        interval: the interval of the measure at `LEVEL`, from the draws themselves.
    """
    value, law = (numbers.get(name, math.nan) for name in (metric, LAW + metric))
    if not math.isfinite(law):
        return NO_LAW
    if not math.isfinite(value):
        return NO_VALUE
    if math.isclose(value, law, rel_tol=1e-9, abs_tol=1e-12):
        return LawCheck("agrees")
    if draws < MIN_DRAWS:
        return TOO_FEW_DRAWS
    error = snr_error(numbers, draws) if metric == SNR else numbers.get(f"{metric}_se", math.nan)
    errors = (value - law) / error if error > 0 else math.nan
    if reason := _refuted(metric, numbers, draws, error):
        return LawCheck("disagrees", errors, reason)
    rounding = ROUNDING * max(1.0, abs(law))
    recorded = numbers.get(RECORD + metric, math.nan)
    if interval is not None and all(map(math.isfinite, interval)):
        inside = interval[0] - rounding <= law <= interval[1] + rounding
    elif math.isfinite(recorded):
        inside = recorded > 0
    elif math.isfinite(error):
        inside = _within(metric, value, law, error, draws, rounding)
    else:
        return NO_ERROR
    return LawCheck("agrees" if inside else "disagrees", errors)


def _within(
    metric: str, value: float, law: float, error: float, draws: int, rounding: float
) -> bool:
    """Whether standard errors explain how far the measure is off."""
    if metric in SQUARES and value < law:
        return not falls_short(value, error, law, draws)
    return abs(value - law) <= MAX_ERRORS * error + rounding


def _refuted(metric: str, numbers: Mapping[str, float], draws: int, error: float) -> str:
    """Evidence against the law that does not depend on the standard error; "" if there is none."""
    value, law = numbers[metric], numbers[LAW + metric]
    if metric in SQUARES:
        # A stored verdict was made from the draws; without the error nothing can be added to it.
        recorded = math.isfinite(numbers.get(RECORD + metric, math.nan))
        if exceeds(value, error, law) and not (recorded and math.isnan(error)):
            return f"{value / law:.2g} times the law"
    if metric == BIAS:
        spread, of_spread = (numbers.get(name, math.nan) for name in (VARIANCE, LAW + VARIANCE))
        if mean_exceeds(value, spread, law, of_spread, draws):
            return "the mean is further off than the law's variance allows"
    return ""


def exceeds(value: float, error: float, law: float) -> bool:
    """Whether a mean of squares is too large: twice its law, and by 5 standard errors on a
    logarithmic scale.

    A standard error that is not known (NaN) is taken to be as large as the mean itself.
    """
    if not law > 0 or not value > TWICE * law:
        return False
    noise = error / value if math.isfinite(error) else 1.0
    return math.log(value / law) > MAX_ERRORS * noise


def falls_short(value: float, error: float, law: float, draws: int) -> bool:
    """Whether a mean of squares is too small, by 6 standard errors on a logarithmic scale."""
    if not 0 < value < law:
        return False  # a value of 0 may lack just the rare draws that would make it
    return math.log(law / value) > t_of_normal(MAX_ERRORS_BELOW, draws - 1) * error / value


def mean_exceeds(
    bias: float, variance: float, law_bias: float, law_variance: float, draws: int
) -> bool:
    """Whether ‖ḡ − g‖² is too large for the law's own variance: e⁵ times what it expects.

    `bias` and `variance` are measured relative to ‖g‖², the others are the law's.
    """
    expected = law_variance / draws + law_bias
    return expected > 0 and bias + variance / draws > FAR * expected


def snr_error(numbers: Mapping[str, float], draws: int) -> float:
    """An upper bound of the standard error of the SNR; NaN where its parts have none.

    SNR = (B + 2 s − 1) / V: by the triangle inequality the errors of B, of
    s = ⟨Eĝ, g⟩ / ‖g‖² and of V add, and along g a draw scatters by at most √V.
    """
    names = (VARIANCE, f"{VARIANCE}_se", f"{BIAS}_se", SNR)
    v, dv, db, snr = (numbers.get(name, math.nan) for name in names)
    if not all(map(math.isfinite, (v, dv, db, snr))) or v <= 0:
        return math.nan
    return (db + 2 * math.sqrt(v / draws) + abs(snr) * dv) / v


def check_ratio(measured: Iterable[float], law: Iterable[float], draws: int) -> LawCheck:
    """Check probes of `draws` draws each by the mean of measure over law, which is 1 if the law
    holds.

    Pairs that are not finite are left out. Where the law is 0, the measure may differ from it only
    by rounding.
    """
    pairs = [
        (m, w)
        for m, w in zip(map(float, measured), map(float, law), strict=True)
        if math.isfinite(m) and math.isfinite(w)
    ]
    if len(pairs) < MIN_PROBES or len(pairs) * draws < MIN_DRAWS:
        return TOO_FEW_PROBES
    wrong = any(m > ROUNDING for m, w in pairs if w <= ROUNDING)
    ratios = Sample.from_values(m / w for m, w in pairs if w > ROUNDING)
    if ratios.count < MIN_PROBES:
        return LawCheck("disagrees" if wrong else "agrees")
    mean, error = ratios.mean, ratios.standard_error
    # On a logarithmic scale, so that twice and half the law are equally far from it.
    reach = t_of_normal(MAX_ERRORS_OF_PROBES, ratios.count - 1) * error
    off = mean <= 0 or abs(math.log(mean)) > reach / mean + ROUNDING
    errors = (mean - 1) / error if error else math.nan
    return LawCheck("disagrees" if off or wrong else "agrees", errors, "", mean, error)


def check_zero(residuals: Iterable[float], draws: int) -> LawCheck:
    """Check probes of `draws` draws each by numbers that have the mean 0 where the law holds."""
    sample = Sample.from_values(residuals)
    if sample.count < MIN_PROBES or sample.count * draws < MIN_DRAWS:
        return TOO_FEW_PROBES
    error = sample.standard_error
    reach = t_of_normal(MAX_ERRORS_OF_PROBES, sample.count - 1) * error
    off = abs(sample.mean) > reach + ROUNDING
    errors = sample.mean / error if error else math.nan
    return LawCheck("disagrees" if off else "agrees", errors)
