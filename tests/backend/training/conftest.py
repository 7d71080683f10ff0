"""Runs small enough to finish in a fraction of a second, and what they gave."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pytest

from backend.config import RunConfig
from backend.training.records import Ended, Event, Facts, Points, Progress, Record


@dataclass
class Gathered:
    """A stream of records, sorted out."""

    points: dict[tuple[str, str, str], dict[int, float]] = field(default_factory=dict)
    progress: list[Progress] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    facts: Facts | None = None
    ended: Ended | None = None

    def take(self, record: Record) -> None:
        match record:
            case Points(metric, layer, estimator, _, steps, values):
                assert steps.dtype == np.int64
                assert values.dtype == np.float64
                series = self.points.setdefault((metric, layer, estimator), {})
                assert not series.keys() & set(steps.tolist()), "a point came twice"
                series.update(zip(steps.tolist(), values.tolist(), strict=True))
            case Progress():
                self.progress.append(record)
            case Event():
                self.events.append(record)
            case Facts():
                self.facts = record
            case Ended():
                self.ended = record

    def of(self, metric: str, layer: str = "", estimator: str = "") -> dict[int, float]:
        return self.points[metric, layer, estimator]

    def curve(self, first: int = 0, last: int = 10**9) -> dict:
        """Every point that does not tell the time, as bits."""
        timed = re.compile(r"train/seconds|probe/share")
        return {
            key: {s: np.float64(v).tobytes() for s, v in series.items() if first <= s < last}
            for key, series in self.points.items()
            if not timed.match(key[0]) and any(first <= s < last for s in series)
        }


@pytest.fixture
def gather():
    def run(records: Iterable[Record]) -> Gathered:
        gathered = Gathered()
        for record in records:
            gathered.take(record)
        return gathered

    return run


@pytest.fixture
def gathered():
    return Gathered()


@pytest.fixture
def config():
    def make(**changes) -> RunConfig:
        base = {
            "dataset": {"name": "two_moons", "examples": 200},
            "network": {"name": "mlp", "width": 8},
            "estimator": {"name": "backprop"},
            "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
            "steps": 40,
            "batch_size": 16,
            "device": "cpu",
            "probe": {"budget": 0},
        }
        return RunConfig.model_validate({**base, **changes})

    return make
