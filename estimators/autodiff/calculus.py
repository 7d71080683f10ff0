"""The derivatives that estimators share: reverse mode, forward mode, and between cuts.

`value_and_grad` is reverse mode, `push_forward` forward mode by dual numbers, which has less
overhead than `torch.func.jvp`. `signals_at_stages` are the derivatives by activations.
`cut_at_sites` and `cut_at_stages` run a network once with the graph cut at places, and `pull_back`
moves a signal given at each place back to the place before.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

import torch
from torch import Tensor
from torch.autograd import forward_ad

from estimators.core.contract import Coverage, Need, Params, UnsupportedError
from estimators.core.module_call import has_backward_hooks
from estimators.core.objective import Chain, Objective
from estimators.core.structure import PerNetwork
from estimators.core.vectors import dense

# The first dual number would import this, with a deprecation warning about torch's own code.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import_module("torch._decomp.decompositions_for_jvp")

Tangent = Callable[[Tensor], Tensor]
"""An activation's value -> the tangent added to it, same shape."""


def value_and_grad(objective: Objective, params: Params) -> tuple[Tensor, dict[str, Tensor]]:
    """(L(θ), ∇L(θ)), exact, by reverse mode."""
    leaves = _leaves(params)
    with objective.holding(leaves):
        with torch.enable_grad():
            loss = objective(leaves)
        if not loss.requires_grad:
            raise UnsupportedError(
                "this loss has no derivative, it does not depend on the parameters differentiably: "
                "choose an estimator that only computes it, such as spsa"
            )
        # No gradient is handed in: torch's checks of it cost as much as a small layer.
        grads = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return loss.detach(), {n: dense(g) for n, g in zip(leaves, grads, strict=True)}


def signals_at_stages(chain: Chain, params: Params) -> dict[str, Tensor]:
    """{boundary: ∂L/∂h, (B, ...)}, exact, by reverse mode; weights are not differentiated."""
    still = {name: p.detach() for name, p in params.items()}
    with chain.holding(still):
        output, places = joined_at_stages(chain, still)
        with torch.enable_grad():
            loss = chain.loss(output)
        grads = torch.autograd.grad(loss, places, materialize_grads=True)
    return by_boundary(chain, grads)


def joined_at_stages(chain: Chain, params: Params) -> tuple[Tensor, list[Tensor]]:
    """(output, the activation at each boundary), with the graph from the first boundary on."""
    places: list[Tensor] = []

    def keep(_: int, h: Tensor) -> Tensor:
        places.append(h if h.requires_grad else h.detach().requires_grad_())
        return places[-1].clone()  # an in-place non-linearity may come next

    with torch.enable_grad():
        output = chain.forward({n: p.detach() for n, p in params.items()}, at_stage=keep)
    return output, places


def by_boundary(chain: Chain, signals: Sequence[Tensor]) -> dict[str, Tensor]:
    """{boundary: its signal}, for signals in the order of the boundaries."""
    ends = (block[-1] for block in chain.blocks[:-1])
    return dict(zip(ends, signals, strict=True))


def push_forward(
    objective: Objective, params: Params, tangents: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """(L(θ), ∇L·v): the loss and its derivative along v, both ().

    Args:
        objective: The loss.
        params: θ by name.
        tangents: v, a tensor for each parameter, in their order.
    """
    with torch.no_grad(), forward_ad.dual_level():
        duals = {
            name: forward_ad.make_dual(p, v)
            for (name, p), v in zip(params.items(), tangents, strict=True)
        }
        loss, slope = forward_ad.unpack_dual(objective(duals))
        return loss, torch.zeros_like(loss) if slope is None else slope


def push_forward_from_sites(
    chain: Chain, params: Params, tangent: Tangent
) -> tuple[Tensor, Tensor]:
    """(ℓ, ℓ'): the losses, (B,), and their derivatives along tangents added at every site."""

    sites = 0

    def perturb(site: int, z: Tensor) -> Tensor:
        nonlocal sites
        sites = site + 1
        value, before = forward_ad.unpack_dual(z)
        u = tangent(value)
        # A copy, because an in-place non-linearity behind the site overwrites its tangent.
        return forward_ad.make_dual(value, u.clone() if before is None else before + u)

    with torch.no_grad(), forward_ad.dual_level():
        losses = chain.losses(chain.forward(_with_zero_bias_tangents(params), at_site=perturb))
        losses, slopes = forward_ad.unpack_dual(losses)
    if sites == 0:
        raise UnsupportedError(f"no Site() was passed; {Need.SITES.value} is needed")
    return losses, torch.zeros_like(losses) if slopes is None else slopes


def each_times(c: Tensor, u: Tensor) -> Tensor:
    """c_n u_n: a coefficient for each example, (B,), or one for all, (), times u (B, ...)."""
    if c.ndim and len(c) != len(u):
        raise UnsupportedError(
            f"a site's first axis must be the batch: it has {len(u)} rows for {len(c)} examples"
        )
    return c.view(c.shape + (1,) * (u.ndim - c.ndim)) * u


@dataclass(frozen=True, eq=False)
class Cut:
    """One forward pass whose graph ends and begins anew at every place."""

    params: dict[str, Tensor]
    places: list[Tensor]
    """The activation at each place, with the graph of the segment before it."""
    output: Tensor
    """The network's output, with the graph of the last segment."""
    losses: Tensor
    """(B,), or () if the objective is not separable."""

    @property
    def loss(self) -> Tensor:
        """L(θ), (), with the graph of the last segment, whatever mode the caller is in."""
        with torch.enable_grad():
            return self.losses.mean()


def cut_at_sites(chain: Chain, params: Params) -> Cut:
    """One forward pass, cut at the sites."""
    return _cut(chain, params, "at_site")


def cut_at_stages(chain: Chain, params: Params) -> Cut:
    """One forward pass, cut at the boundaries between stages."""
    return _cut(chain, params, "at_stage")


def output_error(cut: Cut) -> Tensor:
    """e = ∂L/∂output, (B, ...), the mean over the batch included."""
    return torch.autograd.grad(cut.loss, cut.output, retain_graph=True)[0]


def pull_back(
    cut: Cut, signals: Sequence[Tensor], error: Tensor | None = None
) -> dict[str, Tensor]:
    """Σ_l (∂z_l/∂θ)ᵀ s_l + (∂L/∂θ) between cuts: each signal stays in its own segment.

    A parameter behind the last place gets the exact gradient of the loss. The graph is freed, so
    that a cut can be pulled back once.

    Args:
        cut: The pass.
        signals: s_l for each place, shaped as its activation z_l.
        error: ∂L/∂output, if the caller has it.
    """
    end = cut.loss if error is None else cut.output
    return _pull(
        [*cut.places, end],
        [*signals, torch.ones_like(end) if error is None else error],
        cut.params,
    )


def coverage_between(cut: Cut) -> dict[str, Coverage]:
    """By parameter: "estimated" if a place is behind it, "exact" if the loss alone is."""
    exact = _connected([cut.loss], cut.params)
    estimated = _connected(cut.places, cut.params)
    return {
        name: "estimated" if name in estimated else "exact" if name in exact else "no signal"
        for name in cut.params
    }


_HAVE_BACKWARD_HOOKS = PerNetwork[bool]()
"""Whether a backward hook is registered in a network."""


def _cut(chain: Chain, params: Params, where: str) -> Cut:
    leaves, places = _leaves(params), []
    hooked = _HAVE_BACKWARD_HOOKS.get_or_make(chain, None, lambda: has_backward_hooks(chain.module))

    def cut(_: int, z: Tensor) -> Tensor:
        places.append(z)
        if not hooked or not z.requires_grad:
            return z.detach()
        # A hook expects a gradient at its module's input, as in the whole network. A copy,
        # because an in-place non-linearity may come next.
        return z.detach().requires_grad_().clone()

    with torch.enable_grad():
        output = chain.forward(leaves, **{where: cut})  # type: ignore[arg-type]
        if isinstance(output, Tensor) and not output.requires_grad:  # nothing behind is asked for
            output = output.detach().requires_grad_()
        return Cut(leaves, places, output, chain.losses(output))


def _with_zero_bias_tangents(params: Params) -> dict[str, Tensor]:
    """Biases with tangents of zero: without them, `addmm` falls back to slow rules in Python."""
    return {
        name: forward_ad.make_dual(p, torch.zeros_like(p)) if p.ndim == 1 else p
        for name, p in params.items()
    }


def _leaves(params: Params) -> dict[str, Tensor]:
    return {name: p.detach().requires_grad_() for name, p in params.items()}


def _pull(
    ends: Sequence[Tensor], signals: Sequence[Tensor], leaves: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    live = [(z, s) for z, s in zip(ends, signals, strict=True) if z.requires_grad]
    if not live:
        return {name: torch.zeros_like(p) for name, p in leaves.items()}
    grads = torch.autograd.grad(
        [z for z, _ in live],
        list(leaves.values()),
        [s for _, s in live],
        materialize_grads=True,
    )
    return {n: dense(g) for n, g in zip(leaves, grads, strict=True)}


def _connected(ends: Sequence[Tensor], leaves: Mapping[str, Tensor]) -> set[str]:
    live = [z for z in ends if z.requires_grad]
    if not live:
        return set()
    grads = torch.autograd.grad(
        live,
        list(leaves.values()),
        [torch.zeros_like(z) for z in live],
        allow_unused=True,
        retain_graph=True,
    )
    return {name for name, g in zip(leaves, grads, strict=True) if g is not None}
