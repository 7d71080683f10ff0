"""Directional derivatives along many directions at once, and the gradients made of them.

A direction v is a list of tensors, one for each parameter; K directions are tensors (K, *shape).
All K are pushed forward together: layer by layer where the network is feed-forward, else by
batched dual numbers, else one after the other.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Generator, Tensor
from torch.func import jvp, vmap

from estimators.autodiff.calculus import push_forward
from estimators.autodiff.weight_tangents import layers_of, slopes_through
from estimators.core.contract import (
    Claim,
    Cost,
    Estimate,
    Estimator,
    Need,
    Params,
    UnsupportedError,
)
from estimators.core.objective import Chain, Objective
from estimators.core.replay import PARTS_DIFFER
from estimators.core.vectors import add_, weighted_sum
from estimators.perturbation._directions.activation_size import largest_activation

MAX_NUMBERS = 2**24
"""Numbers that the directions of one pass may take together: 64 MiB in float32."""
MAX_TENSOR_NUMBERS = 2**23 - 1
"""Numbers in one tensor of a pass. From 32 MiB on, the system hands out fresh memory page by page
for every tensor, which is slower."""
MAX_DIRECTIONS = 32
"""Directions in one pass. More do not gain speed, and each keeps activations of its own."""
LIVE_TANGENTS = 2
"""Tangents of activations in memory at once: a layer's input and its output."""

Sample = Callable[[int], list[Tensor]]
"""K -> that many directions, (K, *shape) for each parameter."""

Coefficients = Callable[[Tensor, list[Tensor]], Tensor]
"""(slopes ∇L·v_k (K,), directions v_k) -> the coefficients c_k of the directions, (K,)."""

S = TypeVar("S")


class Directional(Estimator[Objective, S]):
    """Base of the methods that push K tangents of the weights forward for one estimate."""

    tangents: int

    def needs(self) -> tuple[Need, ...]:
        return (Need.DIFFERENTIABLE, Need.FORWARD_MODE)

    def cost(self, objective: Objective, /) -> Cost:
        return Cost(jvps=self.tangents)


class UnbiasedDirectional(Directional[None]):
    """Base of the methods without state whose estimate is 1/K Σ_k (∇L·v_k) v_k, E vvᵀ = I."""

    @abstractmethod
    def sampler(self, params: Params, rng: Generator, /) -> Sample:
        """Return the function that draws directions v in the space of `params`."""

    def passes(self, params: Params, /) -> int:
        """Number of directions in one estimate."""
        return self.tangents

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.UNBIASED

    def estimate(
        self, objective: Objective, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        sample, count = self.sampler(params, rng), self.passes(params)
        grads, loss = mean_over(objective, params, sample, count)
        return Estimate(dict(zip(params, grads, strict=True)), loss)


def slopes_as_they_are(slopes: Tensor, directions: list[Tensor]) -> Tensor:
    """c_k = ∇L·v_k: the coefficients of an unbiased forward gradient."""
    return slopes


def mean_over(
    objective: Objective,
    params: Params,
    sample: Sample,
    count: int,
    coefficients: Coefficients = slopes_as_they_are,
) -> tuple[list[Tensor], Tensor]:
    """Return (1/K Σ_k c_k v_k, L(θ)). Memory does not grow with K."""
    total: list[Tensor] = []
    loss = None
    for size in portions(count, objective, params):
        v = sample(size)
        loss, c = slopes(objective, params, v)
        part = weighted_sum(v, coefficients(c, v) / count)
        total = add_(total, part) if total else part
    assert loss is not None
    return total, loss


def mean_over_examples(
    objective: Objective, params: Params, sample: Sample, count: int, coefficients: Coefficients
) -> tuple[list[Tensor], Tensor]:
    """Return (1/KB Σ_kn c_kn v_kn, L(θ)): K directions for each example, of slopes ∇ℓ_n·v_kn."""
    chain = _on_a_batch(objective)
    total: list[Tensor] = []
    losses: list[Tensor] = []
    batch = len(chain.x)
    for _ in range(count):
        start = 0
        for size in portions(batch, chain.on(chain.x[:1], chain.y[:1]), params):
            part = slice(start, start + size)
            start += size
            v = sample(size)
            with _single_losses():
                loss, c = slopes_of_examples(chain.on(chain.x[part], chain.y[part]), params, v)
            mean = weighted_sum(v, coefficients(c, v) / (count * batch))
            total = add_(total, mean) if total else mean
            losses.append(loss)
    return total, torch.cat(losses[: len(losses) // count]).mean()


def require_single_losses(objective: Objective, params: Params) -> None:
    """Raise UnsupportedError unless the loss of one example exists without the other examples."""
    chain = _on_a_batch(objective)
    single = chain.on(chain.x[:1], chain.y[:1])
    with _single_losses(), torch.no_grad():
        single.losses(single.forward(params))


def _on_a_batch(objective: Objective) -> Chain:
    if not isinstance(objective, Chain):
        raise UnsupportedError("per='example' needs a network on a batch: a Chain")
    if objective.replays:
        raise UnsupportedError(f"per is 'example', and {PARTS_DIFFER}", network=True)
    return objective


@contextmanager
def _single_losses() -> Iterator[None]:
    """Say in terms of the field `per` that a loss cannot be taken of one example."""
    try:
        yield
    except ValueError as error:
        raise UnsupportedError(
            "per is 'example', which takes the loss of one example without the others, and this "
            f"loss compares the examples of a batch ({error}); choose per='batch'"
        ) from error


def portions(count: int, objective: Objective, params: Params) -> Iterator[int]:
    """Yield portions of K directions that fit into memory together with their activations."""
    sizes = [p.numel() for p in params.values()]
    largest = max(sizes)
    if count > 1 and isinstance(objective, Chain):
        largest = max(largest, LIVE_TANGENTS * largest_activation(objective, params))
    limit = min(MAX_DIRECTIONS, MAX_NUMBERS // sum(sizes), MAX_TENSOR_NUMBERS // largest)
    most = max(1, limit)
    while count > 0:
        yield min(count, most)
        count -= most


def slopes(objective: Objective, params: Params, v: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return (L(θ), ∇L·v_k) for K directions (K, *shape): () and (K,)."""
    if len(v[0]) == 1:
        loss, slope = push_forward(objective, params, [t[0] for t in v])
        return loss, slope.view(1)
    layers = layers_of(objective, params)
    if layers is not None and isinstance(objective, Chain):
        return slopes_through(objective, layers, params, dict(zip(params, v, strict=True)))
    try:
        return batched_slopes(objective, params, v)
    except RuntimeError:
        # Not every operation can be batched. Any other error is raised again by the loop.
        return _slopes_in_turn(objective, params, v)


def batched_slopes(objective: Objective, params: Params, v: list[Tensor]) -> tuple[Tensor, Tensor]:
    """`slopes` by batched dual numbers. Raises RuntimeError if an operation has no batch rule."""

    def along(*v: Tensor) -> tuple[Tensor, Tensor]:
        loss, slope = jvp(objective, (dict(params),), (dict(zip(params, v, strict=True)),))[:2]
        return loss, slope

    with torch.no_grad():
        losses, slopes = vmap(along)(*v)
    return losses[0], slopes


def slopes_of_examples(chain: Chain, params: Params, v: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return (ℓ_n, ∇ℓ_n·v_n), both (B,): each example along its own direction, v (B, *shape)."""

    def along(x: Tensor, y: Tensor, *v: Tensor) -> tuple[Tensor, Tensor]:
        single = chain.on(x.unsqueeze(0), y.unsqueeze(0))
        loss, slope = jvp(single, (dict(params),), (dict(zip(params, v, strict=True)),))[:2]
        return loss, slope

    with torch.no_grad():
        try:
            losses, slopes = vmap(along)(chain.x, chain.y, *v)
        except RuntimeError:
            pairs = [along(*example) for example in zip(chain.x, chain.y, *v, strict=True)]
            losses, slopes = (torch.stack(t) for t in zip(*pairs, strict=True))
    return losses, slopes


def _slopes_in_turn(objective: Objective, params: Params, v: list[Tensor]) -> tuple[Tensor, Tensor]:
    pairs = [push_forward(objective, params, list(single)) for single in zip(*v, strict=True)]
    return pairs[0][0], torch.stack([slope for _, slope in pairs])
