"""Every figure is listed, drawn, empty and in progress; questions are refused in words."""

import json
import subprocess
import sys

import pytest

from backend.figures import FigureError, Memory, catalogue, draw

NAMES = [one["name"] for one in catalogue()["figures"]]
OF_DRAWS = {
    "adjoint_cost_table", "adjoint_costs", "adjoint_map", "advice", "anatomy", "best_rates",
    "budget", "cloud", "convergence", "depth_utility", "descent_condition", "histogram",
    "loss_change", "sweep", "verdict", "what_if",
}  # fmt: skip
"""They have nothing to draw in a training run."""
OF_SOME = OF_DRAWS | {"guess_target_grid", "logged", "solver"}
"""They have nothing to draw of estimators without a guess, networks without an equilibrium, or runs
of the lab's own."""


def test_figures_are_found_by_walking_the_package():
    assert {"bias_variance", "carpet", "layer_panels", "curve", "layers", "path", "ranking"} <= {
        *NAMES
    }
    assert {*NAMES} >= OF_DRAWS
    for one in catalogue()["figures"]:
        assert one["title"]
        assert one["help"].endswith(".")
        assert one["parameters"][0] == "runs"
        assert one["reading"].endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_empty_run_says_no_points_yet(name, empty):
    drawn = draw(name, empty, {"runs": "r1"})
    assert (drawn["shown"], drawn["count"]) == (0, 0)
    assert "no points yet" in [one["text"] for one in drawn["figure"]["layout"]["annotations"]]
    json.dumps(drawn, allow_nan=False)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OF_SOME])
@pytest.mark.parametrize(
    "metric", ["cosine", "relative_variance", "relative_squared_bias", "scaled_error"]
)
def test_run_in_progress_is_drawn_as_plain_json(name, metric, source):
    drawn = draw(name, source, {"runs": "r1", "metric": metric, "layer": ""})
    assert drawn["figure"]["data"]
    assert 0 < drawn["shown"] <= drawn["count"]
    assert json.loads(json.dumps(drawn, allow_nan=False)) == drawn


@pytest.mark.parametrize("name", NAMES)
def test_no_colour_of_a_theme_is_set(name, source):
    layout = draw(name, source, {"runs": "r1"})["figure"]["layout"]
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == "rgba(0,0,0,0)"
    assert "layout" not in layout["template"]
    assert "color" not in layout.get("font", {})
    assert not any("gridcolor" in value for value in layout.values() if isinstance(value, dict))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({}, "no runs were named"),
        ({"runs": " , "}, "no runs were named"),
        ({"runs": "r1", "metric": "cosin"}, "no metric 'cosin'"),
        ({"runs": "r1", "metric": "loss"}, "no metric 'loss'"),
        ({"runs": "r1", "metric": "estimator/"}, "no metric 'estimator/'"),
        ({"runs": "r1", "max": "1001"}, "max is '1001'; allowed is a whole number from 2 to 1000"),
        ({"runs": "r1", "max": "²"}, "max is '²'"),
        ({"runs": "r1", "first": "-1"}, "first is '-1'"),
        ({"runs": "r1", "x": "flops"}, "x is 'flops'; allowed are step, examples"),
        ({"runs": "r1", "level": "neuron"}, "level is 'neuron'; allowed are stage, tensor"),
        ({"runs": "r1", "smoothing": "1"}, "unknown parameter 'smoothing'; allowed are runs"),
    ],
)
def test_wrong_questions_are_refused_in_words(query, words, source):
    with pytest.raises(FigureError, match=words.replace("(", r"\(")):
        draw("curve", source, query)


def test_unknown_figure_run_and_estimator(source):
    with pytest.raises(
        FigureError,
        match="no figure 'pie'; there are adjoint_cost_table, adjoint_costs, adjoint_map, advice",
    ):
        draw("pie", source, {"runs": "r1"})
    with pytest.raises(LookupError, match="no run 'r9'"):
        draw("curve", source, {"runs": "r9"})
    with pytest.raises(FigureError, match="no estimator 'x'; it has forward_gradient, backprop"):
        draw("carpet", source, {"runs": "r1", "estimator": "x"})


def test_import_loads_neither_torch_nor_plotly_nor_a_database():
    heavy = "torch plotly sqlalchemy pyarrow"
    code = (
        f"import backend.figures, sys; print(*[m for m in '{heavy}'.split() if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""


def test_memory_answers_like_a_store(source: Memory):
    points = source.points(1, first=10, last=19)
    assert points.steps.tolist() == list(range(10, 20))
    assert points.count == 10
    thinned = source.points(1, max=100)
    assert len(thinned.steps) <= 100
    assert thinned.count == 2000


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [1.7e308, -1.7e308, 5e-324, float("inf"), float("nan")])
def test_extreme_values_are_drawn(name, value, empty):
    extreme = ("relative_variance", "relative_squared_bias", "cosine")
    for metric in extreme:
        for layer in ("", "hidden1"):
            values = [1.0, value, value, 0.0]
            empty.add("r1", metric, range(4), values, layer=layer, estimator="backprop")
    shown = ("cosine",) if name == "histogram" else extreme
    for metric in shown:
        drawn = draw(name, empty, {"runs": "r1", "metric": metric, "window": "2"})
        json.dumps(drawn, allow_nan=False)
