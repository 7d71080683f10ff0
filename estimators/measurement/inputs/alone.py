"""Each module of a network by itself: which one has derivatives that disagree.

The loss of a whole network hides it where a module moves the loss by little: behind layers in which
the gradient vanishes, a module without any derivative changes the slope by less than a difference
can tell.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from estimators.core.contract import Params
from estimators.core.memory_order import InMemoryOrder
from estimators.core.objective import Chain, Objective
from estimators.core.site import Site
from estimators.core.stateless import Stateless
from estimators.implicit.solvers.record import recording_solves
from estimators.measurement.inputs.derivatives import Disagreement, disagreement
from estimators.measurement.inputs.modules import Call, calls_of, tensors_in
from estimators.measurement.inputs.nearby import near

PUSH = 1.0
"""How far an output is moved, as a share of its size and 1, to see whether the loss depends on
it."""


class Place(NamedTuple):
    """A module whose derivatives disagree by themselves."""

    words: str
    """The module, as a message gives it."""
    differing: Disagreement


def place_of(chain: Chain, params: Params, differing: Disagreement) -> Place:
    """The innermost module in which forward mode differs too, or else differences of the loss.

    Whether both differ in the whole depends on how much the module moves the loss.
    """
    with chain.replaying():
        for call in calls_of(chain, near(params, 0)):
            local = _disagreement_of(*_alone(call, chain, params))
            if local is not None and (local.forward if differing.forward else local.difference):
                return Place(call.words, local)
    return Place("the loss, or the network as a whole", differing)


def hidden_place(chain: Chain, params: Params) -> Place | None:
    """The innermost module that disagrees by itself, though the loss does not show it.

    Only inputs that depend on the parameters count, and only modules that the loss depends on.
    """
    for call, moving in _calls_that_move(chain, params):
        objective, theta = _alone(call, chain, params, moving)
        with recording_solves() as solves, chain.replaying():
            local = _disagreement_of(objective, theta)
        if local is not None and solves.converged and _moves_the_loss(call, chain, params):
            return Place(call.words, local)
    return None


def _disagreement_of(objective: Objective, theta: dict[str, Tensor]) -> Disagreement | None:
    try:
        return disagreement(objective, theta) if theta else None
    except Exception:  # what a foreign module raises at inputs that are not its own is not known
        return None


def _calls_that_move(chain: Chain, params: Params) -> Iterator[tuple[Call, set[int]]]:
    """The first call of each module, and which of its inputs depend on the parameters."""
    seen = {""}  # the whole network is examined with the loss
    others = calls_of(chain, near(params, 1))
    for call, other in zip(calls_of(chain, near(params, 0)), others, strict=False):
        if call.module is not other.module or call.name in seen or _is_plain(call.module):
            continue
        seen.add(call.name)
        pairs = zip(_inputs_of(call), _inputs_of(other), strict=False)
        yield call, {i for i, (a, b) in enumerate(pairs) if not torch.equal(a, b)}


def _is_plain(module: nn.Module) -> bool:
    """Whether a module only calls others, or passes on its input."""
    return type(module) in (nn.Sequential, nn.Identity, nn.Flatten, Site)


def _moves_the_loss(call: Call, chain: Chain, params: Params) -> bool:
    """Whether the loss changes with the output of this module."""

    def push(_: nn.Module, __: tuple, output: object) -> object:
        return tree_map(_pushed, output)

    theta = near(params, 0)
    with torch.no_grad():
        before = chain(theta)
        handle = call.module.register_forward_hook(push)
        try:
            return not torch.equal(before, chain(theta))
        finally:
            handle.remove()


def _pushed(t: object) -> object:
    if not isinstance(t, Tensor) or not t.is_floating_point():
        return t
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(t.shape, generator=rng).to(t)
    return t + PUSH * (t.abs().mean() + 1) * noise


def _inputs_of(call: Call) -> list[Tensor]:
    return _floating((call.args, call.kwargs))


def _floating(value: object) -> list[Tensor]:
    return [t for t in tensors_in(value) if t.is_floating_point()]


class _ModuleAlone(Objective):
    """Σ w·output of one module, whose weights a checkpointed function reads once more."""

    def __init__(self, loss: Callable[[Params], Tensor], stateless: Stateless) -> None:
        super().__init__(loss)
        self._stateless = stateless

    def holding(self, params: Params, /) -> AbstractContextManager[None]:
        return self._stateless.holding(_own_weights(params))


def _alone(
    call: Call, chain: Chain, params: Params, moving: set[int] | None = None
) -> tuple[Objective, dict[str, Tensor]]:
    """Σ w·output of one module's call, as a function of its own parameters and its inputs; of the
    inputs numbered `moving`, where these are given."""
    prefix = f"{call.name}." if call.name else ""
    dtype = next(iter(params.values())).dtype
    stateless = Stateless(call.module).cast(dtype)
    own = {n for n, _ in call.module.named_parameters()}
    theta = {f"p.{n}": params[prefix + n] for n in own if prefix + n in params}
    theta |= {
        f"x.{i}": t
        for i, t in enumerate(_inputs_of(call))
        if t.dtype is dtype and (moving is None or i in moving)
    }
    return _ModuleAlone(_weighted_output(call, stateless), stateless), theta


def _own_weights(theta: Params) -> dict[str, Tensor]:
    return {name[2:]: t for name, t in theta.items() if name.startswith("p.")}


def _weighted_output(call: Call, stateless: Stateless) -> Callable[[Mapping[str, Tensor]], Tensor]:
    rng = torch.Generator().manual_seed(0)
    shapes = [(t.numel(), t) for t in _floating(call.output)]
    ws = [torch.randn(n, 1, generator=rng).to(t) / max(1, n) ** 0.5 for n, t in shapes]

    def loss(theta: Mapping[str, Tensor]) -> Tensor:
        weights = _own_weights(theta)
        args, kwargs = _with_inputs(call, theta)
        with InMemoryOrder():  # the module by itself was not inspected for where it needs this
            output = stateless.call(weights, lambda: call.module(*args, **kwargs))
        pairs = zip(ws, _floating(output), strict=True)
        # A product of matrices: for another, torch's forward mode imports its compiler for seconds.
        return torch.cat([t.reshape(1, -1) @ w.to(t) for w, t in pairs]).sum()

    return loss


def _with_inputs(call: Call, theta: Mapping[str, Tensor]) -> tuple[tuple, dict]:
    """The call's arguments, with the tensors of `theta` in the place of its inputs."""
    count = -1

    def replaced(t: object) -> object:
        nonlocal count
        if not isinstance(t, Tensor) or not t.is_floating_point():
            return t
        count += 1
        given = theta.get(f"x.{count}")
        return t if given is None else given.clone()  # it may be overwritten

    return tree_map(replaced, (call.args, call.kwargs))
