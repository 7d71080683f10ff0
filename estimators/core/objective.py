"""Objectives: what an estimator may know of the loss that it is to differentiate.

`Objective` is a loss of the parameters and nothing else. `Chain` adds the structure of a network:
named stages, marked activations (`Site`), per-example losses. Both are deterministic: data
augmentation and masks belong to the batch, buffers are only read, and a network that draws at each
pass (dropout) draws the same numbers at all of them (`Chain.drawing_from`).
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor, nn

from estimators.core.module_call import (
    SequentialForward,
    calls_forward_alone,
    has_own_hooks,
    replaced_forwards,
)
from estimators.core.plain_pass import Keep, PlainPass
from estimators.core.replay import PARTS_DIFFER, Generators, is_replaying, replaying_alone
from estimators.core.site import Site, visiting
from estimators.core.stateless import ImpureError, Stateless
from estimators.core.structure import (
    PerNetwork,
    boundaries_of,
    is_uncoupled,
    refuse_impurity,
    stages_of,
)

Losses = Callable[[Tensor, Tensor], Tensor]
"""(outputs (B, ...), targets (B, ...)) -> one loss for each example, (B,), or unit, (B, *units)."""

Replace = Callable[[int, Tensor], Tensor]
"""(index of a place, its activation) -> the activation that flows on."""

RunStage = Callable[[nn.Module, Tensor], Tensor]
"""(a stage, its input) -> its output."""

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

    def holding(self, params: Mapping[str, Tensor], /) -> AbstractContextManager[None]:
        """To be open until the backward pass of a loss at `params` has ended."""
        return nullcontext()


@dataclass(frozen=True)
class Place:
    """Where a signal can be given: a site or the boundary behind a stage."""

    name: str
    shape: tuple[int, ...]
    """Of one example, without the batch axis."""
    units: tuple[str, ...] = ()
    """The names of these axes, where they have any."""


def cross_entropy(output: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of logits (B, C) with classes (B,), one for each example: (B,)."""
    return nn.functional.cross_entropy(output, y, reduction="none")


def _cross_entropy_and_error(output: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The kernels that autograd calls, without its graph, a fifth of a small network's step."""
    aten, mean, ignored = torch.ops.aten, 1, -100
    p = torch.log_softmax(output, 1)
    loss, weight = aten.nll_loss_forward.default(p, y, None, mean, ignored)
    unit = torch.ones((), dtype=p.dtype, device=p.device)
    g = aten.nll_loss_backward.default(unit, p, y, None, mean, ignored, weight)
    return loss, aten._log_softmax_backward_data.default(g, p, 1, p.dtype)


class Chain(Objective):
    """A network on a batch: L(θ) = 1/B Σ_n ℓ(f_θ(x_n), y_n).

    `module` is an ordinary `nn.Module`. If it is an `nn.Sequential`, its children are the
    stages, under their names; any other module is one stage named "". Its sites are the
    `Site()` modules inside it, in the order in which a forward pass meets them. A boundary
    is the output of a stage that has parameters behind it and before it.

    Args:
        module: The network. Its structure and its modes (training, evaluation) must stay.
        x: The inputs, (B, ...).
        y: The targets, (B, ...).
        losses: (outputs, targets) -> a loss for each example.
        separable: Whether each example's loss depends on that example alone. Worked out from the
            module unless it is given: give False for a loss that couples examples or that is one
            number, ().
        loss_units: The axes behind the batch of a loss that has a term for each unit (patch,
            group), (B, *units). L is then the mean over units as well. The caller promises that
            the derivative of a term reaches no other unit of a site whose `units` have that axis.
        views: The rows are that many views of each example, one behind the other: noise at sites
            is drawn for an example and shared by its views.

    Raises:
        ValueError: The module is random (dropout in training mode), or its forward pass changes
            its parameters (`max_norm` of an embedding).
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
        refuse_impurity(module)
        self.start: Generators | None = None
        """Where the random generators are set to before every pass; None: a pass draws nothing."""
        self.loss_units, self.views = loss_units, views
        own = type(self).losses is not Chain.losses
        self._plain = losses is cross_entropy and not loss_units and not own
        self.module, self.x, self.y, self._losses = module, x, y, losses
        self.separable = is_uncoupled(module) if separable is None else separable
        self.per_network: dict[PerNetwork, dict[Hashable, Any]] = {}
        """What `PerNetwork` keeps, shared with the chains that `on` makes."""
        self._stateless, self._whole_module = Stateless(module), SequentialForward(module)
        self.plain_pass: PlainPass | None = None
        """What is told of an ordinary pass, where somebody waits for one."""
        self._stages = stages_of(module)
        self.stages = tuple(self._stages)
        self._boundaries = boundaries_of(self._stages)

    def on(self, x: Tensor, y: Tensor) -> Self:
        """The same network and loss on another batch: cheap, for use at every step.

        The module's modes (training, evaluation) are taken to be what they were.
        """
        other = copy.copy(self)
        other.x, other.y = x, y
        return other

    def drawing_from(self, start: Generators) -> Self:
        """The same, with passes that draw (dropout) all drawing the same numbers, from `start` on.

        To make the chain of a module with dropout, open `replaying` meanwhile.
        """
        other = copy.copy(self)
        other.start = start
        return other

    @property
    def replays(self) -> bool:
        """Whether the network draws, so that a part of it would draw other numbers."""
        return self.start is not None or is_replaying()

    def replaying(self) -> AbstractContextManager[None]:
        """While this is open, passes of single modules draw from the start too."""
        if self.start is None:
            return nullcontext()
        return replaying_alone(self.start, self.x.device)

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
        if self.replays:
            raise ImpureError(PARTS_DIFFER)
        if has_own_hooks(self.module):
            raise ValueError(
                "a hook on the outermost nn.Sequential belongs to none of its stages, so that a "
                "part of the network would leave it out: register it on a stage"
            )
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

    def as_one_number(self) -> Self:
        """The same objective with a loss of (), not split into examples: L is what it was.

        For examples that are coupled: a coefficient for each would promise too much.
        """
        other, losses = copy.copy(self), self._losses
        other.__dict__.pop("whole", None)  # what was worked out for the loss by example
        other.separable, other.loss_units, other.per_network = False, (), {}
        other._losses = lambda output, y: losses(output, y).mean()
        return other

    def moved(self, params: Mapping[str, Tensor], move: Move) -> tuple[Self, dict[str, Tensor]]:
        """This chain and its parameters, with `move` done to all weights that the loss reads."""
        return self, move(params)

    def in_double_precision(self, params: Mapping[str, Tensor]) -> tuple[Self, dict[str, Tensor]]:
        """This chain and its parameters with all floating-point numbers in float64."""
        return self.in_precision(params, torch.float64)

    def in_precision(
        self, params: Mapping[str, Tensor], dtype: torch.dtype
    ) -> tuple[Self, dict[str, Tensor]]:
        """This chain and its parameters with all floating-point numbers in another precision."""
        other = self.on(_cast(self.x, dtype), _cast(self.y, dtype))
        other._stateless = self._stateless.cast(dtype)
        return other.moved(params, lambda ps: {n: _cast(p.detach(), dtype) for n, p in ps.items()})

    def holding(self, params: Mapping[str, Tensor], /) -> AbstractContextManager[None]:
        return self._stateless.holding(params)

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
        run_stage: RunStage | None = None,
    ) -> Tensor:
        """The network's output at `params`, (B, ...).

        Args:
            params: The parameters that are replaced, by name; others are the module's own.
            at_site: Called with (l, z) at the l-th site; what it returns flows on.
            at_stage: Called with (i, h) for the stage's output at the i-th boundary; what it
                returns flows on.
            run_stage: Called with (stage, input) in the place of `stage(input)`.
        """
        run = lambda: self._run(at_stage, run_stage)  # noqa: E731
        if at_site is None:
            awaited = None if at_stage or run_stage else self.plain_pass
            return self._call(params, run, awaited and awaited.keep_from(self.x, params))
        count = -1

        def visit(site: Site, z: Tensor) -> Tensor:
            nonlocal count
            count += 1
            return at_site(count, z)

        with visiting(visit):
            return self._call(params, run)

    def _call(
        self, params: Mapping[str, Tensor], run: Callable[[], Tensor], keep: Keep | None = None
    ) -> Tensor:
        with self.replaying():
            if not self._stateless.inspected:
                with visiting(lambda _, z: z):
                    # A copy, because the network may begin with an in-place non-linearity.
                    self._stateless.inspect(lambda: self._whole_module(self.x.clone()))
            return self._stateless.call(params, run, keep)

    def _run(self, at_stage: Replace | None, run_stage: RunStage | None) -> Tensor:
        if run_stage is None and (at_stage is None or not self._boundaries):
            return self._whole_module(self.x)

        def stage_by_stage(h: Tensor) -> Tensor:
            for name, stage in self._stages.items():
                h = stage(h) if run_stage is None else run_stage(stage, h)
                if at_stage is not None and name in self._boundaries:
                    h = at_stage(self._boundaries[name], h)
            return h

        if calls_forward_alone(self.module) or self.stages == ("",):
            return stage_by_stage(self.x)
        with replaced_forwards({self.module: stage_by_stage}):
            return self.module(self.x)  # its hooks belong to the network

    @property
    def places(self) -> tuple[Place, ...]:
        """The sites, in the order in which a forward pass meets them."""
        return _PLACES.get_or_make(self, self.x.shape[1:], self._find_places)

    def _find_places(self) -> tuple[Place, ...]:
        places: list[Place] = []
        names = {m: n for n, m in self.module.named_modules() if isinstance(m, Site)}

        def visit(site: Site, z: Tensor) -> Tensor:
            _need_tensor(z, f"the input of the site {names[site]}")
            places.append(Place(names[site], tuple(z.shape[1:]), site.units))
            return z

        with torch.no_grad(), visiting(visit):
            self._call({}, lambda: self._run(None, None))
        return tuple(places)

    @cached_property
    def boundaries(self) -> tuple[Place, ...]:
        """Where a signal can be given between stages."""
        places: list[Place] = []
        names = list(self._boundaries)

        def keep(i: int, h: Tensor) -> Tensor:
            _need_tensor(h, f"the output of the stage {names[i]}")
            places.append(Place(names[i], tuple(h.shape[1:])))
            return h

        with torch.no_grad():
            self.forward({}, at_stage=keep)
        return tuple(places)

    @property
    def blocks(self) -> tuple[tuple[str, ...], ...]:
        """The stages, divided at the boundaries: a block for each, and what reads the last one."""
        blocks: list[list[str]] = [[]]
        for name in self.stages:
            blocks[-1].append(name)
            if name in self._boundaries:
                blocks.append([])
        return tuple(map(tuple, blocks))

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


_PLACES = PerNetwork[tuple[Place, ...]]()
"""The sites, by the shape of an example."""


def _need_tensor(value: object, what: str) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(
            f"{what} is a {type(value).__name__}, and a signal belongs to one tensor, (B, ...): "
            "put that module and what unpacks its output into one stage"
        )


def _cast(t: Tensor, dtype: torch.dtype) -> Tensor:
    return t.to(dtype) if t.is_floating_point() else t
