"""Published figures beside measured ones: conversions, pairs of seeds, and orders."""

import math

import pytest

from backend.gallery.compare import compare, words
from backend.gallery.entry import Published
from backend.studies.measure import measure_of
from backend.studies.table import Cell, Row, StudyTable
from backend.studies.tuning import TuningPlan, choose

ACCURACY = measure_of("test/accuracy")


def row(label, values, choice=None, **fields):
    cells = [Cell(seed, "finished", value) for seed, value in values.items()]
    return Row(label, fields, cells, choice)


def published(values, **more):
    return Published.model_validate(
        {"quantity": "test error", "source": "table 1", "provenance": "P", "values": values, **more}
    )


def test_an_error_is_what_is_left_of_the_accuracy_in_percent():
    table = StudyTable(ACCURACY, [row("exact", {0: 0.96, 1: 0.98})])
    (pair,) = compare(published({"exact": 2.5}, conversion="error", unit="%"), table, {}).pairs
    assert pair.measured.mean == pytest.approx(3.0)
    # Student's 97.5 % quantile with one degree of freedom is 12.706; the standard error is 1.
    assert pair.half_width == pytest.approx(12.706, abs=0.001)
    assert words(pair) == "3 ± 13"


def test_a_ratio_is_taken_seed_by_seed_and_only_of_shared_seeds():
    rows = [row("slow", {0: 2.0, 1: 8.0}), row("fast", {0: 1.0, 1: 2.0, 2: 100.0})]
    table = StudyTable(measure_of("step_seconds"), rows)
    (pair,) = compare(published({"fast": 0.6}, conversion="ratio"), table, {"fast": "slow"}).pairs
    assert (pair.measured.count, pair.measured.mean) == (2, pytest.approx(0.375))


def test_a_ratio_without_a_baseline_has_no_number():
    table = StudyTable(measure_of("step_seconds"), [row("fast", {0: 1.0})])
    (pair,) = compare(published({"fast": 1}, conversion="ratio"), table, {}).pairs
    assert pair.measured.count == 0


def test_a_tuned_value_is_the_choice():
    plan = TuningPlan(values=(0.1, 1.0), seeds=(9,), steps=10, higher_is_better=True)
    results = {1.0: {(0.1, None): {9: 0.5}, (1.0, None): {9: 0.7}}}
    table = StudyTable(ACCURACY, [row("mean", {}, choose(plan, results))])
    (pair,) = compare(published({"mean": 0.5}, conversion="tuned"), table, {}).pairs
    assert (pair.measured.mean, pair.measured.count) == (1.0, 1)
    assert words(pair) == "1"


def test_methods_that_the_study_lacks_are_left_out_and_those_without_results_say_so():
    table = StudyTable(ACCURACY, [row("exact", {})])
    (pair,) = compare(published({"exact": 1, "other": 2}), table, {}).pairs
    assert (pair.label, words(pair)) == ("exact", "")


def test_orders_are_compared_for_pairs_that_are_far_apart():
    """3.31 − 2.81 is 0.5 in decimals and slightly less in binary; it counts."""
    table = StudyTable(
        ACCURACY,
        [row("a", {0: 0.96}), row("b", {0: 0.97}), row("c", {0: 0.99}), row("d", {0: 0.95})],
    )
    values = {"a": 3.31, "b": 2.81, "c": 3.0, "d": 9.0}
    asked = published(values, conversion="error", unit="%", gap=0.5)
    assert compare(asked, table, {}).order == (
        "4 of 4 pairs that are at least 0.5 points apart in the publication are in the same order "
        "here"
    )
    wrong = published({**values, "d": 1.0}, conversion="error", unit="%", gap=0.5)
    assert compare(wrong, table, {}).order == (
        "1 of 4 pairs that are at least 0.5 points apart in the publication are in the same order "
        "here; the others: a and d, b and d, c and d"
    )
    assert compare(published(values, conversion="error"), table, {}).order == ""


def test_a_diverged_seed_is_no_number():
    table = StudyTable(ACCURACY, [row("exact", {0: 0.9, 1: math.nan})])
    (pair,) = compare(published({"exact": 1}, conversion="error"), table, {}).pairs
    assert pair.measured.count == 1
