"""Networks that draw at every pass: one mask for all passes of a step, anew at each step."""

import copy
import random

import numpy as np
import pytest
import torch

from backend.catalogue import validate
from backend.config import MicroscopeConfig
from backend.training.control import Control
from backend.training.evaluation.batch_norm import RunningStatistics
from backend.training.loop import Run, train
from backend.training.losses.cross_entropy import CrossEntropy
from backend.training.microscope.frozen_run import load_frozen_run
from backend.training.microscope.run import run_microscope
from backend.training.microscope.setup import Setup
from backend.training.random_passes import chain_on
from backend.training.records import Progress
from estimators.core.noise import stream

FILE = '''
import random

import torch
from torch import nn
from torch.nn import functional as F

from gradlab import Equilibrium


class Depth(nn.Module):
    """Leaves a layer out for some examples, and a scale that Python draws."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, h):
        if not self.training:
            return h + self.linear(h)
        kept = h.new_empty(len(h), 1).bernoulli_(0.5)
        return h + (1 + random.random()) * kept * self.linear(h)


class Own(nn.Module):
    rng = torch.Generator()

    def forward(self, h):
        if not self.training:
            return h
        return h + torch.randn(h.shape, generator=self.rng).to(h)


class Dropped(nn.Module):
    def __init__(self, in_features, num_classes, p: float = 0.5, own: bool = False):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(in_features, 8), nn.Tanh(), nn.Dropout(p))
        self.second = Depth() if p else nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.more = Own() if own else nn.Sequential(nn.BatchNorm1d(8), nn.Dropout(p))
        self.head = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.head(self.more(self.second(self.first(x))))


class Functional(nn.Module):
    def __init__(self, in_features, num_classes, always: bool = False):
        super().__init__()
        self.first, self.head = nn.Linear(in_features, 8), nn.Linear(8, num_classes)
        self.always = always

    def forward(self, x):
        h = F.dropout(self.first(x), 0.5, self.training or self.always)
        return self.head(torch.tanh(h))


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.drop = nn.Linear(8, 8), nn.Dropout(0.5)

    def forward(self, z, x):
        return torch.tanh(self.drop(self.linear(z)) + x)


class Solved(nn.Module):
    def __init__(self, in_features, num_classes):
        super().__init__()
        self.first, self.middle = nn.Linear(in_features, 8), Equilibrium(Cell())
        self.head = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.head(self.middle(self.first(x)))
'''
SHADOWS = [
    {"name": "forward_gradient", "tangents": 3}, {"name": "spsa"}, {"name": "fdfa"},
    {"name": "activity_forward_gradient"},
]  # fmt: skip


@pytest.fixture
def made(config, tmp_path):
    """A configuration of a network of the file, and the plug-in folder."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "drop.py").write_text(FILE)

    def of(name="dropped", **changes):
        fields = {k: changes.pop(k) for k in ("p", "own", "always") if k in changes}
        return config(network={"name": name, **fields}, **{"steps": 12, **changes})

    return of, [tmp_path / "plugins"]


def run_of(made, **changes):
    of, plugins = made
    return Run(of(**changes), Control(), None, plugins, None)


@pytest.mark.parametrize("name", ["dropped", "functional"])
def test_a_step_has_one_loss_and_the_next_has_other_masks(made, name):
    trainer = run_of(made, name=name)._trainer
    batch = trainer.chain.x, trainer.chain.y
    losses = [trainer.objective(batch, step)(trainer.params).item() for step in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]
    (notice,) = [text for text in trainer.notices if "draws random numbers" in text]
    assert "have one" not in notice
    assert "all passes of a step" in notice


def test_a_run_is_probed_resumed_and_forked_bit_for_bit(made, gather, tmp_path):
    of, plugins = made
    asked = of(shadows=SHADOWS, probe={"every": 4, "draws": 2}, estimator={"name": "spsa"})
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[2]
    whole = gather(train(asked, plugin_dirs=plugins))
    assert whole.ended.status == "finished", whole.ended.error
    assert {key[2] for key in whole.points if key[0] == "cosine"} >= {"spsa", "fdfa"}
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), np.random.get_state()[2])

    control, folder = Control(run_until=7), tmp_path / "kept"
    for record in train(asked, control, checkpoint_dir=folder, plugin_dirs=plugins):
        if isinstance(record, Progress) and record.status == "paused":
            control.update(stop=True, run_until=7)
    torch.rand(5), random.random()  # another process has other generators
    forked = gather(train(asked, plugin_dirs=plugins, origin=folder))
    resumed = gather(train(asked, checkpoint_dir=folder, plugin_dirs=plugins))
    losses = whole.of("train/loss")
    for other in (resumed, forked):
        assert {s: v for s, v in losses.items() if s >= 7} == other.of("train/loss")
        assert whole.of("test/loss") == other.of("test/loss")
    assert resumed.curve(8) == whole.curve(8)


def test_another_seed_has_other_masks(made):
    one, other = (run_of(made, seed=0)._trainer, run_of(made, seed=1)._trainer)
    batch = one.chain.x, one.chain.y
    losses = {t.objective(batch, 0)(one.params).item() for t in (one, other)}
    assert len(losses) == 2


def test_an_evaluation_has_no_dropout(made):
    run = run_of(made)
    values = [dict(run._evaluation.along(0))["validation/loss"] for _ in range(2)]
    module, part = run._trainer.module.eval(), run._assembly.dataset.load(0).validation
    want = torch.nn.functional.cross_entropy(module(part.x), part.y).item()
    assert values == pytest.approx([want, want], rel=1e-5)


def test_running_statistics_are_those_of_the_step_s_own_masks(made):
    run = run_of(made)
    objective, buffers = run._trainer.chain, []
    for module in (run._trainer.module, copy.deepcopy(run._trainer.module)):
        chain = chain_on(CrossEntropy(), module, (objective.x, objective.y), run._assembly.dataset)
        torch.rand(1)
        RunningStatistics(module).update(chain)
        buffers.append(dict(module.named_buffers()))
    assert buffers[0]
    for name, buffer in buffers[0].items():
        assert torch.equal(buffer, buffers[1][name]), name


def test_the_microscope_draws_at_the_step_s_masks(made, gather, tmp_path):
    of, plugins = made
    asked, folder = of(), tmp_path / "kept"
    assert gather(train(asked, checkpoint_dir=folder, plugin_dirs=plugins)).ended.error is None
    of_run = {"microscope": {"run": "r1", "step": 12, "draws": 4}}
    body = MicroscopeConfig.model_validate({**asked.model_dump(), **of_run})
    run = Run(asked, Control(), folder, plugins, None)
    frozen = load_frozen_run(body, run._assembly, folder, torch.device("cpu"))
    objective = run._trainer.objective(run._batches.at(12), 12)
    assert frozen.chain(frozen.params) == objective(run._trainer.params)
    setup = Setup(body, run._assembly, frozen)
    assert setup.later(0)(frozen.params) == objective(run._trainer.params)
    starts = [setup.batches(4).at(number).start for number in (0, 0, 1)]
    draws = []
    for start in starts:
        start.restore()
        draws.append(torch.rand(1).item())
    assert draws[0] == draws[1] != draws[2]
    seen = gather(run_microscope(body, folder=folder, plugin_dirs=plugins))
    assert seen.ended.status == "finished", seen.ended.error
    assert set(seen.of("relative_variance", "", "backprop").values()) == {0.0}


def test_a_plain_module_with_dropout_keeps_its_stages_and_sites(made):
    trainer = run_of(made)._trainer
    assert trainer.chain.stages == ("first", "second", "more", "head")
    assert [place.name for place in trainer.chain.places] == ["first.site1"]


@pytest.mark.parametrize(
    ("network", "estimator", "said"),
    [
        ({"name": "functional", "always": True}, "spsa",
         "something in module network (Functional) is random in evaluation mode too"),
        ({"name": "dropped", "own": True}, "spsa",
         "(Own) is random; draw from the global generators"),
        ({"name": "dropped"}, "guess_and_target",
         "needs to run parts of the network: the network draws random numbers at every pass"),
        ({"name": "dropped"}, "local_losses", "set the probability of dropout to 0"),
        ({"name": "solved"}, "spsa", "draws at every iteration of the equilibrium"),
        ({"name": "dropped"}, "spsa", None),
    ],
)  # fmt: skip
def test_the_form_refuses_what_cannot_be_replayed(made, network, estimator, said):
    of, plugins = made
    asked = of(estimator={"name": estimator}).model_dump()
    errors = validate({**asked, "network": network}, plugins)["errors"]
    assert [str(said) in error["msg"] for error in errors] == ([True] if said else [])


def test_streams_of_passes_are_no_other_streams():
    seeds = {stream(0, purpose, 0).initial_seed() for purpose in ("pass", "augment", "estimator")}
    assert len(seeds) == 3
