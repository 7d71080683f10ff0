"""`JVPMode`: one forward pass that carries tangents beside the values.

Values keep autograd's graph, tangents have none: a tangent costs what a forward pass costs,
and the graph is what a pull-back within a segment needs. Usual functions have a written rule
(`estimators.autodiff.rules`); any other is run on dual numbers by itself. A tangent has
its value's shape, or (K, *shape) where K > 1 of them are carried at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

Function = Callable[..., Any]

Rule = Callable[..., Tensor]
"""(carrier, the function's arguments) -> its value; puts the value's tangent."""


Apply = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(x, weight, bias) -> y."""

Pull = Callable[[Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor | None]]
"""(signal at y, x, weight, bias) -> (the weight's gradient, the bias's)."""


class NoRuleError(Exception):
    """The pass does something whose tangents only dual numbers, from end to end, get right."""


class LinearMap(NamedTuple):
    """A map whose input has no graph: its pull-back is one product, done by hand."""

    y: Tensor
    """Its output, where a graph begins."""
    x: Tensor
    weight: str
    bias: str | None
    pull: Pull
    version: int
    """Of x, so that a change in place is noticed."""


class JVPMode(TorchFunctionMode):
    """While it is entered, torch's functions carry the tangents given by `put`."""

    def __init__(
        self, params: Mapping[str, Tensor], rules: Mapping[Any, Rule], count: int = 1
    ) -> None:
        super().__init__()
        self.rules = rules
        self.count = count
        """K, how many tangents go side by side."""
        self.raw = {name: p.detach() if p.requires_grad else p for name, p in params.items()}
        self.leaves: dict[str, Tensor] = {}
        """The parameters that were asked for, each the root of a graph."""
        self._names: dict[int, str] = {}
        self._tangents: dict[int, tuple[Tensor, Tensor]] = {}  # holds the value: its id stays its
        self.maps: dict[int, LinearMap] = {}
        self.end: tuple[Tensor, Tensor] | None = None
        """The last site's output and its tangent, where what follows is derived backwards."""
        self._ended = 0
        self._spent = False

    def leaf(self, name: str | None) -> Tensor | None:
        """The parameter, with a graph of its own."""
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
        self._tangents[id(value)] = value, tangent

    def get(self, value: Any) -> Tensor | None:
        found = self._tangents.get(id(value))
        return None if found is None else found[1]

    def finish(self, value: Tensor, tangent: Tensor) -> None:
        """Carry no further: what follows is derived backwards, to `value`."""
        self.end = value, tangent
        self._ended = id(value)

    def overwrite(self, value: Tensor) -> None:
        """Before a change in place: raise NoRuleError if another value would change with it."""
        place = _place(value)
        others = [v for v, _ in self._tangents.values() if _place(v)[0] == place[0]]
        if id(value) in self.maps or any(_place(v) != place for v in others):
            raise NoRuleError

    def plain(self, p: Tensor) -> Tensor:
        """A parameter, or any other tensor, without its graph."""
        name = self._names.get(id(p))
        return p.detach() if name is None else self.raw[name]

    def map(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, apply: Apply, pull: Pull
    ) -> Tensor:
        """apply(x, weight, bias), pulled back by hand where that is possible."""
        w, b = self._names.get(id(weight)), None if bias is None else self._names.get(id(bias))
        if x.requires_grad or w is None or (b is None) != (bias is None):
            return apply(x, weight, bias)
        return self.begin(x, w, b, apply, pull).requires_grad_()

    def begin(self, x: Tensor, weight: str, bias: str | None, apply: Apply, pull: Pull) -> Tensor:
        """The map of an x that has no graph, its parameters given by name."""
        raw = self.raw
        y = apply(x, raw[weight], None if bias is None else raw[bias])
        self.maps[id(y)] = LinearMap(y, x, weight, bias, pull, x._version)
        return y

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
        rule = self.rules.get(func)
        value = NotImplemented if rule is None else rule(self, *args, **kwargs)
        return self._other(func, args, kwargs) if value is NotImplemented else value

    def _behind(self, func: Function, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Only the last site's output may still move; else tangents go all the way."""
        if _any(self._tangents, args, kwargs):
            raise NoRuleError
        if self._ended in _ids(args, kwargs):
            if self._spent:
                raise NoRuleError
            if _in_place(func, args, kwargs):
                # A leaf cannot be overwritten; instead, nobody may read it from now on.
                if not kwargs.get("inplace"):
                    raise NoRuleError
                self._spent, kwargs = True, {**kwargs, "inplace": False}
        return func(*args, **kwargs)

    def _other(self, func: Function, args: tuple, kwargs: dict[str, Any]) -> Any:
        moves = _any(self._tangents, args, kwargs)
        if (moves or _any(self.maps, args, kwargs)) and _in_place(func, args, kwargs):
            raise NoRuleError
        value = func(*args, **kwargs)
        if moves:
            self._put_all(value, [self._dual(func, args, kwargs, k) for k in range(self.count)])
        return value

    def _dual(
        self, func: Function, args: tuple, kwargs: dict[str, Any], k: int
    ) -> list[Tensor | None]:
        """The k-th tangent of each tensor that `func` gives."""

        def dual(a: Any) -> Any:
            if not isinstance(a, Tensor):
                return a
            t = self.get(a)
            if t is None:
                return a.detach()
            return forward_ad.make_dual(a.detach(), t if self.count == 1 else t[k])

        with torch.no_grad(), forward_ad.dual_level():
            made = func(*tree_map(dual, args), **tree_map(dual, kwargs))
            return [forward_ad.unpack_dual(v).tangent for v in _tensors(made)]

    def _put_all(self, value: Any, tangents: list[list[Tensor | None]]) -> None:
        for v, *ts in zip(_tensors(value), *tangents, strict=True):
            moving = [t for t in ts if t is not None]
            if len(moving) == len(ts):
                self.put(v, moving[0] if self.count == 1 else torch.stack(moving))


def _in_place(func: Any, args: tuple, kwargs: dict[str, Any]) -> bool:
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


def _any(known: Mapping[int, Any], args: tuple, kwargs: Mapping[str, Any]) -> bool:
    return bool(known) and any(i in known for i in _ids(args, kwargs))


def _place(t: Tensor) -> tuple[Any, ...]:
    return t.untyped_storage().data_ptr(), t.storage_offset(), t.shape, t.stride()


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [t for v in value for t in _tensors(v)]
    return []
