"""From how many draws on the mean of a noisy estimator is better than a biased one."""

from backend.figures.data import plane
from backend.figures.data.query import parse
from backend.figures.data.source import RunLike, Source
from backend.figures.findings.finding import REMARK, Finding
from backend.figures.words.names import short_names
from backend.figures.words.numbers import two_digits
from backend.figures.words.sentences import MIN_PROBES, fitting

WINDOW = 16
"""Probes that are pooled."""
MOST_DRAWS = 1_000_000
"""A crossing at more draws is of no use."""


def finding(source: Source, run_id: str, run: RunLike) -> list[Finding]:
    """The crossing at the fewest draws, in errors at the best learning rate of each."""
    spots = {
        probes.line.label: spot
        for probes in plane.read(source, parse({"runs": run_id}))
        if (spot := plane.pooled(probes, WINDOW, scaled=True)).finite and spot.probes >= MIN_PROBES
    }
    crossings = [
        (draws, noisy, biased)
        for noisy, first in spots.items()
        for biased, second in spots.items()
        if plane.may_overtake(first, second) and (draws := plane.overtakes(first, second))
    ]
    if not crossings or min(crossings)[0] > MOST_DRAWS:
        return []
    draws, noisy, biased = min(crossings)
    names = short_names([noisy, biased])
    title = fitting(f"{names[noisy]} overtakes {names[biased]} at {draws:,} draws")
    text = "From there on its mean has the smaller error at the best learning rate of each."
    cost = run.facts.get("cost", {}).get(noisy)
    if cost:
        text += f" Each draw costs {two_digits(float(cost))} forward passes."
    return [Finding("crossing", REMARK, title, text, None, None, noisy, "", "variance")]
