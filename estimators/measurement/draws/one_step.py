"""One-step lotteries under way: draws of an estimator, each taken as a step of many lengths."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from estimators.core.contract import Estimator, Params, UnsupportedError
from estimators.core.objective import Objective
from estimators.measurement.draws.stream import draws
from estimators.measurement.estimates.one_step import WhatIf

PILOT = 8
"""Draws from which the learning rates are chosen."""
CHUNK = 8
"""Draws after which a lottery can be left."""


@dataclass(frozen=True)
class Ground:
    """Where all steps begin: the loss there to second order."""

    objective: Objective
    params: Params
    loss: float
    exact: Mapping[str, Tensor]
    """g."""
    curve: Callable[[Params], Tensor]
    """v -> vᵀHv, (): the graph of the gradient is made once."""


@dataclass(eq=False)
class Lottery:
    """The tickets of one estimator."""

    ground: Ground
    estimator: Estimator
    state: Any
    count: int
    """M."""
    rates: Sequence[float]
    seed: int = 0
    label: str = ""
    chunk: int = CHUNK
    _slopes: list[Tensor] = field(default_factory=list)
    _curvatures: list[Tensor] = field(default_factory=list)
    _changes: list[Tensor] = field(default_factory=list)

    def __len__(self) -> int:
        """Draws taken."""
        return len(self._slopes)

    def take(self) -> Iterator[int]:
        """Draw and step, chunk by chunk; yields the draws of each."""
        at = self.ground
        for chunk in draws(
            at.objective, at.params, self.estimator, self.state, self.count, self.seed,
            label=self.label, chunk=min(self.chunk, CHUNK),
        ):  # fmt: skip
            length = len(next(iter(chunk.values())))
            for k in range(length):
                self._step({name: t[k] for name, t in chunk.items()})
            yield length

    def _step(self, draw: dict[str, Tensor]) -> None:
        finite = all(bool(t.isfinite().all()) for t in draw.values())
        slope, curvature = _slope(draw, self.ground.exact), self.ground.curve(draw)
        changes = [self._change(draw, rate) for rate in self.rates] if finite else []
        nan = torch.tensor(torch.nan, dtype=torch.float64)
        self._slopes.append(slope if finite else nan)
        self._curvatures.append(curvature.double().cpu() if finite else nan)
        self._changes.append(torch.stack(changes) if changes else nan.expand(len(self.rates)))

    def _change(self, draw: dict[str, Tensor], rate: float) -> Tensor:
        at = self.ground
        with torch.no_grad():
            loss = at.objective({n: p - rate * draw[n] for n, p in at.params.items()})
        change = loss.double().cpu() - at.loss
        return torch.where(change.isfinite(), change, torch.inf)

    def found(self) -> WhatIf:
        """What the draws so far tell. Raises ValueError without any."""
        if not self._slopes:
            raise ValueError("no draw was made; at least 1 is needed")
        return WhatIf(
            self.ground.loss,
            tuple(self.rates),
            torch.stack(self._changes).view(len(self), len(self.rates)),
            torch.stack(self._slopes),
            torch.stack(self._curvatures),
            self.label,
        )


def ground(objective: Objective, params: Params) -> Ground:
    """L, ∇L and v -> vᵀHv at `params`. Raises UnsupportedError for a loss without derivatives."""
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    with torch.enable_grad():
        loss = objective(leaves)
        if not loss.requires_grad:
            raise UnsupportedError("the loss does not depend on the parameters differentiably")
        grads = torch.autograd.grad(
            loss, list(leaves.values()), create_graph=True, materialize_grads=True
        )
    exact = {name: g.detach() for name, g in zip(leaves, grads, strict=True)}

    def curve(v: Params) -> Tensor:
        live = [(g, v[name]) for name, g in zip(leaves, grads, strict=True) if g.requires_grad]
        if not live:
            return torch.zeros_like(loss.detach())
        products = torch.autograd.grad(
            [g for g, _ in live],
            list(leaves.values()),
            [t for _, t in live],
            retain_graph=True,
            materialize_grads=True,
        )
        pairs = zip(products, leaves, strict=True)
        return torch.stack([(h * v[name]).sum() for h, name in pairs]).sum()

    return Ground(objective, params, loss.item(), exact, curve)


def gamble(
    objective: Objective,
    params: Params,
    estimator: Estimator,
    state: Any = None,
    count: int = 64,
    rates: Sequence[float] | None = None,
    seed: int = 0,
    label: str = "",
) -> WhatIf:
    """Take `count` one-step lotteries at each of the learning rates; without them, at the best one.

    One Hessian-vector product a draw, and one forward pass a rate. Raises UnsupportedError for a loss that
    cannot be differentiated twice, ValueError for fewer than 2 draws or none that is finite.
    """
    if count < 2:
        raise ValueError(f"{count} draws; an expectation takes at least 2")
    here = ground(objective, params)
    if rates is None:
        best = _taken(Lottery(here, estimator, state, count, (), seed, label)).best_rate
        rates = (best or 0.0,)
    return _taken(Lottery(here, estimator, state, count, rates, seed, label))


def _taken(lottery: Lottery) -> WhatIf:
    for _ in lottery.take():
        pass
    found = lottery.found()
    if not found.shown:
        raise ValueError(f"none of {len(lottery)} draws is finite: there is no step to take")
    return found


def _slope(draw: Mapping[str, Tensor], exact: Mapping[str, Tensor]) -> Tensor:
    """⟨ĝ, g⟩ in float64, ()."""
    return torch.stack(
        [(draw[n].double() * g.double()).sum().cpu() for n, g in exact.items()]
    ).sum()
