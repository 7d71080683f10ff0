"""`SequentialJVP`: the perturbed pass of a plain chain of usual layers, module by module.

It does what `JVPMode` does, without having to be told of every call: on a small network the
telling costs more than the layers. Parameters are taken by name, so the module is not touched.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from estimators.autodiff.jvp_mode import Apply, JVPMode, NoRuleError, Pull
from estimators.autodiff.rules import RULES, Convolution, pull_linear
from estimators.core.objective import Chain
from estimators.core.sequential import is_plain
from estimators.core.site import Site

Arguments = Callable[[JVPMode], tuple]
"""What a layer's function is called with behind its input."""

Layer = tuple[Callable[..., Tensor], Callable[[nn.Module, Mapping[str, str]], Arguments]]
"""A function, and (module, {its name for a parameter: the network's}) -> its arguments."""


def _weights(*fields: str) -> Callable[[nn.Module, Mapping[str, str]], Arguments]:
    def of(m: nn.Module, names: Mapping[str, str]) -> Arguments:
        weight, bias = names.get("weight"), names.get("bias")
        rest = tuple(getattr(m, f) for f in fields)
        return lambda c: (c.leaf(weight), c.leaf(bias), *rest)

    return of


def _fields(*fields: str) -> Callable[[nn.Module, Mapping[str, str]], Arguments]:
    def of(m: nn.Module, names: Mapping[str, str]) -> Arguments:
        rest = tuple(getattr(m, f) for f in fields)
        return lambda c: rest

    return of


def _norm(field: str) -> Callable[[nn.Module, Mapping[str, str]], Arguments]:
    def of(m: nn.Module, names: Mapping[str, str]) -> Arguments:
        weight, bias = names.get("weight"), names.get("bias")
        first, eps = getattr(m, field), m.eps
        return lambda c: (first, c.leaf(weight), c.leaf(bias), eps)

    return of


_CONVOLUTION = _weights("stride", "padding", "dilation", "groups")
_POOL = _fields("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")

LAYERS: dict[type[nn.Module], Layer] = {
    nn.Linear: (F.linear, _weights()),
    nn.Conv1d: (torch.conv1d, _CONVOLUTION),
    nn.Conv2d: (torch.conv2d, _CONVOLUTION),
    nn.Conv3d: (torch.conv3d, _CONVOLUTION),
    nn.ReLU: (torch.relu, _fields()),  # in place or not: here nobody else holds its input
    nn.Tanh: (torch.tanh, _fields()),
    nn.Sigmoid: (torch.sigmoid, _fields()),
    nn.Flatten: (torch.flatten, _fields("start_dim", "end_dim")),
    nn.AvgPool2d: (F.avg_pool2d, _POOL),
    nn.AdaptiveAvgPool2d: (F.adaptive_avg_pool2d, _fields("output_size")),
    nn.LayerNorm: (F.layer_norm, _norm("normalized_shape")),
    nn.GroupNorm: (F.group_norm, _norm("num_groups")),
}

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class _Map(NamedTuple):
    """A linear map, pulled back by hand where its input has no graph."""

    weight: str
    bias: str | None
    apply: Apply
    pull: Pull
    move: Callable[[Tensor, Tensor, int], Tensor]
    """(ẋ, weight, K) -> ẏ."""
    direct: bool
    """Whether a site or the end comes next: then no graph need begin here."""

    def run(self, c: JVPMode, x: Tensor) -> Tensor:
        if x.requires_grad:
            y = self.apply(x, c.leaf(self.weight), c.leaf(self.bias))  # type: ignore[arg-type]
        else:
            y = c.begin(x, self.weight, self.bias, self.apply, self.pull)
            y = y if self.direct else y.requires_grad_()
        t = c.get(x)
        if t is not None:
            c.put(y, self.move(t, c.raw[self.weight], c.count))
        return y


class _Layer(NamedTuple):
    """Any other layer."""

    function: Callable[..., Tensor]
    arguments: Arguments

    def run(self, c: JVPMode, x: Tensor) -> Tensor:
        args = self.arguments(c)
        y = RULES[self.function](c, x, *args)
        if y is not NotImplemented:
            return y
        if c.get(x) is not None:
            raise NoRuleError
        return self.function(x, *args)


class SequentialJVP:
    """The layers of a chain. Raises NoRuleError if it has others than the usual ones."""

    def __init__(self, chain: Chain) -> None:
        if type(chain).forward is not Chain.forward:
            raise NoRuleError
        names = {id(p): name for name, p in chain.module.named_parameters()}
        leaves = _leaves(chain.module)
        layers = [_layer(m, names) for m in leaves]
        ends = {i for i, layer in enumerate(layers) if layer is None} | {len(layers)}
        self._steps = [
            layer and (_map(leaves[i], layer, names, i + 1 in ends) or layer)
            for i, layer in enumerate(layers)
        ]
        self._hooks = [getattr(m, h) for m in chain.module.modules() for h in _HOOKS]
        self._needed = frozenset(names.values())

    def run(self, x: Tensor, c: JVPMode, at_site: Callable[[int, Tensor], Tensor]) -> Tensor:
        """The output, with what at_site(l, z) gives flowing on from the l-th site."""
        if any(self._hooks) or not self._needed <= c.raw.keys():
            raise NoRuleError
        site = 0
        for step in self._steps:
            if step is None:
                x, site = at_site(site, x), site + 1
            else:
                x = step.run(c, x)
        return x


def _leaves(module: nn.Module) -> list[nn.Module]:
    if is_plain(module):
        return [leaf for m in module._modules.values() if m is not None for leaf in _leaves(m)]
    return [] if type(module) is nn.Identity else [module]


def _layer(m: nn.Module, names: Mapping[int, str]) -> _Layer | None:
    """None stands for a site."""
    if type(m) is Site:
        return None
    if type(m) not in LAYERS or _unusual(m):
        raise NoRuleError
    function, of = LAYERS[type(m)]
    return _Layer(function, of(m, _own(m, names)))


def _map(m: nn.Module, layer: _Layer, names: Mapping[int, str], direct: bool) -> _Map | None:
    own = _own(m, names)
    if type(m) is nn.Linear:
        move = lambda t, weight, _: F.linear(t, weight)  # noqa: E731
        return _Map(own["weight"], own.get("bias"), F.linear, pull_linear, move, direct)
    if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        dims = len(m.kernel_size)
        c = Convolution(layer.function, dims, m.stride, m.padding, m.dilation, m.groups)
        return _Map(own["weight"], own.get("bias"), c.apply, c.pull, c.move, direct)
    return None


def _own(m: nn.Module, names: Mapping[int, str]) -> dict[str, str]:
    return {key: names[id(p)] for key, p in m._parameters.items() if p is not None}


def _unusual(m: Any) -> bool:
    """Padding that a convolution's function does not take, or a weight made of others."""
    padding = getattr(m, "padding", 0)
    strange = isinstance(padding, str) or getattr(m, "padding_mode", "zeros") != "zeros"
    return strange or ("weight" in type(m).__annotations__ and "weight" not in m._parameters)
