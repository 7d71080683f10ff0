"""What is said of the biases of several estimators."""

from collections.abc import Mapping, Sequence

from backend.figures.drawing.names import distinct
from backend.figures.summary.bias import MIN_PROBES, Bias
from backend.figures.words.measures import LAYER
from backend.figures.words.names import one_line
from backend.figures.words.numbers import times
from backend.figures.words.sentences import counted, fitting, joined, too_early, within
from estimators.statistics.formatting import upper_bound

SQUARED = "the squared gradient"
NAMED = 3
"""Most estimators that a sentence names."""


def takeaway(biases: Mapping[str, Bias], layer: str = "") -> str:
    """What is said of these biases, {short name: bias}; "" without any."""
    if not biases:
        return ""
    ready = {name: bias for name, bias in biases.items() if bias.verdict != "too early"}
    if not ready:
        return too_early(max(bias.probes for bias in biases.values()), needed=MIN_PROBES)
    biased = {name: bias for name, bias in ready.items() if bias.verdict == "biased"}
    clear = {name: bias for name, bias in ready.items() if bias.verdict != "biased"}
    parts = _none(clear) if not biased else _some(biased, list(clear))
    shown = distinct((one_line(layer),), LAYER)[one_line(layer)]
    return fitting(*(within(shown, part) for part in parts), parts[-1])


def _none(clear: Mapping[str, Bias]) -> list[str]:
    bound = max(bias.bound for bias in clear.values())
    if bound == 0:
        return [f"{joined([*clear])} {'is' if len(clear) == 1 else 'are'} exact", "None is biased"]
    below = f", below {upper_bound(bound)} × {SQUARED}" if bound < 1e5 else ""
    if not bound >= 1e5 and not bound < 1e5:
        below = ""
    if len(clear) <= NAMED:
        names = joined([*clear])
        return [
            f"no bias of {names} found{below}",
            f"no bias of {names} found",
            f"no bias found{below}",
        ]
    total = counted(len(clear), "estimator")
    return [f"no bias of the {total} found{below}", f"no bias of the {total} found"]


def _some(biased: Mapping[str, Bias], clear: Sequence[str]) -> list[str]:
    ordered = sorted(biased, key=lambda name: -biased[name].value)
    first = f"{ordered[0]} is biased by {times(biased[ordered[0]].value)} {SQUARED}"
    short = f"{ordered[0]} is biased by {times(biased[ordered[0]].value)}"
    if len(biased) + len(clear) > NAMED:
        count = f"{len(biased)} of {len(biased) + len(clear)}"
        most = f"{ordered[0]} by {times(biased[ordered[0]].value)}"
        if len(biased) == 1:
            return [
                f"{first}, no bias of the other {len(clear)} found",
                f"{short}, no bias of the other {len(clear)} found",
                f"{count} estimators is biased",
            ]
        return [
            f"{count} estimators are biased, {most} {SQUARED}",
            f"{count} estimators are biased, {most}",
            f"{count} estimators are biased",
        ]
    more = "".join(f", {name} by {times(biased[name].value)}" for name in ordered[1:])
    if not clear:
        return [first + more, short + more, f"{len(biased)} estimators are biased"]
    others = joined(clear)
    return [
        f"{first}{more}, no bias of {others} found",
        f"{short}{more}, no bias of {others} found",
        f"{short}{more}",
        f"{len(biased)} of {len(biased) + len(clear)} estimators are biased",
    ]
