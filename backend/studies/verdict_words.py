"""Verdicts and leaderboards as sentences."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from estimators.statistics.formatting import counted

if TYPE_CHECKING:
    from backend.studies.verdicts import Leaderboard, Verdict

MOST_SEEDS = 200
"""Most further seeds that are named."""
LISTED = 5
"""Most variants that are named in one sentence."""
SMALLEST = 1e-12
"""Smallest p that is written out: it is a difference from 1."""


def sentence(verdict: "Verdict") -> str:
    """`A beats B by 1.6 points, 95 % interval 0.6 to 2.6, 8 paired seeds`, or what is missing."""
    words = _decided(verdict) if verdict.decided else _undecided(verdict)
    return "; ".join([words, *_left_out(verdict)])


def _decided(verdict: "Verdict") -> str:
    loser = verdict.first if verdict.leading == verdict.second else verdict.second
    return f"{verdict.leading} beats {loser} by {_evidence(verdict)}{_family(verdict)}"


def _undecided(verdict: "Verdict") -> str:
    first, second, comparison = verdict.first, verdict.second, verdict.comparison
    if comparison.pairs == 0 or (verdict.more_seeds is None and not verdict.measure.exact):
        seeds = counted(comparison.pairs, "paired seed")
        return f"not decided between {first} and {second}: {seeds}, an interval takes at least 2"
    if verdict.measure.exact:
        return f"{first} and {second} have the same {verdict.measure.title}"
    lead = f"{verdict.leading} is ahead by {_evidence(verdict)}{_family(verdict)}"
    if verdict.equal:
        lead = f"no difference in {counted(comparison.pairs, 'paired seed')}"
    return f"not decided between {first} and {second}: {more_seeds_text(verdict)} ({lead})"


def more_seeds_text(verdict: "Verdict") -> str:
    """`about 11 more seeds`; "" where that is not known."""
    if verdict.more_seeds is None:
        return ""
    if verdict.more_seeds > MOST_SEEDS:
        return f"more than {MOST_SEEDS} more seeds"
    return f"about {counted(verdict.more_seeds, 'more seed')}"


def _evidence(verdict: "Verdict") -> str:
    """`1.6 points, 95 % interval 0.6 to 2.6, 8 paired seeds`, seen from the one that leads."""
    measure, size, half = verdict.measure, abs(verdict.advantage), verdict.half
    gap, seeds = measure.gap(size, half), counted(verdict.comparison.pairs, "paired seed")
    if measure.exact:
        return gap
    if verdict.constant:
        return f"{gap} at each of {seeds}"
    low, high = (measure.number(end, half) for end in (size - half, size + half))
    return f"{gap}, 95 % interval {low} to {high}, {seeds}"


def _family(verdict: "Verdict") -> str:
    if verdict.comparisons == 1 or verdict.measure.exact:
        return ""
    p = f"p = {verdict.adjusted_p:.2g}" if verdict.adjusted_p >= SMALLEST else f"p < {SMALLEST:g}"
    return f"; {p} by Holm over {verdict.comparisons} comparisons"


def _left_out(verdict: "Verdict") -> list[str]:
    return [
        f"{counted(len(seeds), 'seed')} left out, where {label} diverged"
        for label, seeds in (
            (verdict.first, verdict.lost_first),
            (verdict.second, verdict.lost_second),
        )
        if seeds
    ]


def of_leaderboard(board: "Leaderboard") -> str:
    """Who is first, and which others may be as good, or the verdict on the second."""
    title = board.measure.title
    with_value = [place for place in board.places if place.sample.count]
    if not with_value:
        return f"no variant has a {title} yet"
    best, *others = with_value
    value = board.measure.value(best.sample.mean, best.half_width)
    words = [f"{best.label} is first by {title}, {value}"]
    tied = [place.label for place in others if place.tied]
    if tied and board.measure.exact:
        shared = _listed([best.label, *tied])
        return f"{shared} share the places {best.words} by {title}, {value}"
    if tied:
        words.append(f"places {best.words} are not decided: {_listed(tied)} may be as good")
    elif len(others) > 1:
        words.append(f"it beats each of the {len(others)} others")
    if others and others[0].against_best:
        words.append(others[0].against_best.sentence)
    return "; ".join(words)


def _listed(labels: Sequence[str]) -> str:
    """`A, B and C`, or the first ones and how many more."""
    if len(labels) > LISTED:
        return f"{', '.join(labels[:LISTED])} and {len(labels) - LISTED:,} more"
    return " and ".join(filter(None, [", ".join(labels[:-1]), labels[-1]]))
