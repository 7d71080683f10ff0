"""Laws of noise on activities against every value of it, against draws, and where there is none."""

import math

import pytest
import torch
from torch import nn

from estimators import ActivityForwardGradient, Chain, NodePerturbation, Site, label, stream
from estimators.autodiff.calculus import value_and_grad
from estimators.autodiff.perturbed_pass import perturb
from estimators.conformance.laws import worst
from estimators.core.contract import Law
from estimators.perturbation._activities import law as activity_laws
from estimators.perturbation._activities.law import activity_law
from estimators.perturbation._activities.noise_sharing import NoiseSharing
from tests.estimators.every_noise import assert_is, grid, moments

# --- activities: every value of the noise, pulled back by the estimator's own pass ---


def network(*layers, shape, batch=2, classes=2, **chain):
    module = nn.Sequential(*layers).double()
    rng = stream(0, "init")
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=rng, dtype=p.dtype))
    x = torch.randn(batch, *shape, generator=rng, dtype=torch.float64)
    y = torch.randint(classes, (batch,), generator=rng)
    return Chain(module, x, y, **chain), {n: p.detach() for n, p in module.named_parameters()}


def dense(**chain):
    layers = nn.Linear(3, 2), Site(("unit",)), nn.Tanh(), nn.Linear(2, 2), Site(("unit",))
    return network(*layers, nn.Tanh(), nn.Linear(2, 2), shape=(3,), **chain)


def convolution(**chain):
    conv = nn.Conv1d(1, 2, 2, bias=True)
    layers = conv, Site(("channel", "length")), nn.Tanh(), nn.Flatten(), nn.Linear(4, 2)
    return network(*layers, shape=(1, 3), **chain)


def patches(**chain):
    layers = nn.Linear(3, 2), Site(("patch", "channel")), nn.Tanh(), nn.Flatten(), nn.Linear(4, 2)
    return network(*layers, shape=(2, 3), **chain)


def dense_relu(**chain):
    layers = nn.Linear(3, 2), Site(), nn.ReLU(), nn.Linear(2, 3), Site(), nn.Hardtanh(-0.5, 0.5)
    return network(*layers, nn.Linear(3, 2), shape=(3,), **chain)


def convolution_relu(**chain):
    layers = nn.Conv1d(1, 2, 2), Site(), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4, 2)
    return network(*layers, shape=(1, 3), **chain)


def one_number(output, y):
    """Examples coupled: the error of the mean output."""
    return (output.mean(0) - output.std(0)).square().sum()


SHARINGS = [
    (dense, NoiseSharing("rademacher", False, ""), {}),
    (dense, NoiseSharing("normal", True, ""), {}),
    (convolution, NoiseSharing("rademacher", False, ""), {}),
    (convolution, NoiseSharing("rademacher", True, ""), {}),
    (convolution, NoiseSharing("normal", True, ""), {}),
    (convolution, NoiseSharing("normal", False, "channel"), {}),
    (convolution, NoiseSharing("rademacher", False, "length"), {}),
    (convolution, NoiseSharing("rademacher", True, "length"), {}),
    (patches, NoiseSharing("normal", True, "channel"), {}),
    (patches, NoiseSharing("normal", False, "patch"), {}),
    (dense_relu, NoiseSharing("rademacher", False, "", True), {}),
    (dense_relu, NoiseSharing("normal", True, "", True), {}),
    (convolution_relu, NoiseSharing("rademacher", False, "", True), {}),
    (convolution_relu, NoiseSharing("rademacher", True, "", True), {}),
    (convolution_relu, NoiseSharing("normal", True, "", True), {}),
    (
        convolution_relu,
        NoiseSharing("rademacher", False, "", True),
        {"losses": one_number, "separable": False},
    ),
    (
        convolution,
        NoiseSharing("rademacher", False, ""),
        {"losses": one_number, "separable": False},
    ),
    (convolution, NoiseSharing("normal", True, ""), {"losses": one_number, "separable": False}),
    (
        convolution,
        NoiseSharing("normal", False, "length"),
        {"losses": one_number, "separable": False},
    ),
]


@pytest.mark.parametrize(("make", "sharing", "chain"), SHARINGS)
def test_every_noise_on_activities(make, sharing, chain):
    chain, params = make(**chain)
    shapes = [(1 if sharing.batch else 2, *sharing._shape(place)) for place in chain.places]
    sizes = [math.prod(shape) for shape in shapes]
    values, w = grid(sum(sizes), sharing.kind)
    found = {n: [] for n in params}
    active = sharing.active(chain)
    assert sharing.masked == any(active)

    def masked(u, site, z):
        return u if active[site] is None else u * active[site](z)

    for v in values:
        us = [u.view(shape) for u, shape in zip(v.split(sizes), shapes, strict=True)]
        one = perturb(chain, params, lambda site, z, us=us: masked(us[site], site, z))
        for n, g in one.pull_back(sharing.signals(chain, one)).items():
            found[n].append(g)
    exact = value_and_grad(chain, params)[1]
    law = activity_law(chain, params, exact, sharing, 1)
    spread, mean = moments({n: torch.stack(g) for n, g in found.items()}, w)
    assert_is(law, spread, mean, exact)


# --- draws ---


def assert_lawful(estimator, chain, params, count):
    """The draws are the law's within 5 standard errors, and enough to tell it from its half."""
    state = estimator.init(chain, params, stream(3, "estimator"))
    exact = value_and_grad(chain, params)[1]
    law = estimator.law(chain, params, state, exact)
    rng = stream(7, "probe")
    found = [estimator.estimate(chain, params, state, rng).grads for _ in range(count)]
    draws = torch.stack([torch.cat([g[n].flatten() for n in params]) for g in found])
    off = worst(law, exact, draws)
    assert off.off <= 5, off
    halved = Law({n: v / 2 for n, v in law.variance.items()}, law.mean, law.note)
    assert worst(halved, exact, draws).off > 5, "too few draws to tell"
    return law


def grouped(kind=nn.Conv2d):
    conv = kind(4, 4, 3, padding="same", padding_mode="circular", groups=2, dilation=2)
    shape = (4, 5, 5) if kind is nn.Conv2d else (4, 6)
    layers = conv, Site(), nn.Tanh(), nn.Flatten(), nn.Linear(4 * math.prod(shape[1:]), 3)
    return network(*layers, shape=shape, batch=5, classes=3)


def strided():
    layers = nn.Conv2d(2, 3, 3, 2, 1), Site(), nn.ReLU(), nn.Conv2d(3, 2, (1, 2)), Site(), nn.Tanh()
    return network(*layers, nn.Flatten(), nn.Linear(18, 4), shape=(2, 6, 7), batch=3, classes=4)


def wide():
    return network(nn.Linear(2, 12), Site(), nn.ReLU(), nn.Linear(12, 3), shape=(2,), batch=9)


def deep():
    layers = [m for _ in range(4) for m in (nn.Linear(3, 3), Site(), nn.Tanh())]
    return network(*layers, nn.Linear(3, 3), shape=(3,), batch=6, classes=3)


SHAPES = {f.__name__: f for f in (grouped, strided, wide, deep)}
ON_ACTIVITIES = [
    ActivityForwardGradient(noise="normal"),
    ActivityForwardGradient(tangents=3),
    ActivityForwardGradient(sharing="batch"),
    ActivityForwardGradient(sharing="batch", noise="normal", tangents=2),
    NodePerturbation(noise="normal"),
]


@pytest.mark.parametrize("estimator", ON_ACTIVITIES, ids=label)
@pytest.mark.parametrize("shape", SHAPES)
def test_noise_on_activities_of_every_shape(shape, estimator):
    chain, params = SHAPES[shape]()
    assert set(assert_lawful(estimator, chain, params, 300).variance) == set(params)


def test_noise_on_a_convolution_in_one_dimension_with_groups():
    estimator = ActivityForwardGradient(sharing="batch")
    assert_lawful(estimator, *grouped(nn.Conv1d), 300)


# --- where there is none ---


def tied():
    middle = nn.Linear(3, 3)
    layers = middle, Site(), nn.Tanh(), middle, Site(), nn.Tanh(), nn.Linear(3, 2)
    return network(*layers, shape=(3,))


class Around(nn.Module):
    """Part of the output goes round the site."""

    def __init__(self):
        super().__init__()
        self.linear, self.site = nn.Linear(3, 3), Site()

    def forward(self, x):
        z = self.linear(x)
        return self.site(z) + z.tanh()


@pytest.mark.parametrize(
    "made", [tied(), network(Around(), nn.Linear(3, 2), shape=(3,))], ids=["tied", "around"]
)
def test_a_map_that_does_more_than_end_in_one_site_has_no_law(made):
    chain, params = made
    exact = value_and_grad(chain, params)[1]
    law = ActivityForwardGradient().law(chain, params, None, exact)
    assert [n for n, v in law.variance.items() if v] == []
    assert len(law.variance) < len(params)


def test_no_law_of_losses_with_units_or_coupled_ones():
    estimator, (chain, params) = ActivityForwardGradient(), dense()
    exact = value_and_grad(chain, params)[1]
    coupled = Chain(chain.module, chain.x, chain.y, separable=False)
    assert estimator.law(coupled, params, None, exact) is None
    views = Chain(chain.module, chain.x, chain.y, views=2)
    assert estimator.law(views, params, None, exact) is None


def test_a_map_too_large_for_pairs_of_positions_has_no_law(monkeypatch):
    monkeypatch.setattr(
        activity_laws, "MAX_PAIR_NUMBERS", 30
    )  # the image's first map has 9 ⋅ 9 pairs
    chain, params = strided()
    exact = value_and_grad(chain, params)[1]
    law = ActivityForwardGradient(sharing="batch").law(chain, params, None, exact)
    assert set(params) - set(law.variance) == {"0.weight", "0.bias", "3.weight", "3.bias"}
    whole = ActivityForwardGradient().law(chain, params, None, exact)
    assert set(whole.variance) == set(params)


def test_an_in_place_non_linearity_changes_no_law():
    def law(inplace):
        chain, params = network(
            nn.Linear(4, 6), Site(), nn.ReLU(inplace=inplace), nn.Linear(6, 3), shape=(4,)
        )
        exact = value_and_grad(chain, params)[1]
        return ActivityForwardGradient().law(chain, params, None, exact).variance

    assert law(True) == pytest.approx(law(False))
