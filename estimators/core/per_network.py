"""`PerNetwork`: what is worked out once for a network, whatever batch it is on."""

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Generic, TypeVar

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

    def of(self, chain: "Chain", key: Hashable, make: Callable[[], T]) -> T:
        """The value, made by `make` the first time it is asked for."""
        value = self.get(chain, key)
        return self.put(chain, key, make()) if value is None else value
