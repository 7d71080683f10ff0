"""Results against a varied field: which field, which lines, which panels, and the whiskers."""

import json
import math

import pytest

from backend.figures import as_json
from backend.figures.studies import study_curve
from backend.studies.measure import measure_of
from backend.studies.table import Cell, Row, StudyTable

ACCURACY = measure_of("test/accuracy")
TIME = measure_of("step_seconds")


def row(label, values, **fields):
    cells = [Cell(seed, "finished", value) for seed, value in enumerate(values)]
    return Row(label, {name.replace("__", "."): value for name, value in fields.items()}, cells)


def drawn(rows, varied, methods, measure=ACCURACY):
    method_of = {each.label: method for each, method in zip(rows, methods, strict=True)}
    answer = as_json(study_curve.figure(StudyTable(measure, rows), varied, method_of))
    json.dumps(answer, allow_nan=False)
    return answer["figure"]


def test_each_method_has_a_line_against_the_field():
    rows = [
        row("a, width 32", [0.9, 0.92], network__width=32),
        row("a, width 8", [0.5], network__width=8),
        row("b, width 8", [0.4], network__width=8),
        row("b, width 32", [0.6], network__width=32),
    ]  # fmt: skip
    figure = drawn(rows, ["network.width"], ["a", "a", "b", "b"])
    lines = {trace["name"]: trace for trace in figure["data"]}
    assert lines["a"]["x"] == [8, 32], "in the order of the field"
    assert lines["a"]["y"] == pytest.approx([50, 91])
    assert lines["b"]["y"] == pytest.approx([40, 60])
    # Student's quantile with one degree of freedom, 12.706, times the standard error, 1 point.
    assert lines["a"]["error_y"]["array"] == pytest.approx([0, 12.706], abs=0.001)
    assert figure["layout"]["xaxis"]["tickvals"] == [8, 32]
    assert figure["layout"]["xaxis"].get("type") != "log", "a factor of 4 alone"


def test_values_over_an_order_of_magnitude_are_on_a_log_axis():
    rows = [row(f"a, lr {v:g}", [0.5], lr=v) for v in (0.001, 0.1)]
    assert drawn(rows, ["lr"], ["a", "a"])["layout"]["xaxis"]["type"] == "log"
    rows = [row(f"a, lr {v:g}", [0.5], lr=v) for v in (0.0, 0.1)]
    assert drawn(rows, ["lr"], ["a", "a"])["layout"]["xaxis"].get("type") != "log"


def test_the_axis_is_the_first_field_that_is_a_number():
    rows = [
        row("x", [0.5], flag=True, depth=1), row("y", [0.6], flag=True, depth=2),
        row("z", [0.7], flag=False, depth=1), row("w", [0.8], flag=False, depth=2),
    ]  # fmt: skip
    assert study_curve.across(rows, ["flag", "depth"]) == "depth"
    figure = drawn(rows, ["flag", "depth"], ["m"] * 4)
    assert {trace["name"]: trace["y"] for trace in figure["data"]} == {
        "flag True": pytest.approx([50, 60]), "flag False": pytest.approx([70, 80]),
    }  # fmt: skip


def test_two_methods_and_a_second_field_have_a_panel_for_each_method():
    rows = [
        row(f"{m}, k {k}, damping {d}", [0.5], k=k, damping=d)
        for m in "ab" for k in (1, 2) for d in (0.5, 1.0)
    ]  # fmt: skip
    figure = drawn(rows, ["k", "damping"], [each.label[0] for each in rows])
    headings = [each["text"] for each in figure["layout"]["annotations"]]
    assert headings == ["a", "b"]
    assert {(trace["name"], trace["xaxis"]) for trace in figure["data"]} == {
        ("damping 0.5", "x"), ("damping 1", "x"), ("damping 0.5", "x2"), ("damping 1", "x2"),
    }  # fmt: skip
    shown = [trace["name"] for trace in figure["data"] if trace["showlegend"]]
    assert sorted(shown) == ["damping 0.5", "damping 1"], "each once in the legend"


def test_a_variant_without_results_leaves_a_gap():
    rows = [row("a, k 1", [], k=1), row("a, k 2", [0.5], k=2), row("a, k 3", [math.nan], k=3)]
    (line,) = drawn(rows, ["k"], ["a"] * 3)["data"]
    assert line["x"] == [2]


def test_a_whisker_that_would_reach_below_zero_ends_at_the_mean_on_a_log_scale():
    rows = [row("a, k 1", [1.0, 3.0], k=1), row("a, k 2", [100.0, 100.0], k=2)]
    figure = drawn(rows, ["k"], ["a", "a"], TIME)
    assert figure["layout"]["yaxis"]["type"] == "log"
    assert figure["data"][0]["error_y"]["arrayminus"] == [0, 0]


def test_a_study_without_a_numeric_field_has_no_axis():
    rows = [row("x", [0.5], kind="p"), row("y", [0.6], kind="q")]
    assert study_curve.across(rows, ["kind"]) == ""
