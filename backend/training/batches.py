"""Batches of the training part; the seed and the epoch fix the order of the examples."""

import torch
from torch import Tensor

from backend.training.datasets import Part
from backend.training.losses.contract import Prepare
from estimators.core.noise import stream


class Batches:
    """The batch of any step, on the device, without a loop over examples.

    Each epoch is a permutation of the examples, cut into `len(part) // size` whole batches; the
    rest is left out. The random numbers of `prepare` (augmentation) are fixed by seed and step.
    """

    def __init__(self, part: Part, size: int, seed: int, prepare: Prepare | None = None) -> None:
        if size > len(part):
            raise ValueError(
                f"batch_size is {size}; the training part has {len(part)} examples, "
                "so it can be at most that"
            )
        self._part, self._size, self._seed, self._prepare = part, size, seed, prepare
        self.per_epoch = len(part) // size
        self._epoch = -1
        self._order = part.y

    def steps(self, epochs: float) -> int:
        """The number of steps in `epochs` passes, at least 1."""
        return max(1, round(epochs * self.per_epoch))

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Examples (B, *shape) and classes (B,) of `step`, passed through `prepare` if given."""
        x, y = self._part.take(self._index(step))
        if self._part.streamed:
            self._part.prefetch(self._index(step + 1))
        if self._prepare is None:
            return x, y
        return self._prepare(x, y, stream(self._seed, "augment", step, device=x.device))

    def _index(self, step: int) -> Tensor:
        """The places of the examples of `step` in the part, (B,)."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._shuffle(epoch)
        return self._order[place * self._size : (place + 1) * self._size]

    def _shuffle(self, epoch: int) -> None:
        rng = stream(self._seed, "data", epoch)
        order = torch.randperm(len(self._part), generator=rng)
        self._order, self._epoch = order.to(self._part.index_device), epoch
