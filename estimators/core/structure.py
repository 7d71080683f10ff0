"""What the structure of a network says: its stages, where they meet, whether it couples examples.

`PerNetwork` keeps what is worked out once for a network, whatever batch it is on.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

from estimators.core.module_call import is_plain
from estimators.core.replay import is_replaying
from estimators.core.stateless import ImpureError

if TYPE_CHECKING:
    from estimators.core.objective import Chain

T = TypeVar("T")


class PerNetwork(Generic[T]):
    """Values of one kind, by key, for each network.

    The module that needs them makes one `PerNetwork` and keeps it to itself, so that nobody else
    reads or writes its values. They live as long as the network's chains, and are shared by a
    chain and those that `Chain.on` makes of it.
    """

    def get(self, chain: "Chain", key: Hashable) -> T | None:
        """The value, or None if it is not yet worked out."""
        values = chain.per_network.get(self)
        return None if values is None else values.get(key)

    def put(self, chain: "Chain", key: Hashable, value: T) -> T:
        """Keep a value and return it."""
        chain.per_network.setdefault(self, {})[key] = value
        return value

    def share(self, chain: "Chain", other: "Chain") -> None:
        """Let two networks have the same values from now on, those of `other`."""
        chain.per_network[self] = other.per_network.setdefault(self, {})

    def get_or_make(self, chain: "Chain", key: Hashable, make: Callable[[], T]) -> T:
        """The value, made by `make` the first time it is asked for."""
        value = self.get(chain, key)
        return self.put(chain, key, make()) if value is None else value


def stages_of(module: nn.Module) -> dict[str, nn.Module]:
    """The children of an `nn.Sequential` by name; any other module is one stage named ""."""
    if is_plain(module):
        return {name: m for name, m in module._modules.items() if m is not None}
    return {"": module}


def boundaries_of(stages: Mapping[str, nn.Module]) -> dict[str, int]:
    """The stages whose output is a boundary, with the boundary's index.

    A stage without parameters belongs to the one before it: the boundary is behind both.
    """
    names = list(stages)
    owners = [i for i, m in enumerate(stages.values()) if next(m.parameters(), None) is not None]
    return {names[i - 1]: index for index, i in enumerate(owners[1:])}


def is_uncoupled(module: nn.Module) -> bool:
    """Whether no normalisation mixes the examples of a batch."""
    return not any(
        isinstance(m, nn.modules.batchnorm._BatchNorm) and (m.training or m.running_mean is None)
        for m in module.modules()
    )


def drops(module: nn.Module) -> bool:
    """Whether this is a layer of dropout that draws a mask at every pass."""
    return isinstance(module, nn.modules.dropout._DropoutNd) and module.training and module.p > 0


def refuse_impurity(module: nn.Module) -> None:
    """Raise ValueError if a pass of the module changes its parameters, or draws random numbers that
    are not the same at each pass (see `replaying`)."""
    for name, m in module.named_modules():
        if drops(m) and not is_replaying():
            raise ValueError(
                f"{name or 'the module'} is {m}, which draws a new mask at every pass; an "
                "objective must be deterministic: call module.eval() or draw the mask "
                "with the batch"
            )
        if isinstance(m, nn.Embedding | nn.EmbeddingBag) and m.max_norm is not None:
            raise ImpureError(
                f"{name or 'the module'} is {m}, which shortens its weights at every pass; an "
                "objective only reads its parameters: set its max_norm to None, and shorten them "
                "after each optimiser step"
            )
