"""A source that reads once answers as the source below it, and asks that no more than it must."""

from itertools import product

import numpy as np
import pytest

from backend.figures.data import read_once
from backend.figures.data.read_once import ReadOnce
from backend.figures.data.source import Memory


class Counting(Memory):
    """Counts how often it is asked for points."""

    asked = 0

    def points(self, *args, **parts):
        self.asked += 1
        return super().points(*args, **parts)


@pytest.fixture
def source(empty) -> Counting:
    counting = Counting()
    counting.add_run("r1", empty.run("r1"))
    counting.add("r1", "cosine", range(0, 300, 3), np.arange(100.0))
    return counting


@pytest.mark.parametrize("whole", [0, 20_000])
def test_it_answers_as_the_source_below(source, monkeypatch, whole):
    monkeypatch.setattr(read_once, "WHOLE", whole)
    once = ReadOnce(source)
    (series,) = once.series("r1")
    for first, last, newest in product((None, 0, 7), (None, 60, 299), (None, 1, 5, 500)):
        for _ in range(2):
            got = once.points(series.id, first=first, last=last, newest=newest)
            want = Memory.points(source, series.id, first=first, last=last, newest=newest)
            np.testing.assert_array_equal(got.steps, want.steps)
            np.testing.assert_array_equal(got.values, want.values)
            assert got.count == want.count


def test_parts_of_a_short_series_are_one_reading(source):
    once = ReadOnce(source)
    (series,) = once.series("r1")
    for step in range(0, 300, 10):
        once.points(series.id, first=step, newest=4)
    assert source.asked == 1
    once.points(series.id, max=10)
    once.points(series.id, max=10)
    assert source.asked == 2, "a thinned answer is another question, and kept as well"
