"""`Site()`: the mark that a network puts on an activation.

A site is an identity, placed where an activation may be perturbed or may receive feedback: after
the normalisation, before the non-linearity. `visiting` reads and replaces each marked activation
during one forward pass, without changing the module.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor, nn

Visitor = Callable[["Site", Tensor], Tensor]

_visitor: ContextVar[Visitor | None] = ContextVar("visitor", default=None)


class Site(nn.Module):
    """Identity that marks an activation of shape (B, *units).

    Args:
        units: The names of the axes behind the batch ("channel", "height", ...); an empty tuple
            leaves them unnamed.
    """

    def __init__(self, units: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.units = units

    def forward(self, z: Tensor) -> Tensor:
        visit = _visitor.get()
        return z if visit is None else visit(self, z)

    def extra_repr(self) -> str:
        return ", ".join(self.units)


@contextmanager
def visiting(visitor: Visitor) -> Iterator[None]:
    """Call `visitor(site, z)` at every site of a pass; what it returns takes the place of z."""
    token = _visitor.set(visitor)
    try:
        yield
    finally:
        _visitor.reset(token)


def is_visited() -> bool:
    """Whether a visitor is called at the sites."""
    return _visitor.get() is not None
