"""InfoNCE on two views: van den Oord, Li and Vinyals (2018), arXiv:1807.03748."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class InfoNCE:
    """ℓ_n = −log softmax_m(ẑ_n·k̂_m / τ) at n's other view, over all m ≠ n: (2B,).

    The outputs are two views of B examples, one behind the other, (2B, D); the classes are not
    looked at. The keys k are the same outputs behind a stop-gradient, so that ℓ_n moves with z_n
    alone: the loss is separable, and perturbed estimators can tell who caused what (with
    gradients through the keys they do not learn, Ren et al. 2022, arXiv:2210.03310, figure 4).
    Give a chain without the stop-gradient `separable=False`.
    """

    temperature: float = 0.5
    """τ: the smaller, the more the nearest wrong key counts."""
    stop_gradient: bool = True
    """Off: gradients flow through the keys as well, and the examples of a batch are coupled."""

    def __call__(self, output: Tensor, y: Tensor) -> Tensor:
        if len(output) % 2:
            raise ValueError(f"two views are an even number of rows; there are {len(output)}")
        return nn.functional.cross_entropy(self._scores(output), _own(output), reduction="none")

    @torch.no_grad()
    def hits(self, output: Tensor) -> Tensor:
        """1 where the nearest key is that of the own other view, else 0: (2B,)."""
        return (self._scores(output).argmax(1) == _own(output)).float()

    def _scores(self, output: Tensor) -> Tensor:
        """ẑ_n·k̂_m / τ, (2B, 2B), and −∞ for a row's own key."""
        z = nn.functional.normalize(output.flatten(1), dim=1)
        keys = z.detach() if self.stop_gradient else z
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        return (z @ keys.T / self.temperature).masked_fill(itself, -torch.inf)


def _own(output: Tensor) -> Tensor:
    """Where each row's other view is."""
    return torch.arange(len(output), device=output.device).roll(len(output) // 2)
