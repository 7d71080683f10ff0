"""What the figures of a microscope say: draws at one frozen point."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from backend.figures.data.source import Floats
from backend.figures.words.names import short_names
from backend.figures.words.numbers import percent, times, two_digits
from backend.figures.words.sentences import counted, fitting, joined
from estimators.statistics.student import Sample, half_width

NAMED = 3
"""Most estimators that a sentence names."""
MIN_DRAWS = 8
"""Fewest draws of a mean that is told."""


class BestStep(NamedTuple):
    """The best single step of one estimator."""

    label: str
    rate: float | None
    decrease: float | None
    decrease_se: float | None


def best_steps(steps: Sequence[BestStep]) -> str:
    """`DFA's best step, at rate 0.19, lowers the loss by 0.025`; "" without an estimator."""
    if not steps:
        return ""
    names = short_names(step.label for step in steps)
    made = [s for s in steps if s.rate is not None and s.decrease and _is_clear(s)]
    if not made:
        return fitting("No estimator's step is sure to lower the loss")
    best = max(made, key=lambda step: step.decrease or 0.0)
    rate, decrease = two_digits(best.rate or 0.0), two_digits(best.decrease or 0.0)
    of_many = f", most of {len(steps)}" if len(steps) > 1 and _is_ahead(best, made) else ""
    name = names[best.label]
    return fitting(
        f"{name}'s best step, at rate {rate}, lowers the loss by {decrease}{of_many}",
        f"{name}'s best step, at rate {rate}, lowers the loss by {decrease}",
        f"The best step, at rate {rate}, lowers the loss by {decrease}",
    )


def _is_clear(step: BestStep) -> bool:
    return (step.decrease or 0.0) > 2 * (step.decrease_se or 0.0)


def _is_ahead(best: BestStep, made: Sequence[BestStep]) -> bool:
    """Whether no other one is within two standard errors of the best."""
    return all(
        (best.decrease or 0.0) - (other.decrease or 0.0)
        > 2 * np.hypot(best.decrease_se or 0.0, other.decrease_se or 0.0)
        for other in made
        if other is not best
    )


def lowering_draws(shares: Mapping[str, tuple[int, int]]) -> str:
    """How many of the steps lower the loss: {label: (those that do, all)}."""
    if not shares:
        return ""
    names = short_names(shares)
    ranked = sorted(shares, key=lambda label: -shares[label][0] / max(shares[label][1], 1))
    said = [f"{names[label]} {percent(shares[label][0] / shares[label][1])}"
            for label in ranked if shares[label][1]]  # fmt: skip
    if not said:
        return ""
    few = f"steps that lower the loss: {', '.join(said)}"
    many = f"steps that lower the loss: {said[0]} at most, {said[-1]} at least"
    return fitting(
        few if len(said) <= NAMED else many, many, f"steps that lower the loss: {said[0]}"
    )


def cloud(label: str, along: Floats) -> str:
    """Whether the mean of the draws reaches as far along the gradient as the gradient."""
    sample = Sample.from_values(along.tolist())
    if sample.count < MIN_DRAWS:
        return ""
    (name,) = short_names([label]).values()
    half = half_width(sample.count) * sample.standard_error
    low, high = sample.mean - half, sample.mean + half
    head = f"{name} reaches {times(sample.mean)} the gradient along it on average"
    if low <= 1 <= high:
        return fitting(f"{head}, as an unbiased one does", head)
    return fitting(f"{head}, between {two_digits(low)} and {two_digits(high)}", head)


def bias_verdicts(verdicts: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """In which layers a bias was found: {label: [(layer, kind)]}."""
    if not verdicts:
        return ""
    names = short_names(verdicts)
    wrong = {
        names[label]: [layer for layer, kind in rows if kind in ("biased", "across")]
        for label, rows in verdicts.items()
    }
    biased = {name: layers for name, layers in wrong.items() if layers}
    clean = [name for name, layers in wrong.items() if not layers]
    if not biased:
        total = counted(len(clean), "estimator")
        return fitting(f"no bias of {joined(clean)} found", f"no bias of the {total} found")
    parts = []
    for name, layers in biased.items():
        whole = "" in layers
        where = "" if whole else f" in {counted(len(layers), 'layer')}"
        parts.append(f"{name} is biased{where}")
    rest = f", no bias of {joined(clean)} found" if clean else ""
    verb = "is" if len(biased) == 1 else "are"
    count = f"{len(biased)} of {counted(len(wrong), 'estimator')} {verb} biased"
    return fitting(", ".join(parts) + rest, count)


def variance_parts(shares: Mapping[str, float]) -> str:
    """How much of the variance is the estimator's own: {label: share}."""
    finite = {label: share for label, share in shares.items() if np.isfinite(share)}
    if not finite:
        return ""
    names = short_names(finite)
    ranked = sorted(finite, key=lambda label: -finite[label])
    said = [f"{names[label]} {percent(min(max(finite[label], 0.0), 1.0))}" for label in ranked]
    head = "share of the variance that is the estimator's own"
    few = ", ".join(said[:NAMED])
    if len(said) > NAMED:
        few = f"{said[0]} at most, {said[-1]} at least"
    return fitting(f"{head}: {few}", f"own share of the variance: {few}", f"own share: {said[0]}")


def averages(errors: Mapping[str, tuple[float, float]]) -> str:
    """What averaging leaves: {label: (draws averaged, squared error)}."""
    finite = {label: each for label, each in errors.items() if np.isfinite(each).all()}
    if not finite:
        return ""
    names = short_names(finite)
    ranked = sorted(finite, key=lambda label: finite[label][1])
    most = int(max(draws for draws, _ in finite.values()))
    said = [f"{names[label]} {two_digits(finite[label][1])}" for label in ranked]
    head = f"error left by averaging {most:,} draws"
    if len(said) > NAMED:
        return fitting(f"{head}: {said[0]} at least, {said[-1]} at most", f"{head}: {said[0]}")
    return fitting(f"{head}: {', '.join(said)}", f"{head}: {said[0]}")


def advice(texts: Mapping[str, str]) -> str:
    """Whether a larger batch or more draws: {label: what the variance split advises}."""
    if not texts:
        return ""
    names = short_names(texts)
    batch = [names[label] for label, choice in texts.items() if choice == "larger batch"]
    draws = [names[label] for label, choice in texts.items() if choice == "more draws"]
    other = len(texts) - len(batch) - len(draws)
    parts = [f"a larger batch for {joined(batch)}"] if batch else []
    parts += [f"more draws for {joined(draws)}"] if draws else []
    rest = f", {other} undecided" if other and parts else ""
    if not parts:
        return fitting("Neither a larger batch nor more draws is sure to be better")
    return fitting(", ".join(parts) + rest, f"{len(batch)} a larger batch, {len(draws)} more draws")
