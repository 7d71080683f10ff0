"""A multiscale network whose hidden layers are one equilibrium of images at several resolutions."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor, nn

from backend.training.networks.contract import ACTIVATIONS, group_norm, image, named
from backend.training.networks.implicit_conv import gain
from backend.training.networks.implicit_network import ImplicitNetwork
from estimators.core.bounds import Ge, Le, Unit
from estimators.core.site import Site
from estimators.implicit.equilibrium import equilibria

Shape = tuple[int, int, int]
"""(channels, height, width) of one resolution."""


class MultiscaleCell(nn.Module):
    """f(z, x) for a state of images z_1 ... z_S, each of half the height and width of the last.

        r_j = V_j ∗ φ(W_j ∗ z_j)                     a residual branch at each resolution
        f_i = φ(norm(Σ_j T_ij(r_j) + x_i))           and their fusion

    T_ij is the identity for i = j, a strided convolution from a higher resolution, and a 1×1
    convolution with nearest-neighbour interpolation from a lower one. x_i is x averaged over
    2^(i−1) × 2^(i−1) pixels. The state is one vector an example, (B, n), that holds the images one
    after the other.
    """

    def __init__(self, shapes: tuple[Shape, ...], expansion: int, activation: nn.Module) -> None:
        super().__init__()
        self.shapes = shapes
        self.activation = activation
        channels, scales = shapes[0][0], len(shapes)
        hidden = expansion * channels
        self.widen = nn.ModuleList(_conv3(channels, hidden) for _ in shapes)
        self.narrow = nn.ModuleList(_conv3(hidden, channels) for _ in shapes)
        self.fusions = nn.ModuleDict({
            f"{j + 1}_to_{i + 1}": _fusion(channels, i - j)
            for i in range(scales) for j in range(scales) if i != j
        })  # fmt: skip
        self.norms = nn.ModuleList(group_norm(channels) for _ in shapes)

    @property
    def units(self) -> int:
        """Numbers of an example's state (n)."""
        return sum(map(prod, self.shapes))

    def start(self, x: Tensor) -> Tensor:
        """A state of zeros, (B, n), for an input x (B, channels, height, width)."""
        return x.new_zeros(len(x), self.units)

    def images(self, z: Tensor) -> list[Tensor]:
        """The images that a state (B, n) holds: (B, channels, height, width) each."""
        parts = z.split([prod(shape) for shape in self.shapes], dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        branches = [
            narrow(self.activation(widen(part)))
            for widen, narrow, part in zip(self.widen, self.narrow, self.images(z), strict=True)
        ]
        outputs = []
        for i, normalise in enumerate(self.norms):
            size = self.shapes[i][1:]
            pre = branches[i] + nn.functional.adaptive_avg_pool2d(x, size)
            for j, branch in enumerate(branches):
                if j != i:
                    pre = pre + self._fused(branch, j, i)
            outputs.append(self.activation(normalise(pre)).flatten(1))
        return torch.cat(outputs, 1)

    def _fused(self, branch: Tensor, source: int, target: int) -> Tensor:
        """T_ij: the branch of one resolution at another one."""
        fused = self.fusions[f"{source + 1}_to_{target + 1}"](branch)
        if source < target:
            return fused
        return nn.functional.interpolate(fused, size=self.shapes[target][1:])


class PooledScales(nn.Module):
    """A state of images (B, n) -> the averages of each over pool × pool parts, side by side."""

    def __init__(self, cell: MultiscaleCell, pool: int) -> None:
        super().__init__()
        self.shapes, self.pool = cell.shapes, pool
        self._images = cell.images

    def forward(self, z: Tensor) -> Tensor:
        pooled = (nn.functional.adaptive_avg_pool2d(each, self.pool) for each in self._images(z))
        return torch.cat([each.flatten(1) for each in pooled], 1)


def _conv3(fan_in: int, fan_out: int) -> nn.Conv2d:
    return nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False)


def _fusion(channels: int, halvings: int) -> nn.Conv2d:
    """The convolution of T_ij: 3×3 with stride 2^halvings, or 1×1 to a higher resolution."""
    if halvings < 0:
        return nn.Conv2d(channels, channels, 1, bias=False)
    return nn.Conv2d(channels, channels, 3, stride=2**halvings, padding=1, bias=False)


@dataclass(frozen=True)
class ImplicitMultiscale(ImplicitNetwork):
    """Implicit multiscale network: an equilibrium of images at several resolutions, in the manner
    of MDEQ.

    A convolution reads the image; the equilibrium refines states at all resolutions at once; the
    head averages each of them and classifies. With the defaults it has about 176,000 parameters,
    the size of MDEQ-Tiny. The cell is not that of the released code: it has one normalisation for
    each resolution, the input enters at every resolution, and no weight normalisation or dropout.

    Source: Bai, Koltun and Kolter (2020), arXiv:2006.08656.
    """

    channels: Annotated[int, Ge(1), Le(512), Unit("channels")] = 24
    """Channels of the state at each resolution."""
    scales: Annotated[int, Ge(1), Le(5), Unit("resolutions")] = 3
    """Resolutions; each has half the height and width of the one before it."""
    expansion: Annotated[int, Ge(1), Le(16)] = 5
    """Channels inside a residual branch, as a multiple of those of the state."""
    stride: Annotated[int, Ge(1), Le(8), Unit("pixels")] = 2
    """Step of the first convolution: height and width of the highest resolution are the image's
    divided by it."""
    pool: Annotated[int, Ge(1), Le(16), Unit("pixels")] = 2
    """Height and width of the averaged images that the head reads."""
    activation: Literal["relu", "tanh"] = "relu"
    """Nonlinearity of the cell (φ)."""
    scale: Annotated[float, Ge(0), Le(20)] = 3.0
    """Bound of the initial gain of the cell before its normalisation: the largest factor by which
    branches and fusion lengthen the state's images."""

    def layout(self, shape: tuple[int, ...], classes: int) -> nn.Sequential:
        colours, height, width = image(shape, "an implicit_multiscale")
        shapes = self._shapes(height, width)
        cell = MultiscaleCell(shapes, self.expansion, ACTIVATIONS[self.activation]())
        features = self.scales * self.channels * self.pool**2
        return named(
            input=named(
                conv=nn.Conv2d(colours, self.channels, 3, self.stride, padding=1),
                site=Site(("channel", "height", "width")),
            ),
            equilibrium=named(layer=self.equilibrium(cell), site=Site(("unit",))),
            head=named(pool=PooledScales(cell, self.pool), linear=nn.Linear(features, classes)),
        )

    def build(self, shape: tuple[int, ...], classes: int, rng: Generator) -> nn.Sequential:
        module = super().build(shape, classes, rng)
        with torch.no_grad():
            for stage in equilibria(module).values():
                assert isinstance(stage.cell, MultiscaleCell)
                self._bound_gain(stage.cell)
        return module

    def _shapes(self, height: int, width: int) -> tuple[Shape, ...]:
        """The sizes of the images of the state. Raises ValueError if the image is too small."""
        sizes = [(_over(height, self.stride), _over(width, self.stride))]
        for _ in range(self.scales - 1):
            sizes.append((_over(sizes[-1][0], 2), _over(sizes[-1][1], 2)))
        if any(larger == smaller for larger, smaller in pairwise(sizes)):
            raise ValueError(
                f"an implicit_multiscale of {self.scales} resolutions and stride {self.stride} "
                f"halves the images of this data set ({height}×{width}) until one pixel is left; "
                "take fewer resolutions or a smaller stride"
            )
        return tuple((self.channels, *size) for size in sizes)

    def _bound_gain(self, cell: MultiscaleCell) -> None:
        """Give every branch the gain 1, and the fusion at each resolution the gain `scale`.

        The terms of a fusion are orthogonal in their arguments, so that a sum of S terms with the
        gain s / √S each has at most the gain s.
        """
        share = self.scale / len(cell.shapes) ** 0.5
        for name, module in cell.named_modules():
            if not isinstance(module, nn.Conv2d):
                continue
            goal = 1.0
            if name.startswith("narrow"):
                goal = share
            elif module.kernel_size == (1, 1):
                source, target = (int(end) for end in name.split(".")[1].split("_to_"))
                goal = 0.5 ** (source - target)  # each pixel is copied 4 times at each doubling
            module.weight.mul_(goal / gain(module.weight))


def _over(length: int, stride: int) -> int:
    """The length of what a 3×3 convolution of this stride makes, with a margin of one pixel."""
    return -(-length // stride)
