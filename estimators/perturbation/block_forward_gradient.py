"""The forward gradient along one block of weights at a time: random block coordinates.

Block coordinate descent with sketched blocks: Nesterov (2012), SIAM J. Optim. 22(2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Le, Unit
from estimators.core.contract import Claim, Cost, Estimate, Law, Params
from estimators.core.laws import direction_factors, split, squares
from estimators.core.noise import Noise, stacked_tangents
from estimators.core.objective import Chain, Objective
from estimators.perturbation._directions.slopes import Directional, mean_over

Blocks = list[list[str]]


@dataclass(frozen=True)
class BlockForwardGradient(Directional[None]):
    """ĝ_b = 1/K Σ_k (∇L·v_k) v_k,  v within one block b: the other blocks add no noise.

    `each` visits all T blocks, T passes a tangent: tr Var ĝ_b = (d_b ± 1)/K ‖∇_b L‖², with the
    block's own size and gradient. `one` draws a block, v √T times as long.
    """

    visit: Literal["one", "each"] = "one"
    """one: a tangent perturbs one block, drawn at random. each: every block in its turn."""
    blocks: Literal["tensor", "stage"] = "tensor"
    """What a block is: a tensor of weights, or all tensors of a stage."""
    tangents: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 1
    """Directions that one estimate averages over (K), in each block that is visited."""
    noise: Noise = "rademacher"
    """What a direction is drawn from: signs ±1, normals, or the sphere, in its block."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.UNBIASED

    def cost(self, objective: Objective, /) -> Cost:
        if self.visit == "one" or not isinstance(objective, Chain):
            return Cost(jvps=self.tangents)
        names = [name for name, _ in objective.module.named_parameters()]
        return Cost(jvps=self.tangents * len(self._blocks(names)))

    def estimate(
        self, objective: Objective, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        blocks = self._blocks(list(params))
        passes = self.tangents * (len(blocks) if self.visit == "each" else 1)
        done = 0

        def draw(count: int) -> list[Tensor]:
            nonlocal done
            if self.visit == "each":
                chosen = [k % len(blocks) for k in range(done, done + count)]
            else:
                chosen = torch.randint(
                    len(blocks), (count,), generator=rng, device=rng.device
                ).tolist()
            done += count
            return _stack(params, [blocks[b] for b in chosen], self.noise, rng, len(blocks))

        grads, loss = mean_over(objective, params, draw, passes)
        return Estimate(dict(zip(params, grads, strict=True)), loss)

    def law(self, objective: Objective, params: Params, state: None, exact: Params, /) -> Law:
        """1/K of T d_l‖g_b‖² + (T (κ₄ − 1) − 1)‖g_l‖² for T blocks of which one is drawn, b that of
        the tensor; on a sphere T d_b/(d_b + 2) (d_l‖g_b‖² + 2‖g_l‖²) − ‖g_l‖². T = 1 for each.
        """
        blocks, size = self._blocks(list(exact)), squares(exact)
        T = len(blocks) if self.visit == "one" else 1
        found: dict[str, float] = {}
        for block in blocks:
            d = sum(exact[name].numel() for name in block)
            spread, own = direction_factors(d, self.noise, 1)
            factors = T * spread / self.tangents, (T * (own + 1) - 1) / self.tangents
            found |= split({name: size[name] for name in block}, exact, *factors)
        return Law(found)

    def _blocks(self, names: Sequence[str]) -> Blocks:
        if self.blocks == "tensor":
            return [[name] for name in names]
        stages: dict[str, list[str]] = {}
        for name in names:
            stages.setdefault(name.partition(".")[0], []).append(name)
        return list(stages.values())


def _stack(params: Params, chosen: Blocks, noise: Noise, rng: Generator, of: int) -> list[Tensor]:
    """A direction in each block chosen, √T times as long, (K, *shape) for each parameter."""
    stack = {n: p.new_zeros((len(chosen), *p.shape)) for n, p in params.items()}
    for k, block in enumerate(chosen):
        own = {name: params[name] for name in block}
        for name, v in zip(block, stacked_tangents(own, noise, rng, 1), strict=True):
            stack[name][k] = v[0] * of**0.5
    return list(stack.values())
