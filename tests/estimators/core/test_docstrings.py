"""Every estimator's docstring follows one template, and its example runs."""

import ast
import dataclasses
import doctest
import inspect
import itertools
import re
import sys

import pytest
import torch
from torch import nn

import estimators
from estimators import Equilibrium, Measurement, Site, discover

CLASSES = {name: entry.cls for name, entry in discover().estimators.items()}


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.recurrent = nn.Linear(4, 4)

    def forward(self, z, x):
        return torch.tanh(self.recurrent(z) / 2 + x)


@pytest.fixture(scope="module")
def names():
    """What an example may use: two tiny networks on a batch, and the public names."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Sequential(nn.Linear(3, 4), Site(), nn.Tanh()),
        nn.Sequential(nn.Linear(4, 4), Site(), nn.Tanh()),
        nn.Linear(4, 2),
    )
    implicit = nn.Sequential(nn.Linear(3, 4), Equilibrium(Cell()), nn.Linear(4, 2))
    batch = torch.randn(6, 3), torch.randint(2, (6,))
    public = {name: getattr(estimators, name) for name in estimators.__all__}
    loss = nn.CrossEntropyLoss()
    return {**public, "net": net, "implicit_net": implicit, "loss": loss, "batch": batch}


def paragraphs(cls):
    return inspect.cleandoc(cls.__dict__["__doc__"]).split("\n\n")


@pytest.mark.parametrize("name", CLASSES)
def test_the_example_runs(name, names):
    cls = CLASSES[name]
    (test,) = doctest.DocTestFinder(recurse=False).find(cls, globs=dict(names))
    assert len(test.examples) == 2
    report = []
    runner = doctest.DocTestRunner()
    failed = runner.run(test, out=report.append, clear_globs=False).failed
    assert not failed, "".join(report)
    assert type(test.globs["estimator"]) is cls
    assert isinstance(test.globs["measured"], Measurement)


@pytest.mark.parametrize("name", CLASSES)
def test_the_docstring_follows_the_template(name):
    summary, *others = paragraphs(CLASSES[name])
    assert "\n" not in summary, "the first paragraph is one line"
    assert re.fullmatch(r"[A-Z][^.=]*\.", summary), summary
    text = "\n\n".join(others)
    wanted = {
        "an equation": "[=←]| is the inner estimate",
        "when to use it": r"^Use it\b|^Use `",
        "its promise": r"^(Exact|Unbiased|Biased|The (mean and the )?claim)\b",
        "its cost": r"\bCosts\b",
        "a source": r"^Source: ",
        "an example": r"^Example:\n",
    }
    missing = [what for what, pattern in wanted.items() if not re.search(pattern, text, re.M)]
    assert not missing, f"{name} lacks {', '.join(missing)}"


@pytest.mark.parametrize("name", CLASSES)
def test_every_field_has_a_docstring(name):
    cls = CLASSES[name]
    (body,) = (
        node.body
        for node in ast.parse(inspect.getsource(sys.modules[cls.__module__])).body
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    documented = {
        field.target.id
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }
    assert documented >= {field.name for field in dataclasses.fields(cls)}
