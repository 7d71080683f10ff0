"""Law checks: what agrees, disagrees or is not judged, and the rate of false alarms."""

import math
import sys

import numpy as np
import pytest

from estimators.statistics.law_check import (
    check_measure,
    check_ratio,
    check_zero,
    exceeds,
    falls_short,
    mean_exceeds,
)


def scattered(law, draws=16, seed=0):
    """What `draws` draws measure of a law, as heavy-tailed as a forward gradient's slopes."""
    rng = np.random.default_rng(seed)
    return law * (rng.standard_normal((draws, len(law))) ** 2).mean(0)


def check(value, error, law, draws, metric="scaled_error", record=None, interval=None):
    """A measure at a point from what is known of it; None is not known."""
    names = {metric: value, f"{metric}_se": error, f"law/{metric}": law}
    known = {**names, f"law_check/{metric}": record}
    return check_measure(
        metric, {name: x for name, x in known.items() if x is not None}, draws, interval
    )


@pytest.mark.parametrize("draws", [8, 16])
def test_a_true_law_is_rarely_called_wrong_and_a_wrong_one_is_found(draws):
    law = np.full(20, 30.0)
    true = [check_ratio(scattered(law, draws, seed), law, draws).verdict for seed in range(400)]
    assert true.count("disagrees") <= 2
    law = np.full(40, 30.0)
    false = [check_ratio(2 * scattered(law, draws, s), law, draws).verdict for s in range(100)]
    assert false.count("disagrees") >= 80


def test_the_scatter_of_a_few_probes_is_not_trusted_as_that_of_many():
    """By four standard errors, 1 in 100 is called wrong; twice the law is many off all the same."""
    law = np.full(8, 30.0)
    true = [check_ratio(scattered(law, 16, seed), law, 16).verdict for seed in range(2000)]
    assert true.count("disagrees") <= 2
    apart = [check_zero(scattered(law, 16, s) - law, 16).verdict for s in range(2000)]
    assert apart.count("disagrees") <= 3


def test_a_law_of_zero_is_held_to_rounding():
    zero = np.zeros(20)
    assert check_ratio(zero + 1e-9, zero, 16).verdict == "agrees"
    assert check_ratio(zero + 1e-3, zero, 16).verdict == "disagrees"
    none = check_ratio(np.full(20, np.nan), zero, 16)
    assert none.words == "not judged (too few probes)"


@pytest.mark.parametrize(
    ("value", "error", "law", "draws", "words"),
    [
        (1.0, 0.1, 1.4, 256, "agrees"),
        (1.0, 0.1, 1.6, 256, "disagrees"),
        (1.0, 0.1, 1.6, 32, "not judged (too few draws)"),
        (1.0, None, 1.6, 256, "not judged (no standard error)"),
        (1.0, 0.1, None, 256, "not judged (no law)"),
        (0.0, None, 0.0, 8, "agrees"),
        (np.nan, 0.1, 1.0, 256, "not judged (no value)"),
    ],
)
def test_a_measure_at_a_point(value, error, law, draws, words):
    assert check(value, error, law, draws).words == words


def test_the_verdict_by_the_draws_goes_before_the_standard_error():
    assert check(1.0, 0.1, 1.6, 256, record=1.0).verdict == "agrees"
    assert check(1.0, 0.1, 1.4, 256, record=0.0).verdict == "disagrees"
    assert check(1.0, 0.1, 1.4, 256, record=0.0).errors == pytest.approx(-4)
    assert check(1.0, None, 1.4, 64, record=1.0).verdict == "agrees", "no interval as yet"
    assert check(1.0, 0.1, 1.6, 256, record=np.nan).verdict == "disagrees"
    assert check(1.0, 0.1, 1.6, 256, interval=(0.9, 1.7)).verdict == "agrees"
    assert check(1.0, 0.1, 1.6, 256, record=1.0, interval=(0.9, 1.5)).verdict == "disagrees"


def test_what_is_stored_is_read_back_as_the_same_verdict():
    for record, verdict in ((1.0, "agrees"), (0.0, "disagrees")):
        stored = check(1.0, 0.1, 1.3, 256, record=record)
        assert (stored.verdict, stored.record) == (verdict, record)
    assert math.isnan(check(1.0, 0.1, None, 256).record)


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
def test_right_laws_of_heavy_tails_are_called_wrong_in_less_than_one_of_a_hundred(name, draws):
    squares = HEAVY[name](np.random.default_rng(0), (10_000, draws))  # of mean 1
    values, errors = squares.mean(1), squares.std(1, ddof=1) / draws**0.5
    pairs = zip(values.tolist(), errors.tolist(), strict=True)
    verdicts = [check(v, e, 1.0, draws, "relative_variance").verdict for v, e in pairs]
    assert verdicts.count("disagrees") < 100


def test_a_variance_of_half_or_twice_its_law_is_caught():
    squares = np.random.default_rng(0).chisquare(4, (1000, 256)) / 4
    values, errors = squares.mean(1).tolist(), (squares.std(1, ddof=1) / 16).tolist()
    pairs = list(zip(values, errors, strict=True))
    assert sum(exceeds(v, e, 0.5 - 0.05) for v, e in pairs) > 900
    assert sum(falls_short(v, e, 2.0, 256) for v, e in pairs) > 900


def test_a_right_law_is_refuted_by_the_mean_of_its_draws_in_less_than_one_of_a_hundred():
    rng, k = np.random.default_rng(0), 64
    heavy = rng.standard_normal((4000, k, 8)) * np.exp(1.5 * rng.standard_normal((4000, k, 1)))
    law = float(8 * np.exp(2 * 1.5**2))
    spread = heavy.var(1, ddof=1).sum(1)
    bias = (heavy.mean(1) ** 2).sum(1) - spread / k
    pairs = list(zip(bias.tolist(), spread.tolist(), strict=True))
    assert sum(mean_exceeds(b, v, 0.0, law, k) for b, v in pairs) < 40
    assert sum(mean_exceeds(b * 2e3, v * 2e3, 0.0, law, k) for b, v in pairs) > 3600
    assert not mean_exceeds(1.0, 0.0, 0.0, 0.0, k), "a law without scatter"


def test_a_variance_ten_thousand_times_its_law_is_caught_whatever_its_error():
    def judged(value, error, metric="relative_variance"):
        return check(value, error, 1e4, 64, metric)

    assert exceeds(1e8, 0.999e8, 1e4)
    assert judged(1e8, 0.9e8, "scaled_error").verdict == "agrees"
    assert judged(1e8, 0.9e8).verdict == "disagrees"
    assert judged(1e8, 0.9e8).reason == "1e+04 times the law"
    assert judged(1e8, None).verdict == "disagrees"
    assert judged(1.4e6, None).words == "not judged (no standard error)"
    assert not exceeds(1.9, 0.01, 1.0), "its standard error is enough for that"
    assert not exceeds(1.0, 0.0, 0.0)


def test_a_variance_below_its_law_is_given_the_rare_draws_that_it_lacks():
    """5 standard errors below are no proof; 6 on a logarithmic scale are."""
    assert check(1.0, 0.1, 1.6, 256, "relative_variance").verdict == "agrees"
    assert check(1.0, 0.1, 2.0, 256, "relative_variance").verdict == "disagrees"
    assert check(1.6, 0.1, 1.0, 256, "relative_variance").verdict == "disagrees"


def test_values_of_a_diverging_run_are_judged_without_an_error():
    huge = [1e300, -1e300] * 8
    assert check_zero(huge, 16).verdict == "agrees"
    assert check_ratio([1e308] * 16, [1e-3] * 16, 16).verdict in ("agrees", "disagrees")
    assert check_zero([math.inf, math.nan] * 8, 16).words == "not judged (too few probes)"


def test_no_torch_is_loaded():
    import subprocess

    modules = [
        "law_check",
        "paired",
        "variance_split",
        "student",
        "probes",
        "diagnosis",
        "formatting",
    ]
    names = ", ".join(f"estimators.statistics.{name}" for name in modules)
    code = f"import sys, {names}; sys.exit(bool({{'torch', 'numpy'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
