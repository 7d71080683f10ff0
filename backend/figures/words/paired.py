"""What comparisons with one reference say."""

import math
from collections.abc import Mapping

from backend.figures.data.metrics import larger_is_better, metric_of_part
from backend.figures.words.names import short_names
from backend.figures.words.numbers import MINUS, two_digits
from backend.figures.words.sentences import counted, fitting, joined
from estimators.statistics.paired import Comparison

NEITHER = ("norm_ratio",)
"""Measures of which neither large nor small values are better."""


def takeaway(name: str, comparisons: Mapping[str, Comparison], reference: str) -> str:
    """What these comparisons, {label: first − reference}, say of a metric; "" without any."""
    if not comparisons:
        return ""
    names = short_names([*comparisons, reference])
    judged = {label: each for label, each in comparisons.items() if each.judged}
    if not judged:
        return _waiting(comparisons)
    if len(judged) == 1:
        ((label, comparison),) = judged.items()
        return _one_pair(name, names[label], names[reference], comparison)
    return _several(name, {names[label]: each for label, each in judged.items()}, names[reference])


def _waiting(comparisons: Mapping[str, Comparison]) -> str:
    furthest = max(comparisons.values(), key=lambda each: each.pairs)
    missing = furthest.needed - furthest.pairs
    if furthest.unit == "draws" or missing < 1:
        return fitting("Too few draws to compare")
    unit = "batch" if furthest.unit == "batches" else furthest.unit.removesuffix("s")
    plural = "batches" if furthest.unit == "batches" else ""
    return fitting(f"Too early to say: {counted(missing, f'more {unit}', plural)} needed")


def _one_pair(name: str, first: str, second: str, comparison: Comparison) -> str:
    what = metric_of_part(name)
    if comparison.verdict == "no difference":
        return fitting(
            f"{first} and {second} cannot be told apart by {what.short}, {_ends(comparison)}",
            f"{first} and {second} cannot be told apart by {what.short}",
            f"{first} and {second} cannot be told apart",
        )
    wins, count = _is_better(name, comparison), _count(comparison)
    winner, loser = (first, second) if wins else (second, first)
    by = two_digits(abs(comparison.difference))
    if name in NEITHER:
        how = f"{first} has the {comparison.verdict} {what.short}, by {by}"
        return fitting(f"{how}, {_ends(comparison, sign=False)}{count}", how)
    head = f"{winner} beats {loser} by {by}"
    return fitting(
        f"{head} of {what.short}, {_ends(comparison, sign=False)}{count}",
        f"{head}, {_ends(comparison, sign=False)}{count}",
        f"{head}, {_ends(comparison, sign=False)}",
        head,
    )


def _several(name: str, judged: Mapping[str, Comparison], reference: str) -> str:
    better = [n for n, each in judged.items() if each.verdict != "no difference"
              and _is_better(name, each)]  # fmt: skip
    equal = [n for n, each in judged.items() if each.verdict == "no difference"]
    worse = [n for n in judged if n not in better and n not in equal]
    if name in NEITHER:
        what = metric_of_part(name).short
        counts = [f"{len(better)} larger", f"{len(worse)} smaller", f"{len(equal)} not told apart"]
        return fitting(f"{what} against {reference}: {', '.join(counts)}", ", ".join(counts))
    lists = [
        f"{joined(group)} {verb if len(group) > 1 else single} {reference}"
        for group, verb, single in ((better, "beat", "beats"), (worse, "lose to", "loses to"))
        if group
    ]
    tied = f"{joined(equal)} cannot be told apart from {reference}" if equal else ""
    counts = [
        f"{len(group)} {verb if len(group) > 1 else single}"
        for group, verb, single in ((better, "beat it", "beats it"), (worse, "lose", "loses"))
        if group
    ]
    counts += [f"{len(equal)} cannot be told apart"] if equal else []
    return fitting(
        ", ".join([*lists, *filter(None, [tied])]) if len(judged) <= 3 else "",
        f"against {reference}, {', '.join(counts)}",
    )


def _is_better(name: str, comparison: Comparison) -> bool:
    if name in NEITHER:
        return comparison.verdict == "larger"
    return (comparison.verdict == "larger") == larger_is_better(name)


def _count(comparison: Comparison) -> str:
    """`, in 48 of 48 probes`."""
    if comparison.unit == "draws":
        return ""
    won = comparison.first_larger
    if comparison.verdict == "smaller":
        won = comparison.pairs - won
    return f", in {won:,} of {comparison.pairs:,} {comparison.unit}"


def _ends(comparison: Comparison, *, sign: bool = True) -> str:
    """The ends of the interval, with as many decimals as tell them apart: `0.008 to 0.010`."""
    low, high = comparison.low, comparison.high
    if not sign:
        low, high = sorted((abs(low), abs(high)))
    width = high - low
    if not 0 < width < math.inf or max(abs(low), abs(high)) >= 1e6 or width < 1e-9:
        return f"{two_digits(low)} to {two_digits(high)}"
    decimals = max(0, 1 - math.floor(math.log10(width)))
    low_text, high_text = (f"{value:,.{decimals}f}".replace("-", MINUS) for value in (low, high))
    return f"{low_text} to {high_text}"
