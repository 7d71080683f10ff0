"""The pace of a look: when it flushes, pauses, stops, and how far it has come."""

from collections.abc import Iterator, Sequence
from time import perf_counter

from backend.training.control import Control
from backend.training.microscope.drawing import Drawing
from backend.training.records import End, Progress, Record, Status

FLUSH_SECONDS = 0.1
HEARTBEAT_SECONDS = 1.0


class Pace:
    """Counts the draws of each estimator, `step` of `total`, and hears what the lab asks."""

    def __init__(self, control: Control, total: int) -> None:
        self.step, self._total, self._control = 0, total, control
        self._started, self._paused, self._next_flush = perf_counter(), 0.0, 0.0

    @property
    def end(self) -> End | None:
        """Why to end before all is drawn."""
        if self._control.cancel:
            return "cancelled"
        return "stopped" if self._control.stop else None

    @property
    def due(self) -> bool:
        """Whether what is new is to be told now."""
        return perf_counter() >= self._next_flush or self._control.holds(self.step)

    def flush(self) -> Iterator[Record]:
        """Ends a flush; waits while the run is paused."""
        yield self.progress("running")
        start = perf_counter()
        while self._control.holds(self.step):
            yield self.progress("paused")
            self._control.wait(self.step, HEARTBEAT_SECONDS)
            self._paused += perf_counter() - start
            start = perf_counter()
        self._next_flush = perf_counter() + FLUSH_SECONDS

    def progress(self, status: Status) -> Progress:
        seconds = perf_counter() - self._started - self._paused
        return Progress(self.step, self._total, self.step / max(1e-9, seconds), seconds, status)

    def draw(
        self, drawings: Sequence[Drawing], before: int = 0, among: Sequence[Drawing] = ()
    ) -> Iterator[None]:
        """Take chunk after chunk, always of the one that is behind; stop where that is asked.

        `among`: all those that `step` is the mean of, where others are drawn at other times.
        """
        counted = among or drawings
        while wanting := [d for d in drawings if d.made < d.count]:
            if self.end:
                return
            min(wanting, key=lambda d: d.made).take()
            self.step = before + sum(d.made for d in counted) // len(counted)
            yield
