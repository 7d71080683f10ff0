"""The losses of configurations on batches without numbers, which the cells of a study share.

A network is laid out once, whatever the batch and the estimators. Built-in networks that differ in
their widths alone share what is found by running them: a hundred widths are tried once.
"""

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, TypeVar

from torch import nn

from backend.catalogue.plugin_fit import chain_that_runs, is_builtin
from backend.training.datasets import Dataset
from backend.training.losses import Loss
from backend.training.memory.need import (
    Footprint,
    footprint,
    laid_out,
    on_meta_device,
    placeholder,
)
from backend.training.networks import Network
from estimators.autodiff.trial_passes import share_trials
from estimators.core.objective import Chain

FEW = 2
"""Examples of a batch that stands for any; batch normalisation refuses one."""
KEPT = 2048
"""Answers of each kind that are kept."""
SIZES = frozenset((
    "in_features", "out_features", "in_channels", "out_channels", "num_features", "num_channels",
    "num_groups", "normalized_shape", "num_embeddings", "embedding_dim",
))  # fmt: skip
"""Attributes of torch's layers by which no pass takes another way."""
R = TypeVar("R")


def remembered(function: Callable[..., R]) -> Callable[..., R]:
    """Cache the answers about components: the runs of a study share most of theirs.

    Components are compared by value. One with a field that cannot be hashed is not cached.
    """
    cached = lru_cache(maxsize=KEPT)(function)

    def call(*components: Any) -> R:
        try:
            hash(components)
        except TypeError:
            return function(*components)
        return cached(*components)

    return call


@remembered
def module_of(network: Network, dataset: Dataset, loss: Loss) -> nn.Sequential:
    """The network on torch's meta device. Raises what its layout raises."""
    return laid_out(network, dataset, loss)


@remembered
def sample_chain(network: Network, dataset: Dataset, loss: Loss, batch: int = FEW) -> Chain:
    """The loss on a batch, without numbers where it can do without them."""
    if not is_builtin(network, loss):
        return chain_that_runs(network, dataset, loss, batch)
    if batch != FEW:
        return sample_chain(network, dataset, loss).on(*placeholder(dataset, batch))
    module = module_of(network, dataset, loss)
    key = structure(module), loss, dataset.tokens, len(dataset.shape)
    twin = _TWINS.get(key)
    if twin is None:
        return _TWINS.setdefault(key, on_meta_device(network, dataset, loss, module=module))
    if twin.start is None:  # what draws at random was found by a pass
        chain = loss.chain(module, placeholder(dataset, FEW), dataset)
    else:
        chain = on_meta_device(network, dataset, loss, module=module)
    share_trials(chain, twin)
    return chain


_TWINS: dict[Hashable, Chain] = {}
"""The first chain of each structure."""


def structure(module: nn.Module) -> Hashable:
    """Equal for networks whose passes are made of the same operations, whatever their widths.

    The names and types of all modules, with their attributes but for the sizes of torch's own
    layers, and the names and dimensions of their tensors.
    """
    return tuple((name, type(part), *_attributes(part)) for name, part in module.named_modules())


def _attributes(part: nn.Module) -> tuple[Hashable, ...]:
    is_torch_s = type(part).__module__.startswith("torch.nn.")
    own = {
        name: value
        for name, value in vars(part).items()
        if not name.startswith("_") and not (is_torch_s and name in SIZES)
    }
    tensors = [*part._parameters.items(), *part._buffers.items()]
    return (
        tuple((name, repr(value)) for name, value in own.items()),
        tuple((name, None if t is None else t.dim()) for name, t in tensors),
    )


@remembered
def footprint_of(network: Network, dataset: Dataset, loss: Loss, batch: int) -> Footprint:
    """What a pass takes on a batch of that size: one traced pass for each size."""
    if is_builtin(network, loss):
        chain = sample_chain(network, dataset, loss).on(*placeholder(dataset, batch))
    else:
        chain = on_meta_device(network, dataset, loss, batch)
    return footprint(chain, batch)
