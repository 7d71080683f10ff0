"""Noise is zero on the units whose non-linearity does not move with them, and nowhere else."""

import pytest
import torch
from torch import nn

from estimators import ActivityForwardGradient, Chain, NodePerturbation, Site, label, stream
from estimators.autodiff.calculus import value_and_grad
from estimators.core.names import labels
from estimators.perturbation._activities.inactive_units import active_units


class Ends(nn.Module):
    """A map, a site, and a function of the site's activation."""

    def __init__(self, function):
        super().__init__()
        self.first, self.site, self.function = nn.Linear(4, 6), Site(), function
        self.last = nn.Linear(6, 3)

    def forward(self, x):
        return self.last(self.function(self.site(self.first(x))))


def chain_of(function):
    torch.manual_seed(0)
    module = (function if isinstance(function, nn.Sequential) else Ends(function)).double()
    x, y = torch.randn(8, 4, dtype=torch.float64), torch.randint(3, (8,))
    return Chain(module, x, y), {n: p.detach() for n, p in module.named_parameters()}


def inactive(z):
    return z <= 0


def hidden(z):
    with torch._C.DisableTorchFunction():
        return z.exp()


FOUND = {
    "module": (nn.ReLU(), inactive),
    "in place": (nn.ReLU(inplace=True), inactive),
    "function": (nn.functional.relu, inactive),
    "method": (lambda z: z.relu(), inactive),
    "method in place": (lambda z: z.relu_().mul(2), inactive),
    "shape read": (lambda z: z.view_as(z) if z.shape[0] == 0 else torch.relu(z), inactive),
    "clamp": (lambda z: z.clamp(min=0.1), lambda z: z < 0.1),
    "relu6": (nn.ReLU6(), lambda z: (z <= 0) | (z >= 6)),
    "hardtanh": (nn.Hardtanh(-0.5, 0.25), lambda z: (z <= -0.5) | (z >= 0.25)),
    "softshrink": (nn.Softshrink(0.2), lambda z: z.abs() <= 0.2),
    "threshold": (nn.Threshold(0.3, 1.0), lambda z: z <= 0.3),
}
NONE = {
    "tanh": nn.Tanh(),
    "gelu": nn.GELU(),
    "two readers": lambda z: z.relu() + 0.1 * z,
    "a norm between": lambda z: nn.functional.layer_norm(z, (6,)).relu(),
    "leaky": nn.LeakyReLU(),
    "a reader that is not seen": lambda z: z.relu() + hidden(z),
}


@pytest.mark.parametrize("name", FOUND)
def test_inactive_units_are_found(name):
    function, expected = FOUND[name]
    chain, _ = chain_of(function)
    (active,) = active_units(chain)
    z = torch.randn(8, 6, dtype=torch.float64)
    assert torch.equal(active(z), ~expected(z))


@pytest.mark.parametrize("name", NONE)
def test_where_there_are_none_the_field_changes_no_bit(name):
    chain, params = chain_of(NONE[name])
    assert active_units(chain) == [None]
    with_field, without = (
        ActivityForwardGradient(masked_noise=masked).estimate(
            chain, params, None, stream(0, "estimator")
        )
        for masked in (True, False)
    )
    for n, g in with_field.grads.items():
        assert torch.equal(g, without.grads[n]), n


def test_an_example_s_gradient_has_no_row_of_an_inactive_unit():
    chain, params = chain_of(nn.ReLU())
    single = chain.on(chain.x[:1], chain.y[:1])
    inactive_rows = (chain.module.first(single.x)[0] <= 0).nonzero().flatten().tolist()
    assert inactive_rows
    for made in (ActivityForwardGradient(), NodePerturbation()):
        g = made.estimate(single, params, None, stream(0, "estimator")).grads["first.weight"]
        assert not g[inactive_rows].any()
        assert g.any()


@pytest.mark.parametrize("estimator", [ActivityForwardGradient, NodePerturbation])
def test_the_law_s_variance_falls_and_its_mean_stays(estimator):
    chain, params = chain_of(nn.ReLU())
    exact = value_and_grad(chain, params)[1]
    on, off = (
        estimator(masked_noise=masked).law(chain, params, None, exact) for masked in (True, False)
    )
    assert on.mean is off.mean is None
    assert 0 < on.variance["first.weight"] < 0.8 * off.variance["first.weight"]


def test_noise_shared_by_units_is_not_masked():
    module = nn.Sequential(nn.Conv1d(1, 2, 2), Site(("channel", "length")), nn.ReLU(), nn.Flatten())
    module.append(nn.Linear(6, 3))
    x, y = torch.randn(5, 1, 4), torch.randint(3, (5,))
    chain, params = Chain(module, x, y), dict(module.named_parameters())
    grads = [
        ActivityForwardGradient(unit="channel", masked_noise=masked)
        .estimate(chain, params, None, stream(0, "estimator"))
        .grads
        for masked in (True, False)
    ]
    torch.testing.assert_close(*grads, rtol=0, atol=0)


def test_labels_leave_the_field_out_unless_it_tells_two_estimators_apart():
    on, off = ActivityForwardGradient(), ActivityForwardGradient(masked_noise=False)
    name = "activity_forward_gradient"
    assert label(off) == label(on) == name
    assert labels([off]) == [name]
    assert labels([off, off]) == [name, f"{name} #2"]
    assert labels([on, off]) == [name, f"{name}(masked_noise=False)"]
