"""What surrounds a component: the global random generators, and memory without initial values."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.utils.deterministic

from estimators.measurement.inputs.randomness import (
    generator_states,
    generators_kept,
    same_state,
    seed_generators,
)

T = TypeVar("T")
_CPU = torch.empty(0)
GENERATORS = ("torch", "a GPU", "Python", "numpy")


@contextmanager
def left_alone(what: str, use: str) -> Iterator[None]:
    """Raise AssertionError if the block uses a global generator; `use` says what to use instead.

    The generators are left as they were.
    """
    with generators_kept(_CPU):
        before = generator_states(_CPU)
        yield
        after = generator_states(_CPU)
    pairs = zip(GENERATORS, before, after, strict=True)
    used = [name for name, a, b in pairs if not same_state(a, b)]
    assert not used, f"{what} uses the global generator of {' and '.join(used)}; {use}"


def under_seed(seed: int, run: Callable[[], T]) -> T:
    """`run()`, with the global generators at a seed; they are left as they were."""
    with generators_kept(_CPU):
        seed_generators(seed, _CPU)
        return run()


@contextmanager
def memory_marked() -> Iterator[None]:
    """While this is open, torch fills tensors without initial values with NaN, so that what nobody
    writes is seen."""
    settings: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fills = settings.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    settings.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        settings.fill_uninitialized_memory = fills
