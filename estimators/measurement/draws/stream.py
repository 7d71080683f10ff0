"""Draws of one estimator at a frozen point, as they are made: honest, or by an oracle.

Honest draws are the estimator's own. An oracle makes the same draws from the same noise out of
the exact gradient, for less; tests hold it to that draw by draw.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

from torch import Generator

from estimators.autodiff.calculus import value_and_grad
from estimators.core.contract import Estimator, Params, UnsupportedError
from estimators.core.objective import Objective
from estimators.core.streams import stream
from estimators.measurement.draws.activity_draws import activity_draws
from estimators.measurement.draws.moments import stack
from estimators.measurement.draws.weight_draws import Make, Stack, weight_draws
from estimators.perturbation.activity_forward_gradient import ActivityForwardGradient
from estimators.perturbation.forward_gradient import ForwardGradient

Source = Literal["honest", "oracle"]
MANY: dict[type, Callable[..., Make | None]] = {
    ForwardGradient: weight_draws,
    ActivityForwardGradient: activity_draws,
}
"""Who makes many draws at once: (estimator, objective, params, state, rng, exact or None)."""
MOST = 2**22
"""Numbers that the draws of one chunk may take: 16 MiB in float32."""
AT_ONCE = 32
FIRST = 8
"""Draws of the first chunk, so that something is seen at once."""


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
) -> Iterator[Stack]:
    """`count` draws of (k, *shape) for each parameter, in chunks that fit into memory.

    The draws share `state`; their noise is the stream (seed, "probe", step, label): other draws
    need another seed. `exact` is the gradient that an oracle projects; without it, it is taken.
    Raises UnsupportedError where no oracle is known, ValueError for fewer than one draw.
    """
    if count < 1:
        raise ValueError(f"{count} draws were asked for; at least 1 is needed")
    device = next(iter(params.values())).device
    rng = stream(seed, "probe", step, label, device=device)
    if source == "oracle" and exact is None:
        exact = value_and_grad(objective, params)[1]
    given = exact if source == "oracle" else None
    make = _maker(estimator, objective, params, state, rng, given)
    return _chunks(make, count, chunk or _chunk(params), chunk is None)


def has_oracle(
    estimator: Estimator,
    objective: Objective,
    params: Params,
    state: Any,
    exact: Params | None = None,
) -> bool:
    """Whether the exact gradient can be projected instead of drawing the estimator."""
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
    """What is asked for, where that can be had: without an oracle, honest draws.

    Raises ValueError for another word.
    """
    if asked not in get_args(Source):
        raise ValueError(f"source is {asked!r}; {' or '.join(get_args(Source))} is allowed")
    if asked == "oracle" and has_oracle(estimator, objective, params, state, exact):
        return "oracle"
    return "honest"


def _chunks(make: Make, count: int, chunk: int, early: bool) -> Iterator[Stack]:
    some = min(FIRST, chunk) if early else chunk
    while count > 0:
        yield make(min(some, count))
        count, some = count - some, chunk


def _chunk(params: Params) -> int:
    size = sum(p.numel() for p in params.values())
    return max(1, min(AT_ONCE, MOST // max(size, 1)))


def _maker(
    estimator: Estimator,
    objective: Objective,
    params: Params,
    state: Any,
    rng: Generator,
    exact: Params | None,
) -> Make:
    many = MANY.get(type(estimator))
    make = many and many(estimator, objective, params, state, rng, exact)
    if make:
        return make
    if exact is None:
        return _one_by_one(
            lambda: estimator.estimate(objective, params, state, rng).grads, list(params)
        )
    if estimator.oracle(objective, params, state, exact, rng.clone_state()) is None:
        raise UnsupportedError(
            f"{type(estimator).__name__} has no oracle here: its draws are no projection of the "
            "exact gradient; draw it honestly"
        )

    def again() -> Params:
        made = estimator.oracle(objective, params, state, exact, rng)
        assert made is not None
        return made.grads

    return _one_by_one(again, list(params))


def _one_by_one(draw: Callable[[], Params], names: list[str]) -> Make:
    return lambda count: stack([draw() for _ in range(count)], names)
