"""Modules of torchzero as estimators: the noise, the state, what is refused, and where exact."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from backend.training.checkpoints.tree import flatten, unflatten
from estimators import (
    ForwardGradient,
    Objective,
    TorchzeroModule,
    UnsupportedError,
    require,
    stream,
)
from estimators.adapters import _chain_text
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases

F64 = torch.float64
CASE = cases()[0]
LOSS, EXACT = value_and_grad(CASE.chain, CASE.params)


def flat(grads):
    return torch.cat([g.reshape(-1) for g in grads.values()])


def walk(modules, objective, points, seed=0):
    """The estimates along some points, the state handed on."""
    estimator, made = TorchzeroModule(modules), []
    state = estimator.init(objective, points[0], stream(seed, "init"))
    for number, params in enumerate(points):
        estimate = estimator.estimate(objective, params, state, stream(seed, "estimator", number))
        state = estimate.state
        made.append(estimate)
    return made


def on_case(modules, steps=1, seed=0):
    return walk(modules, CASE.chain, [CASE.params] * steps, seed)


def test_finite_differences_are_exact_on_a_quadratic():
    """The central difference of a quadratic has no error but rounding, ε|L|/h at h = 1/4."""
    a = torch.randn(5, 5, dtype=F64, generator=stream(0, "data"))
    objective = Objective(lambda p: (a @ p["w"]).square().sum() / 2)
    params = {"w": torch.randn(5, dtype=F64, generator=stream(1, "data"))}
    (found,) = walk("FDM(h=0.25)", objective, [params])
    torch.testing.assert_close(found.grads["w"], a.T @ a @ params["w"], rtol=1e-13, atol=1e-13)


def test_finite_differences_tend_to_the_gradient_of_a_network():
    """With an error of h²: 10 times the step, 100 times the error."""
    errors = [
        (flat(on_case(f"FDM(h={h})")[0].grads) - flat(EXACT)).norm().item() for h in (1e-3, 1e-2)
    ]
    assert errors[0] < 1e-5
    assert 80 < errors[1] / errors[0] < 120


def test_a_forward_gradient_has_the_mean_and_the_variance_of_ours():
    exact, draws = flat(EXACT), 1500
    law = ForwardGradient(noise="normal").law(CASE.chain, CASE.params, None, EXACT)
    found = torch.stack([flat(on_case("ForwardGradient()", seed=s)[0].grads) for s in range(draws)])
    off = (found.mean(0) - exact).abs() / (found.std(0) / draws**0.5)
    assert (off < 5).all()
    squares = (found - exact).square().sum(1)
    error = squares.std() / draws**0.5
    assert abs(squares.mean() - sum(law.variance.values())) < 5 * error


@pytest.mark.parametrize("modules", ["SPSA()", "MeZO()", "ForwardGradient()", "RDSA(n_samples=2)"])
def test_noise_is_the_generators_and_no_other(modules):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (flat(on_case(modules, seed=s)[0].grads) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize("modules", ["FDM()", "SPSA()", "MeZO()", "ForwardGradient()", "SAM()"])
def test_the_loss_is_the_loss_at_the_weights(modules):
    torch.testing.assert_close(on_case(modules)[0].loss, LOSS, rtol=1e-14, atol=0)


def path(steps):
    return [{"w": torch.tensor([2.0, -1.0, 0.5], dtype=F64) / (k + 1)} for k in range(steps)]


BOWL = Objective(lambda p: (p["w"] ** 4).sum())


def test_moments_go_on_from_step_to_step_as_in_torch():
    w = nn.Parameter(torch.zeros(3, dtype=F64))
    adam = torch.optim.Adam([w], lr=1.0)
    for params, estimate in zip(path(6), walk("Adam()", BOWL, path(6)), strict=True):
        with torch.no_grad():
            w.copy_(params["w"])
        w.grad = 4 * params["w"] ** 3
        adam.step()
        # The two add ε = 1e-8 before and after the correction of √v by √(1 − β₂) = 0.03.
        torch.testing.assert_close(estimate.grads["w"], params["w"] - w.detach(), rtol=2e-6, atol=0)


def test_the_state_of_every_kind_goes_through_a_checkpoint():
    for modules in ("LBFGS()", "Adam()", "ForwardGradient(), EMA(0.9)", "SPSA(), HeavyBall(0.5)"):
        whole = walk(modules, BOWL, path(5))
        estimator = TorchzeroModule(modules)
        state = unflatten(*flatten(whole[2].state))
        for number in (3, 4):
            rng = stream(0, "estimator", number)
            estimate = estimator.estimate(BOWL, path(5)[number], state, rng)
            assert torch.equal(estimate.grads["w"], whole[number].grads["w"]), modules
            state = estimate.state


def test_a_state_that_no_checkpoint_can_hold_is_refused():
    with pytest.raises(UnsupportedError, match="Shampoo keeps a ndarray from step to step"):
        on_case("Shampoo()")


def test_a_module_that_fails_says_which():
    with pytest.raises(UnsupportedError, match=r"UnaryLambda\(1\) fails on this .*: TypeError"):
        on_case("UnaryLambda(1)")


SIZE = sum(p.numel() for p in CASE.params.values())
COSTS = {
    "FDM()": (2 * SIZE + 2, 0, 0),  # with the loss at the weights, of which each asks again
    "SPSA(n_samples=4)": (10, 0, 0),
    "SPSA(n_samples=4, formula='forward2')": (5, 0, 0),
    "ForwardGradient(n_samples=3)": (0, 3, 0),
    "Adam()": (1, 0, 1),
    "SAM()": (2, 0, 2),
}


@pytest.mark.parametrize("modules", COSTS)
def test_the_cost_is_that_of_the_evaluations(modules):
    cost = TorchzeroModule(modules).cost(CASE.chain)
    assert (cost.forwards, cost.jvps, cost.vjps) == COSTS[modules]


@pytest.mark.parametrize(("modules", "words"), [
    ("", "it must be Name"),
    ("SPSA(", "it must be Name"),
    ("1", "it must be Name"),
    ("SPSA(), 2", "it must be Name"),
    ("SPSA(**{'h': 1})", "it must be Name"),
    ("SPSA().step(1)", "it must be Name"),
    ("SPSA(__import__('os').getcwd())", "modules has .* must be Name"),
    ("SPSA(h=[x for x in (1,)])", "modules has"),
    ("SPSA(n_samples=10_000_000)", "at most 1,000,000"),
    ("SPSA(seed=1)", "every draw would be the same"),
    ("Mul(" * 60 + "2" + ")" * 60, "at most 200"),
])  # fmt: skip
def test_what_is_no_chain_is_refused_in_a_sentence(modules, words):
    with pytest.raises(ValueError, match=words):
        TorchzeroModule(modules)


@pytest.mark.parametrize(("modules", "words"), [
    ("Spsa()", "torchzero has no module 'Spsa'"),
    ("Module()", "torchzero has no module 'Module'"),
    ("SPSA(step=1)", "torchzero's SPSA refuses its arguments: .*step"),
    ("Wrap(Nothing())", "torchzero has no module 'Nothing'"),
])  # fmt: skip
def test_what_torchzero_does_not_have_is_refused_in_a_sentence(modules, words):
    with pytest.raises(UnsupportedError, match=words):
        require(TorchzeroModule(modules), CASE.chain, CASE.params)


def test_without_torchzero_the_refusal_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(_chain_text, "find_spec", lambda _: None)
    with pytest.raises(
        UnsupportedError, match=r'install it with pip install "gradlab\[torchzero\]"'
    ):
        require(TorchzeroModule(), CASE.chain, CASE.params)


def test_torchzero_is_not_imported_before_it_is_used():
    code = (
        "import sys; from estimators import TorchzeroModule, discover; discover(); "
        "e = TorchzeroModule(); e.needs(); e.claim(None); sys.exit('torchzero' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


LIMITS = {"TorchzeroModule": test_finite_differences_are_exact_on_a_quadratic}
