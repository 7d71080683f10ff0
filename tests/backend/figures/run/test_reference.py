"""What compares with a gradient that is rounding is hatched and in no mean; null bands."""

import numpy as np
import pytest

from backend.figures import Memory, MemoryRun
from backend.figures.data.query import parse
from backend.figures.microscope import histogram, measures_table
from backend.figures.run import (
    alignment_by_depth,
    bias_variance,
    carpet,
    curve,
    layer_panels,
    layers,
    paired,
    ranking,
)
from estimators.statistics.reference import RULE, error_null, null_band

STEPS = np.arange(4)
FLOORS = np.array([0.01, 0.2, 0.01, 0.2])
"""Of a gradient of norm 1: it is rounding at the steps 1 and 3."""


def source_of(labels=("a", "b"), norm=1.0):
    """Two stages of which "deep" is rounding at two of four probes, where its measures are 0.9."""
    source = Memory()
    facts = {"layers": [{"name": f"{s}.w", "stage": s} for s in ("deep", "head")]}
    config = {"seed": 0, "probe": {"draws": 16}}
    run = MemoryRun(1, "a run", config, {"driver": labels[0], "shadows": labels[1:]}, facts=facts)
    source.add_run("r1", run)
    for layer in ("", "deep", "head"):
        source.add("r1", "exact/norm", STEPS, np.full(4, norm), layer=layer)
        floors = FLOORS if layer == "deep" else FLOORS.min() * np.ones(4)
        source.add("r1", "reference/floor", STEPS, floors, layer=layer)
        for label in labels:
            high = np.where((FLOORS > 0.1) & (layer == "deep"), 0.9, 0.1)
            for name in ("cosine", "scaled_error", "relative_variance", "relative_squared_bias"):
                source.add("r1", name, STEPS, high, layer=layer, estimator=label)
            source.add("r1", "cosine_null", STEPS, np.full(4, 0.05), layer=layer, estimator=label)
            source.add("r1", "snr", STEPS, high, layer=layer, estimator=label)
    return source


def query(**given):
    return parse({"runs": "r1", "metric": "cosine", **{k: str(v) for k, v in given.items()}})


def hatched(figure):
    return [trace for trace in figure.data if (trace.meta or {}).get("role") == hatch_name()]


def hatch_name():
    return "gradient is rounding"


def notes(figure):
    return "; ".join([*figure.layout.meta["note"], *figure.layout.meta["details"]])


def test_a_curve_is_hatched_where_its_layer_is_rounding():
    figure = curve.figure(source_of(), query(layer="deep"))
    marks = hatched(figure)
    assert [list(trace.x) for trace in marks] == [[1, 3], [1, 3]]
    assert [trace.showlegend for trace in marks] == [True, False]
    assert f"{RULE} in deep at 2 of 4 probes: hatched, and left out of means" in notes(figure)
    assert not hatched(curve.figure(source_of(), query(layer="head")))
    assert RULE not in notes(curve.figure(source_of(), query(layer="head")))
    # The SNR is of the estimator alone.
    assert not hatched(curve.figure(source_of(), query(layer="deep", metric="snr")))


def test_a_hatched_line_is_drawn_anew_instead_of_growing():
    figure = curve.figure(source_of(), query(layer="deep", metric="scaled_error"))
    assert all("series" not in trace.meta for trace in figure.data)
    figure = curve.figure(source_of(), query(layer="head", metric="scaled_error"))
    assert all("series" in trace.meta for trace in figure.data)


def test_a_cosine_has_its_null_band():
    figure = curve.figure(source_of(), query(layer="head"))
    bands = [trace for trace in figure.data if trace.meta.get("role") == "null"]
    assert len(bands) == 2
    assert bands[0].y == pytest.approx([0.098] * 4 + [None] + [-0.098] * 4)
    assert bands[0].customdata == pytest.approx([0.098] * 4 + [None] + [-0.098] * 4)
    assert bands[0].line.color == figure.data[0].line.color
    assert not bands[0].showlegend
    assert "null band" in notes(figure)
    figure = curve.figure(source_of(), query(layer="head", metric="scaled_error"))
    assert all(trace.meta.get("role") != "null" for trace in figure.data)
    assert "null band" not in notes(figure)


def test_on_a_scale_that_is_not_linear_the_band_is_where_its_numbers_are():
    figure = curve.figure(source_of(), query(layer="head", scale="asinh"))
    (line,) = [trace for trace in figure.data if trace.name == "a"]
    band = next(trace for trace in figure.data if trace.meta.get("role") == "null")
    assert list(line.customdata) == [0.1] * 4
    assert band.y[0] < line.y[0]
    assert band.y[0] != pytest.approx(0.098)
    assert band.y[0] / line.y[0] == pytest.approx(0.98, rel=0.05)


def test_means_over_probes_leave_hatched_points_out():
    figure = alignment_by_depth.figure(source_of(), query())
    line = figure.data[0]
    assert dict(zip(line.x, line.customdata, strict=True)) == {"deep": 0.1, "head": 0.1}
    assert not hatched(figure)
    assert "in deep at 2 of 4 probes" in notes(figure)


def test_by_depth_a_layer_without_any_other_point_is_hatched():
    figure = alignment_by_depth.figure(source_of(), query(window=1))
    line = figure.data[0]
    assert dict(zip(line.x, line.customdata, strict=True)) == {"deep": 0.9, "head": 0.1}
    assert [list(trace.x) for trace in hatched(figure)] == [["deep"], ["deep"]]
    bands = [trace for trace in figure.data if trace.meta.get("role") == "null"]
    assert bands[0].y == pytest.approx((None, 0.098, None, None, -0.098))


def test_a_ranking_pools_what_is_not_hatched():
    figure = ranking.figure(source_of(), query(layer="deep"))
    assert [trace.x[0] for trace in figure.data] == [0.1, 0.1]
    figure = ranking.figure(source_of(), query(layer="deep", window=1))
    assert all(trace.x[0] is None for trace in figure.data)
    assert "gradient is rounding" in figure.layout.annotations[0].text


def test_pairs_and_the_plane_leave_it_out():
    source = source_of()
    figure = paired.figure(source, query(layer="deep"))
    assert "2 probes" in str(figure.to_dict())
    plane = bias_variance.figure(source, query(layer="deep"))
    points = [trace for trace in plane.data if trace.x and 0.9 in trace.x]
    assert not points


@pytest.mark.parametrize("figure_of", [layers, layer_panels, carpet])
def test_figures_of_layers_hatch_the_same_points(figure_of):
    figure = figure_of.figure(source_of(), query())
    marks = hatched(figure)
    assert {x for trace in marks for x in trace.x} == {1, 3}
    assert "in deep at 2 of 4 probes" in notes(figure)
    assert not hatched(figure_of.figure(source_of(norm=100.0), query()))


def test_a_microscope_is_hatched_as_a_whole():
    source = source_of(labels=("a",))
    config = {"microscope": {"draws": 64}}
    source.add_run("m1", MemoryRun(2, "m", config, {"driver": "a", "shadows": []}))
    source.add("m1", "exact/norm", [0], [1.0], layer="deep")
    source.add("m1", "reference/floor", [0], [0.5], layer="deep")
    source.add("m1", "cosine", [8, 16], [0.1, 0.2], layer="deep", estimator="a")
    figure = curve.figure(source, query(runs="m1", layer="deep"))
    assert [list(trace.x) for trace in hatched(figure)] == [[8, 16]]
    assert f"{RULE} in deep: hatched" in notes(figure)


def test_runs_of_before_have_neither():
    source = Memory()
    source.add_run("r1", MemoryRun(1, "old", {}, {"driver": "a", "shadows": []}))
    source.add("r1", "exact/norm", [0, 1], [1e-30, 1e-30])
    source.add("r1", "cosine", [0, 1], [0.1, 0.2], estimator="a")
    figure = curve.figure(source, query())
    assert len(figure.data) == 1
    assert figure.layout.meta["note"] == []


def test_no_null_is_wider_than_its_measure_can_be():
    assert null_band(0.0, 0.1) == pytest.approx((-0.196, 0.196))
    assert null_band(0.0, 0.9) == (-1.0, 1.0)
    assert null_band(1.0, 0.01) == pytest.approx((0.9804, 1.0))
    assert error_null(0.0, 0.1) == pytest.approx(1 - 0.1645**2)
    assert (error_null(-0.9, 0.1), error_null(0.9, 0.9)) == (1.0, 0.0)
    assert np.isnan([*null_band(0.0, np.nan), error_null(0.0, np.nan)]).all()


def redrawn_source():
    """A microscope with redrawn feedback of "a", and of "b" the signs of units alone."""
    source = source_of()
    config = {"microscope": {"draws": 64}}
    source.add_run("m1", MemoryRun(2, "m", config, {"driver": "a", "shadows": ["b"]}))
    for label in ("a", "b"):
        numbers = {"cosine": 0.4, "cosine_null": 0.1, "scaled_error": 0.8}
        numbers |= {"scaled_error_null": 0.97}
        if label == "a":
            numbers |= {"redrawn/cosine": 0.2, "redrawn/cosine_sd": 0.05}
            numbers |= {"redrawn/scaled_error": 0.92}
        for name, value in numbers.items():
            source.add("m1", name, [64], [value], layer="head", estimator=label)
        draws = np.linspace(0.3, 0.5, 64)
        source.add("m1", "draw/cosine", range(64), draws, layer="head", estimator=label)
    return source


def nulls(figure):
    return [trace for trace in figure.data if (trace.meta or {}).get("role") == "null"]


@pytest.mark.parametrize("figure_of", [curve, alignment_by_depth])
def test_a_null_by_redrawn_feedback_goes_before_that_by_signs(figure_of):
    ask = {"runs": "m1", "layer": "head"} if figure_of is curve else {"runs": "m1"}
    figure = figure_of.figure(redrawn_source(), query(**ask))
    ends = [[v for v in trace.customdata if v is not None] for trace in nulls(figure)]
    assert ends[0] == pytest.approx([0.298, 0.102])
    assert ends[1] == pytest.approx([0.196, -0.196])
    assert "by up to 64 redraws of the feedback where there is some, else by random" in notes(
        figure
    )
    figure = figure_of.figure(redrawn_source(), query(**ask, metric="scaled_error"))
    ends = [[v for v in trace.customdata if v is not None] for trace in nulls(figure)]
    assert ends == [[0.92], [0.97]]
    assert "null, 95 % of scaled errors are above it" in notes(figure)


def test_an_exact_estimate_has_no_null():
    source = redrawn_source()
    for name, value in (("cosine", 1.0), ("scaled_error", 0.0)):
        source.add("m1", name, [128], [value], layer="head", estimator="b")
        figure = alignment_by_depth.figure(source, query(runs="m1", metric=name))
        assert len(nulls(figure)) == 1


def test_histograms_and_tables_have_the_null_too():
    ask = {"runs": "m1", "layer": "head"}
    figure = histogram.figure(redrawn_source(), query(**ask, metric="draw/cosine"))
    marks = [trace.x[0] for trace in figure.data if trace.name.endswith("null")]
    assert marks == pytest.approx([0.298, 0.102, 0.196, -0.196])
    figure = measures_table.figure(redrawn_source(), parse({"runs": "m1", "layer": "head"}))
    columns = dict(zip(figure.data[0].header.values, figure.data[0].cells.values, strict=True))
    assert list(columns["by chance"]) == ["0.1 … 0.3", "> 0.92", "−0.2 … 0.2", "> 0.97"]
