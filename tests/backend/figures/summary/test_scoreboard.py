"""The scoreboard of a run: its numbers are those of the figures."""

import json
from dataclasses import replace

import numpy as np
import pytest

from backend.figures import Memory, draw
from backend.figures.summary.scoreboard import scoreboard
from tests.backend.figures.conftest import STAGES, run

FG, DFA = "forward_gradient", "direct_feedback_alignment"
STEPS = np.arange(0, 320, 32)


@pytest.fixture
def source() -> Memory:
    """Ten probes of two estimators: one unbiased and wide, one biased whose head is exact."""
    source, rng = Memory(), np.random.default_rng(1)
    labels = {"driver": FG, "shadows": [DFA]}
    source.add_run("r1", replace(run(), labels=labels, facts={**run().facts, "cost": {FG: 4.5}}))

    def add(metric, label, middle, noise, layer=""):
        values = middle + noise * rng.standard_normal(len(STEPS))
        source.add("r1", metric, STEPS, values, layer=layer, estimator=label)

    for label, along, variance, bias in ((FG, 0.005, 24_000, 0), (DFA, 0.5, 0, 0.96)):
        add("cosine", label, along, 0.0005)
        add("relative_variance", label, variance, 0.01 * variance)
        add("relative_squared_bias", label, bias, 0.001)
        add("relative_squared_bias_se", label, 0.01, 0)
        add("norm_ratio", label, 150 if label == FG else 0.9, 0)
        add("scaled_error", label, 1 - along**2, 0)
        add("snr", label, 1 / max(variance, 1), 0)
        add("cosine_mean", label, along, 0)
        add("along", label, 1 if label == FG else 0.45, 0)
        for stage in STAGES:
            exact = label == DFA and stage == "head"
            add("cosine", label, 1 if exact else along / 10, 0, stage)
            add("relative_variance", label, 0 if label == DFA else variance, 0, stage)
    source.add("r1", "exact/norm", STEPS, 1 + 0 * STEPS)
    return source


def rows(source: Memory, **asked) -> dict[str, dict]:
    return {row["label"]: row for row in scoreboard(source, "r1", **asked)["rows"]}


def test_a_row_has_what_people_call_it_and_how_it_is_drawn(source):
    driver, shadow = scoreboard(source, "r1")["rows"]
    assert (driver["drives"], shadow["drives"]) == (True, False)
    assert (driver["title"], driver["short"], shadow["short"]) == (
        "Forward gradient", "forward gradient", "DFA",
    )  # fmt: skip
    assert (driver["colour"]["index"], driver["marker"]) == (1, "square")
    assert (shadow["colour"]["index"], shadow["marker"]) == (3, "triangle-up")


def test_alignment_is_the_mean_of_the_latest_eight_probes_as_the_ranking_has_it(source):
    ranking = draw("ranking", source, {"runs": "r1", "metric": "cosine"})
    drawn = {trace["name"]: trace["x"][0] for trace in ranking["figure"]["data"]}
    along = {label: row["along"] for label, row in rows(source).items()}
    assert {label: mean["value"] for label, mean in along.items()} == drawn
    assert all(mean["low"] < mean["value"] < mean["high"] for mean in along.values())
    assert (along[DFA]["text"], along[DFA]["probes"]) == ("50 %", 8)
    assert rows(source, window=3)[DFA]["along"]["probes"] == 3


def test_the_takeaway_is_that_of_the_alignment_and_tells_the_exact_stage(source):
    board = scoreboard(source, "r1")
    curve = draw("curve", source, {"runs": "r1", "metric": "cosine"})
    assert board["takeaway"] == curve["takeaway"]
    assert board["takeaway"] == (
        "DFA points 50 % along the gradient, its head exact, forward gradient 0.51 %."
    )


def test_stages_stand_beside_the_mean_that_hides_them(source):
    layers = rows(source)[DFA]["layers"]
    assert [layer["stage"] for layer in layers] == STAGES
    assert [layer["exact"] for layer in layers] == [False, False, True]
    assert [layer["along"]["text"] for layer in layers] == ["5 %", "5 %", "100 %"]


def test_a_bias_is_told_where_it_is_found_and_bounded_where_it_is_not(source):
    wide, biased = rows(source)[FG]["bias"], rows(source)[DFA]["bias"]
    assert (biased["verdict"], biased["text"]) == ("biased", "biased, 0.96")
    assert wide["verdict"] == wide["text"] == "none found"
    assert wide["value"] < wide["bound"] < 0.1


def test_draws_that_halve_the_error_are_those_of_the_diagnosis(source):
    halving = rows(source)[FG]["halving"]
    # s = 1 and p² = 0, so that s² / (s² + V / K) is a half at K = V.
    assert halving["cause"] == "variance"
    assert halving["draws"] == pytest.approx(24_000, rel=0.05)
    assert halving["text"].endswith(" draws")


def test_the_cost_is_relative_to_backpropagation(source):
    assert rows(source)[FG]["cost"] == {"passes": 4.5, "relative": 1.5, "text": "1.5 ×"}
    assert rows(source)[DFA]["cost"] is None


def test_without_a_law_there_is_no_theory(source):
    assert rows(source)[FG]["theory"]["text"] == "no theory"
    for layer in ("", *STAGES):
        law = 24_000 + 0 * STEPS
        source.add("r1", "law/relative_variance", STEPS, law, layer=layer, estimator=FG)
    theory = rows(source)[FG]["theory"]
    assert (theory["verdict"], theory["agree"], theory["judged"]) == ("agrees", 4, 4)
    assert theory["text"].startswith("✓ theory agrees, 4 of 4")


def test_a_run_without_a_probe_has_its_rows(source):
    source.add_run("r2", source.run("r1"))
    board = scoreboard(source, "r2")
    assert (board["probes"], board["step"], board["takeaway"]) == (0, None, "")
    assert [row["along"] for row in board["rows"]] == [None, None]


def test_few_probes_are_too_early_and_odd_values_are_plain_json(source):
    source.add_run("r2", source.run("r1"))
    for metric in ("cosine", "relative_variance", "relative_squared_bias", "norm_ratio"):
        source.add("r2", metric, [0, 32, 64], [0.1, np.nan, np.inf], estimator=FG)
    board = scoreboard(source, "r2")
    json.dumps(board, allow_nan=False)
    assert board["takeaway"] == "Too early to say: 1 of 5 probes."
    assert board["rows"][0]["bias"]["text"] == "too early"
    assert board["rows"][0]["halving"]["text"] == "too early"


def test_another_layer_is_looked_at_alone(source):
    board = scoreboard(source, "r1", layer="head")
    dfa = board["rows"][1]
    assert dfa["along"]["text"] == "100 %"
    assert board["takeaway"].startswith("In head, ")
