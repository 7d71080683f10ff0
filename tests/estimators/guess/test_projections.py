"""Honest and oracle, exactness, the bias and the law of a projection on a guess."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.func import grad

from estimators import BlockForwardGradient, Claim, GuessAndTarget, stream
from estimators.autodiff.block_pass import BlockPass
from estimators.autodiff.calculus import value_and_grad
from estimators.core.contract import UnsupportedError
from estimators.guess import _slopes
from estimators.guess._units import gradients, is_by_example
from estimators.requirements import require
from tests.estimators.guess.setup_guess import (
    GRID,
    TARGETS,
    UNITS,
    begun,
    blocks_of,
    close,
    convolutional,
)


def pair(chain, params, **fields):
    """The same draw honest and by the oracle, and the state before it."""
    honest = GuessAndTarget(**fields)
    require(honest, chain, params)
    state = begun(honest, chain, params)
    draws = [
        e.estimate(chain, params, state, stream(1, "estimator"))
        for e in (honest, replace(honest, source="oracle"))
    ]
    return *draws, state


@pytest.mark.parametrize(("target", "guess", "unit"), GRID)
def test_forward_mode_alone_gives_what_the_oracle_projects(target, guess, unit):
    chain, params = convolutional()
    honest, oracle, _ = pair(chain, params, target_loss=target, guess=guess, unit=unit)
    close(honest.grads, oracle.grads)
    assert torch.equal(honest.loss, oracle.loss)


@pytest.mark.parametrize("unit", UNITS)
def test_stacked_tangents_are_those_of_one_pass_each(unit, monkeypatch):
    chain, params = convolutional()
    estimator = GuessAndTarget(guess="normal", unit=unit)
    draws = []
    for most in (_slopes.MAX_STACKED, 0):
        monkeypatch.setattr(_slopes, "MAX_STACKED", most)
        state = begun(estimator, chain, params)
        draws.append(estimator.estimate(chain, params, state, stream(1, "estimator")).grads)
    close(*draws)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_guess_that_is_the_target_gives_it_exactly(target, unit):
    chain, params = convolutional()
    estimator = GuessAndTarget(target_loss=target, guess=target, unit=unit)
    assert estimator.claim(chain) is Claim.EXACT
    state = begun(estimator, chain, params)
    draw = estimator.estimate(chain, params, state, stream(1, "estimator"))
    aim = estimator.target(chain, params, state) or value_and_grad(chain, params)[1]
    close(draw.grads, aim)


def by_hand(chain, params, weights, block, stages):
    """∇ of the auxiliary loss behind `stages`, by the parameters of `block`, by torch.func."""
    names = list(chain.stages)
    modules = dict(chain.module.named_children())

    def loss(theta):
        h = chain.x
        for name in names[: names.index(block)]:
            h = modules[name](h)
        h = h.detach()
        for name in stages:
            own = {n.removeprefix(f"{name}."): p for n, p in theta.items()
                   if n.startswith(f"{name}.")}  # fmt: skip
            h = torch.func.functional_call(modules[name], own, (h,))
        if stages[-1] != names[-1]:
            prefix = f"auxiliary of {stages[-1]}."
            own = [w for n, w in weights.items() if n.startswith(prefix)]
            h = torch.nn.functional.layer_norm(
                h.flatten(1), (h[0].numel(),)
            ) if h.ndim == 2 else torch.nn.functional.group_norm(h, 1)  # fmt: skip
            if h.ndim == 4:
                h = torch.nn.functional.adaptive_avg_pool2d(h, 2).flatten(1)
            h = torch.nn.functional.linear(h, own[2], own[3])
        return torch.nn.functional.cross_entropy(h, chain.y)

    theta = {n: p for n, p in params.items() if n.split(".")[0] in stages}
    grads = grad(loss)(theta)
    return {n: g for n, g in grads.items() if n.startswith(f"{block}.")}


@pytest.mark.parametrize("target", ["local", "look_ahead"])
def test_a_target_is_the_gradient_through_one_block_or_two(target):
    """The last guessed block looks ahead to the network's own head."""
    chain, params = convolutional()
    estimator = GuessAndTarget(target_loss=target)
    state = begun(estimator, chain, params)
    aim = estimator.target(chain, params, state)
    names, ahead = list(chain.stages), 2 if target == "look_ahead" else 1
    expected = {}
    for place, block in enumerate(names[:-1]):
        stages = names[place : place + ahead]
        expected |= by_hand(chain, params, state["auxiliary"], block, stages)
    exact = value_and_grad(chain, params)[1]
    expected |= {n: exact[n] for n in params if n.startswith("head.")}
    close(aim, expected)
    if target == "look_ahead":
        for name in (n for n in params if n.startswith("dense.")):
            torch.testing.assert_close(aim[name], exact[name])


@pytest.mark.parametrize("target", TARGETS)
def test_the_squared_bias_is_what_the_guess_leaves_of_the_target(target):
    """Σ_l ‖t_l‖² (1 − cos²(t_l, s_l)), of a scalar for each tensor."""
    chain, params = convolutional()
    estimator = GuessAndTarget(target_loss=target, guess="fixed_ntk", unit="tensor")
    state = begun(estimator, chain, params)
    draw = estimator.estimate(chain, params, state, stream(1, "estimator"))
    aim = estimator.target(chain, params, state) or value_and_grad(chain, params)[1]
    step = estimator._step(chain, params, state, record=True)
    step.guess_all(estimator, chain, params, state, stream(1, "estimator"))
    left = 0.0
    for guess in step.guesses:
        for name, s in guess.items():
            t = aim[name]
            cos = (t * s).sum() / (t.norm() * s.norm())
            left += float(t.square().sum() * (1 - cos**2))
    bias = sum(float((draw.grads[n] - aim[n]).square().sum()) for n in params)
    assert bias == pytest.approx(left, rel=1e-10)
    law = estimator.law(chain, params, state, value_and_grad(chain, params)[1])
    assert law is not None
    close(law.mean, draw.grads)


@pytest.mark.parametrize("unit", ["output_and_example", "tensor_and_example"])
def test_by_example_the_bias_is_the_pulled_back_remainder(unit):
    """‖Σ_n pull-back((I − P_n) t_n)‖²."""
    chain, params = convolutional()
    estimator = GuessAndTarget(guess="local", unit=unit)
    state = begun(estimator, chain, params)
    draw = estimator.estimate(chain, params, state, stream(1, "estimator"))
    exact = value_and_grad(chain, params)[1]
    step = estimator._step(chain, params, state, record=True)
    step.guess_all(estimator, chain, params, state, stream(1, "estimator"))
    expected, measured = 0.0, 0.0
    for b, guess in enumerate(step.guesses):
        rest = {}
        for name, s in guess.items():
            t = step.exact_target(b)[name]
            rows, across = t.flatten(1), s.flatten(1)
            share = (rows * across).sum(1) / across.square().sum(1)
            rest[name] = (rows - share[:, None] * across).reshape(t.shape)
        pulled = gradients(step.run, b, rest, unit)
        expected += sum(float(g.square().sum()) for g in pulled.values())
    for names in blocks_of(params):
        measured += sum(float((draw.grads[n] - exact[n]).square().sum()) for n in names)
    assert measured == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("target", "guess", "unit"), GRID)
def test_no_unit_ascends_its_target(target, guess, unit):
    chain, params = convolutional()
    estimator = GuessAndTarget(
        target_loss=target, guess=guess, unit=unit, normalise="projected", source="oracle"
    )
    state = begun(estimator, chain, params)
    step = estimator._step(chain, params, state, record=True)
    step.guess_all(estimator, chain, params, state, stream(1, "estimator"))
    for b, guess in enumerate(step.guesses):
        t = step.exact_target(b)
        for name, c in step.exact_products(b).items():
            s = guess[name]
            square = s.square().sum() if not is_by_example(unit) else s.flatten(1).square().sum(1)
            assert (c * c / square >= 0).all()
            # The scalar is that of this unit alone, and not another's.
            row = (t[name] * s).flatten(1).sum(1) if is_by_example(unit) else (t[name] * s).sum()
            torch.testing.assert_close(c, row)


@pytest.mark.parametrize("noise", ["normal", "rademacher"])
def test_a_raw_random_guess_for_each_tensor_is_a_block_forward_gradient(noise):
    chain, params = convolutional()
    ours = GuessAndTarget(guess=noise, unit="tensor")
    theirs = BlockForwardGradient(visit="each", blocks="tensor", noise=noise)
    state = begun(ours, chain, params)
    draw = ours.estimate(chain, params, state, stream(4, "estimator")).grads
    other = theirs.estimate(chain, params, None, stream(4, "estimator")).grads
    guessed = [n for names in blocks_of(params) for n in names]
    close({n: draw[n] for n in guessed}, {n: other[n] for n in guessed})
    exact = value_and_grad(chain, params)[1]
    law, law_of_blocks = (
        ours.law(chain, params, state, exact),
        theirs.law(chain, params, None, exact),
    )
    assert law is not None
    assert law.mean is None
    for name in guessed:
        assert law.variance[name] == pytest.approx(law_of_blocks.variance[name], rel=1e-12)
    assert all(law.variance[n] == 0 for n in params if n.startswith("head."))


def test_a_projected_random_guess_shrinks_the_target_to_one_of_d():
    """(1/d)(1 − 1/d)‖t‖² about t/d: by the law, and by 4,000 draws of a tensor of 4 numbers."""
    chain, params = convolutional()
    estimator = GuessAndTarget(
        guess="normal", unit="tensor", normalise="projected", source="oracle"
    )
    state, exact = begun(estimator, chain, params), value_and_grad(chain, params)[1]
    law = estimator.law(chain, params, state, exact)
    assert law is not None
    name, t = "residual.conv.bias", exact["residual.conv.bias"]
    rng = torch.Generator().manual_seed(0)
    v = torch.randn(4000, 4, generator=rng, dtype=torch.float64)
    draws = (v @ t)[:, None] * v / v.square().sum(1, keepdim=True)
    torch.testing.assert_close(law.mean[name], t / 4)
    spread = draws.var(0).sum()
    # The variance of 4,000 bounded draws is known to about 2 %; 5 standard errors.
    error = 5 * float((draws - draws.mean(0)).square().sum(1).std()) / 4000**0.5
    assert abs(float(spread) - law.variance[name]) < error
    error = 5 * float((draws.var(0).sum() / 4000).sqrt())
    assert float((draws.mean(0) - law.mean[name]).norm()) < error


def test_running_statistics_stay_and_coupled_examples_are_refused_where_it_matters():
    chain, params = convolutional(norm=nn.BatchNorm2d)
    before = {n: b.clone() for n, b in chain.module.named_buffers()}
    for unit in UNITS[:2]:
        estimator = GuessAndTarget(unit=unit, source="oracle", guess="local")
        require(estimator, chain, params)
        state = begun(estimator, chain, params)
        estimator.estimate(chain, params, state, stream(0, "estimator"))
    honest = GuessAndTarget(unit="tensor", guess="local")
    require(honest, chain, params)
    a = honest.estimate(chain, params, begun(honest, chain, params), stream(0, "estimator"))
    b = replace(honest, source="oracle").estimate(
        chain, params, begun(honest, chain, params), stream(0, "estimator")
    )
    close(a.grads, b.grads)
    assert all(torch.equal(b, before[n]) for n, b in chain.module.named_buffers())
    for unit in ("output_and_example", "tensor_and_example"):
        with pytest.raises(UnsupportedError, match=r"couples them: take source=oracle"):
            require(GuessAndTarget(unit=unit), chain, params)
    with pytest.raises(UnsupportedError, match="gradients of single examples exist only"):
        require(GuessAndTarget(unit="tensor_and_example", source="oracle"), chain, params)


def test_the_oracle_keeps_its_own_pass_and_the_honest_one_keeps_no_graph():
    chain, params = convolutional()
    assert all(BlockPass(chain, params, record=True)._graphs)
    assert not any(BlockPass(chain, params, record=False)._graphs)
