"""Derivatives along many directions in weight space, through a sequence of operations.

The activation is computed once; its K tangents are stacked behind the batch axis, so that each
layer's are one matrix product or convolution with all K perturbed weights. Which operations
there are and what they compute is read from the table; the kernels for K stacked tangents are
this module's own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from estimators.autodiff.calculus import push_forward
from estimators.autodiff.operations.linear import Convolution
from estimators.autodiff.operations.operation import (
    Elementwise,
    LinearInInput,
    Map,
    Operation,
    Saved,
)
from estimators.autodiff.operations.table import operation_of
from estimators.core.contract import Params
from estimators.core.module_call import calls_forward_alone, under_autocast
from estimators.core.objective import Chain, Objective


@dataclass(frozen=True, eq=False)
class Layer:
    """An operation and the names of its parameters."""

    operation: Operation
    weight: str | None = None
    bias: str | None = None


@dataclass(frozen=True, eq=False)
class _Stack:
    """An activation z, (B, ...), and its K tangents, (B, K, ...); None where they are zero."""

    z: Tensor
    dz: Tensor | None


def layers_of(objective: Objective, params: Params) -> list[Layer] | None:
    """The layers of a feed-forward network, in order.

    None if it is another kind of network: a module that no operation of the table covers, as it
    is called now; a subclass of `Chain`, which may run its module in its own way; a tied or a
    frozen parameter.
    """
    if type(objective) is not Chain or under_autocast():
        return None
    layers = [_layer(m, name) for name, m in _flat(objective.module, "")]
    served = [layer for layer in layers if layer is not None]
    used = {name for layer in served for name in (layer.weight, layer.bias) if name}
    # A tied parameter has one name and two places: its second place has no name in `params`.
    return served if len(served) == len(layers) and used == set(params) else None


def slopes_through(
    chain: Chain, layers: Sequence[Layer], params: Params, tangents: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """(L(θ), ∇L·v_k for each of K directions (K, *shape)): () and (K,)."""
    count = len(next(iter(tangents.values())))
    with torch.no_grad():
        stack = _Stack(chain.x, None)
        for layer in layers:
            if not layer.operation.accepts(stack.z):
                return _in_turn(chain, params, tangents, count)
            stack = _through(layer, stack, params, tangents, count)
    loss, error = _loss(chain, stack.z)
    if stack.dz is None:
        return loss, loss.new_zeros(count)
    rows = stack.dz.reshape(len(error), count, -1)
    return loss, torch.einsum("nkc,nc->k", rows, error.reshape(len(error), -1))


def _in_turn(
    chain: Chain, params: Params, tangents: Mapping[str, Tensor], count: int
) -> tuple[Tensor, Tensor]:
    """The same by dual numbers, for activations of a shape that no rule is written for."""
    each = [push_forward(chain, params, [tangents[n][k] for n in params]) for k in range(count)]
    return each[0][0], torch.stack([slope for _, slope in each])


def _flat(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules in order, with the prefix of their parameters' names."""
    if type(module) is not nn.Sequential or not calls_forward_alone(module):
        yield name, module
        return
    for key, m in module._modules.items():
        if m is not None:
            yield from _flat(m, f"{name}{key}.")


def _layer(m: nn.Module, prefix: str) -> Layer | None:
    read = operation_of(m)
    if read is None:
        return None
    operation, weight, bias = read
    if isinstance(operation, Convolution) and operation.groups != 1:
        return None
    return Layer(
        operation,
        None if weight is None else f"{prefix}weight",
        None if bias is None else f"{prefix}bias",
    )


def _through(
    layer: Layer, stack: _Stack, params: Params, tangents: Mapping[str, Tensor], count: int
) -> _Stack:
    weight, bias = ((params[n] if n else None) for n in (layer.weight, layer.bias))
    dw, db = ((tangents[n] if n else None) for n in (layer.weight, layer.bias))
    operation, dz = layer.operation, stack.dz
    z, saved = operation.forward(stack.z, weight, bias)
    if isinstance(operation, Map) and dw is not None:
        return _Stack(z, _map_tangents(operation, saved, dz, dw, db))
    if dz is None and dw is None and db is None:
        return _Stack(z, None)
    if dz is not None and isinstance(operation, Elementwise):
        slope = operation.times_slope(saved, torch.ones_like(stack.z))
        return _Stack(z, dz.mul_(slope.unsqueeze(1)))
    if dz is not None and isinstance(operation, LinearInInput) and operation.examplewise:
        return _Stack(z, operation.apply(dz.flatten(0, 1)).unflatten(0, dz.shape[:2]))
    dx = None if dz is None else dz.movedim(1, 0)
    if count == 1:  # a single tangent has no axis of its own
        dx, dw, db = (None if t is None else t[0] for t in (dx, dw, db))
        return _Stack(z, operation.jvp(saved, dx, dw, db).unsqueeze(1))
    return _Stack(z, operation.jvp(saved, dx, dw, db, count).movedim(0, 1))


def _map_tangents(
    operation: Map, saved: Saved, dz: Tensor | None, dw: Tensor, db: Tensor | None
) -> Tensor:
    """dy_k = x ∗ dw_k + db_k + dx_k ∗ w, all dw_k as one map of K times the width."""
    x, weight = saved[:2]
    count, stacked_bias = len(dw), None if db is None else db.flatten()
    dy: Any = operation.forward(x, dw.flatten(0, 1), stacked_bias)[0]
    if isinstance(operation, Convolution):
        dy = dy.unflatten(1, (count, -1))
        return dy if dz is None else dy.add_(_convolved(operation, dz, weight, dy.shape))
    dy = dy.unflatten(-1, (count, -1)).movedim(-2, 1)
    if dz is None:
        return dy
    if dy.is_contiguous():
        dy.view(-1, dy.shape[-1]).addmm_(dz.reshape(-1, dz.shape[-1]), weight.t())
        return dy
    return dy.add_(operation.forward(dz, weight)[0])


def _convolved(operation: Map, dz: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
    """dx_k ∗ w, with the tangents as one batch of B·K examples."""
    return operation.forward(dz.flatten(0, 1), weight)[0].view(shape)


def _loss(chain: Chain, output: Tensor) -> tuple[Tensor, Tensor]:
    """The loss and its derivative by the network's output: the loss alone, no layer."""
    leaf = output.detach().requires_grad_()
    with torch.enable_grad():
        loss = chain.losses(leaf).mean()
    if not loss.requires_grad:
        return loss.detach(), torch.zeros_like(output)
    return loss.detach(), torch.autograd.grad(loss, leaf)[0]
