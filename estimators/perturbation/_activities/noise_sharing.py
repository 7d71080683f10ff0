"""`NoiseSharing`: which examples and units of a site share one noise number."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Generator, Tensor

from estimators.autodiff.perturbed_pass import Noise, Perturbed
from estimators.core.contract import UnsupportedError
from estimators.core.noise import signs
from estimators.core.objective import Chain, Place
from estimators.perturbation._activities.inactive_units import Active, active_units


@dataclass(frozen=True)
class NoiseSharing:
    """Noise for the sites of a chain, and the signals that are made of it.

    Sharing over the batch keeps the estimate unbiased where each example has a coefficient of its
    own. Sharing over units does not, unless they have losses of their own: the mean signal is then
    the mean of δ over the units that share a number.
    """

    kind: str
    """rademacher or normal."""
    batch: bool
    """Whether all examples share their noise."""
    unit: str
    """The axis of the units along which noise is independent; "": along all axes."""
    masked: bool = False
    """Whether noise is zero on inactive units, which no loss depends on; see `active_units`."""

    def active(self, chain: Chain) -> list[Active | None]:
        """For each site the units that have noise; None for all, as where units share a number."""
        if not self.masked:
            return [None] * len(chain.places)
        return [
            None if self._shape(place) != place.shape else active
            for place, active in zip(chain.places, active_units(chain), strict=True)
        ]

    def check(self, chain: Chain) -> None:
        """Raise UnsupportedError if no site has the axis."""
        named = sorted({name for place in chain.places for name in place.units})
        if self.unit and self.unit not in named:
            raise UnsupportedError(
                f"unit is {self.unit!r}, and no site of this network has an axis {self.unit!r}; "
                f"its axes are {', '.join(named) or 'unnamed'}: give one of these, or none for "
                "noise in every unit"
            )

    def draw(self, chain: Chain, count: int, rng: Generator) -> Noise:
        """Return a function (index of a site, its activation) -> noise (B or 1, *units).

        Axes along which noise is shared have length 1, but for that of the batch where the noise of
        inactive units is zero. For K > 1, an axis K comes first. Views of
        one example have the same noise.
        """
        rows, views = chain.x.shape[0], 1 if self.batch else chain.views
        examples = 1 if self.batch else rows // views
        batch = (examples,) if count == 1 else (count, examples)
        shapes = [(*batch, *self._shape(place)) for place in chain.places]
        drawn: list[Tensor] = []
        active = self.active(chain)

        def noise_at(site: int, z: Tensor) -> Tensor:
            if z.shape[0] != rows:
                raise UnsupportedError(
                    f"a site's first axis must be the batch: it has {z.shape[0]} rows for {rows} "
                    "examples"
                )
            if not drawn:  # for all sites at once: on a small network, the number of calls counts
                drawn.extend(self._flat(shapes, z, rng))
            u = drawn[site].view(shapes[site])
            u = u if views == 1 else torch.cat([u] * views, len(batch) - 1)
            u = u if u.dtype == z.dtype else u.to(z.dtype)
            moves = active[site]
            return u if moves is None else u * moves(z)

        return noise_at

    def _flat(self, shapes: list[tuple[int, ...]], z: Tensor, rng: Generator) -> Sequence[Tensor]:
        sizes = [prod(shape) for shape in shapes]
        if self.kind == "rademacher":
            return signs(sum(sizes), z.dtype, z.device, rng).split(sizes)
        v = torch.empty(sum(sizes), dtype=z.dtype, device=z.device)
        return v.normal_(generator=rng).split(sizes)

    def signals(self, chain: Chain, perturbed: Perturbed) -> list[Tensor]:
        """s_l = 1/K Σ_k c_k u_kl, one for each site, shaped as its activation."""
        return [
            self._signal(chain, place, perturbed.coefficients, u)
            for place, u in zip(chain.places, perturbed.noise, strict=True)
        ]

    def unbiased(self, chain: Chain) -> bool:
        """Whether all units that share a number have losses of their own."""
        return all(self.units_per_number(chain, place) == 1 for place in chain.places)

    def summed(self, z: Tensor, place: Place) -> Tensor:
        """Sums over units that share a number, (B, *units) with length 1 there; z if none do."""
        if self.unit not in place.units:
            return z
        return z.sum([i for i, name in enumerate(place.units, 1) if name != self.unit], True)

    def units_per_number(self, chain: Chain, place: Place) -> int:
        """Number of units with the same loss that share a number."""
        if self.unit not in place.units:
            return 1
        return prod(
            n
            for n, name in zip(place.shape, place.units, strict=True)
            if name not in (self.unit, *chain.loss_units)
        )

    def _signal(self, chain: Chain, place: Place, c: Tensor, u: Tensor) -> Tensor:
        rows, many = chain.x.shape[0], u.ndim - len(place.shape) - 1
        if c.ndim == 1 and not many and not self.unit and not self.batch:
            return c.view(rows, *[1] * len(place.shape)) * u  # the usual case, without reshaping
        s = _broadcast(c, many, chain.loss_units, place) * u
        scale = (u.shape[0] if many else 1) * self.units_per_number(chain, place)
        s = s.sum(0) if many else s
        s = s if scale == 1 else s / scale
        return s if s.shape == (rows, *place.shape) else s.expand(rows, *place.shape)

    def _shape(self, place: Place) -> tuple[int, ...]:
        if self.unit not in place.units:
            return place.shape
        return tuple(
            n if name == self.unit else 1 for n, name in zip(place.shape, place.units, strict=True)
        )


def _broadcast(c: Tensor, many: int, loss_units: tuple[str, ...], place: Place) -> Tensor:
    """Shape coefficients (B, *loss_units) or (), K of them if `many`, to multiply (B, *units).

    A unit gets the sum over the axes of the losses that the site does not have.
    """
    if c.ndim <= many or not loss_units:
        return c.view(c.shape + (1,) * (many + 1 + len(place.shape) - c.ndim))
    first = many + 1
    missing = [first + i for i, name in enumerate(loss_units) if name not in place.units]
    c = c.sum(missing) if missing else c
    kept = [name for name in loss_units if name in place.units]
    order = sorted(range(len(kept)), key=lambda i: place.units.index(kept[i]))
    c = c.permute(*range(first), *(first + i for i in order))
    units = place.units or ("",) * len(place.shape)
    shape = [n if name in kept else 1 for n, name in zip(place.shape, units, strict=True)]
    if c.shape[first:].numel() != prod(shape):
        raise UnsupportedError(
            f"the losses have {tuple(c.shape[first:])} units, the site {place.shape}"
        )
    return c.reshape(*c.shape[:first], *shape)
