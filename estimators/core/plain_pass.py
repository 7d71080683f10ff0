"""`PlainPass`: the buffers that a network's ordinary pass on its batch would leave behind.

A pass of a chain changes no buffer of its module. The running statistics of batch normalisation
are to move once in a training step all the same. Where an estimator makes the very pass that
moves them, at the weights of the step and with nothing perturbed, no second one is needed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from estimators.core.module_call import ForwardAlone
from estimators.core.site import is_visited

Buffers = Sequence[tuple[dict[str, Any], str, Any]]
"""For each buffer the dict of its module, its key there, and its value after a pass."""
Keep = Callable[[Buffers], None]


class PlainPass:
    """Watches a module's passes for an ordinary one, and keeps the buffers that it leaves.

    A pass is ordinary if all parameters have the numbers of `during`, the batch is that of
    `during`, and neither a site nor a stage nor a layer's `forward` is replaced. Tangents of the
    parameters change no number.
    """

    def __init__(self, module: nn.Module) -> None:
        modules = list(module.modules())
        self._calls = ForwardAlone(modules)
        self._own = {id(m._buffers) for m in modules}
        self._x: Tensor | None = None
        self._params: Mapping[str, Tensor] = {}
        self._versions: tuple[int, ...] = ()
        self._fingerprint: tuple[Any, ...] = ()
        self._kept: Buffers | None = None

    @contextmanager
    def during(self, x: Tensor, params: Mapping[str, Tensor]) -> Iterator[None]:
        """While this is open, the first ordinary pass at `params` on x (B, ...) is looked for."""
        self._x, self._params, self._kept = x, params, None
        self._versions = tuple(version_of(p) for p in params.values())
        self._fingerprint = self._calls.fingerprint()
        try:
            yield
        finally:
            self._x, self._params = None, {}

    def keep_from(self, x: Tensor, params: Mapping[str, Tensor]) -> Keep | None:
        """What is to be called with the buffers that a pass leaves; None if it is not ordinary."""
        awaited = self._x is x and self._kept is None and params.keys() == self._params.keys()
        if not awaited or is_visited() or self._calls.fingerprint() != self._fingerprint:
            return None
        wanted = zip(self._params.items(), self._versions, strict=True)
        same = all(is_same(params[n], p) and version_of(p) == v for (n, p), v in wanted)
        return self._keep if same else None

    def _keep(self, buffers: Buffers) -> None:
        self._kept = [entry for entry in buffers if id(entry[0]) in self._own]

    @torch.no_grad()
    def update(self) -> bool:
        """Give the module the buffers of the last ordinary pass; whether there was one."""
        for place, key, after in self._kept or ():
            place[key].copy_(after)
        return self._kept is not None


def version_of(t: Tensor) -> int:
    """How often a tensor was changed in place; an intercepting mode does not see the question."""
    with torch._C.DisableTorchFunction():
        return 0 if t.is_inference() else t._version


def is_same(a: Tensor, b: Tensor) -> bool:
    """Whether `a` is `b`, detached or with a tangent: one storage, which `b` keeps alive."""
    if torch._C._functorch.is_functorch_wrapped_tensor(a):  # type: ignore[attr-defined]
        return False  # many at once, without a storage of its own
    with torch._C.DisableTorchFunction():
        return a is b or (
            a.untyped_storage()._cdata == b.untyped_storage()._cdata
            and (a.shape, a.stride(), a.storage_offset())
            == (b.shape, b.stride(), b.storage_offset())
        )
