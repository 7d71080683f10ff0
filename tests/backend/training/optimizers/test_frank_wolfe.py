"""Frank–Wolfe: its sets, its steps, and that the averaged forward gradient alone converges."""

import math

import pytest
import torch
from torch import nn

from backend.training.optimizers import optimizers
from backend.training.optimizers.convex_sets import minimiser, nearest
from estimators import AveragedProjected, ForwardGradient, Objective, stream

F64 = torch.float64
SETS = ["l1_ball", "l2_ball", "linf_ball", "simplex"]
frank_wolfe = optimizers()["frank_wolfe"]
NO_AVERAGE = {"average_rate": 1.0, "average_power": 0.0}


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def excess(kind, w, radius):
    """How far a point lies outside the set, relative to its radius."""
    if kind == "simplex":
        return max(-w.min().item(), abs(w.sum().item() - radius)) / radius
    norm = {"l1_ball": 1, "l2_ball": 2, "linf_ball": math.inf}[kind]
    return torch.linalg.vector_norm(w, norm).item() / radius - 1


def within(kind, count, radius, seed):
    """Points of the set, many of them on its border and at its corners."""
    points = [nearest(kind, s * normal(6, seed=seed + i), radius) for i, s in enumerate(
        [0.1, 1.0, 3.0, 10.0] * (count // 4)
    )]  # fmt: skip
    corners = torch.eye(6, dtype=F64) * radius
    return [*points, *corners, *(() if kind == "simplex" else -corners)]


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("seed", range(5))
def test_no_point_of_the_set_is_better_than_the_minimiser(kind, seed):
    g = normal(6, seed=100 + seed)
    s = minimiser(kind, g, 1.7)
    assert excess(kind, s, 1.7) < 1e-14
    assert all(g @ s <= g @ p + 1e-13 for p in within(kind, 200, 1.7, seed))
    dual = {"l1_ball": g.abs().max(), "l2_ball": g.norm(), "linf_ball": g.abs().sum()}
    best = -1.7 * dual[kind] if kind in dual else 1.7 * g.min()
    torch.testing.assert_close(g @ s, best)


@pytest.mark.parametrize("kind", SETS)
def test_a_minimiser_of_nothing_is_in_the_set(kind):
    s = minimiser(kind, torch.zeros(2, 3, dtype=F64), 2.0)
    assert s.shape == (2, 3)
    assert excess(kind, s, 2.0) <= 0


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("seed", range(5))
def test_the_nearest_point_is_in_the_set_and_no_other_is_nearer(kind, seed):
    """w − p makes an obtuse angle with every way from p into the set: that characterises p."""
    w = 2 * normal(6, seed=seed)
    p = nearest(kind, w, 1.3)
    assert excess(kind, p, 1.3) < 1e-14
    assert all((w - p) @ (q - p) <= 1e-13 for q in within(kind, 200, 1.3, seed))
    torch.testing.assert_close(nearest(kind, p, 1.3), p, rtol=1e-15, atol=1e-15)


def step_on(torchs, params, grads):
    for p, g in zip(params, grads, strict=True):
        p.grad = g
    torchs.step()


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("steps", ["scheduled", "falling"])
def test_the_weights_never_leave_the_set(kind, together, steps):
    params = [nn.Parameter(5 * normal(4, 3)), nn.Parameter(5 * normal(7, seed=1))]
    fields = {"constraint": kind, "radius": 2.0, "together": together, "steps": steps, "lr": 0.3}
    torchs = frank_wolfe(**fields).build(params)
    for step in range(60):
        flat = [p.detach().reshape(-1) for p in params]
        for w in [torch.cat(flat)] if together else flat:
            # Each of at most 60 convex combinations rounds each of 19 entries once or twice.
            assert excess(kind, w, 2.0) <= 60 * 2 * 19 * torch.finfo(F64).eps
        step_on(torchs, params, [normal(4, 3, seed=step), normal(7, seed=-step)])


def test_the_steps_are_those_of_the_formula():
    start, grads = normal(5), [normal(5, seed=s) for s in range(1, 6)]
    fields = {"constraint": "l2_ball", "radius": 9.0, "average_rate": 0.8, "average_power": 0.5}
    for steps, shares in (
        ("scheduled", [0.4] * 5),
        ("falling", [0.4 * 2 / (t + 2) for t in range(5)]),
    ):
        w, average = start.clone(), grads[0]
        parameter = nn.Parameter(start.clone())
        torchs = frank_wolfe(**fields, steps=steps, lr=0.4).build([parameter])
        for k, (g, share) in enumerate(zip(grads, shares, strict=True), start=1):
            if k > 1:
                average = average + 0.8 / k**0.5 * (g - average)
            w = (1 - share) * w + share * -9.0 * average / average.norm()
            step_on(torchs, [parameter], [g])
            torch.testing.assert_close(parameter.detach(), w, rtol=1e-13, atol=1e-14)


def test_a_rate_above_one_steps_to_the_extreme_point_and_no_further():
    parameter = nn.Parameter(normal(5))
    torchs = frank_wolfe(constraint="linf_ball", radius=1.0, lr=7.0).build([parameter])
    g = normal(5, seed=2)
    step_on(torchs, [parameter], [g])
    assert torch.equal(parameter.detach(), -g.sign())


def test_weights_that_are_loaded_after_the_start_are_brought_into_the_set():
    parameter = nn.Parameter(normal(5))
    torchs = frank_wolfe(constraint="l2_ball", radius=1.0, lr=1e-3).build([parameter])
    with torch.no_grad():
        parameter.copy_(100 * normal(5))
    step_on(torchs, [parameter], [normal(5, seed=2)])
    assert excess("l2_ball", parameter.detach(), 1.0) <= 1e-14


def test_the_average_is_that_of_the_estimator_of_the_same_name():
    b = normal(6)
    objective = Objective(lambda p: (p["w"] - b).square().sum())
    plain = ForwardGradient(noise="normal")
    averaged = AveragedProjected(rate=0.9, power=0.6, noise="normal")
    arms = []
    for estimator, fields in (
        (plain, {"average_rate": 0.9, "average_power": 0.6}), (averaged, NO_AVERAGE),
    ):  # fmt: skip
        w = nn.Parameter(torch.zeros(6, dtype=F64))
        torchs = frank_wolfe(lr=0.1, radius=1.0, **fields).build([w])
        state = estimator.init(objective, {"w": w.detach()}, stream(0, "init"))
        for step in range(20):
            estimate = estimator.estimate(
                objective, {"w": w.detach()}, state, stream(0, "estimator", step)
            )
            state = estimate.state
            step_on(torchs, [w], [estimate.grads["w"]])
        arms.append(w.detach())
    torch.testing.assert_close(*arms, rtol=1e-12, atol=1e-14)


class Distance:
    """f(w) = ½‖w − b‖² on ‖w‖ ≤ r < ‖b‖, whose minimum is r b/‖b‖; seen by forward gradients."""

    def __init__(self, dimension=10, radius=1.0, seed=0):
        self.b = normal(dimension, seed=seed)
        self.b *= 2 * radius / self.b.norm()
        self.radius = radius

    def run(self, marks, seed, **fields):
        """‖w − w*‖ after `marks` steps."""
        w = nn.Parameter(torch.zeros_like(self.b))
        fields = {"constraint": "l2_ball", "radius": self.radius, "steps": "falling", **fields}
        torchs = frank_wolfe(lr=1.0, **fields).build([w])
        rng, distances = torch.Generator().manual_seed(seed), []
        for step in range(1, max(marks) + 1):
            v = torch.randn(self.b.shape, dtype=F64, generator=rng)
            step_on(torchs, [w], [((w.detach() - self.b) @ v) * v])
            if step in marks:
                distances.append((w.detach() - self.b * self.radius / self.b.norm()).norm().item())
        return distances


def test_with_plain_forward_gradients_it_stops_short_of_the_minimum():
    """The extreme point of one draw is −r sign(v·g) v/‖v‖, in the mean −r c g/‖g‖ with
    c = E|v₁|/‖v‖ = Γ(d/2) / (√π Γ((d+1)/2)): the weights settle at r c b/‖b‖."""
    problem, d = Distance(), 10
    c = math.gamma(d / 2) / math.sqrt(math.pi) / math.gamma((d + 1) / 2)
    # The point is a mean of T extreme points of length r, with weights 2t/T²: variance 4/(3T) r².
    scatter = math.sqrt(4 / (3 * 1000))
    for seed in range(3):
        early, late = problem.run([250, 1000], seed, **NO_AVERAGE)
        assert abs(late - (1 - c)) < 3 * scatter
        assert late > 0.85 * early


def test_with_averaged_forward_gradients_it_converges():
    problem = Distance()
    runs = [problem.run([125, 1000], seed) for seed in range(3)]
    early, late = (sum(column) / len(runs) for column in zip(*runs, strict=True))
    # 8 times the steps halve an error that falls as t^(-1/3), the proven rate of the average.
    assert late < 0.7 * early
    assert late < 0.15


@pytest.mark.parametrize("together", [False, True])
def test_frozen_weights_are_left_where_they_are(together):
    frozen, moved, fixed = (nn.Parameter(10 * normal(5, seed=s)) for s in range(3))
    fixed.requires_grad_(False)
    before = frozen.detach().clone(), fixed.detach().clone()
    torchs = frank_wolfe(radius=1.0, lr=0.5, together=together).build(
        [{"params": [frozen], "lr": 0.0}, {"params": [moved, fixed], "lr": 0.5}]
    )
    step_on(torchs, [frozen, moved], [normal(5), normal(5)])
    assert torch.equal(frozen, before[0])
    assert torch.equal(fixed, before[1])
    assert excess("l2_ball", moved.detach(), 1.0) <= 1e-14


def test_a_schedule_that_begins_at_zero_freezes_nothing():
    weight = nn.Parameter(10 * normal(5))
    torchs = frank_wolfe(constraint="l2_ball", radius=1.0, lr=0.5).build([weight])
    for rate in (0.0, 1.0):
        torchs.param_groups[0]["lr"] = rate
        step_on(torchs, [weight], [normal(5, seed=2)])
    assert torch.allclose(weight.detach(), -normal(5, seed=2) / normal(5, seed=2).norm())


@pytest.mark.parametrize("kind", SETS)
def test_tensors_of_one_set_stay_in_it_where_one_has_no_gradient(kind):
    weights = [nn.Parameter(10 * normal(5, seed=s)) for s in range(2)]
    torchs = frank_wolfe(constraint=kind, radius=1.0, lr=0.9, together=True, **NO_AVERAGE).build(
        weights
    )
    for step in range(4):
        step_on(torchs, weights[:1], [normal(5, seed=step)])
        weights[1].grad = None
        assert excess(kind, torch.cat([w.detach() for w in weights]), 1.0) <= 1e-13
