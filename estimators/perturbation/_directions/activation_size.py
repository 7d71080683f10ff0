"""How large a network's activations are, found by one forward pass and remembered."""

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from estimators.core.contract import Params
from estimators.core.objective import Chain

_KNOWN: WeakKeyDictionary[nn.Module, dict[torch.Size, int]] = WeakKeyDictionary()


def largest_activation(chain: Chain, params: Params) -> int:
    """Numbers in the largest tensor that a forward pass on the batch makes."""
    known = _KNOWN.setdefault(chain.module, {})
    shape = chain.x.shape
    if shape not in known:
        with torch.no_grad(), _Watch() as watch:
            chain.forward(params)
        known[shape] = watch.largest
    return known[shape]


class _Watch(TorchFunctionMode):
    """Looks at all that is computed."""

    largest = 1

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor):
            self.largest = max(self.largest, made.numel())
        return made
