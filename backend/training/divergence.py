"""Why a run diverged: repeat its last steps and inspect each estimate."""

from collections.abc import Mapping
from time import perf_counter
from typing import Protocol

from torch import Tensor

from backend.training.trainer import Trainer

MAX_SECONDS = 20.0
"""Time limit; checkpoints are written twice as often."""
LARGE_RISE = 10.0
"""A loss that rose by this factor suggests that the learning rate is the cause."""


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
        estimate = trainer.update(step, trainer.objective(batches.at(step)))
        loss = float(estimate.loss)
        first = loss if first is None else first
        tensor = _nonfinite_tensor(trainer, estimate.grads)
        if tensor:
            label = trainer.roles.driver.label
            text = f"the estimate of {label} was not finite at step {step:,}, first in {tensor}"
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
