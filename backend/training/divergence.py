"""What a run died of: its last steps made again, each estimate looked at."""

from collections.abc import Mapping
from time import perf_counter
from typing import Protocol

from torch import Tensor

from backend.training.trainer import Trainer

SECONDS = 20.0
"""For so long at most; a checkpoint is half as old."""
RISE = 10.0
"""A loss that has risen so many times, rather than the estimator, may be the cause."""


class Source(Protocol):
    """The batches of a run."""

    def at(self, step: int, /) -> tuple[Tensor, Tensor]: ...


def autopsy(trainer: Trainer, batches: Source, start: int, broken: int) -> str | None:
    """The first estimate from step `start` on, before the loss at `broken`, that is not finite.

    None where all are, or where time is up: `trainer` is at `start`, and is moved on.
    """
    until, first = perf_counter() + SECONDS, None
    for step in range(start, broken):
        estimate = trainer.update(step, trainer.objective(batches.at(step)))
        loss = float(estimate.loss)
        first = loss if first is None else first
        tensor = _broken(trainer, estimate.grads)
        if tensor:
            who = trainer.lineup.driver.label
            text = f"the estimate of {who} was not finite at step {step:,}, first in {tensor}"
            return f"{text}: {_loss(loss, first)}"
        if perf_counter() > until:
            break
    return None


def _broken(trainer: Trainer, grads: Mapping[str, Tensor]) -> str:
    return next((n for n, _ in trainer.named if not bool(grads[n].isfinite().all())), "")


def _loss(loss: float, first: float) -> str:
    if abs(loss) > RISE * abs(first):
        return f"the loss had risen to {loss:.3g}; a lower learning rate may help"
    return f"the loss was {loss:.3g} there, so that it is the estimator that broke"
