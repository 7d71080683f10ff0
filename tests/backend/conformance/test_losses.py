"""Losses as a plug-in's author would write them, each with one bug that `check` must find."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import torch
from torch.nn.functional import cross_entropy, log_softmax, softmax

from backend.conformance import check
from backend.training.evaluation.evaluation import Evaluation
from backend.training.losses import Loss
from estimators.core.bounds import Ge
from estimators.core.objective import Chain
from tests.backend.conformance.planted import bug, failures


@dataclass(frozen=True)
class Sound(Loss):
    """Focal loss (Lin et al. 2017): −(1 − p)^γ log p at the example's class."""

    gamma: Annotated[float, Ge(0)] = 2.0
    """Focusing (γ): 0 is cross-entropy."""

    def losses(self, outputs, y):
        log_p = log_softmax(outputs, 1).gather(1, y[:, None]).squeeze(1)
        return -((1 - log_p.exp()).clamp(min=1e-6) ** self.gamma) * log_p

    def chain(self, module, batch, dataset):
        return Chain(module, *batch, self.losses)

    def evaluation(self, module, dataset, plan):
        return Evaluation(module, plan.split, plan.steps, plan.batch_size, self.losses)


def with_losses(function, **members):
    return bug(Sound, losses=lambda self, outputs, y: function(outputs, y), **members)


def test_a_sound_loss_conforms_and_says_what_it_is():
    verdicts = {v.name: v for v in check("loss", Sound)}
    assert {name for name, v in verdicts.items() if not v.passed} == set()
    details = {name: v.detail for name, v in verdicts.items()}
    assert details["gives a loss for each example"] == "(6,) for 6 examples"
    assert details["agrees in its derivatives"] == "all three ways agree in float64"
    assert details["describes itself"].startswith("Focal loss")
    assert not verdicts["prepares batches"].offered


# --- one loss for each example ---


def test_a_mean_in_the_place_of_a_loss_for_each_example():
    cls = with_losses(cross_entropy)
    sentence = failures("loss", cls)["gives a loss for each example"]
    assert "one value for each of 6 examples; its shape is ()" in sentence


def test_a_loss_that_reads_the_batch():
    def centred(outputs, y):
        return cross_entropy(outputs - outputs.mean(0), y, reduction="none")

    assert (
        "depends on other examples"
        in failures("loss", with_losses(centred))["separates its examples"]
    )


def test_a_loss_that_is_divided_by_the_batch():
    """Its sum is then the mean, and its mean is B times too small."""

    def divided(outputs, y):
        return cross_entropy(outputs, y, reduction="none") / len(y)

    assert "or on their number" in failures("loss", with_losses(divided))["separates its examples"]


def test_a_coupling_that_is_declared():
    def chain(self, module, batch, dataset):
        return Chain(module, *batch, cross_entropy, separable=False)

    found = {v.name: v for v in check("loss", bug(Sound, chain=chain))}
    assert found["separates its examples"].detail == "the loss is one number"
    assert found["gives a loss for each example"].passed


# --- range and derivatives ---


def naive(outputs, y):
    return -softmax(outputs, 1).gather(1, y[:, None]).squeeze(1).log()


def test_a_loss_that_is_infinite_at_large_outputs():
    assert "a loss is inf" in failures("loss", with_losses(naive))["is finite"]


def test_a_derivative_that_is_not_finite_at_large_outputs():
    """p rounds to 1, and the derivative of √(1 − p) is infinite there."""

    def root(outputs, y):
        return (1 - softmax(outputs, 1).gather(1, y[:, None]).squeeze(1)).sqrt()

    sentence = failures("loss", with_losses(root))["is finite"]
    assert "for outputs of about 100, a derivative is" in sentence


def detached(outputs, y):
    weights = 1 + softmax(outputs, 1).gather(1, y[:, None]).squeeze(1).detach()
    return weights * cross_entropy(outputs, y, reduction="none")


def test_a_stop_gradient_without_a_word():
    sentence = failures("loss", with_losses(detached))["agrees in its derivatives"]
    assert "let the property stops say so" in sentence


def test_a_stop_gradient_as_the_class_says():
    found = {v.name: v for v in check("loss", with_losses(detached, stops=True))}
    assert found["agrees in its derivatives"].passed


def test_a_loss_that_reverse_mode_does_not_see():
    def half(outputs, y):
        with torch.no_grad():
            constant = cross_entropy(outputs, y, reduction="none")
        return (constant + cross_entropy(outputs, y, reduction="none")) / 2

    assert "agrees in its derivatives" in failures("loss", with_losses(half, stops=True))


# --- noise, batches ---


def test_a_random_loss():
    def noisy(outputs, y):
        return cross_entropy(outputs + torch.rand(()), y, reduction="none")

    sentence = failures("loss", with_losses(noisy))["gives a loss for each example"]
    assert "uses the global generator of torch" in sentence


def test_a_random_loss_with_a_generator_of_its_own():
    rng = torch.Generator()

    def noisy(outputs, y):
        return cross_entropy(outputs, y, reduction="none") * (1 + torch.rand((), generator=rng))

    assert "repeats" in failures("loss", with_losses(noisy))


def test_outputs_that_are_changed_in_place():
    def in_place(outputs, y):
        return cross_entropy(
            outputs.detach().clamp_(-1, 1) + outputs - outputs.detach(), y, reduction="none"
        )

    failed = failures("loss", with_losses(in_place, stops=True))
    assert "it changes the outputs in place" in failed["repeats"]


def noised(draw, copy=True):
    def prepare(x, y, rng):
        return (x.clone() if copy else x).add_(draw(x, rng)), y

    return bug(Sound, prepare=property(lambda self: prepare))


@pytest.mark.parametrize(
    ("cls", "sentence"),
    [
        (noised(lambda x, rng: torch.randn_like(x)), "prepare uses the global generator of torch"),
        (noised(lambda x, rng: torch.ones_like(x), copy=False), "prepare changes the examples"),
    ],
)
def test_a_preparation_that_is_not_repeated(cls, sentence):
    assert sentence in " ".join(failures("loss", cls).values())


def test_a_preparation_from_its_generator_conforms():
    assert failures("loss", noised(lambda x, rng: torch.rand(x.shape, generator=rng))) == {}


def test_a_smallest_batch_that_has_no_gradient():
    def contrast(outputs, y):
        return -torch.diagonal(log_softmax(outputs @ outputs.T.detach(), 1))

    cls = with_losses(contrast, stops=True)
    sentence = failures("loss", cls)["takes its smallest batch"]
    assert "on a batch of 1, which min_batch_size allows, the gradient is zero" in sentence
    more = bug(cls, min_batch_size=2)
    assert "takes its smallest batch" not in failures("loss", more)


# --- evaluation ---


class Broken(Evaluation):
    """An evaluation with what a test changes."""

    metric, part, mode = "validation/loss", "test/loss", True

    def along(self, step):
        yield from (
            (self.metric if n == "validation/loss" else n, v) for n, v in super().along(step)
        )
        self._module.train(self.mode)

    def last(self):
        yield from ((self.part if n == "test/loss" else n, v) for n, v in super().last())


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"metric": "valid_loss"}, "its metrics begin with train/ or validation/"),
        ({"metric": "validation/focal"}, "there is no validation/loss"),
        ({"part": "validation/loss"}, "its metrics begin with test/"),
        ({"mode": False}, "left in evaluation mode"),
    ],
)
def test_an_evaluation_that_does_not_keep_its_contract(members, sentence):
    kind = type("Planted", (Broken,), members)

    def evaluation(self, module, dataset, plan):
        return kind(module, plan.split, plan.steps, plan.batch_size, self.losses)

    assert sentence in failures("loss", bug(Sound, evaluation=evaluation))["evaluates"]


def test_a_loss_that_is_defined_on_nothing():
    def refuse(self, dataset):
        raise ValueError("it needs graphs")

    sentence = failures("loss", bug(Sound, check=refuse))["can be made"]
    assert "it is defined on none of the samples" in sentence
    assert "it needs graphs" in sentence
