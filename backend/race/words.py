"""What the race shows, in sentences: of each estimator, of the alignments, and of the loss.

Each sentence is a function of what was measured up to a step, so that the page can say at every
moment of a replay what could be said then.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from backend.figures.words.numbers import percent, two_digits
from backend.figures.words.sentences import MIN_PROBES, counted, fitting, joined, too_early
from backend.race.measured import BLOCK, Measured, Number, Track
from backend.race.preset import Preset

EXACT = 0.9995
"""A cosine from here on is shown as 100 %."""
ARRIVED = 0.9
"""A cosine from which on an estimator is said to have found the direction."""
SIDEWAYS = 0.25
"""A mean size of cosines below which a layer's signal is no help worth a word."""
LOST = 0.05
"""A cosine below which one draw says almost nothing."""
LEAST_STEPS = 5 * BLOCK
"""Steps that a driver has made before anything is said of its loss."""
WINDOW = 8
"""Probes over which the numbers in sentences are averaged."""
EVERY = 160
"""Steps between two versions of a sentence with numbers."""

Says = list[tuple[int, str]]
"""(step, sentence): from which step on each sentence holds."""


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
    in_exact = joined(exact)
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
    if at + 1 < MIN_PROBES:
        return too_early(at + 1)
    head = preset.layers[-1].name
    recent = {
        label: _mean(measured.tracks[label].whole[max(0, at + 1 - WINDOW) : at + 1])
        for label in preset.labels
    }
    estimates = {label: value for label, value in recent.items() if value and value < EXACT}
    if len(estimates) < 2:
        return "Every estimator equals the exact gradient."
    ordered = sorted(estimates, key=lambda label: estimates[label])
    best, worst = ordered[-1], ordered[0]
    said = (
        f"{preset.short[best]} points {percent(estimates[best])} along, "
        f"{preset.short[worst]} {percent(estimates[worst])}"
    )
    estimated = [
        label for label in ordered if (measured.tracks[label].layers[head][at] or 0) < EXACT
    ]
    others = f"; the others compute the {head} exactly" if estimated == [worst] else ""
    return fitting(said + others, said)


def of_reading(measured: Measured) -> Says:
    """The sentence of what the network reads, at each probe."""

    def say(at: int) -> str:
        right = measured.reading.right[at]
        return "Not read yet." if right is None else f"{percent(right)} of unseen digits right."

    return _changes(measured.steps, say)


def of_loss(preset: Preset, measured: Measured) -> Says:
    """The sentence of the loss, as the blocks of steps come in."""
    ends = [BLOCK * (at + 1) for at in range(len(measured.loss.mean))]
    return _changes(ends, lambda at: _loss(preset, measured, ends[at]), EVERY)


def _loss(preset: Preset, measured: Measured, step: int) -> str:
    parts = [
        (preset.short[label], start, min(end, step))
        for (start, label), (end, _) in pairwise([*measured.drives, (step, "")])
        if min(end, step) - start >= LEAST_STEPS
    ]
    if not parts:
        return too_early(step, "step", LEAST_STEPS)
    if len(parts) == 1:
        return _took(measured, *parts[0])
    (former, *before), (latter, *after) = parts[-2:]
    falls = _fall(measured, *before), _fall(measured, *after)
    first, second = (_gained(fall) for fall in falls)
    if falls[0] >= 0 and falls[1] >= 0:
        second = two_digits(falls[1])
    steps = [end - start for start, end in (before, after)]
    return fitting(
        f"{former} {first} in {counted(steps[0], 'step')}, {latter} {second} in {steps[1]:,}",
        f"{latter} {_gained(falls[1])} in {counted(steps[1], 'step')}",
    )


def _took(measured: Measured, driver: str, start: int, end: int) -> str:
    """How far one driver brought the loss."""
    first, last = measured.loss.at(start), measured.loss.at(end - 1)
    if first is None or last is None:
        return "The loss is not finite."
    verb = "took" if last < first else "let"
    return fitting(
        f"{driver} {verb} the loss from {two_digits(first)} to {two_digits(last)} nats in "
        f"{counted(end - start, 'step')}"
    )


def _fall(measured: Measured, start: int, end: int) -> float:
    first, last = measured.loss.at(start), measured.loss.at(end - 1)
    return math.nan if first is None or last is None else first - last


def _gained(fall: float) -> str:
    """By how much the loss fell or rose: `gained 1.1 nats`."""
    if math.isnan(fall):
        return "made the loss infinite"
    return f"{'gained' if fall >= 0 else 'lost'} {two_digits(abs(fall))} nats"


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
