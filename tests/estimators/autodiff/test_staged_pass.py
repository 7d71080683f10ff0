"""The pass that carries tangents stage by stage, and pulls signals back within them."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from estimators import (
    Chain,
    DirectFeedbackAlignment,
    Site,
    UnsupportedError,
    measure,
    stream,
)
from estimators.autodiff.calculus import cut_at_stages, output_error
from estimators.autodiff.staged_pass import StagedPass
from estimators.feedback._direct import pull_back_direct, split, zero_feedback
from estimators.feedback.fdfa import FDFA


def rng(seed=0):
    return stream(seed, "estimator")


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def chain_of(shape, count=4, **stages):
    torch.manual_seed(0)
    module = nn.Sequential(OrderedDict(stages)).double()
    chain = Chain(module, normal(count, *shape), torch.zeros(count).long())
    return chain, {n: p.detach() for n, p in module.named_parameters()}


class Squared(nn.Module):
    """No module that the pass knows."""

    def forward(self, x):
        return x + x**2


def seasoned(norm):
    """In evaluation mode, after some training."""
    norm.running_mean.copy_(torch.tensor([1.0, -1, 0]))
    norm.running_var.copy_(torch.tensor([0.5, 2, 3]))
    return norm.eval()


def tied(first, second):
    second.weight = first.weight
    return [first, nn.Tanh()], [second, nn.ReLU()]


NETWORKS = {
    "tied": ((4,), *tied(nn.Linear(4, 4), nn.Linear(4, 4))),
    "dense": ((4,), [nn.Linear(4, 5), nn.Tanh()], [nn.Linear(5, 4), Site(), nn.ReLU()]),
    "in place": ((4,), [nn.Linear(4, 5)], [nn.ReLU(True), nn.Linear(5, 4), nn.ELU(inplace=True)]),
    "smooth": ((4,), [nn.Linear(4, 5), nn.Sigmoid()], [nn.Linear(5, 4), nn.GELU("tanh")]),
    "unknown": ((4,), [nn.Linear(4, 5), nn.SiLU()], [Squared(), nn.Linear(5, 4), nn.Identity()]),
    "normalised": (
        (4,),
        [nn.Linear(4, 5)],
        [
            nn.LayerNorm(5),
            nn.Linear(5, 4),
            nn.LayerNorm(4, elementwise_affine=False),
            nn.GroupNorm(2, 4),
            nn.ELU(),
        ],
    ),
    "coupled": (
        (4,),
        [nn.Linear(4, 5)],
        [nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 4), nn.BatchNorm1d(4, affine=False)],
    ),
    "running statistics": (
        (2, 4, 4),
        [nn.Conv2d(2, 3, 1), nn.Tanh()],
        [seasoned(nn.BatchNorm2d(3)), nn.ReLU(), nn.Conv2d(3, 1, 3), nn.Flatten()],
    ),
    "pools": (
        (2, 6, 6),
        [nn.Conv2d(2, 4, 3, padding=1)],
        [
            nn.BatchNorm2d(4, track_running_stats=False).eval(),
            nn.MaxPool2d(2, stride=1, padding=1, ceil_mode=True),
            nn.MaxPool2d(4),
            nn.Flatten(),
        ],
    ),
    "images": (
        (2, 6, 6),
        [nn.Conv2d(2, 4, 3, padding=1), nn.MaxPool2d(2)],
        [
            nn.Conv2d(4, 2, 2, groups=2, padding=1, padding_mode="circular"),
            nn.GroupNorm(1, 2),
            nn.GroupNorm(2, 2, affine=False),
            nn.AvgPool2d(2, ceil_mode=True),
            nn.AdaptiveAvgPool2d((2, 1)),
            nn.Flatten(),
        ],
    ),
    "sequences": (
        (2, 6),
        [nn.Conv1d(2, 4, 3)],
        [nn.AvgPool1d(2), nn.Conv1d(4, 2, 1), nn.AdaptiveAvgPool1d(2), nn.Flatten()],
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_pass_carries_what_forward_mode_carries(name):
    shape, first, second = NETWORKS[name]
    chain, params = chain_of(
        shape, first=nn.Sequential(*first), second=nn.Sequential(*second), last=nn.Linear(4, 3)
    )
    params = {n: v + 0.3 * normal(*v.shape, seed=3) for n, v in params.items()}  # affine parts too
    units = zero_feedback(chain, params).shape[1]
    p = normal(4, units, seed=2)
    run = StagedPass(chain, params, p)

    def moved(t):
        begin = 0

        def at_stage(_, h):
            nonlocal begin
            begin, end = begin + h[0].numel(), begin + h[0].numel()
            return h + t * p[:, end - h[0].numel() : end].view(h.shape)

        return chain.forward(params, at_stage=at_stage)

    value, wanted = torch.func.jvp(moved, (torch.tensor(0.0).double(),), (torch.ones(()).double(),))
    torch.testing.assert_close(run.tangent, wanted)
    torch.testing.assert_close(run.output, value)
    cut, feedback = cut_at_stages(chain, params), normal(3, units, seed=4)
    signals = split(run.error.flatten(1) @ feedback, run.places)
    exact = pull_back_direct(cut, feedback, output_error(cut))
    torch.testing.assert_close(run.pull_back(signals), exact)
    torch.testing.assert_close(run.loss, cut.losses.mean().detach())
    assert not any("forward" in m.__dict__ for m in chain.module.modules())


class Detached(nn.Module):
    def forward(self, x):
        return x.detach()


@pytest.mark.parametrize("first", ["classes", "detached"])
def test_stages_through_which_no_slope_goes_are_pulled_back_as_autograd_does(first):
    x = torch.tensor([[0, 1], [2, 3], [4, 4], [1, 0]]) if first == "classes" else normal(4, 2)
    start = [nn.Embedding(5, 3), nn.Flatten()] if first == "classes" else [nn.Linear(2, 6)]
    middle = [nn.Tanh()] if first == "classes" else [Detached(), nn.Tanh()]
    stages = {"first": [*start, *middle], "second": [nn.Linear(6, 4)], "output": [nn.Linear(4, 3)]}
    module = nn.Sequential(OrderedDict((n, nn.Sequential(*m)) for n, m in stages.items())).double()
    chain = Chain(module, x, torch.tensor([0, 1, 2, 0]))
    params = {n: p.detach() for n, p in module.named_parameters()}
    alignment = DirectFeedbackAlignment()
    step, feedback = alignment.init(chain, params, rng())
    wanted = alignment.estimate(chain, params, (step, feedback), rng()).grads
    found = FDFA().estimate(chain, params, (step, feedback, ()), rng()).grads
    torch.testing.assert_close(found, wanted)
    assert all(
        g.any() == (first == "classes" or not n.startswith("first")) for n, g in found.items()
    )


class Unpacked(nn.Module):
    def __init__(self, inside=None):
        super().__init__()
        self.inside = inside

    def forward(self, h):
        return (h if self.inside is None else self.inside(h))[0]


def test_a_tuple_between_modules_is_refused_in_a_sentence_whose_remedy_works():
    x, y = torch.randn(6, 4, 3, generator=stream(0, "data")), torch.arange(6) % 3
    gru, rest = nn.GRU(3, 5, batch_first=True), (nn.Flatten(), nn.Linear(20, 3))
    loss = nn.CrossEntropyLoss()
    with pytest.raises(UnsupportedError, match=r"GRU puts out a tuple, .* write a module whose"):
        measure(nn.Sequential(gru, Unpacked(), *rest), loss, (x, y), FDFA(), draws=2)
    assert measure(nn.Sequential(Unpacked(gru), *rest), loss, (x, y), FDFA(), draws=2)
