"""Auxiliary networks: small classifiers of a block's output, as in Fournier et al. (2023).

They are ordinary modules whose weights are given at each call, so that an estimator can keep the
weights in its state. Sources: Fournier, Rivaud, Belilovsky, Eickenberg and Oyallon (2023),
arXiv:2306.06968; before them Belilovsky, Eickenberg and Oyallon (2020), arXiv:1901.08164.
"""

import math
from collections.abc import Callable
from typing import Literal, TypeVar, get_args

import torch
from torch import Generator, Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from estimators.core.contract import UnsupportedError

AuxiliaryName = Literal["linear", "mlp", "cnn"]
AuxiliaryNorm = Literal["none", "layer", "batch"]

M = TypeVar("M", bound=nn.Module)

SIDE = 2
"""Height and width to which an image is pooled in front of a linear layer."""
HIDDEN = 3
"""Hidden layers of the mlp, and convolutions of stride 2 of the cnn."""

_LINEAR_MAPS = (nn.Linear, nn.Conv2d)
_NORMS = (nn.GroupNorm, nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d)


def auxiliary_network(
    name: AuxiliaryName,
    shape: tuple[int, ...],
    outputs: int,
    *,
    width: int,
    norm: AuxiliaryNorm,
    like: Tensor,
) -> nn.Module:
    """A network from a block's output, (B, *shape), to (B, outputs), with parameters of zero.

    - linear: norm, pooling, linear;
    - mlp: pooling, three times (linear to `width` features, norm, ReLU), linear;
    - cnn: 1x1 convolution to `width` channels, norm, ReLU, three times (3x3 convolution of stride
      2, norm, ReLU), pooling, linear.

    Pooling takes the means over a grid of 2x2 places of an image, (channels, height, width), and
    flattens them. Any other output of more than one dimension, such as the (positions, features)
    of a sequence, is flattened at the beginning; the cnn reads images alone. The norm "layer" is
    `LayerNorm` of a vector and `GroupNorm` with one group of an image; "batch" is batch
    normalisation by the statistics of the batch alone, which keeps no running ones and couples the
    examples. Nothing is drawn: `first_weights` draws the weights.

    Args:
        name: Which network.
        shape: Of the block's output for one example, with at least one dimension.
        outputs: Numbers that the network puts out for each example.
        width: Channels of the cnn or features of the mlp between their layers.
        norm: The normalisation.
        like: A tensor of the device and the precision that the network is to have.

    Raises:
        UnsupportedError: The network does not read an output of this shape.
    """
    _refuse(name, shape, width, norm)
    flat = len(shape) not in (1, 3)
    read = (math.prod(shape),) if flat else shape

    def make() -> nn.Module:
        match name:
            case "linear":
                layers = [*_norm(norm, read), *_readout(read, outputs)]
            case "mlp":
                layers = _mlp(read, outputs, width, norm)
            case "cnn":
                layers = _cnn(read, outputs, width, norm)
        return _Network(nn.Flatten(), *layers) if flat else _Network(*layers)

    return blank(make, like)


class _Network(nn.Sequential):
    """Layers on an input whose numbers lie in order, as `core.memory_order` says why."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.contiguous())


def blank(make: Callable[[], M], like: Tensor) -> M:
    """The module that `make` makes, on `like`'s device, its parameters zero; nothing is drawn."""
    with torch.device("meta"):
        module = make()
    module = module.to(like.dtype).to_empty(device=like.device)
    with torch.no_grad():
        for p in module.parameters():
            p.zero_()
    return module


def first_weights(module: nn.Module, rng: Generator) -> dict[str, Tensor]:
    """The weights before the first step, by the module's own parameter names.

    Weights of linear layers and convolutions are uniform in ±√(6 / fan-in), as He, Zhang, Ren and
    Sun (2015), arXiv:1502.01852, derive for ReLU; norms scale by one; biases are zero.

    Args:
        module: Made of linear layers, convolutions and norms.
        rng: What is drawn from, on the device of the module.

    Raises:
        ValueError: A parameter belongs to a module of another kind.
    """
    weights: dict[str, Tensor] = {}
    for prefix, layer in module.named_modules():
        for name, p in layer.named_parameters(prefix, recurse=False):
            if not isinstance(layer, _LINEAR_MAPS + _NORMS):
                raise ValueError(
                    f"{name} belongs to a {type(layer).__name__}; weights are drawn for linear "
                    "layers, two-dimensional convolutions and norms"
                )
            if name.rpartition(".")[2] == "bias":
                weights[name] = torch.zeros_like(p.detach())
            elif isinstance(layer, _NORMS):
                weights[name] = torch.ones_like(p.detach())
            else:
                bound = math.sqrt(6 / p[0].numel())
                weights[name] = torch.empty_like(p.detach()).uniform_(-bound, bound, generator=rng)
    return weights


def multiply_adds(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiplications, each with its addition, of a forward pass of one example, (*shape).

    Those of matrix products and convolutions are counted, at tensors without numbers: norms,
    non-linearities and pooling are not.
    """
    own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    shapes = {name: t.detach().to("meta") for name, t in own.items()}
    dtype = next((t.dtype for t in own.values() if t.is_floating_point()), None)
    examples = 2  # batch normalisation refuses one
    x = torch.empty(examples, *shape, device="meta", dtype=dtype)
    products = _products(lambda: torch.func.functional_call(module, shapes, (x,)))
    return products // (2 * examples)


def share_of_products(part: Callable[[], object], whole: Callable[[], object]) -> float:
    """Matrix products and convolutions of a call, as a share of those of another, run first.

    Norms, non-linearities and pooling are not counted.
    """
    of_whole = _products(whole)
    return _products(part) / max(1, of_whole)


def _products(call: Callable[[], object]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def _refuse(name: AuxiliaryName, shape: tuple[int, ...], width: int, norm: AuxiliaryNorm) -> None:
    """Raise UnsupportedError if the network does not read an output of this shape."""
    if name not in get_args(AuxiliaryName) or norm not in get_args(AuxiliaryNorm):
        raise ValueError(
            f"no auxiliary network {name!r} with norm {norm!r}: there are "
            f"{', '.join(get_args(AuxiliaryName))} with {', '.join(get_args(AuxiliaryNorm))}"
        )
    came = f"this block puts out {shape} an example"
    if not shape:
        raise UnsupportedError(
            f"auxiliary networks read outputs of at least one dimension, and {came}"
        )
    if name == "cnn" and len(shape) != 3:
        raise UnsupportedError(
            f"the auxiliary cnn reads (channels, height, width), and {came}: choose mlp or linear"
        )
    if name == "cnn" and min(shape[1:]) < SIDE:
        raise UnsupportedError(
            f"the auxiliary cnn needs a height and a width of at least {SIDE}, and {came}: choose "
            "mlp or linear"
        )
    if norm == "layer" and (math.prod(shape) if name == "linear" else width) == 1:
        raise UnsupportedError(
            f"the auxiliary {name} would normalise single numbers, which gives 0 for each: choose "
            f"the norm none, or a width of at least 2 ({came}, and the width is {width})"
        )


def _norm(norm: AuxiliaryNorm, shape: tuple[int, ...]) -> list[nn.Module]:
    """The normalisation of (B, *shape), if there is one."""
    channels, image = shape[0], len(shape) == 3
    match norm:
        case "none":
            return []
        case "layer":
            return [nn.GroupNorm(1, channels) if image else nn.LayerNorm(channels)]
        case "batch":
            made = nn.BatchNorm2d if image else nn.BatchNorm1d
            return [made(channels, track_running_stats=False)]


def _pooled(shape: tuple[int, ...]) -> tuple[list[nn.Module], int]:
    """Layers from (B, *shape) to (B, features), and the features."""
    if len(shape) == 1:
        return [], shape[0]
    return [nn.AdaptiveAvgPool2d(SIDE), nn.Flatten()], shape[0] * SIDE**2


def _readout(shape: tuple[int, ...], outputs: int) -> list[nn.Module]:
    layers, features = _pooled(shape)
    return [*layers, nn.Linear(features, outputs)]


def _mlp(shape: tuple[int, ...], outputs: int, width: int, norm: AuxiliaryNorm) -> list[nn.Module]:
    layers, features = _pooled(shape)
    for entries in (features, *[width] * (HIDDEN - 1)):
        layers += [
            nn.Linear(entries, width, bias=norm != "batch"),  # a batch's mean takes a bias out
            *_norm(norm, (width,)),
            nn.ReLU(),
        ]
    return [*layers, nn.Linear(width, outputs)]


def _cnn(shape: tuple[int, ...], outputs: int, width: int, norm: AuxiliaryNorm) -> list[nn.Module]:
    hidden = (width, *shape[1:])
    bias = norm != "batch"
    layers = [nn.Conv2d(shape[0], width, 1, bias=bias), *_norm(norm, hidden), nn.ReLU()]
    for _ in range(HIDDEN):
        layers += [
            nn.Conv2d(width, width, 3, stride=2, padding=1, bias=bias),
            *_norm(norm, hidden),
            nn.ReLU(),
        ]
    return [*layers, *_readout(hidden, outputs)]
