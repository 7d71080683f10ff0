"""Channel-directed gradients: the metric that they are the gradient in, and their limits."""

import pytest
import torch
from torch import nn

from estimators import (
    Backprop,
    Chain,
    ChannelDirected,
    Claim,
    DirectFeedbackAlignment,
    ForwardGradient,
    MeanOfDraws,
    Objective,
    UnsupportedError,
    require,
    stream,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases

METRICS = ["sobolev", "reweighted"]
CNN = cases()[1]
EXACT = value_and_grad(CNN.chain, CNN.params)[1]


def estimate(estimator, case=CNN, seed=0):
    state = estimator.init(case.chain, case.params, stream(seed, "init"))
    return estimator.estimate(case.chain, case.params, state, stream(seed, "estimator")).grads


def seminorm(metric, h, k):
    """⟨h, K k⟩ along the first axis, term by term."""
    if metric == "sobolev":
        pairs = zip(h[1:] - h[:-1], k[1:] - k[:-1], strict=True)
    else:
        pairs = zip(h - h.mean(0), k - k.mean(0), strict=True)
    return sum((a * b).sum() for a, b in pairs)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("weight", [0.3, 20.0])
def test_it_is_the_gradient_in_its_metric(metric, weight):
    """⟨ĝ, h⟩ + λ ⟨ĝ, K h⟩ = ⟨∇L, h⟩ for every h: the definition of a gradient in a metric."""
    found = estimate(ChannelDirected(Backprop(), metric=metric, weight=weight))
    for name in ("conv1.0.weight", "conv2.0.weight", "output.1.weight"):
        g = found[name]
        for seed in range(3):
            h = torch.randn(g.shape, dtype=g.dtype, generator=stream(seed, "data"))
            inner = (g * h).sum() + weight * seminorm(metric, g, h)
            torch.testing.assert_close(inner, (EXACT[name] * h).sum(), rtol=1e-11, atol=1e-13)
    for name in ("conv1.0.bias", "conv1.1.weight", "output.1.bias"):
        assert torch.equal(found[name], EXACT[name]), name


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("inner", [Backprop(), ForwardGradient(), DirectFeedbackAlignment()])
def test_without_weight_it_is_the_inner_estimator(metric, inner):
    for weight, tolerance in ((0.0, 0.0), (1e-9, 1e-8)):
        found = estimate(ChannelDirected(inner, metric=metric, weight=weight))
        for name, g in estimate(inner).items():
            torch.testing.assert_close(found[name], g, rtol=0, atol=tolerance * g.abs().max())


@pytest.mark.parametrize("metric", METRICS)
def test_with_all_the_weight_all_channels_have_the_mean(metric):
    found = estimate(ChannelDirected(Backprop(), metric=metric, weight=1e6))
    for name in ("conv2.0.weight", "output.1.weight"):
        mean = EXACT[name].mean(0, keepdim=True).expand_as(found[name])
        torch.testing.assert_close(found[name], mean, rtol=0, atol=1e-5)
        torch.testing.assert_close(found[name].mean(0), EXACT[name].mean(0))


def test_linear_maps_are_left_if_they_are_switched_off():
    found = estimate(ChannelDirected(Backprop(), linear=False))
    assert torch.equal(found["output.1.weight"], EXACT["output.1.weight"])
    assert not torch.allclose(found["conv2.0.weight"], EXACT["conv2.0.weight"])


def test_a_network_without_such_layers_is_refused():
    with pytest.raises(UnsupportedError, match=r"there is no convolution .*: switch `linear` on"):
        require(ChannelDirected(linear=False), cases()[0].chain, cases()[0].params)
    require(ChannelDirected(), cases()[0].chain, cases()[0].params)


def test_the_output_channels_of_a_transposed_convolution_are_its_second_axis():
    module = nn.Sequential(nn.ConvTranspose1d(3, 4, 2), nn.Flatten()).double()
    x = torch.randn(2, 3, 5, dtype=torch.float64, generator=stream(0, "data"))
    chain = Chain(module, x, torch.zeros(2, dtype=torch.int64))
    params = {n: p.detach() for n, p in module.named_parameters()}
    exact = value_and_grad(chain, params)[1]["0.weight"]
    estimator = ChannelDirected(Backprop(), metric="reweighted", weight=1e6)
    found = estimator.estimate(chain, params, None, stream(0, "estimator")).grads["0.weight"]
    mean = exact.mean(1, keepdim=True).expand_as(exact)
    torch.testing.assert_close(found, mean, rtol=0, atol=1e-5)


def test_without_a_network_the_shape_says_what_is_a_layer():
    params = {n: torch.ones(*s, dtype=torch.float64) for n, s in (("k", (2, 2, 3)), ("w", (2, 3)))}
    slope = {
        n: torch.randn(p.shape, dtype=p.dtype, generator=stream(1, "data"))
        for n, p in params.items()
    }
    objective = Objective(lambda p: sum((p[n] * slope[n]).sum() for n in p))
    estimator = ChannelDirected(Backprop(), metric="reweighted", weight=1e6, linear=False)
    found = estimator.estimate(objective, params, None, stream(0, "estimator")).grads
    torch.testing.assert_close(found["k"][0], slope["k"].mean(0), rtol=0, atol=1e-5)
    assert torch.equal(found["w"], slope["w"])


def test_its_claim_is_about_the_gradient_in_its_metric():
    estimator = ChannelDirected(MeanOfDraws(ForwardGradient(), draws=500))
    assert estimator.claim(CNN.chain) is Claim.UNBIASED
    assert ChannelDirected(DirectFeedbackAlignment()).claim(CNN.chain) is Claim.BIASED
    target = estimator.target(CNN.chain, CNN.params, None)
    smoothed = estimate(ChannelDirected(Backprop()))
    for name, g in target.items():
        torch.testing.assert_close(g, smoothed[name])


def test_the_law_leaves_out_the_variance_of_what_is_smoothed():
    law = ChannelDirected(ForwardGradient()).law(CNN.chain, CNN.params, None, EXACT)
    inner = ForwardGradient().law(CNN.chain, CNN.params, None, EXACT)
    assert set(law.variance) == {
        n for n in EXACT if n not in {"conv1.0.weight", "conv2.0.weight", "output.1.weight"}
    }
    assert all(v == inner.variance[n] for n, v in law.variance.items())
    certain = ChannelDirected(Backprop()).law(CNN.chain, CNN.params, None, EXACT)
    assert set(certain.variance) == set(EXACT)


LIMITS = {"ChannelDirected": test_without_weight_it_is_the_inner_estimator}
