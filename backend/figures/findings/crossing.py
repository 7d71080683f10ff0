"""From how many draws on the mean of a noisy estimator is better than a biased one."""

from backend.figures.data import plane
from backend.figures.data.query import parse
from backend.figures.data.source import RunLike, Source
from backend.figures.findings.finding import REMARK, Finding
from backend.figures.summary.pooled import WINDOW
from backend.figures.summary.scoreboard import BACKPROP_PASSES
from backend.figures.words.names import short_names
from backend.figures.words.numbers import two_digits
from backend.figures.words.sentences import MIN_PROBES, fitting

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
    text = "The mean of so many has the smaller error, each at its best rate."
    cost = run.facts.get("cost", {}).get(noisy)
    if cost:
        share = two_digits(float(cost) / BACKPROP_PASSES)
        text += f" It costs {share} {'backprop' if share == '1' else 'backprops'} a draw."
    return [Finding("crossing", REMARK, title, text, None, None, noisy, "", "variance")]
