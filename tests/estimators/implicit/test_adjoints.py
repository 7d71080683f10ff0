"""Adjoints: the algebra of phantom gradients, and `ImplicitAdjoint` around other estimators."""

import pytest
import torch

from estimators import (
    ActivityForwardGradient,
    Anderson,
    Backprop,
    Chain,
    Claim,
    DirectFeedbackAlignment,
    FixedPoint,
    ForwardGradient,
    ImplicitAdjoint,
    LocalLosses,
    MeanOfDraws,
    UnsupportedError,
    require,
    stream,
)
from estimators.autodiff.calculus import push_forward, value_and_grad
from estimators.conformance import cases
from estimators.implicit._adjoints import Neumann, differentiating_by
from tests.estimators.implicit.setup_implicit import (
    LinearCell,
    TanhCell,
    chain_of,
    direction,
    dot,
    flat,
    jacobians,
    network,
    scaled,
)

EPS = torch.finfo(torch.float64).eps
SETTINGS = [
    ImplicitAdjoint(adjoint="ift"),
    ImplicitAdjoint(adjoint="unrolled"),
    ImplicitAdjoint(adjoint="unrolled", damping=1.0),
    ImplicitAdjoint(adjoint="jfb"),
    *(
        ImplicitAdjoint(adjoint=name, steps=k, damping=d)
        for name in ("npg", "upg")
        for k, d in ((1, 1.0), (1, 0.5), (3, 0.6), (5, 1.0))
    ),
]


def grads(estimator, chain, params, seed=0):
    require(estimator, chain, params)
    rng = stream(seed, "estimator")
    state = estimator.init(chain, params, stream(0, "init"))
    return flat(estimator.estimate(chain, params, state, rng).grads)


def gradient(chain, params, **fields):
    return grads(ImplicitAdjoint(**fields), chain, params)


# --- the algebra ---


def matrix(n=12, size=0.9, seed=5):
    j = torch.randn(n, n, generator=torch.Generator().manual_seed(seed)).double()
    scaled(j, size)
    return j


def series(j, k, damping):
    """λ Σ_{t<k} Bᵗ, as `Neumann` makes it, column by column."""
    eye = torch.eye(len(j)).double()
    return Neumann(k, damping).times_inverse(None, eye, lambda w: eye + w @ j.T).T


@pytest.mark.parametrize("damping", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 20])
def test_the_series_times_i_minus_j_is_i_minus_b_to_the_k(k, damping):
    j = matrix()
    eye = torch.eye(12).double()
    b = damping * j + (1 - damping) * eye
    found = series(j, k, damping) @ (eye - j)
    wanted = eye - torch.linalg.matrix_power(b, k)
    # k products of 12 × 12 matrices whose entries' sums stay below k.
    torch.testing.assert_close(found, wanted, rtol=0, atol=20 * k * 12 * EPS)


@pytest.mark.parametrize(("radius", "mean"), [(0.3, 0.998), (0.6, 0.976)])
@pytest.mark.parametrize(("n", "count"), [(50, 40), (200, 8), (500, 3)])
def test_the_cosine_on_random_jacobians_below_a_radius_of_0_6(radius, mean, n, count):
    assert sum(cosines(radius, n, count)) / count == pytest.approx(mean, abs=0.01)


@pytest.mark.parametrize(("radius", "low", "high"), [(0.9, 0.72, 0.85), (0.95, 0.6, 0.77)])
def test_the_cosine_scatters_near_a_radius_of_1(radius, low, high):
    found = cosines(radius, 50, 40)
    assert low < sum(found) / 40 < high
    assert max(found) - min(found) > 0.2


def cosines(radius, n, count):
    """Of NPG(5, 0.5) with the exact adjoint, for Gaussian Jacobians of one spectral radius."""
    rng = torch.Generator().manual_seed(n)
    found = []
    for _ in range(count):
        j = torch.randn(n, n, generator=rng).double()
        j *= radius / torch.linalg.eigvals(j).abs().max()
        signal = torch.randn(1, n, generator=rng).double()
        exact = torch.linalg.solve(torch.eye(n).double() - j.T, signal[0])
        affine = lambda w, s=signal, j=j: s + w @ j  # noqa: E731
        phantom = Neumann(5, 0.5).times_inverse(None, signal, affine)
        found.append(torch.cosine_similarity(exact, phantom[0], dim=0).item())
    return found


def test_the_error_of_a_neumann_phantom_gradient_is_its_formula():
    """NPG − exact = −(∂f/∂θ)ᵀ (I − J)⁻ᵀ (Bᵀ)ᵏ ∂L/∂z, for each parameter of the cell."""
    net = network()
    chain, params = chain_of(net)
    stage, k, damping = net[1][0], 3, 0.4
    x = net[0](chain.x).detach()
    z, j = jacobians(stage, x)
    leaf = z.clone().requires_grad_()
    signal = torch.autograd.grad(chain.loss(net[2](leaf)), leaf)[0]
    eye = torch.eye(5).double()
    b = damping * j + (1 - damping) * eye
    left = torch.linalg.matrix_power(b.mT, k) @ signal.unsqueeze(2)
    left = torch.linalg.solve((eye - j).mT, left).squeeze(2)
    names = [n for n in params if n.startswith("1.")]
    weights = list(stage.cell.parameters())
    wanted = torch.autograd.grad(stage.cell(z, x), weights, -left)
    exact = value_and_grad(chain, params)[1]
    npg = ImplicitAdjoint(adjoint="npg", steps=k, damping=damping)
    found = npg.estimate(chain, params, None, stream(0, "estimator")).grads
    assert max(w.abs().max() for w in wanted) > 1e-3
    for name, error in zip(names, wanted, strict=True):
        torch.testing.assert_close(found[name] - exact[name], error, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("k", "damping"), [(1, 0.5), (3, 0.6), (7, 1.0)])
def test_unrolled_and_neumann_phantom_gradients_agree_where_the_jacobian_is_constant(k, damping):
    chain, params = chain_of(network(LinearCell))
    npg, upg = (
        gradient(chain, params, adjoint=name, steps=k, damping=damping) for name in ("npg", "upg")
    )
    torch.testing.assert_close(npg, upg, rtol=0, atol=1e-11)
    exact = flat(value_and_grad(chain, params)[1])
    assert (npg - exact).norm() > 1e-3 * exact.norm()


@pytest.mark.parametrize("cell", [LinearCell, TanhCell])
def test_one_undamped_step_is_jacobian_free(cell):
    """The same operations: bit for bit."""
    chain, params = chain_of(network(cell))
    jfb = gradient(chain, params, adjoint="jfb", steps=4, damping=0.3)
    for name in ("npg", "upg"):
        assert torch.equal(gradient(chain, params, adjoint=name, steps=1, damping=1.0), jfb)


def test_a_jacobian_free_gradient_is_that_of_one_application_at_the_solution():
    net = network()
    chain, params = chain_of(net)
    x = net[0](chain.x)
    z = jacobians(net[1][0], x.detach())[0]
    loss = chain.loss(net[2](net[1][0].cell(z, x)))
    wanted = torch.autograd.grad(loss, list(net.parameters()))
    named = dict(zip(params, wanted, strict=True))
    found = gradient(chain, params, adjoint="jfb")
    torch.testing.assert_close(found, flat(named), rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["npg", "upg"])
def test_damping_scales_a_single_step(name):
    """Behind the head, one damped step is λ times the Jacobian-free gradient."""
    chain, params = chain_of(network(LinearCell))
    half, whole = (
        ImplicitAdjoint(adjoint=name, steps=1, damping=d).estimate(
            chain, params, None, stream(0, "estimator")
        )
        for d in (0.5, 1.0)
    )
    for n in params:
        factor = 1.0 if n.startswith("2.") else 0.5  # the head has its exact gradient
        torch.testing.assert_close(half.grads[n], factor * whole.grads[n], rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["npg", "upg"])
def test_phantom_gradients_approach_the_exact_one_at_the_rate_of_b(name):
    """‖B‖ ≤ 0.7: every further step takes at least 30 % of the error."""
    chain, params = chain_of(network(LinearCell))
    exact = flat(value_and_grad(chain, params)[1])
    errors = [
        (gradient(chain, params, adjoint=name, steps=k, damping=1.0) - exact).norm()
        for k in (4, 8, 16, 80)
    ]
    for before, after, steps in zip(errors, errors[1:], (4, 8, 64), strict=False):
        assert after <= 1.2 * 0.7**steps * before + 1e-11


@pytest.mark.parametrize("solver", [FixedPoint(), Anderson()])
@pytest.mark.parametrize("damping", [0.5, 1.0])
def test_full_unrolling_is_the_exact_gradient(solver, damping):
    chain, params = chain_of(network(solver=solver))
    found = gradient(chain, params, adjoint="unrolled", damping=damping)
    torch.testing.assert_close(found, flat(value_and_grad(chain, params)[1]), rtol=0, atol=1e-8)


# --- around other estimators ---


@pytest.mark.parametrize("estimator", SETTINGS, ids=str)
def test_forward_mode_is_the_transpose_of_reverse_mode(estimator):
    chain, params = chain_of(network())
    v = direction(params)
    with differentiating_by(estimator._through):
        reverse = dot(value_and_grad(chain, params)[1], v)
        forward = push_forward(chain, params, list(v.values()))[1].item()
    assert forward == pytest.approx(reverse, abs=1e-11)


@pytest.mark.parametrize("estimator", SETTINGS, ids=str)
def test_it_leaves_the_network_its_exact_derivative(estimator):
    chain, params = chain_of(network())
    before = flat(value_and_grad(chain, params)[1])
    grads(estimator, chain, params)
    assert torch.equal(flat(value_and_grad(chain, params)[1]), before)


def test_an_error_inside_leaves_it_too():
    chain, params = chain_of(network())
    before = flat(value_and_grad(chain, params)[1])
    with pytest.raises(ValueError, match="no parameter"):
        ImplicitAdjoint(adjoint="jfb").estimate(chain, {"no": params["2.bias"]}, None, None)
    assert torch.equal(flat(value_and_grad(chain, params)[1]), before)


@pytest.mark.parametrize("first", ["upg", "ift"])
def test_what_is_found_out_under_one_adjoint_does_not_bind_another(first):
    """Activity perturbation chooses once for a network how tangents are moved through it."""
    chain, params = chain_of(network(sites=True))
    fields = {"inner": ActivityForwardGradient(tangents=2)}
    gradient(chain, params, adjoint=first, **fields)
    for name in ("jfb", "ift", "upg"):
        fresh, theta = chain_of(network(sites=True))
        found = gradient(chain, params, adjoint=name, **fields)
        torch.testing.assert_close(found, gradient(fresh, theta, adjoint=name, **fields))


@pytest.mark.parametrize("name", ["jfb", "npg", "upg", "ift", "unrolled"])
def test_a_forward_gradient_is_one_of_the_adjoint_s_gradient(name):
    """By its law, which the conformance suite compares with draws."""
    chain, params = chain_of(network())
    estimator = ImplicitAdjoint(adjoint=name, inner=ForwardGradient())
    exact = value_and_grad(chain, params)[1]
    law = estimator.law(chain, params, None, exact)
    wanted = gradient(chain, params, adjoint=name)
    torch.testing.assert_close(flat(law.mean or exact), wanted, rtol=0, atol=1e-8)
    draw = estimator.estimate(chain, params, None, stream(0, "estimator")).grads
    # One draw is (g·v) v with signs v: its product with itself is d (g·v)².
    slope = wanted @ flat(draw)
    torch.testing.assert_close(slope, flat(draw).square().sum() / len(wanted), rtol=1e-8, atol=0)


def test_claims_and_coverage_say_what_is_exact():
    chain, params = chain_of(network())
    for name in ("ift", "unrolled"):
        assert ImplicitAdjoint(adjoint=name).claim(chain) is Claim.EXACT
        inner = ImplicitAdjoint(adjoint=name, inner=ForwardGradient())
        assert inner.claim(chain) is Claim.UNBIASED
    for name in ("upg", "npg", "jfb"):
        estimator = ImplicitAdjoint(adjoint=name)
        assert estimator.claim(chain) is Claim.BIASED
        covered = estimator.coverage(chain, params)
        assert {n for n, c in covered.items() if c == "exact"} == {"2.weight", "2.bias"}
        found = estimator.estimate(chain, params, None, stream(0, "estimator")).grads
        exact = value_and_grad(chain, params)[1]
        torch.testing.assert_close(found["2.weight"], exact["2.weight"], rtol=0, atol=1e-11)


def test_it_reports_the_solves():
    chain, params = chain_of(network())
    rng = stream(0, "estimator")
    info = ImplicitAdjoint(adjoint="ift").estimate(chain, params, None, rng).info
    forward = {
        "not_converged", "not_finite", "forward_iterations", "forward_residual",
        "forward_absolute_residual",
    }  # fmt: skip
    backward = {"backward_iterations", "backward_residual", "backward_absolute_residual"}
    assert set(info) == forward | backward
    assert info["not_converged"] == info["not_finite"] == 0
    assert 0 < info["forward_residual"] <= 2e-14
    assert 0 < info["backward_residual"] <= 2e-14
    stage = chain.module[1][0]
    solved = stage._solve(chain.module[0](chain.x))
    assert info["forward_iterations"] == solved.iterations.max()
    assert info["forward_residual"] == solved.relative.max()
    assert info["forward_absolute_residual"] == solved.absolute.max()
    for name in ("upg", "npg", "jfb", "unrolled"):
        info = ImplicitAdjoint(adjoint=name).estimate(chain, params, None, rng).info
        assert set(info) == forward


def test_an_inner_estimator_s_reports_stay():
    chain, params = chain_of(network())
    estimator = ImplicitAdjoint(inner=MeanOfDraws(inner=ForwardGradient(), draws=3))
    info = estimator.estimate(chain, params, None, stream(0, "estimator")).info
    assert info["forward_iterations"] > 1


@pytest.mark.parametrize("name", ["ift", "upg", "unrolled"])
def test_examples_that_did_not_converge_are_counted(name):
    chain, params = chain_of(network(solver=FixedPoint(limit=3), linear_solver=Anderson()))
    info = ImplicitAdjoint(adjoint=name).estimate(chain, params, None, None).info
    assert (info["not_converged"], info["not_finite"]) == (6, 0)
    assert info["forward_residual"] > 1e-3
    assert info["forward_iterations"] == 3


def test_a_solve_that_breaks_is_counted_and_its_loss_is_not_hidden():
    chain, params = chain_of(network())
    params["1.0.cell.recurrent.weight"][0, 0] = torch.nan
    found = ImplicitAdjoint().estimate(chain, params, None, None)
    assert found.info["not_converged"] == found.info["not_finite"] == 6
    assert found.info["forward_iterations"] == 1
    assert found.loss.isnan()


@pytest.mark.parametrize("inner", [Backprop(), LocalLosses(), DirectFeedbackAlignment()])
def test_a_network_without_an_equilibrium_is_refused(inner):
    case = cases()[0]
    words = r"one equilibrium stage; this one has none: put an Equilibrium\(cell\) into it"
    with pytest.raises(UnsupportedError, match=words):
        require(ImplicitAdjoint(inner=inner), case.chain, case.params)
    with pytest.raises(UnsupportedError, match="differentiates equilibria, and this network has"):
        ImplicitAdjoint(inner=inner).coverage(case.chain, case.params)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "steps is 0; it must be a whole number, at least 1"),
        ({"steps": 2.5}, "steps is 2.5; it must be a whole number, at least 1"),
        ({"damping": 0.0}, "damping is 0.0; it must be a number above 0 and at most 1"),
        ({"damping": 1.5}, "damping is 1.5; it must be a number above 0 and at most 1"),
        ({"damping": "1"}, "damping is '1'; it must be a number above 0 and at most 1"),
        (
            {"adjoint": "shine"},
            "adjoint is 'shine'; it must be one of upg, npg, jfb, ift, unrolled",
        ),
    ],
)
def test_fields_out_of_bounds_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ImplicitAdjoint(**fields)


def test_declared_passes_follow_the_steps():
    chain: Chain = chain_of(network())[0]
    whole = Backprop().cost(chain)
    assert ImplicitAdjoint(adjoint="ift").cost(chain) == whole
    jfb, npg, upg = (
        ImplicitAdjoint(adjoint=name).cost(chain).forward_equivalents
        for name in ("jfb", "npg", "upg")
    )
    assert jfb < npg < upg < whole.forward_equivalents
