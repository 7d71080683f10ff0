"""Draws in chunks: the same, draw by draw, as the estimator's own."""

import dataclasses

import pytest
import torch

from estimators import (
    SPSA,
    ActivityForwardGradient,
    Backprop,
    Chain,
    DirectFeedbackAlignment,
    Estimate,
    ForwardGradient,
    UnsupportedError,
    stream,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import every_case, served
from estimators.core.noise import stacked_tangents
from estimators.measurement.draws.stream import draws, has_oracle
from estimators.perturbation._directions import draws as weights
from estimators.perturbation._directions import sign_products as products
from estimators.perturbation._directions.draws import oracle_numbers
from estimators.perturbation._directions.sign_products import sign_products

CASES = {case.name: case for case in every_case()}
ORACLES = [
    ForwardGradient(),
    ForwardGradient(noise="normal", tangents=3),
    ForwardGradient(noise="normal", scale="projected"),
    ForwardGradient(noise="sphere", scale="shukla_shin", tangents=2),
    ActivityForwardGradient(),
    ActivityForwardGradient(noise="normal", tangents=3),
    ActivityForwardGradient(tangents=18),
    ActivityForwardGradient(sharing="batch"),
    ActivityForwardGradient(unit="channel"),
]
COUNT = 11


def own(case, estimator):
    """What a plain loop gives, of the same noise."""
    rng = stream(0, "probe", 0, "")
    state = estimator.init(case.chain, case.params, stream(0, "init"))
    each = [estimator.estimate(case.chain, case.params, state, rng).grads for _ in range(COUNT)]
    return state, {n: torch.stack([g[n] for g in each]) for n in case.params}


def joined(chunks):
    chunks = list(chunks)
    return {n: torch.cat([c[n] for c in chunks]) for n in chunks[0]}


def same(found, expected):
    return all(torch.allclose(found[n], expected[n], rtol=1e-9, atol=1e-11) for n in expected)


@pytest.mark.parametrize(
    ("case", "estimator"),
    [(case, e) for case in CASES.values() for e in ORACLES if served(e, case)],
    ids=lambda x: getattr(x, "name", None) or str(x),
)
def test_oracles_equal_honest_draws_draw_by_draw(case, estimator):
    state, expected = own(case, estimator)
    for source in ("honest", "oracle"):
        chunks = draws(case.chain, case.params, estimator, state, COUNT, source=source)
        assert same(joined(chunks), expected), source


@pytest.mark.parametrize("estimator", [SPSA(), DirectFeedbackAlignment(), Backprop()], ids=str)
def test_other_estimators_are_drawn_one_by_one(estimator):
    case = CASES["mlp"]
    state, expected = own(case, estimator)
    found = draws(case.chain, case.params, estimator, state, COUNT, chunk=4)
    assert same(joined(found), expected)
    with pytest.raises(UnsupportedError, match="has no oracle here"):
        draws(case.chain, case.params, estimator, state, COUNT, source="oracle")
    assert not has_oracle(estimator, case.chain, case.params, state)


def test_no_oracle_where_examples_are_coupled():
    case = CASES["mlp"]
    coupled = Chain(case.chain.module, case.chain.x, case.chain.y, separable=False)
    assert not has_oracle(ActivityForwardGradient(), coupled, case.params, None)
    assert has_oracle(ForwardGradient(), coupled, case.params, None)


def test_tangents_that_do_not_fit_are_summed_in_portions(monkeypatch):
    case, estimator = CASES["mlp"], ForwardGradient(tangents=7)
    state, expected = own(case, estimator)
    monkeypatch.setattr(weights, "MAX_NUMBERS", 200)
    for source in ("honest", "oracle"):
        found = draws(case.chain, case.params, estimator, state, COUNT, source=source)
        assert same(joined(found), expected), source


def test_a_plug_in_may_offer_its_own_oracle():
    @dataclasses.dataclass(frozen=True)
    class Own(ForwardGradient):
        def oracle(self, objective, params, state, exact, rng, /):
            v = {n: torch.randn(g.shape, generator=rng, dtype=g.dtype) for n, g in exact.items()}
            return Estimate(v, torch.zeros(()))

    case = CASES["mlp"]
    found = joined(draws(case.chain, case.params, Own(), None, 3, source="oracle"))
    rng = stream(0, "probe", 0, "")
    first = next(iter(case.params))
    p = case.params[first]
    assert torch.equal(found[first][0], torch.randn(p.shape, generator=rng, dtype=p.dtype))


def test_chunks_come_early_and_repeat_with_the_seed():
    case = CASES["mlp"]
    chunks = list(draws(case.chain, case.params, ForwardGradient(), None, 50))
    assert [len(next(iter(c.values()))) for c in chunks] == [8, 32, 10]
    again = joined(draws(case.chain, case.params, ForwardGradient(), None, 50, chunk=7))
    assert same(joined(chunks), again)
    other = joined(draws(case.chain, case.params, ForwardGradient(), None, 50, seed=1))
    assert not same(other, again)
    with pytest.raises(ValueError, match="at least 1"):
        draws(case.chain, case.params, ForwardGradient(), None, 0)


@pytest.mark.parametrize("cached", [1, 2**20], ids=["in turn", "together"])
@pytest.mark.parametrize("noise", ["rademacher", "normal", "sphere"])
def test_streaming_products_are_those_of_the_draws(noise, cached, monkeypatch):
    monkeypatch.setattr(weights, "MAX_CACHED_NUMBERS", cached)
    case, estimator = CASES["cnn"], ForwardGradient(noise=noise)
    _, expected = own(case, estimator)
    exact = value_and_grad(case.chain, case.params)[1]
    dots, squares = oracle_numbers(noise, case.params, exact, COUNT, stream(0, "probe", 0, ""))
    for t, (name, g) in enumerate(exact.items()):
        assert torch.allclose(dots[:, t], (expected[name] * g).flatten(1).sum(1))
        assert torch.allclose(squares[:, t], expected[name].flatten(1).square().sum(1))
    with pytest.raises(ValueError, match="noise is 'cauchy'; one of rademacher"):
        oracle_numbers("cauchy", case.params, exact, 1, stream(0, "probe"))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_products_with_signs_are_those_of_the_tangents(monkeypatch, dtype):
    monkeypatch.setattr(products, "CACHED", 7 * COUNT * 8)  # pieces of 7 bytes, 56 entries
    rng = torch.Generator().manual_seed(0)
    # Whole bytes and not, whole pieces and not, a number, none.
    sizes = ((1,), (8,), (3, 5), (7, 8), (4, 57), (), (0,))
    exact = [torch.randn(s, generator=rng, dtype=torch.float64).to(dtype) for s in sizes]
    like = {str(i): g for i, g in enumerate(exact)}
    found = sign_products(exact, COUNT, stream(0, "probe"))
    tangents = stacked_tangents(like, "rademacher", stream(0, "probe"), COUNT)
    for t, (v, g) in enumerate(zip(tangents, exact, strict=True)):
        expected = (v.double() * g.double()).reshape(COUNT, g.numel()).sum(1)
        assert torch.allclose(found[:, t], expected, atol=1e-4, rtol=1e-5), sizes[t]
