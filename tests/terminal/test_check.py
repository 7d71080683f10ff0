"""`gradlab check` on files with components of every kind."""

import re
import subprocess
import sys
import textwrap
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from backend.terminal.check import check_file

IMPORTS = """
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import torch
from torch import nn

from gradlab import Dataset, Ge, Network, Optimizer, Part, PerExampleLoss, Schedule, Site, named
from gradlab import Constant, stratified
"""
NETWORK = """
@dataclass(frozen=True)
class Small(Network):
    "A small network."

    width: Annotated[int, Ge(1)] = 4

    def layout(self, shape, classes):
        if len(shape) != 1:
            raise ValueError("it takes points")
        hidden = named(linear=nn.Linear(shape[0], self.width), site=Site(), act=nn.Tanh())
        return named(hidden=hidden, head=nn.Linear(self.width, classes))
"""
DATASET = """
@dataclass(frozen=True)
class Points(Dataset):
    "Points on a line."

    shape: ClassVar = (1,)
    classes: ClassVar = 2
    first_label = 0

    @property
    def description(self):
        return "Forty points."

    @property
    def training_examples(self):
        return 24

    def load(self, seed):
        y = torch.arange(40) % 2
        return stratified(torch.arange(40.0)[:, None] / 40, y + self.first_label, seed)
"""
LOSS = """
@dataclass(frozen=True)
class Squared(PerExampleLoss):
    "The squared error of the scores."

    def losses(self, outputs, y):
        return (outputs - nn.functional.one_hot(y, outputs.shape[1])).square().sum(1)
"""
OPTIMIZER = """
@dataclass(frozen=True)
class Plain(Optimizer):
    "Gradient descent."

    lr: float = 0.1
    schedule: Schedule = field(default_factory=Constant)

    def build(self, params):
        return torch.optim.SGD(params, lr=self.lr)
"""
SCHEDULE = """
@dataclass(frozen=True)
class Halves(Schedule):
    "Half the rate at each tenth of the run."

    def factor(self, step, steps):
        return 0.5 ** (10 * step // steps)
"""


@pytest.fixture
def checked(tmp_path):
    """Write a file and check it: (whether all conform, what was printed)."""

    def check(*sources):
        file = tmp_path / "mine.py"
        file.write_text(IMPORTS + "".join(map(textwrap.dedent, sources)))
        text = StringIO()
        passed = check_file(file, Console(file=text, width=200))
        return passed, text.getvalue()

    return check


def test_components_of_every_kind_in_one_file(checked):
    passed, text = checked(NETWORK, DATASET, LOSS, OPTIMIZER, SCHEDULE)
    assert passed, text
    for line in ("small (network)", "points (data set)", "squared (loss)", "plain (optimiser)",
                 "halves (schedule)"):  # fmt: skip
        assert line in text
    assert "5 of 5 components conform" in text
    assert "FAIL" not in text


PLAIN = """
class Fixed(nn.Module):
    def __init__(self, width: int = 4):
        super().__init__()
        self.first = nn.Linear(1, width)
        self.act = nn.Tanh()
        self.last = nn.Linear(width, 2)

    def forward(self, x):
        return self.last(self.act(self.first(x)))
"""


def test_a_plain_module_is_tried_on_the_file_s_own_data_set(checked):
    """No other sample has one number and two classes; what was inferred is printed."""
    assert not checked(PLAIN)[0]
    passed, text = checked(PLAIN, DATASET)
    assert passed, text
    assert "fixed (network)" in text
    assert re.search(r"^pass +takes shapes +takes points of 1 numbers; fails on images", text, re.M)
    assert re.search(
        r"^pass +lists what the lab inferred +on points of 1 numbers: ", text, re.MULTILINE
    )


def test_a_plain_module_with_a_fixed_number_of_outputs(checked):
    """It takes examples of any shape, and data of two classes alone."""
    passed, text = checked(
        PLAIN.replace("self.first(x)", "self.first(x.flatten(1).mean(1)[:, None])")
    )
    assert passed, text
    assert re.search(r"^pass +takes shapes +takes points of 2 numbers; fails on images", text, re.M)
    assert "its output for 2 examples has shape (2, 2), not (2, 10)" in text


def test_a_plain_torch_optimiser_conforms(checked):
    passed, text = checked("class Mine(torch.optim.SGD): pass\n")
    assert passed, text
    assert "mine (optimiser)" in text


def test_a_class_that_cannot_be_wrapped_is_refused(checked):
    passed, text = checked(
        "class Two(nn.Module):\n    def forward(self, a, b): return a + b\n", LOSS
    )
    assert not passed
    assert re.search(r"^FAIL  Two.forward takes a, b", text, re.MULTILINE)
    assert "squared conforms" in text


def test_a_failure_among_several_is_named_in_the_last_line(checked):
    passed, text = checked(NETWORK, DATASET.replace("first_label = 0", "first_label = 1"))
    assert not passed
    assert re.search(
        r"^FAIL +has its classes +points: y of the train part runs from 1 to 2", text, re.M
    )
    assert re.search(r"^pass +is finite ", text, re.M)
    assert text.strip().endswith("1 of 2 components conform; not points")


def test_what_could_not_be_checked_is_not_passed(checked):
    passed, text = checked(LOSS.replace(".sum(1)", ".mean()"))
    assert not passed
    assert re.search(
        r"^– +evaluates +not checked: “gives a loss for each example” failed", text, re.M
    )


def test_a_refusal_of_the_lab_has_no_traceback(checked):
    """A sentence is enough: no line of the file raised it."""
    always = "class Always(nn.Module):\n    forward = lambda self, h: nn.functional.dropout(h)\n"
    passed, text = checked(always + NETWORK.replace("nn.Tanh()", "Always()"))
    assert not passed
    assert re.search(r"^FAIL +is an objective .*is random in evaluation mode too", text, re.M)
    assert "Traceback" not in text


def test_a_file_without_components_does_not_load(checked):
    passed, text = checked("x = 1")
    assert not passed
    assert "mine.py does not load" in text
    assert "TypeError: mine.py defines no subclass of" in text


def test_a_traceback_begins_at_the_plug_in(checked, tmp_path):
    passed, text = checked(
        NETWORK.replace("nn.Linear(shape[0], self.width)", "nn.Linear(1 / 0, 1)")
    )
    assert not passed
    assert re.search(r"^FAIL +can be made +on points of 2 numbers it raises ZeroDiv", text, re.M)
    _, trace = text.split("Traceback (most recent call last):\n")
    assert trace.strip().startswith(f'File "{tmp_path / "mine.py"}"')
    assert text.count("Traceback") == 1


def test_a_plug_in_that_never_returns_is_stopped(tmp_path):
    """In a process of its own: here, pytest waits for the alarm."""
    file = tmp_path / "mine.py"
    endless = SCHEDULE.replace("return", "while True: pass\n        return")
    file.write_text(IMPORTS + textwrap.dedent(endless))
    code = (
        "import sys; from pathlib import Path; from rich.console import Console; "
        "from backend.terminal.check import check_file; "
        "sys.exit(not check_file(Path(sys.argv[1]), Console(width=200), 2.0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "halves is stopped: the check “is finite” takes more than 2 s" in done.stdout
    assert f"{file}, line" in done.stdout


def test_a_summary_names_one_kind(checked):
    _, text = checked(SCHEDULE, SCHEDULE.replace("Halves", "Others"))
    assert "2 of 2 schedules conform" in text


def test_a_name_that_is_taken_is_told(checked):
    """The lab would load the other class, or none of this name."""
    passed, text = checked(NETWORK.replace("Small", "MLP"))
    assert not passed
    assert re.search(
        r"^FAIL +has a name of its own +'mlp' is the name of the network that is built in", text,
        re.MULTILINE,
    )  # fmt: skip
    assert "mlp does not conform" in text
    passed, text = checked(SCHEDULE.replace("Halves", "HA"), SCHEDULE.replace("Halves", "Ha"))
    assert not passed
    assert text.count("has a name of its own") == 1
    assert "'ha' is the name of the class HA of this file" in text


def test_the_lab_s_own_file_has_its_name_for_itself():
    from backend.training.schedules import cosine

    text = StringIO()
    assert check_file(Path(cosine.__file__), Console(file=text, width=200)), text.getvalue()
    assert "has a name of its own" not in text.getvalue()


def test_a_forward_pass_that_raises_is_told_with_the_examples_and_its_line(checked):
    passed, text = checked(PLAIN.replace("self.first(x)", "self.gone(x)"))
    assert not passed
    assert re.search(
        r"^FAIL +can be made +on images of \S+ numbers it raises AttributeError: 'Fixed' obj",
        text,
        re.MULTILINE,
    )
    assert "in forward" in text
