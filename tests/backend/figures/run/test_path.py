"""The path on a surface: what is drawn, and what is said of the rest."""

import json

import numpy as np
import pytest

from backend.figures import Memory, MemoryRun, draw, note_text
from backend.surfaces import SURFACES, value

STEPS = np.arange(3001)


def add(source, run_id, number, driver, surface, way):
    labels = {"driver": driver, "shadows": []}
    config = {"dataset": {"name": "surface", **surface}}
    source.add_run(run_id, MemoryRun(number, f"run {number}", config, labels))
    for name, values in zip(("path/x0", "path/x1"), way, strict=True):
        source.add(run_id, name, STEPS, values)


@pytest.fixture
def source():
    source = Memory()
    towards = np.linspace(-1.2, 1, 3001), np.linspace(1, 1, 3001)
    add(source, "a", 1, "backprop", {"function": "rosenbrock"}, towards)
    add(source, "b", 2, "forward_gradient", {"function": "rosenbrock"}, towards)
    add(source, "c", 3, "backprop", {"function": "beale"}, towards)
    far = np.geomspace(1, 1e9, 3001)
    add(source, "d", 4, "spsa", {"function": "rosenbrock"}, (far, np.where(far > 1e6, np.inf, 1)))
    quadratic = {"function": "quadratic", "dimension": 5, "condition": 10.0}
    add(source, "e", 5, "backprop", quadratic, towards)
    return source


def named(drawn):
    return {trace["name"]: trace for trace in drawn["figure"]["data"]}


def test_each_run_is_a_line_between_start_and_minimum(source):
    drawn = draw("path", source, {"runs": "a,b", "max": "100"})
    traces = named(drawn)
    one, other = traces["backprop · #1 run 1"], traces["forward_gradient · #2 run 2"]
    assert (one["x"][0], one["x"][-1]) == (-1.2, 1)
    assert len(one["x"]) == 100
    assert one["text"][-1] == "step 3,000"
    assert one["line"]["color"] != other["line"]["color"]
    assert (traces["start"]["x"], traces["start"]["y"]) == ([-1.2], [1.0])
    assert (traces["minimum"]["x"], traces["minimum"]["y"]) == ([1.0], [1.0])
    assert (drawn["shown"], drawn["count"]) == (200, 6002)
    assert note_text(drawn) == "200 of 6,002 points, evenly spaced"


def test_the_contour_is_the_surface(source):
    contour = named(draw("path", source, {"runs": "a"}))["contour of log₁₀ f"]
    z = np.array(contour["z"])
    row, column = np.unravel_index(z.argmin(), z.shape)
    x = contour["x0"] + column * contour["dx"]
    y = contour["y0"] + row * contour["dy"]
    assert value("rosenbrock", x, y, 1) < 0.2
    for name, surface in SURFACES.items():
        (left, right), (low, high) = surface.window
        for a, b in (surface.start, surface.minimum):
            assert left <= a <= right, name
            assert low <= b <= high, name
        assert value(name, *surface.minimum, 100.0) == pytest.approx(0, abs=1e-12)


def test_what_is_sent_is_no_more_than_what_can_be_seen(source):
    rng = np.random.default_rng(0)
    add(source, "w", 8, "spsa", {"function": "rosenbrock"}, rng.uniform(-1, 1, (2, 3001)))
    figure = draw("path", source, {"runs": "w"})["figure"]
    line = next(t for t in figure["data"] if t["name"].startswith("spsa"))
    assert all(v == float(f"{v:.6g}") for v in (*line["x"], *line["y"]))
    assert len(json.dumps(figure)) < 140_000


def test_a_run_on_another_surface_is_named_and_left_out(source):
    drawn = draw("path", source, {"runs": "a,c"})
    assert "backprop · #3 run 3" not in named(drawn)
    assert "run #3 is on another surface and is not drawn" in note_text(drawn)


def test_a_diverging_run_does_not_squeeze_the_others(source):
    drawn = draw("path", source, {"runs": "a,d"})
    low, high = drawn["figure"]["layout"]["xaxis"]["range"]
    assert low >= -6
    assert high <= 6
    assert "run #4 leaves the view at step " in note_text(drawn)
    assert None in named(drawn)["spsa · #4 run 4"]["y"]


def test_runs_of_one_driver_are_told_apart(source):
    add(source, "f", 6, "backprop", {"function": "rosenbrock"}, (STEPS / 3000, STEPS / 3000))
    traces = named(draw("path", source, {"runs": "a,f"}))
    one, other = traces["#1 run 1"], traces["#6 run 6"]
    assert one["line"]["color"] != other["line"]["color"]
    assert one["line"]["dash"] != other["line"]["dash"]


def test_drivers_that_share_a_colour_are_told_apart_by_run(source):
    from backend.figures.drawing import style

    assert style.colour("frsf") == style.colour("forward_gradient")
    add(source, "g", 7, "frsf", {"function": "rosenbrock"}, (STEPS / 3000, STEPS / 3000))
    traces = named(draw("path", source, {"runs": "b,g"}))
    one, other = traces["forward_gradient · #2 run 2"], traces["frsf · #7 run 7"]
    assert one["line"]["color"] != other["line"]["color"]


def test_a_quadratic_says_which_axes_are_shown(source):
    layout = draw("path", source, {"runs": "e"})["figure"]["layout"]
    assert "5 dimensions, κ = 10" in layout["title"]["text"]
    assert "flattest" in layout["yaxis"]["title"]["text"]
    assert layout["yaxis"]["title"]["text"].startswith("x₄")


def test_a_run_without_a_surface_has_no_points(source):
    source.add_run("z", MemoryRun(9))
    assert draw("path", source, {"runs": "z"})["count"] == 0
