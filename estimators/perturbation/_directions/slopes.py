"""Directional derivatives along many directions at once, and the gradients made of them.

A direction v is kept as a list of tensors, K of them as tensors (K, *shape). All K are pushed
forward together: written out where the network is feed-forward, else by batching the dual
numbers, else one after the other.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor
from torch.func import jvp, vmap

from estimators.autodiff.calculus import push_forward
from estimators.autodiff.weight_tangents import layers_of, slopes_through
from estimators.core.contract import Cost, Estimator, Need, Params, UnsupportedError
from estimators.core.objective import Chain, Objective
from estimators.core.structure import PerNetwork
from estimators.core.vectors import add_, weighted_sum
from estimators.perturbation._directions.activation_size import largest_activation

MOST = 2**24
"""Numbers that the directions of one pass may take together: 64 MiB in float32."""
LARGEST = 2**23 - 1
"""Numbers that one tensor of a pass may have. More is slower: from 32 MiB on, memory comes
fresh from the system each time, page by page."""
AT_ONCE = 32
"""Directions in one pass: more gain nothing, and each keeps activations of its own."""

LIVE = 2
"""Tangents of activations that are alive at once: before a layer and behind it."""

Draw = Callable[[int], list[Tensor]]
"""K -> that many directions, (K, *shape) for each parameter."""

S = TypeVar("S")

Weigh = Callable[[Tensor, list[Tensor]], Tensor]
"""(slopes (K,), directions) -> the coefficients c_k of the directions, (K,)."""


class Directional(Estimator[Objective, S]):
    """What methods share that push tangents of the weights forward, K of them an estimate."""

    tangents: int

    def needs(self) -> tuple[Need, ...]:
        return (Need.DIFFERENTIABLE, Need.FORWARD_MODE)

    def cost(self, objective: Objective, /) -> Cost:
        return Cost(jvps=self.tangents)


def mean_over(
    objective: Objective, params: Params, draw: Draw, count: int, weigh: Weigh | None = None
) -> tuple[list[Tensor], Tensor]:
    """(1/K Σ_k c_k v_k, L(θ)), with c_k = ∇L·v_k unless weighed. Memory does not grow with K."""
    total: list[Tensor] = []
    loss = None
    for some in portions(count, objective, params):
        v = draw(some)
        loss, c = slopes(objective, params, v)
        c = c if weigh is None else weigh(c, v)
        part = weighted_sum(v, c / count)
        total = add_(total, part) if total else part
    assert loss is not None
    return total, loss


def mean_over_examples(
    chain: Chain, params: Params, draw: Draw, count: int, weigh: Weigh
) -> tuple[list[Tensor], Tensor]:
    """(1/KB Σ_kn c_kn v_kn, L(θ)), with c_kn = ∇ℓ_n·v_kn, weighed: K directions an example."""
    total: list[Tensor] = []
    losses: list[Tensor] = []
    size = len(chain.x)
    for _ in range(count):
        start = 0
        for some in portions(size, chain.on(chain.x[:1], chain.y[:1]), params):
            part = slice(start, start + some)
            start += some
            v = draw(some)
            found, c = slopes_of_examples(chain.on(chain.x[part], chain.y[part]), params, v)
            mean = weighted_sum(v, weigh(c, v) / (count * size))
            total = add_(total, mean) if total else mean
            losses.append(found)
    return total, torch.cat(losses[: len(losses) // count]).mean()


_ALONE = PerNetwork[bool]()
"""Networks whose loss was computed for an example alone."""


def refuse_company(objective: Objective, params: Params) -> None:
    """Raise UnsupportedError unless an example has a loss where it is alone. Tried once a network."""
    if not isinstance(objective, Chain):
        raise UnsupportedError("per='example' needs a network on a batch: a Chain")
    if _ALONE.get(objective, None):
        return
    one = objective.on(objective.x[:1], objective.y[:1])
    try:
        with torch.no_grad():
            one.losses(one.forward(params))
    except ValueError as error:
        raise UnsupportedError(
            "per is 'example', which takes the loss of one example without the others, and this "
            f"loss compares the examples of a batch ({error}); choose per='batch'"
        ) from error
    _ALONE.put(objective, None, True)


def portions(count: int, objective: Objective, params: Params) -> Iterator[int]:
    """K in portions whose directions and activations fit into memory."""
    sizes = [p.numel() for p in params.values()]
    largest = max(sizes)
    if count > 1 and isinstance(objective, Chain):
        largest = max(largest, LIVE * largest_activation(objective, params))
    most = max(1, min(AT_ONCE, MOST // sum(sizes), LARGEST // largest))
    while count > 0:
        yield min(count, most)
        count -= most


def slopes(objective: Objective, params: Params, v: list[Tensor]) -> tuple[Tensor, Tensor]:
    """(L(θ), ∇L·v_k) for K directions (K, *shape): () and (K,)."""
    if len(v[0]) == 1:
        loss, slope = push_forward(objective, params, [t[0] for t in v])
        return loss, slope.view(1)
    layers = layers_of(objective, params)
    if layers is not None and isinstance(objective, Chain):
        return slopes_through(objective, layers, params, dict(zip(params, v, strict=True)))
    try:
        return batched_slopes(objective, params, v)
    except RuntimeError:
        # Not every operation can be batched. What else is wrong, the loop meets again.
        return _slopes_in_turn(objective, params, v)


def batched_slopes(objective: Objective, params: Params, v: list[Tensor]) -> tuple[Tensor, Tensor]:
    """As `slopes`, by batched dual numbers. RuntimeError where an operation has no batch rule."""

    def along(*v: Tensor) -> tuple[Tensor, Tensor]:
        found = jvp(objective, (dict(params),), (dict(zip(params, v, strict=True)),))
        return found[0], found[1]

    with torch.no_grad():
        losses, found = vmap(along)(*v)
    return losses[0], found


def slopes_of_examples(chain: Chain, params: Params, v: list[Tensor]) -> tuple[Tensor, Tensor]:
    """(ℓ_n, ∇ℓ_n·v_n): each example along its own direction, v (B, *shape); both (B,)."""

    def along(x: Tensor, y: Tensor, *v: Tensor) -> tuple[Tensor, Tensor]:
        one = chain.on(x.unsqueeze(0), y.unsqueeze(0))
        found = jvp(one, (dict(params),), (dict(zip(params, v, strict=True)),))
        return found[0], found[1]

    with torch.no_grad():
        try:
            losses, found = vmap(along)(chain.x, chain.y, *v)
        except RuntimeError:
            pairs = [along(*one) for one in zip(chain.x, chain.y, *v, strict=True)]
            losses, found = (torch.stack(t) for t in zip(*pairs, strict=True))
    return losses, found


def _slopes_in_turn(objective: Objective, params: Params, v: list[Tensor]) -> tuple[Tensor, Tensor]:
    found = [push_forward(objective, params, list(one)) for one in zip(*v, strict=True)]
    return found[0][0], torch.stack([slope for _, slope in found])
