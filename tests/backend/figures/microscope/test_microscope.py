"""The microscope's figures on draws whose moments are known."""

import json
from typing import Any

import numpy as np
import pytest

from backend.figures import FigureError, Memory, MemoryRun, draw, note_text
from backend.figures.data import draws, standard_errors
from backend.figures.data.query import parse
from backend.figures.data.select import lines
from backend.figures.microscope.histogram import bins

FORWARD, DFA = "forward_gradient", "direct_feedback_alignment"
N = 2000


def microscope(values: list[Any] | None = None, field: str = "tangents") -> Memory:
    """N draws: one of mean g and variance 100 ‖g‖², one biased by 0.5 ‖g‖ with variance 1."""
    source = Memory()
    sweep = {"field": field, "values": values} if values else None
    config = {"microscope": {"run": "r0", "step": 8, "draws": N, "sweep": sweep}}
    labels = {"driver": FORWARD, "shadows": [DFA]}
    source.add_run("m1", MemoryRun(2, "seen", config=config, labels=labels))
    rng = np.random.default_rng(0)
    at = np.arange(N)
    for label, along, across in [(FORWARD, 2.0, 10.0), (DFA, 0.1, 1.0)]:
        x, y = 1 + along * rng.standard_normal(N), across * rng.standard_normal(N)
        source.add("m1", "draw/along", at, x, estimator=label)
        source.add("m1", "draw/across", at, y, estimator=label)
        source.add("m1", "draw/cosine", at, x / np.hypot(x, y), estimator=label)
        source.add("m1", "draw/norm_ratio", at, np.hypot(x, y), estimator=label)
    return source


def measured(source: Memory, label: str, variance: float, bias: float, last: int = N) -> None:
    k = [8, 64, last]
    for name, value in [("relative_variance", variance), ("relative_squared_bias", bias)]:
        source.add("m1", name, k, [value] * 3, estimator=label)
    source.add("m1", "relative_squared_bias_se", k, [0.01] * 3, estimator=label)
    source.add("m1", "relative_mse", k, [variance + bias] * 3, estimator=label)


def traces(drawn, **wanted):
    return [
        one for one in drawn["figure"]["data"] if all(one.get(k) == v for k, v in wanted.items())
    ]


def test_a_histogram_holds_every_draw_and_marks_mean_and_law():
    source = microscope()
    source.add("m1", "law/cosine", [N], [0.09], estimator=FORWARD)
    drawn = draw("histogram", source, {"runs": "m1"})
    assert [sum(one["y"]) for one in traces(drawn, type="bar")] == pytest.approx([1, 1])
    law = [one for one in traces(drawn, mode="lines") if one["line"]["dash"] == "dash"]
    assert [one["x"] for one in law] == [[0.09, 0.09]]
    assert drawn["count"] == 2 * N
    json.dumps(drawn, allow_nan=False)


@pytest.mark.parametrize(
    "name", ["histogram", "cloud", "measures_table", "convergence", "law_checks"]
)
def test_the_source_of_the_draws_is_told(name):
    source = microscope()
    measured(source, FORWARD, 100, 0)
    measured(source, DFA, 1, 0.25)
    assert "honest draws" in note_text(draw(name, source, {"runs": "m1"}))
    source.add("m1", "draw/oracle", [0], [1.0], estimator=FORWARD)
    source.add("m1", "draw/oracle", [0], [0.0], estimator=DFA)
    assert draws.how(source, [("m1", DFA)]) == "honest draws (by the estimator itself)"
    both = "oracle draws (computed from the exact gradient)"
    if name != "cloud":
        both += f", except for honest draws (by the estimator itself) of {DFA}"
    assert both in note_text(draw(name, source, {"runs": "m1"})).split("; ")


def test_a_sweep_tells_where_its_draws_are_honest():
    source = microscope([1, 4])
    for label in (FORWARD, DFA):
        source.add("m1", "sweep/relative_variance", [1, 4], [3.0, 2.0], estimator=label)
    source.add("m1", "sweep/draw/oracle", [1, 4], [1.0, 1.0], estimator=FORWARD)
    source.add("m1", "sweep/draw/oracle", [1, 4], [1.0, 0.0], estimator=DFA)
    note = note_text(draw("sweep", source, {"runs": "m1"}))
    assert (
        "oracle draws (computed from the exact gradient), except for honest draws "
        f"(by the estimator itself) of {DFA} at some values"
    ) in note.split("; ")


@pytest.mark.parametrize("name", ["norm_ratio", "draw/norm_ratio", "draw/along"])
def test_histograms_of_other_numbers_of_a_draw(name):
    assert draw("histogram", microscope(), {"runs": "m1", "metric": name})["count"] == 2 * N


def test_a_histogram_of_no_draws_metric_is_refused():
    with pytest.raises(FigureError, match="no draws of 'snr'; allowed are draw/cosine"):
        draw("histogram", microscope(), {"runs": "m1", "metric": "snr"})


@pytest.mark.parametrize("values", [[1.0] * 9, [1.0, 1.0 - 1e-15], [0.0], [0.0] * 5 + [1e9]])
def test_bins_of_equal_or_wild_draws(values):
    heights, edges = bins(np.array(values))
    assert heights.sum() == pytest.approx(1)
    assert len(edges) == len(heights) + 1 <= 61
    assert (np.diff(edges) > 0).all()


def test_draws_without_a_value_are_counted_and_not_drawn():
    source = microscope()
    source.add("m1", "draw/cosine", range(3), [np.nan, 0.5, np.inf], estimator="bad")
    source.add("m1", "draw/nonfinite", [8, 16], [1, 2], estimator="bad")
    source.add("m1", "draw/cosine", range(2), [np.nan] * 2, estimator="dead")
    note = note_text(draw("histogram", source, {"runs": "m1"}))
    assert "bad: 2 of 16 draws (12 %) were not finite and are left out" in note
    assert "dead: 2 draws have no value (the exact gradient is 0" in note


def test_the_cloud_shows_at_most_a_thousand_draws_and_the_gradient():
    drawn = draw("cloud", microscope(), {"runs": "m1"})
    (points,) = traces(drawn, name="draws")
    assert len(points["x"]) == 1000
    assert note_text(drawn).startswith("1,000 of 2,000 points, evenly chosen")
    (exact,) = traces(drawn, name="exact gradient")
    assert (exact["x"], exact["y"]) == ([1.0], [0.0])


def test_the_rings_of_a_normal_cloud_hold_what_they_say():
    (rings,) = traces(draw("cloud", microscope(), {"runs": "m1"}), type="contour")
    held, cells = np.array(rings["z"], float), np.ptp(rings["x"]) * np.ptp(rings["y"]) / 47**2
    area = (held <= 0.5).sum() * cells
    # Half of a normal pair lies within an ellipse of area 2π ln 2 · σ₁σ₂.
    assert area == pytest.approx(2 * np.pi * np.log(2) * 2 * 10, rel=0.15)


def test_exact_draws_have_no_rings():
    source = microscope()
    for name, value in [("draw/along", 1.0), ("draw/across", 0.0)]:
        source.add("m1", name, range(50), [value] * 50, estimator="backprop")
    drawn = draw("cloud", source, {"runs": "m1", "estimator": "backprop"})
    assert not traces(drawn, type="contour")
    assert "rings" not in note_text(drawn)


def test_a_dead_gradient_has_no_cloud_and_says_why():
    source = microscope()
    for name in ("draw/along", "draw/across"):
        source.add("m1", name, range(9), [np.nan] * 9, estimator="dead")
    drawn = draw("cloud", source, {"runs": "m1", "estimator": "dead"})
    assert not drawn["figure"]["data"]
    assert "dead: 9 draws have no value (the exact gradient is 0)" in note_text(drawn)


def test_the_error_of_the_mean_falls_by_its_law():
    source = microscope()
    measured(source, FORWARD, 100.0, 0.0)
    source.add("m1", "law/relative_variance", [N], [101.0], estimator=FORWARD)
    drawn = draw("convergence", source, {"runs": "m1"})
    points, law = drawn["figure"]["data"]
    assert dict(zip(points["x"], points["y"], strict=True)) == pytest.approx(
        {1: 100, 8: 100 / 8, 64: 100 / 64, N: 100 / N}
    )
    assert np.array(law["x"]) * law["y"] == pytest.approx(101)
    assert "dashed: by the law" in note_text(drawn)


def test_without_a_law_the_measured_moments_predict_and_the_exact_is_named():
    source = microscope()
    measured(source, DFA, 1.0, 0.25)
    measured(source, "backprop", 0.0, 0.0)
    drawn = draw("convergence", source, {"runs": "m1"})
    _, law = drawn["figure"]["data"]
    assert law["y"][-1] == pytest.approx(0.25 + 1 / N)
    assert f"without one ({DFA}, backprop)" in note_text(drawn)
    assert "backprop is exact: no error to draw" in note_text(drawn)


def test_a_sweep_stands_at_its_values_with_the_law_and_slopes():
    source = microscope([1, 4, 16])
    source.add("m1", "sweep/relative_variance", [1, 4, 16], [100, 25, 6.25], estimator=FORWARD)
    source.add("m1", "sweep/relative_variance_se", [1, 4, 16], [1, 1, 1], estimator=FORWARD)
    source.add("m1", "sweep/law/relative_variance", [1, 4, 16], [102, 25, 6], estimator=FORWARD)
    drawn = draw("sweep", source, {"runs": "m1"})
    honest, law = drawn["figure"]["data"]
    assert honest["x"] == [1, 4, 16]
    assert honest["error_y"]["array"] == pytest.approx([1.961] * 3, rel=1e-3)
    assert (law["line"]["dash"], law["legendgroup"]) == ("dash", honest["legendgroup"])
    assert drawn["figure"]["layout"]["xaxis"]["type"] == "log"
    # The last of the three points is the least sure by far.
    said = "slope of forward_gradient: measured −1.00 ± 0.03, law −1.02 (± 1 standard error)"
    assert said in note_text(drawn)


@pytest.mark.parametrize(
    ("values", "shown", "kind"),
    [([0.1, 0.5], [0.1, 0.5], "log"), (["a", "b"], ["a", "b"], "category"),
     ([True, False], ["True", "False"], "category"), ([0.0, 0.5], [0.0, 0.5], "linear")],
)  # fmt: skip
def test_values_that_are_no_whole_numbers_are_looked_up(values, shown, kind):
    source = microscope(values, "sigma")
    source.add("m1", "sweep/scaled_error", [0, 1], [0.5, 0.6], estimator=FORWARD)
    drawn = draw("sweep", source, {"runs": "m1", "metric": "scaled_error"})
    (one,) = drawn["figure"]["data"]
    assert one["x"] == shown
    assert drawn["figure"]["layout"]["xaxis"]["type"] == kind
    assert drawn["figure"]["layout"]["xaxis"]["title"]["text"] == "sigma"


def test_the_table_sets_the_law_beside_the_measure():
    source = microscope()
    source.add("m1", "cosine", [8, 256], [0.5, 0.12], estimator=FORWARD)
    source.add("m1", "law/cosine", [256], [0.10], estimator=FORWARD)
    source.add("m1", "snr", [256], [0.1], estimator=FORWARD)
    (table,) = draw("measures_table", source, {"runs": "m1"})["figure"]["data"]
    said = source.points(3).values.std(ddof=1) / N**0.5
    rows = [list(row) for row in zip(*table["cells"]["values"], strict=True)]
    off = f"✓ agrees: {0.02 / said:.1f} standard errors above, within the limit"
    assert rows[0] == [FORWARD, "Alignment (cosine)", "0.12", f"{said:.2g}", "", "0.1", off]
    assert rows[1] == [FORWARD, "Signal to noise", "0.1", "", "", "no law", "–"]


def test_standard_errors_are_those_of_repeated_measurements():
    rng = np.random.default_rng(1)
    x = 1 + 2 * rng.standard_normal((500, 200))
    square = x**2 + 9 * rng.standard_normal((500, 200)) ** 2
    of = {
        "relative_mse": (square - 2 * x + 1).mean(1),
        "scaled_error": 1 - x.mean(1) ** 2 / square.mean(1),
    }
    source = Memory()
    source.add_run("m1", MemoryRun(2, labels={"driver": FORWARD}))
    for name, values in [("along", x), ("norm_ratio", square**0.5), ("cosine", x / square**0.5)]:
        source.add("m1", f"draw/{name}", range(200), values[0], estimator=FORWARD)
    for name, measured_again in of.items():
        source.add("m1", name, [200], [measured_again[0]], estimator=FORWARD)
        (line,) = lines(source, parse({"runs": "m1"}), (name,))
        assert standard_errors.from_draws(source, line) == pytest.approx(
            measured_again.std(), rel=0.25
        )


def aligned(source: Memory, label: str, a: float, variance: float, across: float) -> None:
    """An estimator of mean (a, across) ‖g‖ and this variance, as its measures say it."""
    q = a**2 + across**2 + variance
    for name, value in [
        ("relative_variance", variance), ("relative_squared_bias", (1 - a) ** 2 + across**2),
        ("scaled_error", 1 - a**2 / q), ("cosine", np.sign(a) * 0.1), ("norm_ratio", 0.9 * q**0.5),
    ]:  # fmt: skip
        source.add("m1", name, [N], [value], estimator=label)


def place(drawn, label):
    (mark,) = traces(drawn, name=label, mode="markers", showlegend=True)
    return mark["text"][0]


@pytest.mark.parametrize("a", [3.0, 0.2])
def test_scaled_units_know_no_stretch(a):
    source = microscope()
    aligned(source, "short", 0.7, 0.49 * 5, 0.7 * 0.5)
    aligned(source, "any", a, a**2 * 5, a * 0.5)
    drawn = draw("bias_variance", source, {"runs": "m1"})
    for label in ("short", "any"):
        assert "relative variance 5<br>" in place(drawn, label)
        assert "relative squared bias 0.25 " in place(drawn, label)


def test_what_points_uphill_has_no_place_in_scaled_units():
    source = microscope()
    aligned(source, FORWARD, -2.0, 20.0, -1.0)
    for name, value in {"along": -2.0, "along_se": 0.1}.items():
        source.add("m1", name, [N], [value], estimator=FORWARD)
    scaled = draw("bias_variance", source, {"runs": "m1"})
    assert not list(traces(scaled, mode="markers"))
    assert "only a raw one: its mean does not point downhill" in note_text(scaled)
    raw = draw("bias_variance", source, {"runs": "m1", "units": "raw"})
    assert f"{FORWARD} points uphill" in note_text(raw)


def test_k_divides_the_variance_alone_and_tells_who_overtakes_whom():
    source = microscope()
    measured(source, FORWARD, 100.0, 0.0)
    measured(source, DFA, 1.0, 0.25)
    drawn = draw("bias_variance", source, {"runs": "m1", "units": "raw", "k": "16"})
    assert "K = 16<br>relative variance 6.25<br>relative squared bias 0 " in place(drawn, FORWARD)
    assert "relative variance 0.0625<br>relative squared bias 0.25 " in place(drawn, DFA)
    # (100 − 1) / 0.25
    assert f"{FORWARD} overtakes {DFA} from K = 396 on" in note_text(drawn)


def test_the_path_is_drawn_over_training_not_over_draws(source):
    def paths(runs, held):
        drawn = draw("bias_variance", held, {"runs": runs, "units": "raw", "window": "5"})
        return [one for one in traces(drawn, mode="lines") if "until step" in str(one.get("text"))]

    assert [len(one["x"]) for one in paths("r1", source)] == [10] * 4
    seen = microscope()
    measured(seen, FORWARD, 100.0, 0.0)
    assert not paths("m1", seen)


@pytest.mark.parametrize(
    "name",
    ["convergence", "measures_table", "bias_variance", "paired", "law_checks", "verdict", "cloud"],
)
def test_what_is_not_finite_is_counted_beside_every_figure(name):
    source = microscope()
    for label in (FORWARD, DFA):
        measured(source, label, 1.0, 0.0)
    source.add("m1", "verdict/biased", [N], [0.0], estimator=FORWARD)
    source.add("m1", "draw/nonfinite", [8, N], [1, 17], estimator=FORWARD)
    note = note_text(draw(name, source, {"runs": "m1"}))
    assert "forward_gradient: 17 of 2,000 draws (0.85 %) were not finite and are left out" in note


@pytest.mark.parametrize(
    "name",
    [
        *("convergence", "measures_table", "bias_variance", "paired", "histogram", "law_checks"),
        "verdict",
    ],
)
def test_a_layer_without_a_gradient_is_named_and_has_no_numbers(name):
    source = microscope()
    for label in (FORWARD, DFA):
        source.add("m1", "draw/cosine", [0, 1], [np.nan] * 2, layer="dead", estimator=label)
        source.add("m1", "verdict/biased", [N], [np.nan], layer="dead", estimator=label)
        for measure in ("relative_variance", "relative_squared_bias", "scaled_error"):
            source.add("m1", measure, [8, N], [np.nan] * 2, layer="dead", estimator=label)
    source.add("m1", "exact/norm", [0], [0.0], layer="dead")
    drawn = draw(name, source, {"runs": "m1", "layer": "dead"})
    json.dumps(drawn, allow_nan=False)
    legend = [one["name"] for one in drawn["figure"]["data"] if one["type"] == "scatter"]
    assert "the exact gradient is 0" in " ".join([note_text(drawn), *map(str, legend)])


def test_headings_stand_between_panels_and_not_on_ticks():
    layout = draw("histogram", microscope(), {"runs": "m1"})["figure"]["layout"]
    first, second = (one["text"] for one in layout["annotations"])
    assert first.count("<br>") == second.count("<br>") == 1
    assert second.startswith(f"<b>{DFA}</b><br>mean") or DFA in second
    room = layout["height"] - layout["margin"]["t"] - layout["margin"]["b"]
    gap = layout["yaxis"]["domain"][0] - layout["annotations"][1]["y"]
    assert gap * room > 50  # ticks below the first panel, and two lines above the second


def test_draws_that_are_all_alike_are_not_said_to_be_thinned():
    source = Memory()
    source.add_run("m1", MemoryRun(2, "seen", config={"microscope": {}}, labels={"driver": DFA}))
    source.add("m1", "draw/along", np.arange(3000), np.ones(3000), estimator=DFA)
    source.add("m1", "draw/across", np.arange(3000), np.zeros(3000), estimator=DFA)
    drawn = draw("cloud", source, {"runs": "m1"})
    note = note_text(drawn)
    assert drawn["figure"]["layout"]["xaxis"]["range"] == [0.4, 1.6]
    assert "every draw is the same" in note
    assert "evenly chosen" not in note


def test_what_overtakes_beyond_the_line_is_said_to():
    source = microscope()
    measured(source, FORWARD, 5000, 0)
    measured(source, DFA, 1, 0.25)
    note = note_text(draw("bias_variance", source, {"runs": "m1", "units": "raw"}))
    assert "from K = 19,996 on, each averaged over K draws (beyond the K = 4,096 that is" in note


def test_a_draw_far_out_leaves_the_cloud_its_range_and_is_marked():
    source, rng = Memory(), np.random.default_rng(0)
    config = {"microscope": {"run": "r0", "step": 8, "draws": 200}}
    source.add_run("m1", MemoryRun(2, "seen", config=config, labels={"driver": FORWARD}))
    x, y = 1 + rng.standard_normal(200), rng.standard_normal(200)
    x[7], y[7] = 4e3, -9e5
    for name, values in (("along", x), ("across", y)):
        source.add("m1", f"draw/{name}", np.arange(200), values, estimator=FORWARD)
    drawn = draw("cloud", source, {"runs": "m1"})
    layout = drawn["figure"]["layout"]
    left, right = layout["xaxis"]["range"]
    low, high = layout["yaxis"]["range"]
    assert right - left < 20
    assert high - low < 20
    (far,) = traces(drawn, name="beyond the range")
    assert (far["x"], far["y"]) == ([right], [low])
    assert far["text"] == ["along 4000<br>across -9e+05"]
    assert "1 draw beyond the range, marked at its edge" in note_text(drawn)
    x[7], y[7] = 1.0, 0.0
    source = microscope()
    assert "range" not in draw("cloud", source, {"runs": "m1"})["figure"]["layout"]["xaxis"]
