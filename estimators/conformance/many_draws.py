"""As many draws as a check needs to see a small bias, batched where the estimator offers this."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from estimators.conformance.laws import deviations
from estimators.conformance.tally import Tally
from estimators.conformance.trial import Trial
from estimators.core.contract import BatchedDraws, Params, batched_draws_of
from estimators.core.laws import mean_of
from estimators.core.noise import stream

MAX_COUNT = 1_000_000
BATCH, SINGLE = 2000, 250
"""Draws between two looks at the clock, of a batch and one by one."""
MARGIN = 7.0
"""Standard errors within which an offset is seen: 5 to be told from chance, 2 for its own noise."""
BIAS, BIAS_IN_A_TENSOR, LAW = 0.01, 0.05, 0.02
"""What the draws suffice to see: a bias as a share of the gradient, and of a tensor's part; a
deviation from the law's variance."""


class ManyDraws(NamedTuple):
    """Draws of one trial, as the sums that the checks need."""

    claimed: Tally
    """About what the claim promises as their mean."""
    lawful: Tally | None
    """About the law's mean, where there is a law."""
    source: str
    """How they were made: honest, or projected from the exact gradient."""


def many_draws(trial: Trial, seconds: float, most: int = MAX_COUNT) -> ManyDraws:
    """Draw until a small bias would be seen, for at most `seconds` and at most `most` draws."""
    source, chunks = _chunks(trial)
    law, exact = trial.law, trial.tensors(trial.exact)
    claimed = Tally(trial.tensors(trial.expected))
    lawful = None if law is None else Tally({n: mean_of(law, exact)[n] for n in exact})
    began, look = time.monotonic(), BATCH
    for chunk in chunks:
        claimed.add(chunk)
        if lawful is not None:
            lawful.add(chunk)
        if claimed.count >= most or time.monotonic() - began > seconds:
            break
        if claimed.count >= look:
            if _suffices(trial, claimed, lawful):
                break
            look *= 2
    return ManyDraws(claimed, lawful, source)


def _chunks(trial: Trial) -> tuple[str, Iterator[Tensor]]:
    """("batched", ...), ("projected", ...) or ("honest", ...), and the draws in chunks."""
    chain, params = trial.case.chain, trial.case.params
    for source, exact in (("batched", None), ("projected", trial.tensors(trial.exact))):
        rng = stream(trial.seed, "estimator", "many")
        batch = batched_draws_of(trial.estimator, chain, params, trial.state, exact, rng)
        if batch is not None:
            return source, _batched(batch, params)
    return "honest", _honest(trial)


def _batched(batch: BatchedDraws, params: Params) -> Iterator[Tensor]:
    while True:
        stack = batch(BATCH)
        yield torch.cat([stack[name].reshape(BATCH, -1) for name in params], 1)


def _honest(trial: Trial) -> Iterator[Tensor]:
    rng = stream(trial.seed, "estimator", "many")
    while True:
        estimates = (
            trial.estimate(trial.case.params, trial.state, rng).grads for _ in range(SINGLE)
        )
        yield torch.stack([trial.flat(grads).detach() for grads in estimates])


def _suffices(trial: Trial, claimed: Tally, lawful: Tally | None) -> bool:
    errors = MARGIN * claimed.along.std(0) / claimed.count**0.5
    if errors[0] > BIAS or (errors[1:] > BIAS_IN_A_TENSOR).any():
        return False
    if lawful is None or trial.law is None:
        return True
    return all(MARGIN * d.resolution <= LAW for d in deviations(trial.law, lawful))
