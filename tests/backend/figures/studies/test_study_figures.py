"""The figures of a study: what is drawn, marked and said, and that they fit in JSON."""

import json
import math

import pytest

from backend.figures import as_json, note_text
from backend.figures.studies import labels, study_matrix, study_verdicts, tuning_curve
from backend.studies.measure import measure_of
from backend.studies.table import Cell, Row, StudyTable
from backend.studies.tuning import TuningPlan, choose, next_points
from backend.studies.verdicts import verdicts

NAN = math.nan
ACCURACY, LOSS = measure_of("test/accuracy"), measure_of("test/loss")
VALIDATION = measure_of("validation/accuracy")
SEEDS = range(8)


def drawn(figure):
    answer = as_json(figure)
    json.dumps(answer, allow_nan=False)
    return answer


def traces(answer, **wanted):
    return [
        trace for trace in answer["figure"]["data"]
        if all(trace.get(key) == value for key, value in wanted.items())
    ]  # fmt: skip


def seeded(mean, spread):
    return {seed: mean + 0.01 * seed + spread * (-1) ** seed for seed in SEEDS}


VALUES = {
    "exact": {seed: 0.9 + 0.01 * seed for seed in SEEDS},
    "near": seeded(0.899, 0.02),
    "far": seeded(0.8, 0.01),
    "between": seeded(0.87, 0.01),
}


def test_verdicts_are_sorted_and_the_decided_ones_are_filled():
    made = verdicts(VALUES, ACCURACY, "exact")
    answer = drawn(study_verdicts.figure(made))
    marks = traces(answer, mode="markers")
    assert [trace["name"] for trace in marks] == ["near − exact", "between − exact", "far − exact"]
    assert [trace["x"][0] for trace in marks] == pytest.approx([-0.1, -3.0, -10.0])
    assert [trace["marker"]["symbol"] for trace in marks] == ["circle-open", "circle", "circle"]
    far = next(verdict for verdict in made if verdict.first == "far")
    assert marks[2]["error_x"]["array"] == pytest.approx([100 * far.half])
    joint = traces(answer, mode="lines")[2]
    assert joint["x"][1] - joint["x"][0] == pytest.approx(200 * far.joint_half)
    words = [label["text"] for label in answer["figure"]["layout"]["annotations"]]
    assert words[0].startswith("near · −0.1 points · &gt; 200 more seeds")
    assert words[2].startswith("far · −10.00 points · decided")
    note = note_text(answer)
    assert "2 of 3 comparisons decided; exact beats far by 10.00 points" in note


def test_an_advantage_is_on_the_side_that_the_axis_says():
    answer = drawn(study_verdicts.figure(verdicts(VALUES, LOSS, "exact")))
    assert traces(answer, mode="markers")[0]["name"] == "far − exact"
    assert "left is better" in answer["figure"]["layout"]["xaxis"]["title"]["text"]
    pairs = drawn(study_verdicts.figure(verdicts(VALUES, ACCURACY)))
    assert "right if the first is better" in pairs["figure"]["layout"]["xaxis"]["title"]["text"]


def test_comparisons_without_pairs_are_counted_and_of_many_the_clearest_are_drawn():
    made = verdicts({**VALUES, "to come": {}}, ACCURACY, "exact")
    answer = drawn(study_verdicts.figure(made))
    assert "1 comparison without a paired seed" in note_text(answer)
    assert len(traces(answer, mode="markers")) == 3
    many = {f"v{at}": seeded(0.9 - 0.001 * at, 0.02) for at in range(50)} | {
        "exact": VALUES["exact"]
    }
    answer = drawn(study_verdicts.figure(verdicts(many, ACCURACY, "exact")))
    shown = [trace["name"] for trace in traces(answer, mode="markers")]
    assert shown == [f"v{at} − exact" for at in range(10, 50)]
    assert "40 of 50 points, the clearest" in note_text(answer)
    with pytest.raises(ValueError, match="verdicts of test/accuracy, test/loss were given"):
        study_verdicts.figure([*made, *verdicts(VALUES, LOSS, "exact")])
    assert "no paired seeds yet" in str(drawn(study_verdicts.figure([])))


def tuned(values, metric, **more):
    plan = TuningPlan(tuple(values), (100,), 900, **{"higher_is_better": True, "widen": 0, **more})
    results = {}
    while trials := next_points(plan, results):
        for trial in trials:
            at = results.setdefault(trial.fraction, {}).setdefault(trial.point, {})
            at[100] = metric(*trial.point)
    return choose(plan, results)


def rise(value, also=None):
    return NAN if value > 5 else 0.5 + 0.1 * math.log10(value)


def test_a_tuning_curve_marks_the_choice_its_edge_and_what_diverged():
    choices = {
        "inside": tuned((0.1, 1.0, 10.0), rise),
        "edge": tuned((0.01, 0.1, 1.0), rise),
        "lost": tuned((10.0, 100.0), rise),
    }
    answer = drawn(tuning_curve.figure(choices, VALIDATION))
    lines = traces(answer, mode="lines+markers")
    assert [(line["name"], line["x"]) for line in lines] == [
        ("inside", [0.1, 1.0]), ("edge", [0.01, 0.1, 1.0]), ("lost", []),
    ]  # fmt: skip
    assert lines[0]["y"] == pytest.approx([40.0, 50.0])
    (ring,), (square,) = traces(answer, name="chosen"), traces(answer, name="chosen, at the edge")
    assert (ring["x"], ring["y"]) == ([1.0], pytest.approx([50.0]))
    assert (square["x"], square["marker"]["symbol"]) == ([1.0], "square-open")
    crosses = traces(answer, name="diverged")
    assert [cross["x"] for cross in crosses] == [[10.0], [10.0, 100.0]]
    # In a strip of their own, below the axis of the values.
    layout = answer["figure"]["layout"]
    assert {cross["yaxis"] for cross in crosses} == {"y2"}
    assert layout["yaxis2"]["domain"][1] < layout["yaxis"]["domain"][0]
    assert layout["xaxis"]["type"] == "log"
    note = note_text(answer)
    assert "1 choice at the edge of what was tried" in note
    assert "inside: rate 1, 50 %, the next larger rate diverged" in note
    assert "lost: every rate diverged: try smaller rates" in note
    named = [trace["showlegend"] for trace in answer["figure"]["data"]]
    assert sum(named) == 6


def test_points_that_halving_left_behind_are_hollow():
    choice = tuned([0.01, 0.1, 1.0], rise, halving=3)
    answer = drawn(tuning_curve.figure({"a": choice}, VALIDATION))
    (line,) = traces(answer, mode="lines+markers")
    assert [symbol.endswith("-open") for symbol in line["marker"]["symbol"]] == [True, True, False]
    assert line["text"] == ["<br>at 0.33 of the steps"] * 2 + [""]


def test_a_second_field_has_a_panel_for_each_variant():
    more = {"also": (0.5, 0.9), "also_field": "estimator.decay"}
    choices = {
        label: tuned((0.1, 1.0, 10.0), lambda value, decay: rise(value) - 0.1 * decay, **more)
        for label in ("a", "b")
    }
    answer = drawn(tuning_curve.figure(choices, VALIDATION))
    lines = traces(answer, mode="lines+markers")
    assert [(line["name"], line["yaxis"]) for line in lines] == [
        ("decay 0.5", "y"), ("decay 0.9", "y"), ("decay 0.5", "y2"), ("decay 0.9", "y2"),
    ]  # fmt: skip
    assert [ring["yaxis"] for ring in traces(answer, name="chosen")] == ["y", "y2"]
    assert {cross["yaxis"] for cross in traces(answer, name="diverged")} == {"y3", "y4"}
    assert [a["text"] for a in answer["figure"]["layout"]["annotations"]] == ["a", "b"]
    assert "a: rate 1, decay 0.5, 45 %" in note_text(answer)
    many = {f"v{at}": choices["a"] for at in range(9)}
    answer = drawn(tuning_curve.figure(many, VALIDATION))
    assert "36 of 54 points, the first variants" in note_text(answer)
    assert "no tuning run has ended yet" in str(drawn(tuning_curve.figure({}, VALIDATION)))


def matrix(rows, measure=ACCURACY):
    return drawn(study_matrix.figure(StudyTable(measure, rows)))


def test_a_matrix_has_colours_for_values_and_marks_for_what_has_none():
    cells = [
        Cell(0, "finished", 0.9, run="r0"), Cell(1, "failed", None, "out of memory", "r1"),
        Cell(2, "diverged"), Cell(3, "running", 0.5), Cell(4, "missing"), Cell(5, "finished"),
    ]  # fmt: skip
    answer = matrix([Row("a<b", {}, cells), Row("c", {}, [Cell(7, "finished", 0.8)])])
    value, without = answer["figure"]["data"]
    assert value["x"] == ["0", "1", "2", "3", "4", "5", "7"]
    assert value["y"] == ["a&lt;b", "c"]
    assert value["customdata"] == [[90.0, *[None] * 6], [*[None] * 6, 80.0]]
    assert value["text"][0][0] == "90.0"
    assert value["meta"]["links"][0][:3] == ["r0", "r1", ""]
    assert without["z"][0][0] is None
    assert without["text"][0] == ["", "✕", "∞", "▸", "", "✕", ""]
    assert without["hovertext"][0][1].endswith("seed 1<br>failed: out of memory")
    assert without["hovertext"][1][0].endswith("no run yet")
    assert without["meta"]["valueless"]
    assert note_text(answer) == (
        "best mean: a<b, 90 % over 1 of 6 seeds; without a value: 2 failed (✕), 1 diverged (∞), "
        "1 running (▸), 1 missing"
    )
    lowest = matrix([Row("a", {}, [Cell(0, "finished", 2.0)]), Row("b", {}, cells[:1])], LOSS)
    assert "best mean: b, 0.9 nats" in note_text(lowest)


def test_of_a_large_matrix_the_first_40_rows_and_columns_are_drawn():
    rows = [Row(f"v{at}", {}, [Cell(s, "finished", 0.1) for s in range(50)]) for at in range(45)]
    answer = matrix(rows)
    value = answer["figure"]["data"][0]
    assert (len(value["z"]), len(value["z"][0])) == (40, 40)
    assert "1,600 of 2,250 points, the first 40 variants and seeds" in note_text(answer)
    assert len(answer["figure"]["layout"]["xaxis"]["ticktext"]) <= 8
    assert "no cells yet" in str(matrix([]))


def test_a_short_label_keeps_what_the_variant_varies():
    names = ["forward_gradient, samples 1", "forward_gradient, samples 16", "spsa"]
    assert labels.short_labels(names, 22) == {
        names[0]: "forward_gr…, samples 1", names[1]: "forward_g…, samples 16", names[2]: "spsa",
    }  # fmt: skip
    alike = ["a" * 40 + "1", "a" * 40 + "2"]
    assert len(set(labels.short_labels(alike, 20).values())) == 2
    assert labels.colour("backprop") != labels.colour("backprop, width 4")
