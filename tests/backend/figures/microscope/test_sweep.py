"""A sweep's figure: slopes with their errors, what is predicted, and the axes."""

import math

import numpy as np
import pytest
import torch

from backend.figures import FigureError, Memory, MemoryRun, draw, note_text
from backend.figures.data import slope
from estimators import Objective, stream
from estimators.conformance import cases
from estimators.measurement.estimates.observation import observe
from estimators.registry import discover
from estimators.statistics.student import t_quantile

FORWARD = "forward_gradient"
X = np.array([1.0, 2.0, 4.0, 8.0, 16.0])


def swept(field="tangents", values=(1, 4, 16), draws=256, network=None, **component):
    component = {"name": FORWARD, **component}
    source = Memory()
    of = {"run": "r0", "draws": draws, "sweep": {"field": field, "values": list(values)}}
    network = network or {"name": "mlp", "activation": "tanh"}
    config = {"microscope": of, "estimator": component, "network": network}
    source.add_run("m1", MemoryRun(2, config=config, labels={"driver": component["name"]}))
    return source


def add(source, name, at, y, error=None, label=FORWARD):
    source.add("m1", f"sweep/{name}", at, y, estimator=label)
    if error is not None:
        source.add("m1", f"sweep/{name}_se", at, error, estimator=label)


def drawn(source, **query):
    made = draw("sweep", source, {"runs": "m1", **query})
    return made["figure"]["data"], made["figure"]["layout"], note_text(made)


@pytest.mark.parametrize("spread", [0.02, 0.1])
def test_the_error_of_a_slope_is_that_of_repeated_measurements(spread):
    rng, found = np.random.default_rng(0), []
    errors = spread * np.array([1, 2, 1, 3, 1]) / X
    for _ in range(400):
        y = (1 + spread * np.array([1, 2, 1, 3, 1]) * rng.standard_normal(5)) / X
        found.append(slope.fitted(X, y, errors))
    off = np.array([(one.value + 1) / one.error for one in found])
    assert abs(off.mean()) < 0.25
    # Where points happen to scatter more, their scatter widens the error: it is never too small.
    assert 0.75 < off.std() < 1.05


def test_points_without_errors_tell_theirs_by_their_scatter():
    rng = np.random.default_rng(0)
    made = [slope.fitted(X, np.exp(0.1 * rng.standard_normal(5)) * X**2, None) for _ in range(500)]
    spread = np.std([one.value for one in made])
    assert np.sqrt(np.mean([one.error**2 for one in made])) == pytest.approx(spread, rel=0.15)


def test_a_bent_curve_has_a_wide_error_and_a_straight_one_its_exponent():
    y = 3 * X**1.5
    straight = slope.fitted(X, y, 0.01 * y)
    assert straight.value == pytest.approx(1.5)
    assert straight.error == pytest.approx(0.01 / np.log(X).std() / len(X) ** 0.5)
    bent = slope.fitted(X, y + 10, 0.01 * y)
    assert bent.error > 5 * straight.error


def test_points_that_do_not_stand_clear_of_zero_are_left_out():
    y = np.array([1e-6, -1e-3, 0.01, 0.16, 2.56])
    found = slope.fitted(X, y, np.array([1e-3, 1e-3, 1e-4, 1e-3, 1e-2]))
    assert found.clear.tolist() == [False, False, True, True, True]
    assert found.value == pytest.approx(4)
    assert slope.fitted(X[:2], X[:2], None) is None
    assert slope.fitted(X, np.full(5, np.nan), None) is None


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (-1.0042, 0.0314, ("−1.00", "0.03")),
        (-0.996, 0.014, ("−0.996", "0.014")),
        (1.26, 0.8, ("1.3", "0.8")),
        (3.9, 12.0, ("4", "12")),
        (-0.001, 0.0301, ("0.00", "0.03")),
        (2.0, 0.0, ("2.00", "")),
        (2.0, math.nan, ("2.00", "")),
    ],
)
def test_a_slope_has_no_more_digits_than_its_error_permits(value, error, said):
    assert slope.rounded(value, error) == said


def test_the_slope_of_the_law_is_over_the_same_points_with_the_same_weights():
    source = swept(values=(1, 2, 4, 8, 16))
    at, y = [1, 2, 4, 8, 16], 10 / X + 1
    add(source, "relative_variance", at, y, np.array([0.01, 0.01, 0.02, 0.1, 0.2]) * y)
    add(source, "law/relative_variance", at, y)
    note = drawn(source)[2]
    said = note.split("measured ")[1]
    value, law = said.split(" ± ")[0], said.split("law ")[1].split(" ")[0]
    assert value == law
    assert "disagrees" not in note


def test_a_law_that_is_off_is_called_so():
    source = swept()
    add(source, "relative_variance", [1, 4, 16], [100, 25, 7], [2, 0.5, 0.1])
    add(source, "law/relative_variance", [1, 4, 16], [100, 25, 6])
    note = drawn(source)[2]
    assert f"{FORWARD} disagrees with its law at 16 (+10 standard errors: implementation or" in note


@pytest.mark.parametrize(("draws", "judged"), [(63, False), (64, True)])
def test_a_sweep_is_judged_from_as_many_draws_as_the_law_check_asks_for(draws, judged):
    source = swept(draws=draws)
    add(source, "relative_variance", [0, 1, 2], [100.0, 25.0, 12.25], [1.0, 0.25, 0.6])
    add(source, "law/relative_variance", [0, 1, 2], [100.0, 25.0, 6.25])
    note = drawn(source)[2]
    assert ("disagrees with its law" in note) is judged, note


def test_where_no_law_is_known_theory_gives_the_slope():
    field, component = "inner.draws", {"name": "node_perturbation"}
    source = swept(field, name="mean_of_draws", inner=component)
    add(source, "relative_variance", [1, 4, 16], [100, 26, 6], [1, 0.3, 0.1], "mean_of_draws")
    data, _, note = drawn(source)
    assert "law" not in note
    assert ", theory −1 (± 1 standard error)" in note
    assert "dotted: the slope by theory, −1" in note
    guide = data[-1]
    assert guide["line"]["dash"] == "dot"
    steepness = np.polyfit(np.log(guide["x"]), np.log(guide["y"]), 1)[0]
    assert steepness == pytest.approx(-1)


@pytest.mark.parametrize(("activation", "said"), [("tanh", True), ("relu", False)])
def test_the_bias_of_a_small_step_is_of_second_order_where_the_loss_is_smooth(activation, said):
    network = {"name": "mlp", "activation": activation}
    source = swept("eps", [0.01, 0.02, 0.04, 0.08, 0.16], network=network, name="spsa")
    bias = [1e-5, 16e-5, 256e-5, 0.04, 0.5]  # the last is no longer small
    add(source, "relative_squared_bias", range(5), bias, np.array(bias) / 20, "spsa")
    note = drawn(source, metric="relative_squared_bias")[2]
    assert ("theory 4" in note) == said
    assert ("as the step tends to 0" in note) == said
    if said:
        assert "measured 3.99 ± 0.03" in note
        assert "(of 4 of its 5 points)" in note


def test_estimators_that_are_exact_leave_the_log_axis():
    source = swept()
    for label, y in [(FORWARD, [9, 4, 1]), ("backprop", [0, 0, 1e-14])]:
        add(source, "relative_variance", [1, 4, 16], y, [0.1] * 3, label)
        add(source, "law/relative_variance", [1, 4, 16], y, None, label)
    data, layout, note = drawn(source)
    assert [one["name"] for one in data] == [FORWARD, f"{FORWARD}, law"]
    assert layout["yaxis"]["type"] == "log"
    assert "; backprop: exact, no error to draw; " in note
    assert [one["showlegend"] for one in data] == [True, False]


def test_what_is_the_same_throughout_has_no_slope():
    source = swept()
    add(source, "cosine", [1, 4, 16], [1.0, 1.0, 1.0])
    assert "slope" not in drawn(source, metric="cosine")[2]


def test_a_share_near_one_has_no_slope():
    source = swept()
    add(source, "scaled_error", [1, 4, 16], [0.99, 0.98, 0.97], [0.001] * 3)
    _, layout, note = drawn(source, metric="scaled_error")
    assert layout["yaxis"]["type"] == "log"
    assert f"flat, so no slope is fitted: {FORWARD}" in note


def test_the_axis_is_whole_from_the_first_point_on():
    source = swept("network.width", [4, 8, 16])
    add(source, "law/relative_variance", [4], [50.0])
    data, layout, note = drawn(source)
    assert layout["xaxis"]["ticktext"] == ["4", "8", "16"]
    low, high = layout["xaxis"]["range"]
    assert low < np.log10(4) < np.log10(16) < high
    assert (data[0]["mode"], data[0]["showlegend"]) == ("markers", True)
    assert "every network at its initialisation; 1 of 3 values" in note


def test_a_network_stands_at_its_number_of_parameters():
    source = swept("network.groups", [1, 2, 4])
    add(source, "relative_variance", [1, 2, 4], [100, 50, 25], [1, 1, 1])
    assert drawn(source, against="parameters")[0][0]["x"] == []  # not known yet
    source.add("m1", "sweep/parameters", [1, 2, 4], [1000, 500, 250])
    data, layout, note = drawn(source, against="parameters")
    assert (data[0]["x"], data[0]["y"]) == ([250, 500, 1000], [25, 50, 100])
    assert layout["xaxis"]["title"]["text"] == "parameters of the network, d"
    assert "measured 1.00 ± 0.02" in note
    assert drawn(source)[1]["xaxis"]["title"]["text"] == "network: groups"


def test_only_a_sweep_over_the_network_has_a_dimension():
    source = swept()
    add(source, "relative_variance", [1, 4, 16], [3, 2, 1])
    with pytest.raises(
        FigureError, match="run #2 sweeps tangents, which leaves their number unchanged"
    ):
        drawn(source, against="parameters")
    with pytest.raises(FigureError, match="against is 'x'; allowed are field, parameters"):
        drawn(source, against="x")


def test_intervals_of_the_bias_wait_for_enough_draws():
    for draws, shown in [(100, False), (128, True)]:
        source = swept(draws=draws)
        add(source, "relative_squared_bias", [1, 4, 16], [0.3, 0.2, 0.1], [0.1] * 3)
        data, _, note = drawn(source, metric="relative_squared_bias")
        assert ("95 % intervals" in note) == ("error_y" in data[0]) == shown


CUBIC = Objective(lambda p: (p["w"] ** 3).sum() + p["w"].prod())
POINT = {"w": torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)}
CLASSES = {name: one.cls for name, one in discover([]).estimators.items()}
AVERAGED = [(field, name) for field, names in slope.AVERAGED.items() for name in names]
STEPS = [
    (field, name)
    for field, names in slope.STEPS.items()
    for name in names
    if name != "node_perturbation"  # needs sites: the same expansion, in their activations
]


def measured(estimator, objective, params, draws):
    state = estimator.init(objective, params, stream(0, "init"))
    *_, last = observe(objective, params, {"one": (estimator, state)}, draws)
    t = t_quantile(0.975, draws - 1)
    variance = float(last.values()["relative_variance"][0])
    low, high = last.intervals()["relative_variance"]
    error = float(high[0] - low[0]) / (2 * t)
    bias = [float(last.values()[f"relative_squared_bias{end}"][0]) for end in ("", "_se")]
    return variance, error, bias


@pytest.mark.parametrize(("field", "name"), AVERAGED)
def test_the_mean_of_k_draws_has_one_kth_of_the_variance(field, name):
    case = cases()[0]
    found = [measured(CLASSES[name](**{field: k}), case.chain, case.params, 128) for k in (1, 2, 6)]
    y, errors = (np.array(one) for one in list(zip(*found, strict=True))[:2])
    one = slope.fitted(np.array([1.0, 2.0, 6.0]), y, errors)
    assert abs(one.value + 1) < 5 * one.error
    assert one.error < 0.2


@pytest.mark.parametrize(("field", "name"), STEPS)
def test_the_bias_of_a_difference_is_of_second_order(field, name):
    # A third derivative that is constant: no higher order hides what the step does.
    steps = np.array([2.0, 4.0, 8.0])
    found = [measured(CLASSES[name](**{field: e}), CUBIC, POINT, 1000)[2] for e in steps]
    y, errors = np.array(found).T
    one = slope.fitted(steps, y, errors)
    assert abs(one.value - 4) < 5 * one.error
    assert one.error < 0.5


def test_swept_words_are_drawn_literally_and_ticks_near_one_are_told_apart():
    source = swept("noise", ("<b>x</b>", "y" * 40))
    add(source, "scaled_error", [0, 1], [0.99991, 0.99993])
    data, layout, _ = drawn(source, metric="scaled_error")
    assert layout["xaxis"]["ticktext"] == ["&lt;b&gt;x&lt;/b&gt;", "y" * 23 + "…"]
    assert layout["xaxis"]["tickvals"] == ["<b>x</b>", "y" * 40]
    assert data[0]["text"][0] == "&lt;b&gt;x&lt;/b&gt;"
    assert layout["yaxis"]["tickformat"] == ".7~g"
