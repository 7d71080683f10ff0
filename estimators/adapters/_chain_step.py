"""One step of a chain of torchzero's modules on copies of the weights, and the chain's state."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Generator, Tensor
from torch.autograd import forward_ad

from estimators.adapters._chain_text import torchzero
from estimators.core.contract import UnsupportedError

Loss = Callable[[list[Tensor]], Tensor]
Packed = tuple[tuple[tuple[dict[str, Any], ...], dict[str, Any]], ...]
"""For each module: what it keeps for each tensor, and besides."""

LENGTH, ITEMS, TENSORS = "deque of at most", "items", "TensorList"
"""Keys of a deque and of a list of tensors in a state."""
DROPPED = object()
"""In the place of functions, which a module makes anew at each step."""


class Step(NamedTuple):
    """What a chain makes of a loss."""

    update: list[Tensor]
    """For each weight, what an optimiser would subtract."""
    loss: Tensor
    state: Packed


def step(
    modules: Sequence[Any], weights: Sequence[Tensor], loss: Loss, number: int, state: Packed
) -> Step:
    """One step of `modules`, the `number`-th, from their state of the last one."""
    package = torchzero()
    leaves = [w.detach().clone().requires_grad_() for w in weights]
    read = [leaves]  # the last of them is what the loss reads
    flat = package.core.modular.flatten_modules(*modules)
    _unpack(state, flat, leaves)

    at_weights: list[Tensor] = []

    def closure(backward: bool = True) -> Tensor:
        here = not at_weights and all(map(torch.equal, (p.detach() for p in leaves), weights))
        value = loss(read[-1])
        if here:
            at_weights.append(forward_ad.unpack_dual(value).primal.detach())
        if backward:
            for leaf in leaves:
                leaf.grad = None
            value.backward()
        return value

    objective = package.core.Objective(params=leaves, closure=closure, current_step=number)
    with torch.enable_grad(), _tensors_kept(read):
        after = package.core.step(objective, [*modules])
        if after.skip_update:  # it has moved the weights itself
            update = [w - p.detach() for w, p in zip(weights, leaves, strict=True)]
        else:
            update = [u.detach().clone() for u in after.get_updates()]
    if not at_weights:
        with torch.no_grad():
            at_weights.append(loss([w.detach() for w in weights]))
    return Step(update, at_weights[0], _pack(flat, leaves))


@contextmanager
def _tensors_kept(read: list[list[Tensor]]) -> Iterator[None]:
    """While this is open, torchzero exchanges no tensor's memory with another's.

    Its forward mode does so without asking who else refers to the tensor, which ends the process
    where a graph does. Here the loss reads other tensors instead: the last list in `read`. Its
    Hessians by `torch.func` do the same, and are refused.
    """
    module = torchzero().modules.grad_approximation.forward_gradient
    derivatives = torchzero().utils.derivatives

    def jvp(fn: Callable[[], Tensor], params: Any, tangent: Any) -> tuple[Tensor, Tensor]:
        pairs = zip(params, tangent, strict=True)
        with torch.no_grad(), forward_ad.dual_level():
            # Tangents in the memory order of the weights, as torch's own rules expect them.
            duals = [(p.detach(), torch.empty_like(p).copy_(t)) for p, t in pairs]
            read.append([forward_ad.make_dual(p, t) for p, t in duals])
            try:
                value, slope = forward_ad.unpack_dual(fn())
            finally:
                read.pop()
        return value, torch.zeros_like(value) if slope is None else slope

    def refuse(*_: Tensor) -> None:
        raise UnsupportedError(
            "this torchzero module takes second derivatives by torch.func, which exchanges the "
            "memory of the weights; give it another hessian_method, such as 'batched_autograd'"
        )

    with (
        patch.object(module, "jvp", jvp),
        patch.object(derivatives, "swap_tensors_no_use_count_check", refuse),
    ):
        yield


@contextmanager
def seeded(rng: Generator) -> Iterator[int]:
    """While this is open, torch's own generators draw from a seed of `rng`, which is given."""
    seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
    devices = [rng.device.index or 0] if rng.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        yield seed


def _pack(modules: Sequence[Any], weights: Sequence[Tensor]) -> Packed:
    return tuple(
        (
            tuple(_plain(m.state.get(w, {}), m) for w in weights),
            _plain(m.global_state, m),
        )
        for m in modules
    )


def _unpack(state: Packed, modules: Sequence[Any], weights: Sequence[Tensor]) -> None:
    for module, (of_weights, others) in zip(modules, state, strict=bool(state)):
        for weight, kept in zip(weights, of_weights, strict=True):
            module.state[weight].update(_copied(kept))
        module.global_state.update(_copied(others))


def _plain(value: Any, module: Any) -> Any:
    """The state as a checkpoint can hold it. Raises UnsupportedError for what it cannot."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, deque):
        return {LENGTH: value.maxlen, ITEMS: [_plain(inner, module) for inner in value]}
    if isinstance(value, torchzero().utils.TensorList):
        return {TENSORS: [_plain(inner, module) for inner in value]}
    if isinstance(value, Mapping) and all(isinstance(key, str | int) for key in value):
        items = {key: _plain(inner, module) for key, inner in value.items()}
        return {key: inner for key, inner in items.items() if inner is not DROPPED}
    if isinstance(value, list | tuple):
        items = [_plain(inner, module) for inner in value]
        kept = [inner for inner in items if inner is not DROPPED]
        return tuple(kept) if isinstance(value, tuple) else kept
    if callable(value):
        return DROPPED
    raise UnsupportedError(
        f"torchzero's {type(module).__name__} keeps a {type(value).__name__} from step to step, "
        "which a checkpoint cannot hold"
    )


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict) and LENGTH in value:
        return deque(map(_copied, value[ITEMS]), value[LENGTH])
    if isinstance(value, dict) and TENSORS in value:
        return torchzero().utils.TensorList(map(_copied, value[TENSORS]))
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(inner) for inner in value)
    return value
