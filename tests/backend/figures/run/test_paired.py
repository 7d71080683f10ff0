"""Estimators against a reference: what is a pair, the interval, and what is refused."""

import json

import numpy as np
import pytest

from backend.figures import FigureError, Memory, MemoryRun, draw, note_text
from estimators.statistics.paired import paired

FORWARD, DFA = "forward_gradient", "direct_feedback_alignment"
LABELS = {"driver": FORWARD, "shadows": [DFA]}


def trained(seed: int, first, second, number: int = 1, **config) -> Memory:
    """A run with a probe at every 8th step."""
    return also(Memory(), seed, first, second, number, **config)


def also(source: Memory, seed: int, first, second, number: int, **config) -> Memory:
    given = {"seed": seed, "probe": {"draws": 16}, "batch_size": 64, **config}
    source.add_run(f"r{number}", MemoryRun(number, "a run", config=given, labels=LABELS))
    for label, values in ((FORWARD, first), (DFA, second)):
        steps = 8 * np.arange(len(values))
        source.add(f"r{number}", "scaled_error", steps, values, estimator=label)
    return source


def asked(source: Memory, runs: str = "r1", **query: str):
    drawn = draw("paired", source, {"runs": runs, **query})
    json.dumps(drawn, allow_nan=False)
    return drawn


def bar(drawn) -> tuple[float, float]:
    one = drawn["figure"]["data"][0]
    return one["x"][0], one["error_x"]["array"][0]


@pytest.mark.parametrize("n", [5, 8, 40])
def test_the_interval_is_the_library_s(n):
    x, y = np.random.default_rng(n).standard_normal((2, n)) + np.array([[0.3], [0.0]])
    known = paired(y.tolist(), x.tolist(), successive=True)
    mean, half = bar(asked(trained(0, x, y)))
    assert mean == pytest.approx(known.difference)
    assert mean + half == pytest.approx(known.high)


def test_one_probe_has_no_interval():
    drawn = asked(trained(0, np.ones(1), np.full(1, 2.0)))
    assert "intervals of the mean" not in note_text(drawn)
    assert "1 probes" not in json.dumps(drawn)


def test_probes_of_one_run_are_pairs_and_a_drift_does_not_widen_the_interval():
    rng = np.random.default_rng(0)
    drift = np.linspace(5, 1, 30)
    drawn = asked(trained(0, drift, 1.1 * drift + 0.02 * rng.standard_normal(30)))
    mean, half = bar(drawn)
    assert mean == pytest.approx(0.3, abs=0.03)
    assert half < 0.02
    assert "scaled error larger than forward_gradient's" in note_text(drawn)
    assert "larger in 30 of 30 probes" in note_text(drawn)
    assert "over these probes of run #1" in note_text(drawn)


def test_steps_that_one_of_them_lacks_are_no_pairs():
    source = trained(0, np.ones(6), np.zeros(9))
    assert "smaller than" in (note := note_text(asked(source)))
    assert "0 of 6 probes" in note


def test_few_pairs_are_refused_in_words():
    drawn = asked(trained(0, np.ones(4), np.zeros(4)))
    assert "direct_feedback_alignment: 4 probes, a comparison takes at least 5" in note_text(drawn)
    assert "error_x" not in drawn["figure"]["data"][0]
    few = asked(trained(0, np.ones(8), np.zeros(8), probe={"draws": 2}))
    assert "8 probes, a comparison takes at least 32" in note_text(few)


def test_values_that_are_not_finite_are_left_out():
    values = np.array([0.0, np.nan, 0, np.inf, 0, 0, 0])
    assert "0 of 5 probes" in note_text(asked(trained(0, np.ones(7), values)))


def seeds(count: int, **config) -> tuple[Memory, str]:
    source = Memory()
    for i in range(count):
        also(source, i, np.ones(9), np.full(9, 2.0 + 0.01 * i), i + 1, **config)
    return source, ",".join(f"r{i + 1}" for i in range(count))


def test_runs_of_five_seeds_are_paired_by_seed():
    drawn = asked(*seeds(6), window="4")
    assert bar(drawn)[0] == pytest.approx(1.025)
    assert "larger in 6 of 6 seeds" in note_text(drawn)
    assert "differ in more" not in note_text(drawn)
    fewer = asked(*seeds(4))
    assert "run #1 alone" in note_text(fewer)
    assert "there are 4 here" in note_text(fewer)


def test_a_seed_counts_once_and_other_runs_are_named():
    source, runs = seeds(5)
    also(source, 0, np.ones(9), np.full(9, 50.0), 9, batch_size=32)
    drawn = asked(source, f"{runs},r9")
    assert bar(drawn)[0] == pytest.approx(1.02)
    assert "several runs of seed 0" in note_text(drawn)
    assert "the runs differ in more than their seed: batch_size" in note_text(drawn)


def test_drivers_are_compared_by_what_their_runs_end_with():
    source = Memory()
    for i in range(10):
        labels = {"driver": (FORWARD, DFA)[i % 2], "shadows": []}
        source.add_run(f"r{i}", MemoryRun(i, config={"seed": i // 2}, labels=labels))
        source.add(f"r{i}", "test/accuracy", [100], [0.9 - 0.1 * (i % 2) + 0.001 * i])
    drawn = asked(source, ",".join(f"r{i}" for i in range(10)), metric="test/accuracy")
    assert bar(drawn)[0] == pytest.approx(-0.099)
    assert "test accuracy smaller than forward_gradient's" in note_text(drawn)


def test_a_microscope_s_draws_are_not_paired():
    source = Memory()
    config = {"microscope": {"run": "r0", "draws": 256}}
    source.add_run("r1", MemoryRun(2, config=config, labels=LABELS))
    for label, value in ((FORWARD, 0.9), (DFA, 0.5)):
        source.add("r1", "scaled_error", [128, 256], [0.0, value], estimator=label)
        source.add("r1", "scaled_error_se", [256], [0.1], estimator=label)
    drawn = asked(source)
    mean, half = bar(drawn)
    assert (mean, half) == (pytest.approx(-0.4), pytest.approx(1.97 * 0.1 * 2**0.5, rel=0.01))
    assert "are not paired" in note_text(drawn)


def test_another_reference_turns_the_sign_and_an_unknown_one_is_refused():
    source = trained(0, np.ones(9), np.zeros(9))
    assert "forward_gradient: scaled error larger" in note_text(asked(source, estimator=DFA))
    with pytest.raises(FigureError, match="no estimator 'fdfa' with this measure; there are"):
        asked(source, estimator="fdfa")


def test_runs_of_two_seeds_are_paired_as_far_as_they_go():
    source = Memory()
    for number, (seed, label) in enumerate([(0, FORWARD), (1, FORWARD), (0, DFA)], 1):
        config = {"seed": seed, "batch_size": 64}
        source.add_run(f"r{number}", MemoryRun(number, "a", config, {"driver": label}))
        source.add(f"r{number}", "test/accuracy", [100], [0.5 + 0.1 * number])
    drawn = asked(source, "r1,r2,r3", metric="test/accuracy")
    assert drawn["figure"]["data"][0]["x"] == pytest.approx([0.2])
    assert f"{DFA} has no run with seed 1" in note_text(drawn)
    assert drawn["count"] == 1
    alone = asked(source, "r1,r2", metric="test/accuracy")
    assert [a["text"] for a in alone["figure"]["layout"]["annotations"]] == ["nothing to compare"]
    assert "two runs with test accuracy, of one seed and two drivers" in note_text(alone)
