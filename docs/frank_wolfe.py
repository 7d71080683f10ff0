"""Make the table and the picture of Frank–Wolfe with forward gradients, plain and averaged.

`python -m docs.frank_wolfe` prints the table of `docs/optimisers.md` and writes
`docs/images/frank-wolfe.png`. Both problems are convex, in float64, and their minimum is known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import gamma, pi, sqrt
from pathlib import Path
from statistics import mean

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots
from torch import Tensor, nn

from backend.training.optimizers.convex_sets import SetName, nearest
from backend.training.optimizers.frank_wolfe import FrankWolfe
from docs.pictures import screenshot
from estimators import Backprop, Estimator, ForwardGradient, Objective, stream

PATH = Path(__file__).parent / "images" / "frank-wolfe.png"
SEEDS, STEPS = range(5), 10_000
MARKS = sorted({round(10 ** (i / 8)) for i in range(8, 33)})
"""Steps that are drawn."""
NO_AVERAGE = {"average_rate": 1.0, "average_power": 0.0}
ARMS: dict[str, tuple[Estimator, dict[str, float]]] = {
    "exact gradient": (Backprop(), NO_AVERAGE),
    "forward gradient, plain": (ForwardGradient(noise="normal"), NO_AVERAGE),
    "forward gradient, averaged": (ForwardGradient(noise="normal"), {}),
}
COLOURS = ("#009e73", "#d55e00", "#0072b2")


@dataclass(frozen=True)
class Problem:
    """A convex loss on a set, and its least value there."""

    title: str
    loss: Callable[[Tensor], Tensor]
    dimension: int
    constraint: SetName
    least: float
    floor: float | None = None
    """Where plain forward gradients settle above the minimum, if a formula says it."""


def quadratic(dimension: int = 10) -> Problem:
    """½‖w − b‖² on the unit ball, ‖b‖ = 2. Plain forward gradients settle at c b/‖b‖."""
    b = torch.randn(dimension, dtype=torch.float64, generator=stream(0, "data"))
    b *= 2 / b.norm()
    c = gamma(dimension / 2) / sqrt(pi) / gamma((dimension + 1) / 2)
    return Problem(
        f"½‖w − b‖² on the unit ball, d = {dimension}", lambda w: (w - b).square().sum() / 2,
        dimension, "l2_ball", 0.5, ((2 - c) ** 2 - 1) / 2,
    )  # fmt: skip


def logistic(dimension: int = 20, examples: int = 200) -> Problem:
    """Logistic regression on ‖w‖₁ ≤ 1; its minimum by the projected gradient."""
    rng = stream(0, "data")
    x = torch.randn(examples, dimension, dtype=torch.float64, generator=rng)
    signs = (x[:, :3].sum(1) + torch.randn(examples, dtype=torch.float64, generator=rng)).sign()

    def loss(w: Tensor) -> Tensor:
        return nn.functional.softplus(-signs * (x @ w)).mean()

    w = torch.zeros(dimension, dtype=torch.float64)
    for _ in range(2000):
        w = nearest("l1_ball", w - torch.func.grad(loss)(w), 1.0)
    title = f"logistic regression on ‖w‖₁ ≤ 1, d = {dimension}"
    return Problem(title, loss, dimension, "l1_ball", loss(w).item())


def excess(problem: Problem, arm: str, seed: int) -> dict[int, float]:
    """{step: loss above the minimum} of one run."""
    estimator, average = ARMS[arm]
    w = nn.Parameter(torch.zeros(problem.dimension, dtype=torch.float64))
    fields = {"constraint": problem.constraint, "radius": 1.0, "steps": "falling", "lr": 1.0}
    optimizer = FrankWolfe(**fields, **average).build([w])  # type: ignore[arg-type]
    objective = Objective(lambda params: problem.loss(params["w"]))
    above: dict[int, float] = {}
    for step in range(1, STEPS + 1):
        rng = stream(seed, "estimator", step)
        w.grad = estimator.estimate(objective, {"w": w.detach()}, None, rng).grads["w"]
        optimizer.step()
        if step in MARKS:
            above[step] = problem.loss(w.detach()).item() - problem.least
    return above


def figure(curves: dict[str, dict[str, dict[int, float]]], problems: list[Problem]) -> go.Figure:
    """A panel for each problem, with the mean over seeds of each arm."""
    panels = make_subplots(1, 2, subplot_titles=[p.title for p in problems])
    for column, problem in enumerate(problems, start=1):
        for (arm, curve), colour in zip(curves[problem.title].items(), COLOURS, strict=True):
            line = go.Scatter(
                x=[*curve], y=[*curve.values()], mode="lines", name=arm, line_color=colour,
                showlegend=column == 1,
            )  # fmt: skip
            panels.add_trace(line, 1, column)
        if problem.floor is not None:
            panels.add_hline(problem.floor, line={"dash": "dot"}, row=1, col=column)  # type: ignore[arg-type]
        panels.update_xaxes(type="log", title_text="step", row=1, col=column)
        panels.update_yaxes(
            type="log", dtick=1, exponentformat="power", title_text="loss − minimum",
            row=1, col=column,
        )  # fmt: skip
    return panels.update_layout(
        template="plotly_white", width=1100, height=400, margin={"t": 40, "b": 50, "l": 70, "r": 20}
    )


def table(curves: dict[str, dict[str, dict[int, float]]]) -> str:
    """The excess loss at four steps, in Markdown."""
    shown = [10, 100, 1000, 10_000]
    lines = [
        f"| problem | estimate | {' | '.join(f'step {s:,}' for s in shown)} |",
        f"|---|---|{'---|' * len(shown)}",
    ]
    for title, arms in curves.items():
        for arm, curve in arms.items():
            numbers = " | ".join(f"{curve[s]:.2g}" for s in shown)
            lines.append(f"| {title.replace('|', '∣')} | {arm} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table and write the picture."""
    problems = [quadratic(), logistic()]
    curves: dict[str, dict[str, dict[int, float]]] = {}
    for problem in problems:
        curves[problem.title] = {}
        for arm in ARMS:
            runs = [excess(problem, arm, seed) for seed in (SEEDS if "exact" not in arm else [0])]
            curves[problem.title][arm] = {s: mean(run[s] for run in runs) for s in runs[0]}
    print(table(curves))
    screenshot(figure(curves, problems), PATH)


if __name__ == "__main__":
    main()
