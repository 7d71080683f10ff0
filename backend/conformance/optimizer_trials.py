"""`OptimizerTrial`: one setting of an optimiser, and its updates on a small quadratic."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from backend.conformance.settings import Settings, name_of, settings_of
from backend.training.components.discovery import catalogue_name
from backend.training.optimizers import Optimizer
from backend.training.trainer import plain_step
from estimators.core.noise import stream

SHAPES = {"weight": (4, 3), "bias": (4,)}
Grads = Mapping[str, Tensor]


class OptimizerTrial:
    """An optimiser with its fields."""

    def __init__(self, optimizer: Optimizer, setting: str, settings: Settings) -> None:
        self.optimizer, self.settings = optimizer, settings
        self.name = name_of(setting, catalogue_name(type(optimizer)))

    def begin(self) -> "Updates":
        """The optimiser with new weights, always the same, and without a step made."""
        rng = stream(0, "init")
        values = {n: torch.empty(shape).normal_(generator=rng) for n, shape in SHAPES.items()}
        return Updates(self.optimizer, values)


class Updates:
    """Weights and a torch optimiser of them, which the lab's loop would update as `step` does."""

    def __init__(self, optimizer: Optimizer, values: Mapping[str, Tensor]) -> None:
        self.params = {n: nn.Parameter(t.clone()) for n, t in values.items()}
        self.torch = optimizer.build(list(self.params.values()))
        assert isinstance(self.torch, torch.optim.Optimizer), (
            f"build gives a {type(self.torch).__name__}, not a torch.optim.Optimizer"
        )
        self._rates = [group["lr"] for group in self.torch.param_groups]

    @property
    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights."""
        return {n: p.detach().clone() for n, p in self.params.items()}

    @property
    def loss(self) -> float:
        """½ ‖θ‖², a quadratic whose minimum is at zero."""
        return sum(p.detach().square().sum().item() for p in self.params.values()) / 2

    def step(self, grads: Grads | None = None, factor: float = 1.0) -> None:
        """One update at `factor` times the learning rate; without gradients, down the quadratic."""
        grads = self.weights if grads is None else grads
        for name, p in self.params.items():
            p.grad = grads[name]
        for group, rate in zip(self.torch.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        with torch.no_grad():
            plain_step(self.torch)()
        for p in self.params.values():
            p.grad = None

    def moved(self, before: Mapping[str, Tensor]) -> bool:
        """Whether a weight has other bits than `before`."""
        return not all(torch.equal(p, before[n]) for n, p in self.params.items())

    def numbers(self) -> int:
        """Numbers that the optimiser keeps for all weights together."""
        states: list[dict[str, Any]] = [*self.torch.state.values()]
        kept = [t for state in states for t in state.values() if isinstance(t, Tensor)]
        return sum(t.numel() for t in kept if t.numel() > 1)


def trials_of(cls: type[Optimizer]) -> list[OptimizerTrial]:
    """Every setting that can be made, and that torch's own class takes."""
    settings = settings_of(cls)
    trials = []
    for setting, made in settings.made.items():
        trial = OptimizerTrial(made, setting, settings)
        try:
            trial.begin()
        except ValueError as error:
            if not setting:
                raise
            settings.refused[setting] = str(error)
        else:
            trials.append(trial)
    return trials
