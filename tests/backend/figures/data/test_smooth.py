"""Smoothing is asked for, said, and is the mean of the points that it names."""

import numpy as np
import pytest

from backend.figures import draw
from backend.figures.data.smooth import means_of, running_mean
from backend.figures.data.source import Memory
from backend.figures.data.window import Window


@pytest.mark.parametrize("over", [2, 7, 100])
def test_a_running_mean_is_the_mean_of_the_last_values(over):
    values = 1e6 + np.random.default_rng(0).normal(size=300)
    means = running_mean(values, over)
    plain = [values[max(0, i + 1 - over) : i + 1].mean() for i in range(300)]
    # A sum of at most 300 numbers of order 1, about an offset of 1e6.
    error = 300 * np.finfo(float).eps * 300 + 1e6 * np.finfo(float).eps * 4
    assert np.abs(means - plain).max() <= error


def test_values_that_are_not_finite_are_left_out():
    means = running_mean(np.array([1.0, np.nan, 3.0, np.inf, np.nan, np.nan]), 2)
    np.testing.assert_array_equal(means, [1, 1, 3, 3, np.nan, np.nan])


def test_a_mean_does_not_depend_on_what_is_shown():
    source = Memory()
    values = np.arange(1000.0)
    series = source.add("r1", "train/loss", range(1000), values)
    few = Window(np.array([10, 999]), values[[10, 999]], 2, 1000)
    assert means_of(source, series, few, 10).values.tolist() == [5.5, 994.5]
    assert means_of(source, series, few, 1001) is few


def test_a_curve_says_that_it_is_smoothed_and_is_drawn_anew(empty):
    empty.add("r1", "train/loss", range(50), np.arange(50.0))
    asked = {"runs": "r1", "metric": "train/loss"}
    rough, smooth = draw("curve", empty, asked), draw("curve", empty, {**asked, "smooth": "10"})
    assert smooth["figure"]["data"][0]["y"][-1] == 44.5
    assert rough["figure"]["data"][0]["y"][-1] == 49
    assert "mean of 10 points up to each" in "; ".join(smooth["note"])
    assert "series" not in smooth["figure"]["data"][0]["meta"], "a new point cannot be appended"
    assert smooth["takeaway"] == rough["takeaway"], "what is said is of the points themselves"
