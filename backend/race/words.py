"""What the race shows, in sentences: of each estimator, of the alignments, and of the loss.

Each sentence is a function of what was measured up to a step, so that the page can say at every
moment of a replay what could be said then.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from backend.race.measured import BLOCK, Measured, Number, Track
from backend.race.preset import Preset, Racer
from estimators.statistics.formatting import counted

EXACT = 0.9995
"""A cosine from here on is shown as 100 %."""
ARRIVED = 0.9
"""A cosine from which on an estimator is said to have found the direction."""
SIDEWAYS = 0.25
"""A mean size of cosines below which a layer's signal is no help worth a word."""
LOST = 0.05
"""A cosine below which one draw says almost nothing."""
ENOUGH = 5
"""Probes before anything is said of the alignments."""
WINDOW = 8
"""Probes over which the numbers in sentences are averaged."""
EVERY = 160
"""Steps between two versions of a sentence with numbers."""

Says = list[tuple[int, str]]
"""(step, sentence): from which step on each sentence holds."""


def percent(value: float) -> str:
    """An alignment in percent, as the dials write it: `51 %`, `5.8 %`, `0.46 %`, `−3.4 %`."""
    share = abs(100 * value)
    text = f"{share:.0f}" if share >= 9.95 else f"{share:.1f}" if share >= 0.995 else f"{share:.2f}"
    return f"{'−' if value < 0 and float(text) > 0 else ''}{text} %"


def of_estimator(preset: Preset, measured: Measured, label: str) -> Says:
    """What the dial of an estimator says, at each probe."""
    track, unbiased = measured.tracks[label], measured.unbiased.get(label, False)
    layers = [each.name for each in preset.layers]
    return _changes(
        measured.steps, lambda at: _estimator(track, layers, measured.steps, at, unbiased)
    )


def _estimator(
    track: Track, layers: Sequence[str], steps: Sequence[int], at: int, unbiased: bool
) -> str:
    now = {layer: track.layers[layer][at] for layer in layers}
    exact = [layer for layer, value in now.items() if value is not None and value >= EXACT]
    rest = [value for layer, value in now.items() if layer not in exact and value is not None]
    whole = track.whole[at]
    if whole is None:
        return "Not measured at this step."
    if not rest:
        return "Equals the exact gradient in every layer."
    in_exact = " and ".join(exact)
    if unbiased:
        if exact:
            return f"Right on average; one draw is exact in the {in_exact} only."
        lost = "lost in one draw" if abs(whole) < LOST else "partly right in one draw"
        return f"Right on average, {lost}."
    if exact and sum(map(abs, rest)) / len(rest) < SIDEWAYS:
        return f"Right in the {in_exact} only."
    since = _arrived(track.whole[: at + 1])
    if since is not None and since > 0:
        return f"Its feedback has learned the way, in {counted(steps[since], 'step')}."
    return "Points along the exact gradient." if whole > LOST else "Points sideways."


def _arrived(values: Sequence[Number]) -> int | None:
    """The index from which on all values are at least `ARRIVED`; None if the last one is not."""
    below = [at for at, value in enumerate(values) if value is None or value < ARRIVED]
    start = below[-1] + 1 if below else 0
    return start if start < len(values) else None


def of_alignments(preset: Preset, measured: Measured) -> Says:
    """The sentence of the alignments, as the probes come in."""
    return _changes(measured.steps, lambda at: _alignments(preset, measured, at), EVERY)


def _alignments(preset: Preset, measured: Measured, at: int) -> str:
    if at + 1 < ENOUGH:
        return f"Too early to say: {at + 1} of {ENOUGH} probes."
    head = preset.layers[-1].name
    recent = {
        racer.label: _mean(measured.tracks[racer.label].whole[max(0, at + 1 - WINDOW) : at + 1])
        for racer in preset.estimators
    }
    estimates = {label: value for label, value in recent.items() if value and value < EXACT}
    if len(estimates) < 2:
        return "Every estimator equals the exact gradient."
    ordered = sorted(estimates, key=lambda label: estimates[label])
    best, worst = preset.racer(ordered[-1]), preset.racer(ordered[0])
    said = (
        f"{_first(best)} points {percent(estimates[best.label])} along, "
        f"{worst.short} {percent(estimates[worst.label])}"
    )
    estimated = [
        label for label in ordered if (measured.tracks[label].layers[head][at] or 0) < EXACT
    ]
    if estimated == [worst.label]:
        return f"{said}; the others compute the {head} exactly."
    return f"{said}."


def of_loss(preset: Preset, measured: Measured) -> Says:
    """The sentence of the loss, as the blocks of steps come in."""
    ends = [BLOCK * (at + 1) for at in range(len(measured.loss.mean))]
    return _changes(ends, lambda at: _loss(preset, measured, ends[at]), EVERY)


def _loss(preset: Preset, measured: Measured, step: int) -> str:
    parts = [
        (preset.racer(label), start, min(end, step))
        for (start, label), (end, _) in pairwise([*measured.drives, (step, "")])
        if min(end, step) - start >= ENOUGH * BLOCK
    ]
    if not parts:
        return "Too early to say."
    if len(parts) == 1:
        return _took(measured, *parts[0])
    (former, *before), (latter, *after) = parts[-2:]
    falls = _fall(measured, *before), _fall(measured, *after)
    first, second = (_gained(fall) for fall in falls)
    if falls[0] >= 0 and falls[1] >= 0:
        second = f"{falls[1]:.2g}"
    steps = [end - start for start, end in (before, after)]
    return (
        f"{_first(former)} {first} in {counted(steps[0], 'step')}, "
        f"{latter.short} {second} in {steps[1]:,}."
    )


def _took(measured: Measured, racer: Racer, start: int, end: int) -> str:
    """How far one driver brought the loss."""
    first, last = measured.loss.at(start), measured.loss.at(end - 1)
    if first is None or last is None:
        return "The loss is not finite."
    verb = "took" if last < first else "let"
    return (
        f"{_first(racer)} {verb} the loss from {first:.2g} to {last:.2g} nats "
        f"in {counted(end - start, 'step')}."
    )


def _fall(measured: Measured, start: int, end: int) -> float:
    first, last = measured.loss.at(start), measured.loss.at(end - 1)
    return math.nan if first is None or last is None else first - last


def _gained(fall: float) -> str:
    """By how much the loss fell or rose: `gained 1.1 nats`."""
    if math.isnan(fall):
        return "made the loss infinite"
    return f"{'gained' if fall >= 0 else 'lost'} {abs(fall):.2g} nats"


def _first(racer: Racer) -> str:
    """The short name at the beginning of a sentence."""
    return racer.short[0].upper() + racer.short[1:]


def _mean(values: Sequence[Number]) -> Number:
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else None


def _changes(steps: Sequence[int], say: Callable[[int], str], every: int = 1) -> Says:
    """`say(index)` wherever it changes; after the first words, at most once in `every` steps."""
    said: Says = []
    for at, step in enumerate(steps):
        if step % every and step >= EVERY and at < len(steps) - 1:
            continue
        text = say(at)
        if not said or said[-1][1] != text:
            said.append((step, text))
    return said
