"""A run's network as a checkpoint holds it, on the run's batch, ready to be looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from backend.config import MicroscopeConfig
from backend.training.checkpoints import format
from backend.training.checkpoints.files import damaged, path_of
from backend.training.components.assemble import Assembly, Labelled
from backend.training.datasets import Part
from backend.training.networks import Network
from estimators.core.contract import Params
from estimators.core.noise import stream
from estimators.core.objective import Chain

SHOWN = 3
"""Tensors that a refusal names."""


class UnusableError(Exception):
    """The checkpoint cannot be looked at; the message is for people."""


@dataclass(frozen=True)
class FrozenRun:
    """Frozen weights, the batch of that step, and the estimators' states there."""

    chain: Chain
    params: Params
    states: Mapping[str, Any]
    """What the run's own estimators had learned by then, by label."""
    part: Part = field(repr=False)
    assembly: Assembly = field(repr=False)
    config: MicroscopeConfig = field(repr=False)
    lr: float = 0.0
    """The run's learning rate by then, before the schedule."""

    def batch(self, size: int) -> Chain:
        """The loss on the first `size` examples of that epoch: a smaller batch is in a larger."""
        first, batches = (
            self.assembly.batches(self.part, n, self.config.seed)
            for n in (self.config.batch_size, size)
        )
        epoch = self.config.microscope.step // first.per_epoch
        return self.chain.on(*batches.at(epoch * batches.per_epoch))

    def untrained(self, network: Network) -> "FrozenRun":
        """Another network in the place of this one: its first weights, on the same batch."""
        config, assembly = self.config, replace(self.assembly, network=network)
        batch = assembly.batches(self.part, config.batch_size, config.seed)
        module = assembly.module(config.seed).to(self.chain.x.device)
        chain = assembly.chain(module, batch.at(config.microscope.step))
        return replace(self, chain=chain, params=_frozen(module), states={}, assembly=assembly)

    def state(self, one: Labelled, chain: Chain, *, learned: bool = True) -> Any:
        """What it had learned in the run, or what it starts with at these weights."""
        if learned and one.label in self.states:
            return self.states[one.label]
        rng = stream(self.config.seed, "estimator", "init", one.label, device=chain.x.device)
        return one.estimator.init(chain, self.params, rng)


def specimen(
    config: MicroscopeConfig, assembly: Assembly, folder: Path, device: torch.device
) -> FrozenRun:
    """The checkpoint that `folder` keeps. Raises UnusableError."""
    dataset, step = assembly.dataset, config.microscope.step
    path = path_of(folder, step)
    if not path.exists():
        raise UnusableError(f"the checkpoint of step {step:,} is gone; take another one")
    state = _trained(path, device)
    part = dataset.load(config.seed).to(device).train
    batch = assembly.batches(part, config.batch_size, config.seed).at(step)
    module = assembly.module(config.seed)
    _load(module, state["module"], step)
    module = module.to(device)
    chain = assembly.chain(module, batch)
    return FrozenRun(
        chain, _frozen(module), state["estimators"], part, assembly, config, state["lr"]
    )


def _frozen(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in module.named_parameters()}


def _trained(path: Path, device: torch.device) -> Mapping[str, Any]:
    try:
        return format.read(path, device)["trainer"]
    except Exception as error:  # a damaged file has many ways to say so
        raise UnusableError(f"{damaged(path)}; take another one") from error


def _load(module: nn.Module, held: Mapping[str, Tensor], step: int) -> None:
    """Take over the weights of the very same network."""
    wanted = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in held.items()}
    if wanted != found:
        names = sorted(n for n in {*wanted, *found} if wanted.get(n) != found.get(n))
        told = "; ".join(
            f"{n}: {found.get(n, 'not there')}, the network has {wanted.get(n, 'none')}"
            for n in names[:SHOWN]
        )
        raise UnusableError(
            f"the checkpoint of step {step:,} is of another network than the run's configuration "
            f"describes ({told}): the lab has changed since, or the file is another run's"
        )
    module.load_state_dict(held)
