"""Running statistics of a training: those of one pass a step, whoever drives, made once."""

from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from backend.config import RunConfig
from backend.training.clock import Clock
from backend.training.components.assemble import Labelled, assemble
from backend.training.trainer import Trainer
from estimators import (
    ActivityForwardGradient,
    Backprop,
    Claim,
    Cost,
    Estimate,
    Estimator,
    MeanOfDraws,
    UnsupportedError,
    discover,
    require,
)
from estimators.core.site import visiting

REGISTERED = [entry.cls() for entry in discover().estimators.values()]
NETWORKS = {
    "mlp": {"name": "mlp", "width": 6},
    "resnet": {"name": "resnet", "width": 2, "variant": "6_blocks"},
}


def trainer_of(estimator, network="mlp"):
    config = RunConfig.model_validate(
        {
            "dataset": {"name": "digits"},
            "network": {**NETWORKS[network], "normalisation": "batch"},
            "estimator": {"name": "backprop"},
            "optimizer": {"name": "sgd", "lr": 0.01},
            "steps": 10,
            "batch_size": 8,
        }
    )
    assembly = assemble(config)
    batches = assembly.batches(assembly.dataset.load(0).train, 8, 0)
    trainer = Trainer(assembly, batches.at(0), 10, 0, Clock())
    require(estimator, trainer.chain, trainer.params)
    trainer.switch(0, Labelled("driver", estimator))
    return trainer, batches


def buffers(module):
    return {name: b.clone() for name, b in module.named_buffers()}


def passes_of(module):
    """A list that grows by one at each pass of the network."""
    passes = []
    first = next(m for m in module.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d))
    first.register_forward_hook(lambda *_: passes.append(1))
    return passes


def assert_moved_by_one_pass(trainer, batches, steps):
    """A step's statistics are those of `module(x)` at the weights before its update."""
    module = trainer.module
    for step in range(steps):
        before, batch = buffers(module), batches.at(step)
        with torch.no_grad():
            module(batch[0])
        wanted = buffers(module)
        for name, b in module.named_buffers():
            b.copy_(before[name])
        trainer.update(step, trainer.objective(batch, step))
        # A kernel may choose another order of sums where autograd records it.
        torch.testing.assert_close(buffers(module), wanted, rtol=1e-6, atol=1e-7)
        assert any(not torch.equal(b, before[name]) for name, b in wanted.items())


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("estimator", REGISTERED, ids=lambda e: type(e).__name__)
def test_whoever_drives_the_statistics_are_those_of_one_pass(estimator, network):
    try:
        trainer, batches = trainer_of(estimator, network)
    except UnsupportedError:
        pytest.skip("it does not serve coupled examples")
    assert_moved_by_one_pass(trainer, batches, 2)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("estimator", "own", "more"),
    [(Backprop(), 1, 0), (MeanOfDraws(Backprop(), draws=3), 3, 0),
     (ActivityForwardGradient(), 1, 1)],
    ids=["backprop", "three draws of backprop", "activities"],
)  # fmt: skip
def test_the_driver_s_own_pass_is_taken_where_it_is_an_ordinary_one(estimator, own, more, network):
    trainer, batches = trainer_of(estimator, network)
    passes = passes_of(trainer.module)
    trainer.update(0, trainer.objective(batches.at(0), 0))  # with what is worked out once
    passes.clear()
    estimator.estimate(trainer.objective(batches.at(1), 1), trainer.params, None, torch.Generator())
    assert len(passes) == own
    trainer.update(1, trainer.objective(batches.at(1), 1))
    assert len(passes) == 2 * own + more


# --- passes that are not ordinary ---


@dataclass(frozen=True)
class Unusual(Estimator):
    """Backprop that first makes a pass which is no ordinary one."""

    def claim(self, objective, /):
        return Claim.EXACT

    def cost(self, objective, /):
        return Cost(forwards=2, vjps=1)

    def estimate(self, objective, params, state, rng, /):
        with torch.no_grad(), self.unusual(objective, params) as (chain, theta):
            chain(theta)
        grads = {n: torch.zeros_like(p) for n, p in params.items()}
        return Estimate(grads, torch.zeros(()))


class OtherWeights(Unusual):
    @contextmanager
    def unusual(self, chain, params):
        yield chain, {n: 1.1 * p + 0.1 for n, p in params.items()}


class WeightsChangedInPlace(Unusual):
    @contextmanager
    def unusual(self, chain, params):
        before = {n: p.clone() for n, p in params.items()}
        for p in params.values():
            p.mul_(1.1).add_(0.1)
        yield chain, params
        for n, p in params.items():
            p.copy_(before[n])


class OtherBatch(Unusual):
    @contextmanager
    def unusual(self, chain, params):
        yield chain.on(chain.x.roll(1, 2) + 1, chain.y), params


class Hooked(Unusual):
    @contextmanager
    def unusual(self, chain, params):
        leaf = next(m for m in chain.module.modules() if isinstance(m, nn.Linear | nn.Conv2d))
        with_noise = leaf.register_forward_hook(lambda m, args, y: y + 1 + y.square())
        yield chain, params
        with_noise.remove()


class Visiting(Unusual):
    @contextmanager
    def unusual(self, chain, params):
        with visiting(lambda _, z: z + 1):
            yield chain, params


class AtSites(Unusual):
    @contextmanager
    def unusual(self, chain, params):
        yield lambda theta: chain.forward(theta, at_site=lambda _, z: z + 1), params


class AtStages(Unusual):
    @contextmanager
    def unusual(self, chain, params):
        yield lambda theta: chain.forward(theta, at_stage=lambda _, h: h + 1), params


@pytest.mark.parametrize(
    "estimator",
    [cls() for cls in Unusual.__subclasses__()],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.parametrize("network", NETWORKS)
def test_no_other_pass_is_taken_for_it(estimator, network):
    assert_moved_by_one_pass(*trainer_of(estimator, network), 1)


def test_a_pass_outside_of_the_step_moves_nothing():
    trainer, batches = trainer_of(Backprop())
    objective = trainer.objective(batches.at(0), 0)
    trainer.update(0, objective)
    before = buffers(trainer.module)
    Backprop().estimate(objective, trainer.params, None, torch.Generator())
    other = trainer.objective(batches.at(1), 1)
    Backprop().estimate(other, trainer.params, None, torch.Generator())
    for name, b in trainer.module.named_buffers():
        assert torch.equal(b, before[name]), name
