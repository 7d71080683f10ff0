"""`expected`: how long a run should take, by the newest finished run that resembles it."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol


class Ended(Protocol):
    """What is needed of a run that has ended."""

    @property
    def number(self) -> int | None:
        """Its number in the lab."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """Its configuration, with every default."""
        ...

    @property
    def step(self) -> int:
        """The steps that it made."""
        ...

    @property
    def seconds(self) -> float | None:
        """How long they took."""
        ...


class Expected(NamedTuple):
    """Seconds of a run, and how they are known."""

    seconds: float | None
    basis: str


TASK = ("dataset", "network", "loss", "batch_size")
WORK = (*TASK, "estimator", "shadows", "probe")
LEAST_SECONDS = 0.2
"""A shorter run tells nothing: most of its time was its start."""


def expected(config: Mapping[str, Any], steps: int, runs: Iterable[Ended]) -> Expected:
    """The seconds that `steps` steps of a configuration should take.

    `runs` are finished ones, newest first. One with the same estimators and probes is preferred to
    one that shares the network, the data and the batch alone.
    """
    usable = [run for run in runs if run.step > 0 and (run.seconds or 0) >= LEAST_SECONDS]
    for parts, but in ((WORK, ""), (TASK, " with other estimators or probes")):
        for run in usable:
            if all(run.config.get(part) == config.get(part) for part in parts):
                seconds = steps * (run.seconds or 0) / run.step
                return Expected(seconds, f"at the speed of run {run.number}{but}")
    return Expected(None, "Not known: no run of this network on these data has finished yet")
