"""Where differences of the loss are rounding, the diagnosis says so."""

import math

import pytest
import torch
from torch import nn

from estimators import (
    SPSA,
    Backprop,
    EvolutionStrategy,
    GaussianSmoothing,
    GuidedES,
    MeanOfDraws,
    MeZO,
    Momentum,
    measure,
)
from estimators.core.objective import Objective
from estimators.measurement.estimates.rounding import difference_step, rounding_of
from estimators.measurement.inputs.subject import subject
from estimators.measurement.probe import probe
from estimators.statistics.diagnosis import explain
from estimators.statistics.rounding import MOST, Rounding

PARAMS = {"w": torch.zeros(9)}


@pytest.mark.parametrize(
    ("estimator", "step"),
    [
        (SPSA(eps=0.1), 0.2), (MeZO(eps=0.1), 0.2), (EvolutionStrategy(sigma=0.1), 0.2),
        (GaussianSmoothing(mu=0.1), 0.1), (GaussianSmoothing(mu=0.1, difference="central"), 0.2),
        (GuidedES(sigma=0.3, alpha=0.25), 0.1), (MeanOfDraws(inner=SPSA(eps=0.1)), 0.2),
        (Momentum(inner=MeanOfDraws(inner=MeZO(eps=0.1))), 0.2), (Backprop(), None),
    ],
)  # fmt: skip
def test_the_step_of_a_difference_is_that_of_the_estimator_that_takes_it(estimator, step):
    found = difference_step(estimator, PARAMS)
    assert found is None if step is None else found == pytest.approx(step)


def test_differences_have_the_length_that_is_said():
    """Of a linear loss, L(θ + ε v) − L(θ − ε v) = 2ε⟨g, v⟩, whose mean square is (2ε‖g‖)²."""
    g = torch.arange(1.0, 10, dtype=torch.float64)
    seen = []

    def loss(params):
        seen.append((params["w"] @ g).item())
        return params["w"] @ g

    params = {"w": torch.zeros(9, dtype=torch.float64)}
    estimator = SPSA(eps=0.01, noise="normal", pairs=2000)
    estimator.estimate(Objective(loss), params, None, torch.Generator().manual_seed(0))
    pairs = torch.tensor(seen[:4000]).view(2000, 2)
    found = (pairs[:, 0] - pairs[:, 1]).square().mean().sqrt().item()
    told = rounding_of(estimator, params, g.norm().item(), 1.0, torch.float64)
    assert found == pytest.approx(told.difference, rel=4 / 2000**0.5)


def problem(dtype):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3)).to(dtype)
    return net, nn.CrossEntropyLoss(), (torch.randn(32, 8).to(dtype), torch.randint(3, (32,)))


def test_the_diagnosis_names_step_and_precision():
    found = measure(*problem(torch.bfloat16), {"it": SPSA(), "exact": Backprop()}, draws=32)
    for finding in found.findings["it"]:
        assert finding.cause == "rounding"
        assert "step" in finding.text
        assert "precision in bfloat16" in finding.text
        assert "draws" not in finding.text
    assert found.findings["exact"][0].cause == "fine"
    assert found.rounding["it"].floor == pytest.approx(2**-7 * found.loss)
    assert "exact" not in found.rounding
    fine = measure(*problem(torch.float32), {"it": SPSA()}, draws=32)
    assert all(finding.cause != "rounding" for finding in fine.findings["it"])
    # A step that is too short for float32 is long enough in float64.
    short = {"it": SPSA(eps=1e-8)}
    causes = [
        measure(*problem(dtype), short, draws=32).findings["it"][0].cause
        for dtype in (torch.float32, torch.float64)
    ]
    assert causes[0] == "rounding"
    assert causes[1] != "rounding"


def test_a_live_probe_keeps_the_same_numbers():
    of, still = problem(torch.bfloat16), measure(*problem(torch.bfloat16), SPSA(), draws=32)
    seen = subject(*of, SPSA(), 0)
    live = probe(seen.chain, seen.params, seen.watched, draws=4)
    (a,), (b,) = live.rounding.values(), still.rounding.values()
    assert a.floor == b.floor
    assert a.difference == pytest.approx(b.difference)


def test_the_words():
    assert Rounding(MOST, 1.0).text == ""
    assert Rounding(0.0, 0.0).text == ""
    text = Rounding(0.6, 1.0, "float16").text
    assert "in float16 is 0.6; take a step about 12 times as long" in text
    assert math.isinf(Rounding(0.6, 0.0).ratio)
    assert "take a step longer" in Rounding(0.6, 0.0).text
    assert Rounding(math.inf, 1.0).text == ""


@pytest.mark.parametrize(
    ("numbers", "cause"),
    [({"exact": 0.0, "count": 16}, "dead"), ({"exact": 1.0, "count": 0}, "not finite"),
     ({"exact": 1.0, "count": 16, "longest": 0.0}, "rounding")],
)  # fmt: skip
def test_what_else_is_known_comes_first(numbers, cause):
    assert explain("", numbers, rounding=Rounding(1.0, 1.0)).cause == cause
