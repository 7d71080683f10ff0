"""Names that begin alike are told apart: in every text of every figure, and as identities."""

import json

import pytest

from backend.figures import Memory, draw, measurement, note_text
from backend.figures.catalogue import charts_of, modules
from backend.figures.drawing.names import clipped, differing_words, distinct, of_line, side_by_side
from tests.backend.figures.full_source import ALIKE, FOUR, SIXTEEN, full_source, run, run_of

STAGE = "backbone.encoder.blocks.{}.attention.projection"


@pytest.mark.parametrize("longest", [25, 26, 32, 48])
def test_texts_that_begin_alike_are_shown_by_what_differs(longest):
    shown = distinct((*ALIKE, "backprop"), longest)
    assert len(set(shown.values())) == 4
    assert all(len(text) <= longest for text in shown.values())
    assert [("tangents=4…" in shown[FOUR]), ("tangents=16" in shown[SIXTEEN])] == [True, True]
    assert shown["backprop"] == "backprop"


@pytest.mark.parametrize(
    "texts",
    [
        tuple(STAGE.format(i) + part for i in range(12) for part in (".weight", ".bias")),
        ("x" * 60 + "a", "x" * 60 + "b", "x" * 60),
        (FOUR, FOUR[:-1] + ", tangents=2)", FOUR.replace("draws=8", "draws=16")),
        tuple(f"{'a(b=' * 20}{i}{')' * 20}" for i in range(40)),
    ],
)
def test_no_two_texts_are_shown_alike(texts):
    for longest in (10, 26, 48):
        shown = distinct(texts, longest)
        assert len(set(shown.values())) == len(texts)
        assert max(map(len, shown.values())) <= longest


def test_a_layer_is_shown_with_its_index():
    shown = distinct(tuple(STAGE.format(i) for i in range(3)), 20)
    assert list(shown.values()) == [f"…blocks.{i}…" for i in range(3)]


def test_runs_side_by_side_are_shown_by_what_differs():
    names = ["#14 dfa lr 0.01", "#15 dfa lr 0.02"]
    assert list(differing_words(names).values()) == ["#14 lr 0.01", "#15 lr 0.02"]
    assert list(differing_words(["#1 digits", "#2 digits"]).values()) == ["#1", "#2"]
    with side_by_side([["dfa", "spsa"]], ["#14 spsa lr 0.02", "#15 dfa lr 0.02"]):
        assert of_line("dfa", 15, "dfa lr 0.02", several=True) == "dfa · #15"
    with side_by_side([["dfa"]], names):
        assert of_line("dfa", 15, "dfa lr 0.02", several=True) == "#15 lr 0.02"


def test_a_name_is_shortened_by_itself_outside_of_a_figure():
    assert clipped(FOUR).endswith("…")
    assert len(clipped(FOUR)) == 48


@pytest.fixture
def alike() -> Memory:
    return full_source()


OF_ADJOINTS = {placed.figure for placed in charts_of("adjoint_map")}
"""They draw adjoints, and no estimators with labels."""


@pytest.mark.parametrize(
    "name",
    sorted(set(modules()) - {"path", "driver_reports", "carpet", "solver", "logged"} - OF_ADJOINTS),
)
def test_every_figure_tells_labels_apart(alike, name):
    run_id = run_of(name)
    query = {"metric": "cosine"} if name == "curve" else {}
    shown = [draw(name, alike, {"runs": run_id, **query})]
    if name in ("cloud", "layers"):  # one estimator each
        shown = [draw(name, alike, {"runs": run_id, "estimator": label}) for label in ALIKE]
    assert any(one["count"] for one in shown), "the fixture has nothing for this figure"
    words = json.dumps([_without_hovers(one) for one in shown], ensure_ascii=False)
    for part in ("tangents=4…", "tangents=16…", "tangents=16… #2"):
        assert part in words, part
    assert f"{FOUR[:47]}…" not in words, "a beginning that several labels share"


def _without_hovers(drawn):
    data = [
        {k: v for k, v in trace.items() if not k.startswith("hover")}
        for trace in drawn["figure"]["data"]
    ]
    return [data, drawn["figure"]["layout"], note_text(drawn)]


@pytest.mark.parametrize("name", ["curve", "bias_variance", "layer_panels", "convergence", "sweep"])
def test_an_entry_of_a_legend_is_an_estimator(alike, name):
    run_id = {"convergence": "m1", "sweep": "m2"}.get(name, "r1")
    data = draw(name, alike, {"runs": run_id, "metric": "relative_variance"})["figure"]["data"]
    listed = [trace for trace in data if trace.get("showlegend") is not False and trace.get("name")]
    entries = {trace["legendgroup"]: trace["name"] for trace in listed}
    assert len(entries) == len(set(entries.values())) >= 3
    looks = {
        (trace["marker"]["symbol"], trace["line"]["color"] if "line" in trace else "")
        for trace in listed
        if trace["legendgroup"] in entries and trace.get("marker")
    }
    assert len(looks) >= 3


def test_charts_that_share_a_legend_share_its_entries(alike):
    drawn = [
        draw("curve", alike, {"runs": "r1", "metric": metric})["figure"]["data"]
        for metric in ("cosine", "relative_variance")
    ]
    groups = [{trace["legendgroup"] for trace in data} for data in drawn]
    assert groups[0] == groups[1] == {f"r1 {label}" for label in ALIKE}


def test_one_estimator_of_two_runs_has_two_entries(alike):
    alike.add_run("r2", run(7, "another", labels={"driver": FOUR}))
    alike.add("r2", "cosine", [0, 1], [0.1, 0.2], estimator=FOUR)
    drawn = draw("curve", alike, {"runs": "r1,r2", "metric": "cosine"})["figure"]["data"]
    data = [trace for trace in drawn if trace.get("showlegend", True)]  # not their null bands
    assert len({trace["legendgroup"] for trace in data}) == len({t["name"] for t in data}) == 4


def test_a_measurement_tells_labels_apart():
    class Measured:
        def rows(self):
            return [("cosine", "", label, 0.5) for label in ALIKE]

    data = measurement(Measured()).to_plotly_json()["data"]
    names = {trace["name"] for trace in data}
    assert names == {f"mean_of_draws(…tangents={n}" for n in ("4…", "16…", "16… #2")}
