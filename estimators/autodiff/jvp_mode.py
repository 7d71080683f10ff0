"""`JVPMode`: one forward pass that computes tangents beside the values.

Values keep autograd's graph, which a pull-back within a segment needs; tangents have none, so
that a tangent costs what a forward pass costs. An operation of the table moves tangents by its
rule. Any other function is run once more, by itself, on dual numbers. A tangent has its value's
shape, or (K, *shape) where K > 1 of them are computed at once.
"""
# pyright: reportPrivateImportUsage=false

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from estimators.autodiff.operations.operation import (
    Call,
    Elementwise,
    Map,
    Operation,
    ReadCall,
    Saved,
)
from estimators.autodiff.operations.table import reader_of
from estimators.core.module_call import under_autocast

Function = Callable[..., Any]


class NoRuleError(Exception):
    """The pass does something whose tangents only dual numbers from end to end get right."""


class MapRecord(NamedTuple):
    """A call of a linear map whose input has no graph: its rule pulls a signal back."""

    y: Tensor
    """Its output, where a graph begins."""
    operation: Operation
    saved: Saved
    weight: str
    bias: str | None
    x: Tensor
    version: int
    """Of x, by which a change in place is noticed."""


class JVPMode(TorchFunctionMode):
    """While it is entered, torch's functions move the tangents given by `put`.

    Args:
        params: The network's parameters by name, each without a tangent.
        count: K, how many tangents are computed side by side.
    """

    def __init__(self, params: Mapping[str, Tensor], count: int = 1) -> None:
        super().__init__()
        self.count = count
        self.raw = {name: p.detach() if p.requires_grad else p for name, p in params.items()}
        """The parameters without a graph."""
        self.leaves: dict[str, Tensor] = {}
        """The parameters that were asked for, each the root of a graph."""
        self._names: dict[int, str] = {}
        self._tangents: dict[int, tuple[Tensor, Tensor]] = {}  # holds the value: its id stays its
        self.maps: dict[int, MapRecord] = {}
        self.end: tuple[Tensor, Tensor] | None = None
        """The last site's output and its tangent, where what follows is derived backwards."""
        self._ended = 0
        self._spent = False

    def leaf(self, name: str | None) -> Tensor | None:
        """The parameter, as the root of a graph."""
        if name is None:
            return None
        if name in self.leaves:
            return self.leaves[name]
        if name not in self.raw:
            raise NoRuleError
        leaf = self.leaves[name] = self.raw[name].detach().requires_grad_()
        self._names[id(leaf)] = name
        return leaf

    def put(self, value: Tensor, tangent: Tensor) -> None:
        """Give `value` a tangent."""
        self._tangents[id(value)] = value, tangent

    def get(self, value: Any) -> Tensor | None:
        """The tangent of `value`; None where it is zero."""
        entry = self._tangents.get(id(value))
        return None if entry is None else entry[1]

    def finish(self, value: Tensor, tangent: Tensor) -> None:
        """Move tangents no further: what follows is derived backwards, to `value`."""
        self.end = value, tangent
        self._ended = id(value)

    def jvp(
        self,
        operation: Operation,
        saved: Saved,
        x: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """The tangent of the operation's value, without a graph."""
        # torch.no_grad() takes five times as long, which a small network feels.
        before = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)
        try:
            return operation.jvp(saved, x, weight, bias, self.count)
        finally:
            torch._C._set_grad_enabled(before)

    def begin(
        self, operation: Operation, x: Tensor, weight: str, bias: str | None
    ) -> tuple[Tensor, Saved]:
        """The map of an x that has no graph, its parameters given by name."""
        raw = self.raw
        y, saved = operation.forward(x, raw[weight], None if bias is None else raw[bias])
        self.maps[id(y)] = MapRecord(y, operation, saved, weight, bias, x, x._version)
        return y, saved

    def __torch_function__(
        self,
        func: Function,
        types: Any,
        args: tuple = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if self.end is not None:
            return self._behind(func, args, kwargs)
        read = reader_of(func)
        value = NotImplemented if read is None else self._by_rule(read, func, args, kwargs)
        return self._by_duals(func, args, kwargs) if value is NotImplemented else value

    def _by_rule(self, read: ReadCall, func: Function, args: tuple, kwargs: dict[str, Any]) -> Any:
        try:
            call = read(*args, **kwargs)
        except TypeError:  # an unusual signature, such as that of named axes
            return NotImplemented
        if call is None or not call.operation.accepts(call.x) or under_autocast():
            return NotImplemented
        operation = call.operation
        x, weight, bias = self.get(call.x), self.get(call.weight), self.get(call.bias)
        if isinstance(operation, Map) and weight is None and bias is None:
            names = self._own_names(call)
            if names is not None:
                return self._by_map(call, names, x)
        if x is None and weight is None and bias is None:
            return NotImplemented
        in_place = isinstance(operation, Elementwise) and overwrites(func, args, kwargs)
        if in_place:
            self._refuse_aliases(call.x)
        y, saved = operation.forward(call.x, call.weight, call.bias)
        tangent = self.jvp(operation, saved, x, weight, bias)
        y = func(*args, **kwargs) if in_place else y
        self.put(y, tangent)
        return y

    def _own_names(self, call: Call) -> tuple[str, str | None] | None:
        """The names of a map's parameters, where it can begin a graph."""
        if call.x.requires_grad:
            return None
        weight, bias = self._names.get(id(call.weight)), self._names.get(id(call.bias))
        if weight is None or (bias is None) != (call.bias is None):
            return None
        return weight, bias

    def _by_map(self, call: Call, names: tuple[str, str | None], tangent: Tensor | None) -> Tensor:
        y, saved = self.begin(call.operation, call.x, *names)
        if tangent is not None:
            self.put(y, self.jvp(call.operation, saved, tangent))
        return y.requires_grad_()

    def _refuse_aliases(self, value: Tensor) -> None:
        """Raise NoRuleError if a change of `value` in place would change another value."""
        others = [v for v, _ in self._tangents.values() if _same_storage(v, value)]
        if id(value) in self.maps or any(not v.is_set_to(value) for v in others):
            raise NoRuleError

    def _behind(self, func: Function, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Behind the last site its output alone may still move; else tangents go to the loss."""
        if _any_in(self._tangents, args, kwargs):
            raise NoRuleError
        if self._ended in _ids(args, kwargs):
            if self._spent:
                raise NoRuleError
            if overwrites(func, args, kwargs):
                # A leaf cannot be overwritten. Its output is a new tensor instead, and a second
                # reader, who would have seen the change, is refused.
                if not kwargs.get("inplace"):
                    raise NoRuleError
                self._spent, kwargs = True, {**kwargs, "inplace": False}
        return func(*args, **kwargs)

    def _by_duals(self, func: Function, args: tuple, kwargs: dict[str, Any]) -> Any:
        moves = _any_in(self._tangents, args, kwargs)
        if (moves or _any_in(self.maps, args, kwargs)) and overwrites(func, args, kwargs):
            raise NoRuleError
        value = func(*args, **kwargs)
        if moves:
            self._put_all(value, [self._dual(func, args, kwargs, k) for k in range(self.count)])
        return value

    def _dual(
        self, func: Function, args: tuple, kwargs: dict[str, Any], k: int
    ) -> list[Tensor | None]:
        """The k-th tangent of each tensor that `func` returns."""

        def dual(a: Any) -> Any:
            if not isinstance(a, Tensor):
                return a
            t = self.get(a)
            if t is None:
                return a.detach()
            return forward_ad.make_dual(a.detach(), t if self.count == 1 else t[k])

        with torch.no_grad(), forward_ad.dual_level():
            output = func(*tree_map(dual, args), **tree_map(dual, kwargs))
            return [forward_ad.unpack_dual(v).tangent for v in _tensors(output)]

    def _put_all(self, value: Any, tangents: list[list[Tensor | None]]) -> None:
        for v, *ts in zip(_tensors(value), *tangents, strict=True):
            moving = [t for t in ts if t is not None]
            if len(moving) == len(ts):
                self.put(v, moving[0] if self.count == 1 else torch.stack(moving))


def overwrites(func: Any, args: tuple, kwargs: dict[str, Any]) -> bool:
    """Whether a call changes one of its arguments in place."""
    name = getattr(func, "__name__", "")
    if name.startswith("__"):
        return name in _OVERWRITING
    if getattr(func, "__module__", "") == "torch.nn.functional" and any(a is True for a in args):
        return True  # `inplace`, or another flag: then the slower way is taken for nothing
    return name.endswith("_") or "out" in kwargs or bool(kwargs.get("inplace"))


_OVERWRITING = {
    "__set__", "__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__",
    "__ifloordiv__", "__ipow__", "__imod__", "__idiv__",
}  # fmt: skip


def _ids(args: Iterable[Any], kwargs: Mapping[str, Any]) -> Iterator[int]:
    for a in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(a, list | tuple):
            yield from _ids(a, {})
        else:
            yield id(a)


def _any_in(entries: Mapping[int, Any], args: tuple, kwargs: Mapping[str, Any]) -> bool:
    return bool(entries) and any(i in entries for i in _ids(args, kwargs))


def _same_storage(a: Tensor, b: Tensor) -> bool:
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [t for v in value for t in _tensors(v)]
    return []
