"""Spikes, plateaus and rises of a run's losses, as marks on its curve and as findings."""

from typing import NamedTuple

from backend.figures.data import signals
from backend.figures.data.source import PointsLike, RunLike, Source
from backend.figures.findings.finding import FAULT, REMARK, Finding
from backend.figures.words.numbers import two_digits
from backend.figures.words.sentences import fitting

TRAIN, VALIDATION = "train/loss", "validation/loss"
NAMES = {TRAIN: "training loss", VALIDATION: "validation loss"}
LONGEST = 100_000
"""Most values of a loss that are looked at, the newest."""
MOST_MARKS = 20
"""Most spikes of a run that are marked, the highest."""


class Signal(NamedTuple):
    """Something that a loss does, at its step."""

    step: int
    kind: str
    text: str


class Losses(NamedTuple):
    """What the losses of a run do."""

    spikes: list[signals.Spike]
    rises: dict[str, signals.Rise]
    """By metric."""
    level: signals.Level | None
    level_of: str
    """The metric that is level."""
    broken: int | None
    """The step from which on the training loss is not a number."""


def read(source: Source, run_id: str) -> Losses:
    """Look at the training and the validation loss."""
    points = {
        series.metric: source.points(series.id, newest=LONGEST)
        for series in source.series(run_id)
        if series.metric in NAMES and not series.layer and series.count
    }
    train = points.get(TRAIN)
    rises = {name: rise for name, own in points.items() if (rise := _rise(own))}
    level, metric = None, ""
    # The validation loss is of the same examples each time.
    for name in (VALIDATION, TRAIN):
        if name in points and not rises and level is None:
            level, metric = signals.plateau(points[name].steps, points[name].values), name
            if level and len(points[name].steps) == LONGEST:  # how it began was not looked at
                level = level._replace(never_fell=False)
    return Losses(
        spikes=signals.spikes(train.steps, train.values) if train else [],
        rises=rises,
        level=level,
        level_of=metric,
        broken=signals.first_nonfinite(train.steps, train.values) if train else None,
    )


def _rise(points: PointsLike) -> signals.Rise | None:
    return signals.rise(points.steps, points.values)


def marks(source: Source, run_id: str) -> list[Signal]:
    """What is marked at its step on the curve of the loss, in order of steps.

    Values that are not finite are not among it: every curve marks them.
    """
    losses = read(source, run_id)
    highest = sorted(losses.spikes, key=lambda spike: -spike.value)[:MOST_MARKS]
    made = [
        Signal(spike.step, "spike", f"{NAMES[TRAIN]} {_from_to(spike.level, spike.value)}")
        for spike in highest
    ]
    for metric, rise in losses.rises.items():
        text = f"{NAMES[metric]} rises from here, {_from_to(rise.lowest, rise.value)}"
        made.append(Signal(rise.step, "rise", text))
    if losses.level and not losses.level.never_fell:  # else nothing changed at that step
        since = (
            f"{NAMES[losses.level_of]} is level from here, near {two_digits(losses.level.value)}"
        )
        made.append(Signal(losses.level.step, "plateau", since))
    return sorted(made)


def findings(source: Source, run_id: str, run: RunLike) -> list[Finding]:
    """What the losses do; of a loss that is no number, the run's end tells."""
    losses = read(source, run_id)
    made = [_of_spikes(losses.spikes)] if losses.spikes else []
    if losses.broken is None:
        # Where both rise, it is not that the network fits the training examples alone.
        metric = TRAIN if TRAIN in losses.rises else VALIDATION
        if rise := losses.rises.get(metric):
            made.append(_of_rise(metric, rise))
        if losses.level:
            made.append(_of_level(losses.level, NAMES[losses.level_of], run))
    return made


def broken(source: Source, run_id: str) -> int | None:
    """The step from which on the training loss is no number; None where the last one is."""
    for series in source.series(run_id):
        if (series.metric, series.layer) == (TRAIN, "") and series.count:
            newest = source.points(series.id, newest=1)
            if signals.first_nonfinite(newest.steps, newest.values) is None:
                return None
            points = source.points(series.id)
            return signals.first_nonfinite(points.steps, points.values)
    return None


def _of_spikes(spikes: list[signals.Spike]) -> Finding:
    highest = max(spikes, key=lambda spike: spike.value)
    if len(spikes) == 1:
        title = f"training loss spikes once, at step {highest.step:,}"
    else:
        title = f"training loss spikes {len(spikes):,} times, highest at step {highest.step:,}"
    text = (
        f"It rises {_from_to(highest.level, highest.value)} and returns. "
        "A lower learning rate or clipped gradients avoid it."
    )
    return Finding("spike", REMARK, fitting(title), text, highest.step, spikes[-1].step)


def _of_rise(metric: str, rise: signals.Rise) -> Finding:
    title = fitting(f"{NAMES[metric]} rises since step {rise.step:,}")
    how = f"It went {_from_to(rise.lowest, rise.value)}."
    if metric == VALIDATION:
        text = f"{how} Stop earlier, or take more examples or weight decay."
        return Finding("overfitting", REMARK, title, text, rise.step)
    text = f"{how} Lower the learning rate."
    return Finding("rise", FAULT, title, text, rise.step, action="lower rate")


def _of_level(level: signals.Level, name: str, run: RunLike) -> Finding:
    value = two_digits(level.value)
    if level.never_fell and not getattr(run, "parent", None):
        text = f"It stays near {value}. Try a higher rate, or an estimator with less variance."
        return Finding("plateau", FAULT, fitting(f"{name} has not fallen"), text, level.step)
    title = fitting(f"{name} is level since step {level.step:,}")
    text = f"It stays near {value}. Another learning rate or a schedule may lower it further."
    return Finding("plateau", REMARK, title, text, level.step)


def _from_to(low: float, high: float) -> str:
    return f"from {two_digits(low)} to {two_digits(high)}"
