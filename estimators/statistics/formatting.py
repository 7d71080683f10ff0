"""Numbers and counts as text, for sentences and table cells."""

import math


def counted(count: int, noun: str) -> str:
    """A number of things: `1 draw`, `1,024 draws`."""
    plural = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def share_not_finite(lost: int, draws: int) -> str:
    """How many draws were not finite, and their share: `4 of 16 draws (25 %) were not finite`."""
    return f"{share_of_draws(lost, draws)} were not finite"


def share_unconverged(count: int, draws: int) -> str:
    """How many draws, and which share of them, rest on a solve that did not converge."""
    return f"{share_of_draws(count, draws)} rest on a solve that did not converge"


def share_of_draws(count: int, draws: int) -> str:
    """Some of the draws, and their share: `4 of 16 draws (25 %)`."""
    return f"{count:,} of {counted(draws, 'draw')} ({percentage(count, draws)})"


def percentage(part: int, whole: int) -> str:
    """A share in whole percent, or in two digits below one percent: `25 %`, `0.85 %`."""
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 1 else f"{share:.2g} %"


def signed(value: float, digits: int = 3) -> str:
    """The value with its sign, in `digits` significant digits: `+0.3`."""
    return f"{value:+.{digits}g}"


def short(value: float) -> str:
    """Three significant digits, thousands in full; a dash for NaN."""
    if math.isnan(value):
        return "–"
    # Adding 0.0 turns −0.0 into 0.0.
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e7 else f"{value + 0.0:.3g}"


def quartiles(middle: float, low: float, high: float) -> str:
    """A median with both quartiles, three digits each: `10.2 (9.8–11)`; the median alone if NaN."""
    if math.isnan(low) or math.isnan(high):
        return f"{middle:.3g}"
    return f"{middle:.3g} ({low:.3g}–{high:.3g})"


def without_exponent(value: float) -> str:
    """Three significant digits, without an exponent up to a billion."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if 1e3 <= rounded < 1e9 else f"{rounded:.3g}"


def upper_bound(bound: float) -> str:
    """Two significant digits, rounded up, so that what is below `bound` is below the text too."""
    if not 0 < bound < math.inf:
        return f"{bound:g}"
    step = 10.0 ** (math.floor(math.log10(bound)) - 1)
    return f"{math.ceil(bound / step * (1 - 1e-12)) * step:.2g}"


def round_up(count: float) -> int:
    """A count rounded up to two significant digits: it is an estimate of how many are enough."""
    if count <= 100:
        return math.ceil(count)
    step = 10 ** (math.floor(math.log10(count)) - 1)
    return math.ceil(count / step) * step
