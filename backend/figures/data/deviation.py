"""Standard errors of measures, from the numbers of the single draws that they are made of."""

from collections.abc import Mapping

import numpy as np

from backend.figures.data.select import Line
from backend.figures.data.source import Floats, Source

LEAST = 8
"""Fewest draws from which a standard error is worth a number."""


def of(source: Source, line: Line) -> float | None:
    """The standard error of a line's newest point; None where the draws do not tell.

    Of a mean it is sd / √n. The scaled error 1 − a² / q, of the means a of ⟨ĝ, g⟩ / ‖g‖² and q of
    ‖ĝ‖² / ‖g‖², is taken to first order in both (the delta method).
    """
    found = {
        s.metric.removeprefix("draw/"): source.points(s.id).values
        for s in source.series(line.run_id)
        if s.metric in ("draw/cosine", "draw/norm_ratio", "draw/along")
        and (s.layer, s.estimator) == (line.series.layer, line.series.estimator)
    }
    if len(found) < 3 or len({len(one) for one in found.values()}) > 1:
        return None
    good = np.all([np.isfinite(one) for one in found.values()], axis=0)
    if good.sum() < LEAST:
        return None
    held = {name: one[good] for name, one in found.items()}
    shares = _shares(line.series.metric, held["cosine"], held["norm_ratio"], held["along"])
    return None if shares is None else float(shares.std(ddof=1) / len(shares) ** 0.5)


def of_snr(found: Mapping[str, float], draws: int) -> float | None:
    """At most the standard error of the SNR; None where what it is made of has none.

    SNR = (B + 2 s − 1) / V: by the triangle inequality the errors of B, s = ⟨Eĝ, g⟩ / ‖g‖² and V
    add, and along g a draw scatters by at most √V.
    """
    names = ("relative_variance", "relative_variance_se", "relative_squared_bias_se", "snr")
    v, dv, db, snr = (found.get(name, np.nan) for name in names)
    if not np.isfinite([v, dv, db, snr]).all() or v <= 0:
        return None
    return (db + 2 * (v / draws) ** 0.5 + snr * dv) / v


def _shares(name: str, cosine: Floats, norm: Floats, along: Floats) -> Floats | None:
    """What each draw adds to a measure, about its mean."""
    square = norm**2
    if name == "scaled_error":
        a, q = along.mean(), square.mean()
        return (a / q) ** 2 * square - 2 * a / q * along if q > 0 else None
    known = {
        "cosine": cosine,
        "norm_ratio": norm,
        "positive": (cosine > 0).astype(float),
        "relative_mse": square - 2 * along + 1,
    }
    return known.get(name)
