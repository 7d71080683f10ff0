"""Measures whose own standard errors hide that they are far off: false alarms, and catches."""

import sys

import numpy as np
import pytest

from backend.figures import Memory, MemoryRun, draw, note_text
from backend.figures.data import law_refuted, law_suspects
from backend.figures.data.law_agreement import at_a_point
from estimators.registry import discover

SPSA = "spsa"
HEAVY = {
    "squared normal": lambda rng, n: rng.standard_normal(n) ** 2,
    "product of two": lambda rng, n: (rng.standard_normal((2, *n)) ** 2).prod(0),
    "product of four": lambda rng, n: (rng.standard_normal((4, *n)) ** 2).prod(0),
    "lognormal": lambda rng, n: np.exp(2 * rng.standard_normal(n) - 2),
    "rare": lambda rng, n: (rng.random(n) < 1 / 640) * 640.0,
    "fewer than rare": lambda rng, n: (rng.random(n) < 1 / 6400) * 6400.0,
}


@pytest.mark.parametrize("draws", [64, 256])
@pytest.mark.parametrize("name", HEAVY)
def test_right_laws_of_heavy_tails_are_refuted_in_less_than_one_of_a_hundred(name, draws):
    squares = HEAVY[name](np.random.default_rng(0), (10_000, draws))  # of mean 1
    value, error = squares.mean(1), squares.std(1, ddof=1) / draws**0.5
    off = law_refuted.above(value, error, 1.0) | law_refuted.below(value, error, 1.0, draws)
    assert (off | (value - 1 > 5 * error)).mean() < 0.01


def test_a_variance_of_half_or_twice_its_law_is_caught():
    squares = np.random.default_rng(0).chisquare(4, (1000, 256)) / 4
    value, error = squares.mean(1), squares.std(1, ddof=1) / 16
    assert law_refuted.above(value, error, 0.5 - 0.05).mean() > 0.9
    assert law_refuted.below(value, error, 2.0, 256).mean() > 0.9


def test_a_right_law_is_refuted_by_the_mean_of_its_draws_in_less_than_one_of_a_hundred():
    rng, k = np.random.default_rng(0), 64
    heavy = rng.standard_normal((4000, k, 8)) * np.exp(1.5 * rng.standard_normal((4000, k, 1)))
    law = 8 * np.exp(2 * 1.5**2)
    spread = heavy.var(1, ddof=1).sum(1)
    bias = (heavy.mean(1) ** 2).sum(1) - spread / k
    zero, full = np.zeros(4000), np.full(4000, law)
    assert law_refuted.astray(bias, spread, zero, full, k).mean() < 0.01
    assert law_refuted.astray(bias * 2e3, spread * 2e3, zero, full, k).mean() > 0.9
    assert not law_refuted.astray(
        np.array([1.0]), zero[:1], zero[:1], zero[:1], k
    ).any()  # no scatter


def test_a_variance_ten_thousand_times_its_law_is_caught_whatever_its_error():
    assert law_refuted.above(1e8, 0.999e8, 1e4)
    assert at_a_point(1e8, 0.9e8, 1e4, 64).verdict == "agrees"
    assert at_a_point(1e8, 0.9e8, 1e4, 64, squares=True).verdict == "disagrees"
    assert at_a_point(1e8, None, 1e4, 64, squares=True).verdict == "disagrees"
    assert at_a_point(1.4e6, None, 1e4, 64, squares=True).verdict == "too few"
    assert not law_refuted.above(1.9, 0.01, 1.0)  # its standard error is enough for that
    assert not law_refuted.above(1.0, 0.0, 0.0)


def swept(name=SPSA, errors=True):
    source = Memory()
    of = {"run": "r0", "draws": 64, "sweep": {"field": "eps", "values": [0.01, 1.0]}}
    config = {"microscope": of, "estimator": {"name": name}, "network": {"name": "mlp"}}
    source.add_run("m1", MemoryRun(2, config=config, labels={"driver": name}))
    for metric, values in {
        "relative_variance": [1.1e4, 1e8], "relative_variance_se": [2e3, 0.9e8],
        "law/relative_variance": [1e4, 1e4], "relative_squared_bias": [3.0, 2e3],
        "relative_squared_bias_se": [50.0, 1e6], "law/relative_squared_bias": [0.0, 0.0],
    }.items():  # fmt: skip
        if errors or not metric.endswith("variance_se"):
            source.add("m1", f"sweep/{metric}", [0, 1], values, estimator=name)
    return source


@pytest.mark.parametrize("errors", [True, False])
def test_a_sweep_says_that_the_step_is_too_long(errors):
    note = note_text(draw("sweep", swept(errors=errors), {"runs": "m1"}))
    said = "disagrees with its law at 1 (1e+04 times the law: "
    assert f"spsa {said}the step is too long for the leading order)" in note
    note = note_text(draw("sweep", swept("usf"), {"runs": "m1"}))
    assert f"usf {said}implementation or assumption wrong)" in note


def test_a_sweep_holds_the_bias_against_the_scatter_of_the_law():
    note = note_text(draw("sweep", swept(), {"runs": "m1", "metric": "relative_squared_bias"}))
    assert "spsa disagrees with its law at 1 (the mean is further off than" in note


@pytest.mark.parametrize("name", ["measures_table", "convergence", "lamps"])
def test_other_figures_say_it_too(name):
    source = swept()
    for metric, value in {
        "relative_variance": 1e8, "relative_variance_se": 0.9e8, "law/relative_variance": 1e4,
        "relative_squared_bias": 2e3, "relative_squared_bias_se": 1e6,
        "law/relative_squared_bias": 0.0,
    }.items():  # fmt: skip
        source.add("m1", metric, [8, 64], [value] * 2, estimator=SPSA)
    made = draw(name, source, {"runs": "m1"})
    said = note_text(made) + "".join(one.get("name", "") for one in made["figure"]["data"])
    assert law_suspects.STEP in said
    assert law_suspects.OTHER not in said


def test_of_several_only_those_with_a_step_are_said_to_have_a_long_one():
    run = MemoryRun(
        1,
        config={"estimator": {"name": "clip_norm", "inner": {"name": "mezo"}}, "shadows": []},
        labels={"driver": "clip_norm"},
    )
    assert law_suspects.of(run, "clip_norm") == law_suspects.STEP
    assert law_suspects.words([(run, "clip_norm"), (run, "usf")]) == (
        f"{law_suspects.OTHER}; of clip_norm: {law_suspects.STEP}"
    )


def test_they_are_the_laws_to_leading_order():
    found = discover().estimators
    written = {
        name
        for name, one in found.items()
        if one.kind == "builtin" and hasattr(sys.modules[one.cls.__module__], "LEADING")
    }
    assert written == {*law_suspects.LEADING}
