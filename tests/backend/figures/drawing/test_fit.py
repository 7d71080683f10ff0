"""Lines that would hide each other: small beside large, and a run that dwarfs the others."""

import numpy as np
import pytest

from backend.figures import Memory, MemoryRun, draw, note_text

DECAY = 2.3 * 0.99 ** np.arange(200)


def axis(drawn):
    return drawn["figure"]["layout"]["yaxis"]


def learning(*losses) -> tuple[Memory, str]:
    """Runs #1, #2, ... with these training losses, and their ids."""
    source = Memory()
    for at, loss in enumerate(losses, start=1):
        source.add_run(f"r{at}", MemoryRun(at, labels={"driver": "backprop", "shadows": []}))
        source.add(f"r{at}", "train/loss", np.arange(len(loss)), loss)
    return source, ",".join(f"r{at}" for at in range(1, len(losses) + 1))


@pytest.mark.parametrize("worst", [30.0, 1e24])
def test_a_run_that_dwarfs_the_others_leaves_their_range_and_is_marked(worst):
    source, ids = learning(DECAY, np.append(DECAY, [worst, worst / 2, np.nan]), DECAY)
    drawn = draw("curve", source, {"runs": ids})
    low, top = axis(drawn)["range"]
    assert axis(drawn)["type"] == "linear"
    assert low < 0.4
    assert 2.3 < top < 4
    assert f"run #2 leaves the range: up to {worst:.3g}" in note_text(drawn)
    _, wild, _, *marks = drawn["figure"]["data"]
    assert max(y for y in wild["y"] if y is not None) == worst
    assert "series" in wild["meta"]
    (above,) = [one for one in marks if one["name"] == "beyond the range"]
    assert (above["x"], above["customdata"]) == ([200.0], [worst])
    assert above["marker"]["symbol"] == ["triangle-up"]


@pytest.mark.parametrize("losses", [[DECAY], [DECAY, DECAY / 3], [DECAY, DECAY * 5]])
def test_runs_that_are_alike_are_shown_whole(losses):
    source, ids = learning(*losses)
    drawn = draw("curve", source, {"runs": ids})
    assert "range" not in axis(drawn)
    assert note_text(drawn) == ""


def test_values_beyond_the_range_are_marked_both_ways():
    wild = np.append(DECAY, [1e24, 2e24, -1e9, -3e9, 1.0])
    source, ids = learning(DECAY, wild)
    drawn = draw("curve", source, {"runs": ids})
    low, top = axis(drawn)["range"]
    beyond = drawn["figure"]["data"][-1]
    assert beyond["name"] == "beyond the range"
    assert (beyond["x"], beyond["customdata"]) == ([200.0, 202.0], [2e24, -3e9])
    assert beyond["marker"]["symbol"] == ["triangle-up", "triangle-down"]
    assert beyond["y"] == [0.97, 0.03]
    assert "up to 2e+24; run #2 leaves the range: down to -3e+09" in note_text(drawn)
    hidden = [y for t in drawn["figure"]["data"][:2] for y in t["y"] if not low <= y <= top]
    assert sorted(hidden) == [-3e9, -1e9, 1e24, 2e24]
    spans = [trace["meta"]["span"] for trace in drawn["figure"]["data"][:2]]
    assert spans == [[low, top]] * 2, "a live value beyond it is marked too"


def test_what_a_dwarfing_run_reaches_below_the_others_is_in_the_range():
    learns = np.append(40.0, 1.1 * 0.99 ** np.arange(200))
    source, ids = learning(learns, np.linspace(1.0, 1.3, 40))
    drawn = draw("curve", source, {"runs": ids})
    assert axis(drawn)["range"][0] <= learns.min()


def test_many_spikes_have_few_marks():
    spiky = np.where(np.arange(200) % 2, 99.0, DECAY)
    source, ids = learning(DECAY, spiky)
    (above,) = [
        one
        for one in draw("curve", source, {"runs": ids})["figure"]["data"]
        if one["name"] == "beyond the range"
    ]
    assert len(above["x"]) == 20


def test_a_line_near_zero_beside_a_large_one_makes_the_axis_asinh(empty):
    small = [0.004, -0.006, 0.005, 0.003]
    for layer in ("", "hidden1"):
        empty.add("r1", "cosine", range(4), small, layer=layer, estimator="forward_gradient")
        empty.add("r1", "cosine", range(4), [1.0] * 4, layer=layer, estimator="backprop")
    for name in ("curve", "layer_panels"):
        drawn = draw(name, empty, {"runs": "r1", "metric": "cosine"})
        assert "asinh axis" in note_text(drawn)
        assert drawn["figure"]["data"][0]["customdata"] == small
        linear = draw(name, empty, {"runs": "r1", "metric": "cosine", "scale": "linear"})
        assert linear["figure"]["data"][0]["y"] == small


@pytest.mark.parametrize("low", [0.1, 0.0])
def test_lines_that_can_be_told_apart_stay_linear_unless_asked(empty, low):
    empty.add("r1", "scaled_error", [0, 1], [1.0, 0.9], estimator="a")
    empty.add("r1", "scaled_error", [0, 1], [low, low], estimator="backprop")
    drawn = draw("curve", empty, {"runs": "r1", "metric": "scaled_error"})
    assert "tickvals" not in axis(drawn)
    asked = draw("curve", empty, {"runs": "r1", "metric": "scaled_error", "scale": "asinh"})
    assert "tickvals" in axis(asked)


def test_a_loss_keeps_the_axis_on_which_it_can_grow(source):
    drawn = draw("curve", source, {"runs": "r1", "scale": "asinh"})
    assert drawn["figure"]["data"][0]["meta"]["series"] == 1
    assert "an asinh axis is for measures" in note_text(drawn)


def test_another_run_leaves_the_axis_of_the_first_as_it_is():
    wide = np.geomspace(2000, 1e-3, 200)
    exploding = np.append(DECAY[:3], [50.0, 1e6, 1e18, np.nan])
    source, _ = learning(DECAY, wide, DECAY / 2, exploding)
    kinds = {
        axis(draw("curve", source, {"runs": runs}))["type"]
        for runs in ("r1", "r2", "r4", "r1,r2", "r2,r1", "r3,r4", "r4,r1,r2,r3")
    }
    assert kinds == {"linear"}


def test_measures_keep_the_axis_that_the_first_run_needs():
    source = Memory()
    for number, values in ((1, [0.5, 0.6]), (2, [0.001, 0.002])):
        source.add_run(f"r{number}", MemoryRun(number, labels={"driver": "a", "shadows": ["b"]}))
        for label in ("a", "b"):
            source.add(f"r{number}", "cosine", [0, 1], values, estimator=label)
    kinds = ["tickvals" in axis(draw("curve", source, {"runs": runs, "metric": "cosine"}))
             for runs in ("r1", "r1,r2", "r2,r1")]  # fmt: skip
    assert kinds == [False] * 3


def test_a_finished_run_is_seen_beside_a_diverged_one_and_a_diverged_one_alone():
    """The range of 1.02 to 3.94 hid that a run fell to 0.14."""
    finished = np.append(np.linspace(2.3, 0.14, 100), 0.14)
    diverged = np.append(np.linspace(2.3, 3.9, 20), [60.0, 1e6, 9.6e22, np.nan])
    source, _ = learning(finished, diverged)
    for runs in ("r1,r2", "r2,r1"):
        drawn = draw("curve", source, {"runs": runs})
        low, top = axis(drawn)["range"]
        assert low <= 0.14
        assert 2.3 < top < 10
        (above,) = [t for t in drawn["figure"]["data"] if t["name"] == "beyond the range"]
        assert above["customdata"] == [9.6e22]
    low, top = axis(draw("curve", source, {"runs": "r2"}))["range"]
    assert low <= 2.3 < 3.9 < top < 60


def test_a_log_axis_is_drawn_on_demand():
    source, ids = learning(DECAY, DECAY / 2)
    assert axis(draw("curve", source, {"runs": ids, "scale": "log"}))["type"] == "log"
    source, ids = learning(DECAY, np.append(DECAY, 0.0))
    drawn = draw("curve", source, {"runs": ids, "scale": "log"})
    assert "a log axis has no place for values that are not positive" in note_text(drawn)
