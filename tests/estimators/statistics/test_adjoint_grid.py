"""The settings of an adjoint map: what is allowed, and how settings are numbered."""

import pytest

from estimators.statistics.adjoint_grid import AdjointGrid


def test_every_setting_has_a_number_of_its_own_and_is_found_by_it():
    grid = AdjointGrid((5, 1, 3), (1.0, 0.5), (2.0, 1.0, 0.5))
    numbers = {}
    for factor in grid.order:
        for k, damping in grid.settings():
            numbers[grid.number(factor, k, damping)] = (factor, k, damping)
    assert list(numbers) == list(range(3 * 3 * 2)), "numbers ascend as they are measured"
    assert all(grid.setting(number) == setting for number, setting in numbers.items())
    assert [grid.number(factor) for factor in grid.order] == [0, 1, 2]


def test_lists_are_sorted_and_the_network_as_it_is_comes_first():
    grid = AdjointGrid((5, 1), (1.0, 0.5), (2.0, 1.0, 0.5))
    assert (grid.steps, grid.damping, grid.factors) == ((1, 5), (0.5, 1.0), (0.5, 1.0, 2.0))
    assert grid.order == (1.0, 0.5, 2.0)


def test_gradients_and_rows_are_counted():
    grid = AdjointGrid((1, 2), (0.5, 1.0), (1.0, 2.0), ("anderson",))
    assert grid.gradients == 2 * (2 * 2 * 2 + 3)
    assert grid.rows == 2 * 2 * 2 + 2 + 1
    assert AdjointGrid(solvers=()).rows == 0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"steps": (0, 5)}, "steps holds 0; whole numbers from 1 to 1000 are allowed"),
        ({"steps": (1.5,)}, "steps holds 1.5; whole numbers"),
        ({"steps": (True,)}, "steps holds True"),
        ({"steps": (1001,)}, "steps holds 1001"),
        ({"steps": ()}, "steps is empty; at least one value is needed"),
        ({"steps": 5}, "steps is 5; a list of values is allowed"),
        ({"steps": "12"}, "steps is '12'; a list of values is allowed"),
        ({"damping": ()}, "damping is empty"),
        ({"damping": (0.0,)}, "damping holds 0.0; numbers above 0 and at most 1 are allowed"),
        ({"damping": (1.1,)}, "damping holds 1.1; numbers above 0 and at most 1 are allowed"),
        ({"damping": (0.5, 0.5)}, "damping holds 0.5 twice"),
        ({"factors": (-1.0,)}, "factors holds -1.0; numbers from 0 to 100 are allowed"),
        ({"factors": (float("nan"),)}, "factors holds nan; finite numbers are allowed"),
        ({"factors": ()}, "factors is empty"),
        ({"solvers": ("newton",)}, "solvers holds 'newton'; fixed_point, anderson, broyden"),
        (
            {"steps": tuple(range(1, 301))},
            "5 factors × \\(2 × 300 steps × 4 damping \\+ 3\\) are 12,015 gradients; at most 2,000",
        ),
    ],
)
def test_what_is_not_allowed_is_said_in_one_sentence(fields, words):
    with pytest.raises(ValueError, match=words) as raised:
        AdjointGrid(**fields)
    assert "\n" not in str(raised.value)
