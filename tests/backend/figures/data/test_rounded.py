"""Whoever reads a measure leaves out what compares with an exact gradient that is rounding."""

import csv
import io

import numpy as np
import pyarrow.parquet as pq
import pytest

from backend.figures import Memory, MemoryRun, draw, note_text
from backend.figures.data import cautions, diagnosis
from backend.sharing import csv_rows, parquet
from docs.study_table import table
from estimators.statistics.findings import diagnose
from estimators.statistics.reference import HATCH, HATCH_NOTE, OF_THE_REFERENCE, ROUNDED, RULE

LABELS = {"driver": "a", "shadows": ["b"]}
FACTS = {
    "layers": [{"name": f"{s}.w", "stage": s, "coverage": "estimated"} for s in ("deep", "head")]
}
PROBES = 24
"""Every third of them is rounding in the stage "deep"; none is in "head"."""
STEPS = np.arange(PROBES)
BAD = STEPS % 3 == 0
GOOD = {
    "cosine": 0.9, "cosine_mean": 0.99, "scaled_error": 0.2, "relative_variance": 0.01,
    "relative_squared_bias": 0.0, "relative_squared_bias_se": 1e-4, "snr": 100.0,
    "norm_ratio": 1.0, "along": 1.0, "along_se": 0.01, "law/relative_variance": 0.01,
    "law/relative_squared_bias": 0.0,
}  # fmt: skip
"""A sound estimator that agrees with its law."""
WRONG = {
    **GOOD, "cosine": -0.9, "cosine_mean": -0.9, "scaled_error": 1.0, "relative_variance": 50.0,
    "relative_squared_bias": 900.0, "along": -30.0, "norm_ratio": 40.0,
}  # fmt: skip
"""What rounding makes of it: uphill, biased, far from the law."""


def live(bad=BAD, layers=("", "deep", "head", "deep.w", "head.w")) -> Memory:
    """A run whose numbers are wrong in "deep" at the probes at which the gradient is rounding."""
    source, noise = Memory(), 1 + 0.01 * np.cos(STEPS)
    config = {"seed": 0, "probe": {"draws": 16}}
    source.add_run("r1", MemoryRun(1, "a run", config, LABELS, facts=FACTS))
    for layer in layers:
        rounded = bad & layer.startswith("deep")
        source.add("r1", "exact/norm", STEPS, np.ones(PROBES), layer=layer)
        source.add("r1", "reference/floor", STEPS, np.where(rounded, 0.5, 1e-7), layer=layer)
        for label in ("a", "b"):
            for name, value in GOOD.items():
                values = np.where(rounded, WRONG[name], value * noise)
                source.add("r1", name, STEPS, values, layer=layer, estimator=label)
    return source


def at_a_point() -> Memory:
    """A microscope with wrong numbers in "deep", and a sweep with them at its last value."""
    source = Memory()
    for run, config in {
        "m1": {"microscope": {"draws": 64}},
        "s1": {"microscope": {"draws": 64, "sweep": {"field": "draws", "values": [1, 2, 4]}}},
    }.items():
        source.add_run(run, MemoryRun(2, "m", config, LABELS, facts=FACTS))
    for layer in ("", "deep", "head"):
        rounded = layer == "deep"
        source.add("m1", "exact/norm", [0], [1.0], layer=layer)
        source.add("m1", "reference/floor", [0], [0.5 if rounded else 1e-7], layer=layer)
        source.add("s1", "sweep/exact/norm", [1, 2, 4], np.ones(3), layer=layer)
        floors = [1e-7, 1e-7, 0.5 if rounded else 1e-7]
        source.add("s1", "sweep/reference/floor", [1, 2, 4], floors, layer=layer)
        for label in ("a", "b"):
            for name in GOOD:
                value = (WRONG if rounded else GOOD)[name]
                source.add("m1", name, [64], [value], layer=layer, estimator=label)
                values = [GOOD[name], GOOD[name] / 2, value / 4]
                source.add("s1", f"sweep/{name}", [1, 2, 4], values, layer=layer, estimator=label)
            draws = np.linspace(-1, 1, 64)
            for name in ("cosine", "norm_ratio", "along"):
                source.add("m1", f"draw/{name}", range(64), draws, layer=layer, estimator=label)
            for name, value in {"biased": 1.0, "bias": 30.0, "bound": 31.0}.items():
                source.add("m1", f"verdict/{name}", [64], [value], layer=layer, estimator=label)
    return source


def drawn(figure, source, run, **query):
    made = draw(figure, source, {"runs": run, **query})
    return made["figure"]["data"], note_text(made)


def asked(source):
    layers = {"": ["deep.w", "head.w"], "deep": ["deep.w"], "head": ["head.w"]}
    question = diagnosis.question(source, "r1", "a", 16, layers)
    return {finding["layer"]: finding for finding in diagnose(question)}


def test_the_diagnosis_is_of_the_probes_that_are_left():
    found = asked(live())
    assert {layer: each["cause"] for layer, each in found.items()} == {
        "": "fine", "deep": "fine", "head": "fine",
    }  # fmt: skip
    # Of the latest 16 of 24 probes, every third.
    assert found["deep"]["text"].startswith(f"{ROUNDED} at 5 of 16 probes; of the rest: sound")
    assert ROUNDED not in found["head"]["text"]


def test_where_none_is_left_the_diagnosis_says_so():
    found = asked(live(np.ones(PROBES, bool)))
    assert (found["deep"]["cause"], found["deep"]["draws"]) == ("reference", None)
    assert f"{ROUNDED} here ({RULE})" in found["deep"]["text"]
    assert found["head"]["cause"] == "fine"


@pytest.mark.parametrize("figure", ["curve", "law_checks"])
def test_live_law_checks_are_of_the_probes_that_are_left(figure):
    ask = {"metric": "relative_variance", "layer": "deep"}
    for bad, symbol in ((BAD, "✓"), (np.ones(PROBES, bool), HATCH)):
        data, note = drawn(figure, live(bad), "r1", **ask)
        assert "✗" not in note.replace("✗ disagrees: the mean over", "")
        if figure == "curve":
            said = "✓ agrees" if symbol == "✓" else f"not judged, since {ROUNDED}:"
            assert said in note
        else:
            of_deep = {
                trace["name"][0]
                for trace in data
                for layer in trace["y"]
                if layer == "deep"
            }  # fmt: skip
            assert of_deep == {symbol}


def test_no_slope_is_uphill_along_rounding():
    assert not cautions.uphill(live(), "r1", "a", "deep", 8)
    assert not cautions.uphill(live(np.ones(PROBES, bool)), "r1", "a", "deep", 8)
    assert not cautions.uphill(at_a_point(), "m1", "a", "deep")
    assert not cautions.uphill(at_a_point(), "s1", "a", "deep")
    # The same numbers against a gradient that is no rounding:
    source = live()
    source.add("r1", "reference/floor", STEPS + PROBES, np.zeros(PROBES), layer="deep")
    for name, value in {"along": -30.0, "along_se": 0.01}.items():
        steps, values = STEPS + PROBES, value * np.ones(PROBES)
        source.add("r1", name, steps, values, layer="deep", estimator="a")
    assert cautions.uphill(source, "r1", "a", "deep", 8)


def test_the_microscope_marks_what_means_nothing():
    source = at_a_point()
    data, note = drawn("measures_table", source, "m1", layer="deep")
    names, values, checks = (data[0]["cells"]["values"][i] for i in (1, 2, 5))
    marked = {name for name, value in zip(names, values, strict=True) if HATCH in value}
    assert "Signal to noise" not in marked
    assert {"Alignment (cosine)", "Relative variance"} <= marked
    assert HATCH_NOTE in note
    assert "✗" not in "".join(checks)
    assert HATCH not in str(drawn("measures_table", source, "m1", layer="head"))
    data, note = drawn("histogram", source, "m1", metric="draw/cosine", layer="deep")
    assert data[0]["marker"]["pattern"]["shape"] == "x"
    assert HATCH_NOTE in note
    data, _ = drawn("convergence", source, "m1", layer="deep")
    assert any((trace.get("meta") or {}).get("role") == "gradient is rounding" for trace in data)


def test_no_verdict_and_no_comparison_against_rounding():
    data, note = drawn("verdict", at_a_point(), "m1")
    kinds = {layer: trace["name"] for trace in data for layer in trace["y"]}
    assert kinds["deep"] == f"{HATCH} {ROUNDED}"
    assert kinds["head"].startswith("biased")
    assert "in 1 of 2 layers: head" in note
    for layer, said in {"deep": "no value in one of the two", "head": "too few draws"}.items():
        assert said in drawn("paired", at_a_point(), "m1", layer=layer)[1]


def test_the_plane_of_a_microscope_has_no_place_for_it():
    data, note = drawn("bias_variance", at_a_point(), "m1", layer="deep")
    assert not data
    assert f"{RULE} in deep" in note


def test_a_sweep_hatches_the_values_at_which_it_is_rounding():
    data, note = drawn("sweep", at_a_point(), "s1", metric="relative_variance", layer="deep")
    marks = [trace for trace in data if trace["name"] == "gradient is rounding"]
    assert [trace["x"] for trace in marks] == [[4.0], [4.0]]
    assert "disagrees" not in note
    assert "in deep at 1 of 3 values" in note
    assert not [
        trace
        for trace in drawn("sweep", at_a_point(), "s1", metric="snr", layer="deep")[0]
        if trace["name"] == "gradient is rounding"
    ]


def test_exports_say_which_values_mean_nothing(tmp_path):
    source = live()
    text = "".join(csv_rows(source, ["r1"], mark=False))
    rows = list(csv.DictReader(io.StringIO(text)))
    parquet(source, ["r1"], tmp_path / "points.parquet")
    for each in (rows, pq.read_table(tmp_path / "points.parquet").to_pylist()):
        marked = {(r["metric"], r["layer"], int(r["step"])) for r in each if int(r["rounding"])}
        assert {layer for _, layer, _ in marked} == {"deep", "deep.w"}
        assert {step for *_, step in marked} == set(STEPS[BAD].tolist())
        assert {name for name, *_ in marked} == set(GOOD) & set(OF_THE_REFERENCE)


def test_the_table_of_a_study_marks_a_mean_of_nothing():
    source = live(np.ones(PROBES, bool), layers=("deep", "head"))
    row = {"label": "it", "mean": None, "half_width": None, "verdict": None, "choice": None}
    runs = [{"label": "it", "phase": "report", "seed": 0, "run": "r1"}]
    document = {"results": {"table": {"rows": [row]}, "runs": runs}}
    head, _, row = table(document, source, ["cosine"], {})
    assert "cosine, deep | cosine, head" in head
    assert f"| {HATCH} | 0.899 |" in row
