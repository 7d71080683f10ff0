"""One-step lotteries."""

import math

import pytest
import torch

from estimators import Backprop, Chain, ForwardGradient, Objective, Unserved
from estimators.conformance import cases
from estimators.core.calculus import value_and_grad
from estimators.measure.lottery import gamble

CASE = cases()[0]
H = torch.diag(torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64))
THETA = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)


def quadratic(sign=1.0):
    return Objective(lambda p: sign * 0.5 * p["w"] @ H @ p["w"])


def test_a_quadratic_in_closed_form():
    """Backprop: every draw is g, and the change is what the expansion says, exactly."""
    params = {"w": THETA}
    g = H @ THETA
    found = gamble(quadratic(), params, Backprop(), count=3)
    rate = ((g @ g) / (g @ H @ g)).item()
    assert found.best_rate == pytest.approx(rate)
    assert found.expected_decrease == pytest.approx((rate * (g @ g) / 2).item())
    assert found.changes.flatten().tolist() == pytest.approx([-found.expected_decrease] * 3)
    assert found.curvature == pytest.approx((g @ H @ g).item())


def test_forward_gradients_on_a_quadratic():
    """E ĝᵀHĝ = ‖g‖² tr H + 2 gᵀHg for normal tangents; the change is best at the best rate."""
    params, g = {"w": THETA}, H @ THETA
    estimator = ForwardGradient(noise="normal")
    found = gamble(quadratic(), params, estimator, count=1500)
    kept = (g @ g) * H.trace() + 2 * g @ H @ g
    low, high = found.curvature_interval
    assert low <= kept <= high
    assert found.slope == pytest.approx((g @ g).item(), rel=0.15)
    mean = found.changes.mean().item()
    assert mean == pytest.approx(-found.expected_decrease, rel=0.1)
    for factor in (0.5, 1.7):
        other = gamble(quadratic(), params, estimator, count=1500, rates=[factor * found.best_rate])
        assert other.changes.mean().item() > mean


def test_the_expansion_on_a_network():
    found = gamble(CASE.chain, CASE.params, Backprop(), count=2, rates=[1e-4])
    g = value_and_grad(CASE.chain, CASE.params)[1]
    square = sum(x.square().sum().item() for x in g.values())
    second = -1e-4 * square + 0.5e-8 * found.curvature
    assert found.changes[0, 0].item() == pytest.approx(second, rel=1e-6)
    assert found.curvature_interval is None
    assert found.text.startswith("the loss fell in 2 of 2 steps of 0.0001; best learning rate")


def test_a_loss_that_curves_down_has_no_best_rate():
    found = gamble(quadratic(-1.0), {"w": THETA}, Backprop(), count=2, rates=[0.1])
    assert found.best_rate is None
    assert found.expected_decrease is None
    assert "not curved upwards" in found.text
    assert (found.changes < 0).all()


def test_steps_that_are_not_finite_are_left_out():
    class Sometimes(Backprop):
        def estimate(self, objective, params, state, rng, /):
            made = super().estimate(objective, params, state, rng)
            bad = torch.rand((), generator=rng) < 0.5
            return made._replace(grads={n: g / (0 if bad else 1) for n, g in made.grads.items()})

    found = gamble(CASE.chain, CASE.params, Sometimes(), count=16, rates=[0.01])
    assert 0 < found.nonfinite < 16
    assert found.changes.isfinite().sum() == 16 - found.nonfinite
    assert "not finite and left out" in found.text
    assert math.isfinite(found.slope)


def test_what_cannot_be_stepped_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        gamble(CASE.chain, CASE.params, Backprop(), count=1)
    flat = Chain(
        CASE.chain.module, CASE.chain.x, CASE.chain.y, lambda o, y: (o.argmax(1) != y) * 1.0
    )
    with pytest.raises(Unserved, match="differentiably"):
        gamble(flat, CASE.params, Backprop(), count=2)
