"""Learning rates of groups: which parameters an entry means, and what a run makes of it."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from backend.catalogue import validate
from backend.training.batches import Batches
from backend.training.clock import Clock
from backend.training.components.assemble import assemble
from backend.training.loop import train
from backend.training.networks import networks
from backend.training.optimizers import optimizers
from backend.training.optimizers.groups import GroupedOptimizer
from backend.training.optimizers.rates import factors, parse_rates, refuse_tied
from backend.training.trainer import Trainer

ALL = sorted(optimizers())
mixer = networks()["local_mixer"]


@pytest.fixture(scope="module")
def module():
    rng = torch.Generator().manual_seed(0)
    return mixer(blocks=2, patches=2, channels=8, groups=2).build((1, 8, 8), 3, rng)


def with_factor(module, rates, factor):
    return {name for name, f in factors(module, rates).items() if f == factor}


def test_the_entries_of_rates():
    assert parse_rates("") == parse_rates(" , ") == {}
    assert parse_rates("heads: 0.1, block0.mix:2e-1") == {"heads": 0.1, "block0.mix": 0.2}


@pytest.mark.parametrize("text", ["heads", "heads: x", ": 1", "heads: -1", "heads: nan", "a: 1001"])
def test_what_is_no_entry_is_refused(text):
    with pytest.raises(ValueError, match=r"rates has .* must be a stage and a factor"):
        parse_rates(text)
    with pytest.raises(ValueError, match="rates has"):
        optimizers()["sgd"](rates=text)


def test_a_name_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        parse_rates("a: 1, b: 2, a: 1")


def test_heads_are_the_last_stage_and_the_heads_of_local_losses(module):
    every = {name for name, _ in module.named_parameters()}
    heads = {name for name in every if name.startswith("readout.") or ".head." in name}
    assert len(heads) == 6
    assert with_factor(module, "heads: 0.1", 0.1) == heads
    assert with_factor(module, "heads: 0.1", 1.0) == every - heads


TIED = {"name": "gpt", "depth": 1, "width": 8, "heads": 2, "tied": True}


@pytest.mark.parametrize(
    ("rates", "refused"),
    [
        ("heads: 0.1", True),
        ("head: 0.1", True),
        ("heads: 0.1, embed.token.weight: 1", False),
        ("heads: 0.1, embed: 0.2", False),
        ("embed: 0.1", False),
    ],
)
def test_a_tied_weight_belongs_to_the_stage_where_it_stands_first(rates, refused, config):
    run = config(
        network=TIED, dataset={"name": "markov_text"}, optimizer={"name": "adam", "rates": rates}
    ).model_dump()
    errors = validate(run)["errors"]
    assert [e["loc"] for e in errors] == [["optimizer", "rates"]] * refused
    for error in errors:
        assert "is tied to embed.token.weight, which belongs to the stage embed" in error["msg"]
        assert "say what it is to have, as embed.token.weight: 0.1" in error["msg"]


def test_heads_are_the_last_stage_where_all_of_it_is_tied():
    first, last = nn.Linear(3, 3), nn.Linear(3, 3, bias=False)
    last.weight = first.weight
    module = nn.Sequential(OrderedDict(a=first, b=nn.Linear(3, 3), c=last))
    with pytest.raises(ValueError, match=r"write a.weight: 0.1 in place of heads"):
        refuse_tied(module, "heads: 0.1")
    refuse_tied(module, "a.weight: 0.1")
    assert with_factor(module, "a.weight: 0.1", 0.1) == {"a.weight"}
    with pytest.raises(ValueError, match=r"no stage with weights; there are: a, b$"):
        factors(module, "heads: 0.1")
    assert with_factor(module, "a: 0.1", 0.1) == {"a.weight", "a.bias"}


def test_the_longest_name_counts_and_heads_count_least(module):
    rates = "block0: 0.5, heads: 0.1, block0.mix: 2, readout: 3, block1.head: 4"
    of_name = factors(module, rates)
    expected = {"block0.mix": 2, "block0": 0.5, "block1.head": 4, "readout": 3, "block1": 1}
    for name, factor in of_name.items():
        assert factor == next(f for prefix, f in expected.items() if name.startswith(f"{prefix}."))


def test_a_name_is_not_the_beginning_of_another_name():
    module = nn.Sequential()
    module.add_module("a", nn.Linear(1, 1))
    module.add_module("ab", nn.Linear(1, 1))
    assert with_factor(module, "a: 0.5", 0.5) == {"a.weight", "a.bias"}


@pytest.mark.parametrize("rates", ["blok0: 0.1", "heads: 1, none: 2"])
def test_an_unknown_stage_is_refused_with_the_stages_there_are(module, rates, config):
    with pytest.raises(
        ValueError, match=r"no stage with weights; there are: heads, block0, block1, readout"
    ):
        factors(module, rates)
    run = config(optimizer={"name": "adam", "rates": rates}).model_dump()
    (error,) = validate(run)["errors"]
    assert error["loc"] == ["optimizer", "rates"]
    assert "no stage with weights; there are: heads, hidden1, hidden2, head" in error["msg"]


def test_a_broken_entry_is_refused_in_a_sentence(config):
    (error,) = validate(config(optimizer={"name": "adam", "rates": "heads 0.1"}).model_dump())[
        "errors"
    ]
    assert error["loc"] == ["optimizer", "rates"]
    assert error["msg"].startswith("rates has 'heads 0.1'; each entry must be")


def test_one_rate_for_all_is_one_group_as_in_stored_checkpoints(module):
    sgd = optimizers()["sgd"](lr=0.1)
    plain = sgd.build(module.parameters()).state_dict()
    for rates in ("", "block0: 1, heads: 1.0"):
        grouped = GroupedOptimizer(optimizers()["sgd"](lr=0.1, rates=rates), module)
        assert grouped.torch.state_dict() == plain
        assert grouped.names == [name for name, _ in module.named_parameters()]


@pytest.fixture
def trainer(config):
    def make(**optimizer):
        run = config(optimizer=optimizer)
        assembly = assemble(run)
        batches = Batches(assembly.dataset.load(0).train, run.batch_size, 0)
        return Trainer(assembly, batches.at(0), 40, 0, Clock()), batches

    return make


@pytest.mark.parametrize("name", ALL)
def test_a_group_steps_as_a_run_at_its_own_rate(name, trainer):
    """The first update of each group is that of an optimiser whose rate is the product."""
    rates = {"hidden1": 0.5, "head": 0.25, "hidden2": 1.0}
    text = ", ".join(f"{stage}: {factor}" for stage, factor in rates.items() if factor != 1)
    schedule = {"name": "linear", "warmup": 2}
    grouped, batches = trainer(name=name, lr=0.02, rates=text, schedule=schedule)
    grouped.update(0, grouped.objective(batches.at(0), 0))
    for stage, factor in rates.items():
        alone, _ = trainer(name=name, lr=0.02 * factor, schedule=schedule)
        alone.update(0, alone.objective(batches.at(0), 0))
        for path in [p for p in alone.params if p.startswith(f"{stage}.")]:
            assert torch.equal(grouped.params[path], alone.params[path]), path


def test_a_rate_that_is_changed_during_the_run_reaches_every_group(trainer):
    changed, batches = trainer(name="sgd", lr=0.02, rates="head: 0.5")
    fresh, _ = trainer(name="sgd", lr=0.3, rates="head: 0.5")
    changed.lr = 0.3
    for it in (changed, fresh):
        it.update(0, it.objective(batches.at(0), 0))
    assert all(torch.equal(p, fresh.params[n]) for n, p in changed.params.items())
    assert [g["lr"] for g in changed._optimizer.torch.param_groups] == [0.3, 0.15]


def test_a_factor_of_zero_freezes(trainer):
    frozen, batches = trainer(name="adamw", lr=0.02, rates="hidden1: 0")
    before = {n: p.clone() for n, p in frozen.params.items()}
    frozen.update(0, frozen.objective(batches.at(0), 0))
    same = {n.partition(".")[0] for n, p in frozen.params.items() if torch.equal(p, before[n])}
    assert same == {"hidden1"}


@pytest.mark.parametrize(("before", "after"), [
    ("", "heads: 0.1"), ("", "hidden2: 0.1"), ("hidden2: 0.1", ""),
    ("hidden2: 0.3", "hidden1: 0.2, head: 0.2"),
])  # fmt: skip
def test_a_fork_with_other_rates_keeps_each_tensors_moments(before, after, trainer):
    parent, batches = trainer(name="adam", lr=0.01, rates=before)
    for step in range(3):
        parent.update(step, parent.objective(batches.at(step), step))
    child, _ = trainer(name="adam", lr=0.5, rates=after)
    assert child.adopt(parent.state())
    moments = {}
    for it in (parent, child):
        state = it._optimizer.torch.state_dict()["state"]
        moments[it] = {it._optimizer.names[i]: s["exp_avg"] for i, s in state.items()}
    assert moments[parent].keys() == moments[child].keys() == parent.params.keys()
    assert all(torch.equal(m, moments[child][n]) for n, m in moments[parent].items())


def test_a_stage_counts_more_than_heads_even_with_a_shorter_name(trainer):
    module = trainer(name="sgd")[0].module
    expected = {"head.linear.weight", "head.linear.bias"}
    assert with_factor(module, "head: 3, heads: 0.1", 3.0) == expected


def test_a_checkpoint_without_names_is_in_the_networks_order(trainer):
    parent, batches = trainer(name="adam", lr=0.01)
    parent.update(0, parent.objective(batches.at(0), 0))
    state = parent.state()
    del state["optimizer_names"]
    child, _ = trainer(name="adam", lr=0.01, rates="hidden2: 0.3")
    assert child.adopt(state)
    kept = child._optimizer.torch.state_dict()["state"]
    before = parent._optimizer.torch.state_dict()["state"]
    for place, name in enumerate(child._optimizer.names):
        old = [*parent.params].index(name)
        assert torch.equal(kept[place]["exp_avg"], before[old]["exp_avg"])


def test_other_fields_of_an_optimiser_begin_anew(trainer):
    parent, batches = trainer(name="adam", lr=0.01, rates="head: 0.1")
    parent.update(0, parent.objective(batches.at(0), 0))
    child, _ = trainer(name="adam", lr=0.01, rates="head: 0.1", beta1=0.5)
    assert not child.adopt(parent.state())
    assert not child._optimizer.torch.state_dict()["state"]


def test_a_run_with_heads_at_a_tenth_of_the_rate(config, gather):
    run = gather(train(config(optimizer={"name": "sgd", "lr": 0.1, "rates": "heads: 0.1"})))
    assert run.ended.status == "finished"
    assert set(run.of("train/learning_rate").values()) == {0.1}
