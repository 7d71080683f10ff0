"""Hues of the data: a shade for light pages and one for dark ones, both to be read."""

import re
from pathlib import Path

import pytest

from backend.figures.drawing import inks, style
from tests.backend.figures.run.test_ranking_and_plane import luminance

TOKENS = (Path(__file__).parents[4] / "frontend/styles/tokens.css").read_text("utf-8")
LIGHT, DARK = re.findall(r"--surface: (#\w{6});", TOKENS)[:2]
LABELS = [*style.USUAL, "my_method", "forward_gradient(tangents=4)", "spsa #2", "a" * 200]


def contrast(first: str, second: str) -> float:
    """The contrast of two colours, as WCAG 2.2 defines it."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("label", LABELS)
def test_both_shades_of_an_estimator_are_read_on_their_page(label):
    ink = style.ink(label)
    assert contrast(ink.light, LIGHT) >= 3
    assert contrast(ink.dark, DARK) >= 3


def test_the_best_known_estimators_own_their_hues_and_markers():
    owned = [(style.index(label), style.symbol(label)) for label in style.FIXED]
    assert owned == [
        (0, "circle"), (1, "square"), (2, "diamond"), (3, "triangle-up"), (5, "cross"), (4, "star"),
    ]  # fmt: skip
    others = {style.index(f"plug_in_{i}") for i in range(50)}
    assert not others & {index for index, _ in owned}


def test_each_colour_that_a_figure_draws_in_has_its_dark_shade():
    shaded = style.ink("forward_gradient(tangents=4)")
    traces = [
        {"line": {"color": shaded.light}, "x": [1], "name": inks.BLUE},
        {"marker": {"color": [inks.ROSE, "red", 1.5], "line": {"color": inks.GREY}}},
        {"error_x": {"color": inks.GREEN}, "fillcolor": inks.SKY},
    ]
    shades = inks.dark_shades(traces)
    expected = {shaded.light, inks.ROSE, inks.GREY, inks.GREEN, inks.SKY}
    assert set(shades) == expected
    assert shades[shaded.light] == shaded.dark


def test_a_run_keeps_its_colour_whatever_stands_beside_it():
    assert style.run_colour(style.run_index(12, "x")) == style.run_colour(style.run_index(12, "y"))
    first = [style.run_colour(style.run_index(number, "")) for number in range(1, 12)]
    assert len(set(first)) == len(style.RUNS)
    assert style.run_index(None, "a") == style.run_index(None, "a")
