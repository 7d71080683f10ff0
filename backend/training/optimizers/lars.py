"""LARS, You, Gitman and Ginsburg (2017), arXiv:1708.03888, algorithm 1."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from torch import Tensor

from backend.training.optimizers.contract import Parameters, WithRates
from backend.training.schedules.constant import Constant
from backend.training.schedules.contract import Schedule
from estimators.core.bounds import Ge, Gt, Le, Lt


class LayerwiseScaledSGD(torch.optim.Optimizer):
    """v ← m v + γ λ (g + β w), w ← w − v, with λ = η ‖w‖ / (‖g‖ + β‖w‖) of each tensor.

    λ is 1 where ‖w‖ or ‖g‖ is 0, so that weights that begin at zero move. Vectors (biases, scales
    of a normalisation) have λ = 1 and no weight decay unless `scale_vectors` is on.

    Args:
        params: Parameters, or torch's groups of them.
        lr: Learning rate (γ).
        momentum: Share of the last update that is added to the next (m).
        weight_decay: Weight decay (β).
        trust: Trust coefficient (η).
        scale_vectors: Whether tensors of one dimension are scaled and decayed as well.
    """

    def __init__(
        self, params: Parameters, *, lr: float, momentum: float, weight_decay: float,
        trust: float, scale_vectors: bool,
    ) -> None:  # fmt: skip
        defaults = {
            "lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust,
            "scale_vectors": scale_vectors,
        }  # fmt: skip
        super().__init__(params, defaults)  # type: ignore[arg-type]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of all parameters that have a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group)

    def _update(self, weight: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        if weight.ndim > 1 or group["scale_vectors"]:
            decay = group["weight_decay"]
            scale = trust_ratio(weight, grad, group["trust"], decay)
            change = (grad + decay * weight) * (scale * group["lr"])
        else:
            change = grad * group["lr"]
        if group["momentum"]:
            state = self.state[weight]
            if state:
                change = state["update"].mul_(group["momentum"]).add_(change)
            else:
                state["update"] = change
        weight.sub_(change)


def trust_ratio(weight: Tensor, grad: Tensor, trust: float, decay: float) -> Tensor:
    """λ = η ‖w‖ / (‖g‖ + β‖w‖), (); 1 where one of the norms is 0."""
    length, slope = torch.linalg.vector_norm(weight), torch.linalg.vector_norm(grad)
    ratio = trust * length / (slope + decay * length)
    return torch.where((length > 0) & (slope > 0), ratio, 1.0)


@dataclass(frozen=True)
class LARS(WithRates):
    """SGD with momentum and a rate for each tensor that follows ‖w‖/‖ĝ‖."""

    title = "LARS"

    lr: Annotated[float, Gt(0.0), Le(1000.0)] = 0.1
    """Learning rate (γ), which each tensor multiplies by its own ratio."""
    momentum: Annotated[float, Ge(0.0), Lt(1.0)] = 0.9
    """Share of the last update that is added to the next (m); 0: none."""
    weight_decay: Annotated[float, Ge(0.0), Le(10.0)] = 0.0
    """Weight decay (β): this multiple of the weights is added to the gradient."""
    trust: Annotated[float, Gt(0.0), Le(1000.0)] = 0.001
    """Trust coefficient (η): the length of an update over that of the weights, at lr = 1."""
    scale_vectors: bool = False
    """Whether biases and the scales of normalisations are scaled and decayed too. Off: their
    update is that of SGD with momentum."""
    schedule: Schedule = field(default_factory=Constant)
    """How the learning rate changes over the run."""

    @property
    def moments(self) -> int:
        return int(self.momentum > 0)

    def build(self, params: Parameters, /) -> torch.optim.Optimizer:
        return LayerwiseScaledSGD(
            params,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            trust=self.trust,
            scale_vectors=self.scale_vectors,
        )
