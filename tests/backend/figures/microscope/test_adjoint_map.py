"""The adjoint map, the costs and the descent condition, drawn from numbers that are known."""

import json

import numpy as np
import pytest

from backend.figures import FigureError, Memory, draw, note_text
from backend.figures.data.microscope.adjoint_map import Cost
from backend.figures.microscope.adjoint_map import _heights
from tests.backend.figures.full_source import add_adjoint_map


@pytest.fixture
def source():
    memory = Memory()
    add_adjoint_map(memory, "a1")
    return memory


def drawn(source, name="adjoint_map", **query):
    answer = draw(name, source, {"runs": "a1", **query})
    json.dumps(answer, allow_nan=False)
    return answer


def cells(answer):
    return next(trace for trace in answer["figure"]["data"] if trace["type"] == "heatmap")


def test_a_cell_stands_at_its_k_and_damping(source):
    answer = drawn(source)
    heatmap, axes = cells(answer), answer["figure"]["layout"]
    assert axes["xaxis"]["ticktext"] == ["0.5", "1"]
    assert axes["yaxis"]["ticktext"] == ["1", "2", "4"]
    np.testing.assert_allclose(heatmap["z"], [[0.2, 0.6], [0.6, 0.8], [0.8, 0.9]])
    assert heatmap["text"] == [["0.2", "0.6"], ["0.6", "0.8"], ["0.8", "0.9"]]
    assert "k = 4, λ = 0.5" in heatmap["hovertext"][2][0]
    assert "‖Bᵏ‖ 0.316 at most, median 0.158" in heatmap["hovertext"][2][0]


def test_the_takeaway_says_no_more_than_the_numbers(source):
    assert (
        "no measured setting has a cosine of at least 0.99; the best is k = 4 with λ = 1: 0.9"
        in (note_text(drawn(source)))
    )
    errors = note_text(drawn(source, quantity="relative_error"))
    assert (
        "the fewest measured steps with an error of at most 0.1 are k = 4 with λ = 1: 0.1" in errors
    )
    assert "at this factor: jfb 0.4, ift 0, unrolled 0" in errors
    times = note_text(drawn(source, quantity="seconds"))
    assert "one gradient took 10 to 15 ms, timed once; ift took 20 ms" in times


def test_where_the_exact_gradient_did_not_converge_there_is_no_takeaway(source):
    answer = drawn(source, factor="3")
    note = note_text(answer)
    assert "the exact gradient itself did not converge in 2 examples" in note
    assert "the forward solve did not converge in 3 of 8 examples" in note
    assert "ρ(J) is not below 1" in note
    assert "measured steps" not in note
    assert (
        "✗: the forward solve of npg and jfb, the forward or backward solve of ift, the plain "
        "iteration of unrolled did not converge in some examples" in note
    )
    assert all(text.endswith("✗") for row in cells(answer)["text"] for text in row)
    assert not any("✗" in text for row in cells(drawn(source))["text"] for text in row)


def set_missed(source, missed):
    found = [s for s in source.series("a1") if s.metric == "adjoint_map/not_converged"]
    key = next(s.id for s in found if s.estimator == "npg")
    points = source._points[key]
    source._points[key] = type(points)(points.steps, missed, points.count)


def test_beside_an_exact_gradient_that_did_not_converge_no_setting_is_named(source):
    set_missed(source, np.zeros(12))
    note = note_text(drawn(source, factor="3"))
    assert "measured setting" not in note
    assert "measured steps" not in note


def test_where_no_setting_converged_the_solve_is_named(source):
    set_missed(source, np.ones(12))
    note = note_text(drawn(source))
    assert "at every measured setting the forward solve did not converge in an example" in note
    assert "✗: the forward solve of npg did not converge in some examples" in note


def test_levels_stand_beside_the_plot(source):
    answer = drawn(source)["figure"]
    names = {each["text"]: each for each in answer["layout"]["annotations"]}
    # The line of 0.5 ends in the first of two columns, that of 0.1 in the last.
    assert (names["0.1"]["x"], names["0.1"]["xanchor"]) == (1.5, "left")
    assert (names["0.5"]["x"], names["0.5"]["xanchor"]) == (0.5, "center")
    assert answer["layout"]["xaxis"]["range"][1] == 1.5


def test_a_setting_that_did_not_converge_is_no_takeaway(source):
    missed = np.zeros(12)
    missed[5] = 1.0  # k = 4 with λ = 1, the best
    set_missed(source, missed)
    assert "the best is k = 2 with λ = 1: 0.8" in note_text(drawn(source))


def test_lines_lie_where_the_norms_cross_their_level(source):
    traces = [t for t in drawn(source)["figure"]["data"] if t["type"] == "scatter"]
    levels = {trace["meta"]["level"]: trace["y"] for trace in traces}
    assert {*levels} == {0.5, 0.1}
    # 0.75ᵏ = 0.5 at k = 2.41: between the rows of k = 2 and k = 4, which are 1 and 2.
    crossing = np.log(0.5) / np.log(0.75)
    assert levels[0.5][0] == pytest.approx(1 + (crossing - 2) / 2)
    assert levels[0.5][1] is None, "below the level from the first row on"
    assert levels[0.1][0] is None, "never below the level"
    assert levels[0.1][1] == pytest.approx(1 + (np.log(0.1) / np.log(0.5) - 2) / 2)


def test_a_norm_that_rises_again_is_below_from_its_last_crossing_on():
    norms = np.array([[0.2], [0.8], [0.2]])
    assert 1 < _heights(norms, 0.5)[0] < 2
    assert np.isnan(_heights(np.array([[0.2], [0.8]]), 0.5)[0])
    assert np.isnan(_heights(np.array([[0.8], [np.nan]]), 0.5)[0])


def test_the_factors_are_offered_with_their_radius(source):
    assert drawn(source)["meta"]["factors"] == [
        {"value": "", "title": "1, ρ(J) = 0.8"}, {"value": "3", "title": "3, ρ(J) = 1.2"},
    ]  # fmt: skip
    with pytest.raises(FigureError, match="factor is 2; this map has 1, 3"):
        drawn(source, factor="2")
    with pytest.raises(FigureError, match="adjoint is 'jfb'; allowed are npg, upg"):
        drawn(source, adjoint="jfb")


def test_colours_are_the_same_at_every_factor(source):
    ranges = [[cells(drawn(source, factor=f))[end] for end in ("zmin", "zmax")] for f in ("", "3")]
    assert ranges[0] == ranges[1]


def test_the_condition_is_drawn_with_both_forms(source):
    answer = drawn(source, "descent_condition")
    assert cells(answer)["text"] == [
        ["0 % (0 %)", "0 % (0 %)"], ["0 % (0 %)", "50 % (25 %)"], ["50 % (25 %)", "100 % (50 %)"],
    ]  # fmt: skip
    note = note_text(answer)
    assert "in all 4 examples are k = 4, with λ = 1" in note
    assert "σ_min is 0 in 1 example (" in note


def test_above_256_states_it_says_that_nothing_was_evaluated():
    memory = Memory()
    add_adjoint_map(memory, "a1", states=3136)
    answer = drawn(memory, "descent_condition")
    words = [each["text"] for each in answer["figure"]["layout"]["annotations"]]
    assert "not evaluated: 3,136 states" in words
    assert "by power iterations, as there are 3,136 states" in note_text(drawn(memory))


def test_a_condition_that_was_not_evaluated_for_another_reason_does_not_blame_the_states():
    memory = Memory()
    add_adjoint_map(memory, "a1", states=5, evaluated=False)
    answer = drawn(memory, "descent_condition")
    words = [each["text"] for each in answer["figure"]["layout"]["annotations"]]
    assert any("is not finite, or no trained parameter moves f" in text for text in words), words


def test_costs_are_a_line_for_each_adjoint_and_solver(source):
    answer = drawn(source, "adjoint_costs")
    lines = {trace["name"]: trace for trace in answer["figure"]["data"]}
    assert {*lines} == {"ift, anderson", "jfb, anderson", "npg, anderson", "upg, anderson"}
    # Of each k the damping with the smallest error, which is λ = 1.
    np.testing.assert_allclose(lines["npg, anderson"]["y"], [0.4, 0.2, 0.1])
    np.testing.assert_allclose(lines["npg, anderson"]["error_x"]["arrayminus"], 0.1)
    assert "of at most 0.1 are npg, k 4, λ 1 (0.1), in 0.5 of the time of ift" in note_text(answer)
    table = drawn(source, "adjoint_cost_table")["figure"]["data"][0]["cells"]["values"]
    assert len(table[0]) == 2 + 2 * 3
    assert {*table[-1]} == {"2"}, "MiB kept, the history included"
    assert table[6][0] == "10 (9–12)"
    assert {*table[6][1:]} == {"5 (4–6)"}
    assert {*table[7]} == {"0.5 (0.4–0.7)"}
    assert {*table[8]} == {"4 (3–5)"}


@pytest.mark.parametrize(
    ("slowest", "repeats", "apart"),
    [(0.0089, 5, True), (0.009, 5, False), (0.02, 5, False), (0.006, 3, False)],
)
def test_which_is_faster_is_said_where_the_quartiles_do_not_overlap(slowest, repeats, apart):
    memory = Memory()
    add_adjoint_map(memory, "a1", slowest=slowest, repeats=repeats)
    note = note_text(drawn(memory, "adjoint_costs"))
    assert ("in 0.5 of the time of ift (5 (4–" in note) is apart
    assert ("is not decided by these timings (5 (4–" in note) is not apart


def test_a_slower_adjoint_is_said_to_be_slower():
    def row(kind, low, high):
        numbers = {"repeats": 5, "seconds_low": low, "seconds_high": high}
        return Cost("anderson", kind, None, None, numbers)

    ift = row("ift", 2.0, 3.0)
    assert row("jfb", 3.5, 4.0).times_differ(ift)
    assert not row("jfb", 3.0, 4.0).times_differ(ift)
    assert not row("jfb", 1.0, 4.0).times_differ(ift)
    old = Cost("anderson", "jfb", None, None, {"seconds": 1.0})
    assert not old.times_differ(ift), "a run without quartiles decides nothing"
    assert old.spread("seconds", 1000) == "1e+03"
