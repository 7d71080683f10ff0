"""Which units of a site are inactive: the non-linearity behind the site has derivative zero there.

Noise on such a unit changes no loss and is pulled back all the same, so that it only adds
variance. The code of Ren et al. (2022) multiplies the noise by the derivative of the ReLU, which
is 0 or 1.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from estimators.core.contract import Params
from estimators.core.noise import stream
from estimators.core.objective import Chain
from estimators.core.structure import PerNetwork

Active = Callable[[Tensor], Tensor]
"""An activation z -> 1 where the non-linearity behind the site moves with z, 0 elsewhere."""

RELU = {"relu", "relu_"}
FLAT = RELU | {
    "relu6", "hardtanh", "hardtanh_", "threshold", "_threshold", "threshold_", "clamp", "clamp_",
    "clip", "clip_", "clamp_min", "clamp_min_", "clamp_max", "clamp_max_", "hardsigmoid",
    "hardswish", "softshrink", "hardshrink",
}  # fmt: skip
"""Names of torch's functions of single numbers that are constant over an interval."""
LOOKS = {"__get__", "size", "dim", "numel", "stride", "is_contiguous", "type", "is_floating_point"}
"""Names of functions that look at a tensor without reading its numbers."""


def active_units(chain: Chain) -> list[Active | None]:
    """For each site, which of its units are active; None where all of them always are.

    That is so unless a function of `FLAT`, and nothing else, reads the site's activation. What is
    found is compared with ∂L/∂z, which must be zero wherever a unit is inactive.
    """
    return _ACTIVE.get_or_make(chain, None, lambda: _find(chain))


_ACTIVE = PerNetwork[list[Active | None]]()


class _Readers(TorchFunctionMode):
    """Records which functions read each site's activation."""

    def __init__(self) -> None:
        super().__init__()
        self.sites: list[Tensor] = []
        self._flowing: list[Tensor | None] = []
        self.calls: list[list[tuple[Any, tuple, dict[str, Any]]]] = []

    def at_site(self, _: int, z: Tensor) -> Tensor:
        with torch._C.DisableTorchFunction():
            value = z.detach().requires_grad_() if not z.requires_grad else z.view_as(z)
            self.sites.append(value)
            self.calls.append([])
            flowing = value.clone()  # it may be overwritten
        self._flowing.append(flowing)
        return flowing

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if getattr(func, "__name__", "") not in LOOKS:
            flat = [*args, *kwargs.values()]
            inner = [y for x in flat if isinstance(x, list | tuple) for y in x]
            for site, z in enumerate(self._flowing):
                if z is not None and any(x is z for x in (*flat, *inner)):
                    self.calls[site].append((func, args, kwargs))
                    if output is z:  # it is overwritten: who reads it from now on reads the output
                        self._flowing[site] = None
        return output


def _find(chain: Chain) -> list[Active | None]:
    readers = _Readers()
    names = dict(chain.module.named_parameters())
    near, params = chain.moved({n: p.detach() for n, p in names.items()}, _nearby)
    with torch.enable_grad():
        leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
        with readers:
            output = near.forward(leaves, at_site=readers.at_site)
        loss = near.losses(output).mean()
    if not readers.sites or not loss.requires_grad:
        return [None] * len(readers.sites)
    deltas = torch.autograd.grad(loss, readers.sites, allow_unused=True)
    triples = zip(readers.sites, readers.calls, deltas, strict=True)
    return [_confirmed(z.detach(), _active(calls), delta) for z, calls, delta in triples]


def _nearby(params: Params) -> dict[str, Tensor]:
    """Weights near the given ones: behind a head of zero every ∂L/∂z is zero."""
    moved = {}
    for name, p in params.items():
        v = torch.empty(p.shape, dtype=torch.float64)
        v.normal_(std=0.1, generator=stream(0, "init", "inactive units", name))
        moved[name] = p.detach() + v.to(p)
    return moved


def _active(calls: list[tuple[Any, tuple, dict[str, Any]]]) -> Active | None:
    if len(calls) != 1:
        return None
    func, args, kwargs = calls[0]
    name = getattr(func, "__name__", "")
    if name in RELU:
        return lambda z: z > 0
    if name not in FLAT or any(isinstance(a, Tensor) for a in (*args[1:], *kwargs.values())):
        return None
    options = {key: value for key, value in kwargs.items() if key not in ("inplace", "input")}

    def active(z: Tensor) -> Tensor:
        """Where the function's own derivative is not zero."""
        leaf = z.detach().requires_grad_()
        with torch.enable_grad():
            total = func(leaf.clone(), *args[1:], **options).sum()
        return torch.autograd.grad(total, leaf)[0] != 0

    return active


def _confirmed(z: Tensor, active: Active | None, delta: Tensor | None) -> Active | None:
    """`active`, unless a unit that it calls inactive changes the loss after all."""
    if active is None or delta is None or delta.shape != z.shape:
        return None
    return None if bool(delta[~active(z)].any()) else active
