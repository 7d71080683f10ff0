"""Where the time of a run goes: training, probes, evaluation; pauses do not count."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter


class Clock:
    """Seconds of running time, split. Across attempts it goes on where it stood."""

    def __init__(self) -> None:
        self.probes = self.evaluation = 0.0
        self._start = perf_counter()
        self._stopped_at: float | None = None
        self._inherited = 0.0

    @property
    def own(self) -> float:
        """The total without what a fork has from its parent."""
        return self.total - self._inherited

    def inherit(self) -> None:
        """All that has run so far was another run's."""
        self._inherited = self.total

    @property
    def total(self) -> float:
        """Running time of all attempts, pauses excluded."""
        now = perf_counter() if self._stopped_at is None else self._stopped_at
        return now - self._start

    @property
    def training(self) -> float:
        """What is left when probes and evaluation are taken away."""
        return self.total - self.probes - self.evaluation

    @contextmanager
    def probing(self) -> Iterator[None]:
        start = perf_counter()
        yield
        self.probes += perf_counter() - start

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        start = perf_counter()
        yield
        self.evaluation += perf_counter() - start

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._stopped_at = perf_counter()
        try:
            yield
        finally:
            self._start += perf_counter() - self._stopped_at
            self._stopped_at = None

    def state(self) -> dict[str, float]:
        return {
            "total": self.total, "probes": self.probes, "evaluation": self.evaluation,
            "inherited": self._inherited,
        }  # fmt: skip

    def load(self, state: Mapping[str, float]) -> None:
        self.probes, self.evaluation = state["probes"], state["evaluation"]
        self._start = perf_counter() - state["total"]
        self._inherited = state.get("inherited", 0.0)
