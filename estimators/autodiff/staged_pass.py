"""`StagedPass`: one forward pass, stage by stage, with its tangent and its pull-back.

An operation of the table moves the tangent and pulls a signal back by its rule: a tangent then
costs what a forward pass costs, and nothing is spent on a graph of a few nodes. Any other module
is run on dual numbers, and recorded by autograd, by itself.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from estimators.autodiff.calculus import Cut, cut_at_stages, pull_back
from estimators.autodiff.operations.operation import plus
from estimators.autodiff.operations.shapes import IDENTITY
from estimators.autodiff.operations.table import ModuleOperation, operation_of
from estimators.core.contract import Params, UnsupportedError
from estimators.core.module_call import (
    calls_forward_alone,
    is_plain,
    under_autocast,
)
from estimators.core.objective import Chain
from estimators.core.replay import Generators
from estimators.core.stateless import kept_buffers
from estimators.core.vectors import dense

PullBack = Callable[[Tensor, bool], Any]
"""(signal at the output, whether that at the input is wanted) -> the signal at the input."""


class StagedPass:
    """A forward pass at `params`; with `p`, Σ_l J_l p_l as well, for p_l added at each boundary.

    J_l = ∂output/∂h_l is the Jacobian of the network's output by the activation h_l there.

    Args:
        chain: A network with boundaries: an `nn.Sequential` of at least two stages with parameters.
        params: Its parameters by name.
        p: The p_l side by side, (B, Σ_l units); None for a pass without a tangent.
    """

    def __init__(self, chain: Chain, params: Params, p: Tensor | None = None) -> None:
        self.leaves = {name: q.detach().requires_grad_() for name, q in params.items()}
        self._names = {id(q): name for name, q in self.leaves.items()}
        self._segments: list[list[tuple[PullBack, bool]]] = [[]]
        self._grads: dict[str, Tensor] = {}
        self.places: list[Tensor] = []
        """The activation at each boundary, (B, *units)."""
        self.tangent: Tensor | None = None
        """Of the output, in the end."""
        self._p, self._used = p, 0
        self._autocast, self._replays = under_autocast(), chain.replays
        self._whole: Cut | None = None
        """The pass recorded by autograd, where hooks surround all of its stages."""
        if calls_forward_alone(chain.module):
            with torch.no_grad():
                self.output = chain.forward(self.leaves, at_stage=self._cut, run_stage=self._run)
        else:
            self.output = self._run_whole(chain, params)
        self.loss, self.error = chain.loss_and_error(self.output)

    def _run_whole(self, chain: Chain, params: Params) -> Tensor:
        """The output; the tangent by dual numbers from end to end, the pull-back by autograd."""
        self._whole = cut_at_stages(chain, params)
        self.places = [h.detach() for h in self._whole.places]
        if self._p is not None:
            with torch.no_grad(), forward_ad.dual_level():
                output = chain.forward(params, at_stage=lambda _, h: self._moved(h))
                output, self.tangent = forward_ad.unpack_dual(output)
        return self._whole.output.detach()

    def _moved(self, h: Tensor) -> Tensor:
        """The activation at a boundary as a dual number, with its own noise added."""
        value, before = forward_ad.unpack_dual(h)
        return forward_ad.make_dual(value, plus(before, self._noise_of(value)))

    def _noise_of(self, h: Tensor) -> Tensor:
        assert self._p is not None
        begin, self._used = self._used, self._used + h[0].numel()
        return self._p[:, begin : self._used].reshape(h.shape)

    def pull_back(self, signals: Sequence[Tensor]) -> dict[str, Tensor]:
        """The gradients for a signal at each boundary and the error at the output."""
        if self._whole is not None:
            return pull_back(self._whole, signals, self.error)
        self._grads = {}
        with torch.no_grad():
            for segment, signal in zip(self._segments, (*signals, self.error), strict=True):
                s, left = signal, sum(owns for _, owns in segment)
                for pull, owns in reversed(segment):
                    if left == 0:
                        break
                    left -= owns
                    s = pull(s, left > 0)
        return {
            name: self._grads[name] if name in self._grads else torch.zeros_like(q).detach()
            for name, q in self.leaves.items()
        }

    def _cut(self, _: int, h: Tensor) -> Tensor:
        self.places.append(h)
        self._segments.append([])
        if self._p is not None:
            self.tangent = plus(self.tangent, self._noise_of(h))
        return h

    def _run(self, module: nn.Module, x: Tensor) -> Tensor:
        """The module's output, its tangent moved and its pull-back kept."""
        if is_plain(module) and calls_forward_alone(module):
            for child in module._modules.values():  # `children()` leaves out a repeated module
                x = x if child is None else self._run(child, x)
            return x
        read = None if self._autocast else operation_of(module)
        if read is None or not read.operation.accepts(x):
            return self._by_autograd(module, x)
        return x if read.operation is IDENTITY else self._by_rule(read, x)

    def _by_rule(self, read: ModuleOperation, x: Tensor) -> Tensor:
        operation, weight, bias = read
        y, saved = operation.forward(x, weight, bias)
        if self.tangent is not None:
            self.tangent = operation.jvp(saved, self.tangent)
        names = self._names.get(id(weight)), self._names.get(id(bias))
        owns = names != (None, None)

        def pull(s: Tensor, wanted: bool) -> Tensor | None:
            to_x, to_weight, to_bias = operation.vjp(saved, s, (wanted, owns, owns))
            self._add(names[0], to_weight)
            self._add(names[1], to_bias)
            return to_x

        self._segments[-1].append((pull, owns))
        return y

    def _by_autograd(self, module: nn.Module, x: Tensor) -> Tensor:
        if self.tangent is not None:
            # The module is run twice, with the same random numbers.
            start = Generators(x.device) if self._replays else None
            with kept_buffers(module):
                self.tangent = _dual(module, x, self.tangent)
            if start is not None:
                start.restore()
        return self._record(module, x)

    def _record(self, module: nn.Module, x: Tensor) -> Tensor:
        """The module's output, to be pulled back by autograd."""
        owned = [q for q in module.parameters() if id(q) in self._names]
        start = x.detach().requires_grad_(x.is_floating_point())
        roots = [q for q in (start, *owned) if q.requires_grad]  # indices have no derivative
        with torch.enable_grad():
            y = _tensor(module, module(start.clone()))  # it may overwrite its input

        def pull(s: Tensor, wanted: bool) -> Tensor:
            if not y.requires_grad:  # it detaches its input
                return torch.zeros_like(start)
            grads = torch.autograd.grad(y, roots, s, allow_unused=True)
            for q, g in zip(roots, grads, strict=True):
                self._add(self._names.get(id(q)), g)
            to_start = grads[0] if roots[0] is start else None
            return torch.zeros_like(start) if to_start is None else to_start

        self._segments[-1].append((pull, bool(owned)))
        return y.detach()

    def _add(self, name: str | None, gradient: Tensor | None) -> None:
        """Add to a parameter's gradient; a parameter that is used twice gets the sum."""
        if name is not None and gradient is not None:
            gradient, before = dense(gradient), self._grads.get(name)
            self._grads[name] = gradient if before is None else before + gradient


def _dual(module: nn.Module, x: Tensor, t: Tensor) -> Tensor:
    """The tangent of module(x), by dual numbers."""
    with forward_ad.dual_level():
        moved = _tensor(module, module(forward_ad.make_dual(x.clone(), t)))
        y, tangent = forward_ad.unpack_dual(moved)
        return torch.zeros_like(y) if tangent is None else tangent


def _tensor(module: nn.Module, output: object) -> Tensor:
    """The output of a module inside a stage, if it is one tensor."""
    if isinstance(output, Tensor):
        return output
    kind = type(module).__name__
    raise UnsupportedError(
        f"{kind} puts out a {type(output).__name__}, and stages are run module by module, from one "
        f"tensor to the next: write a module whose forward calls {kind} and unpacks its output",
        network=True,
    )
