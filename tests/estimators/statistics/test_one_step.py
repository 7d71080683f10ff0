"""Whether draws lead down, from plain numbers as from tensors."""

import pytest
import torch

from estimators.measurement.estimates.intervals import skewed
from estimators.statistics.one_step import descends, obstacle, skewed_interval


@pytest.mark.parametrize("n", [2, 5, 40, 300])
def test_the_interval_of_a_skewed_mean_is_that_of_tensors(n):
    x = torch.randn(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64).square()
    low, high = skewed(x.unsqueeze(1))
    assert skewed_interval(x.tolist()) == pytest.approx((low.item(), high.item()), rel=1e-12)


def test_why_there_is_no_best_rate():
    assert obstacle([], []) == "no draw is finite"
    assert "zero" in obstacle([0.0, 0.0], [1.0, 1.0])
    assert obstacle([1.0, -1.2], [1.0, 1.0]) == "2 draws cannot tell whether they lead down"
    assert obstacle([-1.0, -1.0], [1.0, 1.0]) == "the mean draw points uphill and raises the loss"
    assert "not curve upwards" in obstacle([1.0, 1.0], [-1.0, 0.5])
    assert obstacle([1.0, 1.1], [1.0, 1.0]) == ""
    assert (descends([1.0, 1.1]), descends([1.0]), descends([-1.0, -1.0])) == (True, None, False)
