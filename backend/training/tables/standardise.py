"""Features with mean 0 and deviation 1 over the training part."""

import torch
from torch import Tensor

from backend.training.examples.part import Part, Split


def standardised(split: Split) -> Split:
    """The same parts in float32, every feature scaled by the training part; a constant one is 0."""
    x = split.train.x.double()
    mean, deviation = x.mean(0), x.std(0, correction=0)
    # A constant has a deviation of rounding errors alone.
    constant = deviation <= 1e-12 * mean.abs()
    deviation = torch.where(constant, 1.0, deviation)

    def scaled(part: Part) -> Part:
        moved: Tensor = (part.x.double() - mean) / deviation
        return Part(torch.where(constant, 0.0, moved).float(), part.y)

    return Split(*map(scaled, vars(split).values()))
