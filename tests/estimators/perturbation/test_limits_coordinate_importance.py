"""Random directions beside coordinates drawn by importance."""

import pytest
import torch

from estimators import SPSA, Objective, stream
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases
from estimators.perturbation.coordinate_importance import CoordinateImportance, drawn, inclusion

CASES = cases()
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
# Curvatures of many sizes, so that coordinates differ in importance; two tensors, one of
# which is laid out by columns.
SCALES = torch.tensor([5.0, 0.1, -2.0, 0.3, 0.0, 1.0, -0.2, 0.05], dtype=torch.float64)
QUADRATIC = Objective(lambda p: (SCALES * torch.cat([p["w"].reshape(-1), p["b"]]) ** 2).sum() / 2)
POINT = {
    "w": torch.tensor([[1.0, 2.0], [0.5, -1.0], [1.0, 3.0]], dtype=torch.float64).T,
    "b": torch.tensor([2.0, -4.0], dtype=torch.float64),
}
EXACT = torch.cat([g.reshape(-1) for g in value_and_grad(QUADRATIC, POINT)[1].values()])


def flat(grads):
    return torch.cat([g.reshape(-1) for g in grads.values()])


def as_state(vector):
    """The running mean that is `vector`."""
    return [vector[:6].view(2, 3), vector[6:]]


def draws_of(estimator, state, count):
    rng = stream(0, "estimator")
    return torch.stack(
        [flat(estimator.estimate(QUADRATIC, POINT, state, rng).grads) for _ in range(count)]
    )


@pytest.mark.parametrize("coordinates", [8, 20])
def test_all_coordinates_are_exact_on_a_quadratic(coordinates):
    estimator = CoordinateImportance(mix=0, coordinates=coordinates, coordinate_eps=0.5)
    (found,) = draws_of(estimator, as_state(EXACT), 1)
    torch.testing.assert_close(found, EXACT)


@each_case
def test_all_coordinates_are_off_by_eps_squared(case):
    exact = flat(value_and_grad(case.chain, case.params)[1])

    def error(eps):
        estimator = CoordinateImportance(mix=0, coordinates=4096, coordinate_eps=eps)
        state = estimator.init(case.chain, case.params, stream(0, "init"))
        found = estimator.estimate(case.chain, case.params, state, stream(0, "estimator"))
        return (flat(found.grads) - exact).norm()

    assert 3.8 < error(1e-3) / error(5e-4) < 4.2


def test_directions_alone_are_simultaneous_perturbation():
    case = CASES[0]
    alone = CoordinateImportance(mix=1, pairs=3)
    state = alone.init(case.chain, case.params, stream(0, "init"))
    found = alone.estimate(case.chain, case.params, state, stream(0, "estimator"))
    wanted = SPSA(pairs=3).estimate(case.chain, case.params, None, stream(0, "estimator"))
    assert torch.equal(flat(found.grads), flat(wanted.grads))
    assert alone.cost(case.chain) == SPSA(pairs=3).cost(case.chain)


@pytest.mark.parametrize(("mix", "aim"), [(0.0, "nothing"), (0.0, "gradient"), (0.4, "elsewhere")])
def test_the_mean_is_the_gradient_wherever_importance_points(mix, aim):
    state = {"nothing": 0 * EXACT, "gradient": EXACT, "elsewhere": EXACT.flip(0)}[aim]
    draws = draws_of(CoordinateImportance(mix=mix, coordinates=3), as_state(state), 1000)
    shown = torch.cat([draws, (draws @ EXACT / EXACT.square().sum()).unsqueeze(1)], 1)
    wanted = torch.cat([EXACT, EXACT.new_ones(1)])
    se = shown.std(0) / 1000**0.5
    assert ((shown.mean(0) - wanted).abs() <= 5 * se + 1e-9).all()


def test_the_scatter_of_the_coordinates_is_that_of_their_probabilities():
    """tr Var = Σ g_i² (1/p_i − 1), least where p is the size of the gradient."""
    estimator = CoordinateImportance(mix=0, coordinates=2, uniform=0.1)
    found = {}
    for name, weights in {"even": 0 * EXACT, "gradient": EXACT}.items():
        p = inclusion(estimator._importance(as_state(weights)), 2)
        wanted = (EXACT**2 * (1 / p - 1)).sum()
        found[name] = draws_of(estimator, as_state(weights), 1000).var(0).sum()
        assert 0.8 < found[name] / wanted < 1.2
    assert found["gradient"] < 0.3 * found["even"]


def test_probabilities_are_at_most_one_and_sum_to_the_count():
    weights = torch.tensor([100.0, 30.0, 1.0, 1.0, 2.0, 0.5], dtype=torch.float64)
    for count in (1, 2, 3, 5):
        p = inclusion(weights, count)
        torch.testing.assert_close(p.sum(), torch.tensor(float(count), dtype=torch.float64))
        assert ((p > 0) & (p <= 1)).all()
    torch.testing.assert_close(inclusion(weights, 3)[2:], weights[2:] / 4.5)
    assert (inclusion(weights, 6) == 1).all()


def test_coordinates_are_drawn_once_each_and_as_often_as_said():
    p = inclusion(torch.tensor([4.0, 1.0, 3.0, 0.5, 2.0], dtype=torch.float64), 3)
    rng, times = stream(0, "estimator"), torch.zeros(5, dtype=torch.float64)
    for _ in range(2000):
        indices = drawn(p, rng)
        assert len(indices.unique()) == 3
        times[indices] += 1
    assert ((times / 2000 - p).abs() <= 5 * (p * (1 - p) / 2000).sqrt() + 1e-9).all()


def test_the_running_mean_keeps_what_memory_says():
    estimator = CoordinateImportance(memory=0.75)
    state = as_state(torch.arange(8, dtype=torch.float64))
    found = estimator.estimate(QUADRATIC, POINT, state, stream(0, "estimator"))
    for new, old, g in zip(found.state, state, found.grads.values(), strict=True):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * g)
    shadow = estimator.advance(QUADRATIC, POINT, state, stream(0, "estimator"))
    assert all(torch.equal(a, b) for a, b in zip(shadow, found.state, strict=True))


def test_a_running_mean_that_is_not_finite_says_nothing():
    broken = torch.full((8,), float("nan"), dtype=torch.float64)
    even = CoordinateImportance()._importance(as_state(broken))
    torch.testing.assert_close(even, torch.full_like(even, 1 / 8))


LIMITS = {"CoordinateImportance": test_all_coordinates_are_exact_on_a_quadratic}
