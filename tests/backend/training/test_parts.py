"""Data sets, networks, optimisers and schedules: what each promises."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from backend.training.batches import Batches
from backend.training.datasets import Part, Split, datasets
from backend.training.evaluation import evaluation
from backend.training.evaluation.evaluation import Evaluation, affordable, due, interval
from backend.training.networks import networks
from backend.training.optimizers import optimizers, schedules
from estimators.core.objective import Chain
from estimators.core.site import Site

# Tests of their own make the files.
FROM_FILES = {"parquet_images", "image_folder", "npz", "csv_table"}
# language/ tests the tokens
ELSEWHERE = {"bundled_table"}  # of iris, two flowers are equal
DATASETS = [
    cls()
    for name, cls in datasets().items()
    if cls.classified and not cls.tokens and name not in FROM_FILES | ELSEWHERE
]
NETWORKS = [
    networks()["mlp"](width=12, depth=3),
    networks()["mlp"](width=12, activation="tanh", normalisation="layer"),
    networks()["cnn"](channels=8),
    networks()["cnn"](channels=4, activation="gelu", normalisation="group"),
    networks()["cnn"](channels=4, normalisation="layer"),
    networks()["mlp"](width=16, normalisation="group"),
    networks()["bacho_cnn"](),
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dataset", DATASETS, ids=repr)
def test_parts_are_whole_disjoint_and_fixed_by_the_seed(dataset):
    first, again, other = dataset.load(3), dataset.load(3), dataset.load(4)
    for part, same in zip(vars(first).values(), vars(again).values(), strict=True):
        assert torch.equal(part.x, same.x)
        assert torch.equal(part.y, same.y)
        assert part.x.dtype == torch.float32
        assert part.y.dtype == torch.int64
        assert part.x.shape == (len(part.y), *dataset.shape)
    assert not torch.equal(first.train.x, other.train.x)
    assert len(first.train.y) == dataset.training_examples
    rows = torch.cat([p.x.flatten(1) for p in vars(first).values()])
    sizes = [len(p.y) for p in vars(first).values()]
    assert len(rows.unique(dim=0)) == len(rows) == sum(sizes)
    assert [round(n / sum(sizes), 1) for n in sizes] == [0.6, 0.2, 0.2]


@pytest.mark.parametrize("dataset", DATASETS, ids=repr)
def test_parts_are_stratified(dataset):
    split = dataset.load(0)
    shares = [
        torch.bincount(p.y, minlength=dataset.classes) / len(p.y) for p in vars(split).values()
    ]
    assert len(shares[0]) == dataset.classes
    assert torch.allclose(shares[0], shares[1], atol=0.02)
    assert torch.allclose(shares[0], shares[2], atol=0.02)


def test_the_digits_are_the_real_ones():
    split = datasets()["digits"]().load(0)
    assert sum(len(p.y) for p in vars(split).values()) == 1797
    assert (split.train.x.min(), split.train.x.max()) == (0, 1)


def test_the_examples_and_the_noise_of_two_moons():
    dataset = datasets()["two_moons"](examples=501, noise=0.0)
    part = dataset.load(0).train
    x, y = part.x, part.y
    assert dataset.training_examples == len(part)
    assert torch.allclose(x[y == 0].norm(dim=1), torch.ones(()), atol=1e-5)


def test_an_epoch_is_a_permutation_fixed_by_seed_and_number():
    part = Part(torch.arange(10.0).reshape(-1, 1), torch.arange(10))
    batches, again = Batches(part, 3, seed=0), Batches(part, 3, seed=0)
    epochs = [torch.cat([batches.at(3 * e + i)[1] for i in range(3)]) for e in range(2)]
    assert all(len(epoch.unique()) == 9 for epoch in epochs)
    assert not torch.equal(*epochs)
    assert torch.equal(again.at(4)[1], epochs[1][3:6])  # reached without the first epoch
    x, y = batches.at(0)
    assert torch.equal(x.squeeze(1).long(), y)


@pytest.mark.parametrize("network", NETWORKS, ids=repr)
def test_a_network_is_drawn_from_its_generator_alone(network):
    torch.manual_seed(12_345)
    before = torch.get_rng_state()
    first = network.build((1, 8, 8), 10, generator())
    assert torch.equal(torch.get_rng_state(), before)
    again = network.build((1, 8, 8), 10, generator())
    other = network.build((1, 8, 8), 10, generator(1))
    weights = [m.state_dict() for m in (first, again, other)]
    assert all(torch.equal(weights[0][n], weights[1][n]) for n in weights[0])
    assert not torch.equal(weights[0]["head.linear.weight"], weights[2]["head.linear.weight"])
    assert all(t.isfinite().all() for t in weights[0].values())
    assert network.count((1, 8, 8), 10) == sum(p.numel() for p in first.parameters())


@pytest.mark.parametrize("network", NETWORKS[:-1], ids=repr)
def test_stages_are_named_and_sites_precede_non_linearities(network):
    module = network.build((1, 8, 8), 10, generator())
    names = [name for name, _ in module.named_children()]
    kind = "conv" if "conv1" in names else "hidden"
    assert names == [*(f"{kind}{i + 1}" for i in range(network.depth)), "head"]
    for stage in list(module.children())[:-1]:
        parts = list(stage.children())
        assert isinstance(parts[-2], Site)
        assert type(parts[-1]).__name__.lower() == network.activation
        normalised = [p for p in parts if "Norm" in type(p).__name__]
        assert bool(normalised) == (network.normalisation != "none")
    chain = Chain(module, torch.randn(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64))
    assert len(chain.places) == network.depth
    assert module(chain.x).shape == (4, 10)


def test_signals_keep_their_size_through_depth():
    module = networks()["mlp"](width=256, depth=8).build((1, 8, 8), 10, generator())
    output = module(torch.randn(512, 1, 8, 8, generator=generator()))
    assert 0.3 < output.std() < 3


def test_a_cnn_refuses_what_is_no_image():
    with pytest.raises(ValueError, match="a cnn needs images"):
        networks()["cnn"]().count((2,), 2)


def test_the_cosine_warms_up_and_ends_at_zero():
    cosine = schedules()["cosine"](warmup=10)
    factors = [cosine.factor(step, 110) for step in range(111)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == factors[10] == 1
    assert factors[60] == pytest.approx(0.5)
    assert factors[110] == pytest.approx(0)
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert {schedules()["constant"]().factor(s, 10) for s in range(10)} == {1.0}


def test_the_optimisers_are_torchs():
    weights = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))]
    ours = optimizers()["sgd"](lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    theirs = torch.optim.SGD(weights[1:], lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    made = ours.build(weights[:1])
    for _ in range(3):
        for parameter, optimizer in zip(weights, (made, theirs), strict=True):
            parameter.grad = parameter.detach() * 2
            optimizer.step()
    torch.testing.assert_close(weights[0], weights[1])
    group = replace(optimizers()["adamw"](), beta1=0.8).build(weights).param_groups[0]
    assert group["betas"] == (0.8, 0.999)


def test_evaluations_are_at_powers_of_two_and_at_least_fifty():
    assert interval(20) == 1
    for steps in (100, 2000, 20_000, 10**7):
        assert interval(steps) & (interval(steps) - 1) == 0
        assert 50 <= steps / interval(steps) < 101


def test_a_long_run_is_evaluated_early_at_the_cost_of_one_more_evaluation():
    every = interval(1_000_000)
    early = [step for step in range(every) if due(step, every)]
    assert early == [0, *(2**k for k in range(14))]
    assert sum(affordable(s, every, 32) for s in early[1:]) <= affordable(every, every, 32)
    assert [due(s, every) for s in (every, every + 1, 2 * every)] == [True, False, True]
    assert affordable(1_000_000 - 1, every, 32) == affordable(0, every, 32), "the last is whole"


def test_an_early_evaluation_sees_the_beginning_of_the_sample():
    """The first examples of each part: those of training, then those of validation."""
    x = torch.arange(4096.0)[:, None].repeat(1, 2)
    part, module = Part(x, torch.zeros(4096, dtype=torch.int64)), nn.Identity()

    def first(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return output[:, 0]

    along = Evaluation(module, Split(part, part, part), 10**6, 8, first).along
    means = [dict(along(step))["validation/loss"].item() for step in (0, 1, 1024, 10**6)]
    assert means == [2047.5, 255.5, 511.5, 2047.5]


def test_an_evaluation_in_parts_is_that_of_all_examples_at_once(monkeypatch):
    x, y = torch.randn(50, 2, dtype=torch.float64), torch.arange(50) % 3
    module = nn.Linear(2, 3).double()
    sizes: list[int] = []
    module.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    judged = Evaluation(module, Split(*[Part(x, y)] * 3), 10, 4)
    whole = dict(judged.last())
    monkeypatch.setattr(evaluation, "CPU_NUMBERS", 2 * 8)
    parts = dict(judged.last())
    assert sizes == [50, *[8] * 6, 2]
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=0)
    assert whole["test/accuracy"] == (module(x).argmax(1) == y).float().mean()
