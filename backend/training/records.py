"""What a training run yields. A flush is any number of records and ends with one `Progress`."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Status = Literal["running", "paused"]
End = Literal["finished", "diverged", "failed", "cancelled", "stopped"]


@dataclass(frozen=True)
class Facts:
    """What is known of an attempt when it starts, and anew when its driver changes."""

    device: str
    threads: int
    versions: dict[str, str]
    parameters: int
    """Trainable scalars."""
    layers: list[dict[str, Any]]
    """One row a tensor: name, stage, shape, count and coverage (how its gradient comes)."""
    cost: dict[str, float] = field(default_factory=dict)
    """Declared cost of one estimate by label, in forward passes."""
    unbiased: dict[str, bool] = field(default_factory=dict)
    """Whether the exact gradient is promised on average, by label."""
    resumed_at: int = 0
    """The first step of this attempt: earlier attempts' points from here on are void."""
    plugins: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each plug-in file that an estimator of this run came from."""
    labels: dict[str, Any] = field(default_factory=dict)
    """Driver and shadows as they are now."""
    drives: list[tuple[int, str]] = field(default_factory=list)
    """Since which step which label drives."""

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Points:
    """New points of one series, in ascending order of step."""

    metric: str
    layer: str
    estimator: str
    unit: str
    steps: np.ndarray
    """int64: a value at step s belongs to the weights after s updates."""
    values: np.ndarray
    """float64, NaN and infinities included."""


@dataclass(frozen=True)
class Event:
    """Something worth a line in the run's log."""

    step: int
    kind: str
    text: str


def another_file(step: int, label: str) -> Event:
    """The estimator's plug-in has changed since the run whose state it would take over."""
    text = f"{label} comes from another file than in the run: what it had learned is left"
    return Event(step, "plug-in", text)


@dataclass(frozen=True)
class Progress:
    """Where the run stands; the last record of every flush."""

    step: int
    """Updates made."""
    steps: int
    """Updates planned."""
    rate: float
    """Updates a second of running time, pauses excluded."""
    seconds: float
    """Running time of all attempts, pauses excluded."""
    status: Status = "running"


@dataclass(frozen=True)
class Ended:
    """The last record of an attempt."""

    status: End
    step: int
    error: str | None = None
    """A sentence (diverged) or a traceback (failed)."""


Record = Facts | Points | Event | Progress | Ended
