"""Estimators as words of a command."""

import pytest

from backend.terminal.probe import _law, parse_estimator


@pytest.mark.parametrize(
    ("text", "component"),
    [
        ("spsa", {"name": "spsa"}),
        (" spsa ( ) ", {"name": "spsa"}),
        ("spsa(pairs=4, eps=1.0e-3)", {"name": "spsa", "pairs": 4, "eps": 0.001}),
        ("forward_gradient(noise=normal)", {"name": "forward_gradient", "noise": "normal"}),
        (
            "mean_of_draws(inner=spsa(pairs=2, eps=0.1), draws=3)",
            {
                "name": "mean_of_draws",
                "inner": {"name": "spsa", "pairs": 2, "eps": 0.1},
                "draws": 3,
            },
        ),
        ("x(a=[1, 2], b=true)", {"name": "x", "a": [1, 2], "b": True}),
    ],
)
def test_a_label_is_a_component(text, component):
    assert parse_estimator(text) == component


@pytest.mark.parametrize("text", ["", "spsa(", "spsa(4)", "spsa pairs=4", "(pairs=4)"])
def test_what_is_none_is_refused_in_words(text):
    with pytest.raises(ValueError, match="write "):
        parse_estimator(text)


@pytest.mark.parametrize(
    ("on_record", "said"),
    [
        ({}, "disagrees"),
        ({"law_check/relative_mse": 1.0}, " agrees"),
        ({"law_check/relative_mse": 0.0}, "dis"),
    ],
)
def test_the_law_check_on_record_goes_before_the_standard_error(on_record, said):
    measured = {"relative_mse": 1.6, "relative_mse_se": 0.1, "law/relative_mse": 1.0, **on_record}
    assert said in _law(measured, "relative_mse", 256)
