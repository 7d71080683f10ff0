"""One forward pass, stage by stage, that carries tangents and can be pulled back stage by stage.

Usual modules have a written rule for their tangent and their pull-back: a tangent then costs
what a forward pass costs, and nothing is spent on a graph of a few nodes. Any other module is
run on dual numbers, and recorded by autograd, by itself.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from estimators.core.contract import Params
from estimators.core.objective import Chain
from estimators.core.site import Site
from estimators.feedback._transport import replaced

Pull = Callable[[Tensor, bool], Any]
"""(signal at the output, whether that at the input is wanted) -> the signal at the input."""


class StagedPass:
    """A forward pass at `params`; with `p`, Σ_l J_l p_l as well, for p_l added at each boundary.

    `p` holds the p_l side by side, (B, Σ_l units). `chain` has boundaries: it is an
    `nn.Sequential` of at least two stages with parameters.
    """

    def __init__(self, chain: Chain, params: Params, p: Tensor | None = None) -> None:
        self.leaves = {name: q.detach().requires_grad_() for name, q in params.items()}
        self._names = {id(q): name for name, q in self.leaves.items()}
        self._segments: list[list[tuple[Pull, bool]]] = [[]]
        self._grads: dict[str, Tensor] = {}
        self.places: list[Tensor] = []
        """The activation at each boundary."""
        self.tangent: Tensor | None = None
        """Of the output, in the end."""
        self._p, self._used = p, 0
        with torch.no_grad(), replaced({m: self._staged(m) for m in chain.module.children()}):
            self.output = chain.forward(self.leaves, at_stage=self._cut)
        self._find_error(chain)

    def _find_error(self, chain: Chain) -> None:
        output = self.output.detach().requires_grad_()
        with torch.enable_grad():
            loss = chain.losses(output).mean()
        self.loss = loss.detach()
        (self.error,) = torch.autograd.grad(loss, output)
        """∂L/∂output, (B, ...), the mean over the batch included."""

    def pull_back(self, signals: Sequence[Tensor]) -> dict[str, Tensor]:
        """The gradients for a signal at each boundary and the error at the output."""
        self._grads = {}
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

    def add(self, parameter: Tensor | None, gradient: Tensor | None) -> None:
        """Take in a parameter's gradient; a parameter that is used twice gets the sum."""
        name = self._names.get(id(parameter))
        if name is not None and gradient is not None:
            before = self._grads.get(name)
            self._grads[name] = gradient if before is None else before + gradient

    def keep(self, pull: Pull, owns: bool = False) -> None:
        """Remember how the last module run is pulled back, and whether it owns parameters."""
        self._segments[-1].append((pull, owns))

    def _staged(self, stage: nn.Module) -> Callable[[Tensor], Tensor]:
        return lambda x: self._run(stage, x, type(stage).forward.__get__(stage))

    def _cut(self, _: int, h: Tensor) -> Tensor:
        self.places.append(h)
        self._segments.append([])
        if self._p is not None:
            begin, self._used = self._used, self._used + h[0].numel()
            p = self._p[:, begin : self._used].view(h.shape)
            self.tangent = p if self.tangent is None else self.tangent + p
        return h

    def _run(self, module: nn.Module, x: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        if type(module) is nn.Sequential:
            for child in module:
                x = self._run(child, x, child)
            return x
        rule = _RULES.get(type(module))
        y = NotImplemented if rule is None else rule(self, module, x)
        return self._by_autograd(module, x, run) if y is NotImplemented else y

    def _by_autograd(self, module: nn.Module, x: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        if self.tangent is not None:
            self.tangent = _dual(run, x, self.tangent)
        return self.record(module, x, run)

    def record(self, module: nn.Module, x: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        """The module's output, to be pulled back by autograd."""
        owned = [q for q in module.parameters() if id(q) in self._names]
        start = x.detach().requires_grad_(x.is_floating_point())
        roots = [q for q in (start, *owned) if q.requires_grad]  # classes or places have no slope
        with torch.enable_grad():
            y = run(start.clone())  # it may overwrite its input

        def pull(s: Tensor, wanted: bool) -> Tensor:
            if not y.requires_grad:  # it detaches its input
                return torch.zeros_like(start)
            found = torch.autograd.grad(y, roots, s, allow_unused=True)
            for q, g in zip(roots, found, strict=True):
                self.add(q, g)
            to_start = found[0] if roots[0] is start else None
            return torch.zeros_like(start) if to_start is None else to_start

        self.keep(pull, bool(owned))
        return y.detach()


def _dual(run: Callable[[Tensor], Tensor], x: Tensor, t: Tensor) -> Tensor:
    with forward_ad.dual_level():
        y, moved = forward_ad.unpack_dual(run(forward_ad.make_dual(x.clone(), t)))
        return torch.zeros_like(y) if moved is None else moved


# --- the rules: (pass, module, input) -> output, with the tangent moved and the pull-back kept ---

Rule = Callable[[StagedPass, Any, Tensor], Tensor]
_aten = torch.ops.aten


def _linear(run: StagedPass, m: nn.Linear, x: Tensor) -> Tensor:
    weight, bias = m.weight, m.bias  # of this pass: the module has others behind it
    if run.tangent is not None:
        run.tangent = nn.functional.linear(run.tangent, weight)

    def pull(s: Tensor, wanted: bool) -> Tensor | None:
        rows = s.reshape(-1, s.shape[-1])
        run.add(weight, rows.T @ x.reshape(-1, x.shape[-1]))
        run.add(bias, None if bias is None else rows.sum(0))
        return s @ weight.detach() if wanted else None

    run.keep(pull, True)
    return nn.functional.linear(x, weight, bias)


def _convolution(run: StagedPass, m: Any, x: Tensor) -> Tensor:
    if isinstance(m.padding, str) or m.padding_mode != "zeros":
        return NotImplemented
    weight, bias, still = m.weight, m.bias, (0,) * len(m.stride)
    how = (m.stride, m.padding, m.dilation, False, still, m.groups)
    if run.tangent is not None:
        run.tangent = torch.convolution(run.tangent, weight, None, *how)

    def pull(s: Tensor, wanted: bool) -> Tensor | None:
        sizes, mask = None if bias is None else [len(bias)], [wanted, True, bias is not None]
        found = _aten.convolution_backward(s, x, weight.detach(), sizes, *how, mask)
        run.add(weight, found[1])
        run.add(bias, found[2])
        return found[0]

    run.keep(pull, True)
    return torch.convolution(x, weight, bias, *how)


def _same(run: StagedPass, m: nn.Module, x: Tensor) -> Tensor:
    return m(x)


def _flatten(run: StagedPass, m: nn.Flatten, x: Tensor) -> Tensor:
    if run.tangent is not None:
        run.tangent = run.tangent.flatten(m.start_dim, m.end_dim)
    run.keep(lambda s, wanted: s.reshape(x.shape))
    return x.flatten(m.start_dim, m.end_dim)


def _pooled(run: StagedPass, m: nn.Module, x: Tensor) -> Tensor:
    """A linear map without parameters: what it does to a value it does to a tangent."""
    if run.tangent is not None:
        run.tangent = type(m).forward(m, run.tangent)
    return run.record(m, x, type(m).forward.__get__(m))


def _max_pool(run: StagedPass, m: Any, x: Tensor) -> Tensor:
    if m.return_indices:
        return NotImplemented
    how = (m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode)
    y, where = _aten.max_pool2d_with_indices(x, *how)
    if run.tangent is not None:
        picked = run.tangent.flatten(2).gather(2, where.flatten(2))
        run.tangent = picked.view_as(where)
    run.keep(lambda s, _: _aten.max_pool2d_with_indices_backward(s, x, *how, where))
    return y


# The Jacobians of a non-linearity and of a normalisation without weight are symmetric: forwards
# and backwards are the same product.


def _symmetric(run: StagedPass, y: Tensor, times: Callable[[Tensor], Tensor]) -> Tensor:
    if run.tangent is not None:
        run.tangent = times(run.tangent)
    run.keep(lambda s, _: times(s))
    return y


def _relu(run: StagedPass, m: nn.ReLU, x: Tensor) -> Tensor:
    y = torch.relu(x)
    return _symmetric(run, y, lambda t: _aten.threshold_backward(t, y, 0))


def _tanh(run: StagedPass, m: nn.Tanh, x: Tensor) -> Tensor:
    y = torch.tanh(x)
    return _symmetric(run, y, lambda t: _aten.tanh_backward(t, y))


def _sigmoid(run: StagedPass, m: nn.Sigmoid, x: Tensor) -> Tensor:
    y = torch.sigmoid(x)
    return _symmetric(run, y, lambda t: _aten.sigmoid_backward(t, y))


def _gelu(run: StagedPass, m: nn.GELU, x: Tensor) -> Tensor:
    how = m.approximate
    y = nn.functional.gelu(x, approximate=how)
    return _symmetric(run, y, lambda t: _aten.gelu_backward(t, x, approximate=how))


Backward = Callable[[Tensor, Tensor | None, list[bool]], tuple[Tensor, Tensor, Tensor]]
"""(signal, weight, which are wanted) -> gradients for input, weight and bias."""


def _normalised(
    run: StagedPass, m: Any, y: Tensor, backward: Backward, shape: Sequence[int]
) -> Tensor:
    weight, bias = m.weight, m.bias
    if run.tangent is not None:
        moved = backward(run.tangent.contiguous(), None, [True, False, False])[0]
        run.tangent = moved if weight is None else moved * weight.view(shape)

    def pull(s: Tensor, wanted: bool) -> Tensor:
        raw = None if weight is None else weight.detach()
        found = backward(s.contiguous(), raw, [True, weight is not None, bias is not None])
        run.add(weight, found[1])
        run.add(bias, found[2])
        return found[0]

    run.keep(pull, weight is not None or bias is not None)
    return y


def _layer_norm(run: StagedPass, m: nn.LayerNorm, x: Tensor) -> Tensor:
    shape, (weight, bias) = list(m.normalized_shape), (m.weight, m.bias)
    y, mean, rstd = torch.native_layer_norm(x, shape, weight, bias, m.eps)

    def backward(s: Tensor, w: Tensor | None, wanted: list[bool]) -> tuple:
        return _aten.native_layer_norm_backward(s, x, shape, mean, rstd, w, w, wanted)

    return _normalised(run, m, y, backward, shape)


def _group_norm(run: StagedPass, m: nn.GroupNorm, x: Tensor) -> Tensor:
    size = len(x), x.shape[1], x[0, 0].numel(), m.num_groups
    x = x.contiguous()
    y, mean, rstd = torch.native_group_norm(x, m.weight, m.bias, *size, m.eps)

    def backward(s: Tensor, w: Tensor | None, wanted: list[bool]) -> tuple:
        return _aten.native_group_norm_backward(s, x, mean, rstd, w, *size, wanted)

    return _normalised(run, m, y, backward, [-1, *[1] * (x.ndim - 2)])


def _batch_norm(run: StagedPass, m: Any, x: Tensor) -> Tensor:
    if not m.training and m.running_mean is not None:
        return NotImplemented
    y, mean, rstd = torch.native_batch_norm(x, m.weight, m.bias, None, None, True, 0.0, m.eps)
    eps = m.eps

    def backward(s: Tensor, w: Tensor | None, wanted: list[bool]) -> tuple:
        return _aten.native_batch_norm_backward(s, x, w, None, None, mean, rstd, True, eps, wanted)

    return _normalised(run, m, y, backward, [-1, *[1] * (x.ndim - 2)])


_RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Identity: _same,
    Site: _same,
    nn.Flatten: _flatten,
    nn.AvgPool1d: _pooled,
    nn.AvgPool2d: _pooled,
    nn.AdaptiveAvgPool1d: _pooled,
    nn.AdaptiveAvgPool2d: _pooled,
    nn.MaxPool2d: _max_pool,
    nn.LayerNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.ReLU: _relu,
    nn.Tanh: _tanh,
    nn.Sigmoid: _sigmoid,
    nn.GELU: _gelu,
}
