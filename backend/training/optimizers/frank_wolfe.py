"""Frank–Wolfe over a ball or a simplex, with averaged gradients: arXiv:2403.12511."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from backend.training.optimizers.contract import Parameters, WithRates
from backend.training.optimizers.convex_sets import SetName, minimiser, nearest
from backend.training.schedules.constant import Constant
from backend.training.schedules.contract import Schedule
from estimators.core.bounds import Ge, Gt, Le


class ConditionalGradient(torch.optim.Optimizer):
    """w ← (1 − γ) w + γ s with s = argmin ⟨ḡ, s⟩ over a convex set.

    ḡ ← (1 − ρ) ḡ + ρ g with ρ = rate / k^power at step k; the first step has ρ = 1. The weights
    are moved to the nearest point of the set at the start, and stay in it.

    Args:
        params: Parameters, or torch's groups of them. Each group has steps of its own length.
        lr: The step γ, or the factor of 2/(k + 1) if `falling`. γ is at most 1.
        constraint: The set.
        radius: Its radius.
        falling: Whether γ = lr · 2/(k + 1) at step k = 1, 2, …, which is 2/(t + 2) from t = 0.
        together: One set for all tensors of a group together, instead of one for each tensor.
        average_rate: rate of the average; 1 with power 0 is no average.
        average_power: Its power.
    """

    def __init__(
        self, params: Parameters, *, lr: float, constraint: SetName, radius: float, falling: bool,
        together: bool, average_rate: float, average_power: float,
    ) -> None:  # fmt: skip
        defaults = {
            "lr": lr, "constraint": constraint, "radius": radius, "falling": falling,
            "together": together, "average_rate": average_rate, "average_power": average_power,
        }  # fmt: skip
        super().__init__(params, defaults)  # type: ignore[arg-type]
        self._frozen = [group["lr"] == 0 for group in self.param_groups]
        """Of each group, whether its weights stay as they are. A schedule may be 0 for a while."""
        self._enter()

    @torch.no_grad()
    def _enter(self) -> None:
        """Move the weights that are not frozen to the nearest point of the set."""
        for group, frozen in zip(self.param_groups, self._frozen, strict=True):
            weights = [w for w in _moving(group) if not w.is_meta]
            for own, _ in [] if frozen else _blocks(weights, weights, group):
                point = nearest(group["constraint"], _flat(own), group["radius"])
                for weight, part in zip(own, _split(point, own), strict=True):
                    weight.copy_(part)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of all parameters that have a gradient. One without counts as one with a
        gradient of zero where it shares a set with others."""
        if any(not self.state[w] for g in self.param_groups for w in _moved(g)):
            self._enter()  # other weights may have been loaded since the start
        for group, frozen in zip(self.param_groups, self._frozen, strict=True):
            weights = [] if frozen else _moved(group)
            grads = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
            directions = [self._averaged(*pair, group) for pair in zip(weights, grads, strict=True)]
            for own, grads in _blocks(weights, directions, group):
                self._move(own, grads, group)

    def _averaged(self, weight: Tensor, grad: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[weight]
        state["step"] = state.get("step", 0) + 1
        if not averages(group["average_rate"], group["average_power"]):
            return grad
        if state["step"] == 1:
            state["average"] = grad.clone()
        else:
            share = group["average_rate"] / state["step"] ** group["average_power"]
            state["average"].lerp_(grad, share)
        return state["average"]

    def _move(self, weights: Sequence[Tensor], grads: Sequence[Tensor], group: Any) -> None:
        share = group["lr"]
        if group["falling"]:
            share *= 2 / (self.state[weights[0]]["step"] + 1)
        goal = minimiser(group["constraint"], _flat(grads), group["radius"])
        for weight, part in zip(weights, _split(goal, weights), strict=True):
            weight.lerp_(part, min(1.0, share))


def averages(rate: float, power: float) -> bool:
    """Whether ρ = rate / k^power keeps anything of the past."""
    return rate < 1 or power > 0


def _moving(group: dict[str, Any]) -> list[Tensor]:
    """The weights of a group that are trained."""
    return [w for w in group["params"] if w.requires_grad]


def _moved(group: dict[str, Any]) -> list[Tensor]:
    """The weights of a group that a step moves: with a gradient, or in one set with such."""
    weights = _moving(group)
    with_gradient = [w for w in weights if w.grad is not None]
    return weights if group["together"] and with_gradient else with_gradient


def _blocks(
    weights: Sequence[Tensor], grads: Sequence[Tensor], group: dict[str, Any]
) -> list[tuple[Sequence[Tensor], Sequence[Tensor]]]:
    """The tensors that share a set, and their gradients."""
    if group["together"]:
        return [(weights, grads)] if weights else []
    return [([w], [g]) for w, g in zip(weights, grads, strict=True)]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.reshape(-1) for t in tensors])


def _split(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    pieces = flat.split([t.numel() for t in like])
    return [piece.view(t.shape) for piece, t in zip(pieces, like, strict=True)]


@dataclass(frozen=True)
class FrankWolfe(WithRates):
    """Steps towards the point of a convex set that lowers the linearised loss the most.

    w ← (1 − γ) w + γ s, s = argmin ⟨ḡ, s⟩ over a ball or a simplex, with ḡ an average of the
    estimates. The weights stay in the set, whatever the estimate is. With noisy estimates
    (forward gradients) and without the average it stops short of the minimum; with one whose
    weight falls it converges: Rostami and Kia (2024), arXiv:2403.12511.
    """

    title = "Frank–Wolfe"

    lr: Annotated[float, Gt(0.0), Le(1000.0)] = 0.01
    """Share γ of the way to the extreme point that a step goes, at most 1; with falling steps,
    their factor, 1 in the literature."""
    constraint: SetName = "l2_ball"
    """The set: ‖w‖₁ ≤ r, ‖w‖₂ ≤ r, max |w_i| ≤ r, or w_i ≥ 0 with Σ w_i = r."""
    radius: Annotated[float, Gt(0.0), Le(1e9)] = 10.0
    """Radius of the set (r). Weights begin at the nearest point of the set."""
    together: bool = False
    """On: one set for all tensors that share a learning rate, as in the paper. Off: a set of this
    radius for each tensor."""
    steps: Literal["scheduled", "falling"] = "scheduled"
    """Length of a step: the learning rate and its schedule, or 2/(t + 2) of them at step t."""
    average_rate: Annotated[float, Gt(0.0), Le(1.0)] = 1.0
    """Weight of the newest estimate in the average, at step k: this divided by k^power."""
    average_power: Annotated[float, Ge(0.0), Le(1.0)] = 0.67
    """Power with which that weight falls; 2/3 balances noise and lag. 0 with a rate of 1: no
    average."""
    schedule: Schedule = field(default_factory=Constant)
    """How the learning rate changes over the run."""

    @property
    def moments(self) -> int:
        return int(averages(self.average_rate, self.average_power))

    def build(self, params: Parameters, /) -> torch.optim.Optimizer:
        return ConditionalGradient(
            params,
            lr=self.lr,
            constraint=self.constraint,
            radius=self.radius,
            falling=self.steps == "falling",
            together=self.together,
            average_rate=self.average_rate,
            average_power=self.average_power,
        )
