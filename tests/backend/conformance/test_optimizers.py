"""Optimisers and schedules as a plug-in's author would write them, each with one bug."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

import pytest
import torch
from torch import nn

from backend.conformance import check
from backend.conformance.settings import settings_of
from backend.training.optimizers import Optimizer, Schedule, optimizers, schedules
from estimators.core.bounds import Ge, Lt
from tests.backend.conformance.planted import bug, failures

Constant = schedules()["constant"]


class Torch(torch.optim.Optimizer):
    """θ ← θ − lr m, m ← β m + g."""

    def __init__(self, params, lr, beta):
        super().__init__(params, {"lr": lr, "beta": beta})

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                self.update(p, group)

    def update(self, p, group):
        state = self.state[p]
        state["m"] = group["beta"] * state.get("m", torch.zeros_like(p)) + p.grad
        p.add_(state["m"], alpha=-group["lr"])


@dataclass(frozen=True)
class Sound(Optimizer):
    """Heavy ball."""

    lr: float = 0.05
    """Learning rate."""
    beta: Annotated[float, Ge(0), Lt(1)] = 0.5
    """Momentum (β)."""
    schedule: Schedule = field(default_factory=Constant)
    """How the learning rate changes."""

    kind = Torch

    def build(self, params: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return self.kind(params, self.lr, self.beta)


def with_update(update, base=Torch):
    return bug(Sound, kind=type("Planted", (base,), {"update": update}))


def test_a_sound_optimiser_conforms_and_says_what_it_is():
    verdicts = check("optimizer", Sound)
    assert [v for v in verdicts if not v.passed] == []
    details = {v.name: v.detail for v in verdicts}
    assert details["is torch's"] == "torch's Torch, lr 0.05"
    assert details["keeps its state"] == "numbers that it keeps for each weight: 1"


def test_settings_are_tried_with_what_they_need():
    made = settings_of(optimizers()["sgd"]).made
    assert any(s.nesterov and s.momentum > 0 for s in made.values())


def test_a_setting_that_torch_s_class_refuses_is_told():
    class Picky(Torch):
        def __init__(self, params, lr, beta):
            if beta < 0.4:
                raise ValueError("beta is too small")
            super().__init__(params, lr, beta)

    verdicts = {v.name: v for v in check("optimizer", bug(Sound, kind=Picky))}
    assert {name for name, v in verdicts.items() if not v.passed} == set()
    assert "but these; beta=0.25: beta is too small" in verdicts["builds every setting"].detail


# --- torch's interface ---


def test_a_build_that_is_no_torch_optimiser():
    failed = failures("optimizer", bug(Sound, build=lambda self, params: object()))
    assert failed["can be made"] == "build gives a object, not a torch.optim.Optimizer"


def test_a_parameter_that_is_left_out():
    cls = bug(Sound, build=lambda self, params: Torch([*params][:1], self.lr, self.beta))
    assert "build leaves out the parameter bias" in failures("optimizer", cls)["is torch's"]


def test_a_learning_rate_that_does_not_reach_the_groups():
    cls = bug(Sound, build=lambda self, params: Torch(params, 0.5, self.beta))
    assert "lr is 0.05; the groups of build have 0.5" in failures("optimizer", cls)["is torch's"]


def test_a_step_that_needs_a_closure():
    cls = bug(Sound, build=lambda self, params: torch.optim.LBFGS([*params], lr=self.lr))
    assert "step needs a closure" in failures("optimizer", cls)["is torch's"]


# --- updates ---


def test_a_step_uphill():
    cls = with_update(lambda self, p, group: p.add_(p.grad, alpha=group["lr"]))
    assert "50 updates take ½ ‖θ‖² from" in failures("optimizer", cls)["lowers a quadratic"]


def test_a_rate_that_is_kept_from_the_beginning():
    class Keeps(Torch):
        def __init__(self, params, lr, beta):
            super().__init__(params, lr, beta)
            self.rate = lr

        def update(self, p, group):
            p.add_(p.grad, alpha=-self.rate)

    failed = failures("optimizer", bug(Sound, kind=Keeps))
    assert "the same at half the learning rate" in failed["follows the rate"]


def test_weights_that_move_at_rate_zero():
    cls = with_update(lambda self, p, group: p.mul_(0.99).add_(p.grad, alpha=-group["lr"]))
    assert "at learning rate 0 moves the weights" in failures("optimizer", cls)["follows the rate"]


def test_a_rate_that_counts_at_the_first_update_alone_is_told():
    def update(self, p, group):
        rate = self.state[p].setdefault("rate", torch.tensor(group["lr"]))
        p.add_(p.grad * rate, alpha=-1)

    verdicts = {v.name: v for v in check("optimizer", with_update(update))}
    assert "schedules are without effect" in verdicts["follows the rate"].detail


# --- state ---


class Outside(Torch):
    """Its momentum is a plain attribute, which no state_dict holds."""

    def __init__(self, params, lr, beta):
        super().__init__(params, lr, beta)
        self.kept = {}

    def update(self, p, group):
        m = group["beta"] * self.kept.get(p, torch.zeros_like(p)) + p.grad
        self.kept[p] = m
        p.add_(m, alpha=-group["lr"])


class Counting(Torch):
    """A bias correction whose count is an attribute."""

    count = 0

    def step(self, closure=None):
        self.count += 1
        super().step()

    def update(self, p, group):
        p.add_(p.grad, alpha=-group["lr"] / (1 - 0.5**self.count))


@pytest.mark.parametrize("kind", [Outside, Counting])
def test_state_outside_the_state_dict(kind):
    failed = failures("optimizer", bug(Sound, kind=kind))
    assert "keep what it depends on in self.state" in failed["keeps its state"]


# --- gradients and noise ---


def test_a_gradient_of_zero_that_is_divided_by():
    cls = with_update(lambda self, p, group: p.add_(p.grad / p.grad.norm(), alpha=-group["lr"]))
    failed = failures("optimizer", cls)
    assert "bias is not finite after a gradient of zero" in failed["takes zero gradients"]


def test_a_gradient_that_is_changed_in_place():
    def update(self, p, group):
        p.grad.clamp_(-0.1, 0.1)
        p.add_(p.grad, alpha=-group["lr"])

    failed = failures("optimizer", with_update(update))
    assert "step changes the gradient of weight" in failed["leaves gradients alone"]


def test_noise_of_the_global_generator():
    cls = with_update(
        lambda self, p, group: p.add_(p.grad + 0.01 * torch.randn_like(p), alpha=-group["lr"])
    )
    assert "step uses the global generator" in failures("optimizer", cls)["repeats its updates"]


def test_noise_of_a_generator_of_its_own():
    rng = torch.Generator()

    def update(self, p, group):
        p.add_(p.grad * (1 + 0.1 * torch.rand((), generator=rng)), alpha=-group["lr"])

    failed = failures("optimizer", with_update(update))
    assert "give other bits when they are repeated" in failed["repeats its updates"]


# --- schedules ---


@dataclass(frozen=True)
class Linear(Schedule):
    """A line from 1 to 0, after a warm-up."""

    warmup: Annotated[int, Ge(0)] = 0
    """Steps of the warm-up."""

    def factor(self, step, steps):
        if step < self.warmup:
            return (step + 1) / self.warmup
        return 1 - step / steps


def scheduled(factor):
    return bug(Linear, factor=factor)


def test_a_sound_schedule_conforms():
    verdicts = {v.name: v for v in check("schedule", Linear)}
    assert {name for name, v in verdicts.items() if not v.passed} == set()
    assert verdicts["trains"].detail == "1 at first, 1 at most, 0.001 at last"


@pytest.mark.parametrize(
    ("factor", "sentence"),
    [
        (lambda self, step, steps: float("nan") if step == steps - 1 else 1.0, "(0, 1) is nan"),
        (lambda self, step, steps: 1 - step / (steps - 1), "ZeroDivisionError"),
        (lambda self, step, steps: 1 - 2 * step / steps, "factor(6, 10) is -0.19999999999999996"),
        (lambda self, step, steps: torch.ones(()), "not a number"),
    ],
)
def test_a_factor_that_is_no_rate(factor, sentence):
    failed = failures("schedule", scheduled(factor))
    assert sentence in " ".join(failed.values())


def test_a_warm_up_that_is_longer_than_the_run():
    def factor(self, step, steps):
        if step < self.warmup:
            return (step + 1) / self.warmup
        return (steps - step) / (steps - self.warmup)

    assert failures("schedule", scheduled(factor)) == {}

    def negative(self, step, steps):
        return 1 - self.warmup / 1500

    sentence = failures("schedule", scheduled(negative))["is finite"]
    assert sentence.startswith("planted(warmup=5000): factor(0, 1) is -2.3")


def test_a_schedule_with_a_memory():
    calls = []

    def factor(self, step, steps):
        calls.append(step)
        return 1 / len(calls)

    assert "when it is asked for again" in failures("schedule", scheduled(factor))["repeats"]


def test_a_schedule_that_trains_nothing():
    failed = failures("schedule", scheduled(lambda self, step, steps: 0.0))
    assert "so that nothing is trained" in failed["trains"]


def test_a_largest_factor_that_is_not_1_is_told():
    verdicts = check("schedule", scheduled(lambda self, step, steps: 10.0))
    trains = next(v for v in verdicts if v.name == "trains")
    assert trains.passed
    assert "the largest is usually 1" in trains.detail
