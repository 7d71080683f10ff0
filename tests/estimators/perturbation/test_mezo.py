"""MeZO is SPSA that keeps seeds, and perturbs one stage at a time."""

import weakref
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import nn

from benchmarks.mezo import peak
from estimators import SPSA, Chain, Objective, stream
from estimators.conformance import cases
from estimators.conformance.checks import reports_the_loss
from estimators.conformance.trial import Trial
from estimators.perturbation._directions.replay import Direction, perturbed
from estimators.perturbation.mezo import MeZO

CASES = cases()
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def same(found, wanted, params):
    return all(torch.equal(found[name], wanted[name]) for name in params)


@each_case
@pytest.mark.parametrize("pairs", [1, 3])
def test_the_gradient_is_spsas_bit_by_bit_with_the_same_seed(case, pairs):
    """Twice in a row from one generator: it must stand where SPSA leaves it."""
    mine, theirs = stream(0, "estimator"), stream(0, "estimator")
    for _ in range(2):
        lazy = MeZO(pairs=pairs).estimate(case.chain, case.params, None, mine)
        kept = SPSA(pairs=pairs, noise="normal").estimate(case.chain, case.params, None, theirs)
        assert same(lazy.grads, kept.grads, case.params)


@each_case
def test_with_signs_it_is_spsa_along_the_same_direction(case):
    v = dict(Direction(case.params, "rademacher", stream(0, "estimator")))
    lazy = MeZO(eps=0.01, noise="rademacher").estimate(
        case.chain, case.params, None, stream(0, "estimator")
    )
    forward, backward = (
        case.chain({n: p + s * v[n] for n, p in case.params.items()}) for s in (0.01, -0.01)
    )
    for name in case.params:
        torch.testing.assert_close(lazy.grads[name], (forward - backward) / 0.02 * v[name])
        assert (v[name].abs() == 1).all()
    torch.testing.assert_close(lazy.loss, (forward + backward) / 2)


@each_case
@pytest.mark.parametrize("pairs", [1, 3])
def test_it_runs_the_network_twice_for_each_pair(case, pairs):
    passes = []
    hook = case.chain.module.register_forward_hook(lambda *_: passes.append(1))
    try:
        MeZO(pairs=pairs).estimate(case.chain, case.params, None, stream(0, "estimator"))
    finally:
        hook.remove()
    assert len(passes) == MeZO(pairs=pairs).cost(case.chain).forwards == 2 * pairs


@dataclass(frozen=True)
class Misreporting(MeZO):
    """Reports another loss, such as that of one side."""

    report: str = "mean"

    def estimate(self, objective, params, state, rng):
        right = super().estimate(objective, params, state, rng)
        v = dict(Direction(params, self.noise, stream(0, "estimator")))
        side = objective({n: p + self.eps * v[n] for n, p in params.items()})
        return right._replace(loss={"mean": right.loss, "side": side}[self.report])


@each_case
def test_the_check_of_the_loss_allows_the_mean_of_both_sides_and_not_one_of_them(case):
    reports_the_loss(Trial(Misreporting(), case))
    with pytest.raises(AssertionError, match="the objective's is"):
        reports_the_loss(Trial(Misreporting(report="side"), case))


def test_the_gradient_can_be_asked_for_in_any_order_and_again():
    case = CASES[1]
    grads = MeZO(pairs=2).estimate(case.chain, case.params, None, stream(0, "estimator")).grads
    kept = dict(grads)
    assert list(grads) == list(case.params)
    assert len(grads) == len(case.params)
    for name in reversed(list(case.params)):
        assert torch.equal(grads[name], kept[name])
        assert grads[name] is not grads[name]
    with pytest.raises(KeyError):
        grads["nothing"]


def test_an_update_tensor_by_tensor_is_an_update_at_once():
    case = CASES[0]
    grads = MeZO().estimate(case.chain, case.params, None, stream(0, "estimator")).grads
    params = {n: p.clone() for n, p in case.params.items()}
    lazy = MeZO().estimate(case.chain, params, None, stream(0, "estimator")).grads
    for name, p in params.items():
        p.sub_(lazy[name])
    for name, p in case.params.items():
        assert torch.equal(params[name], p - grads[name])


class Odd(nn.Module):
    """Uses a submodule's weight without calling it."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return torch.tanh(x @ self.inner.weight + self.inner.bias)


def tied():
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    return nn.Sequential(first, nn.Tanh(), second)


NETWORKS = {
    "tied": tied,
    "submodules that are not called": lambda: nn.Sequential(Odd(), nn.Linear(4, 4), Odd()),
    "not a chain of stages": Odd,
    "batch norm": lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)),
}


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_every_use_of_a_parameter_is_perturbed(build):
    torch.manual_seed(0)
    module = build().double()
    chain = Chain(module, torch.randn(5, 4).double(), torch.randint(3, (5,)))
    params = {n: p.detach() for n, p in module.named_parameters()}
    before = {n: t.clone() for n, t in module.state_dict().items()}
    lazy = MeZO(eps=0.1).estimate(chain, params, None, stream(0, "estimator"))
    kept = SPSA(eps=0.1, noise="normal").estimate(chain, params, None, stream(0, "estimator"))
    assert same(lazy.grads, kept.grads, params)
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())
    assert all(isinstance(p, nn.Parameter) for p in module.parameters())


def test_a_plain_loss_reads_its_parameters_lazily_in_any_order():
    params = {"a": torch.ones(3).double(), "unused": torch.ones(2), "b": torch.ones(4).double()}
    objective = Objective(lambda p: (p["b"] ** 3).sum() * p["a"].prod())
    mine, theirs = stream(0, "estimator"), stream(0, "estimator")
    lazy = MeZO(pairs=2).estimate(objective, params, None, mine)
    kept = SPSA(pairs=2, noise="normal").estimate(objective, params, None, theirs)
    for name in params:
        torch.testing.assert_close(lazy.grads[name], kept.grads[name])
    assert torch.equal(mine.get_state(), theirs.get_state())


def test_one_stage_alone_is_perturbed_at_a_time():
    case = CASES[0]
    alive: dict[str, weakref.ref] = {}
    seen = []

    def make(name):
        stage = case.chain.stage_of(name)
        assert all(case.chain.stage_of(n) == stage for n, t in alive.items() if t() is not None)
        made = case.params[name] + 1
        alive[name] = weakref.ref(made)
        seen.append(name)
        return made

    with perturbed(case.chain, case.params, make):
        loss = case.chain({})
    assert seen == list(case.params)
    assert all(t() is None for t in alive.values())
    assert torch.equal(loss, case.chain({n: p + 1 for n, p in case.params.items()}))


def test_the_network_is_itself_again_after_a_failure():
    case = CASES[0]
    before = dict(case.chain.module.named_parameters())

    def make(name):
        return torch.ones(7, 7).double()  # of a shape that fits nowhere

    with (
        pytest.raises(RuntimeError),
        perturbed(case.chain, case.params, make),
    ):
        case.chain({})
    after = dict(case.chain.module.named_parameters())
    assert all(after[n] is p for n, p in before.items())
    assert torch.isfinite(case.chain(case.params))


def test_it_takes_little_more_memory_than_inference():
    sizes = [64, 128, 128, 128, 128, 10]
    module = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))
    chain = Chain(module, torch.randn(32, 64), torch.randint(10, (32,)))
    params = {n: p.detach() for n, p in module.named_parameters()}
    weights = sum(p.nbytes for p in params.values())
    largest = 4 * (128 * 128 + 128)

    def step(estimator):
        grads = estimator.estimate(chain, params, None, stream(0, "estimator")).grads
        for name, p in params.items():
            p.sub_(grads[name], alpha=1e-4)

    inference = weights + peak(lambda: chain(params))
    assert weights + peak(lambda: step(MeZO())) <= 1.1 * inference + largest
    assert weights + peak(lambda: step(SPSA(noise="normal"))) > 1.1 * inference + largest
