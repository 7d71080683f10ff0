"""Batch normalisation: what estimates read, what the training moves, what validation sees."""

import pytest
import torch
from torch import nn

from backend.catalogue.validation import validate
from backend.training.control import Control
from backend.training.datasets import Part, Split
from backend.training.evaluation.batch_norm import RunningStatistics, evaluating
from backend.training.evaluation.evaluation import Evaluation
from backend.training.loop import Run
from backend.training.networks import networks
from estimators import ActivityForwardGradient, Backprop, Chain, Claim, ForwardGradient, stream
from estimators.autodiff.calculus import value_and_grad

NETWORKS = [("mlp", (1, 8, 8)), ("cnn", (1, 8, 8)), ("bacho_cnn", (1, 8, 8))]
SMALL = {"mlp": {"width": 6}, "cnn": {"channels": 2}, "bacho_cnn": {}}


def built(name, shape=(1, 8, 8), normalisation="batch"):
    network = networks()[name](normalisation=normalisation, **SMALL[name])
    rng = stream(0, "init", name)
    module = network.build(shape, 10, rng)
    x, y = torch.rand(16, *shape, generator=rng), torch.randint(10, (16,), generator=rng)
    return module, x, y


def buffers(module):
    return {n: b.clone() for n, b in module.named_buffers()}


@pytest.mark.parametrize("name", [n for n, _ in NETWORKS])
@pytest.mark.parametrize("estimator", [Backprop(), ForwardGradient(), ActivityForwardGradient()])
def test_an_estimate_moves_no_running_statistics(name, estimator):
    module, x, y = built(name)
    before = buffers(module)
    params = {n: p.detach() for n, p in module.named_parameters()}
    estimator.estimate(Chain(module, x, y), params, None, stream(0, "estimator"))
    for key, b in module.named_buffers():
        assert torch.equal(b, before[key]), key


@pytest.mark.parametrize("name", [n for n, _ in NETWORKS])
@pytest.mark.parametrize("normalisation", ["none", "layer", "group", "batch"])
def test_claims_say_what_follows_from_coupled_examples(name, normalisation):
    module, x, y = built(name, normalisation=normalisation)
    chain = Chain(module, x, y)
    coupled = normalisation == "batch"
    assert chain.separable is not coupled
    wanted = Claim.BIASED if coupled else Claim.UNBIASED
    assert ActivityForwardGradient().claim(chain) is wanted
    assert ForwardGradient().claim(chain) is Claim.UNBIASED
    assert Backprop().claim(chain) is Claim.EXACT


def test_the_bias_of_coefficients_for_each_example_is_large_under_batch_normalisation():
    module, x, y = built("mlp")
    module.double()
    x = x.double()
    params = {n: p.detach() for n, p in module.named_parameters()}
    chain = Chain(module, x, y)
    exact = value_and_grad(chain, params)[1]
    rng, count = stream(0, "estimator"), 500
    draws = [ActivityForwardGradient().estimate(chain, params, None, rng) for _ in range(count)]
    each = torch.stack([torch.cat([g.flatten() for g in d.grads.values()]) for d in draws])
    g = torch.cat([g.flatten() for g in exact.values()])
    noise = each.var(0).sum() / count
    relative = ((each.mean(0) - g).square().sum() - noise) / g.square().sum()
    assert relative > 0.02
    assert relative > 3 * noise / g.square().sum() * (2 / len(g)) ** 0.5


def test_a_step_moves_them_once_as_a_training_forward_pass_does():
    module, x, y = built("mlp")
    other, _, _ = built("mlp")
    other.train()(x)
    RunningStatistics(module).update(Chain(module, x, y))
    for key, b in module.named_buffers():
        assert torch.equal(b, dict(other.named_buffers())[key]), key
    assert module[0].norm.num_batches_tracked == 1


def test_without_batch_normalisation_nothing_passes():
    class Silent(nn.Module):
        def forward(self, x):
            raise AssertionError("a pass was made")

    x = torch.zeros(2, 3)
    RunningStatistics(silent := Silent()).update(Chain(silent, x, x))


def test_evaluation_uses_running_statistics_and_moves_none():
    module, x, y = built("mlp")
    RunningStatistics(module).update(Chain(module, x, y))
    before = buffers(module)
    part = Part(x, y)
    found = dict(Evaluation(module, Split(part, part, part), 10, 4).last())
    assert module.training
    for key, b in module.named_buffers():
        assert torch.equal(b, before[key])
    with evaluating(module), torch.no_grad():
        wanted = nn.functional.cross_entropy(module(x), y)
    assert not module[0].training or module.training
    torch.testing.assert_close(found["test/loss"], wanted)
    with torch.no_grad():
        assert not torch.allclose(Chain(module, x, y)(dict(module.named_parameters())), wanted)


def test_a_run_counts_its_steps_whatever_is_probed(config):
    seen = []
    for probe in ({"budget": 0}, {"draws": 3, "every": 2}):
        network = {"name": "mlp", "width": 6, "normalisation": "batch"}
        run = Run(config(network=network, steps=8, probe=probe), Control(), None, (), "cpu")
        for _ in run.records():
            pass
        seen.append(buffers(run._trainer.module))
        assert seen[-1]["hidden1.norm.num_batches_tracked"] == 8
    for key, b in seen[0].items():
        assert torch.equal(b, seen[1][key]), key


def test_a_batch_of_one_is_refused_under_batch_normalisation(config):
    network = {"name": "mlp", "width": 6, "normalisation": "batch"}
    answer = validate(config(network=network, batch_size=1).model_dump())
    (error,) = answer["errors"]
    assert error["loc"] == ["batch_size"]
    assert "batch normalisation" in error["msg"]
    assert not validate(config(network=network, batch_size=2).model_dump())["errors"]


def test_bachos_network_has_the_papers_layers():
    module = networks()["bacho_cnn"](padding="none").layout((1, 28, 28), 10)
    shapes = [tuple(p.shape) for n, p in module.named_parameters() if n.endswith("weight")]
    assert shapes == [(15, 1, 5, 5), (40, 15, 5, 5), (128, 40 * 10 * 10), (10, 128)]
    assert not any(isinstance(m, nn.MaxPool2d) for m in module.conv1.modules())
    with pytest.raises(ValueError, match="at least 10×10"):
        networks()["bacho_cnn"](padding="none").layout((1, 8, 8), 10)
    with pytest.raises(ValueError, match="needs images"):
        networks()["bacho_cnn"]().layout((2,), 10)
