"""`Tally`: what many draws say about their mean and their scatter, without keeping the draws."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class Offset(NamedTuple):
    """How far a mean is off its expectation."""

    value: float
    """The mean less its expectation."""
    error: float
    """The standard error of the mean."""
    off: float
    """|value| in standard errors, corrected for the skewness of the draws."""


class Tally:
    """Sums over draws (d numbers each) about the mean that is expected of them.

    For each draw it keeps the error along the expected mean m, ⟨ĝ − m, m⟩/‖m‖², of the whole and
    of each tensor, and the squared distance ‖ĝ_l − m_l‖² of each tensor. For each coordinate it
    keeps the sums of ĝ − m and of its square.
    """

    def __init__(self, mean: Mapping[str, Tensor]) -> None:
        self.names = list(mean)
        self.mean = torch.cat([m.reshape(-1).double() for m in mean.values()])
        self._sizes = [m.numel() for m in mean.values()]
        self._sum = torch.zeros_like(self.mean)
        self._squares = torch.zeros_like(self.mean)
        self._rows: list[Tensor] = []
        self.count = 0

    def add(self, draws: Tensor) -> None:
        """Add draws, (k, d)."""
        away = draws.double() - self.mean
        self.count += len(away)
        self._sum += away.sum(0)
        self._squares += away.square().sum(0)
        dots = torch.stack([x.sum(1) for x in (away * self.mean).split(self._sizes, 1)], 1)
        lengths = torch.stack([m.square().sum() for m in self.mean.split(self._sizes)])
        whole = dots.sum(1, keepdim=True) / lengths.sum().clamp(min=1e-300)
        scatter = torch.stack([x.square().sum(1) for x in away.split(self._sizes, 1)], 1)
        self._rows.append(torch.cat([whole, dots / lengths.clamp(min=1e-300), scatter], 1))

    @property
    def along(self) -> Tensor:
        """Errors along the expected mean, relative to it: (K, 1 + tensors), the whole first."""
        return self._table[:, : 1 + len(self.names)]

    @property
    def scatter(self) -> Tensor:
        """‖ĝ_l − m_l‖² of each draw and tensor, (K, tensors)."""
        return self._table[:, 1 + len(self.names) :]

    @property
    def _table(self) -> Tensor:
        self._rows = [torch.cat(self._rows)]
        return self._rows[0]

    def coordinates(self) -> tuple[Tensor, Tensor]:
        """(mean, standard error) of ĝ − m in each coordinate, (d,) each."""
        mean = self._sum / self.count
        variance = (self._squares / self.count - mean.square()).clamp(min=0)
        return mean, (variance / max(1, self.count - 1)).sqrt()

    def sizes(self) -> Tensor:
        """E ‖ĝ_l‖² of each tensor, (tensors,)."""
        mean = self._sum / self.count
        cross = (2 * mean * self.mean + self.mean.square()).split(self._sizes)
        return self.scatter.mean(0) + torch.stack([x.sum() for x in cross])

    def pieces(self, flat: Tensor) -> tuple[Tensor, ...]:
        """The tensors' parts of a vector, (d,)."""
        return flat.split(self._sizes)

    def place(self, coordinate: int) -> str:
        """The tensor and the index in it of a coordinate, counted over its flat entries."""
        for name, size in zip(self.names, self._sizes, strict=True):
            if coordinate < size:
                return f"{name}, entry {coordinate}"
            coordinate -= size
        raise IndexError(coordinate)


def offset(x: Tensor, slack: float = 0.0) -> Offset:
    """The mean of a sample (K,) against 0, beyond `slack`; off is Johnson's modified t (1978)."""
    mean, n = x.mean(), len(x)
    away = (mean.abs() - slack).clamp(min=0) * mean.sign()
    spread = x.std() if n > 1 else torch.zeros(())
    error = (spread / n**0.5).item()
    if away == 0:
        return Offset(mean.item(), error, 0.0)
    if error == 0:
        return Offset(mean.item(), 0.0, float("inf"))
    t = away.item() / error
    skewness = ((x - mean) / spread).pow(3).mean().item()
    return Offset(mean.item(), error, abs(t + skewness * (1 + 2 * t * t) / (6 * n**0.5)))


def without_controls(x: Tensor, controls: Tensor) -> Tensor:
    """x (K,) less its regression on controls (K, c), whose expectation is known to be 0.

    The mean stays an estimate of E x and scatters less: the method of control variates.
    """
    centred = controls - controls.mean(0)
    keep = centred.square().sum(0) > 0
    if len(x) < 20 * (1 + controls.shape[1]) or not keep.any():
        return x
    slope = torch.linalg.lstsq(centred[:, keep], (x - x.mean()).unsqueeze(1), driver="gelsd")
    return x - controls[:, keep] @ slope.solution.squeeze(1)
