"""Measures against depth: network order, whiskers in words, seeds of one setting together."""

import pytest

from backend.figures import Memory, MemoryRun, draw, note_text
from backend.figures.drawing.style import colour
from estimators.statistics.student import Sample, half_width

STAGES = ["first", "middle", "a_head"]
FACTS = {"layers": [{"name": f"{stage}.weight", "stage": stage} for stage in STAGES]}


def trained(source: Memory, run_id: str, values: dict[str, list[float]], **config) -> None:
    labels = {"driver": "spsa", "shadows": ["backprop"]}
    number = int(run_id.removeprefix("r"))
    source.add_run(run_id, MemoryRun(number, run_id, config, labels, facts=FACTS))
    for layer, points in values.items():
        steps = range(len(points))
        source.add(run_id, "cosine", steps, points, layer=layer, estimator="spsa")
        source.add(run_id, "cosine", steps, [1.0] * len(points), layer=layer, estimator="backprop")


def test_layers_stand_in_network_order_and_whiskers_are_said():
    source = Memory()
    # Out of order, and the oldest point is beyond the window.
    values = {"a_head": [9.0, 0.1, 0.3], "first": [9.0, 0.5, 0.7], "middle": [9.0, 0.2, 0.2]}
    trained(source, "r1", values)
    drawn = draw("alignment_by_depth", source, {"runs": "r1", "window": "2"})
    spsa, backprop = drawn["figure"]["data"]
    assert spsa["x"] == STAGES
    assert drawn["figure"]["layout"]["xaxis"]["categoryarray"] == STAGES
    assert spsa["customdata"] == pytest.approx([0.6, 0.2, 0.2], rel=1e-14)
    assert spsa["error_y"]["array"] == pytest.approx([0.1, 0.0, 0.1], rel=1e-14, abs=1e-15)
    assert (spsa["line"]["color"], backprop["line"]["color"]) == (
        colour("spsa"),
        colour("backprop"),
    )
    note = note_text(drawn)
    assert (
        "mean of the last 2 points, whisker: lowest to highest of these, not a confidence" in note
    )
    assert "links" not in spsa["meta"], "the run is on the page already"


def test_what_the_driver_reports_of_its_guess_comes_first():
    source = Memory()
    trained(source, "r1", {"first": [0.5]})
    source.add("r1", "estimator/guess_cosine", [0], [-0.25], layer="first", estimator="spsa")
    (trace,) = draw("alignment_by_depth", source, {"runs": "r1"})["figure"]["data"]
    assert trace["y"] == [-0.25]
    drawn = draw("alignment_by_depth", source, {"runs": "r1", "metric": "cosine"})
    assert drawn["figure"]["data"][0]["y"] == [0.5]


def test_runs_that_differ_in_their_seed_alone_share_a_line():
    source, means = Memory(), [0.2, 0.4, 0.9]
    for seed, mean in enumerate(means):
        trained(source, f"r{seed + 1}", {"first": [mean]}, seed=seed, batch_size=32)
    trained(source, "r4", {"first": [0.7]}, seed=0, batch_size=64)
    drawn = draw("alignment_by_depth", source, {"runs": "r1,r2,r3,r4"})
    shared, _, alone, _ = drawn["figure"]["data"]
    sample = Sample.from_values(means)
    assert shared["y"] == pytest.approx([sample.mean], rel=1e-15)
    half = half_width(3) * sample.standard_error
    assert sample.mean + half > 1 > sample.mean - half > -1
    assert shared["error_y"]["array"] == pytest.approx([1 - sample.mean], rel=1e-13)
    assert shared["error_y"]["arrayminus"] == pytest.approx([half], rel=1e-13)
    assert f"… {sample.mean + half:.3g}, 95 % t-interval" in shared["text"][0]
    assert shared["meta"]["links"] == ["r1,r2,r3"]
    assert (alone["y"], alone["meta"]["links"]) == ([0.7], ["r4"])
    assert "whisker: 95 % t-interval over seeds" in note_text(drawn)


def test_points_that_are_not_finite_are_left_out():
    source = Memory()
    trained(source, "r1", {"first": [0.5, float("nan")], "middle": [float("inf")]})
    spsa = draw("alignment_by_depth", source, {"runs": "r1"})["figure"]["data"][0]
    assert (spsa["x"], spsa["y"]) == (["first"], [0.5])


def guessing(source: Memory, number: int, target: str, guess: str, **config) -> None:
    """A run whose driver is labelled as the lab does it, with a shadow of another kind."""
    driver = {"name": "guess_and_target", "target_loss": target, "guess": guess}
    driver |= config.pop("more", {})
    label = "guess_and_target(" + ", ".join(f"{k}={v}" for k, v in driver.items()) + ")"
    whole = {"estimator": driver, "shadows": [{"name": "backprop"}], **config}
    labels = {"driver": label, "shadows": ["backprop"]}
    name = f"a study: {target}, {guess}"
    source.add_run(f"r{number}", MemoryRun(number, name, whole, labels, facts=FACTS))
    for each in (label, "backprop"):
        source.add(f"r{number}", "cosine", [0], [0.5], layer="first", estimator=each)


def legend(source: Memory, runs: str) -> list[str]:
    drawn = draw("alignment_by_depth", source, {"runs": runs})
    return [trace["name"] for trace in drawn["figure"]["data"]]


def test_guesses_are_called_by_target_and_guess():
    source = Memory()
    guessing(source, 1, "global", "local")
    guessing(source, 2, "local", "normal")
    names = legend(source, "r1,r2")
    assert (names[0], names[2]) == ("global ← local", "local ← normal")
    assert "#1" in names[1], "another estimator of two runs is told apart by its run"
    assert "#2" in names[3]


def test_a_caution_calls_a_guess_as_the_legend_does():
    source = Memory()
    guessing(source, 1, "global", "local")
    label = source.run("r1").labels["driver"]
    for metric, value in (("along", -1.0), ("along_se", 0.01)):
        source.add("r1", metric, range(8), [value] * 8, estimator=label)
    note = note_text(draw("alignment_by_depth", source, {"runs": "r1"}))
    assert "global ← local points uphill" in note


def test_guesses_of_one_pair_are_called_by_what_tells_them_apart():
    source = Memory()
    guessing(source, 1, "global", "local", batch_size=32)
    guessing(source, 2, "global", "local", batch_size=32, more={"unit": "tensor"})
    guessing(source, 3, "local", "normal", batch_size=64)
    names = legend(source, "r1,r2,r3")[::2]
    assert names[1:] == ["global ← local, unit tensor", "local ← normal"]
    # Nothing but the run tells two microscopes of one setting apart.
    guessing(source, 4, "global", "local", microscope={}, seed=0)
    guessing(source, 5, "global", "local", microscope={}, seed=1)
    alike = legend(source, "r4,r5")[::2]
    assert len(set(alike)) == 2
    assert all(f"#{number}" in name for number, name in zip((4, 5), alike, strict=True))
