"""Every value of the noise, instead of draws of it."""

import itertools
import math

import pytest
import torch


def grid(count, kind="rademacher"):
    """Values (n, count) and their weights (n,): all signs, or, of normals, three points each, which
    have the normal's moments up to the fifth."""
    points, w = {
        "rademacher": ([-1.0, 1.0], [0.5, 0.5]),
        "normal": ([-(3**0.5), 0.0, 3**0.5], [1 / 6, 2 / 3, 1 / 6]),
        "sparse": ([-(4**0.5), 0.0, 4**0.5], [1 / 8, 3 / 4, 1 / 8]),  # signs, ρ = 1/4
    }[kind]
    v = torch.tensor(list(itertools.product(points, repeat=count)), dtype=torch.float64)
    return v, torch.tensor([math.prod(x) for x in itertools.product(w, repeat=count)]).double()


def moments(estimates, weights):
    """{name: tr Var} and {name: mean} of estimates {name: (n, ...)} with these odds."""
    means = {n: torch.tensordot(weights, g, 1) for n, g in estimates.items()}
    squares = {n: (g - means[n]).flatten(1).square().sum(1) for n, g in estimates.items()}
    return {n: (weights @ s).item() for n, s in squares.items()}, means


def assert_is(law, spread, mean, exact):
    assert law.variance == pytest.approx(spread)
    for name, m in (law.mean or exact).items():
        assert torch.allclose(m, mean[name], atol=1e-12), name
