"""`LossTrial`: one setting of a loss on a sample, behind a small network."""

from functools import cached_property

import torch
from torch import Tensor, nn

from backend.conformance.samples import SAMPLES, Sample
from backend.conformance.settings import Settings, name_of, settings_of
from backend.training.components.discovery import catalogue_name
from backend.training.losses import Loss
from backend.training.losses.contract import Batch
from backend.training.networks.mlp import MLP
from estimators.core.contract import Params
from estimators.core.noise import stream
from estimators.core.objective import Chain
from estimators.measurement.inputs.nearby import examinable

BATCH = 6
NETWORK = MLP(width=7, depth=1, activation="tanh")
"""Smooth, and without anything that couples examples: what is wrong is the loss's own."""


class LossTrial:
    """A loss on a sample. What is made is made once and shared by all checks."""

    def __init__(self, loss: Loss, sample: Sample, setting: str, settings: Settings) -> None:
        self.loss, self.sample, self.settings = loss, sample, settings
        self.name = name_of(setting, catalogue_name(type(loss)), sample.name)

    @property
    def outputs(self) -> int:
        """Outputs of the network for one example."""
        return self.loss.outputs(self.sample)

    def build(self) -> nn.Module:
        """The network, as the loss begins with it."""
        module = NETWORK.build(self.sample.shape, self.outputs, stream(0, "init"))
        self.loss.begin(module, stream(0, "init", "loss"))
        return module

    @cached_property
    def module(self) -> nn.Module:
        """The network that the checks read and do not change."""
        return self.build()

    def prepared(self, size: int = BATCH, seed: int = 0) -> Batch:
        """A batch of so many examples, as the loss prepares it."""
        x, y = self.sample.batch(size)
        prepare = self.loss.prepare
        return (x, y) if prepare is None else prepare(x, y, stream(seed, "augment"))

    def objective(self, size: int = BATCH) -> Chain:
        """The loss on a prepared batch of so many examples."""
        return self.loss.chain(self.module, self.prepared(size), self.sample)

    @cached_property
    def chain(self) -> Chain:
        """The loss on the batch that the checks share."""
        return self.objective()

    @cached_property
    def params(self) -> Params:
        """The network's weights."""
        return {name: p.detach() for name, p in self.module.named_parameters()}

    @cached_property
    def precise(self) -> tuple[Chain, Params]:
        """The same in double precision, or as near to that as it runs."""
        return examinable(self.chain, self.params)

    def scores(self, scale: float) -> Tensor:
        """Random outputs of that standard deviation for the batch, (B, ...)."""
        with torch.no_grad():
            like = self.chain.forward(self.params)
        rng = stream(0, "init", "scores")
        return torch.empty_like(like).normal_(std=scale, generator=rng)


def trials_of(cls: type[Loss]) -> list[LossTrial]:
    """The defaults on an image and on points, as far as the loss is defined on them, then each
    other setting on the first of these."""
    settings = settings_of(cls)
    small = [next(s for s in SAMPLES if s.is_image is image) for image in (True, False)]
    reasons = {s.name: _refusal(settings.made[""], s) for s in small}
    taken = [s for s in small if not reasons[s.name]]
    words = "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if reason)
    assert taken, f"it is defined on none of the samples: {words}"
    trials = [LossTrial(settings.made[""], s, "", settings) for s in taken]
    for setting, loss in settings.made.items():
        if setting and (reason := _refusal(loss, taken[0])):
            settings.refused[setting] = reason
        elif setting:
            trials.append(LossTrial(loss, taken[0], setting, settings))
    return trials


def _refusal(loss: Loss, sample: Sample) -> str:
    try:
        loss.check(sample)
    except ValueError as error:
        return str(error)
    return ""
