"""Make the pictures on the families' pages: the alignment of each method along one run on digits.

`python -m docs.pictures [FAMILY …]` trains an MLP 64-128-128-10 (for local losses a LocalMixer) by
backprop, measures the family's methods as shadows, and writes `docs/images/<family>-digits.png`
with the lab's own figure.
"""

import sys
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import torch
from playwright.sync_api import sync_playwright

from backend.config import RunConfig
from backend.figures import Memory, MemoryRun, draw
from backend.training.loop import train
from backend.training.records import Ended, Points
from tests.browser.chromium import ARGS, executable

IMAGES = Path(__file__).parent / "images"
SIZE = {"width": 900, "height": 560}
MLP = {"name": "mlp", "width": 128, "depth": 2}
MIXER = {"name": "local_mixer", "blocks": 2, "patches": 2, "channels": 64, "groups": 4}
IMPLICIT = {"name": "implicit_mlp", "width": 64}
FORWARD, ACTIVITY = "forward_gradient", "activity_forward_gradient"


def _named(*names: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]


def _local(inner: str, *, greedy: bool) -> dict[str, Any]:
    return {"name": "local_losses", "inner": {"name": inner}, "greedy": greedy}


def _guess(guess: str, **fields: Any) -> dict[str, Any]:
    return {"name": "guess_and_target", "guess": guess, "source": "oracle", **fields}


FAMILIES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "directions": (
        MLP,
        [
            *_named(FORWARD, "block_forward_gradient", "low_rank_forward_gradient"),
            {"name": FORWARD, "tangents": 16},
            {"name": FORWARD, "tangents": 16, "combine": "orthogonal", "scale": "projected"},
        ],
    ),
    "finite-differences": (
        MLP,
        _named("spsa", "gaussian_smoothing", "evolution_strategy", "mezo", "guided_es"),
    ),
    "activities": (
        MLP,
        [*_named(FORWARD, ACTIVITY, "node_perturbation"), {"name": ACTIVITY, "tangents": 16}],
    ),
    "feedback": (
        MLP,
        _named(
            *("feedback_alignment", "direct_feedback_alignment", "usf", "weight_mirror"),
            *("kolen_pollack", "dkp", "fdfa"),
        ),
    ),
    "local-losses": (
        MIXER,
        [
            *_named("backprop", ACTIVITY, FORWARD),
            _local("backprop", greedy=False),
            _local(ACTIVITY, greedy=True),
            _local(FORWARD, greedy=True),
        ],
    ),
    "guesses-and-targets": (
        MLP,
        [
            _guess("local"),
            _guess("look_ahead"),
            _guess("fixed_ntk"),
            _guess("normal"),
            _guess("local", unit="tensor"),
            _guess("estimator", guesser={"name": "fdfa"}),
        ],
    ),
    "implicit": (
        IMPLICIT,
        [
            *({"name": "implicit_adjoint", "adjoint": each} for each in ("ift", "jfb", "npg")),
            {"name": "implicit_adjoint", "adjoint": "npg", "steps": 5, "damping": 1.0},
            {"name": "implicit_adjoint", "adjoint": "npg", "steps": 20},
        ],
    ),
    "controls-and-wrappers": (
        MLP,
        [
            *_named("random_direction", "sign_of", "exact_plus_noise", "mean_of_draws"),
            {"name": "stale", "steps": 16},
            {"name": "momentum", "inner": {"name": ACTIVITY}},
        ],
    ),
}
"""The network and the shadows of each family's picture."""


def record(network: dict[str, Any], shadows: list[dict[str, Any]]) -> Memory:
    """Train by backprop and measure the shadows at every 32nd step; return the run's points.

    A LocalMixer is trained by local losses, because backprop alone does not train its local heads.
    """
    driver = _local("backprop", greedy=True) if network is MIXER else {"name": "backprop"}
    config = RunConfig.model_validate(
        {
            "dataset": {"name": "digits"},
            "network": network,
            "estimator": driver,
            "shadows": shadows,
            "optimizer": {"name": "sgd", "lr": 0.03, "momentum": 0.9},
            "steps": 1024,
            "probe": {"draws": 32, "every": 32},
        }
    )
    flushes: dict[tuple[str, str, str, str], list[Points]] = {}
    for entry in train(config):
        if isinstance(entry, Points):
            key = (entry.metric, entry.layer, entry.estimator, entry.unit)
            flushes.setdefault(key, []).append(entry)
        if isinstance(entry, Ended) and entry.status != "finished":
            raise RuntimeError(entry.error)
    memory = Memory()
    memory.add_run("digits", MemoryRun(1, "digits", config.model_dump(), steps=1024))
    for (metric, layer, estimator, unit), points in flushes.items():
        steps = [int(step) for flush in points for step in flush.steps]
        values = [float(value) for flush in points for value in flush.values]
        memory.add("digits", metric, steps, values, layer=layer, estimator=estimator, unit=unit)
    return memory


def save_png(memory: Memory, path: Path) -> None:
    """Draw the cosine of every estimator and write it as a PNG file."""
    drawn = draw("curve", memory, {"runs": "digits", "metric": "cosine"})["figure"]
    for trace in drawn["data"]:
        trace["type"] = "scatter"  # scattergl needs WebGL, which a headless browser may lack
    screenshot(go.Figure(drawn).update_layout({"template": "plotly_white", **SIZE}), path)


def screenshot(figure: go.Figure, path: Path) -> None:
    """Write a figure, which must say its width and height, as a PNG file."""
    layout: Any = figure.layout
    size: Any = {"width": layout.width, "height": layout.height}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGS)
        page = browser.new_page(viewport=size, device_scale_factor=1.5)
        page.set_content(figure.to_html(include_plotlyjs=True, config={"displayModeBar": False}))
        page.locator(".main-svg").first.wait_for()
        page.screenshot(path=path)
        browser.close()


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    for name in names or FAMILIES:
        save_png(record(*FAMILIES[name]), IMAGES / f"{name}-digits.png")
        print(f"{name}-digits.png")


if __name__ == "__main__":
    main(sys.argv[1:])
