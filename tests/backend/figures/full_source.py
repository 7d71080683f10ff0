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


RUNS = ("r1", "m1", "m2", "p1", "g1", "e1", "a1")
"""The ids of `full_source`."""


def run_of(figure: str) -> str:
    """The run that has something for a figure: a training, a microscope, a sweep or a path."""
    if figure == "sweep":
        return "m2"
    if figure == "path":
        return "p1"
    if figure in {placed.figure for placed in charts_of("adjoint_map")}:
        return "a1"
    if figure == "guess_target_grid":
        return "g1"
    if figure == "solver":
        return "e1"
    return "r1" if figure in {placed.figure for placed in charts_of("run")} else "m1"


def full_source() -> Memory:
    """A training run, a microscope, a sweep, a surface, a guess, an equilibrium, an adjoint map."""
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
        source.add("m1", "what_if/depth", np.arange(8), rng.random(8), layer="0", estimator=label)
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
    source.add_run("e1", run(6, labels=labels))
    for name in ("iterations", "residual", "absolute_residual"):
        key = f"estimator/forward_{name}"
        source.add("e1", key, np.arange(20), 1 + rng.random(20), estimator=ALIKE[0])
    source.add("e1", "estimator/not_converged", np.arange(20), [0.0] * 20, estimator=ALIKE[0])
    source.add("e1", "equilibrium/spectral_radius", [0, 10], [0.5, 1.1], layer=STAGES[0])
    add_adjoint_map(source, "a1")
    return source


def add_adjoint_map(
    source: Memory, run_id: str, stage: str = "equilibrium.layer", states: int = 64,
    evaluated: bool = True, slowest: float = 0.006, repeats: int = 5,
) -> None:  # fmt: skip
    """A microscope with an adjoint map: two factors, at the second nothing converges.

    One gradient takes 5 ms, that of ift 10 (9–12); the upper quartile of the others is `slowest`.
    The cosine is 1 − 0.4/k at λ = 1 and 1 − 0.8/k at λ = 0.5; ‖Bᵏ‖ is 0.5ᵏ and 0.75ᵏ.
    """
    grid = {"steps": [1, 2, 4], "damping": [0.5, 1.0], "factors": [1.0, 3.0],
            "solvers": ["anderson"]}  # fmt: skip
    config = {"microscope": {"draws": 5, "adjoint_map": grid}}
    labels = {"driver": "implicit_adjoint", "shadows": []}
    source.add_run(run_id, run(5, labels=labels, config=config))
    settings = [(k, share) for _ in range(2) for k in (1, 2, 4) for share in (0.5, 1.0)]
    places = np.arange(12)
    distance = np.array([(0.8 if share < 1 else 0.4) / k for k, share in settings])
    late = np.where(places < 6, 0.0, 3.0)

    def at_settings(metric, values, **more):
        source.add(run_id, f"adjoint_map/{metric}", places, values, **more)

    def at_factors(metric, values, **more):
        source.add(run_id, f"adjoint_map/{metric}", [0, 1], values, **more)

    for kind in ("npg", "upg"):
        for layer in ("", "equilibrium", "equilibrium.layer.weight"):
            at_settings("cosine", 1 - distance, layer=layer, estimator=kind)
            at_settings("relative_error", distance, layer=layer, estimator=kind)
        at_settings("seconds", 0.01 + 0.001 * places, estimator=kind)
        at_settings("not_converged", late, estimator=kind)
    for kind, value in (("jfb", 0.6), ("ift", 1.0), ("unrolled", 1.0)):
        at_factors("cosine", [value, 0.1], estimator=kind)
        at_factors("relative_error", [1 - value, 0.9], estimator=kind)
        at_factors("seconds", [0.02, 0.03], estimator=kind)
        at_factors("not_converged", [0.0, 3.0], estimator=kind)
    exact = evaluated and states <= 256
    for name, values in {
        "radius": [0.8, 1.2], "radius_converged": [1.0, 1.0], "states": [states, states],
        "reference_not_converged": [0.0, 2.0], "forward_iterations": [12.0, 200.0],
        "forward_relative": [1e-6, 0.2], "forward_not_converged": [0.0, 3.0],
        "forward_examples": [8.0, 8.0], "backward_not_converged": [0.0, 0.0],
        "examples": [4.0, 4.0] if exact else [0.0, 0.0], "zero": [1.0, 0.0],
        "allowed": [0.1, 0.1], "allowed_median": [0.2, 0.2], "simple": [0.05, 0.05],
    }.items():  # fmt: skip
        at_factors(name, values, layer=stage)
    norms = np.array([(0.75 if share < 1 else 0.5) ** k for k, share in settings])
    shares = np.where(norms < 0.1, 1.0, np.where(norms < 0.5, 0.5, 0.0))
    missing = np.full(12, np.nan)
    for name, values in {
        "largest": norms, "median": norms / 2, "converged": np.ones(12),
        "left": 3 * norms if exact else missing, "left_median": norms if exact else missing,
        "met": shares if exact else missing, "met_simple": shares / 2 if exact else missing,
    }.items():  # fmt: skip
        at_settings(f"bound/{name}", values, layer=stage)
    for kind, steps in {"ift": [0], "jfb": [0], "npg": range(6), "upg": range(6)}.items():
        error = {"ift": [1e-6], "jfb": [0.4]}.get(kind, distance[:6])
        for name, values in {
            "repeats": repeats, "seconds": 0.01 if kind == "ift" else 0.005,
            "seconds_low": 0.009 if kind == "ift" else 0.004,
            "seconds_high": 0.012 if kind == "ift" else slowest,
            "ratio": 0.5, "ratio_low": 0.4, "ratio_high": 0.7,
            "forward_seconds": 0.004, "forward_seconds_low": 0.003,
            "forward_seconds_high": 0.005, "saved": 2**20, "history": 2**20, "cosine": 0.9,
            "relative_error": error, "not_converged": 0.0,
        }.items():  # fmt: skip
            column = np.broadcast_to(np.asarray(values, np.float64), len(steps))
            metric = f"adjoint_map/cost/{name}/anderson"
            source.add(run_id, metric, list(steps), column, estimator=kind)
