"""Draws and exact gradients that rest on a solve that did not converge are counted and said."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import torch
from torch import nn

from estimators import (
    Anderson,
    Backprop,
    Claim,
    Cost,
    Estimator,
    FixedPoint,
    ForwardGradient,
    Ge,
    measure,
    probe,
    stream,
    sweep,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.implicit.solvers.record import recording_solves
from estimators.measurement.draws.solves import DrawnSolves
from estimators.measurement.draws.stream import draws as stream_of_draws
from estimators.measurement.estimates.observation import Observation, point
from tests.estimators.implicit.setup_implicit import batch, chain_of, network

SHARE = 0.3


@dataclass(frozen=True)
class SometimesFar(Estimator):
    """Backprop at the weights, or with a probability at weights where the iteration diverges."""

    share: Annotated[float, Ge(0)] = SHARE

    def claim(self, objective, /):
        return Claim.BIASED

    def cost(self, objective, /):
        return Cost(forwards=1, vjps=1)

    def estimate(self, objective, params, state, rng, /):
        if torch.rand((), generator=rng) < self.share:
            params = {n: 4 * p if "recurrent" in n else p for n, p in params.items()}
        return Backprop().estimate(objective, params, None, rng)


def far(count, label, seed=0, step=0, share=SHARE):
    """Of the draws of `SometimesFar`, how many diverge: the same random numbers."""
    rng = stream(seed, "probe", step, label)
    return sum(bool(torch.rand((), generator=rng) < share) for _ in range(count))


def net():
    return network(solver=FixedPoint(limit=150), linear_solver=Anderson())


def test_a_probe_counts_the_draws_of_each_estimator():
    chain, params = chain_of(net())
    watched = {"exact": (Backprop(), None), "far": (SometimesFar(), None)}
    found = probe(chain, params, watched, 16, seed=3, step=7)
    wanted = far(16, "far", 3, 7)
    assert 0 < wanted < 16
    assert found.not_converged == {"exact": 0, "far": wanted}
    assert found.reference_not_converged == 0
    assert f"far: {wanted} of 16 draws" in str(found)
    assert "rest on a solve that did not converge" in str(found)


def test_measure_counts_as_a_probe_does():
    estimators = {"exact": Backprop(), "far": SometimesFar()}
    loss = nn.CrossEntropyLoss()
    found = measure(net(), loss, batch(), estimators, draws=40, seed=2)
    wanted = far(40, "far", 2)
    assert 0 < wanted < 40
    assert found.not_converged == {"exact": 0, "far": wanted}
    assert found.to_dict()["not_converged"] == found.not_converged
    finding = found.findings["far"][0]
    assert finding.text.startswith(f"{wanted} of 40 draws")
    assert "did not converge" not in found.findings["exact"][0].text


def test_a_sweep_counts_at_each_value():
    found = sweep(
        net(),
        nn.CrossEntropyLoss(),
        batch(),
        {"far": SometimesFar()},
        "share",
        [0.0, 0.5],
        draws=12,
    )
    none, some = (each.not_converged["far"] for each in found.measurements)
    assert (none, some) == (0, far(12, "far", share=0.5))
    assert some > 0


def test_merged_observations_add():
    chain, params = chain_of(net())
    at = point(chain, params)
    parts = []
    for seed in (0, 1):
        observation = Observation("far", SometimesFar(), None, at, seed=seed)
        for _ in observation.take(10):
            pass
        parts.append(observation)
    counts = [part.solves.unconverged for part in parts]
    assert counts == [far(10, "far", 0), far(10, "far", 1)]
    parts[0].merge(parts[1])
    assert parts[0].solves.unconverged == sum(counts)


def test_an_exact_gradient_that_did_not_converge_is_said_once():
    hard = network(solver=FixedPoint(limit=4), linear_solver=Anderson())
    found = measure(
        hard, nn.CrossEntropyLoss(), batch(), {"a": Backprop(), "b": Backprop()}, draws=4
    )
    assert found.reference_not_converged == 6
    assert found.not_converged == {"a": 4, "b": 4}
    sentence = "the exact gradient itself rests on a solve that did not converge for 6 examples"
    assert str(found).count(sentence) == 1
    (notice,) = found.notices
    assert notice.startswith("the derivatives in forward and in reverse mode could not be compared")


def test_draws_of_a_batch_are_counted_one_by_one():
    """One tangent whose linear solve fails is one draw, and the draws stay what they were."""
    chain, params = chain_of(network(linear_solver=FixedPoint(limit=64)))
    estimator = ForwardGradient()
    wanted = []
    rng = stream(5, "probe", 0, "it")
    for _ in range(12):
        with recording_solves() as record:
            grads = estimator.estimate(chain, params, None, rng).grads
        wanted.append((not record.converged, grads["1.0.cell.recurrent.weight"]))
    solves = DrawnSolves(chain)
    chunks = list(
        stream_of_draws(chain, params, estimator, None, 12, 5, label="it", solves=solves, chunk=5)
    )
    assert solves.unconverged == sum(lost for lost, _ in wanted)
    made = torch.cat([chunk["1.0.cell.recurrent.weight"] for chunk in chunks])
    expected = torch.stack([grads for _, grads in wanted])
    torch.testing.assert_close(made, expected, rtol=1e-10, atol=1e-12)


def test_without_equilibria_there_is_nothing_to_count():
    plain = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    chain, params = chain_of(plain)
    found = probe(chain, params, {"bp": (Backprop(), None)}, 4)
    assert found.not_converged == {}
    assert found.reference_not_converged is None
    measured = measure(plain, nn.CrossEntropyLoss(), batch(), Backprop(), draws=4)
    assert (measured.not_converged, measured.reference_not_converged) == ({}, None)


@pytest.mark.parametrize("source", ["honest", "oracle"])
def test_a_measurement_is_the_same_number_as_before(source):
    """Recording and drawing one by one change no draw."""
    chain, params = chain_of(net())
    found = measure(
        net(), nn.CrossEntropyLoss(), batch(), {"fg": ForwardGradient()}, draws=20, source=source
    )
    exact = value_and_grad(chain, params)[1]
    rng = stream(0, "probe", 0, "fg")
    cosines = []
    for _ in range(20):
        grads = ForwardGradient().estimate(chain, params, None, rng).grads
        dots = [sum((a[n] * b[n]).sum() for n in exact) for a, b in
                ((grads, exact), (grads, grads), (exact, exact))]  # fmt: skip
        cosines.append((dots[0] / (dots[1] * dots[2]).sqrt()).item())
    assert found.value("cosine", "fg") == pytest.approx(sum(cosines) / 20, rel=1e-9)
