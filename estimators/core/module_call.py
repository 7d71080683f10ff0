"""How a module is called: which hooks run, and through which containers.

`calls_forward_alone` and `ForwardAlone` say whether `module(x)` runs the `forward` of the
module's class and nothing else. A rule that replaces `module(x)` is right only where that holds.
`SequentialForward` runs nested `nn.Sequential`s as one flat list.
"""
# pyright: reportPrivateImportUsage=false

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)
_GLOBAL_HOOKS = tuple(getattr(torch_module, f"_global{name}") for name in _HOOKS)
_OVERRIDES = ("forward", "_compiled_call_impl")
"""Attributes of an instance that `module(x)` runs in the place of its class's `forward`."""


def calls_forward_alone(module: nn.Module) -> bool:
    """Whether `module(x)` runs `type(module).forward` and nothing else.

    False under a hook of any kind (forward, backward, before or after, global), for an instance
    with a `forward` of its own, and for a compiled module. A parametrisation changes the
    module's class: compare `type(module)` exactly. Pruning and the older weight norm add a hook.
    """
    own = module.__dict__
    return not (  # written out: this is asked of every layer at every pass
        own["_forward_hooks"]
        or own["_forward_pre_hooks"]
        or own["_backward_hooks"]
        or own["_backward_pre_hooks"]
        or "forward" in own
        or "_compiled_call_impl" in own
        or any(_GLOBAL_HOOKS)
        or type(module).__call__ is not nn.Module.__call__
    )


def has_own_hooks(module: nn.Module) -> bool:
    """Whether a hook of any kind is registered on this module itself."""
    return any(getattr(module, hooks) for hooks in _HOOKS)


def has_backward_hooks(module: nn.Module) -> bool:
    """Whether a backward hook is registered on a module of the network."""
    return any(m._backward_hooks or m._backward_pre_hooks for m in module.modules())


@contextmanager
def replaced_forwards(forwards: Mapping[nn.Module, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """While this is open, these modules run these functions, inside their own hooks."""
    before = {module: module.__dict__.get("forward") for module in forwards}
    try:
        for module, run in forwards.items():
            module.__dict__["forward"] = run
        yield
    finally:
        for module, forward in before.items():
            module.__dict__.pop("forward", None)
            if forward is not None:
                module.__dict__["forward"] = forward


def under_autocast() -> bool:
    """Whether `torch.autocast` casts operations to another precision, on any device."""
    return torch._C._is_any_autocast_enabled()


class ForwardAlone:
    """`calls_forward_alone` for a fixed set of modules, cheap enough to ask at every pass."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._modules = tuple((m, type(m), m.__dict__) for m in modules)
        own = (fields[hooks] for _, _, fields in self._modules for hooks in _HOOKS)
        self._hooks = (*_GLOBAL_HOOKS, *own)
        self._plain_call = all(t.__call__ is nn.Module.__call__ for _, t, _ in self._modules)

    def __bool__(self) -> bool:
        if any(self._hooks) or not self._plain_call:
            return False
        for module, cls, fields in self._modules:
            if type(module) is not cls or "forward" in fields or "_compiled_call_impl" in fields:
                return False
        return True

    def fingerprint(self) -> tuple[Any, ...]:
        """Another value where hooks were registered or removed, or a call was overridden."""
        if self:
            return ()
        overrides = (fields.get(name) for _, _, fields in self._modules for name in _OVERRIDES)
        return (
            *map(len, self._hooks),
            *(id(own) for own in overrides if own is not None),
            *(id(type(module)) for module, _, _ in self._modules),
        )


class SequentialForward:
    """x ↦ module(x), without calling nested `nn.Sequential`s one by one.

    Each container that calls its children costs some microseconds, a tenth of the forward pass
    of a small network. Containers with a hook or a `forward` of their own are called. The
    module's structure is taken to stay what it is.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._leaves = tuple(_leaves(module))
        self._containers = ForwardAlone(m for m in module.modules() if is_plain(m))

    def __call__(self, x: Tensor) -> Tensor:
        if not self._containers:
            return self._module(x)
        for leaf in self._leaves:
            x = leaf(x)
        return x


def is_plain(module: nn.Module) -> bool:
    """Whether the module's `forward` does no more than call its children one after the other."""
    return (
        isinstance(module, nn.Sequential)
        and type(module).forward is nn.Sequential.forward
        and "forward" not in module.__dict__
    )


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    if not is_plain(module):
        yield module
        return
    for child in module._modules.values():
        if child is not None:
            yield from _leaves(child)
