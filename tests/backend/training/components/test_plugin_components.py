"""Plug-ins of every kind join the index, a run and its record exactly as built-in components."""

import hashlib
import shutil

import pytest

from backend.catalogue import catalogue, validate
from backend.training.checkpoints.files import path_of
from backend.training.components.index import KINDS, component_index
from backend.training.control import Control
from backend.training.loop import train
from estimators.registry import load_file

EVERYTHING = '''
"""A component of every kind but the estimator in one file."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from gradlab import (
    Constant, Dataset, Ge, Network, Optimizer, PerExampleLoss, Schedule, Site, Split, named,
    stratified,
)


@dataclass(frozen=True)
class Stripes(Dataset):
    """Two classes, told by the sign of a coordinate."""

    examples: Annotated[int, Ge(10)] = 200
    """How many points."""

    shape: ClassVar = (3,)
    classes: ClassVar = 2

    @property
    def description(self) -> str:
        return "points in three dimensions"

    @property
    def training_examples(self) -> int:
        return int(0.6 * self.examples)

    def load(self, seed: int) -> Split:
        x = torch.randn(self.examples, 3, generator=torch.Generator().manual_seed(0))
        y = (torch.arange(self.examples) % 2).long()
        return stratified(x + y[:, None], y, seed)


class Scaled(nn.Module):
    """A layer with a buffer and weights that the lab has no rule for."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3))
        self.register_buffer("shift", torch.full((3,), 2.0))

    def forward(self, x):
        return x * self.weight + self.shift


@dataclass(frozen=True)
class Tower(Network):
    """A layer of its own and a head."""

    width: Annotated[int, Ge(1)] = 5

    def layout(self, shape, classes):
        first = named(own=Scaled(), linear=nn.Linear(3, self.width), site=Site(), act=nn.Tanh())
        return named(first=first, head=nn.Linear(self.width, classes))


@dataclass(frozen=True)
class Hinge(PerExampleLoss):
    """Multi-class hinge loss."""

    margin: Annotated[float, Ge(0.0)] = 1.0

    def losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        right = outputs.gather(1, y[:, None])
        return (self.margin + outputs - right).clamp(min=0).sum(1) - self.margin


@dataclass(frozen=True)
class Halving(Schedule):
    """Half the rate in the second half."""

    def factor(self, step: int, steps: int) -> float:
        return 1.0 if 2 * step < steps else 0.5


@dataclass(frozen=True)
class Plain(Optimizer):
    """Gradient descent."""

    lr: float = 0.1
    schedule: Schedule = field(default_factory=Halving)

    def build(self, params: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(params, lr=self.lr)
'''
OWN = {
    "dataset": {"name": "stripes"},
    "network": {"name": "tower"},
    "loss": {"name": "hinge"},
    "optimizer": {"name": "plain", "lr": 0.1, "schedule": {"name": "halving"}},
}
NAMES = {
    "dataset stripes", "network tower", "loss hinge", "optimizer plain", "schedule halving",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "everything.py").write_text(EVERYTHING)
    return tmp_path / "own"


def test_one_file_defines_components_of_several_kinds(folder):
    classes = load_file(folder / "everything.py", KINDS)
    assert {kind: [c.__name__ for c in members] for kind, members in classes.items()} == {
        "dataset": ["Stripes"], "network": ["Tower"], "loss": ["Hinge"],
        "schedule": ["Halving"], "optimizer": ["Plain"],
    }  # fmt: skip


def test_the_catalogue_has_them_with_fields_source_and_hash(folder):
    listed = catalogue([folder])
    assert listed["failures"] == []
    digest = hashlib.sha256(EVERYTHING.encode()).hexdigest()
    for key, name in {
        "datasets": "stripes", "networks": "tower", "losses": "hinge", "optimizers": "plain",
        "schedules": "halving",
    }.items():  # fmt: skip
        (entry,) = [e for e in listed[key] if e["name"] == name]
        file = str(folder / "everything.py")
        assert entry["source"] == {"kind": "plugin", "file": file, "hash": digest}
        assert entry["family"] == "plugin"
    (stripes,) = [e for e in listed["datasets"] if e["name"] == "stripes"]
    examples = stripes["schema"]["properties"]["examples"]
    assert (examples["minimum"], examples["default"]) == (10, 200)
    assert examples["description"] == "How many points."
    (plain,) = [e for e in listed["optimizers"] if e["name"] == "plain"]
    assert plain["schema"]["properties"]["schedule"]["default"] == {"name": "halving"}


def test_a_run_uses_them_and_records_the_hash_of_each(folder, config, gather):
    answer = validate(config(**OWN).model_dump(), [folder])
    assert answer["errors"] == []
    run = gather(train(config(**OWN), plugin_dirs=[folder]))
    digest = hashlib.sha256(EVERYTHING.encode()).hexdigest()
    assert run.ended.status == "finished"
    assert run.facts.plugins == answer["plugins"] == dict.fromkeys(NAMES, digest)
    validation = list(run.of("validation/loss").values())
    assert validation[-1] < validation[0]
    assert run.of("test/accuracy")
    rates = run.of("train/learning_rate")
    assert rates[0] == 0.1
    assert rates[40] == 0.05


def test_a_run_of_built_in_components_has_no_plugins(folder, config, gather):
    assert gather(train(config(steps=1), plugin_dirs=[folder])).facts.plugins == {}


def test_weights_that_the_lab_has_no_rule_for_come_from_the_seed(folder):
    network = component_index([folder]).classes["network"]["tower"]()
    from estimators.core.noise import stream

    def built(seed):
        import torch

        torch.rand(seed)  # what else was drawn before
        state = torch.get_rng_state()
        module = network.build((3,), 2, stream(seed, "init"))
        assert (torch.get_rng_state() == state).all()
        return module.state_dict()

    one, two, other = built(1), built(1), built(2)
    assert all((one[name] == two[name]).all() for name in one)
    assert (one["first.own.weight"] != other["first.own.weight"]).all()
    assert (one["first.linear.weight"] != other["first.linear.weight"]).any()
    assert (one["first.own.shift"] == 2).all(), "a buffer is as its constructor made it"


@pytest.mark.parametrize("name", ["SGD", "MLP", "Digits", "CrossEntropy", "Cosine", "Stripes"])
def test_a_name_that_is_taken_is_listed(folder, name):
    own = {
        "SGD": "Plain", "MLP": "Tower", "Digits": "Stripes", "CrossEntropy": "Hinge",
        "Cosine": "Halving", "Stripes": "Stripes",
    }[name]  # fmt: skip
    (folder / "zweites.py").write_text(EVERYTHING.replace(own, name))
    (folder / "everything.py").unlink()
    if name == "Stripes":
        (folder / "anderes.py").write_text(EVERYTHING)
    failures = component_index([folder]).discovery.failures
    about = [f for f in failures if f"rename {name}" in f.traceback]
    assert [f.source for f in about] == [str(folder / "zweites.py")]
    assert "is taken by" in about[0].traceback


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("@dataclass(frozen=True)\nclass Tower", "@dataclass\nclass Tower", "frozen"),
        ("width: Annotated[int, Ge(1)] = 5", "width: Annotated[int, Ge(1)]", "without a default"),
        ("def layout", "def laid_out", "Tower lacks layout"),
    ],
)
def test_what_cannot_be_used_is_listed_and_the_rest_of_the_file_stays(
    folder, before, after, message
):
    (folder / "everything.py").write_text(EVERYTHING.replace(before, after))
    index = component_index([folder])
    (failure,) = index.discovery.failures
    assert message in failure.traceback
    assert "tower" not in index.classes["network"]
    assert "stripes" in index.classes["dataset"]


def test_a_file_without_any_component_is_listed(folder):
    (folder / "everything.py").write_text("x = 1\n")
    (failure,) = component_index([folder]).discovery.failures
    assert failure.traceback == (
        "everything.py defines no subclass of Dataset, Loss, Network, Estimator, Optimizer or "
        "Schedule"
    )


def test_a_fork_tells_of_a_component_whose_file_has_changed(folder, config, gather, tmp_path):
    (tmp_path / "origin").mkdir()
    first = {"checkpoint_dir": tmp_path / "parent", "plugin_dirs": [folder]}
    gather(train(config(**OWN), **first))
    shutil.copy(path_of(tmp_path / "parent", 40), path_of(tmp_path / "origin", 40))
    file = folder / "everything.py"
    file.write_text(f"{file.read_text()}# mended since\n")
    own = {"checkpoint_dir": tmp_path / "child", "origin": tmp_path / "origin"}
    child = gather(train(config(**OWN, **{"steps": 50}), **own, plugin_dirs=[folder]))
    assert [e.text for e in child.events if e.kind in ("fork", "plug-in")] == [
        "begins at step 40 of its parent, with its weights; the optimiser begins anew",
        *(
            f"the {what} comes from another version of its file than before"
            for what in ("data set", "network", "loss", "optimiser")
        ),
    ]


def test_a_resumed_run_tells_of_a_component_whose_file_has_changed(
    folder, config, gather, tmp_path
):
    control = Control(run_until=20)
    where = {"checkpoint_dir": tmp_path / "run", "plugin_dirs": [folder]}
    for _ in train(config(**OWN), control, **where):
        control.update(20, stop=True)
    file = folder / "everything.py"
    file.write_text(f"{file.read_text()}# mended since\n")
    again = gather(train(config(**OWN), **where))
    assert again.ended.status == "finished"
    assert len([e for e in again.events if e.kind == "plug-in"]) == 4
