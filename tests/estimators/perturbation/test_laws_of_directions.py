"""The scatter of forward gradients in all their forms against their laws, tensor by tensor."""

import pytest
import torch
from torch import nn

from estimators import (
    ActivityForwardGradient,
    BlockForwardGradient,
    Chain,
    ForwardGradient,
    LowRankForwardGradient,
    Site,
    SparseForwardGradient,
    UnsupportedError,
    label,
    stream,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases

MLP = cases()[0]
EXACT = value_and_grad(MLP.chain, MLP.params)[1]
NAMES = list(EXACT)
D = sum(g.numel() for g in EXACT.values())


def scatter(estimator, draws):
    """{name: (tr Var, its standard error)}, about the mean of the draws."""
    rng = stream(7, "probe")
    found = [estimator.estimate(*POINT, None, rng).grads for _ in range(draws)]
    result = {}
    for name in NAMES:
        each = torch.stack([g[name].flatten() for g in found])
        squares = (each - each.mean(0)).square().sum(1) * draws / (draws - 1)
        result[name] = (squares.mean().item(), (squares.std() / draws**0.5).item())
    return result


POINT = (MLP.chain, MLP.params)
SETTINGS = [
    ForwardGradient(scale="projected"),
    ForwardGradient(scale="projected", noise="normal"),
    ForwardGradient(scale="projected", noise="sphere", tangents=3),
    ForwardGradient(combine="orthogonal", noise="normal", tangents=5),
    ForwardGradient(combine="orthogonal", noise="sphere", tangents=20, scale="projected"),
    ForwardGradient(combine="orthogonal", noise="rademacher", scale="projected"),
    ForwardGradient(per="example", noise="sphere", scale="projected"),
    ForwardGradient(per="example", noise="normal", scale="shukla_shin", tangents=2),
    SparseForwardGradient(density=0.5, noise="normal", tangents=2),
    BlockForwardGradient(blocks="stage", noise="normal", tangents=2),
    BlockForwardGradient(blocks="stage", noise="sphere"),
    BlockForwardGradient(noise="sphere", visit="each"),
    LowRankForwardGradient(rank=3, tangents=2),
    LowRankForwardGradient(rank=2, noise="normal"),
]


@pytest.mark.parametrize("estimator", SETTINGS, ids=label)
def test_the_scatter_is_the_law(estimator):
    found, law = scatter(estimator, 400), estimator.law(*POINT, None, EXACT)
    assert set(law.variance) == set(EXACT)
    for name, value in law.variance.items():
        mean, se = found[name]
        assert abs(mean - value) <= 5 * se + 1e-12, (name, mean, se, value)
    total, se = sum(m for m, _ in found.values()), sum(s for _, s in found.values())
    assert se < 0.3 * total, "too few draws to tell"


@pytest.mark.parametrize("rank", [1, 2, 3, 5])
def test_a_low_rank_direction_has_unit_length_an_entry_at_every_rank(rank):
    estimator, rng = LowRankForwardGradient(rank=rank, tangents=16), stream(11, "probe")
    draws = [estimator.estimate(*POINT, None, rng).grads for _ in range(60)]
    for name, g in EXACT.items():
        along = torch.stack([(one[name] * g).sum() for one in draws]) / g.square().sum()
        se = along.std().item() / len(draws) ** 0.5
        assert abs(along.mean().item() - 1) <= 5 * se, name
    matrices = [n for n, g in EXACT.items() if g.ndim > 1]
    whole = sum(EXACT[n].square().sum() for n in matrices)
    along = torch.stack([sum((one[n] * EXACT[n]).sum() for n in matrices) for one in draws]) / whole
    se = along.std().item() / len(draws) ** 0.5
    assert abs(along.mean().item() - 1) <= 5 * se < 0.45, "or too few draws to tell"


def test_laws_in_total():
    squared = sum(g.square().sum().item() for g in EXACT.values())

    def total(estimator):
        return sum(estimator.law(*POINT, None, EXACT).variance.values()) / squared

    def span(count, scale="raw"):
        return ForwardGradient(count, "normal", scale, "orthogonal")

    assert total(span(5)) == pytest.approx(D / 5 - 1)
    assert total(span(D)) == pytest.approx(0, abs=1e-12)
    assert total(span(5, "projected")) == pytest.approx(5 / D * (1 - 5 / D))
    for noise in ("rademacher", "normal", "sphere"):
        each = total(ForwardGradient(noise=noise, scale="projected"))
        assert each == pytest.approx((1 - 1 / D) / D)
    one = {"w": torch.tensor([3.0])}
    assert span(1).law(None, one, None, one).variance == {"w": 0.0}
    sphere = ForwardGradient(noise="sphere", scale="projected").law(*POINT, None, EXACT)
    single = span(1, "projected").law(*POINT, None, EXACT)
    assert single.variance == pytest.approx(sphere.variance)


def test_no_law_for_a_direction_an_example_where_they_are_coupled():
    coupled = Chain(MLP.chain.module, MLP.chain.x, MLP.chain.y, separable=False)
    with pytest.raises(UnsupportedError, match="separable"):
        ForwardGradient(per="example").law(coupled, MLP.params, None, EXACT)


# --- Table 1 of Ren et al. (2022) ---

TABLE = {
    "weight, shared": (
        ForwardGradient(noise="normal"),
        lambda p, q, n, v, s: (p * q + 2) / n * v + (p * q + 1) * s,
    ),
    "weight, independent": (
        ForwardGradient(noise="normal", per="example"),
        lambda p, q, n, v, s: (p * q + 2) / n * v + (p * q + 1) / n * s,
    ),
    "activity, shared": (
        ActivityForwardGradient(noise="normal", sharing="batch"),
        lambda p, q, n, v, s: (q + 2) / n * v + (q + 1) * s,
    ),
    "activity, independent": (
        ActivityForwardGradient(noise="normal"),
        lambda p, q, n, v, s: (q + 2) / n * v + (q + 1) / n * s,
    ),
}


@pytest.mark.parametrize("row", TABLE)
@pytest.mark.parametrize(("p", "q", "n"), [(4, 6, 5), (2, 3, 1), (6, 2, 8)])
def test_table_1_of_ren_et_al(row, p, q, n):
    """The average variance of a coordinate of x δᵀ's estimate, examples drawn anew each time.

    V is the variance of one example's gradient, S the squared mean, both averaged over the
    coordinates; x and δ are normal about their means, so both are known.
    """
    estimator, variance = TABLE[row]
    rng = stream(0, "data")

    def normal(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    x0, delta0 = normal(p), normal(q)
    mean = torch.outer(delta0, x0)
    s = mean.square().mean().item()
    v = torch.outer(delta0.square() + 1, x0.square() + 1).mean().item() - s
    module = nn.Sequential(nn.Linear(p, q, bias=False), Site()).double()
    params = {name: t.detach() for name, t in module.named_parameters()}
    chain = Chain(module, x0.expand(n, p), delta0.expand(n, q), lambda z, d: (z * d).sum(1))
    noise, squares = stream(0, "estimator", row), []
    for _ in range(500):
        batch = chain.on(x0 + normal(n, p), delta0 + normal(n, q))
        found = estimator.estimate(batch, params, None, noise).grads["0.weight"]
        squares.append((found - mean).square().mean())
    squares = torch.stack(squares)
    se = squares.std() / len(squares) ** 0.5
    wanted = variance(p, q, n, v, s)
    assert abs(squares.mean() - wanted) <= 5 * se, (squares.mean(), se, wanted)
    assert se < 0.2 * wanted
