"""Numbers as sentences have them: two significant digits, percent, multiples, commas."""

import math

MINUS = "−"
TINY = 1e-5
"""A share below which its size does not matter to a reader."""
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def two_digits(value: float) -> str:
    """Two significant digits: `24,000`, `0.96`, `−3.1`, `2.4 × 10¹²`; a word for no number."""
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else f"{MINUS}infinite"
    rounded = float(f"{value:.1e}")
    size = abs(rounded)
    if size and not 1e-4 <= size < 1e9:
        mantissa, _, exponent = f"{size:.1e}".partition("e")
        text = f"{mantissa.removesuffix('.0')} × 10{str(int(exponent)).translate(_RAISED)}"
    elif size >= 10:
        text = f"{size:,.0f}"
    else:
        text = f"{size:.2g}"
    return (MINUS if rounded < 0 else "") + text


def in_full(value: float) -> str:
    """Two significant digits, also where the second is 0: `2.0`, for numbers side by side."""
    text = two_digits(value)
    return f"{text}.0" if text.lstrip(MINUS).isdigit() and 1 <= abs(value) < 9.95 else text


def percent(share: float) -> str:
    """A share in percent: `51 %`, `0.5 %`, `99.7 %`; never 100 % or 0 % for what is not."""
    if not math.isfinite(share):
        return two_digits(share)
    if 0 < abs(share) < TINY:
        return f"below {percent(math.copysign(TINY, share))}" if share > 0 else "about 0 %"
    if 0.99 <= abs(share) < 1:
        return _almost_whole(share)
    return f"{two_digits(100 * share)} %"


def _almost_whole(share: float) -> str:
    """Below 100 % by two digits of what is missing, up to 99.99 %."""
    digits = next((n for n in (1, 2) if round(100 * abs(share), n) < 100), 0)
    if not digits:
        return "over 99.99 %" if share > 0 else f"under {MINUS}99.99 %"
    return (MINUS if share < 0 else "") + f"{100 * abs(share):.{digits}f} %"


def times(ratio: float) -> str:
    """A ratio: `24,000 ×`, `0.96 ×`."""
    return f"{two_digits(ratio)} ×"
