"""Forward gradients in all their forms, against what their papers say of them."""

import pytest
import torch
from torch import nn

from estimators import (
    BlockForwardGradient,
    Chain,
    ForwardGradient,
    LowRankForwardGradient,
    Objective,
    SparseForwardGradient,
    UnsupportedError,
    require,
    stream,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases
from estimators.core.noise import stacked_tangents

MLP, CNN = cases()[:2]
MLP_POINT = (MLP.chain, MLP.params)
NOISES = ["rademacher", "normal", "sphere"]


def linear(d=7):
    """L(w) = a·w, whose gradient is a."""
    a = torch.randn(d, dtype=torch.float64, generator=stream(0, "init"))
    return Objective(lambda p: p["w"] @ a), {"w": torch.zeros(d, dtype=torch.float64)}, a


def one(estimator, objective, params, seed=3):
    return estimator.estimate(objective, params, None, stream(seed, "estimator")).grads


def flat(grads):
    return torch.cat([g.reshape(-1) for g in grads.values()])


# --- scale ---


@pytest.mark.parametrize("noise", NOISES)
def test_scales_differ_by_the_stated_factors(noise):
    objective, params, a = linear()
    v = stacked_tangents(params, noise, stream(3, "estimator"), 1)[0][0]
    d, kurtosis = len(a), 3 if noise == "normal" else 1
    factors = {"raw": 1.0, "projected": 1 / v.square().sum(), "shukla_shin": 1 / (d + kurtosis - 1)}
    for scale, factor in factors.items():
        found = one(ForwardGradient(noise=noise, scale=scale), objective, params)["w"]
        torch.testing.assert_close(found, (v @ a) * v * factor)


@pytest.mark.parametrize("noise", ["rademacher", "normal"])
def test_the_scale_of_shukla_and_shin_has_the_least_expected_error(noise):
    objective, params, a = linear()
    raw = ForwardGradient(noise=noise)
    rng = stream(0, "estimator")
    draws = torch.stack(
        [raw.estimate(objective, params, None, rng).grads["w"] for _ in range(1500)]
    )
    best = (draws @ a).mean() / draws.square().sum(1).mean()  # of c in E‖c ĝ − g‖²
    stated = 1 / (len(a) + (3 if noise == "normal" else 1) - 1)
    assert best.item() == pytest.approx(stated, rel=0.25 if noise == "normal" else 0.1)


@pytest.mark.parametrize("scale", ["raw", "projected", "shukla_shin"])
def test_a_sign_is_exact_in_one_dimension_at_every_scale(scale):
    objective, params, a = linear(1)
    found = one(ForwardGradient(scale=scale, tangents=3), objective, params)["w"]
    torch.testing.assert_close(found, a)


# --- several tangents ---


@pytest.mark.parametrize("noise", ["normal", "sphere"])
@pytest.mark.parametrize("case", [MLP, CNN], ids=lambda case: case.name)
def test_d_orthogonal_tangents_give_the_exact_gradient(case, noise):
    exact = flat(value_and_grad(case.chain, case.params)[1])
    for scale in ("raw", "projected", "shukla_shin"):
        estimator = ForwardGradient(
            tangents=len(exact), noise=noise, combine="orthogonal", scale=scale
        )
        torch.testing.assert_close(flat(one(estimator, case.chain, case.params)), exact)


@pytest.mark.parametrize("noise", NOISES)
def test_the_projection_is_that_of_least_squares(noise):
    objective, params, a = linear()
    for count in (1, 3, 6):
        v = stacked_tangents(params, noise, stream(3, "estimator"), count)[0]
        wanted = v.T @ torch.linalg.lstsq(v.T, a, driver="gelsd").solution
        fields = {"tangents": count, "noise": noise, "combine": "orthogonal"}
        found = one(ForwardGradient(scale="projected", **fields), objective, params)["w"]
        torch.testing.assert_close(found, wanted)
        raw = one(ForwardGradient(**fields), objective, params)["w"]
        torch.testing.assert_close(raw, wanted * len(a) / torch.linalg.matrix_rank(v))


def test_signs_that_repeat_span_less_and_stay_unbiased():
    """In two dimensions, two signs are parallel half of the time."""
    objective, params, a = linear(2)
    estimator = ForwardGradient(tangents=2, combine="orthogonal")
    rng = stream(0, "estimator")
    draws = torch.stack(
        [estimator.estimate(objective, params, None, rng).grads["w"] for _ in range(600)]
    )
    full = (draws - a).norm(dim=1) < 1e-9
    assert 0.4 < full.double().mean() < 0.6
    assert ((draws.mean(0) - a).abs() < 5 * draws.std(0) / 600**0.5).all()


def test_the_projection_holds_in_single_precision():
    rng = stream(0, "init")
    a = torch.randn(200, generator=rng)
    objective, params = Objective(lambda p: p["w"] @ a), {"w": torch.zeros(200)}
    found = one(
        ForwardGradient(tangents=100, combine="orthogonal", scale="projected"), objective, params
    )["w"]
    assert (found @ a / a.square().sum()).item() == pytest.approx(0.5, abs=0.2)
    assert (found @ (a - found)).abs() < 1e-3 * a.square().sum()


def test_more_orthogonal_tangents_than_dimensions_are_refused():
    estimator = ForwardGradient(tangents=8, combine="orthogonal")
    objective, params, _ = linear(7)
    sentence = "tangents is 8, and the network has 7 parameters.*takes 1 to 7"
    with pytest.raises(UnsupportedError, match=sentence):
        require(estimator, objective, params)
    with pytest.raises(UnsupportedError, match=sentence):
        one(estimator, objective, params)
    require(ForwardGradient(tangents=7, combine="orthogonal"), objective, params)
    require(ForwardGradient(tangents=8), objective, params)


def test_a_mean_of_tangents_is_the_mean_of_single_ones():
    rng = stream(3, "estimator")
    estimator = ForwardGradient(noise="normal", scale="projected")
    wanted = sum(flat(estimator.estimate(MLP.chain, MLP.params, None, rng).grads) for _ in range(5))
    found = one(ForwardGradient(noise="normal", scale="projected", tangents=5), *MLP_POINT)
    torch.testing.assert_close(flat(found), wanted / 5)


# --- one noise an example ---


@pytest.mark.parametrize("scale", ["raw", "projected", "shukla_shin"])
def test_one_direction_an_example(scale):
    chain, params = MLP_POINT
    size, d = len(chain.x), sum(p.numel() for p in params.values())
    rng = stream(3, "estimator")
    wanted = torch.zeros(d, dtype=torch.float64)
    for _ in range(2):
        v = stacked_tangents(params, "normal", rng, size)
        rows = torch.cat([t.flatten(1) for t in v], 1)
        for n in range(size):
            each = chain.on(chain.x[n : n + 1], chain.y[n : n + 1])
            exact = flat(value_and_grad(each, params)[1])
            length = {"raw": 1, "projected": rows[n] @ rows[n], "shukla_shin": d + 2}[scale]
            wanted += (exact @ rows[n]) * rows[n] / length
    estimator = ForwardGradient(per="example", noise="normal", scale=scale, tangents=2)
    found = estimator.estimate(chain, params, None, stream(3, "estimator"))
    torch.testing.assert_close(flat(found.grads), wanted / (2 * size))
    torch.testing.assert_close(found.loss, chain(params))


def test_one_direction_an_example_needs_examples():
    estimator = ForwardGradient(per="example")
    chain = MLP.chain
    coupled = Chain(chain.module, chain.x, chain.y, separable=False)
    with pytest.raises(UnsupportedError, match="mean over examples"):
        require(estimator, coupled, MLP.params)
    both = ForwardGradient(per="example", combine="orthogonal")
    with pytest.raises(UnsupportedError, match="choose combine='mean' or per='batch'"):
        require(both, chain, MLP.params)
    split = Objective(lambda p: p["w"].sum())
    split.separable = True
    with pytest.raises(UnsupportedError, match="Chain"):
        require(estimator, split, {"w": torch.zeros(2)})


# --- directions of a kind ---


def directions(estimator, count=40):
    """What the loss is pushed along: L(W, b) = Σ W + Σ b, so ĝ is a multiple of v."""
    params = {"0.w": torch.zeros(6, 2, 3), "0.b": torch.zeros(6), "1.w": torch.zeros(5, 6)}
    objective = Objective(lambda p: sum(((i + 1) * t).sum() for i, t in enumerate(p.values())))
    rng = stream(0, "estimator")
    return [estimator.estimate(objective, params, None, rng).grads for _ in range(count)]


def test_a_sparse_direction_moves_its_share_of_weights():
    drawn = torch.stack([flat(g) for g in directions(SparseForwardGradient(density=0.25))])
    live = drawn[drawn.abs().sum(1) > 0]
    share = (live != 0).double().mean()
    assert 0.18 < share < 0.32
    for row in live:
        assert len(row[row != 0].abs().unique()) == 1  # signs, all of one length


def test_a_sparse_direction_of_all_weights_is_a_dense_one():
    dense = one(ForwardGradient(), *MLP_POINT)
    torch.testing.assert_close(one(SparseForwardGradient(density=1.0), *MLP_POINT), dense)


def test_a_block_direction_stays_in_its_block():
    for grads in directions(BlockForwardGradient()):
        assert sum(g.abs().sum() > 0 for g in grads.values()) <= 1
    seen = {
        tuple(n for n, g in grads.items() if g.any())
        for grads in directions(BlockForwardGradient(blocks="stage", noise="normal"))
    }
    assert seen == {("0.w", "0.b"), ("1.w",)}


@pytest.mark.parametrize("blocks", ["tensor", "stage"])
def test_each_block_in_turn_is_the_forward_gradient_of_each(blocks):
    chain, params = MLP_POINT
    estimator = BlockForwardGradient(visit="each", blocks=blocks, noise="normal", tangents=2)
    exact, rng = value_and_grad(chain, params)[1], stream(3, "estimator")
    groups = {}
    for name in params:
        groups.setdefault(name if blocks == "tensor" else chain.stage_of(name), []).append(name)
    wanted = {n: torch.zeros_like(p) for n, p in params.items()}
    for _ in range(2):
        for names in groups.values():
            v = stacked_tangents({n: params[n] for n in names}, "normal", rng, 1)
            own = dict(zip(names, (t[0] for t in v), strict=True))
            slope = sum((exact[n] * own[n]).sum() for n in names)
            for n in names:
                wanted[n] += slope * own[n] / 2
    torch.testing.assert_close(one(estimator, chain, params), wanted)
    assert estimator.cost(chain).jvps == 2 * len(groups)
    assert BlockForwardGradient(tangents=2).cost(chain).jvps == 2


def test_portions_do_not_change_which_block_has_its_turn(monkeypatch):
    estimator = BlockForwardGradient(visit="each")
    whole = one(estimator, *MLP_POINT)
    monkeypatch.setattr("estimators.perturbation._directions.slopes.MAX_DIRECTIONS", 2)
    torch.testing.assert_close(one(estimator, *MLP_POINT), whole)


@pytest.mark.parametrize("rank", [1, 2])
def test_a_low_rank_direction_has_its_rank(rank):
    for grads in directions(LowRankForwardGradient(rank=rank, noise="normal"), 5):
        assert torch.linalg.matrix_rank(grads["0.w"].flatten(1)) == rank
        assert torch.linalg.matrix_rank(grads["1.w"]) == rank


def test_a_mean_over_many_directions_of_a_kind_tends_to_the_gradient():
    exact = flat(value_and_grad(*MLP_POINT)[1])
    for estimator in (
        SparseForwardGradient(tangents=4096, density=0.3),
        BlockForwardGradient(tangents=4096),
        LowRankForwardGradient(tangents=4096, rank=2),
    ):
        found = flat(one(estimator, *MLP_POINT))
        assert torch.cosine_similarity(found, exact, dim=0) > 0.97, estimator
        assert (found.norm() / exact.norm()).item() == pytest.approx(1, abs=0.1)


def test_a_network_with_parameters_that_no_layer_has_is_served():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones((), dtype=torch.float64))

        def forward(self, x):
            return self.gain * x

    module = nn.Sequential(nn.Linear(4, 3), Scaled()).double()
    chain = Chain(module, MLP.chain.x, MLP.chain.y)
    params = {n: p.detach() for n, p in module.named_parameters()}
    exact = value_and_grad(chain, params)[1]
    d = sum(p.numel() for p in params.values())
    estimator = ForwardGradient(tangents=d, noise="normal", combine="orthogonal")
    torch.testing.assert_close(one(estimator, chain, params), exact)
