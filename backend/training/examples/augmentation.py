"""Augmentation: random changes of examples that keep their class.

Every example has its own change; those of a batch are drawn at once, on its device.
"""

from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor

Margin = Literal["zeros", "mirror"]
_PADDING: dict[Margin, str] = {"zeros": "constant", "mirror": "reflect"}


class Augmentation(NamedTuple):
    """How far an example may be changed; `shift`, `flip` and `erase` apply to images alone."""

    shift: int = 0
    """The largest shift along each side, in pixels: a random crop after padding by as many."""
    flip: bool = False
    """Mirror images left to right with probability ½."""
    erase: int = 0
    """Side of a square of zeros at a random position, in pixels."""
    noise: float = 0.0
    """Standard deviation of the Gaussian noise added to each number."""
    margin: Margin = "zeros"
    """What fills the margin of a shifted image: 0, or its own pixels mirrored at the edge."""

    def __call__(self, x: Tensor, rng: Generator) -> Tensor:
        """Changed copies of x, (B, *shape)."""
        if x.ndim == 4:
            x = shifted(x, self.shift, rng, self.margin) if self.shift else x
            x = flipped(x, rng) if self.flip else x
            x = erased(x, self.erase, rng) if self.erase else x
        if not self.noise:
            return x.clone()
        return x + self.noise * torch.empty_like(x).normal_(generator=rng)


def shifted(x: Tensor, most: int, rng: Generator, margin: Margin = "zeros") -> Tensor:
    """Images (B, C, H, W), each shifted by up to `most` pixels along both sides."""
    rows, _, height, width = x.shape
    padded = torch.nn.functional.pad(x, [most] * 4, mode=_PADDING[margin])
    start = torch.randint(0, 2 * most + 1, (2, rows, 1), generator=rng, device=x.device)
    down = start[0] + torch.arange(height, device=x.device)
    along = start[1] + torch.arange(width, device=x.device)
    each = torch.arange(rows, device=x.device)
    moved = padded[each[:, None, None], :, down[:, :, None], along[:, None, :]]  # (B, H, W, C)
    return moved.permute(0, 3, 1, 2).contiguous()


def flipped(x: Tensor, rng: Generator) -> Tensor:
    """Images, each mirrored left to right with probability ½."""
    chosen = torch.rand(len(x), 1, 1, 1, generator=rng, device=x.device) < 0.5
    return torch.where(chosen, x.flip(3), x)


def erased(x: Tensor, side: int, rng: Generator) -> Tensor:
    """Images, each with a square of zeros at a random position inside it."""
    inside = []
    for size in x.shape[2:]:
        first = torch.randint(0, size - side + 1, (len(x), 1), generator=rng, device=x.device)
        place = torch.arange(size, device=x.device)
        inside.append((place >= first) & (place < first + side))
    gone = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return x.masked_fill(gone, 0)
