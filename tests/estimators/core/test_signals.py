"""Signals: pulled back within their blocks, they are the estimates of those who send them."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from estimators import (
    Backprop,
    Chain,
    ClipNorm,
    DirectFeedbackAlignment,
    Estimator,
    FeedbackAlignment,
    ForwardGradient,
    LocalLosses,
    Objective,
    Stale,
    UnsupportedError,
    discover,
    require,
    stream,
)
from estimators.autodiff.calculus import cut_at_stages, pull_back
from estimators.conformance import settings

SENDING = {
    "backprop", "direct_feedback_alignment", "dkp", "fdfa", "feedback_alignment", "kolen_pollack",
    "usf", "brsf", "frsf", "weight_mirror", "local_losses", "stale",
}  # fmt: skip
"""The estimators of the library that have signals, in their default settings or another."""

ROUNDING = 1e-12
"""Of gradients in float64, relative to the largest entry: sums of less than 100 terms."""


def chain_of(*stages, shape, seed=0, count=6, **how):
    module = nn.Sequential(*stages).double()
    rng = stream(seed, "data")
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(std=0.6, generator=rng)
    x = torch.randn(count, *shape, generator=rng, dtype=torch.float64)
    chain = Chain(module, x, torch.randint(3, (count,), generator=rng), **how)
    return chain, {n: p.detach().clone() for n, p in module.named_parameters()}


def dense():
    """Four blocks, the first of two stages; an in-place non-linearity behind a boundary."""
    return chain_of(
        nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 4),
        nn.Sequential(nn.Tanh(), nn.Linear(4, 4)),
        nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 3)), shape=(4,),
    )  # fmt: skip


def images():
    """Batch normalisation in training mode, which couples the examples."""
    return chain_of(
        nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.AvgPool2d(2)),
        nn.Sequential(nn.Conv2d(2, 3, 2), nn.Tanh(), nn.Flatten()), nn.Linear(12, 3),
        shape=(1, 6, 6),
    )  # fmt: skip


NETWORKS = {"dense": dense(), "images": images()}


def sending():
    """Every setting of every estimator that has signals, on both networks."""
    for name, entry in discover().estimators.items():
        for estimator in settings(entry.cls):
            for network, (chain, params) in NETWORKS.items():
                try:
                    require(estimator, chain, params)
                except UnsupportedError:
                    continue
                state = estimator.init(chain, params, stream(0, "init"))
                if estimator.signals(chain, params, state, stream(1, "estimator")) is not None:
                    yield pytest.param(name, estimator, network, id=f"{estimator}-{network}")


CASES = list(sending())


def test_the_estimators_that_send_signals_have_them():
    assert {param.values[0] for param in CASES} == SENDING


def pulled(chain, params, signals):
    cut = cut_at_stages(chain, params)
    return pull_back(cut, [signals[place.name] for place in chain.boundaries])


def assert_close(a, b):
    """Trees of tensors that agree up to rounding."""
    if isinstance(a, dict):
        assert set(a) == set(b)
        for key in a:
            assert_close(a[key], b[key])
    elif isinstance(a, tuple | list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_close(x, y)
    elif isinstance(a, torch.Tensor):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert not a.requires_grad
        scale = float(b.abs().max()) if b.numel() else 0.0
        torch.testing.assert_close(a, b, rtol=0, atol=ROUNDING * scale, equal_nan=True)
    else:
        assert a == b


@pytest.mark.parametrize(("_", "estimator", "network"), CASES)
def test_signals_are_pulled_back_to_the_estimate(_, estimator, network):
    """Over three steps, so that what is learnt and what waits is seen as well."""
    chain, params = NETWORKS[network]
    state = estimator.init(chain, params, stream(0, "init"))
    other = estimator.init(chain, params, stream(0, "init"))
    for step in range(3):
        estimate = estimator.estimate(chain, params, state, stream(step, "estimator"))
        sent = estimator.signals(chain, params, other, stream(step, "estimator"))
        shapes = {name: s.shape for name, s in sent.values.items()}
        assert shapes == {p.name: (len(chain.x), *p.shape) for p in chain.boundaries}
        assert_close(pulled(chain, params, sent.values), dict(estimate.grads))
        if not isinstance(estimator, Stale):  # its two kinds wait side by side
            assert_close(sent.state, estimate.state)
        assert_close(dict(sent.info), dict(estimate.info))
        state, other = estimate.state, sent.state
        params = {n: p - 0.1 * estimate.grads[n] for n, p in params.items()}
        if isinstance(estimator, Stale):
            break  # later, signals of earlier weights meet the blocks of today


@pytest.mark.parametrize(("_", "estimator", "network"), CASES)
def test_signals_change_nothing_and_draw_from_rng_alone(_, estimator, network):
    chain, params = NETWORKS[network]
    before = torch.get_rng_state(), {n: p.clone() for n, p in params.items()}
    buffers = {n: b.clone() for n, b in chain.module.named_buffers()}
    state = estimator.init(chain, params, stream(0, "init"))
    with torch.no_grad():  # whatever mode the caller is in
        a, b = (estimator.signals(chain, params, state, stream(1, "estimator")) for _ in range(2))
    assert all(torch.equal(a.values[n], b.values[n]) for n in a.values)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert all(torch.equal(params[n], p) for n, p in before[1].items())
    assert all(torch.equal(b, buffers[n]) for n, b in chain.module.named_buffers())


@pytest.mark.parametrize("network", NETWORKS)
def test_backprop_s_signals_are_the_derivatives_by_the_activations(network):
    chain, params = NETWORKS[network]
    shifts = [torch.zeros(len(chain.x), *p.shape, dtype=torch.float64) for p in chain.boundaries]
    leaves = [s.requires_grad_() for s in shifts]
    loss = chain.loss(chain.forward(params, at_stage=lambda i, h: h + leaves[i]))
    sent = Backprop().signals(chain, params, None, stream(0, "estimator"))
    assert sent is not None
    for place, expected in zip(chain.boundaries, torch.autograd.grad(loss, leaves), strict=True):
        torch.testing.assert_close(sent.values[place.name], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("network", NETWORKS)
def test_greedy_signals_are_those_of_the_head_alone(network):
    """∂ℓ_b/∂h_b, by hand from the head's weights in the state."""
    chain, params = NETWORKS[network]
    estimator = LocalLosses(inner=Backprop())
    state = estimator.init(chain, params, stream(0, "init"))
    sent = estimator.signals(chain, params, state, stream(1, "estimator"))
    assert sent is not None
    places = []
    chain.forward(params, at_stage=lambda _, h: places.append(h.clone()) or h)
    for block, place, h in zip(chain.blocks, chain.boundaries, places, strict=False):
        leaf = h.detach().requires_grad_()
        features = leaf.mean((2, 3)) if leaf.ndim == 4 else leaf
        weight, bias = (
            state["heads"][f"head of {block[0]}.linear.{w}"] for w in ("weight", "bias")
        )
        loss = nn.functional.cross_entropy(features @ weight.T + bias, chain.y)
        (expected,) = torch.autograd.grad(loss, leaf)
        torch.testing.assert_close(sent.values[place.name], expected, rtol=1e-12, atol=1e-14)
    assert all(not torch.equal(sent.state["heads"][n], w) for n, w in state["heads"].items())


def test_a_block_of_several_layers_receives_what_arrives_through_all_of_them():
    """The feedback of every layer behind the boundary counts, that of the block itself does not."""
    chain, params = chain_of(
        nn.Linear(4, 5), nn.Sequential(nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)),
        shape=(4,),
    )  # fmt: skip
    estimator = FeedbackAlignment()
    step, kept = estimator.init(chain, params, stream(0, "init"))
    sent = estimator.signals(chain, params, (step, kept), stream(1, "estimator"))
    assert sent is not None
    h = chain.x @ params["0.weight"].T + params["0.bias"]
    z = h.tanh() @ params["1.1.weight"].T + params["1.1.bias"]
    output = z.tanh() @ params["1.3.weight"].T + params["1.3.bias"]
    error = (output.softmax(1) - nn.functional.one_hot(chain.y, 3)) / len(chain.x)
    back = (error @ kept["1.3.weight"] * (1 - z.tanh() ** 2)) @ kept["1.1.weight"]
    torch.testing.assert_close(sent.values["0"], back * (1 - h.tanh() ** 2), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("steps", [1, 2])
def test_stale_signals_are_those_of_n_steps_ago(steps):
    chain, params = NETWORKS["dense"]
    estimator = Stale(inner=DirectFeedbackAlignment(), steps=steps)
    state = estimator.init(chain, params, stream(0, "init"))
    inner, past = state["inner"], []
    for step in range(4):
        fresh = estimator.inner.signals(chain, params, inner, stream(step, "estimator"))
        late = estimator.signals(chain, params, state, stream(step, "estimator"))
        assert fresh is not None
        assert late is not None
        past.append(fresh.values)
        assert_close(dict(late.values), dict(past[max(0, step - steps)]))
        inner, state = fresh.state, late.state
        assert_close(state["inner"], inner)
        assert len(state["signals"]) == min(step + 1, steps)
        params = {n: p + 0.1 for n, p in params.items()}


def test_a_stale_estimate_keeps_the_signals_that_wait():
    chain, params = NETWORKS["dense"]
    estimator = Stale(steps=2)
    state = estimator.init(chain, params, stream(0, "init"))
    sent = estimator.signals(chain, params, state, stream(0, "estimator"))
    assert sent is not None
    after = estimator.estimate(chain, params, sent.state, stream(1, "estimator")).state
    assert after["signals"] == sent.state["signals"]
    assert len(after["waiting"]) == 1


def test_stale_signals_of_a_batch_of_another_size_are_refused():
    chain, params = NETWORKS["dense"]
    state = Stale().init(chain, params, stream(0, "init"))
    sent = Stale().signals(chain, params, state, stream(1, "estimator"))
    smaller = chain.on(chain.x[:4], chain.y[:4])
    assert sent is not None
    with pytest.raises(UnsupportedError, match=r"1 steps? ago at 1 .* \(6, 5\).* now \(4, 5\)"):
        Stale().signals(smaller, params, sent.state, stream(1, "estimator"))


@pytest.mark.parametrize(
    "estimator",
    [
        ForwardGradient(),
        ClipNorm(inner=Backprop()),
        Stale(inner=ForwardGradient()),
        LocalLosses(inner=ForwardGradient()),
        LocalLosses(),
    ],
    ids=str,
)
def test_others_have_none(estimator: Estimator):
    chain, params = NETWORKS["dense"]
    state = estimator.init(chain, params, stream(0, "init"))
    assert estimator.signals(chain, params, state, stream(1, "estimator")) is None


def test_a_loss_without_boundaries_has_none():
    chain, params = chain_of(nn.Linear(4, 3), shape=(4,))
    assert Backprop().signals(chain, params, None, stream(0, "estimator")) is None
    plain = Objective(chain)
    assert Backprop().signals(plain, params, None, stream(0, "estimator")) is None


class Repeated(nn.Module):
    """A block whose forward pass is run again in the backward pass."""

    again = True

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, h):
        return checkpoint(self.run, h, use_reentrant=False) if self.again else self.run(h)

    def run(self, h):
        return self.linear(h).tanh()


def test_a_block_that_is_run_again_has_the_weights_that_are_given(monkeypatch):
    chain, params = chain_of(nn.Linear(4, 4), Repeated(), nn.Linear(4, 3), shape=(4,))
    moved = {n: 2 * p for n, p in params.items()}  # not the module's own
    again = Backprop().signals(chain, moved, None, stream(0, "estimator"))
    monkeypatch.setattr(Repeated, "again", False)
    once = Backprop().signals(chain, moved, None, stream(0, "estimator"))
    assert again is not None
    assert once is not None
    assert_close(dict(again.values), dict(once.values))
