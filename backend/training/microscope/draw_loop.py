"""`DrawLoop`: which estimator draws next, when to flush, pause and stop."""

from collections.abc import Iterator, Sequence
from time import perf_counter

from backend.training.control import Control
from backend.training.microscope.estimator_draws import EstimatorDraws
from backend.training.records import End, Progress, Record, Status

FLUSH_SECONDS = 0.1
HEARTBEAT_SECONDS = 1.0


class DrawLoop:
    """Counts the draws of each estimator (`step` of `total`) and obeys `control` between chunks."""

    def __init__(self, control: Control, total: int) -> None:
        self.step, self._total, self._control = 0, total, control
        self._started, self._paused, self._next_flush = perf_counter(), 0.0, 0.0

    @property
    def end(self) -> End | None:
        """Why to end before all draws are made; None to go on."""
        if self._control.cancel:
            return "cancelled"
        return "stopped" if self._control.stop else None

    @property
    def due(self) -> bool:
        """Whether new points are to be flushed now."""
        return perf_counter() >= self._next_flush or self._control.holds(self.step)

    def flush(self) -> Iterator[Record]:
        """End a flush, and wait while the run is paused."""
        yield self.progress("running")
        start = perf_counter()
        while self._control.holds(self.step):
            yield self.progress("paused")
            self._control.wait(self.step, HEARTBEAT_SECONDS)
            self._paused += perf_counter() - start
            start = perf_counter()
        self._next_flush = perf_counter() + FLUSH_SECONDS

    def progress(self, status: Status) -> Progress:
        """The record that ends a flush."""
        seconds = perf_counter() - self._started - self._paused
        return Progress(self.step, self._total, self.step / max(1e-9, seconds), seconds, status)

    def draw(
        self,
        draws: Sequence[EstimatorDraws],
        before: int = 0,
        among: Sequence[EstimatorDraws] = (),
    ) -> Iterator[None]:
        """Take chunks in turn, always of the estimator with the fewest draws; end when told to.

        `step` becomes `before` plus the mean count of `among`, which names all estimators where
        the others draw at other times (default: `draws`).
        """
        counted = among or draws
        while waiting := [each for each in draws if each.made < each.count]:
            if self.end:
                return
            min(waiting, key=lambda each: each.made).take()
            self.step = before + sum(each.made for each in counted) // len(counted)
            yield
