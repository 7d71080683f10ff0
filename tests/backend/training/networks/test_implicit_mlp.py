"""The implicit MLP: its sizes and weights, runs on it, and what works through its equilibrium."""

import math
from typing import get_args

import pytest
import torch

from backend.catalogue import catalogue, validate
from backend.training.loop import train
from backend.training.networks.implicit_mlp import ImplicitMLP
from backend.training.networks.implicit_network import SolverName
from estimators import (
    FDFA,
    ActivityForwardGradient,
    Backprop,
    Broyden,
    Chain,
    DirectFeedbackAlignment,
    ForwardGradient,
    GuessAndTarget,
    ImplicitAdjoint,
    LocalLosses,
    NodePerturbation,
    UnsupportedError,
    stream,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.implicit.equilibrium import SOLVERS
from estimators.measurement.inputs.examination import examined
from estimators.statistics import adjoint_grid
from tests.backend.training.descent import loss_falls
from tests.backend.training.stopping import stop_at

SMALL = {"name": "implicit_mlp", "width": 12}
DRIVER = {"name": "implicit_adjoint", "adjoint": "upg", "steps": 4, "damping": 0.6}
SHADOWS = [
    {"name": "implicit_adjoint", "adjoint": "ift"},
    {"name": "implicit_adjoint", "adjoint": "jfb"},
    {"name": "implicit_adjoint", "adjoint": "npg", "inner": {"name": "forward_gradient"}},
    {"name": "activity_forward_gradient"},
]


def built(shape=(2,), classes=3, **fields):
    return ImplicitMLP(**{"width": 12, **fields}).build(shape, classes, stream(0, "init"))


def test_its_stages_sites_and_parameters():
    module = built((1, 8, 8), 10)
    assert list(module._modules) == ["input", "equilibrium", "head"]
    chain = Chain(module, torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64))
    assert [p.name for p in chain.places] == ["input.site", "equilibrium.site"]
    assert [p.shape for p in chain.places] == [(12,), (12,)]
    assert [p.name for p in chain.boundaries] == ["input", "equilibrium"]
    assert ImplicitMLP(width=12).count((1, 8, 8), 10) == (64 + 1) * 12 + 12 * 12 + (12 + 1) * 10


@pytest.mark.parametrize("scale", [0.0, 0.5, 0.9])
def test_the_recurrent_weights_begin_with_the_spectral_norm_asked_for(scale):
    weight = built(scale=scale).get_parameter("equilibrium.layer.cell.recurrent.weight")
    norm = torch.linalg.matrix_norm(weight, 2).item()
    assert norm == pytest.approx(scale, abs=1e-5)
    again = built(scale=scale).get_parameter("equilibrium.layer.cell.recurrent.weight")
    assert torch.equal(weight, again)


@pytest.mark.parametrize("solver", ["anderson", "broyden", "fixed_point"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_every_solver_reaches_the_same_equilibrium(solver, activation):
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()
    module = built(solver=solver, activation=activation).double()
    layer = module.equilibrium.layer
    injected = module.input(x)
    z = layer(injected)
    torch.testing.assert_close(layer.cell(z, injected), z, rtol=0, atol=1e-12)
    reference = built(activation=activation).double()
    torch.testing.assert_close(z, reference.equilibrium(reference.input(x)), rtol=0, atol=1e-11)


def test_the_solver_takes_the_fields():
    layer = built(
        solver="broyden", tolerance=1e-3, linear_tolerance=1e-2, limit=7
    ).equilibrium.layer
    assert type(layer.solver) is type(layer.linear_solver) is Broyden
    assert (layer.solver.tolerance, layer.solver.limit) == (1e-3, 7)
    assert (layer.linear_solver.tolerance, layer.linear_solver.limit) == (1e-2, 7)


@pytest.mark.parametrize("adjoint", ["upg", "npg", "jfb", "ift", "unrolled"])
def test_a_short_run_trains_with_every_adjoint(adjoint, config, gather):
    run = config(
        network=SMALL,
        estimator={**DRIVER, "adjoint": adjoint},
        shadows=[],
        probe={"budget": 0},
        optimizer={"name": "sgd", "lr": 0.2},
        steps=120,
    )
    result = gather(train(run))
    assert result.ended.status == "finished", result.ended
    losses = result.of("train/loss")
    early, late = (list(losses.values())[part] for part in (slice(5), slice(-5, None)))
    assert sum(late) < 0.75 * sum(early)
    label = result.facts.labels["driver"]
    assert max(result.of("estimator/not_converged", "", label).values()) == 0
    residuals = result.of("estimator/forward_residual", "", label).values()
    assert 0 < max(residuals) <= 1e-5


def test_shadows_with_other_adjoints_are_measured_beside_a_driver(config, gather):
    run = config(
        network=SMALL, estimator=DRIVER, shadows=SHADOWS, probe={"every": 5, "draws": 4}, steps=10
    )
    result = gather(train(run))
    assert result.ended.status == "finished", result.ended
    driver, exact, free, noisy, activities = (
        result.facts.labels["driver"],
        *result.facts.labels["shadows"],
    )
    cosine = {label: result.of("cosine", "", label) for label in (driver, exact, free)}
    assert all(c == pytest.approx(1, abs=1e-4) for c in cosine[exact].values())
    assert all(0.5 < c < 0.99999 for c in cosine[driver].values())
    assert all(0.3 < c < 0.99999 for c in cosine[free].values())
    for label in (noisy, activities):
        assert all(math.isfinite(c) for c in result.of("cosine", "", label).values())


def test_a_resumed_run_is_the_same_run(config, gather, tmp_path):
    run = config(network=SMALL, estimator=DRIVER, shadows=[], probe={"budget": 0}, steps=12)
    whole = gather(train(run))
    stop_at(6, run, tmp_path)
    rest = gather(train(run, checkpoint_dir=tmp_path))
    assert rest.ended.status == "finished", rest.ended
    assert rest.facts.resumed_at == 6
    assert rest.curve(6) == whole.curve(6)


# --- other estimators, through the equilibrium ---


def on_points():
    rng = stream(1, "data")
    module = built().double()
    x = torch.randn(6, 2, generator=rng, dtype=torch.float64)
    chain = Chain(module, x, torch.arange(6) % 3)
    return chain, {n: p.detach().clone() for n, p in module.named_parameters()}


WORKING = {
    "forward gradient": ForwardGradient(),
    "several tangents": ForwardGradient(tangents=3),
    "each example": ForwardGradient(per="example"),
    "activities": ActivityForwardGradient(tangents=2),
    "nodes": NodePerturbation(),
    "fdfa": FDFA(),
    "dfa": DirectFeedbackAlignment(),
    "guesses": GuessAndTarget(),
    "local, activities": LocalLosses(ActivityForwardGradient()),
    "local, backprop": LocalLosses(Backprop()),
    "phantom activities": ImplicitAdjoint(inner=ActivityForwardGradient()),
    "phantom local losses": ImplicitAdjoint(inner=LocalLosses(Backprop())),
}


@pytest.mark.parametrize("name", WORKING)
def test_estimators_work_through_it(name):
    """Fifty small steps, each tensor's of one length, lower the loss."""
    assert loss_falls(WORKING[name], *on_points(), steps=50, length=0.02)


@pytest.mark.parametrize(
    "estimator",
    [
        ForwardGradient(tangents=4),
        ActivityForwardGradient(tangents=4),
        ActivityForwardGradient(tangents=4, masked_noise=False),
    ],
    ids=str,
)
def test_perturbation_through_it_is_unbiased(estimator):
    chain, params = on_points()
    exact = value_and_grad(chain, params)[1]
    rng = stream(2, "estimator")
    draws = [estimator.estimate(chain, params, None, rng).grads for _ in range(40)]
    for n, g in exact.items():
        each = torch.stack([d[n] for d in draws])
        # 240 coordinates, from 40 means of 4 directions each.
        error = 6.5 * each.std(0) / 40**0.5 + 1e-9
        assert ((each.mean(0) - g).abs() <= error).all(), n


def test_it_passes_the_examination_in_single_precision_too():
    chain, _ = on_points()
    single = Chain(chain.module.float(), chain.x.float(), chain.y)
    params = {n: p.detach() for n, p in chain.module.named_parameters()}
    for estimator in (ImplicitAdjoint(), ForwardGradient()):
        assert not examined(single, params, {"it": estimator}).notices


# --- what the lab says of it ---


@pytest.fixture(scope="module")
def greeting():
    return catalogue()["greeting"]


def test_the_catalogue_has_both(greeting):
    found = catalogue()
    (entry,) = (e for e in found["estimators"] if e["name"] == "implicit_adjoint")
    assert (entry["family"], entry["claim"]) == ("Implicit models", "depends")
    assert "equilibrium" in [need["name"] for need in entry["needs"]]
    properties = entry["schema"]["properties"]
    assert (properties["steps"]["minimum"], properties["damping"]["exclusiveMinimum"]) == (1, 0)
    assert properties["damping"]["maximum"] == 1
    (network,) = (e for e in found["networks"] if e["name"] == "implicit_mlp")
    assert network["title"] == "Implicit MLP"
    run = {**greeting, "network": SMALL, "estimator": DRIVER, "shadows": SHADOWS}
    assert not validate(run, [])["errors"]


@pytest.mark.parametrize(
    ("fields", "loc", "message"),
    [
        ({"steps": 0}, "steps", "steps is 0; it must be at least 1"),
        ({"damping": 0}, "damping", "damping is 0; it must be more than 0"),
        ({"damping": 1.2}, "damping", "damping is 1.2; it must be at most 1"),
        ({"adjoint": "shine"}, "adjoint", "adjoint is 'shine'"),
    ],
)
def test_fields_out_of_their_bounds_are_refused(fields, loc, message, greeting):
    run = {**greeting, "network": SMALL, "estimator": {**DRIVER, **fields}, "shadows": []}
    (error,) = validate(run, [])["errors"]
    assert tuple(error["loc"]) == ("estimator", loc)
    assert error["msg"].startswith(message)


def test_forms_and_figures_know_the_same_solvers_by_name():
    assert {*adjoint_grid.SOLVERS} == {*SOLVERS} == {*get_args(SolverName)}


def test_the_catalogue_says_which_networks_have_an_equilibrium():
    networks = {each["name"]: each["has_equilibrium"] for each in catalogue()["networks"]}
    assert {name for name, has in networks.items() if has} == {
        "implicit_conv", "implicit_mlp", "implicit_multiscale",
    }  # fmt: skip
    assert networks["mlp"] is False


def test_a_network_without_an_equilibrium_is_refused_with_one_that_has(greeting):
    run = {**greeting, "estimator": DRIVER, "shadows": []}
    (error,) = validate(run, [])["errors"]
    assert "needs a network with at least one equilibrium stage" in error["msg"]
    assert error["msg"].endswith(
        "networks that serve it by default: implicit_conv, implicit_mlp, implicit_multiscale"
    )


def test_second_derivatives_are_refused_in_words():
    chain, params = on_points()
    leaves = {n: p.requires_grad_() for n, p in params.items()}
    with pytest.raises(UnsupportedError, match="first derivatives alone"):
        torch.autograd.grad(chain(leaves), list(leaves.values()), create_graph=True)
