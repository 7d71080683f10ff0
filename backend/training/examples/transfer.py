"""Batches gathered from a file: into pinned memory and to a GPU, or into memory."""

from collections import deque
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BUFFERS = 3
"""Batches that may be on their way to a GPU at a time."""


class Batch(NamedTuple):
    """Stored examples and classes of a batch; on a GPU they may still be on their way."""

    stored: Tensor
    y: Tensor
    arrival: torch.cuda.Event | None = None
    """When they are there."""

    def received(self) -> tuple[Tensor, Tensor]:
        """Both, for use on the present stream of their device."""
        if self.arrival is not None:
            stream = torch.cuda.current_stream(self.stored.device)
            stream.wait_event(self.arrival)
            self.stored.record_stream(stream)  # its memory is not reused before that stream is done
            self.y.record_stream(stream)
        return self.stored, self.y


class Transfer:
    """Gathers rows of `stored` (M, *shape) and `labels` (M,), and brings them to `device`.

    numpy gathers: it lets the main thread go on and takes no further threads.
    """

    def __init__(self, stored: Tensor, labels: Tensor, device: torch.device) -> None:
        self._stored, self._labels, self._device = stored.numpy(), labels, device
        self._sent: deque[tuple[Tensor, Tensor, torch.cuda.Event]] = deque()
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def batch(self, rows: Tensor) -> Batch:
        """The examples at `rows` (B,), of any number and in any order."""
        if self._stream is None:
            stored = torch.empty(len(rows), *self._stored.shape[1:], dtype=torch.uint8)
            self._gather(rows, stored)
            return Batch(stored.to(self._device), self._labels[rows].to(self._device))
        stored, y = self._pinned(len(rows))
        self._gather(rows, stored)
        y.copy_(self._labels[rows])
        with torch.cuda.stream(self._stream):
            x_there, y_there = (t.to(self._device, non_blocking=True) for t in (stored, y))
            arrival = torch.cuda.Event()
            arrival.record(self._stream)
        self._sent.append((stored, y, arrival))
        return Batch(x_there, y_there, arrival)

    def _gather(self, rows: Tensor, into: Tensor) -> None:
        # Any other mode than "clip" gathers into a buffer of its own first.
        np.take(self._stored, rows.numpy(), axis=0, out=into.numpy(), mode="clip")

    def _pinned(self, count: int) -> tuple[Tensor, Tensor]:
        """Pinned memory for a batch; that of an earlier one as soon as it has arrived."""
        if len(self._sent) >= BUFFERS:
            stored, y, arrival = self._sent.popleft()
            arrival.synchronize()
            if len(y) == count:
                return stored, y
        shape = (count, *self._stored.shape[1:])
        return (
            torch.empty(shape, dtype=torch.uint8, pin_memory=True),
            torch.empty(count, dtype=torch.int64, pin_memory=True),
        )
