"""The figure of the change of the loss when only the layers up to a stage are updated."""

import numpy as np
import pytest

from backend.figures import Memory, MemoryRun, draw

STAGES = ["first", "second", "head"]


def source_of(changes):
    source = Memory()
    facts = {"layers": [{"name": f"{stage}.w", "stage": stage} for stage in STAGES]}
    labels = {"driver": "a", "shadows": ["b"]}
    config = {"microscope": {"draws": 4, "what_if": {}}}
    source.add_run("m1", MemoryRun(3, "m", config, labels, facts=facts))
    for label, rows in changes.items():
        for stage in reversed(STAGES):  # whatever the order in which they come
            values = np.array(rows[stage], float)
            steps = range(len(values))
            source.add("m1", "what_if/depth", steps, values, layer=stage, estimator=label)
        source.add("m1", "what_if/depth_rate", [4], [0.05], estimator=label)
    return source


def drawn(changes, **query):
    return draw("depth_utility", source_of(changes), {"runs": "m1", **query})


def test_means_with_their_errors_in_the_order_of_the_network():
    rows = {"first": [-1.0, -3.0], "second": [-2.0, -2.0], "head": [-5.0, -7.0]}
    made = drawn({"a": rows, "b": rows})
    one, two = made["figure"]["data"]
    assert one["x"] == STAGES
    assert one["y"] == [-2, -2, -6]
    assert one["error_y"]["array"] == pytest.approx([1, 0, 1])
    assert (one["name"], two["name"]) == ("a", "b")
    assert "at η = 0.05;" in made["note"][0]
    assert len(drawn({"a": rows, "b": rows}, estimator="b")["figure"]["data"]) == 1


def test_draws_that_are_not_finite_are_left_out_and_losses_that_are_not_are_said():
    rows = {"first": [-1.0, np.nan], "second": [-1.0, np.inf], "head": [np.inf, np.inf]}
    made = drawn({"a": rows})
    (line,) = made["figure"]["data"]
    assert line["y"] == [-1, None, None]
    assert made["note"][0] == "a: from second on, a step ends in a loss that is not finite"


def test_runs_of_before_have_none():
    made = draw("depth_utility", source_of({}), {"runs": "m1"})
    assert made["figure"]["data"] == []
