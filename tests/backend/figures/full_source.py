"""A run and microscopes in memory, from which every figure draws something.

The labels of their estimators begin alike.
"""

import numpy as np

from backend.figures import Memory, MemoryRun
from backend.figures.catalogue import charts_of
from backend.figures.data.metrics import MEASURES

LONG = (
    "mean_of_draws(inner=activity_forward_gradient(noise=rademacher, tangents={}, scaled=True), "
    "draws=8)"
)
FOUR, SIXTEEN = LONG.format(4), LONG.format(16)
ALIKE = [FOUR, SIXTEEN, f"{SIXTEEN} #2"]
STAGES = ["hidden1", "hidden2", "head"]
LAYERS = ["", *(name for s in STAGES for name in (s, f"{s}.weight", f"{s}.bias"))]


def run(number: int = 1, name: str = "a run", **more) -> MemoryRun:
    layers = [{"name": f"{s}.weight", "stage": s, "coverage": "estimated"} for s in STAGES]
    facts = {"layers": layers}
    return MemoryRun(number, name, facts=facts, **{"config": {"batch_size": 32}, **more})


def run_of(figure: str) -> str:
    """The run that has something for a figure: a training, a microscope, a sweep or a path."""
    if figure == "sweep":
        return "m2"
    if figure == "path":
        return "p1"
    if figure == "guess_target_grid":
        return "g1"
    return "r1" if figure in {placed.figure for placed in charts_of("run")} else "m1"


def full_source() -> Memory:
    """A training run, a microscope, a sweep, a run on a surface and one with a guess."""
    source, rng = Memory(), np.random.default_rng(0)
    labels = {"driver": ALIKE[0], "shadows": ALIKE[1:]}
    source.add_run("r1", run(labels=labels))
    seen = {"microscope": {"run": "r1", "step": 8, "draws": 64}}
    for name, sweep in [("m1", None), ("m2", {"field": "draws", "values": [1, 2, 4]})]:
        config = {"microscope": {**seen["microscope"], "sweep": sweep}, "batch_size": 32}
        source.add_run(name, run(2, labels=labels, config=config))
    for label in ALIKE:
        for layer in LAYERS:
            for metric in MEASURES:
                values = 0.2 + rng.random(20)
                source.add("r1", metric, np.arange(20), values, layer=layer, estimator=label)
                source.add("m1", metric, [8, 64], values[:2], layer=layer, estimator=label)
            for name in ("biased", "bias", "bound"):
                source.add("m1", f"verdict/{name}", [64], [0.5], layer=layer, estimator=label)
        for name in ("cosine", "norm_ratio", "along", "across"):
            source.add("m1", f"draw/{name}", np.arange(64), rng.random(64), estimator=label)
        for metric in ("relative_variance", "scaled_error"):
            source.add("m2", f"sweep/{metric}", [1, 2, 4], rng.random(3), estimator=label)
        for part in ("data", "estimator", "fixed"):
            source.add("m1", f"anatomy/{part}", [16], [2.0], estimator=label)
        for name in ("slope", "curvature", "change/0.1", "change/1"):
            source.add("m1", f"what_if/{name}", np.arange(8), rng.random(8), estimator=label)
        source.add("m1", "what_if/best_rate", [8], [0.5], estimator=label)
    source.add("r1", "train/loss", np.arange(20), rng.random(20))
    source.add("r1", "estimator/angle", np.arange(20), rng.random(20), estimator=FOUR)
    surface = {"name": "surface", "function": "rosenbrock"}
    source.add_run("p1", run(3, labels=labels, config={"dataset": surface}))
    for name in ("path/x0", "path/x1"):
        source.add("p1", name, np.arange(20), rng.random(20))
    guess = {"name": "guess_and_target", "target_loss": "global", "guess": "local"}
    config = {"estimator": guess, "shadows": [{"name": "mean_of_draws"} for _ in ALIKE]}
    source.add_run("g1", run(4, labels={"driver": "a guess", "shadows": ALIKE}, config=config))
    for label in ("a guess", *ALIKE):
        source.add("g1", "cosine", np.arange(20), rng.random(20), estimator=label)
    return source
