"""The forward gradient along one block of weights at a time, after Nesterov (2012)."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Le, Unit
from estimators.core.contract import Cost, Law, Params
from estimators.core.laws import direction_factors, squares, variances_by_tensor
from estimators.core.noise import Noise, stacked_tangents
from estimators.core.objective import Chain, Objective
from estimators.perturbation._directions.slopes import Sample, UnbiasedDirectional

Blocks = list[list[str]]


@dataclass(frozen=True)
class BlockForwardGradient(UnbiasedDirectional):
    """Perturbs one block of weights at a time, so that the other blocks add no noise.

    ĝ_b = 1/K Σ_k (∇L·v_k) v_k, with v within one block b. `each` visits all T blocks in turn;
    `one` draws a block for each tangent, with v √T times as long.

    Use `each` where forward passes are cheap: tr Var ĝ_b = (d_b ± 1)/K ‖∇_b L‖² depends on the
    block's own size d_b and gradient alone. `one` costs a single pass a tangent and does not
    reduce the variance.

    Unbiased. Costs K forward-mode passes with `one`, K T with `each`.

    Source: block coordinate descent, Nesterov (2012), SIAM J. Optim. 22(2), 341–362, with random
    directions in each block.

    Example:
        >>> estimator = BlockForwardGradient(visit="each", blocks="stage")
        >>> measured = measure(net, loss, batch, [estimator])
    """

    visit: Literal["one", "each"] = "one"
    """one: a tangent perturbs one block, drawn at random. each: every block in turn."""
    blocks: Literal["tensor", "stage"] = "tensor"
    """The blocks: single tensors of weights, or all tensors of a stage."""
    tangents: Annotated[int, Ge(1), Le(4096), Unit("tangents")] = 1
    """Directions that one estimate averages over (K), in each block that is visited."""
    noise: Noise = "rademacher"
    """Distribution of a direction: signs ±1, normals, or the sphere, within its block."""

    def cost(self, objective: Objective, /) -> Cost:
        if self.visit == "one" or not isinstance(objective, Chain):
            return Cost(jvps=self.tangents)
        own = dict(objective.module.named_parameters())
        return Cost(jvps=self.tangents * len(self._blocks(own)))

    def passes(self, params: Params, /) -> int:
        each = self.visit == "each"
        return self.tangents * (len(self._blocks(params)) if each else 1)

    def sampler(self, params: Params, rng: Generator, /) -> Sample:
        blocks = self._blocks(params)
        done = 0

        def sample(count: int) -> list[Tensor]:
            nonlocal done
            if self.visit == "each":
                chosen = [k % len(blocks) for k in range(done, done + count)]
            else:
                chosen = torch.randint(
                    len(blocks), (count,), generator=rng, device=rng.device
                ).tolist()
            done += count
            return _stack(params, [blocks[b] for b in chosen], self.noise, rng, len(blocks))

        return sample

    def law(self, objective: Objective, params: Params, state: None, exact: Params, /) -> Law:
        """1/K of T d_l‖g_b‖² + (T (κ₄ − 1) − 1)‖g_l‖² for T blocks of which one is drawn, b that of
        the tensor; on a sphere T d_b/(d_b + 2) (d_l‖g_b‖² + 2‖g_l‖²) − ‖g_l‖². T = 1 for each.
        """
        blocks, size = self._blocks(exact), squares(exact)
        T = len(blocks) if self.visit == "one" else 1
        variance = dict.fromkeys(exact, 0.0)
        for block in blocks:
            d = sum(exact[name].numel() for name in block)
            spread, own = direction_factors(d, self.noise, 1)
            factors = T * spread / self.tangents, (T * (own + 1) - 1) / self.tangents
            own_squares = {name: size[name] for name in block}
            variance |= variances_by_tensor(own_squares, exact, *factors)
        return Law(variance)

    def _blocks(self, params: Params) -> Blocks:
        names = [name for name, p in params.items() if p.numel()]  # no draw for an empty block
        if self.blocks == "tensor":
            return [[name] for name in names]
        stages: dict[str, list[str]] = {}
        for name in names:
            stages.setdefault(name.partition(".")[0], []).append(name)
        return list(stages.values())


def _stack(
    params: Params, chosen: Blocks, noise: Noise, rng: Generator, total: int
) -> list[Tensor]:
    """A direction in each chosen block, √T times as long, (K, *shape) for each parameter."""
    stack = {n: p.new_zeros((len(chosen), *p.shape)) for n, p in params.items()}
    for k, block in enumerate(chosen):
        own = {name: params[name] for name in block}
        for name, v in zip(block, stacked_tangents(own, noise, rng, 1), strict=True):
            stack[name][k] = v[0] * total**0.5
    return list(stack.values())
