"""Plug-ins that do not fit together are refused where the form stands, with shapes and lines."""

import pytest

from backend.catalogue import validate
from backend.data_folders.folders import data_at

FILE = '''
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn

from gradlab import (
    Constant, Dataset, Network, Optimizer, Part, PerExampleLoss, Schedule, Split, named,
)


class Layer(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.linear = nn.Linear(2, classes)

    def forward(self, x):
        {forward}


@dataclass(frozen=True)
class Odd(Network):
    """A network of one layer."""

    def layout(self, shape, classes):
        {layout}


@dataclass(frozen=True)
class Clouds(Dataset):
    """Two clouds."""

    {shape}
    classes: ClassVar = 2
    description: ClassVar = "two clouds"
    training_examples: ClassVar = 100

    def load(self, seed):
        part = Part(torch.zeros(100, 2), torch.zeros(100, dtype=torch.int64))
        return Split(part, part, part)


@dataclass(frozen=True)
class Gap(PerExampleLoss):
    """A loss."""

    def losses(self, outputs, y):
        {losses}


@dataclass(frozen=True)
class Steep(Optimizer):
    """An optimiser."""

    lr: float = 0.1
    schedule: Schedule = field(default_factory=Constant)

    def build(self, params: Iterable[nn.Parameter]):
        {build}
'''
SOUND = {
    "forward": "return self.linear(x)",
    "layout": "return named(layer=Layer(classes))",
    "shape": "shape: ClassVar = (2,)",
    "losses": "return -outputs[:, 0]",
    "build": "return torch.optim.SGD(params, lr=self.lr)",
}


@pytest.fixture
def config():
    """Two moons and an MLP."""
    names = {
        "dataset": "two_moons", "network": "mlp", "loss": "cross_entropy", "optimizer": "sgd",
        "estimator": "backprop",
    }  # fmt: skip
    parts = {kind: {"name": name} for kind, name in names.items()}
    return {**parts, "steps": 3, "batch_size": 10, "device": "cpu"}


@pytest.fixture
def problems(tmp_path):
    def of(**changed):
        (tmp_path / "odd.py").write_text(FILE.format(**{**SOUND, **changed}))
        config = {
            "dataset": {"name": "clouds"}, "network": {"name": "odd"}, "loss": {"name": "gap"},
            "optimizer": {"name": "steep"}, "estimator": {"name": "backprop"}, "steps": 3,
            "batch_size": 10, "device": "cpu",
        }  # fmt: skip
        return [(e["loc"], e["msg"]) for e in validate(config, [tmp_path])["errors"]]

    return of


def test_what_fits_is_accepted(problems):
    assert problems() == []


def test_a_layer_that_needs_numbers_is_run_with_numbers(problems):
    assert problems(forward="return self.linear(x) * (x.sum().item() > -1e9)") == []


@pytest.mark.parametrize(
    ("changed", "place", "message"),
    [
        (
            {"forward": "return self.linear(x).T"}, "network",
            "the network's output for 3 examples of shape (2,) has shape (2, 3); its first axis "
            "must be the examples: (3, 2)",
        ),
        (
            {"layout": "return named(layer=Layer(7))"}, "network",
            "the network's output for 2 examples of shape (2,) has shape (2, 7); this data set and "
            "this loss need (2, 2)",
        ),
        (
            {"forward": "return self.linear(x)[:, 0]"}, "network",
            "the network's output for 2 examples of shape (2,) has shape (2,); this data set and "
            "this loss need (2, 2)",
        ),
        (
            {"forward": "return self.linear(x), x"}, "network",
            "the network returns a tuple; it must return one tensor (2, 2)",
        ),
        (
            {"forward": "return self.linear(x.repeat(1, 2))"}, "network",
            "the network cannot be run on examples of shape (2,): RuntimeError: mat1 and mat2 "
            "shapes cannot be multiplied (2x4 and 2x2) (odd.py, line 20)",
        ),
        (
            {"layout": "return named(layer=Layre(classes))"}, "network",
            "the network cannot be built for examples of shape (2,): NameError: name 'Layre' is "
            "not defined (odd.py, line 28)",
        ),
        (
            {"shape": "shape: ClassVar = 2"}, "dataset",
            "its shape is 2; it must be a tuple of whole numbers above 0, of an example",
        ),
        (
            {"shape": "shape: ClassVar = property(lambda self: 1 // 0)"}, "dataset",
            "ZeroDivisionError: integer division or modulo by zero (odd.py, line 35)",
        ),
        (
            {"losses": "return -outputs[:, 0].mean()"}, "loss",
            "the loss cannot be computed of outputs (2, 2) and targets (2,): the loss must give "
            "one value for each of 2 examples; its shape is (). Pass reduction='none', or "
            "separable=False with one number.",
        ),
        (
            {"losses": "return outputs.no_such_thing"}, "loss",
            "the loss cannot be computed of outputs (2, 2) and targets (2,): AttributeError: "
            "'Tensor' object has no attribute 'no_such_thing' (odd.py, line 50)",
        ),
        (
            {"build": "return torch.optim.SGD(params, lr=-self.lr)"}, "optimizer",
            "it cannot be built: Invalid learning rate: -0.1 (odd.py, line 61)",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_a_sentence(problems, changed, place, message):
    (problem,) = problems(**changed)
    assert problem == ([place], message)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("raise SystemExit('over')", "SystemExit: over (odd.py, line 20)"),
        ("return self.forward(x)", "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_a_network_that_would_end_the_process_is_refused(problems, trouble, said):
    ((place, message),) = problems(forward=trouble)
    assert place == ["network"]
    assert said in message


@pytest.mark.parametrize("error", ["SystemExit", "RuntimeError"])
def test_a_component_that_raises_where_it_is_made_is_refused(tmp_path, config, error):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom gradlab import PerExampleLoss\n\n\n"
        "@dataclass(frozen=True)\nclass Mine(PerExampleLoss):\n    'A loss.'\n\n"
        f"    def __post_init__(self):\n        raise {error}('no')\n\n"
        "    def losses(self, outputs, y):\n        return outputs[:, 0]\n"
    )
    (found,) = validate({**config, "loss": {"name": "mine"}}, [tmp_path])["errors"]
    assert found == {"loc": ["loss"], "msg": f"mine cannot be made: {error}: no (mine.py, line 10)"}


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("given", [{}, {"hidden": 0}, {"hidden": 3}])
def test_a_layer_without_units_is_refused_at_its_field(tmp_path, config, given):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n\n\nclass Mine(nn.Module):\n"
        "    def __init__(self, in_features, num_classes, hidden: int = 0):\n"
        "        super().__init__()\n        self.first = nn.Linear(in_features, hidden)\n"
        "        self.head = nn.Linear(hidden, num_classes)\n\n"
        "    def forward(self, x):\n        return self.head(self.first(x))\n"
    )
    errors = validate({**config, "network": {"name": "mine", **given}}, [tmp_path])["errors"]
    if given.get("hidden"):
        assert errors == []
        return
    (found,) = errors
    assert found["loc"] == ["network", "hidden"]
    assert found["msg"].startswith("hidden is 0, with which first.weight has shape (0, 2)")


def test_a_network_that_returns_the_batch_for_any_number_is_caught_at_another_number(problems):
    """With two classes, (2, 2) looks right for two examples."""
    (problem,) = problems(forward="return self.linear(x)[:2]")
    assert problem[1].startswith("the network's output for 3 examples")


@pytest.mark.parametrize("rates", ["heads 0.1", "heads: -1", "heads: 1, heads: 2"])
def test_what_a_component_refuses_by_itself_is_told_at_the_field_that_it_names(config, rates):
    config["optimizer"]["rates"] = rates
    (error,) = validate(config)["errors"]
    assert error["loc"] == ["optimizer", "rates"]
    assert error["msg"].startswith("rates has ")


PICKY = '''
from dataclasses import dataclass, field
from gradlab import Constant, PerExampleLoss, Optimizer, Schedule
import torch


@dataclass(frozen=True)
class Picky(PerExampleLoss):
    """A loss."""

    low: float = 2.0
    high: float = 1.0

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError({message!r})

    def losses(self, outputs, y):
        return outputs[:, 0]
'''


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("high must be above low", ["loss", "high"]),
        ("low is 2 and high is 1", ["loss", "low"]),
        ("the lower end is above the higher", ["loss"]),
    ],
)
def test_a_plug_in_that_names_its_field_is_marked_there(tmp_path, config, message, place):
    (tmp_path / "picky.py").write_text(PICKY.format(message=message))
    config["loss"] = {"name": "picky"}
    (error,) = validate(config, [tmp_path])["errors"]
    assert (error["loc"], error["msg"]) == (place, message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "mnist",
            "no dataset 'mnist'; mnist is a folder, which is described as "
            "{name: parquet_images, folder: mnist}",
        ),
        (
            "mnst",
            "no dataset 'mnst'; did you mean the folder mnist, described as "
            "{name: parquet_images, folder: mnist}?",
        ),
        (
            "shapes",
            "no dataset 'shapes'; shapes is a folder, which is described as "
            "{name: npz, folder: shapes}",
        ),
        ("digts", "no dataset 'digts'; did you mean 'digits'?"),
    ],
)
def test_a_folder_in_place_of_a_data_set_is_told_with_its_description(
    config, tmp_path, name, message
):
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "a.npz").touch()
    config["dataset"] = {"name": name}
    with data_at(tmp_path):
        (error,) = validate(config)["errors"]
    assert (error["loc"], error["msg"]) == (["dataset", "name"], message)
