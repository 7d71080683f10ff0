"""`Entry`: a row of the table of operations, and how functions and modules are read as one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from estimators.autodiff.operations.operation import Call, Operation

ReadCall = Callable[..., Call | None]
"""(a torch function's arguments) -> the operation and its tensors; None where no rule fits."""

ReadModule = Callable[[Any], Operation | None]
"""module -> the operation that its `forward` is; None where no rule fits its fields."""


@dataclass(frozen=True)
class Entry:
    """One operation: the torch functions and the module types that mean it."""

    name: str
    functions: Mapping[Any, ReadCall]
    modules: Mapping[type[nn.Module], ReadModule]
    parameters: bool = False
    """Whether these modules have a `weight` and a `bias`, either of which may be None."""
