"""The null by redrawing feedback: the same estimator from other first states.

What an estimator draws in `init`, such as the feedback matrices of DFA or the weights of auxiliary
networks, is drawn again, independently of the gradient, of the batch and of what was learnt. How
the estimates from such states align with the gradient is chance, together with whatever the
construction gives: a layer whose estimate does not depend on the feedback stays as it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from estimators.core.contract import Estimator, Params
from estimators.core.noise import stream
from estimators.core.objective import Objective
from estimators.measurement.draws.summary import grouped, mean, ratio, variance
from estimators.statistics.reference import error_null

REDRAWN = "redrawn/"
"""What the metrics of the null begin with."""


class Redrawn(NamedTuple):
    """The null of one estimator in each layer, (G,) each."""

    cosine: Tensor
    """The mean cosine over the redraws."""
    cosine_sd: Tensor
    scaled_error: Tensor
    """The scaled error that 95 % of the redraws exceed."""


def redraws(
    objective: Objective,
    params: Params,
    estimator: Estimator,
    exact: Params,
    count: int,
    seed: int = 0,
    step: int = 0,
    label: str = "",
) -> Iterator[Tensor]:
    """⟨ĝ, g⟩ and ‖ĝ‖² of each tensor for one estimate from each of `count` first states: (2, T)
    each; nothing where `init` draws nothing at random.

    State and noise of redraw r come from the stream (seed, "probe", step, label, "redrawn", r).
    """
    device = next(iter(params.values())).device

    def drawn(r: int) -> tuple[Any, torch.Generator]:
        rng = stream(seed, "probe", step, label, "redrawn", r, device=device)
        return estimator.init(objective, params, rng), rng

    if _same(drawn(0)[0], drawn(1)[0]):
        return
    for r in range(count):
        grads = estimator.estimate(objective, params, *drawn(r)).grads
        pairs = [(grads[name].double(), g.double()) for name, g in exact.items()]
        products = [torch.stack([(x * g).sum(), x.square().sum()]) for x, g in pairs]
        yield torch.stack(products, 1).cpu()


def null_of_redraws(rows: Sequence[Tensor], exact: Tensor, groups: Tensor) -> Redrawn:
    """The null from at least two rows of `redraws`; `exact` is ‖g‖² of each group, (G,)."""
    dots, squares = (grouped(x, groups) for x in torch.stack([*rows], 1))
    g = torch.where(exact > 0, exact, torch.nan).sqrt()
    cosines = ratio(dots, squares.sqrt() * g)
    centre, spread = mean(cosines), variance(cosines).sqrt()
    errors = map(error_null, centre.tolist(), spread.tolist())
    return Redrawn(centre, spread, torch.tensor([*errors], dtype=torch.float64))


def _same(a: Any, b: Any) -> bool:
    """Whether two states, trees of tensors and numbers, are equal."""
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, Mapping):
        return all(_same(value, b[key]) for key, value in a.items())
    if isinstance(a, list | tuple):
        return all(map(_same, a, b))
    return bool(a == b)
