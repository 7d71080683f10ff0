"""LocalMixer: the paper's sizes by their parameters, its locality, and what it refuses."""

import pytest
import torch
from torch import nn

from backend.training.networks.local_mixer import SIZES, GroupedLinear, LocalMixer
from estimators import (
    ActivityForwardGradient,
    Backprop,
    Chain,
    Claim,
    DirectFeedbackAlignment,
    ForwardGradient,
    stream,
)
from estimators.autodiff.calculus import push_forward, value_and_grad
from estimators.feedback.feedback_alignment import FeedbackAlignment
from estimators.local.local_losses import LocalLosses
from tests.backend.training.descent import loss_falls

MNIST, CIFAR, DIGITS = (1, 28, 28), (3, 32, 32), (1, 8, 8)


@pytest.mark.parametrize(
    ("size", "shape", "parameters"),
    [
        ("S/1/1", MNIST, 271_892),
        ("M/1/16", MNIST, 429_076),
        ("M/8/16", CIFAR, 918_770),
        ("L/8/64", CIFAR, 13_074_674),
    ],
)
def test_the_papers_sizes_have_their_parameters(size, shape, parameters):
    assert LocalMixer(size=size).count(shape, 10) == parameters


def test_the_largest_size_has_the_papers_17_million_with_a_hundred_classes():
    counts = [LocalMixer(size="L/32/64").count((3, 224, 224), n) for n in (100, 1000)]
    assert counts == [17_335_796, 26_556_296]


def test_a_size_is_its_four_numbers():
    blocks, patches, channels, groups = SIZES["M/8/16"]
    free = LocalMixer(blocks=blocks, patches=patches, channels=channels, groups=groups)
    assert free.count(CIFAR, 10) == LocalMixer(size="M/8/16").count(CIFAR, 10)


@pytest.mark.parametrize("patches", [1, 2, 4, 8])
@pytest.mark.parametrize("groups", [1, 4])
def test_it_runs_on_digits_in_whatever_patches(patches, groups):
    module = LocalMixer(blocks=2, patches=patches, channels=8, groups=groups).build(
        DIGITS, 10, stream(0, "init")
    )
    x = torch.rand(5, *DIGITS)
    assert module(x).shape == (5, 10)
    assert module.block0(x).std() > 0
    units = [place.units for place in Chain(module, x, torch.zeros(5).long()).places]
    wide, token = ("patch", "group", "channel"), ("patch", "channel")
    assert units == [wide, wide, token, wide, wide]


def test_patches_are_cut_out_of_the_image():
    module = LocalMixer(patches=4, channels=8, groups=1).build((2, 8, 12), 10, stream(0, "init"))
    x = torch.arange(2 * 8 * 12.0).view(1, 2, 8, 12)
    found = module.block0.patches(x)
    assert found.shape == (1, 16, 2 * 3 * 2)
    wanted = x[0, :, 2:4, 9:12].permute(1, 2, 0).flatten()  # second row, last column
    torch.testing.assert_close(found[0, 7], wanted)


def built(**fields):
    module = LocalMixer(**fields).build(DIGITS, 10, stream(0, "init")).double()
    rng = stream(1, "init")
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(std=0.5, generator=rng)
    return module


def reach(module, block, axis, unit):
    """Which units of the block's output a unit of its last two sites' noise reaches."""
    stage = module.get_submodule(block)
    x = torch.rand(1, *DIGITS).double()
    for name, earlier in module.named_children():
        if name == block:
            break
        x = earlier(x)
    site = stage.mix.site

    def moved(delta):
        hook = site.register_forward_hook(lambda _, __, z: z + delta(z))
        try:
            return stage(x)
        finally:
            hook.remove()

    def at_unit(z):
        delta = torch.zeros_like(z)
        delta.select(axis, unit).fill_(0.3)
        return delta

    difference = (moved(at_unit) - moved(torch.zeros_like)).abs()
    return difference.transpose(1, axis).flatten(2).sum(2)[0] > 0


@pytest.mark.parametrize("axis", [1, 2], ids=["patch", "group"])
@pytest.mark.parametrize("block", ["block0", "block1"])
def test_what_happens_behind_the_channel_map_stays_in_its_patch_and_group(axis, block):
    """What a loss for each unit relies on."""
    module = built(blocks=2, patches=2, channels=8, groups=2)
    found = reach(module, block, axis, 1)
    assert found.tolist() == [i == 1 for i in range(len(found))]


def test_the_grouped_map_is_torchs_grouped_convolution():
    layer = GroupedLinear(8, 4).double()
    x = torch.randn(3, 8, 5).double()
    wanted = nn.functional.conv1d(x, layer.weight, layer.bias, groups=4)
    torch.testing.assert_close(layer(x), wanted)


def test_weights_start_small_and_heads_at_zero():
    module = LocalMixer(channels=64, groups=4).build(DIGITS, 10, stream(0, "init"))
    assert not module.readout.linear.weight.any()
    assert not module.block1.head.linear.weight.any()
    assert module.block1.mix.linear.weight.std().item() == pytest.approx(0.1, rel=0.05)
    assert not module.block1.mix.grouped.bias.any()


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        ({"patches": 3}, DIGITS, "patches is 3, .* image of 8×8; it can be 1, 2, 4 or 8"),
        ({"groups": 3}, DIGITS, "groups is 3; 64 channels .* where it is 1, 2, 4, 8, 16 or 32"),
        ({"groups": 64}, DIGITS, "groups is 64; 64 channels .* at least two"),
        ({"size": "L/32/64"}, DIGITS, "patches is 32"),
        ({}, (2,), "needs images"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(fields, shape, message):
    with pytest.raises(ValueError, match=message):
        LocalMixer(**fields).count(shape, 10)


ROWS = {
    "BP": Backprop(),
    "L-BP": LocalLosses(Backprop(), greedy=False),
    "LG-BP": LocalLosses(Backprop()),
    "FA": FeedbackAlignment(),
    "L-FA": LocalLosses(FeedbackAlignment(), greedy=False),
    "LG-FA": LocalLosses(FeedbackAlignment()),
    "DFA": DirectFeedbackAlignment(),
    "FG-W": ForwardGradient(),
    "FG-A": ActivityForwardGradient(),
    "LG-FG-W": LocalLosses(ForwardGradient()),
    "LG-FG-A": LocalLosses(ActivityForwardGradient()),
}
"""The eleven rows of the paper's table 3, each a composition."""


def on_digits():
    module = built(blocks=3, patches=2, channels=8, groups=2)
    rng = stream(2, "data")
    x = torch.rand(6, *DIGITS, generator=rng, dtype=torch.float64)
    y = torch.randint(10, (6,), generator=rng)
    return Chain(module, x, y), {n: p.detach().clone() for n, p in module.named_parameters()}


def flat(grads):
    return torch.cat([g.reshape(-1) for _, g in sorted(grads.items())])


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_papers_table_descends(row):
    """Fifty small steps, each tensor's of one length, lower the loss."""
    assert loss_falls(ROWS[row], *on_digits(), steps=50, length=0.02)


@pytest.mark.parametrize("row", ["FG-A", "LG-FG-A"])
def test_perturbed_activities_are_unbiased_on_the_network_itself(row):
    estimator = {
        "FG-A": ActivityForwardGradient(tangents=32),
        "LG-FG-A": LocalLosses(ActivityForwardGradient(tangents=32)),
    }[row]
    chain, params = on_digits()
    rng = stream(1, "estimator")
    state = estimator.init(chain, params, rng)
    assert estimator.claim(chain) is Claim.UNBIASED
    target = flat(estimator.target(chain, params, state) or value_and_grad(chain, params)[1])
    draws = torch.stack(
        [flat(estimator.estimate(chain, params, state, rng).grads) for _ in range(40)]
    )
    error = (draws.mean(0) - target).abs()
    # A thousand coordinates are looked at, from 40 draws of 32 directions each.
    assert (error <= 6.5 * draws.std(0) / len(draws) ** 0.5 + 1e-9).all()


def test_forward_and_reverse_mode_agree_on_it():
    chain, params = on_digits()
    rng = stream(3, "estimator")
    v = {n: torch.randn(p.shape, generator=rng, dtype=p.dtype) for n, p in params.items()}
    _, slope = push_forward(chain, params, list(v.values()))
    exact = value_and_grad(chain, params)[1]
    torch.testing.assert_close(slope, sum((exact[n] * v[n]).sum() for n in params))
