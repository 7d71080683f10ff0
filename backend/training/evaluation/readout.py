"""A linear readout: classes predicted from the frozen features of a network."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.training.datasets import Part

PENALTIES = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
"""Penalties λ of the squared weights, for features of variance 1; ties go to the largest."""


@dataclass(frozen=True)
class Readout:
    """Class scores (x − mean) · scale W + offset of features x."""

    mean: Tensor
    scale: Tensor
    weight: Tensor
    offset: Tensor

    def scores(self, x: Tensor) -> Tensor:
        """Scores (N, classes), float64; W may have an axis of penalties in front."""
        return (x.double() - self.mean) * self.scale @ self.weight + self.offset

    def accuracy(self, part: Part) -> Tensor:
        """The fraction of examples whose class has the highest score."""
        return (self.scores(part.x).argmax(-1) == part.y).double().mean(-1)


@torch.no_grad()
def readout(train: Part, validation: Part, classes: int) -> Readout:
    """Ridge regression of the one-hot classes on the features `train.x`, (N, D).

    The penalty is the one with the highest accuracy on `validation`. The device is not
    synchronised.
    """
    fits = _ridge(train, classes)
    best = fits.accuracy(validation).argmax()
    return Readout(fits.mean, fits.scale, fits.weight[best], fits.offset)


def _ridge(train: Part, classes: int) -> Readout:
    """W = argmin 1/N ‖XW − Y‖² + λ‖W‖² for every penalty λ, (penalties, D, classes)."""
    x, count = train.x.double(), len(train.y)
    y = nn.functional.one_hot(train.y, classes).double()
    mean, offset, spread = x.mean(0), y.mean(0), x.std(0, correction=0)
    # A unit that is constant here gets no weight, in case it varies in another part.
    scale = torch.where(spread > 1e-6 * spread.max(), 1 / spread, 0.0)
    x, y = (x - mean) * scale, y - offset
    penalties = torch.tensor(PENALTIES, dtype=x.dtype, device=x.device).view(-1, 1, 1)
    if x.shape[1] <= count:
        weight = _solved(x.T @ x / count, x.T @ y / count, penalties)
    else:  # the same solution, from a system of the size of the examples
        weight = x.T @ _solved(x @ x.T / count, y / count, penalties)
    return Readout(mean, scale, weight, offset)


def _solved(a: Tensor, b: Tensor, penalties: Tensor) -> Tensor:
    """(A + λI)⁻¹ b; does not raise if A is not finite, as in a run that diverges."""
    eye = torch.eye(len(a), dtype=a.dtype, device=a.device)
    factor = torch.linalg.cholesky_ex(a + penalties * eye).L
    return torch.cholesky_solve(b.expand(len(penalties), *b.shape), factor)


def last_linear(module: nn.Module) -> nn.Linear:
    """The last linear layer, whose input are the features. Raises ValueError if there is none."""
    layers = [m for m in module.modules() if isinstance(m, nn.Linear)]
    if not layers:
        raise ValueError(
            "a linear readout needs the input of the last linear layer; the network has none"
        )
    return layers[-1]


@contextmanager
def watching(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the features (B, D) of each forward pass: the input of the last linear layer."""
    kept: list[Tensor] = []
    hook = last_linear(module).register_forward_pre_hook(
        lambda _, inputs: kept.append(inputs[0].flatten(1))
    )
    try:
        yield kept
    finally:
        hook.remove()
