"""What the plane of errors says: which errors are bias, and how many draws make up for noise."""

from collections.abc import Mapping

from backend.figures.data.plane import Errors
from backend.figures.drawing.names import distinct
from backend.figures.words.measures import LAYER, NAMED
from backend.figures.words.names import one_line
from backend.figures.words.sentences import MIN_PROBES, counted, fitting, joined, too_early, within
from estimators.statistics.formatting import round_up


def takeaway(
    spots: Mapping[str, Errors],
    needed: Mapping[tuple[str, str], float],
    k: int = 1,
    *,
    at_a_point: bool = False,
    layer: str = "",
) -> str:
    """What these places say; "" without any.

    Args:
        spots: the place of each estimator, by its short name.
        needed: for (noisy, biased), how many draws of the noisy one are as good as one of the
            biased one.
        k: how many draws are averaged.
        at_a_point: whether the errors are of one point, not of probes.
        layer: "" for the whole network.
    """
    if not spots:
        return ""
    ready = {n: spot for n, spot in spots.items() if at_a_point or spot.probes >= MIN_PROBES}
    if not ready:
        return too_early(max(spot.probes for spot in spots.values()))
    pairs = {
        pair: draws
        for pair, draws in needed.items()
        if draws > 1 and pair[0] in ready and pair[1] in ready and ready[pair[1]].biased
    }
    parts = _averaging(pairs) if pairs else _kinds(ready, k)
    shown = distinct((one_line(layer),), LAYER)[one_line(layer)]
    return fitting(*(within(shown, part) for part in parts), parts[-1])


def _averaging(needed: Mapping[tuple[str, str], float]) -> list[str]:
    """`averaging 85 draws of activity FG equals DFA, forward gradient needs 11,000`."""
    # The biased estimator that most noisy ones can be compared with.
    biased = [pair[1] for pair in needed]
    against = max(dict.fromkeys(biased), key=biased.count)
    draws = sorted((count, pair[0]) for pair, count in needed.items() if pair[1] == against)
    (least, first), rest = draws[0], draws[1:NAMED]
    head = f"averaging {round_up(least):,} draws of {first} equals {against}"
    more = "".join(f", {name} needs {round_up(count):,}" for count, name in rest)
    return [head + more, head, f"{round_up(least):,} draws of {first} equal {against}"]


def _kinds(ready: Mapping[str, Errors], k: int) -> list[str]:
    """Whose errors are bias, and whose are noise."""
    biased = [name for name, spot in ready.items() if spot.biased]
    exact = [name for name, spot in ready.items() if not spot.spread and not spot.bias]
    noisy = [name for name in ready if name not in biased and name not in exact]
    if not biased and not noisy:
        return [f"{joined(exact)} {'is' if len(exact) == 1 else 'are'} exact", "all are exact"]
    if not biased:
        return [
            f"no bias of {joined(noisy)} found, so averaging draws lowers the error",
            f"no bias of {counted(len(noisy), 'estimator')} found, so averaging lowers the error",
        ]
    least = min(ready, key=lambda name: max(ready[name].spread, 0) / k + max(ready[name].bias, 0))
    verb = "has" if len(biased) == 1 else "have"
    if not noisy:
        best = f", {least} has the least error" if len(ready) > 1 else ""
        return [f"{joined(biased)} {verb} a bias that no averaging lowers{best}",
                f"{len(biased)} of {len(ready)} have a bias that no averaging lowers"]  # fmt: skip
    return [
        f"{joined(biased)} {verb} a bias, no bias of {joined(noisy)} found",
        f"{len(biased)} of {len(ready)} estimators {verb} a bias that no averaging lowers",
    ]
