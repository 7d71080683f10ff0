"""The table of a study: its columns, what stands in a row, and that every form says the same."""

import io
import json
import math

import pytest
from rich.console import Console
from scipy import stats

from backend.studies.measure import measure_of
from backend.studies.table import Cell, Row, StudyTable, render
from backend.studies.tuning import TuningPlan, choose
from backend.studies.verdicts import verdicts

ACCURACY = measure_of("test/accuracy")
BASE = {"steps": 500, "network": {"name": "mlp", "width": 64}, "bias": True}
VALUES = [0.90, 0.92, 0.94]


def finished(values=VALUES):
    return [Cell(seed, "finished", value) for seed, value in enumerate(values)]


def row(label="exact", cells=None, **fields):
    return Row(label, {**BASE, **fields}, finished() if cells is None else cells)


def cell_of(table, column, at=0):
    heads, rows = table.text()
    return rows[at][heads.index(column)]


def test_fields_that_differ_are_columns_and_the_others_are_said_once():
    first = row(estimator={"name": "backprop"}, network={"name": "mlp", "width": 64})
    second = row(
        "other", estimator={"name": "spsa", "samples": 4}, network={"name": "mlp", "width": 128}
    )
    table = StudyTable(ACCURACY, [first, second])
    assert table.columns == ["network.width", "estimator.name", "estimator.samples"]
    assert table.constant == {"steps": 500, "network.name": "mlp", "bias": True}
    assert table.above == "the same for all: steps 500, network.name mlp, bias true"
    heads, rows = table.text()
    assert heads == ["variant", "width", "estimator", "samples", "test accuracy", "seeds"]
    assert [each[1:4] for each in rows] == [["64", "backprop", "–"], ["128", "spsa", "4"]]


def test_fields_that_end_alike_have_their_whole_path_as_head():
    rows = [row("a", a={"k": 1}, b={"k": 1}), row("b", a={"k": 2}, b={"k": 2})]
    assert StudyTable(ACCURACY, rows).text()[0][1:3] == ["a.k", "b.k"]


def test_a_field_that_some_rows_lack_differs():
    for rows in ([row(x=1), row()], [row(), row(x=1)]):
        assert StudyTable(ACCURACY, rows).columns == ["x"]


def test_true_and_one_differ():
    assert StudyTable(ACCURACY, [row(x=True), row(x=1)]).columns == ["x"]


def test_a_mean_has_student_s_interval_over_the_seeds():
    half = stats.t.ppf(0.975, 2) * 0.02 / math.sqrt(3)
    table = StudyTable(ACCURACY, [row()])
    assert cell_of(table, "test accuracy") == f"92.0 ± {100 * half:.1f} %"
    entry = render(table, "json")["rows"][0]
    assert (entry["mean"], entry["half_width"]) == (pytest.approx(0.92), pytest.approx(half))
    assert (entry["count"], entry["seeds"]) == (3, 3)
    alone = StudyTable(ACCURACY, [row(cells=finished([0.9]))])
    assert cell_of(alone, "test accuracy") == "90 %"
    assert render(alone, "json")["rows"][0]["half_width"] is None


def test_cells_without_a_value_are_counted_and_say_why():
    out = "CUDA out of memory | tried 3 GiB\nTraceback"
    cells = [
        *finished(), Cell(3, "diverged"), *(Cell(seed, "failed", None, out) for seed in (4, 5)),
        Cell(6, "running", 0.1), Cell(7, "missing"), Cell(8, "missing"), Cell(9, "finished"),
        Cell(10, "cancelled"), Cell(11, "queued"), Cell(12, "diverged", 0.5),
    ]  # fmt: skip
    table = StudyTable(ACCURACY, [row(cells=cells)])
    assert cell_of(table, "seeds") == "3 of 13"
    assert cell_of(table, "test accuracy").startswith("92.0 ± ")
    assert cell_of(table, "notes") == (
        "seeds 3, 12 diverged; seeds 4, 5 failed: CUDA out of memory | tried 3 GiB; seed 9 has no "
        "value; seed 10 cancelled; 1 running; 2 missing; 1 queued"
    )
    assert render(table, "json")["rows"][0]["cells"][4]["reason"] == out
    nothing = StudyTable(ACCURACY, [row(cells=[Cell(0, "missing")])])
    assert nothing.text() == (["variant", "seeds", "notes"], [["exact", "0 of 1", "1 missing"]])


def test_the_tuned_value_its_note_and_the_verdict_stand_in_their_row():
    plan = TuningPlan((0.1, 1.0), (100,), 10, higher_is_better=True, widen=0)
    choice = choose(plan, {1.0: {(0.1, None): {100: 0.5}, (1.0, None): {100: 0.6}}})
    values = {"a": {0: 0.9, 1: 0.91, 2: 0.93}, "b": {0: 0.8, 1: 0.82, 2: 0.82}}
    (verdict,) = verdicts(values, ACCURACY, "a")
    rows = [
        Row("a", BASE, finished(values["a"].values()), choice),
        Row("b", BASE, finished(values["b"].values()), None, verdict),
    ]
    table = StudyTable(ACCURACY, rows)
    assert [cell_of(table, "rate", at) for at in (0, 1)] == ["1", "–"]
    assert cell_of(table, "notes") == "best at the edge: try larger rates"
    assert cell_of(table, "verdict", 1) == verdict.sentence
    entries = render(table, "json")["rows"]
    assert (entries[0]["choice"]["value"], entries[1]["verdict"]["better"]) == (1.0, "a")


def test_every_form_has_the_same_texts_and_json_has_no_nan():
    cells = [*finished(), Cell(3, "failed", math.nan, "a | b <script> *c*")]
    rows = [row("x|y", cells, k=1), row("z", [Cell(0, "diverged", math.inf)], k=2)]
    table = StudyTable(ACCURACY, rows)
    json.dumps(render(table, "json"), allow_nan=False)
    heads, texts = table.text()
    lines = render(table, "markdown").splitlines()
    assert lines[0].startswith("the same for all: ")
    assert lines[2] == f"| {' | '.join(heads)} |"
    assert [line.replace("\\|", "").count("|") for line in lines[2:6]] == [len(heads) + 1] * 4
    assert lines[4].startswith("| x\\|y | 1 | 92.0 ± ")
    assert "a \\| b \\<script> \\*c\\*" in lines[4]
    shown = io.StringIO()
    Console(file=shown, width=200).print(render(table, "terminal"))
    for text in (text for line in texts for text in line):
        assert text in shown.getvalue()


def test_an_empty_study_has_an_empty_table():
    table = StudyTable(ACCURACY, [])
    assert render(table, "json")["rows"] == []
    assert render(table, "markdown").startswith("| variant |")
