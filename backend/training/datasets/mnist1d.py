"""MNIST-1D: ten small curves, moved, stretched and blurred by noise."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Generator, Tensor

from backend.training.datasets.contract import Dataset, Part, Split, interleaved
from estimators.core.bounds import Ge, Le, Unit
from estimators.core.noise import stream

TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
"""The curve of each class, 12 points."""
POINTS = len(TEMPLATES[0])
PADDING = (36, 60)
"""The fewest and the most zeros that are put behind a curve."""
WIDE = POINTS + PADDING[1]
"""Points to which a padded curve is stretched."""
MAX_SHIFT = 48
"""Points by which it is moved around, at most and not included."""
LENGTH = 40
"""Points of an example."""
SMOOTHING = 2
"""Standard deviation of the filter of the correlated noise, in points."""


@dataclass(frozen=True)
class Mnist1d(Dataset):
    """MNIST-1D: ten classes of curves of 40 points, generated; no network is needed.

    Greydanus (2020), arXiv:2011.14439, step by step and with its constants: a template of 12 points
    is followed by 36 to 60 zeros and stretched to 72 points, scaled by 1 ± 0.2, moved around,
    surrounded by correlated noise, given white noise and a shear of ± 0.375, and reduced to 40
    points. The random numbers are this lab's, so the examples are not those of the published file;
    a validation part is drawn as well.
    """

    title: ClassVar[str] = "MNIST-1D"

    examples: Annotated[int, Ge(100), Le(1_000_000), Unit("examples")] = 5000
    """Examples of the three parts together: 60, 20 and 20 %."""
    scale: Annotated[float, Ge(0.0), Le(2.0)] = 0.4
    """Width of the interval around 1 from which the factor of a curve's height is drawn."""
    correlated_noise: Annotated[float, Ge(0.0), Le(10.0)] = 0.25
    """Standard deviation of the noise around a curve, before it is filtered."""
    white_noise: Annotated[float, Ge(0.0), Le(10.0)] = 0.02
    """Standard deviation of the noise of each point."""
    shear: Annotated[float, Ge(0.0), Le(10.0)] = 0.75
    """Width of the interval around 0 from which the slope of a line that is subtracted is drawn."""

    shape: ClassVar = (1, LENGTH)
    classes: ClassVar = 10
    separate_test: ClassVar[bool] = True

    @property
    def description(self) -> str:
        return f"{self.examples:,} curves of {LENGTH} points in ten classes; 60/20/20 % parts."

    @property
    def training_examples(self) -> int:
        return self.examples - 2 * (self.examples // 5)

    def load(self, seed: int) -> Split:
        y = torch.arange(self.examples) % self.classes
        x = self._curves(y, stream(seed, "data", "mnist1d"))
        order, fifth = interleaved(y, seed), self.examples // 5
        whole = Part(x[order].float()[:, None], y[order])
        train = whole.slice(2 * fifth, self.examples)
        return Split(train, whole.first(fifth), whole.slice(fifth, 2 * fifth))

    def _curves(self, y: Tensor, rng: Generator) -> Tensor:
        """A curve of each class in `y` (N,), (N, 40) float64."""
        count, double = len(y), torch.float64
        length = POINTS + torch.randint(PADDING[0], PADDING[1] + 1, (count, 1), generator=rng)
        curve, place = _resampled(_templates()[y], length, WIDE)
        uniform = torch.rand(2, count, 1, dtype=double, generator=rng) - 0.5
        shift = torch.randint(MAX_SHIFT, (count, 1), generator=rng)
        source = (torch.arange(WIDE) - shift) % WIDE
        curve, place = (t.gather(1, source) for t in (curve, place))
        curve = curve * (1 + self.scale * uniform[0])
        noise = torch.randn(2, count, WIDE, dtype=double, generator=rng)
        around = self.correlated_noise * _smooth(noise[0])
        curve = torch.where(place < POINTS, curve, around) + self.white_noise * noise[1]
        curve = curve - self.shear * uniform[1] * torch.linspace(-0.5, 0.5, WIDE, dtype=double)
        return _resampled(curve, torch.full((count, 1), WIDE), LENGTH)[0]


def _templates() -> Tensor:
    """The curves with mean 0 and deviation 1, moved to begin at 0, and zeros behind, (10, 72)."""
    x = torch.tensor(TEMPLATES, dtype=torch.float64)
    x = (x - x.mean(1, keepdim=True)) / x.std(1, correction=0, keepdim=True)
    return torch.nn.functional.pad(x - x[:, :1], [0, PADDING[1]])


def _smooth(noise: Tensor) -> Tensor:
    """Noise (N, T) filtered by a Gaussian; what lies beyond an end is the mirror image."""
    reach = 4 * SMOOTHING
    offsets = torch.arange(-reach, reach + 1, dtype=noise.dtype)
    kernel = torch.exp(-0.5 * (offsets / SMOOTHING) ** 2)
    ends = noise[:, :reach].flip(1), noise[:, -reach:].flip(1)
    padded = torch.cat([ends[0], noise, ends[1]], dim=1)[:, None]
    return torch.nn.functional.conv1d(padded, (kernel / kernel.sum()).view(1, 1, -1))[:, 0]


def _resampled(curve: Tensor, length: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """The first `length` (N, 1) points of curves (N, T) at `points` places, linearly; and those
    places, (N, points)."""
    place = torch.linspace(0, 1, points, dtype=curve.dtype) * (length - 1)
    left = place.long()
    weight, right = place - left, torch.minimum(left + 1, length - 1)
    return curve.gather(1, left) * (1 - weight) + curve.gather(1, right) * weight, place
