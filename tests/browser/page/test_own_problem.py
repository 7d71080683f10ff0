"""A network, a data set and a loss of one's own, as CONTRIBUTING writes them, in the browser."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from person import becomes, enter, fill, points, press, press_run, run_row, setting, small
from playwright.sync_api import Page, expect
from served import ServedLab

GUIDE = Path(__file__).parents[3] / "CONTRIBUTING.md"
PLAIN = '''
import torch
from torch import nn


class PlainModule(nn.Module):
    """A module that knows nothing of the lab."""

    def __init__(self, in_features: int, num_classes: int, width: int = 12):
        super().__init__()
        self.flatten = nn.Flatten()
        self.hidden = nn.Sequential(nn.Linear(in_features, width), nn.ReLU())
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.head(self.hidden(self.flatten(x)))
'''


FIGURE = '''
from dataclasses import dataclass

import plotly.graph_objects as go

from gradlab import Figure


@dataclass(frozen=True)
class LossOverSteps(Figure):
    """The training loss, as it is."""

    def figure(self, source, run):
        (loss,) = [s for s in source.series(run) if s.metric == "train/loss"]
        points = source.points(loss.id, max=1000)
        return go.Figure(go.Scatter(x=points.steps, y=points.values, name="own loss"))
'''


def examples() -> dict[str, str]:
    """The three plug-in files of the guide, by the class that each defines."""
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    names = ("SmallResidual", "Shapes", "Focal")
    return {name: block for block in blocks for name in names if f"class {name}(" in block}


def shapes() -> dict[str, np.ndarray]:
    """Bars that lie and stand, and squares, in noise."""
    rng, y = np.random.default_rng(0), np.arange(600) % 3
    x = 0.2 * rng.random((600, 1, 8, 8), np.float32)
    x[y == 0, :, 3:5, :] += 0.8
    x[y == 1, :, :, 3:5] += 0.8
    x[y == 2, :, 2:6, 2:6] += 0.8
    return {"x": x, "y": y}


@pytest.fixture
def plugins(lab: ServedLab) -> Iterator[Path]:
    """The plug-in folder with the guide's three files, emptied afterwards."""
    folder = lab.home / "plugins"
    np.savez(folder / "shapes.npz", **shapes())
    for name, text in examples().items():
        (folder / f"{name.lower()}.py").write_text(text)
    yield folder
    for file in folder.glob("*.*"):
        file.unlink()
    with lab.client() as client:
        client.post("/catalogue/refresh", timeout=60)


def refresh(page: Page) -> None:
    setting(page, "Driver")  # its group has the button
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("status").filter(has_text="The plug-in folder was read")).to_be_visible(
        timeout=60_000
    )


def test_three_files_of_the_guide_run_together(page: Page, lab: ServedLab, plugins: Path) -> None:
    enter(page, lab.start_url, "/new")
    refresh(page)
    expect(page.locator("details.failure")).to_have_count(0)
    fill(page, Name="own problem", Network="Small residual", Loss="Focal")
    fill(page, Data_set="Shapes", Length="40", Width="4", Gamma="1.5")
    for file in ("smallresidual.py", "shapes.py", "focal.py"):
        digest = hashlib.sha256((plugins / file).read_bytes()).hexdigest()
        about = page.locator(".about").filter(has_text=f"From {plugins / file}")
        expect(about).to_contain_text(f"SHA-256 {digest[:12]}…")
    press_run(page)
    becomes(run_row(page, "own problem"), "finished")
    points(page, "cosine", "activity_forward_gradient")
    with lab.client() as client:
        run = client.get("/runs", params={"search": "own problem"}).json()["runs"][0]
    assert run["config"]["loss"] == {"name": "focal", "gamma": 1.5}
    assert run["config"]["network"] == {"name": "small_residual", "width": 4}
    assert {*run["facts"]["plugins"]} == {
        "dataset shapes", "network small_residual", "loss focal",
    }  # fmt: skip
    assert {row["stage"] for row in run["facts"]["layers"]} == {"stem", "block", "head"}


def test_a_plain_module_says_what_was_worked_out(page: Page, lab: ServedLab, plugins: Path) -> None:
    (plugins / "plain.py").write_text(PLAIN)
    (plugins / "twice.py").write_text(PLAIN)
    enter(page, lab.start_url, "/new")
    refresh(page)
    failure = page.locator("details.failure")
    failure.locator("summary").click()
    expect(failure).to_contain_text("the name 'plain_module' is taken by")
    fill(page, Name="plain module", Network="Plain module", Length="20")
    expect(page.get_by_text("Worked out by the lab:")).to_have_text(
        "Worked out by the lab: its stages are its layers: flatten, hidden, head; sites stand "
        "before hidden.1; in_features, num_classes are filled in from the data set."
    )
    press_run(page)
    becomes(run_row(page, "plain module"), "finished")


def test_what_does_not_fit_is_said_beside_the_network(
    page: Page, lab: ServedLab, plugins: Path, expected: list[str]
) -> None:
    expected.append("422 (Unprocessable Entity)")
    (plugins / "plain.py").write_text(PLAIN.replace("width, num_classes)\n", "width, 7)\n"))
    enter(page, lab.start_url, "/new")
    refresh(page)
    fill(page, Name="misfit", Network="Plain module", Length="20")
    press(page)
    problem = page.locator(".problem").filter(has_text="the network's output")
    said = "has shape (2, 7); this data set and this loss need (2, 10)"
    expect(problem).to_contain_text(said, timeout=20_000)  # the network is made to be tried


def test_a_figure_of_a_plugin_stands_among_the_charts_of_a_run(
    page: Page, lab: ServedLab, plugins: Path, expected: list[str]
) -> None:
    expected.append("422 (Unprocessable Entity)")
    failing = FIGURE.replace("LossOverSteps", "Failing").replace("(loss,)", "(loss, other)")
    (plugins / "own.py").write_text(FIGURE)
    (plugins / "failing.py").write_text(failing)
    enter(page, lab.start_url, "/new")
    refresh(page)
    small(page, "with own figure", 30)
    press_run(page)
    becomes(run_row(page, "with own figure"), "finished")
    points(page, "own-loss-over-steps", "own loss", least=30)
    expect(page.get_by_role("heading", name="Your figures")).to_be_visible()
    failed = page.locator("#chart-own-failing")
    failed.scroll_into_view_if_needed()
    expect(failed).to_contain_text("failing.py, line 14")
    expect(failed.locator(".plot-box")).to_be_hidden()
