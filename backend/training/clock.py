"""The running time of a run, split into training, probes and evaluation; pauses excluded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter


class Clock:
    """Seconds of running time of all attempts; a checkpoint hands them to the next attempt."""

    def __init__(self) -> None:
        self.probes = self.evaluation = 0.0
        self._start = perf_counter()
        self._stopped_at: float | None = None
        self._inherited = 0.0

    @property
    def own(self) -> float:
        """The total without the time that a fork inherited from its parent."""
        return self.total - self._inherited

    def inherit(self) -> None:
        """Count all time so far as the parent run's."""
        self._inherited = self.total

    @property
    def total(self) -> float:
        """Running time of all attempts, pauses excluded."""
        now = perf_counter() if self._stopped_at is None else self._stopped_at
        return now - self._start

    @property
    def training(self) -> float:
        """The total without probes and evaluation."""
        return self.total - self.probes - self.evaluation

    @contextmanager
    def probing(self) -> Iterator[None]:
        """Count the time inside as probes."""
        start = perf_counter()
        yield
        self.probes += perf_counter() - start

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Count the time inside as evaluation."""
        start = perf_counter()
        yield
        self.evaluation += perf_counter() - start

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time inside."""
        self._stopped_at = perf_counter()
        try:
            yield
        finally:
            self._start += perf_counter() - self._stopped_at
            self._stopped_at = None

    def state(self) -> dict[str, float]:
        """The times, for a checkpoint."""
        return {
            "total": self.total, "probes": self.probes, "evaluation": self.evaluation,
            "inherited": self._inherited,
        }  # fmt: skip

    def load(self, state: Mapping[str, float]) -> None:
        """Go on from what `state` returned."""
        self.probes, self.evaluation = state["probes"], state["evaluation"]
        self._start = perf_counter() - state["total"]
        self._inherited = state.get("inherited", 0.0)
