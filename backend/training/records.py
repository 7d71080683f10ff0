"""The records that a training or microscope run yields.

A flush is any number of records and ends with one `Progress`; the last record of all is `Ended`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from backend.series.points import Points

Status = Literal["running", "paused"]
End = Literal["finished", "diverged", "failed", "cancelled", "stopped"]


@dataclass(frozen=True)
class Facts:
    """The circumstances of an attempt; reported at its start and when its driver changes."""

    device: str
    threads: int
    versions: dict[str, str]
    parameters: int
    """Trainable scalars."""
    layers: list[dict[str, Any]]
    """One row for each parameter tensor: name, stage, shape, count, and coverage (how the driver
    obtains its gradient). A network with thousands of tensors has a row for each stage, or none."""
    cost: dict[str, float] = field(default_factory=dict)
    """Declared cost of one estimate by label, in forward passes."""
    unbiased: dict[str, bool] = field(default_factory=dict)
    """Whether the estimator claims that its mean is the exact gradient, by label."""
    resumed_at: int = 0
    """The first step of this attempt: points of earlier attempts from here on are void."""
    plugins: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the file of each plug-in that the run uses; see `ComponentIndex.plugin_files`."""
    labels: dict[str, Any] = field(default_factory=dict)
    """The labels of driver and shadows at present."""
    drives: list[tuple[int, str]] = field(default_factory=list)
    """(step, label) pairs: from which step on each driver drove."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Event:
    """One line of the run's log."""

    step: int
    kind: str
    text: str


def changed_plugin(step: int, label: str) -> Event:
    """The estimator's plug-in has changed since the run whose state it would have taken over."""
    text = f"{label} comes from another file than in the run: what it had learned is left"
    return Event(step, "plug-in", text)


def changed_component(step: int, what: str) -> Event:
    """The plug-in of a component has changed since the checkpoint that the run goes on from.

    `what`: a kind of component, or an estimator's label.
    """
    words = {
        "dataset": "the data set",
        "network": "the network",
        "loss": "the loss",
        "optimizer": "the optimiser",
    }
    text = f"{words.get(what, what)} comes from another version of its file than before"
    return Event(step, "plug-in", text)


def changed_while_queued(
    step: int, queued: Mapping[str, str], now: Mapping[str, str]
) -> Iterator[Event]:
    """The plug-ins whose file has changed since the run was queued, from {name: SHA-256}."""
    for name, sha in now.items():
        if queued.get(name, sha) != sha:
            text = (
                f"{name} comes from another version of its file than when the run was queued: "
                f"{sha[:8]}, then {queued[name][:8]}"
            )
            yield Event(step, "plug-in", text)


@dataclass(frozen=True)
class Progress:
    """How far the run is; the last record of every flush."""

    step: int
    """Updates made."""
    steps: int
    """Updates planned."""
    rate: float
    """Updates a second of running time, pauses excluded."""
    seconds: float
    """Running time of all attempts, pauses excluded."""
    status: Status = "running"
    overhead: float | None = None
    """Share of this time that measuring and reporting took, in a loop of the user's own."""


@dataclass(frozen=True)
class Ended:
    """The last record of an attempt."""

    status: End
    step: int
    error: str | None = None
    """A sentence; of a failure that nobody expects, the traceback below it."""


Record = Facts | Points | Event | Progress | Ended

__all__ = ["End", "Ended", "Event", "Facts", "Points", "Progress", "Record", "Status"]
