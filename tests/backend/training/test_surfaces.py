"""Surfaces: a loss of a few numbers alone, and the path of the weights on it."""

import pytest
import torch

from backend.catalogue.validation import validate
from backend.surfaces import SURFACES, value
from backend.training.datasets.surface import Surface
from backend.training.loop import train
from backend.training.networks.point import Point
from estimators import Chain, ForwardGradient, stream
from estimators.autodiff.calculus import push_forward, value_and_grad

ALL = [
    Surface(),
    Surface("beale"),
    Surface("quadratic"),
    Surface("quadratic", dimension=7, condition=1000),
]
each = pytest.mark.parametrize("surface", ALL, ids=lambda s: f"{s.function}{s.dimension}")


def chain_on(surface):
    module = Point().build(surface.shape, surface.classes, stream(0, "init")).double()
    part = surface.load(0).train
    x, y = part.x, part.y
    chain = Chain(module, x[:3].double(), y[:3], surface.losses)
    return chain, {n: p.detach() for n, p in module.named_parameters()}


@each
def test_the_loss_is_the_height_at_the_start_whatever_the_batch(surface):
    chain, params = chain_on(surface)
    start = SURFACES[surface.function].start
    if surface.dimension == 2:
        wanted = value(surface.function, *start, surface.condition)
        assert chain(params).item() == pytest.approx(wanted)
    x, y = surface.load(1).test.first(3).take(torch.arange(3))
    assert chain.on(x.double(), y)(params).item() == pytest.approx(chain(params).item())
    assert chain.separable


@each
def test_the_minimum_is_zero_and_flat(surface):
    chain, _ = chain_on(surface)
    first, rest = SURFACES[surface.function].minimum
    goal = torch.tensor([first, *[rest] * (surface.dimension - 1)], dtype=torch.float64)
    at = {"point.theta": goal - chain.x[0]}
    loss, grads = value_and_grad(chain, at)
    assert abs(loss.item()) < 1e-9
    assert grads["point.theta"].abs().max() < 1e-5


@each
def test_forward_and_reverse_mode_agree(surface):
    chain, params = chain_on(surface)
    v = torch.randn(surface.dimension, dtype=torch.float64, generator=stream(0, "estimator"))
    _, slope = push_forward(chain, params, [v])
    exact = value_and_grad(chain, params)[1]["point.theta"]
    torch.testing.assert_close(slope, exact @ v)


def test_rosenbrocks_and_beales_gradients_are_the_books():
    chain, params = chain_on(Surface())
    a, b = chain.x[0]
    wanted = torch.stack([-2 * (1 - a) - 400 * a * (b - a**2), 200 * (b - a**2)])
    torch.testing.assert_close(value_and_grad(chain, params)[1]["point.theta"], wanted)
    chain, params = chain_on(Surface("beale"))
    a, b = chain.x[0] + 0.3
    at = {"point.theta": torch.full((2,), 0.3, dtype=torch.float64)}
    c = (1.5, 2.25, 2.625)
    r = [c[i] - a + a * b ** (i + 1) for i in range(3)]
    wanted = torch.stack(
        [
            sum(2 * r[i] * (b ** (i + 1) - 1) for i in range(3)),
            sum(2 * r[i] * (i + 1) * a * b**i for i in range(3)),
        ]
    )
    torch.testing.assert_close(value_and_grad(chain, at)[1]["point.theta"], wanted)


def test_a_quadratic_is_as_ill_conditioned_as_it_was_asked_to_be():
    chain, params = chain_on(Surface("quadratic", dimension=7, condition=1000))
    hessian = torch.autograd.functional.hessian(
        lambda t: chain({"point.theta": t}), params["point.theta"]
    )
    found = torch.linalg.eigvalsh(hessian)
    assert (found[-1] / found[0]).item() == pytest.approx(1000, rel=1e-4)


def run_config(config, **changes):
    base = {
        "dataset": {"name": "surface"},
        "network": {"name": "point"},
        "optimizer": {"name": "sgd", "lr": 1e-3},
        "steps": 50,
    }
    return config(**{**base, **changes})


def test_a_run_tells_where_it_was(config, gather):
    found = gather(train(run_config(config)))
    assert found.ended.status == "finished"
    x0, x1 = found.of("path/x0"), found.of("path/x1")
    assert list(x0) == list(x1) == list(range(51))
    assert (x0[0], x1[0]) == pytest.approx((-1.2, 1.0))
    losses = found.of("train/loss")
    for step in (0, 10, 49):
        assert losses[step] == pytest.approx(value("rosenbrock", x0[step], x1[step], 1), rel=1e-4)
    assert losses[49] < losses[0]
    metrics = {metric for metric, _, _ in found.points}
    assert {"validation/loss", "test/loss"} <= metrics
    assert not any("accuracy" in metric for metric in metrics)


@pytest.mark.parametrize("name", ["spsa", "forward_gradient", "backprop"])
def test_estimators_that_need_only_a_loss_serve_it(config, gather, name):
    found = gather(train(run_config(config, estimator={"name": name}, steps=5)))
    assert found.ended.status == "finished"


def test_other_runs_have_no_path(config, gather):
    assert not any(m.startswith("path/") for m, _, _ in gather(train(config(steps=3))).points)


@pytest.mark.parametrize(
    ("changes", "loc", "said"),
    [
        (
            {"dataset": {"name": "surface", "dimension": 3}},
            ["dataset", "dimension"],
            "only a quadratic",
        ),
        ({"dataset": {"name": "digits"}}, ["network"], "surface"),
        ({"estimator": {"name": "direct_feedback_alignment"}}, ["estimator", "name"], "stages"),
        ({"estimator": {"name": "activity_forward_gradient"}}, ["estimator", "name"], "Site()"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(config, changes, loc, said):
    (error,) = validate(run_config(config, **changes).model_dump())["errors"]
    assert error["loc"] == loc
    assert said in error["msg"]


def test_an_mlp_on_a_surface_is_trained_without_a_path(config, gather):
    found = gather(train(run_config(config, network={"name": "mlp", "width": 4}, steps=3)))
    assert found.ended.status == "finished"
    assert not any(metric.startswith("path/") for metric, _, _ in found.points)


def test_the_forward_gradient_has_its_textbook_variance_there():
    chain, params = chain_on(Surface())
    g = value_and_grad(chain, params)[1]["point.theta"]
    rng = stream(0, "estimator")
    estimator = ForwardGradient(noise="normal")
    found = [estimator.estimate(chain, params, None, rng).grads["point.theta"] for _ in range(1000)]
    error = (torch.stack(found) - g).square().sum(1).mean() / g.square().sum()
    assert error.item() == pytest.approx(3, rel=0.25)  # d + 1
