"""A study of targets and guesses in a lab's database: runs that have ended, with results."""

from pathlib import Path
from typing import Any

import numpy as np

from backend.store import Store, open_engine
from backend.store.points import SeriesPoints
from backend.store.reports import WorkerReport

BLOCKS = ["block1", "block2", "head"]
SEEDS = (0, 1)


def fill(home: Path) -> tuple[str, dict[str, list[str]]]:
    """The study's id, and {driver: ids of its runs}; one pair of target and guess has no run."""
    guess = {"name": "guess_and_target", "unit": "tensor"}
    drivers = {
        "global-local": {**guess, "target_loss": "global", "guess": "local"},
        "global-normal": {**guess, "target_loss": "global", "guess": "normal"},
        "local-local": {**guess, "target_loss": "local", "guess": "local"},
        "backprop": {"name": "backprop"},
    }
    described = [
        {"config": _config(name, driver, seed), "labels": _labels(name)}
        for name, driver in drivers.items()
        for seed in SEEDS
    ]
    engine = open_engine(f"sqlite:///{home / 'lab.db'}")
    store = Store(engine)
    runs, study = store.create_runs(described, "Guesses of targets")
    rng = np.random.default_rng(0)
    for run in runs:
        store.begin_attempt(run.id)
        series = _series(run.labels["driver"], rng)
        facts = {"layers": [_layer(block) for block in BLOCKS]}
        store.report(WorkerReport(run.id, 1, 1, "finished", series, facts=facts))
    engine.dispose()
    ids: dict[str, list[str]] = {name: [] for name in drivers}
    for run in runs:
        ids[run.labels["driver"]].append(run.id)
    return study or "", ids


def _config(name: str, driver: dict[str, Any], seed: int) -> dict[str, Any]:
    optimizer = {"name": "sgd", "lr": 0.1}
    return {
        "name": f"{name}, seed {seed}", "estimator": driver, "shadows": [], "seed": seed,
        "optimizer": optimizer, "steps": 32, "batch_size": 32,
    }  # fmt: skip


def _layer(block: str) -> dict[str, Any]:
    name = f"{block}.weight"
    return {"name": name, "stage": block, "shape": [4, 4], "count": 16, "coverage": "estimated"}


def _labels(name: str) -> dict[str, Any]:
    return {"driver": name, "shadows": []}


def _series(label: str, rng: np.random.Generator) -> list[SeriesPoints]:
    steps = np.array([0, 16])
    series = [
        SeriesPoints("test/accuracy", "", "", "", np.array([32]), 0.5 + 0.4 * rng.random(1)),
        SeriesPoints("train/loss", "", "", "nats", np.arange(32), rng.random(32)),
        SeriesPoints("cosine", "", label, "", steps, rng.random(2)),
    ]
    for block in BLOCKS:
        series.append(SeriesPoints("cosine", block, label, "", steps, rng.random(2)))
        if label != "backprop":
            values = rng.random(2)
            series.append(SeriesPoints("estimator/guess_cosine", block, label, "", steps, values))
    return series
