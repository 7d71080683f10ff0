"""Laws against exact enumeration, closed forms, and draws, tensor by tensor."""

import pytest
import torch
from torch import nn

from estimators import (
    ActivityForwardGradient,
    AveragedProjected,
    Backprop,
    BlockForwardGradient,
    Chain,
    ClipNorm,
    CoordinateImportance,
    ExactPlusNoise,
    ForwardGradient,
    GuidedES,
    LocalLosses,
    LowRankForwardGradient,
    MeanOfDraws,
    Momentum,
    Objective,
    SignOf,
    Site,
    SparseForwardGradient,
    Stale,
    discover,
    stream,
)
from estimators.adapters.torchzero_module import TorchzeroModule
from estimators.autodiff.calculus import value_and_grad
from estimators.combine import guided_es
from estimators.conformance import CHECKS, Trial, every_case, served, settings
from estimators.core.laws import forward_gradient_variance, squares_of_examples
from estimators.perturbation.evolution_strategy import _moments_of_ranks
from tests.estimators.every_noise import assert_is, grid, moments

CASES = {case.name: case for case in every_case()}
FOUND = {name: entry.cls for name, entry in discover().estimators.items()}

# --- against every value of the noise, in float64 ---

G = {"a": torch.tensor([[0.3, -1.1], [0.7, 0.2]], dtype=torch.float64),
     "b": torch.tensor([0.5, -0.4, 1.3], dtype=torch.float64)}  # fmt: skip
D = 7


def along(v):
    """(g·v) v for directions {name: (n, ...)}."""
    c = sum((t * G[n]).flatten(1).sum(1) for n, t in v.items())
    return {n: c.view(-1, *[1] * (t.ndim - 1)) * t for n, t in v.items()}


@pytest.mark.parametrize("noise", ["rademacher", "normal"])
@pytest.mark.parametrize("scale", ["raw", "shukla_shin"])
def test_every_direction(noise, scale):
    v, w = grid(D, noise)
    each = along({"a": v[:, :4].view(-1, 2, 2), "b": v[:, 4:]})
    factor = 1.0 if scale == "raw" else 1 / (D + {"rademacher": 0, "normal": 2}[noise])
    spread, mean = moments({n: g * factor for n, g in each.items()}, w)
    estimator = ForwardGradient(noise=noise, scale=scale)
    assert_is(estimator.law(None, G, None, G), spread, mean, G)


def test_a_single_sign_vector_spans_itself():
    single = ForwardGradient(combine="orthogonal").law(None, G, None, G)
    assert single == ForwardGradient().law(None, G, None, G)
    assert ForwardGradient(combine="orthogonal", tangents=2).law(None, G, None, G) is None


def test_every_sparse_direction():
    v, w = grid(D, "sparse")
    spread, mean = moments(along({"a": v[:, :4].view(-1, 2, 2), "b": v[:, 4:]}), w)
    assert_is(SparseForwardGradient(density=0.25).law(None, G, None, G), spread, mean, G)


@pytest.mark.parametrize(("rank", "noise"), [(1, "rademacher"), (1, "normal"), (2, "rademacher")])
def test_every_low_rank_direction(rank, noise):
    v, w = grid(4 * rank + 3, noise)
    left, right = v[:, : 2 * rank].view(-1, 2, rank), v[:, 2 * rank : 4 * rank].view(-1, rank, 2)
    spread, mean = moments(along({"a": left @ right / rank**0.5, "b": v[:, 4 * rank :]}), w)
    law = LowRankForwardGradient(rank=rank, noise=noise).law(None, G, None, G)
    assert_is(law, spread, mean, G)


@pytest.mark.parametrize("noise", ["rademacher", "normal"])
def test_every_direction_of_every_block(noise):
    v, w = grid(D, noise)
    whole = {"a": v[:, :4].view(-1, 2, 2) * 2**0.5, "b": v[:, 4:] * 2**0.5}
    still = {n: torch.zeros_like(t) for n, t in whole.items()}
    parts = [along({**still, n: t}) for n, t in whole.items()]
    both = {n: torch.cat([part[n] for part in parts]) for n in G}
    spread, mean = moments(both, torch.cat([w, w]) / 2)
    assert_is(BlockForwardGradient(noise=noise).law(None, G, None, G), spread, mean, G)


def test_a_block_on_a_sphere_is_a_forward_gradient_of_its_own():
    law = BlockForwardGradient(visit="each", noise="sphere").law(None, G, None, G)
    for name, g in G.items():
        assert law.variance[name] == pytest.approx(
            forward_gradient_variance({name: g}, "sphere")[name]
        )


def test_weight_perturbation_in_numbers():
    g = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([4.0])}
    assert forward_gradient_variance(g, "normal") == pytest.approx({"a": 2 * 25 + 9, "b": 25 + 16})
    assert forward_gradient_variance(g) == pytest.approx({"a": 2 * 25 - 9, "b": 25 - 16})
    sphere = forward_gradient_variance(g, "sphere")
    assert sum(sphere.values()) == pytest.approx((3 - 1) * 25)  # (d − 1) ‖g‖²
    projected = forward_gradient_variance(g, "sphere", scale="projected")
    assert sum(projected.values()) == pytest.approx((3 - 1) * 25 / 9)


def test_the_gradients_of_examples_one_by_one():
    case = CASES["cnn"]
    found = squares_of_examples(case.chain, case.params)
    for name in case.params:
        each = 0.0
        for n in range(6):
            one = case.chain.on(case.chain.x[n : n + 1], case.chain.y[n : n + 1])
            each += value_and_grad(one, case.params)[1][name].square().sum().item() / 36
        assert found[name] == pytest.approx(each)


def test_every_perturbation_of_a_guided_search(monkeypatch):
    """Of three numbers, in two tensors; two directions are known, one of them the gradient."""
    g = {"a": torch.tensor([0.5, -1.2]).double(), "b": torch.tensor([0.8]).double()}
    linear = Objective(lambda p: sum((p[n] * g[n]).sum() for n in g))
    estimator = GuidedES(guide=Backprop(), subspace=2, alpha=0.3, beta=1.5, pairs=1)
    state = {"guide": None, "directions": torch.tensor([[0.2, 0.4, -1.0]]).double()}
    values, w = grid(5, "normal")
    found = {n: [] for n in g}
    for v in values:
        pieces = iter((v[:3].clone(), v[3:]))
        monkeypatch.setattr(guided_es, "noise", lambda *_, pieces=pieces: next(pieces))
        one = estimator.estimate(
            linear, {n: torch.zeros_like(t) for n, t in g.items()}, state, None
        )
        for n in g:
            found[n].append(one.grads[n])
    spread, mean = moments({n: torch.stack(t) for n, t in found.items()}, w)
    assert_is(estimator.law(linear, g, state, g), spread, mean, g)


@pytest.mark.parametrize("pairs", [1, 2, 3, 16])
def test_the_ranks_of_pairs_of_losses(pairs):
    """Against 40,000 populations of normal slopes, ranked as the estimator ranks losses."""
    t = torch.randn(40_000, pairs, generator=stream(0, "data"), dtype=torch.float64)
    ranks = torch.cat([t, -t], 1).argsort(1).argsort(1).double() / (2 * pairs - 1) - 0.5
    s = ranks[:, :pairs] - ranks[:, pairs:]
    slopes, mean, spread = _moments_of_ranks(pairs)
    assert torch.allclose(s.square().sum(1) / pairs**2, torch.tensor(slopes).double())
    T = (s * t).mean(1)
    assert abs(T.mean() - mean) <= 5 * T.std() / 200
    off = (T - T.mean()).square()
    assert abs(off.mean() - spread) <= 5 * off.std() / 200


STATES = [
    Trial(estimator, case)
    for name, cls in FOUND.items()
    for place, estimator in enumerate(settings(cls))
    for case in [CASES["cnn" if place % 2 else "mlp"]]
    if served(estimator, case)
    and estimator.init(case.chain, case.params, stream(0, "init")) is not None
    and (name != "local_losses" or place == 0)
]


OTHERS = [
    CoordinateImportance(mix=0.2, coordinates=20, uniform=0.5),
    CoordinateImportance(mix=0.0, coordinates=30),
    GuidedES(alpha=0.2, beta=3.0, sigma=1e-3),
    ExactPlusNoise(snr=3.0),
    Momentum(beta=0.5),
    Momentum(inner=ActivityForwardGradient(), beta=0.5),
    AveragedProjected(rate=0.5, power=1.0),
    SparseForwardGradient(density=0.4),
    ClipNorm(inner=Backprop(), norm=0.1),
    Stale(inner=ForwardGradient(), steps=5),  # not yet so late after three steps
    MeanOfDraws(inner=LocalLosses(), draws=2),
    ExactPlusNoise(noise="shape", inner=ForwardGradient(scale="projected")),
]
"""Fields that settings do not change: numbers that are no counts, and other inner estimators."""
STATES += [Trial(estimator, CASES["mlp"]) for estimator in OTHERS]


@pytest.mark.parametrize("trial", STATES, ids=lambda trial: trial.name)
def test_laws_after_some_steps(trial):
    """At first states are empty: no past to average, no feedback. Conformance looks at these."""
    rng = stream(3, "estimator")
    for _ in range(3):
        trial.state = trial.estimate(trial.case.params, trial.state, rng).state
    CHECKS["obeys its law"](trial)


# --- where there is none ---


@pytest.mark.parametrize(
    "wrap", [ClipNorm(), SignOf(ForwardGradient()), GuidedES(ForwardGradient())]
)
def test_what_hangs_on_a_whole_distribution_has_no_law(wrap):
    case = CASES["mlp"]
    exact = value_and_grad(case.chain, case.params)[1]
    state = wrap.init(case.chain, case.params, stream(0, "init"))
    assert wrap.law(case.chain, case.params, state, exact) is None


def test_every_estimator_offers_a_law_in_some_setting():
    for cls in FOUND.values():
        if cls is TorchzeroModule:  # whatever the chain is, nothing is known of its draws
            continue
        found = []
        for estimator in settings(cls):
            for case in filter(lambda case: served(estimator, case), CASES.values()):
                found.append(Trial(estimator, case).law)
        assert any(law is not None for law in found), cls


# --- Table 1 of Ren et al. (2022), arXiv:2210.03310 ---


def ren(p=4, q=6, n=5):
    """One dense layer with a linear loss of its output: per-example gradients x_n δ_nᵀ."""
    rng = stream(0, "init")
    x = torch.randn(n, p, generator=rng, dtype=torch.float64)
    delta = torch.randn(n, q, generator=rng, dtype=torch.float64)
    module = nn.Sequential(nn.Linear(p, q, bias=False), Site()).double()
    chain = Chain(module, x, delta, lambda z, d: (z * d).sum(1))
    each = torch.einsum("nq,np->nqp", delta, x)
    v = (each.square().mean(0) - each.mean(0).square()).mean().item()
    s = each.mean(0).square().mean().item()
    return chain, {k: t.detach() for k, t in module.named_parameters()}, v, s


TABLE = {
    "weight, shared": (ForwardGradient(noise="normal"), lambda p, q, n, v, s: (p * q + 1) * s),
    "weight, independent": (
        ForwardGradient(noise="normal", per="example"),
        lambda p, q, n, v, s: (p * q + 1) / n * (v + s),
    ),
    "activity, shared": (
        ActivityForwardGradient(noise="normal", sharing="batch"),
        lambda p, q, n, v, s: (q + 1) * s,
    ),
    "activity, independent": (
        ActivityForwardGradient(noise="normal"),
        lambda p, q, n, v, s: (q + 1) / n * (v + s),
    ),
}


@pytest.mark.parametrize("row", TABLE)
def test_table_1_of_ren_et_al(row):
    """Per coordinate: (pq + 2)/N V + (pq + 1) S and (pq + 2)/N V + (pq + 1)/N S; q for pq.

    V and S are of the N examples at hand, so that the mean over examples has no scatter of
    its own: the term V/N of the sampling of data is left out of all.
    """
    p, q, n = 4, 6, 5
    chain, params, v, s = ren(p, q, n)
    exact = value_and_grad(chain, params)[1]
    estimator, table = TABLE[row]
    law = estimator.law(chain, params, None, exact).variance
    assert law["0.weight"] / (p * q) == pytest.approx(table(p, q, n, v, s))


def test_cosine_of_many_tangents():
    """√(K / (K + d + 1)) for the mean of K normal tangents."""
    d, k = 50, 32
    a = torch.randn(d, dtype=torch.float64, generator=stream(0, "init"))
    objective = Objective(lambda p: p["w"] @ a)
    params = {"w": torch.zeros(d, dtype=torch.float64)}
    rng = stream(0, "estimator")
    estimator = ForwardGradient(tangents=k, noise="normal")
    draws = [estimator.estimate(objective, params, None, rng).grads["w"] for _ in range(100)]
    cosines = torch.stack([torch.cosine_similarity(g, a, dim=0) for g in draws])
    assert abs(cosines.mean() - (k / (k + d + 1)) ** 0.5) < 0.03
