"""`InMemoryOrder`: group normalisation of an input whose numbers do not lie in order.

torch (2.13) normalises channels-last and permuted inputs rightly, but its derivatives of the
operation take the numbers to lie in order: the forward one raises "view size is not compatible",
and the backward one ends the process where the input has no gradient. So a pass whose group
normalisations read such an input gives them a copy in order.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_GROUP_NORMS = (F.group_norm, torch.group_norm, torch.native_group_norm)


class InMemoryOrder(TorchFunctionMode):
    """While it is entered, group normalisations read their input in memory order."""

    copied = False
    """Whether an input was not in order."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in _GROUP_NORMS:
            args = tuple(self._ordered(a) for a in args)
            kwargs = {name: self._ordered(a) for name, a in kwargs.items()}
        return func(*args, **kwargs)

    def _ordered(self, a: Any) -> Any:
        if not isinstance(a, Tensor) or a.is_contiguous():
            return a
        self.copied = True
        return a.contiguous()
