"""The contract of a network: named stages with sites, and weights drawn from one generator."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

import torch
from torch import Generator, nn

from backend.training.components.discovery import Configurable, snake_case

Activation = Literal["relu", "tanh", "gelu"]
Normalisation = Literal["none", "layer", "group", "batch"]

GROUP_SIZE = 8  # channels or units in a group, if the number is a multiple of it

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
}


_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
_INITIALISED = (nn.Linear, nn.Conv2d, *_NORMS)
_INITIALISED_TENSORS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
_OTHER_SEED = 0x9E3779B97F4A7C15


class Network(Configurable, ABC):
    """Base of networks: a frozen dataclass that lays out an `nn.Sequential` of named stages."""

    takes_tokens: ClassVar[bool] = False
    """Whether it takes examples of token indices, (B, T) int64, and puts out (B, T, classes)."""
    couples_examples: ClassVar[bool] = False
    """Whether an example's output depends on the other examples of its batch, on purpose. Batch
    normalisation is recognised without it. Anything else that couples examples fails
    `gradlab check`."""

    def check_examples(self, shape: tuple[int, ...], tokens: bool) -> None:
        """Raise ValueError if the network takes tokens and the data set has none, or conversely."""
        name = snake_case(type(self).__name__)
        if tokens and not self.takes_tokens:
            raise ValueError(
                f"{name} takes numbers, and an example of this data set is {shape[0]} tokens of a "
                "text"
            )
        if self.takes_tokens and not tokens:
            raise ValueError(
                f"{name} takes tokens, as the data set characters has them; an example of this "
                f"one is numbers of shape {shape}"
            )

    @abstractmethod
    def layout(self, shape: tuple[int, ...], classes: int) -> nn.Sequential:
        """The stages for examples of `shape`, without initial weights.

        Raises ValueError if the network does not take that shape.
        """

    def build(self, shape: tuple[int, ...], classes: int, rng: Generator) -> nn.Sequential:
        """The network with initial weights from `rng`.

        A layer that `_initialise` does not cover has the weights and buffers of its constructor,
        which draws from torch's global generator: it is seeded from `rng` and put back.
        """
        with torch.device("meta"):
            module = self.layout(shape, classes)
        if self._initialises_all(module):
            module.to_empty(device="cpu")  # no weights are drawn twice
        else:
            with seeded_global_generator(rng):
                module = self.layout(shape, classes)
        for part in module.modules():
            self._initialise(part, rng)
        return module

    def inferred(self, shape: tuple[int, ...], classes: int) -> tuple[str, ...]:
        """What the lab has worked out of the network by itself, in sentences."""
        return ()

    def count(self, shape: tuple[int, ...], classes: int) -> int:
        """The number of trainable scalars, without allocating them."""
        with torch.device("meta"):
            return sum(p.numel() for p in self.layout(shape, classes).parameters())

    def _initialises_all(self, module: nn.Module) -> bool:
        """Whether `_initialise` sets every parameter and buffer of the module."""
        if type(self)._initialise is not Network._initialise:
            return True
        return all(
            isinstance(part, _INITIALISED) and own <= _INITIALISED_TENSORS
            for part in module.modules()
            if (own := {*part._parameters, *part._buffers})
        )

    def _initialise(self, part: nn.Module, rng: Generator) -> None:
        if isinstance(part, nn.Linear | nn.Conv2d):
            # torch has no gain for GELU; that of ReLU is the usual choice.
            kind = "tanh" if getattr(self, "activation", "relu") == "tanh" else "relu"
            nn.init.kaiming_normal_(part.weight, nonlinearity=kind, generator=rng)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, _NORMS):
            part.reset_parameters()


@contextmanager
def seeded_global_generator(rng: Generator) -> Iterator[None]:
    """Seed torch's global generator of the CPU from the seed of `rng`; put it back afterwards."""
    with torch.random.fork_rng(devices=[]):
        # Not the same seed: a layer whose weights `rng` draws would begin with the same numbers.
        torch.default_generator.manual_seed((rng.initial_seed() ^ _OTHER_SEED) % 2**63)
        yield


def named(**modules: nn.Module | None) -> nn.Sequential:
    """An `nn.Sequential` of the modules that are not None, under their names."""
    return nn.Sequential(OrderedDict((n, m) for n, m in modules.items() if m is not None))


def image(shape: tuple[int, ...], network: str) -> tuple[int, int, int]:
    """`shape` as (channels, height, width). Raises ValueError if it is not that of an image."""
    if len(shape) != 3:
        raise ValueError(
            f"{network} needs images (channels × height × width); an example of this data set has "
            f"shape {shape}"
        )
    return shape


def norm(kind: Normalisation, features: int, *, image: bool) -> nn.Module | None:
    """The normalisation of activations (B, features), or of images (B, features, H, W).

    On images, layer normalisation covers channels, height and width together.
    """
    if kind == "batch":
        return nn.BatchNorm2d(features) if image else nn.BatchNorm1d(features)
    if kind == "layer":
        return nn.GroupNorm(1, features) if image else nn.LayerNorm(features)
    return group_norm(features) if kind == "group" else None


def group_norm(features: int) -> nn.GroupNorm:
    """Group normalisation in groups of `GROUP_SIZE`, or of all features if they do not divide."""
    return nn.GroupNorm(features // GROUP_SIZE if features % GROUP_SIZE == 0 else 1, features)
