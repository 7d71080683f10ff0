"""Objectives: what an estimator may know of the loss that it is to differentiate.

`Objective` is a loss of the parameters and nothing else. `Chain` adds the network's inside:
named stages, marked activations (`Site`), per-example losses. Both are deterministic once
made: augmentation, masks and dropout belong to the batch, buffers are read only.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor, nn

from estimators.core.functional_call import Stateless
from estimators.core.sequential import SequentialForward, is_plain
from estimators.core.site import Site, visiting

Losses = Callable[[Tensor, Tensor], Tensor]
"""(outputs (B, ...), targets (B, ...)) -> one loss for each example, (B,), or unit, (B, *units)."""

Replace = Callable[[int, Tensor], Tensor]
"""(index of a place, its activation) -> the activation that flows on."""


Move = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""Named weights -> others in their place."""


class Objective:
    """A loss of the parameters, L(θ), on a batch that is fixed."""

    separable: bool = False
    """Whether L is a mean over examples, each term depending on its own example alone."""

    def __init__(self, loss: Callable[[Mapping[str, Tensor]], Tensor]) -> None:
        self._loss = loss

    def __call__(self, params: Mapping[str, Tensor], /) -> Tensor:
        """The loss at `params`, ()."""
        return self._loss(params)


@dataclass(frozen=True)
class Place:
    """Where a signal can be given: a site or the boundary behind a stage."""

    name: str
    shape: tuple[int, ...]
    """Of one example: the batch axis left out."""
    units: tuple[str, ...] = ()


def cross_entropy(output: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of logits (B, C) with classes (B,), one for each example: (B,)."""
    return nn.functional.cross_entropy(output, y, reduction="none")


def _cross_entropy_and_error(output: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """What autograd calls, without its graph: that costs a small network a fifth of a step."""
    aten, mean, ignored = torch.ops.aten, 1, -100
    p = torch.log_softmax(output, 1)
    loss, weight = aten.nll_loss_forward.default(p, y, None, mean, ignored)
    one = torch.ones((), dtype=p.dtype, device=p.device)
    g = aten.nll_loss_backward.default(one, p, y, None, mean, ignored, weight)
    return loss, aten._log_softmax_backward_data.default(g, p, 1, p.dtype)


class Chain(Objective):
    """A network on a batch: L(θ) = 1/B Σ_n ℓ(f_θ(x_n), y_n).

    `module` is an ordinary `nn.Module`. If it is an `nn.Sequential`, its children are the
    stages, under their names; any other module is one stage named "". Its sites are the
    `Site()` modules inside it, in the order in which a forward pass meets them. A boundary
    is the output of a stage that has parameters behind it and before it.

    `separable` is worked out from the module unless it is given: give False for a loss that
    couples examples or that is one number, ().

    `loss_units` names the axes behind the batch of a loss that has a term for each unit (patch,
    group), (B, *units): L is then the mean over units as well, and it is a promise that the
    derivative of a term reaches no other unit of a site whose `units` have that axis.

    `views` says that the rows are that many views of each example, one behind the other: noise
    at sites is drawn for an example and shared by its views.

    Raises ValueError if the module is random (dropout in training mode).
    """

    def __init__(
        self,
        module: nn.Module,
        x: Tensor,
        y: Tensor,
        losses: Losses = cross_entropy,
        *,
        separable: bool | None = None,
        loss_units: tuple[str, ...] = (),
        views: int = 1,
    ) -> None:
        _refuse_randomness(module)
        self.loss_units, self.views = loss_units, views
        own = type(self).losses is not Chain.losses
        self._plain = losses is cross_entropy and not loss_units and not own
        self.module, self.x, self.y, self._losses = module, x, y, losses
        self.separable = _uncoupled(module) if separable is None else separable
        self.known: dict[Any, Any] = {}
        """What was found out about the network, shared with the chains that `on` makes."""
        self._stateless, self._route = Stateless(module), SequentialForward(module)
        self._stages = _stages(module)
        self.stages = tuple(self._stages)
        self._boundaries = _boundaries(self._stages)

    def on(self, x: Tensor, y: Tensor) -> Self:
        """The same network and loss on another batch: cheap, for use at every step.

        The module's modes (training, evaluation) are taken to be what they were.
        """
        other = copy.copy(self)
        other.x, other.y = x, y
        return other

    def part(
        self,
        stages: Sequence[str],
        losses: Losses | None = None,
        loss_units: tuple[str, ...] = (),
    ) -> "Chain":
        """Some of the stages, in order, as a chain of their own, parameters under their names.

        Its batch is this one's until `on(x, y)` gives it an input of its own (a detached
        activation); make it once and call `on` at every step. It takes the stages' own
        parameters alone: `{n: p for n, p in params.items() if chain.stage_of(n) in stages}`.
        """
        unknown = [name for name in stages if name not in self._stages]
        if unknown or self.stages == ("",):
            raise ValueError(f"no stage {unknown or list(stages)}; there are {list(self.stages)}")
        module = nn.Sequential(OrderedDict((name, self._stages[name]) for name in stages))
        return Chain(
            module,
            self.x,
            self.y,
            losses or self._losses,
            separable=self.separable,
            loss_units=loss_units,
            views=self.views,
        )

    def moved(self, params: Mapping[str, Tensor], move: Move) -> tuple[Self, dict[str, Tensor]]:
        """This chain and its parameters, with `move` done to all weights that the loss reads."""
        return self, move(params)

    def __call__(self, params: Mapping[str, Tensor], /) -> Tensor:
        return self.loss(self.forward(params))

    def loss(self, output: Tensor) -> Tensor:
        """The mean of `losses`, ()."""
        if self._plain and output.ndim == 2:
            return nn.functional.cross_entropy(output, self.y)  # two kernels fewer each way
        return self.losses(output).mean()

    def loss_and_error(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, (), and ∂L/∂output, (B, ...), without graphs."""
        y = self.y
        if self._plain and output.ndim == 2 and y.dtype is torch.int64 and y.ndim == 1:
            return _cross_entropy_and_error(output.detach(), y)
        end = output.detach().requires_grad_()
        with torch.enable_grad():
            loss = self.loss(end)
        return loss.detach(), torch.autograd.grad(loss, end)[0]

    def losses(self, output: Tensor) -> Tensor:
        """One loss for each example (and unit), (B, *units); or (), if it is not separable."""
        losses = self._losses(output, self.y)
        if losses.ndim == 1 + len(self.loss_units) and len(losses) == len(self.x):
            return losses
        if losses.ndim == 0 and not self.separable:
            return losses
        raise ValueError(
            f"the loss must give one value for each of {len(self.x)} examples; its shape is "
            f"{tuple(losses.shape)}. Pass reduction='none', or separable=False with one number."
        )

    def forward(
        self,
        params: Mapping[str, Tensor],
        *,
        at_site: Replace | None = None,
        at_stage: Replace | None = None,
    ) -> Tensor:
        """The network's output at `params`, (B, ...).

        `at_site(l, z)` is called at the l-th site, `at_stage(i, h)` with the stage's output
        at the i-th boundary; what they return flows on.
        """
        if at_site is None:
            return self._stateless.call(params, lambda: self._run(at_stage))
        count = -1

        def visit(site: Site, z: Tensor) -> Tensor:
            nonlocal count
            count += 1
            return at_site(count, z)

        with visiting(visit):
            return self._stateless.call(params, lambda: self._run(at_stage))

    def _run(self, at_stage: Replace | None) -> Tensor:
        if at_stage is None or not self._boundaries:
            return self._route(self.x)
        h = self.x
        for name, stage in self._stages.items():
            h = stage(h)
            if name in self._boundaries:
                h = at_stage(self._boundaries[name], h)
        return h

    @property
    def places(self) -> tuple[Place, ...]:
        """The sites, in the order in which a forward pass meets them."""
        key = self.x.shape[1:]
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self._places()
        return found

    def _places(self) -> tuple[Place, ...]:
        found: list[Place] = []
        names = {m: n for n, m in self.module.named_modules() if isinstance(m, Site)}

        def visit(site: Site, z: Tensor) -> Tensor:
            found.append(Place(names[site], tuple(z.shape[1:]), site.units))
            return z

        with torch.no_grad(), visiting(visit):
            self._stateless.call({}, lambda: self._run(None))
        return tuple(found)

    @cached_property
    def boundaries(self) -> tuple[Place, ...]:
        """Where a signal can be given between stages."""
        found: list[Place] = []
        names = list(self._boundaries)

        def keep(i: int, h: Tensor) -> Tensor:
            found.append(Place(names[i], tuple(h.shape[1:])))
            return h

        with torch.no_grad():
            self.forward({}, at_stage=keep)
        return tuple(found)

    @cached_property
    def whole(self) -> bool:
        """Whether the loss is one number that cannot be split into examples."""
        if self.separable:
            return False
        with torch.no_grad():
            return self.losses(self.forward({})).ndim == 0

    def stage_of(self, name: str) -> str:
        """The stage that the parameter `name` belongs to."""
        stage = name.partition(".")[0]
        return stage if stage in self._stages else ""


def _stages(module: nn.Module) -> dict[str, nn.Module]:
    if is_plain(module):
        return {name: m for name, m in module._modules.items() if m is not None}
    return {"": module}


def _boundaries(stages: Mapping[str, nn.Module]) -> dict[str, int]:
    """The stages whose output is a boundary, with the boundary's index.

    Stages without parameters belong to the one before: a signal is given behind them.
    """
    names = list(stages)
    owners = [i for i, m in enumerate(stages.values()) if next(m.parameters(), None) is not None]
    return {names[i - 1]: index for index, i in enumerate(owners[1:])}


def _uncoupled(module: nn.Module) -> bool:
    """Whether no normalisation mixes the examples of a batch."""
    return not any(
        isinstance(m, nn.modules.batchnorm._BatchNorm) and (m.training or m.running_mean is None)
        for m in module.modules()
    )


def _refuse_randomness(module: nn.Module) -> None:
    for name, m in module.named_modules():
        if isinstance(m, nn.modules.dropout._DropoutNd) and m.training and m.p > 0:
            raise ValueError(
                f"{name or 'the module'} is {m}, which draws a new mask at every pass; an "
                "objective must be deterministic: call module.eval() or draw the mask "
                "with the batch"
            )
