"""Optimisers step by step: against torch's own, and LARS against its formula."""

import copy

import pytest
import torch
from torch import nn

from backend.training.optimizers import optimizers

F64 = torch.float64
TORCHS = [
    ("sgd", {}, torch.optim.SGD, {}),
    ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, torch.optim.SGD, None),
    ("adam", {}, torch.optim.Adam, {"betas": (0.9, 0.999)}),
    (
        "adam", {"beta1": 0.5, "beta2": 0.8, "eps": 1e-3, "weight_decay": 0.1},
        torch.optim.Adam, {"betas": (0.5, 0.8), "eps": 1e-3, "weight_decay": 0.1},
    ),
    ("adamw", {"weight_decay": 0.2}, torch.optim.AdamW, None),
    ("rmsprop", {}, torch.optim.RMSprop, {}),
    (
        "rmsprop",
        {"alpha": 0.7, "eps": 1e-4, "centered": True, "momentum": 0.6, "weight_decay": 0.1},
        torch.optim.RMSprop, None,
    ),
]  # fmt: skip
LARS = [
    {},
    {"momentum": 0.0, "weight_decay": 0.3, "trust": 0.02},
    {"momentum": 0.7, "weight_decay": 0.1, "trust": 2.0, "scale_vectors": True},
]


def weights(seed=0):
    rng = torch.Generator().manual_seed(seed)
    shapes = ((4, 3), (4,), (2, 4, 3, 3), ())
    return [nn.Parameter(torch.randn(s, dtype=F64, generator=rng)) for s in shapes]


def run(optimizer, params, steps=6, seed=1):
    rng = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, dtype=F64, generator=rng)
        optimizer.step()
    return [p.detach() for p in params]


@pytest.mark.parametrize(("name", "fields", "peer", "theirs"), TORCHS)
def test_an_optimiser_steps_as_torchs_does(name, fields, peer, theirs):
    ours, other = weights(), weights()
    found = run(optimizers()[name](lr=0.03, **fields).build(ours), ours)
    expected = run(peer(other, lr=0.03, **(fields if theirs is None else theirs)), other)
    # Fused and looped kernels differ in the order of a few operations at each of six steps.
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("fields", LARS)
def test_lars_follows_its_formula(fields):
    lars = optimizers()["lars"](lr=0.3, **fields)
    params = weights()
    found = run(lars.build(params), params)
    for index, w in enumerate(p.detach().clone() for p in weights()):
        rng, v = torch.Generator().manual_seed(1), torch.zeros_like(w)
        for _ in range(6):
            g = [torch.randn(p.shape, dtype=F64, generator=rng) for p in params][index]
            beta, ratio = lars.weight_decay, 1.0
            if w.ndim > 1 or lars.scale_vectors:
                ratio = lars.trust * w.norm() / (g.norm() + beta * w.norm())
            else:
                beta = 0.0
            v = lars.momentum * v + lars.lr * ratio * (g + beta * w)
            w = w - v
        torch.testing.assert_close(found[index], w, rtol=1e-13, atol=1e-14)


def test_lars_moves_weights_that_begin_at_zero_and_rests_without_a_gradient():
    zero, still = nn.Parameter(torch.zeros(2, 2, dtype=F64)), nn.Parameter(torch.ones(2, 2))
    zero.grad, still.grad = torch.full((2, 2), 3.0, dtype=F64), torch.zeros(2, 2)
    optimizers()["lars"](lr=0.1, momentum=0.0).build([zero, still]).step()
    torch.testing.assert_close(zero.detach(), torch.full((2, 2), -0.3, dtype=F64))
    assert torch.equal(still.detach(), torch.ones(2, 2))


VARIANTS = [
    ("sgd", {}), ("sgd", {"momentum": 0.9}), ("adam", {}), ("adamw", {}), ("rmsprop", {}),
    ("rmsprop", {"centered": True}), ("rmsprop", {"centered": True, "momentum": 0.5}),
    ("lars", {}), ("lars", {"momentum": 0.0}), ("frank_wolfe", {}),
    ("frank_wolfe", {"average_power": 0.0}),
    ("frank_wolfe", {"average_rate": 0.5, "average_power": 0.0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields"), VARIANTS)
def test_the_declared_moments_are_those_that_are_kept(name, fields):
    optimizer = optimizers()[name](**fields)
    params = weights()
    torchs = optimizer.build(params)
    run(torchs, params)
    state = torchs.state[params[2]]
    kept = [v for v in state.values() if torch.is_tensor(v) and v.shape == params[2].shape]
    assert optimizer.moments == len(kept)


@pytest.mark.parametrize(("name", "fields"), VARIANTS)
def test_a_state_goes_round(name, fields):
    params = weights()
    first = optimizers()[name](**fields).build(params)
    run(first, params)
    copies = [nn.Parameter(p.detach().clone()) for p in params]
    second = optimizers()[name](**fields).build(copies)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for a, b in zip(run(first, params, seed=5), run(second, copies, seed=5), strict=True):
        assert torch.equal(a, b)


def test_every_optimiser_is_tested_here():
    assert {name for name, _ in VARIANTS} == set(optimizers())
