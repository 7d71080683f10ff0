"""One-step draws: draws of an estimator, each taken as a step −η ĝ at several learning rates."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from estimators.core.contract import Estimator, Params, UnsupportedError
from estimators.core.objective import Chain, Objective
from estimators.measurement.draws.stream import draws

PILOT_DRAWS = 8
"""Draws from which the learning rates are chosen."""
MAX_DEPTHS = 16
"""Most depths at which a step of the first layers alone is made."""
CHUNK = 8
"""Most draws in a chunk; the caller can stop after each chunk."""


@dataclass(frozen=True)
class StartingPoint:
    """The point where all steps begin, with the loss to second order around it."""

    objective: Objective
    params: Params
    loss: float
    exact: Mapping[str, Tensor]
    """g, the exact gradient."""
    curvature: Callable[[Params], Tensor]
    """v ↦ vᵀHv, (), H the Hessian; the graph of the gradient is made once for all v."""


def starting_point(objective: Objective, params: Params) -> StartingPoint:
    """Loss, gradient and curvature at `params`.

    Raises UnsupportedError for a loss that is not differentiable in the parameters.
    """
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    with torch.enable_grad():
        loss = objective(leaves)
        if not loss.requires_grad:
            raise UnsupportedError("the loss does not depend on the parameters differentiably")
        grads = torch.autograd.grad(
            loss, list(leaves.values()), create_graph=True, materialize_grads=True
        )
    exact = {name: g.detach() for name, g in zip(leaves, grads, strict=True)}

    def curvature(v: Params) -> Tensor:
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

    return StartingPoint(objective, params, loss.item(), exact, curvature)


@dataclass(eq=False)
class OneStepDraws:
    """The one-step draws of one estimator in progress; numbers are on the CPU in float64."""

    start: StartingPoint
    estimator: Estimator
    state: Any
    count: int
    """Draws to make (M)."""
    rates: Sequence[float]
    """Learning rates (η), R of them."""
    seed: int = 0
    label: str = ""
    chunk: int = CHUNK
    depth_rate: float | None = None
    """The learning rate of steps of the first layers alone; None: none are made."""
    _by_depth: list[Tensor] = field(default_factory=list)
    _slopes: list[Tensor] = field(default_factory=list)
    _curvatures: list[Tensor] = field(default_factory=list)
    _changes: list[Tensor] = field(default_factory=list)

    def __len__(self) -> int:
        """Draws made."""
        return len(self._slopes)

    @property
    def slopes(self) -> Tensor:
        """⟨ĝ_m, g⟩, (M,); NaN for a draw that is not finite."""
        return torch.stack(self._slopes)

    @property
    def curvatures(self) -> Tensor:
        """ĝ_mᵀHĝ_m, (M,)."""
        return torch.stack(self._curvatures)

    @property
    def changes(self) -> Tensor:
        """L(θ − η ĝ_m) − L(θ), (M, R); infinite where that loss is not finite."""
        return torch.stack(self._changes).view(len(self), len(self.rates))

    @cached_property
    def depths(self) -> dict[str, list[str]]:
        """{stage: its tensors and those of all stages before it}; of many stages, some."""
        return depths_of(self.start.objective, list(self.start.params))

    @property
    def by_depth(self) -> Tensor:
        """L(θ − η ĝ_m on the tensors of a depth) − L(θ), (M, depths)."""
        depths = 0 if self.depth_rate is None else len(self.depths)
        return torch.stack(self._by_depth).view(len(self), depths)

    def take(self) -> Iterator[int]:
        """Draw and step, chunk by chunk; yields the number of draws of each chunk."""
        start = self.start
        for chunk in draws(
            start.objective, start.params, self.estimator, self.state, self.count, self.seed,
            label=self.label, chunk=min(self.chunk, CHUNK),
        ):  # fmt: skip
            length = len(next(iter(chunk.values())))
            for k in range(length):
                self._step({name: t[k] for name, t in chunk.items()})
            yield length

    def _step(self, draw: dict[str, Tensor]) -> None:
        finite = all(bool(t.isfinite().all()) for t in draw.values())
        slope, curvature = _slope(draw, self.start.exact), self.start.curvature(draw)
        changes = [self._change(draw, rate) for rate in self.rates] if finite else []
        nan = torch.tensor(torch.nan, dtype=torch.float64)
        self._slopes.append(slope if finite else nan)
        self._curvatures.append(curvature.double().cpu() if finite else nan)
        self._changes.append(torch.stack(changes) if changes else nan.expand(len(self.rates)))
        self._by_depth.append(self._changes_by_depth(draw if finite else None))

    def _changes_by_depth(self, draw: dict[str, Tensor] | None) -> Tensor:
        """NaN of a draw that is not finite."""
        if self.depth_rate is None:
            return torch.empty(0, dtype=torch.float64)
        if draw is None:
            return torch.full((len(self.depths),), torch.nan, dtype=torch.float64)
        parts = [{n: draw[n] for n in names} for names in self.depths.values()]
        return torch.stack([self._change(part, self.depth_rate) for part in parts])

    def _change(self, draw: dict[str, Tensor], rate: float) -> Tensor:
        start = self.start
        with torch.no_grad():
            moved = {n: p - rate * draw[n] if n in draw else p for n, p in start.params.items()}
            loss = start.objective(moved)
        change = loss.double().cpu() - start.loss
        return torch.where(change.isfinite(), change, torch.inf)


def depths_of(objective: Objective, names: Sequence[str]) -> dict[str, list[str]]:
    """{stage: the tensors of it and of the stages before it}, in the order of the network.

    Of more than `MAX_DEPTHS` stages, as many are chosen evenly, with the last. Without stages, the
    first parts of the tensors' names stand for them.
    """
    stages: dict[str, list[str]] = {}
    for name in names:
        stage = objective.stage_of(name) if isinstance(objective, Chain) else ""
        stages.setdefault(stage or name.partition(".")[0], []).append(name)
    up_to: dict[str, list[str]] = {}
    before: list[str] = []
    for stage, own in stages.items():
        before = [*before, *own]
        up_to[stage] = before
    step = -(-len(up_to) // MAX_DEPTHS)
    kept = [*up_to][::-1][::step][::-1]
    return {stage: up_to[stage] for stage in kept}


def _slope(draw: Mapping[str, Tensor], exact: Mapping[str, Tensor]) -> Tensor:
    """⟨ĝ, g⟩ in float64, ()."""
    return torch.stack(
        [(draw[n].double() * g.double()).sum().cpu() for n, g in exact.items()]
    ).sum()
