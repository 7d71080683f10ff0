"""The horizontal axis: steps, examples, forward passes or seconds of training."""

import numpy as np
from numpy.typing import NDArray

from backend.figures.data.source import FigureError, Floats, RunLike, Source

TITLES = {
    "step": "step",
    "examples": "examples seen",
    "forwards": "forward-pass equivalents of the driver, declared",
    "seconds": "training time (s), pauses excluded",
    "draws": "draws, K",
}
LAST = 2**53
"""Beyond the last step of any run."""


def positions(
    source: Source, run_id: str, run: RunLike, steps: NDArray[np.int64], x: str
) -> Floats:
    """Steps (n,) on the axis asked for, always float64; FigureError where the run cannot say."""
    at = steps.astype(np.float64)
    if x == "step" or not len(at):
        return at
    if x == "examples":
        size = run.config.get("batch_size") or run.facts.get("batch_size") or 1
        return at * float(size)
    if x == "forwards":
        return _passes(run, at)
    return _seconds(source, run_id, run, at)


def scale(source: Source, run_id: str, run: RunLike, x: str) -> tuple[Floats, Floats]:
    """Steps (n,) and their positions (n,), between which the axis is linear."""
    if x == "seconds":
        return _clock(source, run_id, run)
    drives = run.facts.get("drives") or [(0, "")]
    steps = np.array([*(step for step, _ in drives), LAST], np.float64)
    return steps, positions(source, run_id, run, steps.astype(np.int64), x)


def _passes(run: RunLike, at: Floats) -> Floats:
    """Forward-pass equivalents of the drivers' estimates before each step."""
    drives = run.facts.get("drives") or [(0, str(run.labels.get("driver")))]
    since = np.array([step for step, _ in drives], np.float64)
    costs = np.array([_cost(run, label) for _, label in drives])
    until = np.array([*since[1:], np.inf])
    steps = np.clip(at[:, None], since, until) - since
    return np.where(steps > 0, steps * costs, 0.0).sum(1)


def _cost(run: RunLike, label: str) -> float:
    cost = run.facts.get("cost", {}).get(label)
    if cost is None:
        raise _cannot(run, "forwards", "its driver declares no cost")
    return float(cost)


def _seconds(source: Source, run_id: str, run: RunLike, at: Floats) -> Floats:
    return np.interp(at, *_clock(source, run_id, run))


def _clock(source: Source, run_id: str, run: RunLike) -> tuple[Floats, Floats]:
    """Steps (n,) and the seconds of training until then, (n,)."""
    clock = [s for s in source.series(run_id) if s.metric == "train/seconds"]
    points = source.points(clock[0].id) if clock else None
    if points is None or not len(points.steps):
        raise _cannot(run, "seconds", "it has no train/seconds yet")
    return points.steps.astype(np.float64), points.values


def _cannot(run: RunLike, x: str, why: str) -> FigureError:
    return FigureError(
        f"x is {x!r}, but run #{run.number} cannot be drawn over it: {why}; take x=step"
    )
