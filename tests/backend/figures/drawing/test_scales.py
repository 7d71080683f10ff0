"""Axes that swallow nothing."""

import numpy as np
import pytest

from backend.figures.drawing import style
from backend.figures.drawing.scales import choose, tick_texts


def test_asinh_keeps_order_sign_and_zero():
    values = np.array([-1e3, -1e-3, 0.0, 1e-3, 1e3])
    placed = choose("signed", values).positions(values)
    assert (np.diff(placed) > 0).all()
    assert placed[2] == 0
    assert np.allclose(placed, -placed[::-1])


def test_far_from_zero_a_decade_is_one_unit():
    scale = choose("signed", np.array([1e-2, 1e4]))
    assert np.diff(scale.positions(np.array([1e3, 1e4]))) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    "values", [[1e-3, 1e3, 0], [-5.0, 5.0], [1e-12, -1e12], [1e-300], [7.0, 0.0]]
)
def test_ticks_hold_zero_ascend_and_stay_few(values):
    axis = choose("signed", np.array(values)).axis()
    assert "0" in axis["ticktext"]
    assert (np.diff(axis["tickvals"]) > 0).all()
    assert len(axis["tickvals"]) == len(axis["ticktext"]) <= 9


def test_no_ticks_below_zero_without_values_there():
    assert min(choose("log", np.array([0.0, 1.0])).axis()["tickvals"]) == 0


@pytest.mark.parametrize("values", [[], [np.nan], [np.inf, np.nan], [0.0]])
@pytest.mark.parametrize("scaling", ["linear", "log", "signed"])
def test_a_scale_for_nothing_in_particular(scaling, values):
    scale = choose(scaling, np.array(values))
    assert np.isfinite(scale.axis().get("tickvals", [0.0])).all()


@pytest.mark.parametrize(
    ("ticks", "texts"),
    [
        ([-10, 0, 0.1, 100], ["−10", "0", "0.1", "100"]),
        ([0.001, 0.01], ["0.001", "0.01"]),
        ([1, 10, 100, 1e3, 1e4],
         ["1", "10", "10<sup>2</sup>", "10<sup>3</sup>", "10<sup>4</sup>"]),
        ([-1e-7, 0, 0.1], ["−10<sup>−7</sup>", "0", "10<sup>−1</sup>"]),
        ([2.5e-5, 0.02], ["2.5 × 10<sup>−5</sup>", "2 × 10<sup>−2</sup>"]),
    ],
)  # fmt: skip
def test_one_axis_has_one_way_of_writing_its_ticks(ticks, texts):
    assert tick_texts(ticks) == texts


@pytest.mark.parametrize("values", [[-1e4, 0.01, 1e4], [1e-6, 1.0], [-3.0, 2.0, 1e-5]])
@pytest.mark.parametrize(("most", "apart"), [(4, 0.07), (2, 0.15)])
def test_no_tick_collides_with_zero(values, most, apart):
    axis = choose("signed", np.array(values)).axis(most, apart)
    ends = np.abs(choose("signed", np.array(values)).positions(np.array(values)))
    whole = ends.max() * (2 if min(values) < 0 else 1)
    assert np.diff(axis["tickvals"]).min() > apart * whole


def test_log_axes_have_whole_decades_or_decimals():
    assert choose("log", np.array([0.5, 300.0])).axis()["dtick"] == 1
    assert choose("log", np.array([1e-12, 1e12])).axis()["dtick"] == 4
    narrow = choose("log", np.array([1.5, 70.0])).axis()
    assert "dtick" not in narrow
    assert narrow["tickformat"] == ".3~g"


def test_a_diverging_run_does_not_flatten_a_learning_one():
    learning = np.linspace(2.3, 0.1, 100)
    assert choose("wide", learning).kind == "linear"
    assert choose("wide", np.append(learning, 3e60)).kind == "log"
    assert choose("wide", np.append(learning, [0.0, 3e60])).kind == "asinh"
    assert choose("wide", np.array([])).kind == "linear"
    assert choose("wide", np.zeros(5)).kind == "linear"


def test_labels_that_look_alike_have_markers_of_their_own_in_one_chart():
    labels = [f"made_up_{n}" for n in range(40)]
    first = next(
        (one, other)
        for one in labels
        for other in labels
        if one < other
        and style.symbol(one) == style.symbol(other)
        and style.symbols([one, other])[other] != style.symbol(other)
    )
    marks = style.symbols(first)
    assert marks[first[0]] == style.symbol(first[0])
    assert marks[first[1]] != marks[first[0]]
    alone = style.symbols([*style.FIXED])
    assert alone == {one: style.symbol(one) for one in style.FIXED}
    many = style.symbols(f"spsa(eps=0.{n})" for n in range(12))
    assert len({*many.values()}) > 8
