"""Whether and why a run diverged.

A run has diverged as soon as a loss or a weight is not finite, or if a loss at its end is more than
100 times what it was at first. From 10 times on, a finding says so.
"""

from collections.abc import Mapping
from time import perf_counter
from typing import Protocol

from torch import Tensor

from backend.series.points import Points
from backend.training.trainer import Trainer

MAX_SECONDS = 20.0
"""Time limit; checkpoints are written twice as often."""
LARGE_RISE = 10.0
"""A loss that rose by this factor suggests that the learning rate is the cause."""


DIVERGED, FINDING = 100.0, 10.0
"""How many times its first value a loss at the end is in a run that diverged, or in a finding."""
SMALLEST_REFERENCE = 0.01
"""A first value below it counts as this: a run may begin at its minimum."""
PARTS = {"train/loss": "training", "validation/loss": "validation", "test/loss": "test"}


class EndOfLosses:
    """The first and the last value of each loss of a run; a checkpoint holds the first ones."""

    def __init__(self) -> None:
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def add(self, points: Points) -> None:
        """Note the values of a loss; other series are ignored."""
        if points.metric in PARTS and len(points.values):
            self._first.setdefault(points.metric, float(points.values[0]))
            self._last[points.metric] = float(points.values[-1])

    def state(self) -> dict[str, float]:
        """The first values, for a checkpoint."""
        return dict(self._first)

    def load(self, state: Mapping[str, float]) -> None:
        """Go on from what `state` returned."""
        self._first = dict(state)

    @property
    def rise(self) -> float:
        """The largest of the losses at the end over their first values."""
        return max(map(self._rise_of, self._last), default=0.0)

    @property
    def sentence(self) -> str:
        """The loss that has risen most, its values and a remedy."""
        metric = max(self._last, key=self._rise_of)
        first, rise = self._first_of(metric), self._rise_of(metric)
        return (
            f"the {PARTS[metric]} loss was {self._last[metric]:.3g} at the end, {rise:.3g} times "
            f"its first value ({first:.3g}); a lower learning rate may help"
        )

    def _rise_of(self, metric: str) -> float:
        return self._last[metric] / max(abs(self._first_of(metric)), SMALLEST_REFERENCE)

    def _first_of(self, metric: str) -> float:
        """The test part is only evaluated at the end; the validation part stands for it."""
        other = "validation/loss" if metric == "test/loss" else metric
        return self._first.get(other, self._first[metric])


def nonfinite_weights(trainer: Trainer) -> str:
    """The name of the first tensor of the network that is not finite; "" if all are finite.

    A loss may stay finite beside it: maximum and minimum drop NaN where they compare.
    """
    tensors = trainer.module.state_dict().items()
    return next((n for n, t in tensors if not bool(t.isfinite().all())), "")


class BatchSource(Protocol):
    """The batches of a run by step."""

    def at(self, step: int, /) -> tuple[Tensor, Tensor]: ...


def first_nonfinite_estimate(
    trainer: Trainer, batches: BatchSource, start: int, broken: int
) -> str | None:
    """A sentence on the first estimate that is not finite, between `start` and `broken`.

    `trainer` is at step `start` and makes the updates again, up to step `broken`, whose loss was
    not finite. None if all estimates are finite or the time limit is reached.
    """
    deadline, first = perf_counter() + MAX_SECONDS, None
    for step in range(start, broken):
        estimate = trainer.update(step, trainer.objective(batches.at(step), step))
        loss = float(estimate.loss)
        first = loss if first is None else first
        tensor = _nonfinite_tensor(trainer, estimate.grads)
        if tensor:
            label = trainer.roles.driver.label
            guesses = bool(estimate.info.get("nonfinite_guesses", 0))
            text = f"the estimate of {label} was not finite at step {step:,}, first in {tensor}"
            text += ", since its guess was not" if guesses else ""
            solves = trainer.solves is not None and trainer.solves.not_finite
            text += ", since a solve of an equilibrium met such a number" if solves else ""
            return f"{text}: {_loss_sentence(loss, first)}"
        if perf_counter() > deadline:
            break
    return None


def _nonfinite_tensor(trainer: Trainer, grads: Mapping[str, Tensor]) -> str:
    return next((n for n, _ in trainer.named if not bool(grads[n].isfinite().all())), "")


def _loss_sentence(loss: float, first: float) -> str:
    if abs(loss) > LARGE_RISE * abs(first):
        return f"the loss had risen to {loss:.3g}; a lower learning rate may help"
    return f"the loss was {loss:.3g} there, so that it is the estimator that broke"
