"""Heads that are made: auxiliary networks trained, drawn anew or fixed, against autograd."""

import itertools
from collections import OrderedDict

import pytest
import torch
from torch import nn

from estimators import (
    ActivityForwardGradient,
    Backprop,
    Chain,
    Claim,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    ForwardGradient,
    InfoNCE,
    LocalHead,
    LocalLosses,
    Site,
    UnsupportedError,
    cross_entropy,
    require,
    stream,
)
from estimators.auxiliary.local_loss import local_losses, with_similarity
from estimators.auxiliary.networks import auxiliary_network, first_weights, multiply_adds
from estimators.conformance.states import tensors_in
from estimators.core.optimizers import adam

OUT, WIDTH, RNG = 3, 4, lambda seed=0: stream(seed, "estimator")
BOTH, IMAGE = "prediction_and_similarity", ("channel", "height", "width")


def chain_of(stages, shape, count=5, **how):
    module = nn.Sequential(OrderedDict(stages)).double()
    rng = stream(0, "data")
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(std=0.6, generator=rng)
    x = torch.randn(count, *shape, generator=rng, dtype=torch.float64)
    y = torch.randint(OUT, (count,), generator=rng)
    params = {n: p.detach().clone() for n, p in module.named_parameters()}
    return Chain(module, x, y, **how), params


def vectors():
    return chain_of({
        "first": nn.Sequential(nn.Linear(4, 5), Site(), nn.Tanh()),
        "second": nn.Sequential(nn.Linear(5, 6), Site(("unit",)), nn.Tanh()),
        "output": nn.Linear(6, OUT),
    }, (4,))  # fmt: skip


def images():
    return chain_of({
        "first": nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), Site(), nn.Tanh()),
        "second": nn.Sequential(nn.Conv2d(4, 5, 3, stride=2), Site(IMAGE), nn.Tanh()),
        "output": nn.Sequential(nn.Flatten(), nn.Linear(20, OUT)),
    }, (2, 5, 6))  # fmt: skip


SHAPES = {"vectors": [(5,), (6,)], "images": [(4, 5, 6), (5, 2, 2)]}
NETWORKS = {"vectors": vectors(), "images": images()}
FITTING = [("vectors", "linear"), ("vectors", "mlp"), ("images", "linear"), ("images", "mlp"),
           ("images", "cnn")]  # fmt: skip
LOSSES = ["prediction", BOTH]


def local(auxiliary="mlp", inner=None, **fields):
    inner = inner or Backprop()
    return LocalLosses(inner=inner, auxiliary=auxiliary, auxiliary_width=WIDTH, **fields)


def networks(estimator, chain, shapes):
    """The auxiliary network of each block, made as a user of the package makes it."""
    nets = []
    for shape in shapes:
        net = auxiliary_network(
            estimator.auxiliary, shape, OUT, width=WIDTH, norm=estimator.auxiliary_norm,
            like=chain.x,
        )  # fmt: skip
        plain = estimator.local_loss == "prediction"
        nets.append(net if plain else with_similarity(net, shape, chain.x))
    return nets


def by_hand(estimator, chain, params, heads, shapes):
    """(∇ of Σ_b ℓ_b + ℓ, ∇ by the heads), every loss behind a stop-gradient where it belongs."""
    leaves = {n: p.clone().requires_grad_() for n, p in {**params, **heads}.items()}
    losses = local_losses(estimator.local_loss, cross_entropy, OUT)
    h, total = chain.x, torch.zeros((), dtype=torch.float64)
    nets = networks(estimator, chain, shapes)
    for name, net in zip(("first", "second"), nets, strict=True):
        own = {n.removeprefix(f"{name}."): p for n, p in leaves.items() if n.startswith(f"{name}.")}
        h = torch.func.functional_call(
            chain.module.get_submodule(name), own, (h.detach() if estimator.greedy else h,)
        )
        prefix = f"head of {name}."
        head = {n.removeprefix(prefix): p for n, p in leaves.items() if n.startswith(prefix)}
        total = total + losses(torch.func.functional_call(net, head, (h,)), chain.y).mean()
    own = {n.removeprefix("output."): p for n, p in leaves.items() if n.startswith("output.")}
    output = torch.func.functional_call(chain.module.get_submodule("output"), own, (h.detach(),))
    total = total + cross_entropy(output, chain.y).mean()
    grads = dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))
    return {n: grads[n] for n in params}, {n: grads[n] for n in heads}


def assert_close(a, b):
    for name in a.keys() | b.keys():
        scale = float(b[name].abs().max())
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=1e-12 * max(scale, 1e-3))


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize(("network", "auxiliary"), FITTING)
def test_gradients_and_trained_heads(network, auxiliary, norm, loss, greedy):
    chain, params = NETWORKS[network]
    estimator = local(auxiliary, auxiliary_norm=norm, local_loss=loss, greedy=greedy)
    require(estimator, chain, params)
    state = estimator.init(chain, params, RNG())
    for step in range(2):
        found = estimator.estimate(chain, params, state, RNG(step))
        grads, heads = by_hand(estimator, chain, params, state["heads"], SHAPES[network])
        assert_close(dict(found.grads), grads)
        assert_close(dict(estimator.target(chain, params, state)), grads)
        expected, _ = adam(state["heads"], heads, state["moments"], estimator.head_rate)
        assert set(found.state["heads"]) == set(expected)
        # Adam's first steps are signs of the gradient, which rounding decides where it is zero.
        clear = {n: g.abs() > 1e-6 for n, g in heads.items()}
        learnt = {n: found.state["heads"][n][mask] for n, mask in clear.items() if mask.any()}
        assert_close(learnt, {n: expected[n][clear[n]] for n in learnt})
        assert len(learnt) > len(heads) / 2
        state = found.state
    assert estimator.claim(chain) is Claim.EXACT


@pytest.mark.parametrize(("network", "auxiliary"), FITTING)
def test_heads_begin_with_the_weights_of_the_package(network, auxiliary):
    chain, params = NETWORKS[network]
    estimator = local(auxiliary, local_loss=BOTH)
    before = torch.get_rng_state()
    state, rng = estimator.init(chain, params, RNG()), RNG()
    assert torch.equal(torch.get_rng_state(), before)
    for name, net in zip(
        ("first", "second"), networks(estimator, chain, SHAPES[network]), strict=True
    ):
        for key, weight in first_weights(net, rng).items():
            assert torch.equal(state["heads"][f"head of {name}.{key}"], weight)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("network", "auxiliary"), [*FITTING, ("images", "pooled_linear")])
def test_redrawn_heads_come_from_rng_and_leave_the_state_alone(network, auxiliary, loss):
    chain, params = NETWORKS[network]
    estimator = local(auxiliary, heads="redrawn", local_loss=loss)
    state = estimator.init(chain, params, RNG())
    assert state["heads"] == {}
    found = [estimator.estimate(chain, params, state, RNG(seed)) for seed in (1, 1, 2)]
    name = "first.0.weight"
    assert torch.equal(found[0].grads[name], found[1].grads[name])
    assert not torch.allclose(found[0].grads[name], found[2].grads[name])
    assert not tensors_in(found[0].state, "the state")
    as_trained = local(auxiliary, local_loss=loss)
    drawn = as_trained.init(chain, params, RNG(1))  # its heads come first from the same rng
    same = as_trained.estimate(chain, params, drawn, RNG(0))
    assert_close(dict(found[0].grads), dict(same.grads))
    assert estimator.claim(chain) is Claim.BIASED
    assert estimator.target(chain, params, state) is None
    assert estimator.law(chain, params, state, found[0].grads) is None
    coverage = estimator.coverage(chain, params)
    assert coverage["first.0.weight"] == "estimated"
    assert {c for n, c in coverage.items() if n.startswith("output")} == {"exact"}


@pytest.mark.parametrize(
    "inner", [Backprop(), ForwardGradient(), DirectFeedbackAlignment()], ids=str
)
@pytest.mark.parametrize("loss", LOSSES)
def test_fixed_heads_never_move(loss, inner):
    chain, params = NETWORKS["vectors"]
    estimator = local("mlp", inner, heads="fixed", local_loss=loss)
    first = state = estimator.init(chain, params, RNG())
    assert not tensors_in(state["moments"], "moments")
    for step in range(3):
        found = estimator.estimate(chain, params, state, RNG(step))
        ahead = estimator.advance(chain, params, state, RNG(step))
        params = {n: p - 0.1 * found.grads[n] for n, p in params.items()}
        state = found.state
        for after in (state, ahead):
            assert all(torch.equal(w, first["heads"][n]) for n, w in after["heads"].items())
            assert len(after["heads"]) == len(first["heads"]) > 0
    aim = estimator.target(chain, params, state)
    if isinstance(inner, Backprop):
        assert estimator.claim(chain) is Claim.EXACT
        assert_close(dict(estimator.estimate(chain, params, state, RNG()).grads), dict(aim))


def test_brought_heads_do_not_read_the_new_fields():
    def block(entries):
        head = LocalHead(4, OUT, ("channel",))
        return nn.Sequential(nn.Linear(entries, 4), nn.Tanh(), head)

    chain, params = chain_of(
        {"first": block(4), "second": block(4), "output": nn.Linear(4, OUT)}, (4,)
    )
    usual = LocalLosses(inner=Backprop())
    state = usual.init(chain, params, RNG())
    expected = usual.estimate(chain, params, state, RNG())
    for fields in (
        {"auxiliary": "mlp"}, {"heads": "redrawn"}, {"heads": "fixed"}, {"local_loss": BOTH},
        {"auxiliary": "cnn"},
    ):  # fmt: skip
        other = LocalLosses(inner=Backprop(), **fields)
        found = other.estimate(chain, params, other.init(chain, params, RNG()), RNG())
        assert all(torch.equal(found.grads[n], g) for n, g in expected.grads.items()), fields
        assert other.claim(chain) is Claim.EXACT


@pytest.mark.parametrize("greedy", [True, False])
def test_coupling_heads_take_the_claim_of_coefficients_of_examples(greedy):
    """One coefficient an example is biased where the heads' loss couples the examples."""
    chain, _ = NETWORKS["images"]
    inner = ActivityForwardGradient()
    claims = {
        norm: local("cnn", inner, auxiliary_norm=norm, greedy=greedy).claim(chain)
        for norm in ("none", "layer", "batch")
    }
    assert claims == {"none": Claim.UNBIASED, "layer": Claim.UNBIASED, "batch": Claim.BIASED}
    both = local("cnn", inner, local_loss=BOTH, greedy=greedy)
    assert not any(s.separable for s in both._plan(chain).segments)


@pytest.mark.parametrize(("network", "auxiliary"), FITTING)
def test_the_cost_counts_the_auxiliary_networks(network, auxiliary):
    chain, _ = NETWORKS[network]
    estimator = local(auxiliary)
    shape = tuple(chain.x.shape[1:])
    heads = sum(
        multiply_adds(net, s)
        for net, s in zip(networks(estimator, chain, SHAPES[network]), SHAPES[network], strict=True)
    )
    more = 1 + heads / multiply_adds(chain.module, shape)
    cost = estimator.cost(chain)
    assert (cost.forwards, cost.vjps) == pytest.approx((2 * more, more))
    assert LocalLosses(inner=Backprop()).cost(chain).forwards == 2


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_images_whose_channels_lie_last(norm):
    """torch's derivatives of group normalisation take the numbers to lie in order."""
    chain, params = NETWORKS["images"]
    last = chain.on(chain.x.contiguous(memory_format=torch.channels_last), chain.y)
    for auxiliary, inner in itertools.product(("linear", "cnn"), (Backprop(), ForwardGradient())):
        estimator = local(auxiliary, inner, auxiliary_norm=norm)
        state = estimator.init(chain, params, RNG())
        a, b = (estimator.estimate(c, params, state, RNG()) for c in (chain, last))
        assert_close(dict(a.grads), dict(b.grads))


def test_feedback_alignment_goes_through_the_layers_of_a_block_and_not_of_an_auxiliary_network():
    chain, params = chain_of({
        "first": nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh()),
        "output": nn.Linear(5, OUT),
    }, (4,))  # fmt: skip
    estimator = local("mlp", FeedbackAlignment())
    require(estimator, chain, params)
    (inner,) = estimator.init(chain, params, RNG())["inner"]
    assert set(inner[1]) == {"first.2.weight"}
    with pytest.raises(UnsupportedError, match=r"first with a head of its own: no nn\.Linear"):
        require(estimator, *NETWORKS["vectors"])


def refused(estimator, chain, params, words):
    with pytest.raises(UnsupportedError, match=words):
        require(estimator, chain, params)


def test_what_does_not_fit_is_refused_by_the_name_of_the_block():
    refused(local("cnn"), *NETWORKS["vectors"], r"made for first: the auxiliary cnn .*\(5,\)")
    narrow = chain_of({
        "first": nn.Conv2d(2, 4, 3), "second": nn.Conv2d(4, 4, (3, 4)),
        "output": nn.Sequential(nn.Flatten(), nn.Linear(4, OUT)),
    }, (2, 5, 6))  # fmt: skip
    refused(local("cnn"), *narrow, r"made for second: .* at least 2, .*\(4, 1, 1\)")
    few = chain_of({"first": nn.Linear(4, 2), "output": nn.Linear(2, OUT)}, (4,))
    refused(local("mlp", local_loss=BOTH), *few, r"made for first: similarity .*\(2,\)")


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (local("mlp"), r"first: the auxiliary mlp .*\(patch, channel, group\)"),
        (local("pooled_linear", local_loss=BOTH), r"first: similarity matching .*\(patch, chan"),
    ],
)
def test_axes_that_are_no_image_s_are_refused(estimator, words):
    stages = {
        "first": nn.Sequential(
            nn.Linear(4, 8), nn.Unflatten(1, (2, 2, 2)), Site(("patch", "channel", "group"))
        ),
        "output": nn.Sequential(nn.Flatten(), nn.Linear(8, OUT)),
    }
    refused(estimator, *chain_of(stages, (4,)), words)


def test_similarity_without_classes_is_refused():
    chain, params = NETWORKS["vectors"]
    squares = Chain(
        chain.module, chain.x, torch.zeros(5, OUT), lambda o, y: (o - y).square().sum(1)
    )
    refused(local("mlp", local_loss=BOTH), squares, params, "classes of the examples.* float32")
    require(local("mlp"), squares, params)
    x = torch.cat([chain.x, chain.x])
    views = Chain(chain.module, x, torch.cat([chain.y, chain.y]), InfoNCE(), views=2)
    refused(local("mlp", local_loss=BOTH), views, params, "compares views of them")
