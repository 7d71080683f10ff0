"""The size of a network's activations, measured by one forward pass and cached."""

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from estimators.core.contract import Params
from estimators.core.objective import Chain

_SIZES: WeakKeyDictionary[nn.Module, dict[torch.Size, int]] = WeakKeyDictionary()


def largest_activation(chain: Chain, params: Params) -> int:
    """Number of entries in the largest tensor that a forward pass on the batch makes."""
    sizes = _SIZES.setdefault(chain.module, {})
    shape = chain.x.shape
    if shape not in sizes:
        with torch.no_grad(), _LargestTensor() as mode:
            chain.forward(params)
        sizes[shape] = mode.largest
    return sizes[shape]


class _LargestTensor(TorchFunctionMode):
    """Records the size of the largest result of all operations."""

    largest = 1

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.largest = max(self.largest, result.numel())
        return result
