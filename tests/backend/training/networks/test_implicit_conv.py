"""The implicit convolutional network: its sizes and weights, its derivatives, runs on it."""

import pytest
import torch
from torch import nn

from backend.training.loop import train
from backend.training.networks.implicit_conv import ImplicitConv, gain
from estimators import (
    FDFA,
    ActivityForwardGradient,
    Backprop,
    Chain,
    DirectFeedbackAlignment,
    ForwardGradient,
    ImplicitAdjoint,
    LocalLosses,
    stream,
)
from estimators.autodiff.calculus import push_forward, value_and_grad
from estimators.measurement.inputs.examination import examined
from tests.backend.training.descent import loss_falls

SHAPE = (1, 6, 6)
KERNEL = "equilibrium.layer.cell.recurrent.weight"


def built(shape=SHAPE, **fields):
    return ImplicitConv(**{"channels": 4, **fields}).build(shape, 3, stream(0, "init"))


def on_images(**fields):
    module = built(**fields).double()
    x = torch.randn(4, *SHAPE, generator=stream(1, "data"), dtype=torch.float64)
    chain = Chain(module, x, torch.arange(4) % 3)
    return chain, {n: p.detach().clone() for n, p in module.named_parameters()}


def test_its_stages_sites_and_parameters():
    chain, params = on_images()
    assert chain.stages == ("input", "equilibrium", "head")
    assert [p.shape for p in chain.places] == [(4, 3, 3), (4, 3, 3)]
    count = sum(p.numel() for p in params.values())
    assert count == 4 * 9 + 4 + 4 * 4 * 9 + 2 * 4 + 4 * 4 * 3 + 3
    assert ImplicitConv(channels=4).count(SHAPE, 3) == count
    with pytest.raises(ValueError, match="an implicit_conv needs images"):
        ImplicitConv().count((5,), 3)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.2])
def test_the_recurrent_convolution_begins_with_the_gain_asked_for(scale):
    kernel = built(scale=scale).get_parameter(KERNEL)
    assert gain(kernel).item() == pytest.approx(scale, abs=1e-5)


def test_the_gain_is_that_of_the_dense_map_of_a_periodic_image():
    kernel = torch.randn(2, 3, 3, 3, generator=torch.Generator().manual_seed(0)).double()
    eye = torch.eye(3 * 64).double().view(-1, 3, 8, 8)
    padded = nn.functional.pad(eye, (1, 1, 1, 1), mode="circular")
    dense = nn.functional.conv2d(padded, kernel).flatten(1)
    torch.testing.assert_close(gain(kernel), torch.linalg.matrix_norm(dense, 2))


@pytest.mark.parametrize("solver", ["anderson", "broyden", "fixed_point"])
def test_both_modes_agree_on_it_and_it_passes_the_examination(solver):
    chain, params = on_images(solver=solver, activation="tanh")
    exact = value_and_grad(chain, params)[1]
    rng = stream(2, "estimator")
    v = {n: torch.randn(p.shape, generator=rng, dtype=p.dtype) for n, p in params.items()}
    slope = push_forward(chain, params, list(v.values()))[1]
    torch.testing.assert_close(slope, sum((exact[n] * v[n]).sum() for n in v), rtol=1e-9, atol=0)
    assert not examined(chain, params, {"forward": ForwardGradient()}).notices


@pytest.mark.parametrize(
    "estimator",
    [
        ForwardGradient(),
        ActivityForwardGradient(tangents=2),
        FDFA(),
        DirectFeedbackAlignment(),
        LocalLosses(Backprop()),
        LocalLosses(ActivityForwardGradient()),
        ImplicitAdjoint(inner=ActivityForwardGradient()),
    ],
    ids=str,
)
def test_estimators_work_through_it(estimator):
    """Thirty small steps, each tensor's of one length, lower the loss."""
    assert loss_falls(estimator, *on_images(activation="tanh"), steps=30, length=0.03)


def test_a_short_run_trains_and_shows_how_well_its_phantom_gradient_points(config, gather):
    run = config(
        dataset={"name": "digits"},
        network={"name": "implicit_conv", "channels": 8, "activation": "tanh"},
        estimator={"name": "implicit_adjoint"},
        shadows=[{"name": "implicit_adjoint", "adjoint": "ift"}],
        optimizer={"name": "sgd", "lr": 0.05, "momentum": 0.5},
        probe={"every": 20, "draws": 2},
        batch_size=32,
        steps=24,
    )
    result = gather(train(run))
    assert result.ended.status == "finished", result.ended
    losses = list(result.of("train/loss").values())
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    driver, exact = result.facts.labels["driver"], *result.facts.labels["shadows"]
    cosines = list(result.of("cosine", "", driver).values())
    assert cosines[0] > 0.98  # the gain is 0.5 before the first step, and grows
    assert min(cosines) > 0.5
    assert min(result.of("cosine", "", exact).values()) > 0.9999
    iterations = list(result.of("estimator/forward_iterations", "", driver).values())
    assert max(iterations) < 200  # all solves converge, in more and more iterations
    assert iterations[-1] > iterations[0]
    assert max(result.of("estimator/not_converged", "", driver).values()) == 0
