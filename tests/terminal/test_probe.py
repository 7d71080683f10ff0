"""Estimators as words of a command."""

import pytest
from rich.console import Console

from backend.terminal.probe import _cell, _law, fitted_table, parse_estimator, tabulate
from estimators.statistics.reference import HATCH, HATCH_NOTE


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


@pytest.mark.parametrize("width", [80, 200])
def test_a_table_cuts_neither_names_nor_numbers(width):
    name, cell = "activity_forward_gradient", "0.07002 ± 0.0016"
    console = Console(width=width)
    with console.capture() as printed:
        console.print(fitted_table(["relative variance"] * 6, [[name, *[cell] * 6]], console))
    lines = printed.get().splitlines()
    assert "…" not in printed.get()
    assert max(map(len, lines)) <= width
    first = min(i for i, line in enumerate(lines) if line.startswith("act"))
    column = lines[first].index("0.07")
    assert "".join(line[:column].strip() for line in lines[first:]) == name
    assert printed.get().count("± 0.0016") == 6


def test_rounding_is_printed_as_zero():
    measured = {"cosine": 1.0, "cosine_se": 2.8e-17, "bias": -3e-16, "small": 2e-6}
    assert _cell(measured, "cosine", "cosine_se") == "1 ± 0"
    assert _cell(measured, "bias", "bias_se") == "0"
    assert _cell(measured, "small", "small_se") == "2e-06"


class Lab:
    """Answers as a client does, of a network whose gradient has the norm 1."""

    def __init__(self, floor):
        self.floor = floor

    def measures(self, run):
        numbers = {"cosine": 0.5, "cosine_se": 0.01, "snr": 2.0, "relative_variance": 9.0}
        return {"spsa": {**numbers, "law/relative_variance": 1.0, "verdict/biased": 1.0}}

    def latest(self, run):
        return {"exact/norm": 1.0, "reference/floor": self.floor}

    def note(self, figure, query):
        return "honest draws"


@pytest.mark.parametrize(("floor", "marked"), [(0.099, False), (0.101, True)])
def test_what_compares_with_rounding_is_marked_and_explained(floor, marked):
    run = {"id": "r1", "labels": {"driver": "spsa", "shadows": []}}
    run["config"] = {"microscope": {"draws": 256}}
    console = Console(width=200)
    with console.capture() as printed:
        tabulate(Lab(floor), run, console)
    said = " ".join(printed.get().split())
    assert (f"spsa {HATCH} 0.5 {HATCH} 9 –" in said) is marked
    assert (HATCH_NOTE in said) is marked
    assert ("0.5 ± 0.01" in said) is not marked
    assert ("biased" in said) is not marked
