"""The law beside what was measured: a dashed line, and whether the two agree.

Probes are independent draws, so that what has the mean 0 where the law holds, whatever the
weights, tells by its own scatter how sure its mean is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import law_refuted as apart
from backend.figures.data import laws
from backend.figures.data.laws import Law
from backend.figures.data.metrics import metric
from backend.figures.data.source import Floats, PointsLike, RunLike, Source
from backend.figures.data.student import half_width
from backend.figures.drawing import canvas, hover
from backend.figures.drawing.scales import Scale

PROBES, DRAWS = 8, 64
"""Fewest probes, and draws in all of them, that are held against a law."""
ERRORS = 4.0
"""Standard errors that the mean of many probes may be off; of few, as Student's t has it."""
APART = 5.0
"""Standard errors that a microscope's measure may be off its law."""
SKEWED = " (more on the long side of skewed draws)"
"""Where the lamp is by the draws themselves."""
ROUNDING = 1e-6

Verdict = Literal["agrees", "disagrees", "too few", "none"]
SYMBOLS: dict[Verdict, str] = {"agrees": "✓", "disagrees": "✗", "too few": "…", "none": "–"}


@dataclass(frozen=True)
class Lamp:
    """Whether the measured mean over the probes is what the law says."""

    verdict: Verdict
    ratio: float = np.nan
    """Mean of measured over law, where such a mean is 1; else NaN."""
    error: float = np.nan
    """Its standard error."""
    off: float = np.nan
    """Standard errors between what was measured and the law."""


FEW, NONE = Lamp("too few"), Lamp("none")


def judge(measured: Floats, law: Floats, draws: int) -> Lamp:
    """Of the probes (n,) of `draws` draws each; entries that are not finite are left out."""
    good = np.isfinite(measured) & np.isfinite(law)
    measured, law = measured[good], law[good]
    exact = law <= ROUNDING
    if len(law) < PROBES or len(law) * draws < DRAWS:
        return FEW
    wrong = bool((measured[exact] > ROUNDING).any())
    ratios = measured[~exact] / law[~exact]
    if len(ratios) < PROBES:
        return Lamp("disagrees" if wrong else "agrees")
    mean = float(ratios.mean())
    error = float(ratios.std(ddof=1) / np.sqrt(len(ratios)))
    # On a log scale, so that twice and half the law are equally far from it.
    reach = half_width(len(ratios), ERRORS) * error
    off = mean <= 0 or abs(np.log(mean)) > reach / mean + ROUNDING
    away = (mean - 1) / error if error else np.nan
    return Lamp("disagrees" if off or wrong else "agrees", mean, error, away)


def centred(apart: Floats, draws: int) -> Lamp:
    """Of probes (n,) of numbers that have the mean 0 where the law holds."""
    apart = apart[np.isfinite(apart)]
    if len(apart) < PROBES or len(apart) * draws < DRAWS:
        return FEW
    mean, error = float(apart.mean()), float(apart.std(ddof=1) / np.sqrt(len(apart)))
    off = abs(mean) > half_width(len(apart), ERRORS) * error + ROUNDING
    return Lamp("disagrees" if off else "agrees", off=mean / error if error else np.nan)


def at_a_point(
    value: float,
    error: float | None,
    law: float | None,
    draws: int,
    *,
    squares: bool = False,
    said: float | None = None,
) -> Lamp:
    """Of a microscope's measure and its standard error; `squares`: it is a mean of squares.

    `said`: what the microscope, which has the draws themselves, has on record of it, 1 or 0.
    """
    if law is None or not np.isfinite(law):
        return NONE
    if np.isclose(value, law, rtol=1e-9, atol=1e-12):
        return Lamp("agrees")
    known = error is not None and np.isfinite([error, value]).all()
    if said is None or not np.isfinite(said):
        if squares and draws >= DRAWS and apart.above(value, np.nan, law):
            return Lamp("disagrees")
        if draws < DRAWS or error is None or not known:
            return FEW
        # Runs of before keep no more than the standard error.
        said = abs(value - law) <= APART * error + ROUNDING * max(1.0, abs(law))
    if error is None or not known:
        return Lamp("agrees" if said else "disagrees")
    off = not said or (squares and bool(apart.above(value, error, law)))
    return Lamp("disagrees" if off else "agrees", off=(value - law) / error if error else np.nan)


def law_of(source: Source, of: laws.Held, name: str, shown: PointsLike) -> Law | None:
    """What the law says of a measure from the first to the last step that is shown."""
    found = laws.said(source, of, name, *_ends(shown)) if len(shown.steps) else None
    return found if found and len(found.steps) else None


def draws_of(run: RunLike) -> int:
    """Draws of one probe."""
    return int((run.config.get("probe") or {}).get("draws", 16))


def lit(source: Source, of: laws.Held, name: str, law: Law, shown: PointsLike, draws: int) -> Lamp:
    """The lamp of a measure over the steps that are shown; all their probes, not thinned ones."""
    first, last = _ends(shown)
    measured = source.points(of[name].id, first=first, last=last)
    steps, here, there = np.intersect1d(measured.steps, law.steps, return_indices=True)
    value, said = measured.values[here], law.values[there]
    if name in (laws.SPREAD, laws.MSE):
        return judge(value, said, draws)
    known = [laws.said(source, of, one, first, last) for one in (laws.SPREAD, laws.SNR)]
    spread, ratio = (_on(one, steps) for one in known)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if name == laws.BIAS:
            apart = (value - said) / (spread / draws + np.abs(said))
        else:
            found = laws.probed(source, of, steps, draws)
            size = np.where(spread > 0, ratio * spread, 1.0)
            # A ratio of means is off by 1 / draws; what it is made of is not.
            apart = (
                (found.size - said * found.spread) / size
                if name == laws.SNR
                else (said - value) * (found.size + found.spread) / (size + spread)
            )
        # Without noise there is none to measure in.
        same = np.abs(value - said) <= ROUNDING * np.maximum(1.0, np.abs(said))
        return centred(np.where(same, 0.0, apart), draws)


def _ends(shown: PointsLike) -> tuple[int, int]:
    return int(shown.steps[0]), int(shown.steps[-1])


def _on(law: Law | None, steps: Any) -> Floats:
    """A law at these steps, NaN where it is not known."""
    found = np.full(len(steps), np.nan)
    if law:
        _, here, there = np.intersect1d(steps, law.steps, return_indices=True)
        found[here] = law.values[there]
    return found


def trace(
    x: Floats, values: Floats, scale: Scale, x_name: str, name: str, like: Any, measure: str
) -> go.Scatter:
    """The law as a thin dashed line over the points `like`, hidden and shown with them."""
    return go.Scatter(
        x=x.tolist(),
        y=canvas.numbers(scale.of(values)),
        customdata=canvas.numbers(values),
        name=f"law of {name}",
        mode="lines",
        legendgroup=name,
        showlegend=False,
        line={"color": like.line.color, "dash": "dash", "width": 1.2},
        hovertemplate=hover.point(f"law of {name}", x_name, metric(measure), "customdata"),
        meta={"run": like.meta["run"], "x": x_name},
    )


def words(lamps: Sequence[tuple[str, Lamp]], why: str) -> str:
    """The lamps in a sentence, by verdict; nothing where no line has a law.

    `why` is what is wrong where they disagree.
    """
    if all(lamp.verdict == "none" for _, lamp in lamps):
        return ""
    by: dict[str, list[str]] = {}
    for name, lamp in lamps:
        by.setdefault(lamp.verdict, []).append(_named(name, lamp))
    told = [
        f"{said.format(why=why)} {', '.join(by[one])}" for one, said in _WORDS.items() if one in by
    ]
    ratios = any(not np.isnan(lamp.ratio) for _, lamp in lamps)
    how = " (mean of measured ÷ law ± s.e.)" if ratios else " (measured less law)"
    return f"law, dashed{how}: {'; '.join(told)}"


_WORDS = {
    "agrees": "✓ agrees with",
    "disagrees": "✗ disagrees ({why}) with",
    "too few": f"not judged before {PROBES} probes:",
    "none": "no law for",
}


def _named(name: str, lamp: Lamp) -> str:
    if not np.isnan(lamp.ratio):
        return f"{name} ({lamp.ratio:.3g} ± {lamp.error:.2g})"
    if not np.isnan(lamp.off):
        return f"{name} ({lamp.off:+.1f} s.e.)".replace("-", "−")
    return name
