"""The sites of a network with their δ, and the linear map that ends at each site, if any."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from estimators.core.contract import Params
from estimators.core.objective import Chain, Place
from estimators.perturbation._activities.noise_sharing import NoiseSharing

Map = nn.Linear | nn.Conv1d | nn.Conv2d


class Piece(NamedTuple):
    """The factors of a map's weight gradient Σ_p b_npᵀ x_np, p its positions."""

    x: Tensor
    """Inputs, (B, P, F), one row for each position."""
    b: Tensor
    """Signals, (B, P, C)."""
    copies: int = 1
    """Number of channels that each of C represents, because they share its noise."""
    active: Tensor | None = None
    """Which channels have noise, (B, P, C); None for all."""


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear map and its input."""

    name: str
    module: Map
    x: Tensor

    @property
    def channels_first(self) -> bool:
        """Whether an output is (B, C, *positions), else (B, *positions, C)."""
        return not isinstance(self.module, nn.Linear)

    def rows(self) -> Tensor:
        """The input as the weights see it, (B, P, F); groups of channels lie side by side."""
        m, x = self.module, self.x
        if isinstance(m, nn.Linear):
            return x.reshape(len(x), -1, x.shape[-1])
        mode = "constant" if m.padding_mode == "zeros" else m.padding_mode
        x = nn.functional.pad(x, m._reversed_padding_repeated_twice, mode)
        if isinstance(m, nn.Conv1d):
            size, stride, far = (1, *m.kernel_size), (1, *m.stride), (1, *m.dilation)
            return nn.functional.unfold(x.unsqueeze(2), size, far, 0, stride).transpose(1, 2)
        return nn.functional.unfold(x, m.kernel_size, m.dilation, 0, m.stride).transpose(1, 2)


@dataclass(frozen=True, eq=False)
class End:
    """A site's δ = ∂L/∂z, (B, *units), and the linear map that ends there, if any."""

    place: Place
    delta: Tensor
    map: Linear | None
    active: Tensor | None = None
    """1 where a unit has noise, 0 elsewhere, shaped as δ; None for all."""

    def pieces(self, sharing: NoiseSharing) -> dict[str, list[Piece]]:
        """The pieces of each parameter of the map; a grouped convolution has one for each group."""
        if self.map is None:
            return {}
        m, x = self.map.module, self.map.rows()
        groups = 1 if isinstance(m, nn.Linear) else m.groups
        delta, ones = self._by_position(self.delta, x), torch.ones_like(x[..., :1])
        parts = zip(x.chunk(groups, -1), delta.chunk(groups, -1), strict=True)
        weight = [self._piece(*part, delta, sharing.unit) for part in parts]
        bias = [self._piece(ones, delta, delta, sharing.unit)]
        if self.active is not None:
            active = self._by_position(self.active.to(delta), x)
            pairs = zip(weight, active.chunk(groups, -1), strict=True)
            weight = [piece._replace(active=part) for piece, part in pairs]
            bias = [bias[0]._replace(active=active)]
        return {f"{self.map.name}.weight": weight, f"{self.map.name}.bias": bias}

    def _by_position(self, t: Tensor, x: Tensor) -> Tensor:
        """A tensor shaped as δ as (B, P, C), for the map's inputs x (B, P, F)."""
        assert self.map is not None
        t = t.flatten(2).transpose(1, 2) if self.map.channels_first else t
        return t.reshape(len(x), x.shape[1], -1)

    def _piece(self, x: Tensor, own: Tensor, delta: Tensor, unit: str) -> Piece:
        """`own` are the channels of δ that belong to x."""
        units, shape = list(self.place.units), list(self.place.shape)
        if unit not in units:
            return Piece(x, own)
        assert self.map is not None
        channel = 0 if self.map.channels_first else len(units) - 1
        at, positions = units.index(unit), x.shape[1]
        if at == channel:
            return Piece(x.mean(1, keepdim=True), own.sum(1, keepdim=True))
        del shape[channel]
        at -= channel < at

        def along(t: Tensor) -> Tensor:
            t = t.reshape(len(t), *shape, t.shape[-1]).movedim(at + 1, 1)
            return t.flatten(2, -2).sum(2) if t.ndim > 3 else t

        shared = positions // shape[at] * delta.shape[-1]
        return Piece(along(x) / shared, along(delta).sum(-1, keepdim=True), own.shape[-1])


def linear_ends(chain: Chain, params: Params, sharing: NoiseSharing) -> list[End]:
    """Return every site, by one forward and one backward pass."""
    made: dict[int, tuple[Tensor, Linear]] = {}
    sites: list[tuple[Tensor, Tensor]] = []

    def watch(name: str, module: Map) -> RemovableHandle:
        def keep(m: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            linear = Linear(name, module, args[0].detach())
            made[id(output)] = (output, linear)  # keeping the output keeps its id unique

        return module.register_forward_hook(keep)

    def at_site(_: int, z: Tensor) -> Tensor:
        # δ belongs to the path through the site alone. The layers before may be frozen.
        through = z.view_as(z) if z.requires_grad else z.detach().requires_grad_()
        sites.append((z, through))
        return through.clone()  # an in-place non-linearity must not overwrite the point of δ

    handles = [watch(n, m) for n, m in chain.module.named_modules() if isinstance(m, Map)]
    try:
        with torch.enable_grad():
            leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
            loss = chain.losses(chain.forward(leaves, at_site=at_site)).mean()
    finally:
        for handle in handles:
            handle.remove()
    deltas = torch.autograd.grad(loss, [through for _, through in sites], materialize_grads=True)
    masks = [
        None if active is None else active(z.detach())
        for (z, _), active in zip(sites, sharing.active(chain), strict=True)
    ]
    return [
        End(place, delta, made[id(z)][1] if id(z) in made else None, mask)
        for place, delta, (z, _), mask in zip(chain.places, deltas, sites, masks, strict=True)
    ]
