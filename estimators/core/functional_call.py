"""Running a module with other tensors in the place of its parameters.

`torch.func.functional_call` does the same; it works the names out again at every call, which
costs as much as the forward pass of a small network. Here they are worked out once.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

T = TypeVar("T")
Slot = tuple[dict[str, Any], str]


class Stateless:
    """A module whose parameters can be replaced for the time of one call.

    Buffers are replaced by copies, so that an in-place update (BatchNorm's running
    statistics) reaches nobody.
    """

    def __init__(self, module: nn.Module) -> None:
        self._slots = _parameter_slots(module)
        self._buffers: list[Slot] = [
            (m._buffers, key)
            for m in module.modules()
            for key, buffer in m._buffers.items()
            if buffer is not None
        ]

    def call(self, params: Mapping[str, Tensor], run: Callable[[], T]) -> T:
        """`run()`, with `params` in the module. Raises ValueError at an unknown name."""
        before: list[tuple[dict[str, Any], str, Any]] = []
        try:
            for name, tensor in params.items():
                for place, key in self._slots[name]:
                    before.append((place, key, place[key]))
                    place[key] = tensor
            for place, key in self._buffers:
                before.append((place, key, place[key]))
                place[key] = place[key].clone()
            return run()
        except KeyError as error:
            if error.args and error.args[0] in set(params) - set(self._slots):
                raise ValueError(
                    f"the network has no parameter {error.args[0]!r}; it has {list(self._slots)}"
                ) from error
            raise
        finally:
            for place, key, tensor in reversed(before):
                place[key] = tensor


def _parameter_slots(module: nn.Module) -> dict[str, list[Slot]]:
    """Where each parameter sits; a tied one sits in several places, under its first name."""
    names = {id(p): name for name, p in module.named_parameters()}
    slots: dict[str, list[Slot]] = {name: [] for name in names.values()}
    for m in module.modules():
        for key, p in m._parameters.items():
            if p is not None:
                slots[names[id(p)]].append((m._parameters, key))
    return slots
