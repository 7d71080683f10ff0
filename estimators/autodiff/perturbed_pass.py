"""One pass in which every site is perturbed: what perturbation of activations needs.

`perturb` chooses how to run it from the structure of the network, once for each network:

1. A plain sequence of operations of the table needs no interception and no confirmation.
2. Else torch's calls are intercepted, and tangents go to the last site; or to the loss, where
   examples are coupled, units have losses of their own, or a path goes round the last site.
3. Where a `torch.autograd.Function` without a rule is on the way, or something else that no rule
   follows, dual numbers run from end to end, which takes about twice as long.

The code of a module can hide an operation from the interception (a scripted function, a tensor's
`data`), which no look at the structure tells. So a way of the second kind is confirmed against
dual numbers in float64, where right ways agree to rounding and wrong ones do not.
"""

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction

from estimators.autodiff.calculus import cut_at_sites, pull_back
from estimators.autodiff.jvp_mode import NoRuleError
from estimators.autodiff.operations.table import reader_of
from estimators.autodiff.perturbed_engines import (
    DualNumbers,
    Engine,
    Noise,
    OperationByOperation,
    Perturbed,
    ToLastSite,
    ToLoss,
    need_sites,
)
from estimators.core.contract import Params
from estimators.core.module_call import ForwardAlone, under_autocast
from estimators.core.noise import signs
from estimators.core.objective import Chain
from estimators.core.structure import PerNetwork

__all__ = ["Noise", "Perturbed", "engine_of", "perturb", "unperturbed"]

RELATIVE = 1e-8
"""By how much two ways may differ in a tensor, against its largest entry. Each rounds to 2⁻⁵³
at every step, so that 10⁷ steps of one sign would be needed to reach it."""
CANCELLED = 1e-13
"""The same against the largest entry of all tensors, for a gradient that is zero but for the
rounding of terms that cancel, such as that of a bias before a normalisation."""


def perturb(chain: Chain, params: Params, noise: Noise, count: int = 1) -> Perturbed:
    """Run once, adding K = `count` tangents at every site."""
    choice = _CHOICES.get_or_make(chain, None, lambda: _Choice(chain, params))
    return choice.run(chain, params, noise, count)


def engine_of(chain: Chain, params: Params) -> Engine:
    """How `perturb` runs this network."""
    return _CHOICES.get_or_make(chain, None, lambda: _Choice(chain, params)).engine(chain, params)


def unperturbed(chain: Chain, params: Params) -> tuple[Perturbed, list[Tensor]]:
    """The pass alone, and the activation at each site.

    The coefficients are ℓ_n over their number, and the pull-back is that between sites.
    """
    cut = cut_at_sites(chain, params)
    need_sites(cut.places)
    losses = cut.losses.detach()
    alone = Perturbed(
        losses.mean(), losses / losses.numel(), [], lambda signals: pull_back(cut, signals)
    )
    return alone, [z.detach() for z in cut.places]


class _Choice:
    """How a network is run, worked out before any noise is drawn.

    So the draws of an estimator do not depend on whether its network was run before.
    """

    def __init__(self, chain: Chain, params: Params) -> None:
        self._calls = ForwardAlone(chain.module.modules())
        self._sequence: OperationByOperation | None = None
        self._others: dict[tuple, Engine] = {}
        if _separable(chain):
            try:
                self._sequence = OperationByOperation(chain)
                _outcome(self._sequence, chain, params)
            except NoRuleError:
                self._sequence = None

    def run(self, chain: Chain, params: Params, noise: Noise, count: int) -> Perturbed:
        if self._sequence is not None:
            try:
                return self._sequence.run(chain, params, noise, count)
            except NoRuleError:  # it has hooks by now, or fewer parameters are asked for
                pass
        return self._other(chain, params).run(chain, params, noise, count)

    def engine(self, chain: Chain, params: Params) -> Engine:
        if self._sequence is not None:
            try:
                _outcome(self._sequence, chain, params)
                return self._sequence
            except NoRuleError:
                pass
        return self._other(chain, params)

    def _other(self, chain: Chain, params: Params) -> Engine:
        """What serves the network as its modules are called now."""
        key = tuple(params), under_autocast(), self._calls.fingerprint()
        if key not in self._others:
            self._others[key] = _confirmed(chain, params)
        return self._others[key]


_CHOICES = PerNetwork[_Choice]()


def _separable(chain: Chain) -> bool:
    """Whether each example has one loss, which depends on that example alone."""
    return chain.separable and not chain.loss_units


def _confirmed(chain: Chain, params: Params) -> Engine:
    """The fastest interception whose numbers are those of dual numbers."""
    dual = DualNumbers()
    if under_autocast():
        return dual
    everything = {**dict(chain.module.named_parameters()), **params}
    try:
        # Near the parameters, not at them: behind a head or a gate of zero all ways look right.
        near, theta = chain.in_double_precision(everything)
        near, theta = near.moved(theta, _nearby)
        engines = _without_own_functions(near, theta)
        sure = _outcome(dual, near, theta) if engines else []
        for engine in engines:
            if _confirms(engine, near, theta, sure):
                return engine
    except (RuntimeError, TypeError):
        # The network or its loss holds numbers of another precision, and does not run in float64.
        return dual
    return dual


def _confirms(engine: Engine, chain: Chain, params: Params, sure: list[Tensor]) -> bool:
    try:
        outcome = _outcome(engine, chain, params)
    except NoRuleError:
        return False
    return agree(outcome[:1], sure[:1]) and agree(outcome[1:], sure[1:])


def _outcome(engine: Engine, chain: Chain, params: Params) -> list[Tensor]:
    """Coefficients and gradients of one pass, from signs that are always the same."""

    def fixed(_: int, z: Tensor) -> Tensor:
        rng = torch.Generator(z.device).manual_seed(0)
        return signs(z.numel(), z.dtype, z.device, rng).view(z.shape)

    perturbed = engine.run(chain, params, fixed, 1)
    return [perturbed.coefficients, *perturbed.pull_back(perturbed.noise).values()]


def _nearby(params: Params) -> dict[str, Tensor]:
    """Every weight moved, by about half of its usual size at the start, always the same."""
    rng = {p.device: torch.Generator(p.device).manual_seed(0) for p in params.values()}
    moved = {}
    for name, p in params.items():
        fan_in = p.shape[1:].numel()
        v = torch.empty_like(p, requires_grad=False).normal_(generator=rng[p.device])
        moved[name] = torch.add(p.detach(), v, alpha=0.5 * max(1, fan_in) ** -0.5)
    return moved


def agree(tensors: list[Tensor], sure: list[Tensor]) -> bool:
    """Whether tensors in float64 differ by rounding alone."""
    largest = [s.abs().max().item() if s.numel() else 0.0 for s in sure]
    cancelled = CANCELLED * max(largest)
    return all(
        bool(((t - s).abs() <= RELATIVE * size + cancelled).all())
        for t, s, size in zip(tensors, sure, largest, strict=True)
    )


def _without_own_functions(chain: Chain, params: Params) -> list[Engine]:
    """The interceptions that meet no `torch.autograd.Function` without a rule, fastest first.

    Its derivative need not be that of the operations inside it, which the interception sees.
    Before the first site nothing moves, and behind the last one of `ToLastSite` neither.
    """
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    places: list[Tensor] = []

    def cut_at_first(site: int, z: Tensor) -> Tensor:
        places.append(z if site else z.detach().requires_grad_())
        return places[-1].clone()  # it may be overwritten

    with torch.enable_grad():
        losses = chain.losses(chain.forward(leaves, at_site=cut_at_first))
    engines: list[Engine] = []
    if _separable(chain) and not _has_own_function(places[1:]):
        engines.append(ToLastSite())
    if not _has_own_function([losses]):
        engines.append(ToLoss())
    return engines


def _has_own_function(outputs: list[Tensor]) -> bool:
    """Whether the graph behind these tensors has a custom function that no rule covers."""
    nodes, seen = [y.grad_fn for y in outputs], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        if isinstance(node, BackwardCFunction):
            function = getattr(node, "_forward_cls", None)
            if reader_of(function) is None:
                return True
        seen.add(node)
        nodes += [before for before, _ in node.next_functions]
    return False
