"""Carpets, lines by layer, small multiples: order, gaps, colours, many layers."""

import json

import numpy as np
import pytest

from backend.figures import FigureError, Memory, MemoryRun, draw, note_text


def traces(drawn):
    return drawn["figure"]["data"]


def deep(stages: int, probes: int) -> Memory:
    source = Memory()
    source.add_run("r1", MemoryRun(1, "deep", labels={"driver": "backprop", "shadows": []}))
    rng = np.random.default_rng(0)
    for i in range(stages):
        cosine = rng.uniform(-1, 1, probes)
        source.add(
            "r1", "cosine", 4 * np.arange(probes), cosine, layer=f"s{i}", estimator="backprop"
        )
    return source


@pytest.mark.parametrize(
    ("level", "rows"),
    [
        ("stage", ["hidden1", "hidden2", "head"]),
        (
            "tensor",
            [f"{s}.linear.{p}" for s in ("hidden1", "hidden2", "head") for p in ("weight", "bias")],
        ),
    ],
)
def test_rows_are_layers_in_network_order_columns_probed_steps(source, level, rows):
    (trace,) = traces(draw("carpet", source, {"runs": "r1", "level": level}))
    assert trace["y"] == rows
    assert trace["x"] == [float(x) for x in range(0, 800, 16)]


@pytest.mark.parametrize(
    ("largest", "reach"),
    [(0.0051, 0.01), (0.01, 0.01), (-0.014, 0.02), (0.3, 0.5), (0.7, 1), (2e-7, 2e-7), (0, 1)],
)
def test_alignment_is_on_a_diverging_scale_as_far_as_it_reaches(empty, largest, reach):
    empty.add("r1", "cosine", [0, 4], [0.0, largest], layer="a", estimator="forward_gradient")
    empty.add("r1", "cosine", [0, 4], [1.0, 1.0], layer="b", estimator="forward_gradient")
    drawn = draw("carpet", empty, {"runs": "r1", "range": "auto"})
    (trace,) = traces(drawn)
    assert (trace["zmin"], trace["zmax"]) == (-reach, reach)
    assert [stop for stop, _ in trace["colorscale"]] == [0, 0.5, 1]
    assert trace["colorbar"]["tickvals"][::2] == [-reach, 0, reach]
    assert f"colour range ±{reach:g}" in note_text(drawn)
    assert ("exact, shown in the last colour of the range: b" in note_text(drawn)) == (reach != 1)
    assert trace["z"][1] == [1.0, 1.0]


def test_the_full_range_of_a_cosine_can_be_asked_for(empty):
    empty.add("r1", "cosine", [0], [0.01], layer="a", estimator="forward_gradient")
    drawn = draw("carpet", empty, {"runs": "r1", "range": "full"})
    assert traces(drawn)[0]["zmax"] == 1
    with pytest.raises(FigureError, match="range is 'half'; allowed are shared, auto, full"):
        draw("carpet", empty, {"runs": "r1", "range": "half"})


def test_carpets_of_a_run_share_one_scale_of_colours(source):
    """Ranges of ±0.05, ±0.2 and ±0.5 stood side by side."""
    source.add("r1", "cosine", [0], [1e-3], layer="hidden1", estimator="tiny")
    for metric in ("cosine", "relative_variance", "relative_squared_bias"):
        scales = set()
        for label in ("forward_gradient", "direct_feedback_alignment", "tiny"):
            if metric != "cosine" and label == "tiny":
                continue
            query = {"runs": "r1", "metric": metric, "estimator": label}
            trace = traces(draw("carpet", source, query))[0]
            scales.add((trace["zmin"], trace["zmax"], str(trace["colorbar"]["ticktext"])))
        assert len(scales) == 1


def test_alignment_has_a_shade_a_decade_and_its_own_value_on_hover(empty):
    values = [0.0, 0.01, 0.1, 1.0, -0.1]
    empty.add("r1", "cosine", range(5), values, layer="a", estimator="forward_gradient")
    (trace,) = traces(draw("carpet", empty, {"runs": "r1"}))
    assert trace["customdata"] == [values]
    zero, hundredth, tenth, whole, negative = trace["z"][0]
    assert (zero, whole, negative) == (0, pytest.approx(trace["zmax"], abs=1e-3), -tenth)
    assert whole - tenth == pytest.approx(tenth - hundredth, abs=5e-3)
    middle = trace["colorscale"][1]
    assert middle == [0.5, "#e8eaeb"], "which pages turn dark in the dark"


def test_variance_is_viridis_on_log10_with_raw_values_on_hover(source):
    trace = traces(draw("carpet", source, {"runs": "r1", "metric": "relative_variance"}))[0]
    assert np.allclose(trace["z"], np.log10(trace["customdata"]))
    assert "customdata" in trace["hovertemplate"]


def test_zeros_on_a_log_scale_are_grey_cells_that_say_so(source):
    query = {"runs": "r1", "metric": "relative_variance", "estimator": "backprop"}
    _, grey = traces(draw("carpet", source, query))
    assert {cell for row in grey["text"] for cell in row} == {"exactly 0"}


def test_dead_layers_are_gaps_that_say_so_and_what_was_not_probed_stays_blank(empty):
    empty.add("r1", "cosine", [0, 4, 8], [0.1, np.nan, np.inf], layer="a", estimator="backprop")
    empty.add("r1", "cosine", [0, 8], [0.1, 0.2], layer="b", estimator="backprop")
    shown, grey = traces(draw("carpet", empty, {"runs": "r1", "range": "full"}))
    assert shown["z"] == [[0.1, None, None], [0.1, None, 0.2]]
    assert grey["text"][0][0] is None
    assert grey["text"][0][1].startswith("no value: NaN (a dead layer")
    assert grey["text"][0][2] == "infinite"
    assert grey["text"][1] == [None] * 3


def test_two_hundred_layers_stay_readable_and_light():
    drawn = draw("carpet", deep(200, 600), {"runs": "r1"})
    axis = drawn["figure"]["layout"]["yaxis"]
    assert len(axis["ticktext"]) <= 40
    assert len(traces(drawn)[0]["y"]) == 200
    assert note_text(drawn).startswith("100,000 of 120,000 points, evenly chosen")
    assert len(json.dumps(drawn)) < 3_000_000


def test_layers_named_like_numbers_stay_names(empty):
    empty.add("r1", "cosine", [0], [0.5], layer="10", estimator="backprop")
    layout = draw("carpet", empty, {"runs": "r1"})["figure"]["layout"]
    assert layout["yaxis"]["type"] == "category"


def test_a_line_a_layer_up_to_forty_then_bands():
    few = draw("layers", deep(40, 5), {"runs": "r1"})
    assert [one["name"] for one in traces(few)] == [f"s{i}" for i in range(40)]
    many = draw("layers", deep(41, 5), {"runs": "r1"})
    names = {one["name"] for one in traces(many)}
    assert names == {"lowest to highest of 41", "10 % to 90 % of 41", "median of 41"}
    assert note_text(many) == "bands over 41 stages, not intervals"


def test_bands_skip_probes_without_a_value(empty):
    for i in range(41):
        empty.add("r1", "cosine", [0, 1], [np.nan, 0.5], layer=f"s{i}", estimator="backprop")
    assert {tuple(one["x"]) for one in traces(draw("layers", empty, {"runs": "r1"}))} == {(1.0,)}


def test_a_panel_a_stage_each_estimator_named_once(source):
    drawn = draw("layer_panels", source, {"runs": "r1"})
    assert len(traces(drawn)) == 12
    assert sum(one["showlegend"] for one in traces(drawn)) == 4
    assert {one["yaxis"] for one in traces(drawn)} == {"y", "y2", "y3"}
    headings = [one["text"] for one in drawn["figure"]["layout"]["annotations"]]
    assert headings == ["hidden1", "hidden2", "head"]


def test_no_more_panels_than_forty_lines_fill():
    drawn = draw("layer_panels", deep(50, 3), {"runs": "r1"})
    assert len(traces(drawn)) == 40
    assert "40 of 50 stages; the carpet shows all" in note_text(drawn)
