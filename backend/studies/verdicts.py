"""Which variant of a study beats which: paired over seeds, by Student's t and Holm.

The differences of a pair of variants at the same seeds are taken to be independent and near to
normal. Where all of them are the same, there is no spread to judge by, and the sign test judges.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from backend.strict_json import finite_or_none
from backend.studies import verdict_words
from backend.studies.measure import Measure
from backend.studies.verdict_words import MOST_SEEDS
from estimators.statistics.paired import Comparison, Differences, compare
from estimators.statistics.several import (
    LEVEL,
    holm,
    next_level,
    pairs_needed,
    pairs_with_best,
)
from estimators.statistics.student import Sample, half_width, two_sided

MIN_SEEDS = 2
"""Fewest paired seeds of an interval."""
SAME = 1e-6
"""Differences are the same if they deviate by less than this fraction of the values, as numbers in
float32 do by rounding."""
Values = Mapping[str, Mapping[int, float]]
"""{label: {seed: number}}; NaN of a run that diverged."""


@dataclass(frozen=True)
class Verdict:
    """Two variants compared: first − second."""

    first: str
    second: str
    measure: Measure
    comparison: Comparison
    """Over the seeds at which both have a number, with the 95 % interval of this difference."""
    joint_half: float
    """Half width of the interval that holds together with those of all comparisons (Bonferroni);
    NaN where there is none."""
    p: float
    """The two-sided p of this comparison alone; NaN where it cannot be made yet."""
    adjusted_p: float
    """The same, corrected for all comparisons (Holm)."""
    comparisons: int
    """How many count in the correction."""
    constant: bool
    """Whether the differences of all seeds are the same: then there is no interval."""
    equal: bool
    """Whether the mean difference is zero, but for rounding."""
    more_seeds: int | None
    """About how many more seeds decide it; 201 stands for more than 200. None where it is decided,
    and where there are too few seeds to tell."""
    lost_first: tuple[int, ...]
    """Seeds at which the first diverged; they are in no pair."""
    lost_second: tuple[int, ...]

    @property
    def decided(self) -> bool:
        """Whether one is better, with all comparisons in view."""
        return self.adjusted_p < LEVEL

    @property
    def advantage(self) -> float:
        """By how much the first is better; negative where the second is, NaN without a pair."""
        sign = 1 if self.measure.higher_is_better else -1
        return sign * self.comparison.difference

    @property
    def leading(self) -> str:
        """The label of the one with the better mean."""
        return self.second if self.advantage < 0 else self.first

    @property
    def better(self) -> str | None:
        """The label of the better one; None if that is not decided."""
        return self.leading if self.decided else None

    @property
    def half(self) -> float:
        """Half of the 95 % interval of this difference alone; NaN where there is none."""
        return math.nan if self.constant or self.measure.exact else self.comparison.half_width

    @property
    def sentence(self) -> str:
        """`A beats B by 1.6 points, 95 % interval 0.6 to 2.6, 8 paired seeds`."""
        return verdict_words.sentence(self)

    def document(self) -> dict[str, Any]:
        """As JSON, in which None stands for NaN."""
        difference = self.comparison.difference
        numbers = {
            "difference": difference,
            "low": difference - self.half,
            "high": difference + self.half,
            "joint_half": self.joint_half,
            "p": self.p,
            "adjusted_p": self.adjusted_p,
        }
        return {
            "first": self.first,
            "second": self.second,
            "metric": self.measure.name,
            "pairs": self.comparison.pairs,
            **{name: finite_or_none(value) for name, value in numbers.items()},
            "comparisons": self.comparisons,
            "better": self.better,
            "more_seeds": self.more_seeds,
            "diverged": {"first": list(self.lost_first), "second": list(self.lost_second)},
            "sentence": self.sentence,
        }


def verdicts(values: Values, measure: Measure, baseline: str = "") -> list[Verdict]:
    """Every variant against the baseline, or each pair of variants without one.

    All are corrected together: the probability that any of them is wrong is at most 5 %. A variant
    without a number is among them, since Holm's correction counts what is yet to come.

    Raises ValueError for a baseline that is not among the labels.
    """
    if baseline and baseline not in values:
        raise ValueError(f"baseline is {baseline}; the labels are {', '.join(values)}")
    if not baseline:
        return compare_pairs(values, measure, list(combinations(values, 2)))
    return compare_pairs(values, measure, [(each, baseline) for each in values if each != baseline])


@dataclass(frozen=True)
class Place:
    """A variant's place on a leaderboard."""

    label: str
    rank: int
    """From 1; the first of the ranks that it shares."""
    last: int
    """The last of the ranks that it shares; `rank`, if it shares none."""
    sample: Sample
    """The numbers of the seeds that did not diverge."""
    diverged: int
    """How many did."""
    against_best: Verdict | None
    """Against the best mean; None of that itself, and of a variant without a number."""

    @property
    def half_width(self) -> float:
        """Half of Student's 95 % interval of the mean; NaN for fewer than two seeds."""
        return half_width(self.sample.count) * self.sample.standard_error

    @property
    def tied(self) -> bool:
        """Whether it shares the first ranks."""
        return self.last > self.rank

    @property
    def words(self) -> str:
        """`4`, or `1–3` of ranks that are shared; "" without a number."""
        if not self.sample.count:
            return ""
        return f"{self.rank}–{self.last}" if self.tied else str(self.rank)


@dataclass(frozen=True)
class Leaderboard:
    """All variants: those tied with the best mean, the others by their mean, then the rest."""

    measure: Measure
    places: tuple[Place, ...]

    @property
    def sentence(self) -> str:
        """Who is first, and which others may be as good."""
        return verdict_words.of_leaderboard(self)


def leaderboard(values: Values, measure: Measure) -> Leaderboard:
    """The variants by their mean of the measure: accuracy, scaled error, a cost.

    A variant is tied with the best mean, and shares the first ranks with it, if their comparison
    over seeds is not decided, by Holm over all pairs. The others are sorted by their mean alone.
    Variants without a number come last.
    """
    samples = {label: Sample.from_values(by_seed.values()) for label, by_seed in values.items()}
    sign = -1 if measure.higher_is_better else 1
    order = [label for label in values if samples[label].count]
    order.sort(key=lambda label: sign * samples[label].mean)
    pairs = [(label, order[0]) for label in order[1:]]
    made = compare_pairs(values, measure, pairs, family=pairs_with_best(len(order)))
    against = {each.first: each for each in made}
    tied = [label for label in order if label not in against or against[label].better is None]
    beaten = [label for label in order if label not in tied]
    without = [label for label in values if not samples[label].count]
    places: list[Place] = []
    for at, label in enumerate([*tied, *beaten, *without], 1):
        ranks = (1, len(tied)) if at <= len(tied) else (at, at)
        diverged = len(values[label]) - samples[label].count
        places.append(Place(label, *ranks, samples[label], diverged, against.get(label)))
    return Leaderboard(measure, tuple(places))


@dataclass(frozen=True)
class _Paired:
    """The differences of two variants at the seeds that both have."""

    differences: Differences
    size: float
    """The largest of their numbers, in absolute value."""
    exact: bool
    """Whether the numbers have no noise."""

    @property
    def deviation(self) -> float:
        """The standard deviation of the differences; NaN for fewer than two."""
        count = self.differences.count
        return math.sqrt(self.differences.m2 / (count - 1)) if count > 1 else math.nan

    @property
    def constant(self) -> bool:
        """Whether the differences of at least two seeds are the same, but for rounding."""
        return not self.exact and self.deviation <= SAME * self.size

    @property
    def equal(self) -> bool:
        """Whether the mean difference is zero, but for rounding."""
        return abs(self.differences.mean) <= SAME * self.size

    @property
    def p(self) -> float:
        """Two-sided, of a mean difference of zero: Student's, or that of the sign test."""
        count, mean = self.differences.count, self.differences.mean
        if self.exact and count:
            return float(self.equal)
        if count < MIN_SEEDS:
            return math.nan
        if self.constant:
            return 1.0 if self.equal else 2.0 ** (1 - count)
        return two_sided(mean / self.deviation * math.sqrt(count), count - 1)

    def more(self, level: float) -> int | None:
        """About how many more seeds decide at this level, at most MOST_SEEDS + 1."""
        count, mean = self.differences.count, self.differences.mean
        if count < MIN_SEEDS or self.exact:
            return None
        if self.constant:
            # The sign test decides from n with 2^(1−n) < level.
            needed = None if self.equal else math.floor(1 - math.log2(level)) + 1
        else:
            needed = pairs_needed(mean, self.deviation, count, level, count + MOST_SEEDS)
        return MOST_SEEDS + 1 if needed is None else max(1, needed - count)


def compare_pairs(
    values: Values, measure: Measure, pairs: Sequence[tuple[str, str]], family: int | None = None
) -> list[Verdict]:
    """The verdicts of one family of comparisons, which are corrected together.

    `family` is how many count, if these are not all of them.
    """
    family = len(pairs) if family is None else family
    compared = [_paired(values[first], values[second], measure) for first, second in pairs]
    ps = [each.p for each in compared]
    adjusted = holm(ps, family)
    level, made = next_level(adjusted, family), []
    for at, (first, second) in enumerate(pairs):
        each, decided = compared[at], adjusted[at] < LEVEL
        count = each.differences.count
        joint = half_width(count, 1 - LEVEL / family) * each.deviation / math.sqrt(count or 1)
        made.append(
            Verdict(
                first=first,
                second=second,
                measure=measure,
                comparison=compare(each.differences, needed=MIN_SEEDS, unit="seeds"),
                joint_half=math.nan if each.constant or measure.exact else joint,
                p=ps[at],
                adjusted_p=adjusted[at],
                comparisons=family,
                constant=each.constant,
                equal=each.equal,
                more_seeds=None if decided else each.more(level),
                lost_first=_lost(values[first]),
                lost_second=_lost(values[second]),
            )
        )
    return made


def _paired(first: Mapping[int, float], second: Mapping[int, float], measure: Measure) -> _Paired:
    seeds = [seed for seed in first if seed in second]
    kept = [s for s in seeds if math.isfinite(first[s]) and math.isfinite(second[s])]
    differences = Differences.from_pairs([first[s] for s in kept], [second[s] for s in kept])
    size = max((abs(x) for s in kept for x in (first[s], second[s])), default=0.0)
    return _Paired(differences, size, measure.exact)


def _lost(by_seed: Mapping[int, float]) -> tuple[int, ...]:
    return tuple(seed for seed, value in by_seed.items() if not math.isfinite(value))
