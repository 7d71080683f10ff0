"""Noise on activations: signs, who shares it, losses of units, and how its estimates scatter."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from estimators import (
    ActivityForwardGradient,
    Chain,
    Claim,
    Site,
    UnsupportedError,
    require,
    stream,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.autodiff.perturbed_pass import perturb
from estimators.core.noise import signs
from estimators.perturbation._activities.noise_sharing import NoiseSharing

B = 6
Y = torch.tensor([0, 1, 2] * 2)
IMAGES = torch.randn(B, 2, 6, 6, generator=stream(0, "data"), dtype=torch.float64)
ROWS = IMAGES.flatten(1)[:, :4].clone()


def test_losses_of_units_have_coefficients_of_their_own():
    """A loss for each patch: a patch's signal has its own loss and noise alone."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 3), Site(("patch", "channel"))).double()
    x = torch.randn(B, 5, 4, generator=stream(1, "data"), dtype=torch.float64)
    chain = Chain(module, x, Y, lambda z, _: z.square().sum(2), loss_units=("patch",))
    params = {n: p.detach() for n, p in module.named_parameters()}
    for count in (1, 2):
        for sharing in (
            NoiseSharing("rademacher", False, ""),
            NoiseSharing("normal", False, "channel"),
        ):
            draw = sharing.draw(chain, count, stream(0, "estimator"))
            found = perturb(chain, params, draw, count)
            (s,) = sharing.signals(chain, found)
            z, u = module(x).detach(), found.noise[0] if count > 1 else found.noise[0][None]
            wanted = ((2 * z * u).sum(-1, keepdim=True) * u).mean(0) / (B * 5)
            torch.testing.assert_close(s, wanted.expand_as(s))


def channels():
    torch.manual_seed(0)
    units = ("channel", "height", "width")
    module = nn.Sequential(
        nn.Conv2d(2, 3, 3), Site(units), nn.Tanh(), nn.Flatten(), nn.Linear(48, 3)
    )
    module.double()
    return Chain(module, IMAGES, Y), {n: p.detach() for n, p in module.named_parameters()}


def test_noise_along_one_axis_gives_the_mean_of_delta_over_the_others():
    chain, params = channels()
    estimator = ActivityForwardGradient(unit="channel")
    assert estimator.claim(chain).name == "BIASED"
    rng = stream(0, "estimator")
    draws = [estimator.estimate(chain, params, None, rng).grads for _ in range(400)]
    exact = value_and_grad(chain, params)[1]
    biases = torch.stack([g["0.bias"] for g in draws])  # a bias sums over the others: unbiased
    error = (biases.mean(0) - exact["0.bias"]).abs()
    assert (error <= 5 * biases.std(0) / 400**0.5).all()
    assert biases.std(0).max() < 5 * exact["0.bias"].abs().max()
    weights = torch.stack([g["0.weight"] for g in draws])
    off = (weights.mean(0) - exact["0.weight"]).abs() / (weights.std(0) / 400**0.5)
    assert off.max() > 10


def test_an_axis_that_no_site_has_is_refused_with_those_there_are():
    chain, params = channels()
    with pytest.raises(UnsupportedError, match=r"no axis|no site.*'patch'.*channel, height, width"):
        require(ActivityForwardGradient(unit="patch"), chain, params)


def test_per_example_coefficients_are_biased_under_batch_normalisation():
    """Each example's loss feels the others' noise, and nobody's coefficient feels its own there."""
    torch.manual_seed(0)
    module = nn.Sequential(
        OrderedDict(a=nn.Linear(4, 5), site=Site(), norm=nn.BatchNorm1d(5), out=nn.Linear(5, 3))
    ).double()
    chain = Chain(module, ROWS, Y)
    params = {n: p.detach() for n, p in module.named_parameters()}
    estimator, rng = ActivityForwardGradient(tangents=16), stream(0, "estimator")
    assert estimator.claim(chain).name == "BIASED"
    exact = value_and_grad(chain, params)[1]["a.weight"]
    draws = torch.stack(
        [estimator.estimate(chain, params, None, rng).grads["a.weight"] for _ in range(300)]
    )
    noise = draws.var(0).sum() / len(draws)
    bias = ((draws.mean(0) - exact).square().sum() - noise).clamp(min=0).sqrt() / exact.norm()
    assert bias > 0.2, bias


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_signs_are_fair_independent_and_repeatable(dtype):
    n = 100_003
    v = signs(n, dtype, torch.device("cpu"), stream(0, "probe"))
    assert v.dtype is dtype
    assert v.shape == (n,)
    assert v.abs().eq(1).all()
    again = signs(n, dtype, torch.device("cpu"), stream(0, "probe"))
    assert torch.equal(v, again)
    v = v.double()
    for lag in (0, 1, 2, 32, 64, 3126, 1563):
        mean = v.mean() if lag == 0 else (v[lag:] * v[:-lag]).mean()
        assert abs(mean) < 5 / n**0.5, lag


def ren(p, q):
    """A population of per-example gradients x δᵀ of one dense layer: (x, δ, V, S)."""
    rng = stream(p, "data", q)
    x = torch.randn(40, p, generator=rng, dtype=torch.float64) + 0.3
    delta = torch.randn(40, q, generator=rng, dtype=torch.float64) + 0.3
    each = torch.einsum("nq,np->nqp", delta, x)
    mean = each.mean(0)
    return x, delta, mean, (each - mean).square().mean().item(), mean.square().mean().item()


@pytest.mark.parametrize(("p", "q", "n"), [(4, 6, 5), (3, 2, 8), (6, 3, 2)])
@pytest.mark.parametrize("sharing", ["none", "batch"])
def test_the_activity_rows_of_table_1_of_ren_et_al(p, q, n, sharing):
    """With batches drawn anew: (q + 2)/N V + (q + 1) S if noise is shared, S/N if it is not."""
    x, delta, mean, v, s = ren(p, q)
    module = nn.Sequential(nn.Linear(p, q, bias=False), Site()).double()
    params = {k: t.detach() for k, t in module.named_parameters()}
    chain = Chain(module, x[:n], delta[:n], lambda z, d: (z * d).sum(1))
    estimator, rng = ActivityForwardGradient(noise="normal", sharing=sharing), stream(n, "probe")
    squares = []
    for _ in range(800):
        rows = torch.randint(len(x), (n,), generator=rng)
        g = estimator.estimate(chain.on(x[rows], delta[rows]), params, None, rng).grads
        squares.append((g["0.weight"] - mean).square().mean())
    found = torch.stack(squares)
    table = (q + 2) / n * v + (q + 1) * s / (1 if sharing == "batch" else n)
    se = found.std() / len(found) ** 0.5
    assert abs(found.mean() - table) <= 5 * se, (found.mean(), table, se)
    assert se < 0.1 * table


@pytest.mark.parametrize("noise", ["rademacher", "normal"])
def test_joint_noise_on_two_convolutions_scatters_as_its_law_says(noise):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(2, 3, 3, stride=2, padding=1), Site(), nn.Tanh(),
        nn.Conv2d(3, 2, 2), Site(), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3),
    ).double()  # fmt: skip
    chain, params = Chain(module, IMAGES, Y), {n: p.detach() for n, p in module.named_parameters()}
    exact, rng = value_and_grad(chain, params)[1], stream(0, "estimator")
    estimator = ActivityForwardGradient(noise=noise)
    law = estimator.law(chain, params, None, exact).variance
    assert {name for name, v in law.items() if v} == {"0.weight", "0.bias", "3.weight", "3.bias"}
    draws = [estimator.estimate(chain, params, None, rng).grads for _ in range(400)]
    for name, value in law.items():
        squares = torch.stack([(g[name] - exact[name]).square().sum() for g in draws])
        assert abs(squares.mean() - value) <= 5 * squares.std() / len(draws) ** 0.5, name


def test_one_site_whose_units_share_noise_is_enough_to_bias():
    module = nn.Sequential(
        nn.Linear(4, 3), nn.Unflatten(1, (3, 1)), Site(("channel", "place")), nn.Tanh(),
        nn.Linear(1, 2), Site(("channel", "place")), nn.Flatten(), nn.Linear(6, 3),
    ).double()  # fmt: skip
    chain = Chain(module, ROWS, Y)
    assert ActivityForwardGradient(unit="channel").claim(chain) is Claim.BIASED
    assert ActivityForwardGradient().claim(chain) is Claim.UNBIASED


def test_the_axes_of_a_loss_may_stand_in_another_order_than_a_site_s():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 2), Site(("group", "patch", "channel"))).double()
    x = torch.randn(B, 2, 3, 2, generator=stream(1, "data"), dtype=torch.float64)
    chain = Chain(
        module, x, Y, lambda z, _: z.square().sum(3).transpose(1, 2), loss_units=("patch", "group")
    )
    params = {n: p.detach() for n, p in module.named_parameters()}
    sharing = NoiseSharing("normal", False, "")
    found = perturb(chain, params, sharing.draw(chain, 1, stream(0, "estimator")))
    (s,), (u,) = sharing.signals(chain, found), found.noise
    wanted = (2 * module(x).detach() * u).sum(-1, keepdim=True) * u / (B * 6)
    torch.testing.assert_close(s, wanted)
