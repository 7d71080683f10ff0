"""`SequentialJVP`: the perturbed pass of a plain sequence of modules, operation by operation.

It computes what `JVPMode` computes without intercepting every call of torch: on a small network
the interception costs more than the layers. Parameters are taken by name, so that the module is
not touched.
"""

from typing import NamedTuple, Protocol

from torch import Tensor, nn

from estimators.autodiff.jvp_mode import JVPMode, NoRuleError
from estimators.autodiff.operations.operation import Map, Operation
from estimators.autodiff.operations.table import operation_of
from estimators.core.module_call import ForwardAlone, is_plain, under_autocast
from estimators.core.objective import Chain, Replace
from estimators.core.site import Site


class _Step(Protocol):
    def run(self, mode: JVPMode, x: Tensor) -> Tensor:
        """The module's output, its tangent put into `mode`."""
        ...


class _MapStep(NamedTuple):
    """A linear map, pulled back by its rule where its input has no graph."""

    operation: Operation
    weight: str
    bias: str | None
    direct: bool
    """Whether a site or the end comes next: then no graph need begin here."""

    def run(self, mode: JVPMode, x: Tensor) -> Tensor:
        operation, t = self.operation, mode.get(x)
        if not operation.accepts(x):
            raise NoRuleError
        if x.requires_grad:
            y, saved = operation.forward(x, mode.leaf(self.weight), mode.leaf(self.bias))
            if t is not None:
                mode.put(y, mode.jvp(operation, saved, t))
            return y
        y, saved = mode.begin(operation, x, self.weight, self.bias)
        if t is not None:  # nothing here has a graph, so that grad mode need not be switched off
            mode.put(y, operation.jvp(saved, t, None, None, mode.count))
        return y if self.direct else y.requires_grad_()


class _OperationStep(NamedTuple):
    """Any other operation, recorded by autograd."""

    operation: Operation
    weight: str | None
    bias: str | None

    def run(self, mode: JVPMode, x: Tensor) -> Tensor:
        operation, t = self.operation, mode.get(x)
        if not operation.accepts(x):
            raise NoRuleError
        y, saved = operation.forward(x, mode.leaf(self.weight), mode.leaf(self.bias))
        if t is not None:
            mode.put(y, mode.jvp(operation, saved, t))
        return y


class SequentialJVP:
    """A chain whose every module is an operation of the table, in nested `nn.Sequential`s.

    Raises NoRuleError if the chain is not of that kind.
    """

    def __init__(self, chain: Chain) -> None:
        if type(chain).forward is not Chain.forward:
            raise NoRuleError
        self._forward_alone = ForwardAlone(chain.module.modules())
        if not self._forward_alone:
            raise NoRuleError
        names = {id(p): name for name, p in chain.module.named_parameters()}
        self._needed = frozenset(names.values())
        leaves = _leaves(chain.module)
        followed = [*leaves[1:], None]
        self._steps = [
            _step(m, names, direct=following is None or type(following) is Site)
            for m, following in zip(leaves, followed, strict=bool(leaves))
        ]

    def run(self, x: Tensor, mode: JVPMode, at_site: Replace) -> Tensor:
        """The output, with what at_site(l, z) returns flowing on from the l-th site.

        Raises NoRuleError if a module has hooks by now, or not all parameters are asked for.
        """
        if not self._forward_alone or under_autocast() or not self._needed <= mode.raw.keys():
            raise NoRuleError
        site = 0
        for step in self._steps:
            if step is None:
                x, site = at_site(site, x), site + 1
            else:
                x = step.run(mode, x)
        return x


def _leaves(module: nn.Module) -> list[nn.Module]:
    if is_plain(module):
        return [leaf for m in module._modules.values() if m is not None for leaf in _leaves(m)]
    return [] if type(module) is nn.Identity else [module]


def _step(m: nn.Module, names: dict[int, str], direct: bool) -> _Step | None:
    """None stands for a site."""
    if type(m) is Site:
        return None
    read = operation_of(m)
    if read is None:
        raise NoRuleError
    weight, bias = (None if p is None else names[id(p)] for p in (read.weight, read.bias))
    if isinstance(read.operation, Map) and weight is not None:
        return _MapStep(read.operation, weight, bias, direct)
    return _OperationStep(read.operation, weight, bias)
