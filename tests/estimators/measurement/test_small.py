"""Networks with tensors of one number or of none, and with frozen parts."""

import math

import pytest
import torch
from torch import nn

from estimators import (
    SPSA,
    ActivityForwardGradient,
    Backprop,
    Chain,
    ForwardGradient,
    LocalLosses,
    Site,
    UnsupportedError,
    measure,
    require,
    stream,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.measurement.estimates.theory import law_of

X = torch.randn(6, 3, generator=stream(0, "data"), dtype=torch.float64)
Y = torch.tensor([0, 1] * 3)


class Scaled(nn.Module):
    """One number, and a tensor of none."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.scale, self.none = nn.Parameter(torch.tensor(1.5)), nn.Parameter(torch.zeros(0))

    def forward(self, x):
        return self.linear(x) * self.scale + self.none.sum()


def test_a_tensor_of_one_number_is_measured_and_one_of_none_has_no_gradient():
    torch.manual_seed(0)
    noises = [ForwardGradient(noise=n) for n in ("rademacher", "normal", "sphere")]
    found = measure(
        Scaled().double(), nn.CrossEntropyLoss(), (X, Y), [*noises, SPSA(), Backprop()], draws=16
    )
    for label in found.values:
        assert math.isfinite(found.value("relative_variance", label, "scale"))
        assert math.isfinite(found.value("relative_variance", label))
        assert math.isnan(found.value("cosine", label, "none"))
        assert found.nonfinite[label] == 0
    assert abs(found.value("cosine", "backprop", "scale")) == 1


def frozen():
    """The first stage is held still."""
    torch.manual_seed(0)
    first, second = (nn.Sequential(nn.Linear(3, 3), Site(), nn.Tanh()) for _ in range(2))
    module = nn.Sequential(first, second, nn.Linear(3, 2)).double()
    for p in module[0].parameters():
        p.requires_grad_(False)
    params = {n: p.detach() for n, p in module.named_parameters() if p.requires_grad}
    return Chain(module, X, Y), params


def test_noise_at_a_site_behind_frozen_weights_alone_is_in_the_law():
    """Its own map gets nothing; the others' coefficients feel it."""
    chain, params = frozen()
    estimator, rng = ActivityForwardGradient(), stream(0, "estimator")
    exact = value_and_grad(chain, params)[1]
    said = law_of(estimator, chain, params, None, exact)
    assert said is not None
    draws = [estimator.estimate(chain, params, None, rng).grads for _ in range(800)]
    for name, g in exact.items():
        squares = torch.stack([(one[name] - g).square().sum() for one in draws])
        slack = 5 * squares.std() / len(draws) ** 0.5 + 1e-12
        assert abs(squares.mean() - said.variance[name]) <= slack, name


def test_local_losses_say_that_they_train_every_block():
    chain, params = frozen()
    with pytest.raises(UnsupportedError, match=r"0\.0\.weight is frozen"):
        require(LocalLosses(), chain, params)
