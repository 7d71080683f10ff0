"""Figures of an anatomy and of what one step would do, on numbers that are known."""

import json

import numpy as np
import pytest

from backend.figures import FigureError, Memory, MemoryRun, draw, note_text
from backend.figures.data.microscope import variance_split
from backend.figures.data.query import parse
from estimators.measurement.estimates.anatomy import Anatomy

FORWARD, EXACT = "forward_gradient", "backprop"
SIZE = 64


def looked(kind: str, **facts) -> Memory:
    source = Memory()
    config = {"batch_size": SIZE, "microscope": {"run": "r0", "step": 8, kind: {}}}
    labels = {"driver": FORWARD, "shadows": [EXACT]}
    rows = [{"name": "a.weight", "stage": "a"}, {"name": "b.weight", "stage": "b"}]
    source.add_run("m1", MemoryRun(2, "seen", config=config, labels=labels, facts={"layers": rows}))
    for metric, value in facts.items():
        source.add("m1", f"{kind}/{metric.replace('__', '/')}", [0], [value])
    return source


def dissected(source: Memory, label: str, layer: str, data, estimator, fixed, batches=16) -> None:
    parts = {"data": data, "estimator": estimator, "fixed": fixed, "data_se": 0.1, "signal": 1.0}
    for name, value in parts.items():
        source.add(
            "m1", f"anatomy/{name}", [8, batches], [9.0, value], layer=layer, estimator=label
        )


@pytest.fixture
def anatomy() -> Memory:
    source = looked("anatomy", population=1000, check__batch=256, check__draws=2)
    for layer in ("", "a", "b", "a.weight", "b.weight"):
        dissected(source, FORWARD, layer, 2.0, 900.0, 700.0)
        dissected(source, EXACT, layer, 2.0, 0.0, 0.0)
    for name, value in {"measured": 410.0, "measured_se": 20.0, "predicted": 375.0}.items():
        source.add("m1", f"anatomy/check/{name}", [32], [value], estimator=FORWARD)
    source.add("m1", "anatomy/check/predicted_se", [32], [15.0], estimator=FORWARD)
    return source


def traces(drawn, **wanted):
    data = drawn["figure"]["data"]
    return [
        one for one in data if all((one.get("meta") or {}).get(k) == v for k, v in wanted.items())
    ]


def rows(drawn):
    (table,) = drawn["figure"]["data"]
    cells = zip(*table["cells"]["values"], strict=True)
    return [dict(zip(table["header"]["values"], row, strict=True)) for row in cells]


def test_shares_of_each_layer_make_a_whole(anatomy):
    drawn = draw("anatomy", anatomy, {"runs": "m1"})
    data, estimator = traces(drawn, part="data"), traces(drawn, part="estimator")
    assert data[0]["x"] == ["whole network", "a", "b"]
    assert data[0]["y"] == pytest.approx([2 / 902] * 3)
    assert estimator[0]["y"] == pytest.approx([900 / 902] * 3)
    assert data[1]["y"] == [1.0] * 3
    json.dumps(drawn, allow_nan=False)
    tensors = draw("anatomy", anatomy, {"runs": "m1", "level": "tensor", "parts": "variance"})
    assert traces(tensors, part="estimator")[0]["y"] == [900.0] * 3
    assert traces(tensors, part="data")[0]["x"][1:] == ["a.weight", "b.weight"]
    assert "standard error over batches" in note_text(tensors)


def test_a_part_below_zero_and_a_layer_without_variance_are_told(anatomy):
    dissected(anatomy, FORWARD, "a", -0.5, 3.0, 3.0)
    dissected(anatomy, EXACT, "b", 0.0, 0.0, 0.0)
    drawn = draw("anatomy", anatomy, {"runs": "m1"})
    assert "below zero, as an estimate of a small variance can be: a" in note_text(drawn)
    assert "no variance at all: b" in note_text(drawn)
    assert traces(drawn, part="estimator")[0]["y"][1] == 1.0
    assert traces(drawn, part="data")[1]["y"][2] is None


@pytest.mark.parametrize(
    "parts", [(1.0, 9.0, 9.0), (9.0, 1.0, 0.5), (1.0, 5.0, 0.0), (0.0, 2.0, 2.0)]
)
@pytest.mark.parametrize("population", [None, 1000])
@pytest.mark.parametrize("budget", [1, 8, 100])
def test_a_budget_is_divided_as_the_library_divides_it(parts, population, budget):
    source = looked("anatomy", **({"population": population} if population else {}))
    dissected(source, FORWARD, "", *parts)
    (one,) = variance_split.read(source, parse({"runs": "m1"}), "")
    data, estimator, fixed = ([value] for value in parts)
    by = Anatomy(("",), SIZE, 16, 4, data, estimator, fixed, [1.0], 1.0, population, data_se=[0.1])
    best = one.split.advise(budget)
    assert best == by.best(budget)
    assert best.batch * best.draws <= budget * SIZE
    assert best.batch <= (population or best.batch)
    assert one.curve(budget)[0].max() <= (population or budget * SIZE)
    assert best.variance == pytest.approx(by.variance(best.batch, best.draws))


def test_the_answer_and_its_check(anatomy):
    first, second = rows(draw("advice", anatomy, {"runs": "m1"}))
    assert (first["answer"], second["answer"]) == ("more draws", "larger batch")
    assert second["examples × draws"] == "512 × 1"
    assert first["check"] == "256 × 2"
    assert first["measured"] == "410 ± 20"
    assert first["difference"] == "1.4 s.e."
    assert second["measured"] == ""
    far = "m1", "anatomy/check/measured", [33], [900.0]
    assert "does not hold here" not in note_text(draw("advice", anatomy, {"runs": "m1"}))
    drawn = draw("budget", anatomy, {"runs": "m1"})
    (mark,) = traces(drawn, role="check")
    assert (mark["x"], mark["y"]) == ([2], [410.0])
    star, exact = traces(drawn, role="best")
    assert exact["x"] == [1]
    assert f"{star['x'][0]:,}" in first["examples × draws"]
    other = draw("budget", anatomy, {"runs": "m1", "budget": "64"})
    assert traces(other, role="check") == []
    anatomy.add(*far, estimator=FORWARD)
    told = note_text(draw("advice", anatomy, {"runs": "m1"}))
    assert "forward_gradient: measured and predicted differ by more than 4 standard errors" in told
    json.dumps(drawn, allow_nan=False)


def test_an_answer_within_its_noise_is_not_given(anatomy):
    anatomy.add("m1", "anatomy/data_se", [17], [4.9], estimator=FORWARD)
    anatomy.add("m1", "anatomy/fixed_se", [17], [690.0], estimator=FORWARD)
    drawn = draw("advice", anatomy, {"runs": "m1"})
    first, second = rows(drawn)
    assert (first["answer"], first["examples × draws"]) == ("undecided", "")
    assert second["answer"] == "larger batch"
    assert "forward_gradient: no decision between a larger batch and more draws" in note_text(drawn)
    budget = draw("budget", anatomy, {"runs": "m1"})
    assert len(traces(budget, role="best")) == 1
    assert "no star, no decision between a larger batch and more draws" in note_text(budget)


def test_a_check_within_its_error_is_none(anatomy):
    anatomy.add("m1", "anatomy/check/predicted_se", [33], [360.0], estimator=FORWARD)
    drawn = draw("advice", anatomy, {"runs": "m1"})
    assert rows(drawn)[0]["difference"] == "no check"
    assert "a standard error is larger than half its value" in note_text(drawn)


def test_no_batch_beyond_what_was_given():
    source = looked("anatomy")
    dissected(source, EXACT, "", 2.0, 0.0, 0.0)
    drawn = draw("advice", source, {"runs": "m1", "budget": "100"})
    assert rows(drawn)[0]["examples × draws"].split(" ×")[0] == "1,024"
    assert "at most the 1,024 examples of the batches that were given" in note_text(drawn)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"budget": "0"}, "budget is '0'; allowed is a whole number"),
        ({"rate": "-1"}, "rate is '-1'; allowed is a number above 0"),
        ({"rate": "x"}, "rate is 'x'; allowed is a number above 0"),
        ({"parts": "all"}, "parts is 'all'; allowed are share, variance"),
    ],
)
def test_what_cannot_be_asked_is_refused(query, said):
    with pytest.raises(FigureError, match=said):
        parse({"runs": "m1", **query})


N, RATES = 400, (0.01, 0.1, 1.0)


@pytest.fixture
def stepped() -> Memory:
    """Slope 2 and curvature 10 on average: best at 0.2, decrease 0.2; a third diverges at 1."""
    source = looked("what_if", loss=1.5, learning_rate=0.1)
    rng, at = np.random.default_rng(0), np.arange(N)
    slopes, curvatures = 2 + rng.standard_normal(N), 10 * rng.exponential(size=N)
    for label, (s, c) in {FORWARD: (slopes, curvatures), EXACT: ([2.0] * N, [10.0] * N)}.items():
        source.add("m1", "what_if/slope", at, s, estimator=label)
        source.add("m1", "what_if/curvature", at, c, estimator=label)
        for rate in RATES:
            change = -rate * np.array(s) + rate**2 / 2 * np.array(c)
            change[: N // 3] = np.inf if rate == 1 and label == FORWARD else change[: N // 3]
            source.add("m1", f"what_if/change/{rate:.6g}", at, change, estimator=label)
        source.add("m1", "what_if/best_rate", [N], [0.2], estimator=label)
        source.add("m1", "what_if/expected_decrease", [N], [0.2], estimator=label)
    return source


def test_draws_that_arrive_while_a_figure_is_read_are_left_out(stepped):
    late = stepped.add("m1", "what_if/change/0.02", range(N + 5), np.ones(N + 5), estimator=EXACT)
    drawn = draw("what_if", stepped, {"runs": "m1", "estimator": EXACT})
    (means,) = traces(drawn, role="means")
    assert means["x"] == [0.01, 0.02, 0.1, 1.0]
    assert stepped.points(late).count == N + 5
    assert drawn["count"] == 4 * N
    assert drawn["meta"] == {
        "rates": means["x"], "learning_rate": 0.1, "best_rates": {EXACT: 0.2},
        "kept_rates": {},
    }  # fmt: skip


def test_changes_are_drawn_against_the_rate(stepped):
    drawn = draw("what_if", stepped, {"runs": "m1"})
    forward, exact = traces(drawn, role="means")
    assert exact["x"] == list(RATES)
    assert exact["y"][:2] == pytest.approx([-0.02 + 0.0005, -0.2 + 0.05])
    assert forward["y"][2] is None  # a mean without the steps that diverged would flatter
    assert "from η = 1 on steps end in a loss that is not finite (133 in all)" in note_text(drawn)
    stars = traces(drawn, role="best")
    assert [(one["x"], one["y"]) for one in stars] == [([0.2], [-0.2])] * 2
    assert [one["meta"]["label"] for one in stars] == [FORWARD, EXACT]
    usual = [one for one in drawn["figure"]["data"] if "own learning rate" in one.get("name", "")]
    assert usual[0]["x"] == [0.1, 0.1]
    json.dumps(drawn, allow_nan=False)


def test_an_own_rate_of_zero_is_known_but_has_no_line():
    source = looked("what_if", learning_rate=0.0)
    for label in (FORWARD, EXACT):
        for name, value in {"slope": 1.0, "curvature": 1.0, "change/0.1": -0.1}.items():
            source.add("m1", f"what_if/{name}", range(4), [value] * 4, estimator=label)
    drawn = draw("what_if", source, {"runs": "m1"})
    assert drawn["meta"]["learning_rate"] == 0
    note = note_text(drawn)
    assert "dotted" not in note
    assert "the run's own learning rate, 0, is outside the rates that were tried" in note
    row = rows(draw("best_rates", source, {"runs": "m1"}))[0]
    assert (row["run's own η"], row["mean change there"], row["falls in"]) == ("0", "", "")


def test_the_lottery_is_at_the_nearest_rate(stepped):
    drawn = draw("loss_change", stepped, {"runs": "m1", "rate": "0.012"})
    heads = [one["text"] for one in drawn["figure"]["layout"]["annotations"]]
    assert all("η = 0.01, falls in" in head for head in heads)
    assert [sum(one["y"]) for one in traces(drawn, role="bins")] == pytest.approx([1, 1])
    last = draw("loss_change", stepped, {"runs": "m1", "rate": "1"})
    assert "133 not finite" in last["figure"]["layout"]["annotations"][0]["text"]
    assert sum(traces(last, role="bins")[0]["y"]) < 0.7
    json.dumps(last, allow_nan=False)


def test_a_lottery_at_the_best_rate_says_which_was_tried(stepped):
    drawn = draw("loss_change", stepped, {"runs": "m1"})
    heads = [one["text"] for one in drawn["figure"]["layout"]["annotations"]]
    assert all("η = 0.1 (nearest tried; best 0.2), falls in" in head for head in heads)


def test_the_table_says_why_there_is_no_best_rate(stepped):
    best, _ = rows(draw("best_rates", stepped, {"runs": "m1"}))
    assert best["best η"] == "0.2"
    source = looked("what_if", learning_rate=0.1)
    for label, slope in {FORWARD: 0.0, EXACT: -1.0}.items():
        for name, value in {"slope": slope, "curvature": 1.0, "change/0.1": 0.1}.items():
            source.add("m1", f"what_if/{name}", range(4), [value] * 4, estimator=label)
    drawn = draw("best_rates", source, {"runs": "m1"})
    assert "forward_gradient: no best rate, the draws or the exact gradient are zero" in note_text(
        drawn
    )
    assert "backprop: no best rate, the mean draw points uphill and raises the loss" in note_text(
        drawn
    )
    assert {row["best η"] for row in rows(drawn)} == {"none"}
    assert "the mean draw points uphill and raises the loss" in json.dumps(
        draw("what_if", source, {"runs": "m1"})
    )


def test_a_rate_that_can_be_kept_up_stands_beside_the_best_one(stepped):
    assert {row["kept up"] for row in rows(draw("best_rates", stepped, {"runs": "m1"}))} == {""}
    stepped.add("m1", "what_if/kept_rate", [0], [0.05], estimator=EXACT)
    stepped.add("m1", "what_if/kept_rate", [0], [float("nan")], estimator=FORWARD)
    drawn = draw("best_rates", stepped, {"runs": "m1"})
    kept = {row["estimator"]: row["kept up"] for row in rows(drawn)}
    assert kept == {EXACT: "0.05", FORWARD: "none of those tried"}
    assert "does not rise over 200 rehearsed steps of plain SGD" in note_text(drawn)
    meta = draw("what_if", stepped, {"runs": "m1"})["meta"]
    assert meta["kept_rates"] == {EXACT: 0.05, FORWARD: None}


@pytest.mark.parametrize(
    "name", ["anatomy", "budget", "advice", "what_if", "loss_change", "best_rates"]
)
def test_a_run_without_points_says_so(name):
    drawn = draw(name, looked("anatomy"), {"runs": "m1"})
    assert drawn["count"] == 0
    assert "no points yet" in json.dumps(drawn)
