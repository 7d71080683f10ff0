"""Layers that send gradients to their input through a feedback weight B instead of W.

A layer z = W x + b then sends δx = Bᵀ δz to its input, while its own gradient stays δz xᵀ. Such
layers are `nn.Linear`, `nn.Conv1d` and `nn.Conv2d` (groups as well); everything else keeps its
exact derivative. A feedback weight has the shape and the name of the weight that it replaces.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.autograd.function import once_differentiable

from estimators.autodiff.calculus import Cut, coverage_between, value_and_grad
from estimators.core.contract import Coverage, Params, UnsupportedError
from estimators.core.module_call import replaced_forwards
from estimators.core.objective import Chain

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
Weights = dict[str, Tensor]
"""A tensor for each weight that gradients are sent through, by the weight's name."""


def value_and_transported(
    chain: Chain, params: Params, feedback: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """(L(θ), its gradient with every δ sent through `feedback`)."""
    with through(chain, feedback):
        return value_and_grad(chain, params)


def through(chain: Chain, feedback: Mapping[str, Tensor]) -> Any:
    """While this is open, a pass of `chain` is recorded so that δ goes through `feedback`."""
    layers = ((name, chain.module.get_submodule(_owner(name))) for name in feedback)
    return replaced_forwards(
        {
            layer: _transporting(layer, feedback[name])
            for name, layer in layers
            if "forward" not in layer.__dict__  # given since the feedback was drawn: left exact
        }
    )


def transported(chain: Chain, params: Params) -> Weights:
    """The weights that gradients are sent through: of layers whose input depends on parameters.

    Raises UnsupportedError if there are none.
    """
    weights = {name: params[name].detach() for name in _record(chain, params)[0]}
    if not weights:
        raise UnsupportedError(
            "no nn.Linear, nn.Conv1d or nn.Conv2d stands behind another layer with parameters, so "
            "that there is nothing to send a signal through",
            network=True,
        )
    return weights


def coverage_of_transport(chain: Chain, params: Params) -> dict[str, Coverage]:
    """Estimated: what lies before such a layer. Exact: the last ones, and all behind them."""
    return coverage_between(_record(chain, params)[1])


def fans(weight: Tensor) -> tuple[int, int]:
    """(fan-in, fan-out) of a weight (out, in, *kernel); in is what one group takes."""
    field = weight.shape[2:].numel()
    return weight.shape[1] * field, weight.shape[0] * field


def xavier_uniform(weight: Tensor, scale: float, rng: Generator) -> Tensor:
    """Uniform in ±scale·√(6 / (fan-in + fan-out)), shaped as `weight`."""
    bound = scale * math.sqrt(6 / sum(fans(weight)))
    return torch.empty_like(weight, requires_grad=False).uniform_(-bound, bound, generator=rng)


def xavier_deviation(weight: Tensor) -> float:
    """√(2 / (fan-in + fan-out))."""
    return math.sqrt(2 / sum(fans(weight)))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, bias: Tensor | None, feedback: Tensor) -> Tensor:
        ctx.save_for_backward(x, feedback)
        return nn.functional.linear(x, w, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, feedback = ctx.saved_tensors
        to_x, to_w, to_bias, _ = ctx.needs_input_grad
        g = g.to(x.dtype)  # autocast computes the layer's value in another precision
        rows = g.reshape(-1, g.shape[-1])
        return (
            g @ feedback if to_x else None,
            rows.T @ x.reshape(-1, x.shape[-1]) if to_w else None,
            rows.sum(0) if to_bias else None,
            None,
        )


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, x: Tensor, w: Tensor, bias: Tensor | None, feedback: Tensor, how: tuple
    ) -> Tensor:
        ctx.save_for_backward(x, feedback)
        ctx.how, ctx.sizes = how, None if bias is None else [len(bias)]
        return torch.convolution(x, w, bias, *how)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, feedback = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[:3])
        # The gradient for the weight needs x and g alone; only that for x reads the weight.
        g = g.to(x.dtype)  # autocast computes the layer's value in another precision
        grads = torch.ops.aten.convolution_backward(g, x, feedback, ctx.sizes, *ctx.how, wanted)
        return *grads, None, None


def _transporting(layer: nn.Module, feedback: Tensor) -> Callable[[Tensor], Tensor]:
    if isinstance(layer, nn.Linear):
        return lambda x: _Linear.apply(x, layer.weight, layer.bias, feedback)  # type: ignore[return-value]
    assert isinstance(layer, nn.Conv1d | nn.Conv2d)
    pads = isinstance(layer.padding, str) or layer.padding_mode != "zeros"
    still = (0,) * len(layer.stride)
    padding: Any = still if pads else layer.padding
    how = (layer.stride, padding, layer.dilation, False, still, layer.groups)

    def run(x: Tensor) -> Tensor:
        return _Convolution.apply(_padded(layer, x) if pads else x, layer.weight, layer.bias,
                                  feedback, how)  # type: ignore[return-value]  # fmt: skip

    return run


def _padded(layer: nn.Conv1d | nn.Conv2d, x: Tensor) -> Tensor:
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return nn.functional.pad(x, layer._reversed_padding_repeated_twice, mode)


def _record(chain: Chain, params: Params) -> tuple[list[str], Cut]:
    """The weights of layers whose input depends on parameters, and the pass with these inputs."""
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    inputs: dict[str, Tensor] = {}

    def watching(name: str, layer: nn.Module) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            if x.requires_grad and torch.is_grad_enabled():
                inputs[name] = x.view_as(x)
            return type(layer).forward(layer, x)

        return run

    layers = {m: watching(name, m) for name, m in _layers(chain.module) if name in params}
    with torch.enable_grad(), replaced_forwards(layers):
        output = chain.forward(leaves)
        return list(inputs), Cut(leaves, list(inputs.values()), output, chain.losses(output))


def _layers(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Such layers, by the name of their weight: no subclass or instance with its own `forward`,
    and no second layer of a tied weight."""
    own = {cls.forward for cls in LAYERS}
    for name, m in module.named_modules():
        if isinstance(m, LAYERS) and type(m).forward in own and "forward" not in m.__dict__:
            yield f"{name}.weight" if name else "weight", m


def _owner(weight: str) -> str:
    return weight.rpartition(".")[0]
