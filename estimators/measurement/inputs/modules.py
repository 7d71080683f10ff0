"""Which module of a network is at fault: its calls in one pass, innermost first."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from estimators.core.contract import Params
from estimators.core.objective import Chain


class Call(NamedTuple):
    """One call of a module during a pass."""

    name: str
    """In the network; "" is the network itself."""
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any

    @property
    def words(self) -> str:
        """The module's name and class, as an error message gives them."""
        kind = type(self.module).__name__
        return f"module {self.name} ({kind})" if self.name else f"the network ({kind})"


def calls_of(chain: Chain, params: Params) -> list[Call]:
    """Every call of a module in one pass, in the order in which they end: inner before outer.

    Tensors are copied, because a later operation can change them in place.
    """
    with recorded(chain.module) as calls, torch.no_grad():
        chain.forward(params)
    return calls


@contextmanager
def recorded(network: nn.Module) -> Iterator[list[Call]]:
    """While this is open, every call of a module in the network is added to the list."""
    calls: list[Call] = []
    begun: list[tuple[tuple, dict]] = []
    handles = []
    for name, m in network.named_modules():
        if isinstance(m, torch.jit.ScriptModule):
            continue  # takes no such hooks; the module around it is named
        handles += [
            m.register_forward_pre_hook(_begin(begun), with_kwargs=True),
            m.register_forward_hook(_end(begun, calls, name), always_call=True),
        ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _begin(begun: list[tuple[tuple, dict]]) -> Callable[..., None]:
    def hook(_: nn.Module, args: tuple, kwargs: dict) -> None:
        begun.append((_copied(args), _copied(kwargs)))

    return hook


def _end(begun: list[tuple[tuple, dict]], calls: list[Call], name: str) -> Callable[..., None]:
    def hook(m: nn.Module, _: tuple, output: Any) -> None:
        args, kwargs = begun.pop()
        calls.append(Call(name, m, args, kwargs, _copied(output)))

    return hook


def _copied(value: Any) -> Any:
    return tree_map(lambda t: t.detach().clone() if isinstance(t, Tensor) else t, value)


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in a nest of tuples, lists and dicts, such as a network's output."""
    return [t for t in tree_leaves(value) if isinstance(t, Tensor)]


def first_that_differs(
    calls: list[Call], others: list[Call], differ: Callable[[Any, Any], bool]
) -> str:
    """The first call, in words, whose output differs between two passes though its inputs do not;
    "" if no output differs.

    A call whose inputs differ too only passes on what the module around it did.
    """
    first = ""
    for a, b in zip(calls, others, strict=False):
        if a.module is not b.module:
            break
        if differ(a.output, b.output):
            if not differ((a.args, a.kwargs), (b.args, b.kwargs)):
                return a.words
            first = first or a.words
    return first
