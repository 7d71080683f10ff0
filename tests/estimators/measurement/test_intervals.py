"""Intervals hold what they say, and are not drawn where they would not."""

import math

import pytest
import torch

from estimators import stream
from estimators.measurement.draws.moments import Moments
from estimators.measurement.estimates.intervals import (
    MIN_DRAWS,
    interval,
    proportion,
    skewed,
    student,
)
from estimators.statistics.student import t_quantile


@pytest.mark.parametrize(
    ("p", "freedom", "value"),
    [
        (0.975, 1, 12.70620474), (0.975, 2, 4.302652730), (0.975, 4, 2.776445105),
        (0.975, 19, 2.093024054), (0.995, 7, 3.499483297), (0.975, 1000, 1.962339081),
        (0.6, 3, 0.276670662), (0.5, 5, 0.0), (0.025, 19, -2.093024054),
    ],
)  # fmt: skip
def test_quantiles_of_students_t(p, freedom, value):
    assert t_quantile(p, freedom) == pytest.approx(value, abs=1e-7)


def test_a_quantile_needs_a_probability():
    with pytest.raises(ValueError, match="p is 1"):
        t_quantile(1, 3)


@pytest.mark.parametrize("n", [3, 5, 20])
def test_students_interval_covers_on_normal_draws(n):
    x = torch.randn(n, 10_000, generator=stream(n, "probe"), dtype=torch.float64) * 3 + 7
    low, high = student(x)
    covered = ((low <= 7) & (high >= 7)).double().mean().item()
    assert 0.935 <= covered <= 0.965


@pytest.mark.parametrize(("n", "least"), [(16, 0.916), (64, 0.927), (128, 0.93)])
def test_a_proportions_interval_covers_at_every_proportion(n, least):
    counts = torch.arange(n + 1, dtype=torch.float64)
    low, high = proportion((torch.arange(n).unsqueeze(1) < counts).double())
    p = torch.linspace(0.001, 0.999, 999, dtype=torch.float64).unsqueeze(1)
    total = torch.tensor(float(n), dtype=torch.float64)
    ways = (total + 1).lgamma() - (counts + 1).lgamma() - (total - counts + 1).lgamma()
    chance = (ways + counts * p.log() + (n - counts) * (1 - p).log()).exp()
    covered = (chance * ((low <= p) & (p <= high))).sum(1)
    assert least <= covered.min() < 0.95


def test_the_mean_of_skewed_draws_is_held_where_students_interval_misses_it():
    chi = torch.randn(128, 4000, generator=stream(0, "probe"), dtype=torch.float64) ** 4
    covered = []
    for low, high in (student(chi), skewed(chi)):
        covered.append(((low <= 3) & (high >= 3)).double().mean().item())
    assert covered[0] < 0.89
    assert covered[1] > 0.91
    same = torch.randn(64, 200, generator=stream(1, "probe"), dtype=torch.float64)
    even = torch.cat([same, -same])  # nothing to take out
    torch.testing.assert_close(skewed(even), student(even))


def test_the_cosines_of_a_single_number_are_a_proportion():
    """Each is −1 or 1: eight that are all 1 have no scatter, and their mean is still not sure."""
    found = []
    for x in (torch.ones(8), torch.tensor([-1.0] + 7 * [1])):
        moments = Moments({"b": torch.ones(1, dtype=torch.float64)})
        moments.add({"b": x.double().unsqueeze(1)})
        found.append(interval("cosine", moments.summary(torch.ones(1, 1).double())))
    (low, high), (less, above) = found
    assert low.item() < 0.5
    assert high.item() == pytest.approx(1)
    assert less.item() < low.item()
    assert above.item() < 1
    moments = Moments({"w": torch.ones(2, dtype=torch.float64)})
    moments.add({"w": torch.ones(8, 2).double()})
    exact = interval("cosine", moments.summary(torch.ones(1, 1).double()))
    assert [end.item() for end in exact] == pytest.approx([1, 1])


def observed(count, scale=1.0, d=6, dead=False):
    g = {"w": torch.arange(1.0, d + 1, dtype=torch.float64) * (not dead)}
    v = torch.randn(count, d, generator=stream(count, "probe"), dtype=torch.float64)
    target = torch.arange(1.0, d + 1, dtype=torch.float64)
    moments = Moments(g)
    moments.add({"w": scale * (v @ target).unsqueeze(1) * v})
    groups = torch.ones(1, 1, dtype=torch.float64)
    return moments.summary(groups), moments.innovations(groups)


@pytest.mark.parametrize("metric", MIN_DRAWS)
def test_an_interval_is_drawn_from_its_least_number_on(metric):
    few = interval(metric, *observed(MIN_DRAWS[metric] - 1))
    enough = interval(metric, *observed(MIN_DRAWS[metric]))
    assert all(math.isnan(x) for x in few)
    assert all(math.isfinite(x) for x in enough)
    assert enough[0] < enough[1]


def test_intervals_narrow_around_the_truth():
    truth = {"relative_variance": 7.0, "relative_mse": 7.0, "scaled_error": 1 - 1 / 8,
             "relative_squared_bias": 0.0, "positive": 1.0}  # fmt: skip
    of, innovations = observed(4000)
    for metric, value in truth.items():
        low, high = interval(metric, of, innovations)
        assert low <= value <= high + 1e-9, metric
        assert high - low < 0.1 * max(value, 1) + 0.9 * (value > 2), metric


def test_the_squared_bias_of_a_wrong_scale_is_covered():
    low, high = interval("relative_squared_bias", *observed(4000, scale=1.5))
    assert low <= 0.25 <= high
    assert low > 0.05


def test_no_interval_for_what_has_none():
    of, innovations = observed(200)
    assert interval("snr", of, innovations) is None
    assert interval("relative_variance", of) is None
    dead = interval("cosine", *observed(200, dead=True))
    assert all(math.isnan(x) for x in dead)
    with pytest.raises(ValueError, match=r"level is 0\.1"):
        interval("cosine", of, level=0.1)
