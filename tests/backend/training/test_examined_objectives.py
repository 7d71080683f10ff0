"""A run and the microscope examine their objective, whatever class the network is of."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from backend.config import MicroscopeConfig
from backend.training.components import index
from backend.training.control import Control
from backend.training.datasets.two_moons import TwoMoons
from backend.training.examples.part import Part
from backend.training.loop import Run, train
from backend.training.microscope.run import run_microscope
from backend.training.networks import networks
from backend.training.networks.contract import named
from backend.training.networks.mlp import MLP
from estimators.core.contract import Claim

Middle = Literal["nothing", "noise", "centring", "no_grad", "detach"]
ACTIVITY = {"name": "activity_forward_gradient"}
FORWARD = {"name": "forward_gradient"}


class Between(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, h):
        if self.kind == "noise":
            return F.dropout(h, 0.5, True)
        if self.kind == "centring":
            return h - h.mean(0)
        if self.kind == "detach":
            return h.detach() + 0.1 * h
        if self.kind == "no_grad":
            with torch.no_grad():
                return 2 * h
        return h


@dataclass(frozen=True)
class Foreign(MLP):
    """An MLP with a module that the lab does not know between its layers."""

    middle: Middle = "nothing"
    """What the module does."""

    def layout(self, shape, classes):
        first, *others = super().layout(shape, classes).named_children()
        return named(**dict([first, ("between", Between(self.middle)), *others]))


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    kind = replace(index.KINDS["network"], builtin=lambda: (*networks().values(), Foreign))
    monkeypatch.setattr(index, "KINDS", {**index.KINDS, "network": kind})


def foreign(middle):
    return {"name": "foreign", "width": 8, "middle": middle}


@pytest.mark.parametrize(
    ("middle", "text"),
    [("noise", "something in module between (Between) is random"),
     ("no_grad", "in module between (Between), reverse mode stops")],
)  # fmt: skip
def test_a_run_that_cannot_be_right_fails_before_its_first_point(config, gather, middle, text):
    run = gather(train(config(network=foreign(middle), shadows=[FORWARD])))
    assert run.ended.status == "failed"
    assert text in run.ended.error
    assert "Traceback" not in run.ended.error
    assert not run.points


def test_a_run_marks_what_its_reader_must_know(config, gather, tmp_path):
    coupled = config(network=foreign("centring"), shadows=[ACTIVITY])
    run = gather(train(coupled, checkpoint_dir=tmp_path))
    (told,) = [e for e in run.events if e.kind == "objective"]
    assert told.text.startswith("module between (Between) couples the examples")
    assert run.ended.status == "finished"
    again = gather(train(coupled, checkpoint_dir=tmp_path))
    assert not [e for e in again.events if e.kind == "objective"]  # it was said at the start
    stopped = config(network=foreign("detach"), shadows=[{"name": "spsa"}])
    (told,) = [e for e in gather(train(stopped)).events if e.kind == "objective"]
    assert "because of module between (Between)" in told.text


def test_the_claim_of_a_coupled_run_is_that_of_one_number(config):
    run = Run(config(network=foreign("centring"), estimator=ACTIVITY), Control(), None, (), None)
    chain = run._trainer.chain
    assert chain.whole
    assert run._trainer.roles.driver.estimator.claim(chain) is Claim.UNBIASED


def test_a_method_for_single_examples_is_refused_on_coupled_ones(config, gather):
    per_example = {"name": "forward_gradient", "per": "example"}
    run = gather(train(config(network=foreign("centring"), shadows=[per_example])))
    assert run.ended.status == "failed"
    assert run.ended.error.startswith("forward_gradient(per=example) needs a loss that is a mean")


def test_a_driver_that_is_not_served_does_not_take_over(config, gather):
    per_example = {"name": "forward_gradient", "per": "example"}
    control = Control()
    driver = {"label": "new", "estimator": per_example}
    control.update(changes=[{"id": 1, "driver": driver}])
    run = gather(train(config(network=foreign("centring")), control))
    assert run.ended.status == "finished"
    assert run.facts.labels["driver"] == "backprop"
    (refused,) = [e.text for e in run.events if e.kind == "change"]
    assert refused.startswith("driver not changed: forward_gradient(per=example) needs")


@pytest.mark.parametrize("sweep", [None, ("network.middle", ["nothing", "noise"])])
def test_the_microscope_refuses_too(config, gather, tmp_path, sweep, monkeypatch):
    asked = config(network=foreign("nothing"), shadows=[FORWARD])
    assert gather(train(asked, checkpoint_dir=tmp_path)).ended.status == "finished"
    if sweep is None:
        monkeypatch.setattr(Between, "forward", lambda self, h: F.dropout(h, 0.5, True))
    of = {"run": "r1", "step": 40, "draws": 4}
    if sweep:
        of["sweep"] = {"field": sweep[0], "values": sweep[1]}
    body = MicroscopeConfig.model_validate({**asked.model_dump(), "microscope": of})
    seen = gather(run_microscope(body, folder=tmp_path))
    assert seen.ended.status == "failed"
    assert "something in module between (Between) is random" in seen.ended.error
    assert "Traceback" not in seen.ended.error


def test_the_microscope_says_that_examples_are_coupled(config, gather, tmp_path):
    asked = config(network=foreign("centring"), shadows=[ACTIVITY])
    gather(train(asked, checkpoint_dir=tmp_path))
    of = {"run": "r1", "step": 40, "draws": 4}
    body = MicroscopeConfig.model_validate({**asked.model_dump(), "microscope": of})
    events = gather(run_microscope(body, folder=tmp_path)).events
    assert any(
        "module between (Between) couples" in e.text for e in events if e.kind == "objective"
    )


def test_the_lab_s_own_networks_and_losses_have_no_notice(config):
    """Batch normalisation and stop-gradients of the lab are declared."""
    for network in ({"name": "mlp", "normalisation": "batch"}, {"name": "cnn"},
                    {"name": "local_mixer"}, {"name": "bacho_cnn"}):  # fmt: skip
        for loss in ("cross_entropy", "info_nce"):
            made = config(network=network, loss={"name": loss}, estimator=ACTIVITY,
                          dataset={"name": "digits"}, shadows=[FORWARD])  # fmt: skip
            run = Run(made, Control(), None, (), None)
            assert run._trainer.notices == ()
            batch_norm = "normalisation" in network
            assert run._trainer.chain.separable is not batch_norm


@pytest.mark.parametrize(
    ("place", "broken", "said"),
    [
        ("train", lambda x, y: (x, y + 1), "two_moons has labels from 1 to 2; with 2 classes"),
        ("test", lambda x, y: (x, y - 1), "two_moons has labels from -1 to 0; with 2 classes"),
        ("train", lambda x, y: (x.index_fill(0, torch.tensor([7]), math.nan), y),
         "1 of 120 training examples of two_moons have a number that is not finite, first the "
         "example 7"),
    ],
)  # fmt: skip
def test_a_data_set_that_cannot_be_trained_on_is_named_before_the_first_step(
    place, broken, said, config, gather, monkeypatch
):
    whole = TwoMoons.load

    def load(self, seed):
        split = whole(self, seed)
        part = getattr(split, place)
        return replace(split, **{place: Part(*broken(part.x, part.y))})

    monkeypatch.setattr(TwoMoons, "load", load)
    run = gather(train(config()))
    assert run.ended.status == "failed"
    assert run.ended.error.startswith(said)
    assert "Traceback" not in run.ended.error
