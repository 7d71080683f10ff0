"""Heavy tails are told where intervals from the draws would be too narrow."""

import math

import pytest
import torch

from estimators import stream
from estimators.measurement.estimates.tails import heavy_tails, tail_index
from estimators.statistics.tails import MIN_DRAWS, is_heavy

K, REPEATED = 512, 60


@pytest.mark.parametrize("alpha", [0.7, 1.5, 4.0])
def test_the_index_of_a_power_law(alpha):
    """Of 2,000 Pareto numbers' 200 largest: the estimate has a standard error of α/√200."""
    u = torch.rand(2000, generator=stream(1, "probe"), dtype=torch.float64)
    found = tail_index(u ** (-1 / alpha), 200)
    assert abs(found - alpha) < 4 * alpha / 200**0.5
    assert tail_index(7 * u ** (-1 / alpha), 200) == pytest.approx(found, rel=1e-9)


def test_the_index_of_a_few_numbers():
    """ln 8/1, ln 4/1 and ln 2/1 are 3, 2 and 1 times ln 2."""
    found = tail_index(torch.tensor([2.0, 1.0, 8.0, 4.0, 0.5], dtype=torch.float64), 3)
    assert found == pytest.approx(1 / (2 * math.log(2)))


def test_what_has_no_tail():
    assert tail_index(torch.ones(100), 10) == math.inf
    assert tail_index(torch.zeros(100), 10) == math.inf
    rare = torch.zeros(100)
    rare[:5] = 1.0
    assert tail_index(rare, 10) == 0  # fewer than ten are not zero


def squared(kind, rng):
    """Squared lengths of draws in 20 dimensions, (K, R)."""
    v = torch.randn(K, REPEATED, 20, generator=rng, dtype=torch.float64)
    if kind == "normal noise":
        return v.square().sum(2)
    if kind == "t3":
        chi = torch.randn(K, REPEATED, 20, 3, generator=rng, dtype=torch.float64)
        return (v.square() / chi.square().mean(3)).sum(2)
    slope = v[..., 0].square() * v.square().sum(2)  # of a forward gradient
    u = torch.rand(K, REPEATED, generator=rng, dtype=torch.float64)
    gain = {
        "forward gradient": torch.ones_like(u),
        "lognormal gain": torch.randn(K, REPEATED, generator=rng, dtype=torch.float64).exp(),
        "2 % outliers": torch.where(u < 0.02, 10.0, 1.0),
    }[kind]
    return slope * gain.square()


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [("normal noise", 0, 0.1), ("forward gradient", 0, 0.45), ("lognormal gain", 0.9, 1),
     ("2 % outliers", 0.9, 1), ("t3", 0.7, 1)],
)  # fmt: skip
def test_heavy_tails_are_told_from_those_of_a_forward_gradient(kind, least, most):
    x = squared(kind, stream(0, "probe", kind))
    share = sum(map(bool, heavy_tails(x, x))) / REPEATED
    assert least <= share <= most, share


def test_few_draws_do_not_tell():
    x = torch.rand(MIN_DRAWS, 2, dtype=torch.float64)
    assert heavy_tails(x[1:], x[1:]) == (None, None)
    assert heavy_tails(x, x) == (False, False)
    x[0, 1] = torch.nan  # a draw that is not finite is left out
    assert heavy_tails(x, x) == (False, None)


def test_an_exact_estimator_has_no_tail():
    x = torch.zeros(K, 1, dtype=torch.float64)
    x[::50] = 1e-32  # rounding
    assert heavy_tails(x, torch.ones_like(x)) == (False,)


def test_the_rule():
    assert is_heavy(1.9, 0.5)
    assert not is_heavy(2.1, 0.5)
    assert is_heavy(2.1, 2.1)  # it does not grow towards the tail
    assert not is_heavy(4.1, 9.0)
