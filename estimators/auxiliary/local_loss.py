"""Losses of auxiliary networks: the objective's own, or with similarity matching beside it.

Similarity matching asks that the features of a block be alike for two examples where their classes
are: the "pred-sim" loss of Nøkland and Eidnes (2019), arXiv:1901.06656.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from estimators.auxiliary.networks import blank
from estimators.core.contract import UnsupportedError
from estimators.core.objective import Losses

LocalLossName = Literal["prediction", "prediction_and_similarity"]

SHARE = 0.99
"""Weight of similarity matching (β); the prediction has the rest."""
FEWEST = 3
"""Features without their mean that have more than two directions."""
_TINY = 1e-8
"""Added to the length of centred features, so that features that are all equal have one."""


class WithSimilarity(nn.Module):
    """An auxiliary network and features to be compared, side by side: (B, outputs + features).

    The features of a vector are a linear map of it, as long as it is. Those of an image are the
    standard deviations over the places of each channel of a 3x3 convolution; of three channels or
    fewer, and of a width of 1, all entries of that convolution.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        size, self._by_channel = shape[0], len(shape) == 3 and shape[0] > 3 and shape[2] > 1
        self.network = network
        self.compared = (
            nn.Linear(size, size, bias=False)
            if len(shape) == 1
            else nn.Conv2d(size, size, 3, padding=1, bias=False)
        )

    def forward(self, h: Tensor) -> Tensor:
        return torch.cat([self.network(h), self._features(h)], 1)

    def _features(self, h: Tensor) -> Tensor:
        z = self.compared(h).flatten(2 if self._by_channel else 1)
        if not self._by_channel:
            return z
        centred = z - z.mean(2, keepdim=True)
        return _root(centred.square().sum(2) / (z.shape[2] - 1))


def with_similarity(network: nn.Module, shape: tuple[int, ...], like: Tensor) -> nn.Module:
    """The network with the features of `prediction_and_similarity`: (B, outputs + features).

    Args:
        network: From a block's output, (B, *shape), to (B, outputs).
        shape: (features,) or (channels, height, width).
        like: A tensor of the device and the precision that the network has.

    Returns:
        A module of both; the map in front of the features has weights of zero.

    Raises:
        UnsupportedError: The output has another shape, or fewer than three numbers.
    """
    numbers = torch.Size(shape).numel()
    if len(shape) not in (1, 3) or numbers < FEWEST:
        raise UnsupportedError(
            "similarity matching compares (features,) or (channels, height, width) of at least "
            f"{FEWEST} numbers, and this block puts out {tuple(shape)} an example: choose the "
            "local loss prediction"
        )
    made = blank(lambda: WithSimilarity(nn.Identity(), shape), like)
    made.network = network
    return made


def predictions(output: Tensor, outputs: int) -> Tensor:
    """The classifier's part of an auxiliary network's output, (B, outputs)."""
    return output[:, :outputs]


def local_losses(kind: LocalLossName, losses: Losses, outputs: int) -> Losses:
    """The losses of an auxiliary network's output, of the form that a `Chain` takes.

    prediction: `losses` of the output, one for each example, (B,).
    prediction_and_similarity: one number, (), since similarity couples the examples; its chain is
    not separable.
    (1 − β) 1/B Σ_n ℓ(o_n, y_n) + β 1/B² Σ_nm (R(f)_nm − R(y)_nm)², with o the predictions, f the
    features behind them, R the cosines between rows from which their own mean is taken, y the
    classes as one-hot rows, β = 0.99.

    Args:
        kind: Which loss.
        losses: The objective's own: (predictions (B, outputs), targets) -> (B,).
        outputs: How many predictions stand in front of the features.

    Raises:
        ValueError: There is no such loss.
    """
    if kind not in get_args(LocalLossName):
        raise ValueError(f"no local loss {kind!r}: there are {', '.join(get_args(LocalLossName))}")
    if kind == "prediction":
        return losses

    def both(output: Tensor, y: Tensor) -> Tensor:
        refuse_targets(kind, y)
        prediction = losses(predictions(output, outputs), y).mean()
        return (1 - SHARE) * prediction + SHARE * similarity_loss(output[:, outputs:], y, outputs)

    return both


def refuse_targets(kind: LocalLossName, y: Tensor) -> None:
    """Raise UnsupportedError if the loss needs classes, (B,), and the targets are none."""
    if kind == "prediction" or (y.ndim == 1 and y.dtype in (torch.int64, torch.int32)):
        return
    raise UnsupportedError(
        f"local_loss is {kind}, and similarity matching compares the features with the classes of "
        "the examples, (B,) of integers, and these targets are "
        f"{str(y.dtype).removeprefix('torch.')} of shape {tuple(y.shape)}: choose the "
        "local loss prediction"
    )


def similarity_loss(features: Tensor, y: Tensor, classes: int) -> Tensor:
    """1/B² ‖R(f) − R(y)‖², R the cosines of centred rows: features (B, n), classes y (B,) -> ()."""
    aims = (y[:, None] == torch.arange(classes, device=y.device)).to(features.dtype)  # (B, C)
    return (_similarities(features) - _similarities(aims)).square().mean()


def _similarities(rows: Tensor) -> Tensor:
    """Cosines between rows, (B, n) -> (B, B), after each row's own mean is taken from it."""
    centred = rows - rows.mean(1, keepdim=True)
    lengths = _root(centred.square().sum(1, keepdim=True))
    unit = centred / (lengths + _TINY)
    return unit @ unit.T


def _root(squares: Tensor) -> Tensor:
    """√squares, with a derivative of zero at zero, where that of the root is infinite."""
    return squares.clamp_min(torch.finfo(squares.dtype).tiny).sqrt()
