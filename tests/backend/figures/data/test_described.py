"""Labels are paired with the configuration that they had, whatever drives the run now."""

import pytest

from backend.figures import MemoryRun
from backend.figures.data.select import described

A, B, C = ({"name": name} for name in "abc")
CONFIG = {"estimator": A, "shadows": [B, C]}


@pytest.mark.parametrize(
    ("labels", "drives", "expected"),
    [
        (["a", "b", "c"], [], {"a": A, "b": B, "c": C}),
        # b drove from step 5 on: a took its place among the shadows.
        (["b", "a", "c"], [[0, "a"], [5, "b"]], {"a": A, "b": B, "c": C}),
        (["c", "b", "a"], [[0, "a"], [5, "c"]], {"a": A, "b": B, "c": C}),
        (["c", "a", "b"], [[0, "a"], [5, "b"], [9, "c"]], {"a": A, "b": B, "c": C}),
        # A new estimator drives: a came last.
        (["new", "b", "c", "a"], [[0, "a"], [5, "new"]], {"a": A, "b": B, "c": C}),
        (["a", "b", "c", "new"], [[0, "a"], [5, "new"], [9, "a"]], {"a": A, "b": B, "c": C}),
    ],
)
def test_changes_of_the_driver_are_undone(labels, drives, expected):
    run = MemoryRun(
        1, "", CONFIG, {"driver": labels[0], "shadows": labels[1:]}, facts={"drives": drives}
    )
    assert described(run) == expected


def test_a_run_without_a_configuration_describes_nothing():
    assert described(MemoryRun(1, labels={"driver": "a", "shadows": ["b"]})) == {}
