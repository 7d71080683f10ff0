"""Plug-ins that do not fit together are refused where the form stands, with shapes and lines."""

import pytest

from backend.catalogue import validate

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
            "the network cannot be built: NameError: name 'Layre' is not defined (odd.py, line 28)",
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


def test_a_network_that_returns_the_batch_for_any_number_is_caught_at_another_number(problems):
    """With two classes, (2, 2) looks right for two examples."""
    (problem,) = problems(forward="return self.linear(x)[:2]")
    assert problem[1].startswith("the network's output for 3 examples")
