"""`FilePart`: examples that stay in a file and are read from it batch by batch."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from backend.training.examples.part import Decode, Device, Part
from backend.training.examples.room import Room
from backend.training.examples.transfer import Batch, Transfer


class FilePart(Part):
    """Some rows of examples that are mapped from a file; `to` copies them where there is room.

    Where there is not, they are streamed: a thread gathers the next batch from the file and copies
    it to the device while the present one is worked on. The batches are the same bits either way.
    """

    streamed = True

    def __init__(
        self,
        stored: Tensor,
        labels: Tensor,
        rows: Tensor,
        decode: Decode | None,
        room: Room,
        device: Device = "cpu",
    ) -> None:
        """`stored` (M, *shape) and `labels` (M,) of the file; `rows` (N,) are this part's."""
        super().__init__(stored, labels[rows].to(device), decode)
        self._labels, self._rows, self._room = labels, rows, room
        self._transfer = Transfer(stored, labels, self.y.device)
        self._reader: ThreadPoolExecutor | None = None
        self._next: tuple[Tensor, Future[Batch]] | None = None

    @property
    def x(self) -> Tensor:
        """All examples as a network reads them, (N, *shape)."""
        return self.take(torch.arange(len(self)))[0]

    @property
    def index_device(self) -> torch.device:
        """Where the index of `take` has to be: the file is read by the processor."""
        return torch.device("cpu")

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The examples and classes at `index`, which may be on their way already."""
        upcoming, self._next = self._next, None
        if upcoming is not None and torch.equal(upcoming[0], index):
            batch = upcoming[1].result()
        else:
            batch = self._transfer.batch(self._rows[index])
        stored, y = batch.received()
        return self._decoded(stored), y

    def prefetch(self, index: Tensor) -> None:
        """Gather the batch at `index`, which `take` will ask for next, in another thread."""
        if self._reader is None:
            self._reader = ThreadPoolExecutor(1, thread_name_prefix="examples")
        rows = self._rows[index]
        self._next = index, self._reader.submit(self._transfer.batch, rows)

    def chunks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All examples and classes in order, `size` at a time."""
        pieces = torch.arange(len(self)).split(size)
        for i, piece in enumerate(pieces):
            read = self.take(piece)
            if i + 1 < len(pieces):
                self.prefetch(pieces[i + 1])
            yield read

    def slice(self, start: int, stop: int) -> Part:
        """The examples from `start` to before `stop`."""
        return self._with(self._rows[start:stop], self.device)

    def then(self, other: Part) -> Part:
        """These examples and those of `other`, which are rows of the same file."""
        if not isinstance(other, FilePart) or other.stored is not self.stored:
            raise ValueError("only parts of one file can follow each other")
        return self._with(torch.cat([self._rows, other._rows]), self.device)

    def to(self, device: Device) -> Part:
        """The same on `device`: copied if there is room, else streamed."""
        if not self._room.suffices(device):
            return self._with(self._rows, device)
        stored = self.stored.index_select(0, self._rows)
        return Part(stored, self._labels[self._rows], self.decode).to(device)

    def _with(self, rows: Tensor, device: Device) -> "FilePart":
        decode = None if self.decode is None else self.decode.to(device)
        return FilePart(self.stored, self._labels, rows, decode, self._room, device)
