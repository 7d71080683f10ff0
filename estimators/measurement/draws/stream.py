"""Draws of one estimator at a frozen point, honest or by an oracle, in chunks that fit in memory.

Honest draws are the estimator's own. An oracle makes the same draws from the same noise by
projecting the exact gradient, at a lower cost. Where an estimator offers batched draws, a chunk
is made at once; else draw by draw.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import torch
from torch import Generator, Tensor

from estimators.autodiff.calculus import value_and_grad
from estimators.core.contract import (
    BatchedDraws,
    Estimator,
    Params,
    UnsupportedError,
    batched_draws_of,
)
from estimators.core.noise import stream
from estimators.core.objective import Objective
from estimators.measurement.draws.solves import DrawnSolves

Source = Literal["honest", "oracle"]
Stack = dict[str, Tensor]
"""Draws side by side, (k, *shape) for each parameter."""

MOST = 2**22
"""Numbers that the draws of one chunk may take: 16 MiB in float32."""
AT_ONCE = 32
"""Draws in one chunk."""
FIRST = 8
"""Draws of the first chunk: a small one, so that a live view shows something at once."""


def draws(
    objective: Objective,
    params: Params,
    estimator: Estimator,
    state: Any = None,
    count: int = 64,
    seed: int = 0,
    step: int = 0,
    *,
    label: str = "",
    source: Source = "honest",
    exact: Params | None = None,
    chunk: int | None = None,
    solves: DrawnSolves | None = None,
) -> Iterator[Stack]:
    """Yield `count` draws, (k, *shape) for each parameter, in chunks that fit into memory.

    All draws start from `state`. Their noise is the stream (seed, "probe", step, label); other
    draws need another seed. `exact` is the gradient that an oracle projects; it is computed if it
    is not given. `solves` counts the honest draws that rest on a solve that did not converge.
    Raises UnsupportedError if the estimator has no oracle on this objective, and
    ValueError for fewer than one draw.
    """
    if count < 1:
        raise ValueError(f"{count} draws were asked for; at least 1 is needed")
    device = next(iter(params.values())).device
    rng = stream(seed, "probe", step, label, device=device)
    if source == "oracle" and exact is None:
        exact = value_and_grad(objective, params)[1]
    projected = exact if source == "oracle" else None
    batch = _batches(estimator, objective, params, state, projected, rng)
    if solves is not None and source == "honest":
        batch = solves.counted(batch)
    return _chunks(batch, count, chunk or _chunk_size(params), chunk is None)


def has_oracle(
    estimator: Estimator,
    objective: Objective,
    params: Params,
    state: Any,
    exact: Params | None = None,
) -> bool:
    """Whether the estimator's draws can be made by projecting the exact gradient."""
    try:
        next(draws(objective, params, estimator, state, 1, source="oracle", exact=exact))
    except UnsupportedError:
        return False
    return True


def source_of(
    asked: Source,
    estimator: Estimator,
    objective: Objective,
    params: Params,
    state: Any,
    exact: Params | None = None,
) -> Source:
    """The source that is asked for, or "honest" where the estimator has no oracle.

    Raises ValueError for another word.
    """
    if asked not in get_args(Source):
        raise ValueError(f"source is {asked!r}; {' or '.join(get_args(Source))} is allowed")
    if asked == "oracle" and has_oracle(estimator, objective, params, state, exact):
        return "oracle"
    return "honest"


def _chunks(batch: BatchedDraws, count: int, chunk: int, small_first: bool) -> Iterator[Stack]:
    size = min(FIRST, chunk) if small_first else chunk
    while count > 0:
        yield dict(batch(min(size, count)))
        count, size = count - size, chunk


def _chunk_size(params: Params) -> int:
    numbers = sum(p.numel() for p in params.values())
    return max(1, min(AT_ONCE, MOST // max(numbers, 1)))


def _batches(
    estimator: Estimator,
    objective: Objective,
    params: Params,
    state: Any,
    exact: Params | None,
    rng: Generator,
) -> BatchedDraws:
    """The estimator's batched draws, or else its draws one by one."""
    batch = batched_draws_of(estimator, objective, params, state, exact, rng)
    if batch is not None:
        return batch
    if exact is None:
        return _one_by_one(
            lambda: estimator.estimate(objective, params, state, rng).grads, list(params)
        )
    if estimator.oracle(objective, params, state, exact, rng.clone_state()) is None:
        raise UnsupportedError(
            f"{type(estimator).__name__} has no oracle here: its draws are no projection of the "
            "exact gradient; draw it honestly"
        )

    def projected() -> Params:
        estimate = estimator.oracle(objective, params, state, exact, rng)
        assert estimate is not None
        return estimate.grads

    return _one_by_one(projected, list(params))


def _one_by_one(draw: Callable[[], Params], names: list[str]) -> BatchedDraws:
    def batch(count: int) -> Stack:
        grads = [draw() for _ in range(count)]
        if count == 1:  # without a copy
            return {name: grads[0][name].unsqueeze(0) for name in names}
        return {name: torch.stack([g[name] for g in grads]) for name in names}

    return batch
