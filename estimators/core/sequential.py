"""The forward pass of nested `nn.Sequential`s as one flat walk.

Each container that calls its children costs some microseconds, which a small network feels
at every step: four of them are a tenth of its forward pass.
"""

from collections.abc import Iterator

from torch import Tensor, nn


class SequentialForward:
    """x ↦ module(x), without the calls of the containers, unless one of them has a hook.

    The module's structure is taken to stay what it is.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._leaves = tuple(_leaves(module))
        self._hooks = tuple(
            hooks
            for m in module.modules()
            if is_plain(m)
            for hooks in (
                m._forward_pre_hooks,
                m._forward_hooks,
                m._backward_pre_hooks,
                m._backward_hooks,
            )
        )

    def __call__(self, x: Tensor) -> Tensor:
        if any(self._hooks):
            return self._module(x)
        for leaf in self._leaves:
            x = leaf(x)
        return x


def is_plain(module: nn.Module) -> bool:
    """Whether the module does no more than call its children one after the other."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    if not is_plain(module):
        yield module
        return
    for child in module._modules.values():
        if child is not None:
            yield from _leaves(child)
