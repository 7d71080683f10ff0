"""The table: every operation with a written derivative, by torch function and by module type."""

from types import FunctionType
from typing import Any, NamedTuple

from torch import Tensor, nn

from estimators.autodiff.operations import elementwise, linear, normalisation, pools, shapes
from estimators.autodiff.operations.operation import Entry, Operation, ReadCall, ReadModule
from estimators.core.module_call import calls_forward_alone

TABLE: tuple[Entry, ...] = (
    *linear.ENTRIES,
    *elementwise.ENTRIES,
    *normalisation.ENTRIES,
    *shapes.ENTRIES,
    *pools.ENTRIES,
)


class _Reader(NamedTuple):
    read: ReadModule
    parameters: bool


_FUNCTIONS: dict[Any, ReadCall] = {
    f: read for entry in TABLE for f, read in entry.functions.items()
}
_MODULES: dict[type[nn.Module], _Reader] = {
    cls: _Reader(read, entry.parameters) for entry in TABLE for cls, read in entry.modules.items()
}


def reader_of(function: Any) -> ReadCall | None:
    """How a call of this function is read as an operation; None where no rule covers it.

    A function outside torch brings its own rule by `means_operation`.
    """
    read = _FUNCTIONS.get(function)
    if read is None and isinstance(function, FunctionType | type):
        return getattr(function, "read_as_operation", None)
    return read


class means_operation:  # noqa: N801, used as a decorator
    """Decorate a function with how its arguments are read as an operation.

    The function must offer itself to `torch.overrides.handle_torch_function`, as torch's own
    do. Decorate the `torch.autograd.Function` that it applies as well, so that a pass that
    meets its node knows that the operation is covered.
    """

    def __init__(self, read: ReadCall) -> None:
        self._read = read

    def __call__(self, function: Any) -> Any:
        function.read_as_operation = self._read
        return function


class ModuleOperation(NamedTuple):
    """A module as an operation, with its parameters."""

    operation: Operation
    weight: Tensor | None
    bias: Tensor | None


def operation_of(module: nn.Module) -> ModuleOperation | None:
    """The operation that `module(x)` is, with the module's own weight and bias.

    None where `module(x)` is more than the `forward` of a class in the table: under hooks,
    parametrisations or pruning, for a subclass, or with fields that no rule is written for.
    """
    reader = _MODULES.get(type(module))
    if reader is None or not calls_forward_alone(module):
        return None
    operation = reader.read(module)
    if operation is None:
        return None
    if not reader.parameters:
        return ModuleOperation(operation, None, None)
    own = module._parameters
    if "weight" not in own or "bias" not in own:  # computed from other parameters
        return None
    return ModuleOperation(operation, own["weight"], own["bias"])
