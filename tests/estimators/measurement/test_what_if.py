"""One-step draws."""

import math

import pytest
import torch

from estimators import (
    Backprop,
    Chain,
    ForwardGradient,
    Objective,
    RandomDirection,
    UnsupportedError,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases
from estimators.measurement.estimates.one_step import WhatIf, grid, take_steps

CASE = cases()[0]
H = torch.diag(torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64))
THETA = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)


def quadratic(sign=1.0):
    return Objective(lambda p: sign * 0.5 * p["w"] @ H @ p["w"])


def test_a_quadratic_in_closed_form():
    """Backprop: every draw is g, and the change is what the expansion says, exactly."""
    params = {"w": THETA}
    g = H @ THETA
    found = take_steps(quadratic(), params, Backprop(), count=3)
    rate = ((g @ g) / (g @ H @ g)).item()
    assert found.best_rate == pytest.approx(rate)
    assert found.expected_decrease == pytest.approx((rate * (g @ g) / 2).item())
    assert found.changes.flatten().tolist() == pytest.approx([-found.expected_decrease] * 3)
    assert found.curvature == pytest.approx((g @ H @ g).item())


def test_forward_gradients_on_a_quadratic():
    """E ĝᵀHĝ = ‖g‖² tr H + 2 gᵀHg for normal tangents; the change is best at the best rate."""
    params, g = {"w": THETA}, H @ THETA
    estimator = ForwardGradient(noise="normal")
    found = take_steps(quadratic(), params, estimator, count=1500)
    kept = (g @ g) * H.trace() + 2 * g @ H @ g
    low, high = found.curvature_interval
    assert low <= kept <= high
    assert found.slope == pytest.approx((g @ g).item(), rel=0.15)
    mean = found.changes.mean().item()
    assert mean == pytest.approx(-found.expected_decrease, rel=0.1)
    rates = [factor * found.best_rate for factor in (0.5, 1.7)]
    other = take_steps(quadratic(), params, estimator, count=1500, rates=rates)
    assert (other.changes.mean(0) > mean).all()


def test_the_expansion_on_a_network():
    found = take_steps(CASE.chain, CASE.params, Backprop(), count=2, rates=[1e-4])
    g = value_and_grad(CASE.chain, CASE.params)[1]
    square = sum(x.square().sum().item() for x in g.values())
    second = -1e-4 * square + 0.5e-8 * found.curvature
    assert found.changes[0, 0].item() == pytest.approx(second, rel=1e-6)
    assert found.curvature_interval is None
    assert found.text.startswith("the loss fell in 2 of 2 steps of 0.0001; best learning rate")


def test_a_loss_that_curves_down_has_no_best_rate():
    found = take_steps(quadratic(-1.0), {"w": THETA}, Backprop(), count=2, rates=[0.1])
    assert found.best_rate is None
    assert found.expected_decrease is None
    assert "not curve upwards" in found.text
    assert (found.changes < 0).all()


def test_steps_that_are_not_finite_are_left_out():
    class Sometimes(Backprop):
        def estimate(self, objective, params, state, rng, /):
            made = super().estimate(objective, params, state, rng)
            bad = torch.rand((), generator=rng) < 0.5
            return made._replace(grads={n: g / (0 if bad else 1) for n, g in made.grads.items()})

    found = take_steps(CASE.chain, CASE.params, Sometimes(), count=16, rates=[0.01])
    assert 0 < found.nonfinite < 16
    assert found.changes.isfinite().sum() == 16 - found.nonfinite
    assert "not finite and left out" in found.text
    assert math.isfinite(found.slope)


def test_losses_that_are_not_finite_after_a_step_are_told():
    found = take_steps(quadratic(1.0), {"w": THETA}, Backprop(), count=4, rates=[1e-3, 1e300])
    assert found.blown == (0, 4)
    assert "the loss was not finite after 4 of 4 at 1e+300" in found.text
    fine = take_steps(quadratic(1.0), {"w": THETA}, Backprop(), count=4, rates=[1e-3])
    assert "not finite" not in fine.text


def test_what_cannot_be_stepped_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        take_steps(CASE.chain, CASE.params, Backprop(), count=1)
    flat = Chain(
        CASE.chain.module, CASE.chain.x, CASE.chain.y, lambda o, y: (o.argmax(1) != y) * 1.0
    )
    with pytest.raises(UnsupportedError, match="differentiably"):
        take_steps(flat, CASE.params, Backprop(), count=2)


@pytest.mark.parametrize(("noise", "fourth"), [("normal", 3), ("rademacher", 1)])
def test_the_expected_decrease_on_a_quadratic(noise, fourth):
    """⟨Eĝ, g⟩²/(2 E ĝᵀHĝ), E ĝᵀHĝ = ‖g‖² tr H + (E v⁴ − 1) Σ g² h for a diagonal H."""
    params, g = {"w": THETA}, H @ THETA
    found = take_steps(quadratic(), params, ForwardGradient(noise=noise), count=2000, rates=[0.05])
    curve = (g @ g) * H.trace() + (fourth - 1) * (g.square() * H.diagonal()).sum()
    true = ((g @ g).square() / (2 * curve)).item()
    assert abs(found.expected_decrease - true) < 5 * found.decrease_se
    low, high = found.decrease_interval
    assert low <= true <= high
    squared = found.slopes.mean().square() - found.slopes.var() / 2000
    assert found.expected_decrease == pytest.approx((squared / 2 / found.curvature).item())
    # On a quadratic the expansion is exact: of the mean change too, draw by draw.
    each = -0.05 * found.slopes + 0.05**2 / 2 * found.curvatures
    assert torch.allclose(found.changes[:, 0], each)
    assert found.predicted(0.05) == pytest.approx(found.changes.mean().item())


def test_what_leads_nowhere_is_not_told_to_lead_down():
    found = take_steps(quadratic(), {"w": THETA}, RandomDirection(), count=64, rates=[0.1])
    assert found.descends is None
    assert found.best_rate is None
    assert "64 draws cannot tell whether they lead down" in found.text
    away = take_steps(quadratic(), {"w": 0 * THETA}, Backprop(), count=4, rates=[0.1])
    assert "the draws or the exact gradient are zero" in away.text


def test_slopes_with_a_long_tail_above_are_told_to_lead_down():
    """Student's interval, even on both sides, would reach below zero."""
    slopes = torch.tensor([0.1] * 14 + [3, 6], dtype=torch.float64)
    assert WhatIf(1.0, (0.1,), -slopes.unsqueeze(1), slopes, slopes).descends
    assert WhatIf(1.0, (0.1,), slopes.unsqueeze(1), -slopes, slopes).descends is False
    many = slopes.repeat(16)
    low, high = WhatIf(1.0, (0.1,), -many.unsqueeze(1), many, many).curvature_interval
    assert high - many.mean() > 1.1 * (many.mean() - low)


def test_a_step_that_is_too_long_is_infinite_and_not_missing():
    steep = Objective(lambda p: p["w"].square().sum().exp())
    found = take_steps(steep, {"w": THETA}, Backprop(), count=3, rates=[1e-3, 1e3])
    assert found.changes[:, 1].isinf().all()
    assert found.nonfinite == 0
    assert "fell in 3 of 3 steps of 0.001" in found.text


@pytest.mark.parametrize(
    ("best", "also"), [([0.3], [0.01]), ([1e-6, 10.0], []), ([], [0.05]), ([], [])]
)
def test_rates_are_about_the_best_and_hold_the_usual(best, also):
    found = grid(best, also)
    assert found == sorted(set(found))
    assert len(found) <= 24
    assert {*also} <= {*found}
    for one in best or also:
        assert found[0] <= one / 5 <= 5 * one <= found[-1]
