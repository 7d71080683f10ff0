"""Derivatives along many directions in weight space, written out for feed-forward networks.

The activation is computed once; its K tangents stack along the batch, so that each layer's
are one matrix product or convolution with all K perturbed weights. Served are nests of plain
`nn.Sequential` out of the layers in the tables below; `layers_of` tells.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from estimators.core.contract import Params
from estimators.core.objective import Chain, Objective
from estimators.core.site import Site

ELEMENTWISE = (nn.ReLU, nn.Tanh, nn.GELU, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.ELU, nn.LeakyReLU)
LINEAR = (Site, nn.Identity, nn.Flatten, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
"""Layers without parameters or offset: they carry a tangent as they carry a value."""
WEIGHTED = (nn.Linear, nn.Conv2d)
SERVED = {*ELEMENTWISE, *LINEAR, *WEIGHTED}


@dataclass(frozen=True, eq=False)
class Layer:
    """A module and the names of its parameters."""

    module: nn.Module
    weight: str = ""
    bias: str | None = None


@dataclass(frozen=True, eq=False)
class _Flow:
    """An activation z, (B, ...), and its K tangents, (B, K, ...); None where they are zero."""

    z: Tensor
    dz: Tensor | None


def layers_of(objective: Objective, params: Params) -> list[Layer] | None:
    """The layers of a feed-forward network, in order; None if it has another kind of part."""
    if type(objective) is not Chain:  # a subclass may run its module in its own way
        return None
    found = [_layer(m, name) for name, m in _flat(objective.module, "")]
    known = [layer for layer in found if layer is not None]
    used = {name for layer in known for name in (layer.weight, layer.bias) if name}
    # A tied parameter has one name and two places: its second place is no known name.
    return known if len(known) == len(found) and used == set(params) else None


def slopes_through(
    chain: Chain, layers: Sequence[Layer], params: Params, tangents: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """(L(θ), ∇L·v_k for each of K directions (K, *shape)): () and (K,)."""
    count = len(next(iter(tangents.values())))
    with torch.no_grad():
        flow = _Flow(chain.x, None)
        for layer in layers:
            flow = _through(layer, flow, params, tangents, count)
    loss, error = _loss(chain, flow.z)
    if flow.dz is None:
        return loss, loss.new_zeros(count)
    return loss, torch.einsum("nkc,nc->k", flow.dz.flatten(2), error.flatten(1))


def _flat(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules in order, with the prefix of their parameters' names."""
    if type(module) is not nn.Sequential or _hooked(module):
        yield name, module
        return
    for key, m in module._modules.items():
        if m is not None:
            yield from _flat(m, f"{name}{key}.")


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _layer(m: nn.Module, prefix: str) -> Layer | None:
    if type(m) not in SERVED or _hooked(m):
        return None
    if isinstance(m, nn.Conv2d) and m.groups != 1:
        return None
    if isinstance(m, nn.Flatten) and (m.start_dim, m.end_dim) != (1, -1):
        return None
    if not isinstance(m, WEIGHTED):
        return Layer(m)
    return Layer(m, f"{prefix}weight", None if m.bias is None else f"{prefix}bias")


def _through(
    layer: Layer, flow: _Flow, params: Params, tangents: Mapping[str, Tensor], count: int
) -> _Flow:
    if layer.weight:
        return _weighted(layer, flow, params, tangents, count)
    if flow.dz is None or isinstance(layer.module, LINEAR):
        z = layer.module(_own(layer.module, flow.z))
        return _Flow(z, None if flow.dz is None else _each(layer.module, flow.dz))
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(_own(layer.module, flow.z), torch.ones_like(flow.z))
        z, slope = forward_ad.unpack_dual(layer.module(dual))
    return _Flow(z, flow.dz if slope is None else flow.dz.mul_(slope.unsqueeze(1)))


def _own(module: nn.Module, z: Tensor) -> Tensor:
    """What the module may overwrite: its input, unless it works in place."""
    return z.clone() if getattr(module, "inplace", False) else z


def _each(module: nn.Module, dz: Tensor) -> Tensor:
    """The module on each of the K tangents."""
    return module(dz.flatten(0, 1)).unflatten(0, dz.shape[:2])


def _weighted(
    layer: Layer, flow: _Flow, params: Params, tangents: Mapping[str, Tensor], count: int
) -> _Flow:
    """z = W x + b:  dz_k = dW_k x + db_k + W dx_k, all dW_k as one map of K times the width."""
    w, b = params[layer.weight], None if layer.bias is None else params[layer.bias]
    dw = tangents[layer.weight].flatten(0, 1)
    db = None if layer.bias is None else tangents[layer.bias].flatten()
    m, x = layer.module, flow.z
    z, dz = _map(m, x, w, b), _map(m, x, dw, db)
    if isinstance(m, nn.Conv2d):
        dz = dz.unflatten(1, (count, -1))
    else:
        dz = dz.unflatten(-1, (count, -1)).movedim(-2, 1)
    return _Flow(z, dz if flow.dz is None else _add_map(dz, m, flow.dz, w))


def _add_map(dz: Tensor, m: nn.Module, before: Tensor, w: Tensor) -> Tensor:
    """dz + W dx, in the place of dz."""
    if isinstance(m, nn.Linear) and dz.is_contiguous():
        dz.view(-1, dz.shape[-1]).addmm_(before.reshape(-1, before.shape[-1]), w.t())
        return dz
    return dz.add_(_map(m, before.flatten(0, 1), w, None).view(dz.shape))


def _map(m: nn.Module, x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    if isinstance(m, nn.Conv2d):
        return m._conv_forward(x, w, b)
    return nn.functional.linear(x, w, b)


def _loss(chain: Chain, output: Tensor) -> tuple[Tensor, Tensor]:
    """The loss and its derivative by the network's output: the loss alone, no layer."""
    leaf = output.detach().requires_grad_()
    with torch.enable_grad():
        loss = chain.losses(leaf).mean()
    if not loss.requires_grad:
        return loss.detach(), torch.zeros_like(output)
    return loss.detach(), torch.autograd.grad(loss, leaf)[0]
