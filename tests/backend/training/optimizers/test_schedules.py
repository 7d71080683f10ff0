"""Schedules: their values, and the warm-up that they share."""

from math import cos, exp, pi

import pytest

from backend.training.components.resolve import describe
from backend.training.schedules import schedules

ALL = [cls for _, cls in sorted(schedules().items())]
CLOSED_FORMS = [
    ("constant", {}, lambda t: 1.0),
    ("cosine", {}, lambda t: 0.5 * (1 + cos(pi * min(1, t / 100)))),
    ("linear", {}, lambda t: max(0.0, 1 - t / 100)),
    ("linear", {"end": 0.25}, lambda t: max(0.25, 1 - 0.75 * t / 100)),
    ("step", {"every": 30, "decay": 0.2}, lambda t: 0.2 ** (t // 30)),
    ("exponential", {"rate": 0.03}, lambda t: exp(-0.03 * t)),
]


@pytest.mark.parametrize(("name", "fields", "formula"), CLOSED_FORMS)
def test_a_schedule_has_the_values_of_its_formula(name, fields, formula):
    schedule = schedules()[name](**fields)
    for step in (0, 1, 29, 30, 59, 60, 99, 100, 140):
        assert schedule.factor(step, 100) == pytest.approx(formula(step), rel=1e-14, abs=1e-15)


@pytest.mark.parametrize(("name", "fields", "formula"), CLOSED_FORMS)
def test_the_warm_up_is_a_line_and_the_formula_begins_behind_it(name, fields, formula):
    schedule = schedules()[name](**fields, warmup=20)
    for step in range(20):
        assert schedule.factor(step, 120) == (step + 1) / 20
    for step in (20, 21, 49, 50, 119, 120, 200):
        assert schedule.factor(step, 120) == pytest.approx(formula(step - 20), rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("cls", ALL)
def test_a_run_no_longer_than_the_warm_up_has_a_rate(cls):
    factors = [cls(warmup=10).factor(step, 10) for step in range(13)]
    assert factors[:10] == [(step + 1) / 10 for step in range(10)]
    assert all(0 <= factor <= 1 for factor in factors[10:])


def test_cosine_is_bit_for_bit_what_stored_runs_had():
    def before(step, steps, warmup):
        if step < warmup:
            return (step + 1) / warmup
        done = (step - warmup) / max(1, steps - warmup)
        return 0.5 * (1 + cos(pi * min(1.0, done)))

    for steps, warmup in ((1, 0), (7, 0), (100, 5), (1000, 30), (40, 40), (40, 60)):
        schedule = schedules()["cosine"](warmup=warmup)
        assert [schedule.factor(t, steps) for t in range(steps + 2)] == [
            before(t, steps, warmup) for t in range(steps + 2)
        ]


def test_each_schedule_has_one_name_and_a_warm_up():
    assert set(schedules()) == {"constant", "cosine", "exponential", "linear", "step"}
    assert all("warmup" in describe(cls()) for cls in ALL)
