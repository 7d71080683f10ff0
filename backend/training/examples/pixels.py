"""Stored pixels as float32: scaled to [0, 1], then normalised by channel."""

from dataclasses import dataclass

import torch
from torch import Tensor

from backend.training.examples.part import Device

AT_ONCE = 4096
"""Images whose pixels are counted at a time."""


@dataclass(frozen=True)
class Pixels:
    """uint8 images (B, C, H, W) as float32: u / 255, or (u / 255 − mean) / deviation."""

    mean: Tensor | None = None
    """Of each channel, in units of 255, (C, 1, 1)."""
    deviation: Tensor | None = None
    """The standard deviation of each channel, (C, 1, 1)."""

    def __call__(self, stored: Tensor, /) -> Tensor:
        x = stored.float().div_(255)
        if self.mean is None or self.deviation is None:
            return x
        return x.sub_(self.mean).div_(self.deviation)

    def to(self, device: Device, /) -> "Pixels":
        """The same on `device`."""
        if self.mean is None or self.deviation is None:
            return self
        return Pixels(self.mean.to(device), self.deviation.to(device))


def normalising(pixels: Tensor, rows: Tensor) -> Pixels:
    """The scaling with which each channel has mean 0 and variance 1 over the images at `rows`.

    `pixels` are uint8 images (N, C, H, W), read in the order of their file, some at a time. From
    counts of the 256 values, so that mean and deviation are exact but for one rounding. A constant
    channel has 1 for its deviation.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.zeros(pixels.shape[1], 256, dtype=torch.int64)
    for some in rows.sort().values.split(AT_ONCE):
        images = pixels[some]
        for channel in range(len(counts)):
            counts[channel] += images[:, channel].flatten().bincount(minlength=256)
    shares = counts.double() / counts.sum(1, keepdim=True)  # (C, 256)
    mean = shares @ values
    deviation = (shares * (values - mean[:, None]).square()).sum(1).sqrt()
    deviation = torch.where(deviation > 0, deviation, 1.0)
    return Pixels(mean.float().view(-1, 1, 1), deviation.float().view(-1, 1, 1))
