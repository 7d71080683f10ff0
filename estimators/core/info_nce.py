"""The InfoNCE loss on two views of each example."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class InfoNCE:
    """The contrastive loss of two views of each example, one value for each view, (2B,).

    ℓ_n = −log softmax_m(ẑ_n·k̂_m / τ) at the other view of n, over all m ≠ n. The outputs are two
    views of B examples, one after the other, (2B, D); the targets are ignored.

    The keys k are the same outputs behind a stop-gradient, so that ℓ_n depends on z_n alone. The
    loss is then separable, which estimators that perturb activities need: with gradients through
    the keys they do not learn (Ren et al. 2022, arXiv:2210.03310, figure 4). Without the
    stop-gradient, make the chain with `separable=False`.

    Source: van den Oord, Li and Vinyals (2018), arXiv:1807.03748.
    """

    temperature: float = 0.5
    """Temperature (τ): the smaller, the more the nearest wrong key counts."""
    stop_gradient: bool = True
    """If False, gradients also flow through the keys, and the examples of a batch are coupled."""

    def __call__(self, output: Tensor, y: Tensor) -> Tensor:
        if len(output) % 2:
            raise ValueError(f"two views need an even number of rows; there are {len(output)}")
        return nn.functional.cross_entropy(
            self._scores(output), _other_views(output), reduction="none"
        )

    @torch.no_grad()
    def hits(self, output: Tensor) -> Tensor:
        """1 where the nearest key is that of the same example's other view, else 0: (2B,)."""
        return (self._scores(output).argmax(1) == _other_views(output)).float()

    def _scores(self, output: Tensor) -> Tensor:
        """ẑ_n·k̂_m / τ, (2B, 2B), with −∞ for a row's own key."""
        z = nn.functional.normalize(output.flatten(1), dim=1)
        keys = z.detach() if self.stop_gradient else z
        own_key = torch.eye(len(z), dtype=torch.bool, device=z.device)
        return (z @ keys.T / self.temperature).masked_fill(own_key, -torch.inf)


def _other_views(output: Tensor) -> Tensor:
    """The row of each row's other view, (2B,)."""
    return torch.arange(len(output), device=output.device).roll(len(output) // 2)
