"""LocalMixer: Ren, Kornblith, Liao and Hinton (2022), arXiv:2210.03310, section 4 and table 2."""

from dataclasses import dataclass
from math import prod, sqrt
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from torch import Generator, Tensor, nn

from backend.training.networks.contract import Activation, Network, named
from estimators.core.bounds import Ge, Le, Unit
from estimators.core.site import Site
from estimators.local.blocks import LocalHead

Size = Literal["free", "S/1/1", "M/1/16", "M/8/16", "L/8/64", "L/32/64"]


class Layout(NamedTuple):
    """The four numbers that determine the network for a given image."""

    blocks: int
    patches: int
    channels: int
    groups: int


SIZES: dict[Size, Layout] = {
    "S/1/1": Layout(1, 1, 256, 1),
    "M/1/16": Layout(1, 1, 512, 16),
    "M/8/16": Layout(4, 8, 512, 16),
    "L/8/64": Layout(4, 8, 2048, 64),
    "L/32/64": Layout(4, 32, 2048, 64),
}
"""The sizes in the paper's notation: size / patches per side / groups."""


@dataclass(frozen=True)
class LocalMixer(Network):
    """LocalMixer: patches, then blocks of normalised token, channel and grouped linear maps.

    Every block has a local head, which plain backpropagation does not train.
    """

    title = "LocalMixer"

    size: Size = "free"
    """A size of the paper (size / patches per side / groups); free: the four numbers below."""
    blocks: Annotated[int, Ge(1), Le(32), Unit("blocks")] = 2
    """Number of blocks; the first has no token mixing and no residual connection."""
    patches: Annotated[int, Ge(1), Le(64), Unit("patches a side")] = 2
    """Patches along each side of the image; must divide its height and width."""
    channels: Annotated[int, Ge(2), Le(8192), Unit("channels")] = 64
    """Channels per patch."""
    groups: Annotated[int, Ge(1), Le(4096), Unit("groups")] = 4
    """Groups of channels in the grouped map; each needs at least two channels."""

    activation: ClassVar[Activation] = "relu"  # type: ignore[misc], not a choice here

    def layout(self, shape: tuple[int, ...], classes: int) -> nn.Sequential:
        blocks, patches, channels, groups = self.numbers
        _refuse_image(shape, patches)
        _refuse_groups(channels, groups)
        entries = prod(shape) // patches**2
        stages: dict[str, nn.Module] = {"block0": named(
            patches=Patches(patches),
            mix=Mix(entries, channels, groups),
            head=_head(channels, classes),
        )}  # fmt: skip
        for i in range(1, blocks):
            token = Token(patches**2, channels)
            mix = Mix(channels, channels, groups, token)
            stages[f"block{i}"] = named(mix=mix, head=_head(channels, classes))
        readout = named(pool=Pool(), linear=nn.Linear(channels, classes))
        return named(**stages, readout=readout)

    @property
    def numbers(self) -> Layout:
        """The numbers that `size` stands for, or the four fields."""
        free = Layout(self.blocks, self.patches, self.channels, self.groups)
        return SIZES.get(self.size, free)

    def build(self, shape: tuple[int, ...], classes: int, rng: Generator) -> nn.Sequential:
        module = super().build(shape, classes, rng)
        heads = [m.linear for m in module.modules() if isinstance(m, LocalHead)]
        for head in (*heads, module.get_submodule("readout.linear")):
            nn.init.zeros_(head.weight)  # type: ignore[arg-type]
        return module

    def _initialise(self, part: nn.Module, rng: Generator) -> None:
        if isinstance(part, nn.Linear | nn.Conv1d):
            fan_in = part.weight[0].numel()
            nn.init.normal_(part.weight, std=min(2 / sqrt(fan_in), 0.1), generator=rng)
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]


class Patches(nn.Module):
    """(B, C, H, W) -> (B, P², C·H·W/P²): the image cut into P × P patches."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(3, (self.side, -1)).unflatten(2, (self.side, -1))  # (B, C, p, h, q, w)
        return x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)

    def extra_repr(self) -> str:
        return f"{self.side} × {self.side}"


class Pool(nn.Module):
    """(B, P, G, C/G) -> (B, C): the mean over patches."""

    def forward(self, h: Tensor) -> Tensor:
        return h.mean(1).flatten(1)


class Token(nn.Module):
    """(B, P, C) -> (B, P, C): one linear map over the patches, the same for each channel."""

    def __init__(self, patches: int, channels: int) -> None:
        super().__init__()
        self.before, self.after = _norm(channels), _norm(channels)
        self.linear = nn.Linear(patches, patches)
        self.site, self.activation = Site(("patch", "channel")), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        z = self.linear(self.before(x).transpose(1, 2)).transpose(1, 2)
        return self.activation(self.site(self.after(z)))


class Mix(nn.Module):
    """Token map if there is one, channel map, grouped map, residual: -> (B, P, G, C/G).

    Norms are local: over all channels of a patch, over those of a group around the grouped map.
    """

    def __init__(
        self, entries: int, channels: int, groups: int, token: Token | None = None
    ) -> None:
        super().__init__()
        self.token = token
        self.before = _norm(entries)
        self.linear = nn.Linear(entries, channels)
        self.after = _norm(channels)
        self.split = nn.Unflatten(2, (groups, channels // groups))
        self.site, self.activation = _site(), nn.ReLU()
        self.group_before, self.group_after = _norm(channels // groups), _norm(channels // groups)
        self.grouped = GroupedLinear(channels, groups)
        self.group_site, self.group_activation = _site(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        h = x.flatten(2)
        h = h if self.token is None else self.token(h)
        h = self.activation(self.site(self.split(self.after(self.linear(self.before(h))))))
        h = self.group_before(h).flatten(2).transpose(1, 2)
        h = self.split(self.grouped(h).transpose(1, 2))
        h = self.group_after(h)
        h = h if self.token is None else h + x
        # Behind the sum, right before the ReLU: noise on h and noise on the sum are the same, since
        # the graph of x ends at the sites before.
        return self.group_activation(self.group_site(h))


class GroupedLinear(nn.Conv1d):
    """A 1×1 convolution in groups, (B, C, P) -> (B, C, P).

    Computed as one batched product, which on a CPU is four times as fast as torch's
    grouped convolution.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__(channels, channels, 1, groups=groups)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x = input.transpose(1, 2).unflatten(2, (self.groups, -1))
        y = torch.einsum("bpgc,gdc->bpgd", x, weight.view(self.groups, -1, weight.shape[1]))
        y = y if bias is None else y + bias.view(self.groups, -1)
        return y.flatten(2).transpose(1, 2)


def _site() -> Site:
    return Site(("patch", "group", "channel"))


def _head(channels: int, classes: int) -> LocalHead:
    return LocalHead(channels, classes, ("patch", "group", "channel"))


def _norm(size: int) -> nn.Module:
    """Layer normalisation of the last axis, without parameters; the identity for one number."""
    return nn.Identity() if size == 1 else nn.LayerNorm(size, elementwise_affine=False)


def _refuse_image(shape: tuple[int, ...], patches: int) -> None:
    if len(shape) != 3:
        raise ValueError(
            "a local_mixer needs images (channels × height × width); an example of this data set "
            f"has shape {shape}"
        )
    _, height, width = shape
    if height % patches or width % patches:
        allowed = [p for p in range(1, 65) if height % p == 0 and width % p == 0]
        raise ValueError(
            f"patches is {patches}, which does not divide an image of {height}×{width}; "
            f"it can be {_listed(allowed)}"
        )


def _refuse_groups(channels: int, groups: int) -> None:
    if channels % groups or channels == groups:
        allowed = [g for g in range(1, channels // 2 + 1) if channels % g == 0]
        raise ValueError(
            f"groups is {groups}; {channels} channels fall into equal groups of at least two "
            f"channels where it is {_listed(allowed)}"
        )


def _listed(numbers: list[int]) -> str:
    *head, last = map(str, numbers)
    return f"{', '.join(head)} or {last}" if head else last
