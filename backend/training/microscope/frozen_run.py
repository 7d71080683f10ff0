"""A run as one of its checkpoints holds it: frozen weights, on the run's batch of that step."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from backend.config import MicroscopeConfig
from backend.training.checkpoints import format
from backend.training.checkpoints.files import damage, damage_message, path_of
from backend.training.components.assemble import Assembly, Labelled
from backend.training.datasets import Part
from backend.training.failures import UnusableCheckpointError
from backend.training.networks import Network
from estimators.core.contract import Params, UnsupportedError
from estimators.core.noise import stream
from estimators.core.objective import Chain
from estimators.measurement.inputs.examination import Examined
from estimators.measurement.inputs.randomness import RandomObjectiveError

MAX_TENSORS_NAMED = 3
"""Tensors that an error message names."""


@dataclass(frozen=True)
class FrozenRun:
    """Frozen weights, the batch of that step, and the estimators' states there."""

    chain: Chain
    params: Params
    states: Mapping[str, Any]
    """The state of each of the run's own estimators at that step, by label."""
    part: Part = field(repr=False)
    """The training examples."""
    assembly: Assembly = field(repr=False)
    config: MicroscopeConfig = field(repr=False)
    lr: float = 0.0
    """The base learning rate at that step, before the schedule."""
    notices: tuple[str, ...] = ()
    """What the reader must know about the objective."""

    def batch(self, size: int) -> Chain:
        """The loss on the first `size` examples of that epoch.

        A smaller batch is contained in a larger one.
        """
        own, resized = (
            self.assembly.batches(self.part, n, self.config.seed)
            for n in (self.config.batch_size, size)
        )
        epoch = self.config.microscope.step // own.per_epoch
        return self.chain.on(*resized.at(epoch * resized.per_epoch))

    def untrained(self, network: Network) -> "FrozenRun":
        """The same batch with `network` at its initialisation in place of this one's."""
        config, assembly = self.config, replace(self.assembly, network=network)
        batch = assembly.batches(self.part, config.batch_size, config.seed)
        module = assembly.module(config.seed).to(self.chain.x.device)
        chain, notices = _examined(assembly, module, batch.at(config.microscope.step), config)
        return replace(
            self, chain=chain, params=_detached(module), states={}, assembly=assembly,
            notices=notices,
        )  # fmt: skip

    def state(self, labelled: Labelled, chain: Chain, *, learned: bool = True) -> Any:
        """The estimator's state in the run if it is `learned` and there, else an initial one."""
        if learned and labelled.label in self.states:
            return self.states[labelled.label]
        rng = stream(self.config.seed, "estimator", "init", labelled.label, device=chain.x.device)
        return labelled.estimator.init(chain, self.params, rng)


def load_frozen_run(
    config: MicroscopeConfig, assembly: Assembly, folder: Path, device: torch.device
) -> FrozenRun:
    """Read the checkpoint of the requested step in `folder`. Raises UnusableCheckpointError."""
    step = config.microscope.step
    path = path_of(folder, step)
    if not path.exists():
        raise UnusableCheckpointError(f"the checkpoint of step {step:,} is gone; take another one")
    state = _trainer_state(path, device)
    part = assembly.dataset.load(config.seed).to(device).train
    batch = assembly.batches(part, config.batch_size, config.seed).at(step)
    module = assembly.module(config.seed)
    _load_weights(module, state["module"], step)
    module = module.to(device)
    chain, notices = _examined(assembly, module, batch, config)
    states, lr = state["estimators"], state["lr"]
    return FrozenRun(chain, _detached(module), states, part, assembly, config, lr, notices)


def _examined(
    assembly: Assembly, module: nn.Module, batch: tuple[Tensor, Tensor], config: MicroscopeConfig
) -> Examined:
    """The objective on a batch. Raises UnusableCheckpointError if it cannot be measured on."""
    try:
        return assembly.examined(module, batch, config.seed, config.microscope.step)
    except (RandomObjectiveError, UnsupportedError) as error:
        raise UnusableCheckpointError(str(error)) from error


def _detached(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in module.named_parameters()}


def _trainer_state(path: Path, device: torch.device) -> Mapping[str, Any]:
    if message := damage(path):
        raise UnusableCheckpointError(f"{message}; take another one")
    try:
        return format.read(path, device)["trainer"]
    except Exception as error:  # a file of an earlier version can raise many kinds of exceptions
        raise UnusableCheckpointError(f"{damage_message(path)}; take another one") from error


def _load_weights(module: nn.Module, weights: Mapping[str, Tensor], step: int) -> None:
    """Load weights of exactly this network. Raises UnusableCheckpointError for another one's."""
    expected = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    stored = {name: tuple(t.shape) for name, t in weights.items()}
    if expected != stored:
        names = sorted({*expected, *stored})
        differing = [name for name in names if expected.get(name) != stored.get(name)]
        details = "; ".join(
            f"{name}: {stored.get(name, 'not there')}, the network has {expected.get(name, 'none')}"
            for name in differing[:MAX_TENSORS_NAMED]
        )
        raise UnusableCheckpointError(
            f"the checkpoint of step {step:,} is of another network than the run's configuration "
            f"describes ({details}): the lab has changed since, or the file is another run's"
        )
    module.load_state_dict(weights)
