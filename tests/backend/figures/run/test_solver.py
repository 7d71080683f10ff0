"""The solves of equilibria are drawn, and draws on unconverged ones are told beside measures."""

import math

import pytest

from backend.figures import FigureError, Memory, MemoryRun, draw, note_text
from backend.figures.data.diagnosis import OF_THE_RUN, question
from estimators.statistics.probes import MEASURES

REPORTS = {
    "forward_iterations": [5.0, 6.0, 200.0],
    "forward_residual": [1e-5, 9e-6, 0.02],
    "forward_absolute_residual": [1e-4, 9e-5, 0.3],
    "backward_iterations": [4.0, 4.0, 9.0],
    "backward_residual": [8e-6, 7e-6, 9e-6],
    "backward_absolute_residual": [8e-8, 7e-8, 9e-8],
    "not_converged": [0.0, 0.0, 3.0],
    "not_finite": [0.0, 0.0, 0.0],
}
UNCONVERGED = "rest on a solve that did not converge"
REFERENCE = "the exact gradient itself rests on a solve that did not converge"


def source(shares=(1.0, 1.0), reports=REPORTS) -> Memory:
    found = Memory()
    config = {"probe": {"draws": 16}}
    labels = {"driver": "backprop", "shadows": ["ift", "jfb"]}
    found.add_run("a", MemoryRun(1, "implicit", labels=labels, steps=40, config=config))
    for key, values in reports.items():
        found.add("a", f"estimator/{key}", [0, 1, 2], values, estimator="backprop")
    radius = "equilibrium/spectral_radius"
    found.add("a", radius, [0, 2], [0.4, 1.07], layer="hidden")
    found.add("a", f"{radius}_converged", [0, 2], shares, layer="hidden")
    found.add("a", radius, [0, 2], [0.2, 0.3], layer="second")
    for label in ("backprop", "ift", "jfb"):
        found.add("a", "scaled_error", [0, 2], [0.1, 0.2], estimator=label)
    found.add_run("b", MemoryRun(2, "plain", labels={"driver": "backprop", "shadows": []}))
    found.add("b", "estimator/norm", [0], [1.0], estimator="backprop")
    return found


def traces(answer):
    data = answer["figure"]["data"]
    return {(one["name"], one.get("yaxis", "y")): one for one in data}


def test_a_panel_for_each_quantity():
    answer = draw("solver", source(), {"runs": "a"})
    drawn = traces(answer)
    assert list(drawn) == [
        ("forward", "y"), ("backward", "y"), ("forward", "y2"), ("backward", "y2"),
        ("not converged", "y3"), ("not finite", "y3"), ("ρ of hidden", "y4"), ("ρ of second", "y4"),
    ]  # fmt: skip
    assert drawn["forward", "y"]["y"] == [5.0, 6.0, 200.0]
    assert drawn["backward", "y2"]["y"] == [8e-6, 7e-6, 9e-6]
    assert drawn["ρ of hidden", "y4"]["y"] == [0.4, 1.07]
    layout = answer["figure"]["layout"]
    headings = [one["text"] for one in layout["annotations"]]
    assert headings[1] == "Relative residual, ‖f(z) − z‖ / ‖f(z)‖"
    assert layout["yaxis2"]["type"] == "log"
    (line,) = layout["shapes"]
    assert (line["y0"], line["y1"], line["yref"]) == (1, 1, "y4")
    listed = [one["name"] for one in answer["figure"]["data"] if one["showlegend"]]
    assert listed == ["forward", "backward", "not converged", "not finite", "ρ of hidden",
                      "ρ of second"]  # fmt: skip
    assert all("series" in one["meta"] for one in drawn.values())


def test_the_residual_is_relative_or_absolute():
    answer = draw("solver", source(), {"runs": "a", "residual": "absolute"})
    assert traces(answer)["forward", "y2"]["y"] == [1e-4, 9e-5, 0.3]
    heading = answer["figure"]["layout"]["annotations"][1]["text"]
    assert heading == "Absolute residual, ‖f(z) − z‖"
    with pytest.raises(FigureError, match="residual is 'squared'; allowed are relative, absolute"):
        draw("solver", source(), {"runs": "a", "residual": "squared"})


def test_estimates_of_the_radius_that_did_not_converge_are_hollow():
    drawn = traces(draw("solver", source(), {"runs": "a"}))
    assert drawn["ρ of hidden", "y4"]["marker"]["symbol"] == "circle"
    answer = draw("solver", source(shares=(1.0, 0.9)), {"runs": "a"})
    drawn = traces(answer)
    assert drawn["ρ of hidden", "y4"]["marker"]["symbol"] == ["circle", "circle-open"]
    assert drawn["ρ of second", "y4"]["marker"]["symbol"] == "circle"
    assert "series" not in drawn["ρ of hidden", "y4"]["meta"]
    assert "hollow: the estimate of ρ did not converge" in note_text(answer)


def test_a_residual_of_zero_or_infinity_is_not_lost():
    reports = {**REPORTS, "forward_residual": [0.0, 1e-5, math.inf]}
    answer = draw("solver", source(reports=reports), {"runs": "a"})
    drawn = traces(answer)["forward", "y2"]
    assert drawn["customdata"] == [0.0, 1e-5, None]
    assert drawn["y"][0] == 0.0
    assert answer["figure"]["layout"]["yaxis2"]["type"] == "linear"
    assert "series" not in drawn["meta"]
    assert "forward: 1 shown points are not finite" in note_text(answer)


def test_a_driver_without_backward_solves_and_a_run_without_probes():
    reports = {key: values for key, values in REPORTS.items() if "backward" not in key}
    found = Memory()
    found.add_run("a", MemoryRun(1, "jfb", labels={"driver": "jfb", "shadows": []}))
    for key, values in reports.items():
        found.add("a", f"estimator/{key}", [0, 1, 2], values, estimator="jfb")
    answer = draw("solver", found, {"runs": "a"})
    assert list(traces(answer)) == [
        ("forward", "y"), ("forward", "y2"), ("not converged", "y3"), ("not finite", "y3"),
    ]  # fmt: skip
    assert not answer["figure"]["layout"].get("shapes")


def test_a_network_without_equilibria_has_none():
    answer = draw("solver", source(), {"runs": "b"})
    assert (answer["count"], answer["figure"]["data"]) == (0, [])
    both = draw("solver", source(), {"runs": "a,b"})
    assert all("#1" in one["name"] or "implicit" in one["name"] for one in both["figure"]["data"])


def test_the_solves_are_not_drawn_twice():
    assert draw("driver_reports", source(), {"runs": "a"})["count"] == 0
    assert draw("driver_reports", source(), {"runs": "b"})["count"] == 1


# --- what is said beside measures ---


def test_draws_on_unconverged_solves_are_told_where_those_that_are_not_finite_are():
    found = source()
    found.add("a", "draw/not_converged", [0, 2], [0, 3], estimator="ift")
    found.add("a", "draw/not_converged", [0, 2], [0, 0], estimator="jfb")
    found.add("a", "draw/nonfinite", [0, 2], [0, 1], estimator="ift")
    sentence = f"ift: 3 of 32 draws (9 %) {UNCONVERGED} in the last 2 probes"
    for name in ("ranking", "curve", "alignment_by_depth"):
        note = note_text(draw(name, found, {"runs": "a", "metric": "scaled_error"}))
        assert sentence in note, name
        assert "ift: 1 of 32 draws (3 %) were not finite in the last 2 probes and are left out" in (
            note
        )
        assert "jfb: " not in note
    ranked = draw("ranking", found, {"runs": "a"})["figure"]["layout"]["annotations"]
    (label,) = [one["text"] for one in ranked if one["text"].startswith("ift")]
    assert label == "ift · 3 % of draws not finite · 9 % of draws not converged"


def test_an_exact_gradient_on_an_unconverged_solve_is_told_once():
    found = source()
    found.add("a", "reference/not_converged", [0, 2], [0, 3])
    sentence = f"{REFERENCE} at 1 of the last 2 probes, for up to 3 examples"
    for name in ("ranking", "curve", "solver"):
        note = note_text(draw(name, found, {"runs": "a", "metric": "scaled_error"}))
        assert note.count(sentence) == 1, name
    found.add("a", "reference/not_converged", [4, 6], [0, 0])
    note = note_text(draw("ranking", found, {"runs": "a", "window": "2"}))
    assert REFERENCE not in note


@pytest.mark.parametrize("prefix", ["", "sweep/"])
def test_a_microscope_says_the_same(prefix):
    found = Memory()
    sweep = {"sweep": {"field": "steps", "values": [1, 2]}} if prefix else {}
    microscope = {"run": "x", "step": 5, "draws": 64, **sweep}
    labels = {"driver": "ift", "shadows": []}
    found.add_run(
        "m", MemoryRun(3, "look", labels=labels, config={"microscope": microscope}, steps=64)
    )
    steps = [1, 2] if prefix else [32, 64]
    found.add("m", f"{prefix}scaled_error", steps, [0.1, 0.1], estimator="ift")
    found.add("m", f"{prefix}draw/not_converged", steps, [2, 5], estimator="ift")
    at, counts = (steps, [1, 4]) if prefix else ([0], [4])
    found.add("m", f"{prefix}reference/not_converged", at, counts)
    name = "sweep" if prefix else "measures_table"
    note = note_text(draw(name, found, {"runs": "m", "metric": "scaled_error"}))
    draws = "7 of 128 draws (5 %)" if prefix else "5 of 64 draws (8 %)"
    assert f"ift: {draws} {UNCONVERGED}" in note
    where = " at 2 of 2 values" if prefix else ""
    assert f"{REFERENCE}{where}, for up to 4 examples" in note


def test_the_diagnosis_asks_with_their_number():
    found = source()
    for name in MEASURES:
        found.add("a", name, [0, 2], [0.5, 0.5], estimator="" if name == OF_THE_RUN else "ift")
    found.add("a", "draw/not_converged", [0, 2], [1, 3], estimator="ift")
    asked = question(found, "a", "ift", 8, {"": ["w"]})
    assert asked["layers"][""]["unconverged"] == 4
    assert question(found, "a", "ift", 1, {"": ["w"]})["layers"][""]["unconverged"] == 3
