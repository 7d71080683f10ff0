"""One perturbed pass: every engine gives what dual numbers give, draw by draw."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from estimators import (
    ActivityForwardGradient,
    Chain,
    LocalLosses,
    Site,
    stream,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.autodiff.perturbed_engines import (
    DualNumbers,
    OperationByOperation,
    ToLastSite,
    ToLoss,
)
from estimators.autodiff.perturbed_pass import engine_of, perturb
from estimators.conformance import cases
from estimators.perturbation._activities.noise_sharing import NoiseSharing

B = 6
Y = torch.tensor([0, 1, 2] * 2)
IMAGES = torch.randn(B, 2, 6, 6, generator=stream(0, "data"), dtype=torch.float64)
ROWS = IMAGES.flatten(1)[:, :4].clone()


class Residual(nn.Module):
    """A path goes round the site, through functions with and without a rule."""

    def __init__(self):
        super().__init__()
        self.linear, self.site, self.norm = nn.Linear(4, 4), Site(), nn.LayerNorm(4)

    def forward(self, x):
        return x + 0.5 * F.silu(self.site(self.norm(self.linear(x)))).cumsum(1)


class Overwriting(nn.Module):
    """Changes in place what moves: only dual numbers follow."""

    def __init__(self):
        super().__init__()
        self.linear, self.site = nn.Linear(4, 4), Site()

    def forward(self, x):
        z = self.site(self.linear(x))
        z[:, 0] = z[:, 1] * 2
        z += 1
        return z.tanh_()


class Forked(nn.Module):
    """Two sites, in-place non-linearities, tensors that are split, joined and transposed."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.sites = (
            nn.Linear(4, 6),
            nn.Linear(2, 3),
            nn.ModuleList([Site(), Site()]),
        )

    def forward(self, x):
        left, right = F.relu(self.sites[0](self.a(x)), inplace=True).chunk(2, 1)
        h = torch.stack([left, right.sin()], 2).transpose(1, 2).reshape(len(x), 2, 3)
        h = self.sites[1](self.b(h.permute(0, 2, 1)))
        return F.relu(h, inplace=True).mean(1) + left.sum(1, keepdim=True)


class Own(torch.autograd.Function):
    """x², whose derivative is said to be 1: no rule can see that."""

    @staticmethod
    def forward(ctx, x):
        return x**2

    @staticmethod
    def backward(ctx, g):
        return g

    @staticmethod
    def jvp(ctx, t):
        return t.clone()


class Custom(nn.Module):
    def forward(self, x):
        return Own.apply(x)


def convolutions():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.GroupNorm(2, 4), Site(), nn.ReLU(),
        nn.AvgPool2d(2), nn.Conv2d(4, 4, 2, dilation=2, bias=False), Site(), nn.GELU("tanh"),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip


NETWORKS = {
    "dense": (
        lambda: nn.Sequential(
            nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), Site(), nn.ReLU(True)),
            nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 4), Site(), nn.Sigmoid()),
            nn.LayerNorm(4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3),
        ), ROWS, OperationByOperation),
    "convolutions": (convolutions, IMAGES, OperationByOperation),
    "an operation without a rule": (
        lambda: nn.Sequential(*[nn.Softsign() if isinstance(m, nn.GELU) else m
                                for m in convolutions()]), IMAGES, ToLastSite),
    "max-pool": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 3), Site(), nn.MaxPool2d(2), nn.ELU(), nn.Conv2d(3, 2, 1), Site(),
            nn.Flatten(), nn.Linear(8, 3)), IMAGES, OperationByOperation),
    "residual": (
        lambda: nn.Sequential(nn.Linear(4, 4), Site(), nn.ReLU(), Residual(), nn.Linear(4, 3)),
        ROWS, ToLoss),
    "forked": (Forked, ROWS, ToLoss),
    "overwriting": (lambda: nn.Sequential(Overwriting(), nn.Linear(4, 3)), ROWS, DualNumbers),
    "its own derivative": (
        lambda: nn.Sequential(nn.Linear(4, 4), Site(), Custom(), nn.Linear(4, 3), Site()),
        ROWS, DualNumbers),
    "site at the end": (lambda: nn.Sequential(nn.Linear(4, 3), Site()), ROWS, OperationByOperation),
}  # fmt: skip
each_network = pytest.mark.parametrize("name", NETWORKS)


def made(name):
    make, x, _ = NETWORKS[name]
    torch.manual_seed(0)
    module = make().double()
    with torch.no_grad():
        for p in module.parameters():  # gains and shifts of norms too
            p.add_(torch.randn_like(p), alpha=0.3)
    return Chain(module, x, Y), {n: p.detach() for n, p in module.named_parameters()}


def estimate(route, chain, params, count, sharing):
    found = route(chain, params, sharing.draw(chain, count, stream(0, "estimator")), count)
    return found.loss, found.coefficients, found.pull_back(sharing.signals(chain, found))


@each_network
@pytest.mark.parametrize(
    "sharing", [NoiseSharing("rademacher", False, ""), NoiseSharing("normal", True, "")]
)
@pytest.mark.parametrize("count", [1, 3])
def test_every_way_is_that_of_dual_numbers(name, sharing, count):
    chain, params = made(name)
    found = estimate(perturb, chain, params, count, sharing)
    wanted = estimate(DualNumbers().run, chain, params, count, sharing)
    torch.testing.assert_close(found, wanted)
    assert type(engine_of(chain, params)) is NETWORKS[name][2]


@each_network
def test_true_signals_pull_back_to_the_true_gradient(name):
    """With δ itself as the signal, each way gives the gradient."""
    chain, params = made(name)
    sites = []
    leaves = {n: p.clone().requires_grad_() for n, p in params.items()}

    def keep(_, z):
        sites.append(z)
        return z.clone()

    delta = torch.autograd.grad(chain.losses(chain.forward(leaves, at_site=keep)).mean(), sites)
    found = perturb(chain, params, lambda _, z: torch.ones_like(z))
    torch.testing.assert_close(found.pull_back(delta), value_and_grad(chain, params)[1])


def test_a_hook_or_fewer_parameters_find_another_way():
    chain, params = made("dense")
    sharing, seen = NoiseSharing("rademacher", False, ""), []
    before = estimate(perturb, chain, params, 1, sharing)
    handle = chain.module[0][0].register_forward_hook(lambda *_: seen.append(1))
    torch.testing.assert_close(estimate(perturb, chain, params, 1, sharing), before)
    assert seen
    handle.remove()
    some = {n: p for n, p in params.items() if n.startswith("1.")}
    found = estimate(perturb, chain, some, 1, sharing)[2]
    torch.testing.assert_close(found, {n: before[2][n] for n in some})


def test_an_estimate_of_many_tangents_is_the_mean_over_passes(monkeypatch):
    from estimators.perturbation import activity_forward_gradient as module

    case = cases()[0]
    monkeypatch.setattr(module, "TANGENTS_PER_PASS", 2)
    found = ActivityForwardGradient(tangents=5).estimate(
        case.chain, case.params, None, stream(0, "estimator")
    )
    sharing, rng = NoiseSharing("rademacher", False, "", masked=True), stream(0, "estimator")
    total = {n: torch.zeros_like(p) for n, p in case.params.items()}
    for count in (2, 2, 1):
        part = perturb(case.chain, case.params, sharing.draw(case.chain, count, rng), count)
        g = part.pull_back(sharing.signals(case.chain, part))
        total = {n: t + count / 5 * g[n] for n, t in total.items()}
    torch.testing.assert_close(dict(found.grads), total)


def test_noise_along_the_only_axis_there_is_changes_nothing():
    chain, params = made("dense")
    chain.module[0][2].units = chain.module[1][3].units = ("unit",)
    assert ActivityForwardGradient(unit="unit").claim(chain).name == "UNBIASED"
    found = [
        ActivityForwardGradient(unit=u).estimate(chain, params, None, stream(0, "probe")).grads
        for u in ("", "unit")
    ]
    torch.testing.assert_close(found[0], found[1])


def test_noise_that_the_batch_shares_is_one_row():
    chain, params = made("dense")
    sharing = NoiseSharing("normal", True, "")
    found = perturb(chain, params, sharing.draw(chain, 1, stream(0, "probe")))
    assert [u.shape for u in found.noise] == [(1, 5), (1, 4)]
    one_number = Chain(chain.module, ROWS, Y, F.cross_entropy, separable=False)
    assert ActivityForwardGradient(sharing="batch").claim(one_number).name == "BIASED"


def test_the_written_error_is_autograd_s():
    chain, params = made("dense")
    output = chain.forward(params)
    end = output.clone().requires_grad_()
    loss = chain.losses(end).mean()
    wanted = loss.detach(), torch.autograd.grad(loss, end)[0]
    torch.testing.assert_close(chain.loss_and_error(output), wanted)
    one_hot = Chain(chain.module, ROWS, F.one_hot(Y, 3).double())
    torch.testing.assert_close(one_hot.loss_and_error(output), wanted)


@pytest.mark.parametrize("local", [False, True], ids=["FG-A", "LG-FG-A"])
def test_a_head_of_zero_at_first_hides_nothing_from_the_choice_of_a_way(local):
    """No tangent passes it, so that a way that loses some of them looks like a right one."""
    torch.manual_seed(0)
    stage = nn.Sequential(nn.Linear(4, 4), Site(), Custom(), nn.Linear(4, 3), Site())
    module = nn.Sequential(stage, nn.Linear(3, 3)).double()
    nn.init.zeros_(module[1].weight)
    params = {n: p.detach() for n, p in module.named_parameters()}
    chain, rng = Chain(module, ROWS, Y), stream(0, "estimator")
    estimator = LocalLosses() if local else ActivityForwardGradient()
    state = estimator.init(chain, params, rng)
    if local:
        state["heads"] = {n: torch.zeros_like(p) for n, p in state["heads"].items()}
    estimator.estimate(chain, params, state, rng)
    asked = LocalLosses()._plan(chain).segments[0] if local else chain
    own = {n for n, _ in asked.module.named_parameters()}
    engine = engine_of(asked, {n: p for n, p in params.items() if n in own})
    assert type(engine) is DualNumbers
