"""Modules of the package torchzero, measured as estimators."""

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor
from torch.autograd import forward_ad

from estimators.adapters._chain_step import Packed, Step, seeded, step
from estimators.adapters._chain_text import Call, build_chain, parse_chain
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

State = dict[str, Any]

DIFFERENCES = {"FDM", "GaussianSmoothing", "MeZO", "RDSA", "RandomizedFDM", "SPSA", "SPSA1"}
"""Modules that take differences of the loss."""
MEMORYLESS = {*DIFFERENCES, "ForwardGradient"}
"""Modules that keep nothing from step to step."""


class _Counts(NamedTuple):
    forwards: int
    jvps: int
    vjps: int


@dataclass(frozen=True)
class TorchzeroModule(Estimator[Objective, State | None]):
    """Measures a chain of torchzero's modules.

    ĝ = what the chain makes of the loss: its approximation of the gradient, or its transform of the
    gradient, without a learning rate. Modules that keep something from step to step (momentum,
    moments) keep it in the estimator's state.

    Use it to measure any of the package's 300 modules beside the methods here: `SPSA(h=0.01,
    n_samples=4)`, `FDM()`, `ForwardGradient(), EMA(0.9)`, `Adam()`. What a module would do after
    the step of an optimiser is left out.

    Biased: whatever the chain is, nothing is known of its mean. Costs what its evaluations of the
    loss cost, counted on a loss of two and of three weights.

    Source: torchzero, https://github.com/inikishev/torchzero, version 0.4, an optional extra.

    Example:
        >>> estimator = TorchzeroModule(modules="SPSA(h=0.01, n_samples=4)")
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Module of torchzero"

    modules: str = "ForwardGradient()"
    """Modules of `torchzero.m` in the order of the chain, with their arguments: `SPSA(h=0.01),
    EMA(0.9)`. Noise comes from the lab's generator, so that `seed` is to be left out."""

    def __post_init__(self) -> None:
        parse_chain(self.modules)

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED

    def needs(self) -> tuple[Need, ...]:
        first = parse_chain(self.modules)[0].name
        if first in DIFFERENCES:
            return (Need.LOSS,)
        return (Need.FORWARD_MODE if first == "ForwardGradient" else Need.DIFFERENTIABLE,)

    def check(self, objective: Objective, params: Params, /) -> None:
        build_chain(parse_chain(self.modules))

    def cost(self, objective: Objective, /) -> Cost:
        weights = sum(p.numel() for p in objective.module.parameters()) if isinstance(
            objective, Chain
        ) else 2  # fmt: skip
        two, three = _counts(self.modules, 2), _counts(self.modules, 3)
        forwards, jvps, vjps = (
            a + (b - a) * (weights - 2) for a, b in zip(two, three, strict=True)
        )
        return Cost(forwards, jvps, vjps, "all" if vjps else "none")

    def init(self, objective: Objective, params: Params, rng: Generator, /) -> State | None:
        return {"step": 0, "modules": ()} if self._remembers else None

    def estimate(
        self, objective: Objective, params: Params, state: State | None, rng: Generator, /
    ) -> Estimate:
        names, calls = [*params], parse_chain(self.modules)
        modules, number = build_chain(calls), state["step"] if state else 0
        packed: Packed = state["modules"] if state else ()
        weights = [*params.values()]

        def loss(leaves: list[Tensor]) -> Tensor:
            return objective(dict(zip(names, leaves, strict=True)))

        with seeded(rng) as seed, objective.holding(params):
            # MeZO seeds its noise by the number of the step.
            drawn = seed % 2**31 if _has(calls, "MeZO") else number
            made = self._step(modules, weights, loss, drawn, packed)
        after = {"step": number + 1, "modules": made.state} if state else None
        return Estimate(dict(zip(names, made.update, strict=True)), made.loss, after)

    def advance(
        self, objective: Objective, params: Params, state: State | None, rng: Generator, /
    ) -> State | None:
        if state is None:
            return None
        return self.estimate(objective, params, state, rng).state

    @property
    def _remembers(self) -> bool:
        return any(call.name not in MEMORYLESS for call in parse_chain(self.modules))

    def _step(self, *args: Any) -> Step:
        try:
            return step(*args)
        except UnsupportedError:
            raise
        except Exception as error:
            raise UnsupportedError(
                f"torchzero's {self.modules} fails on this objective: "
                f"{type(error).__name__}: {error}"
            ) from error


def _has(value: Any, name: str) -> bool:
    """Whether a module of that name is in the chain, or among the arguments of another."""
    if isinstance(value, Call):
        inner = [*value.args, *value.fields.values()]
        return value.name == name or any(_has(arg, name) for arg in inner)
    return isinstance(value, list) and any(_has(element, name) for element in value)


@cache
def _counts(text: str, weights: int) -> _Counts:
    """Passes of one step on ½‖w‖² of some weights; those of backpropagation if it fails there."""
    forwards = jvps = vjps = 0

    def loss(leaves: list[Tensor]) -> Tensor:
        nonlocal forwards, jvps, vjps
        derived = forward_ad._current_level >= 0
        jvps += derived
        forwards += not derived
        value = leaves[0].square().sum() / 2
        if value.requires_grad and not derived:
            value.register_hook(backward)
        return value

    def backward(gradient: Tensor) -> None:
        nonlocal vjps
        vjps += 1

    w = torch.ones(weights, dtype=torch.float64)
    try:
        with seeded(torch.Generator().manual_seed(0)):
            step(build_chain(parse_chain(text)), [w], loss, 0, ())
    except Exception:  # a module may need a network
        return _Counts(1, 0, 1)
    return _Counts(forwards, jvps, vjps)
