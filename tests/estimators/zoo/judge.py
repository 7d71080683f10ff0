"""Whether an estimator serves a foreign network rightly, or refuses it in a sentence."""

from typing import Any

import torch
from torch import Tensor, nn

from estimators import (
    SPSA,
    ActivityForwardGradient,
    Backprop,
    Chain,
    ChannelDirected,
    Estimator,
    ForwardGradient,
    GuessAndTarget,
    ImplicitAdjoint,
    LocalLosses,
    Need,
    NodePerturbation,
    Params,
    UnsupportedError,
    require,
    stream,
)
from estimators.combine.guided_es import GuidedES
from estimators.core.contract import batched_draws_of
from estimators.core.wrapper import unwrapped
from estimators.measurement.inputs.subject import Subject, subject
from tests.estimators.zoo import references
from tests.estimators.zoo.foreign import Foreign, Network
from tests.estimators.zoo.site_reference import along_sites

ROUNDINGS = {torch.float64: 2**16, torch.float32: 2**12, torch.bfloat16: 16, torch.float16: 16}
"""How many rounding errors of one sign, of numbers of size 1, an entry may be off. A tiny network
takes some thousand operations; a difference of losses is divided by 2 ε = 1/500. In half
precision that many would hide any fault: errors of both signs come to the root of their number."""


def admitted(network: Network) -> Subject | str:
    """The network as `measure` takes it, or why it does not."""
    refusal = ""
    with network.open():
        for estimator in (Backprop(), SPSA()):
            try:
                return subject(network.module, network.loss, (network.x, network.y), estimator)
            except (ValueError, TypeError) as error:
                refusal = refusal or str(error)
    return refusal


def verdict(foreign: Foreign, network: Network, point: Subject, estimator: Estimator) -> str:
    """The refusal; empty where the estimate is right. Raises AssertionError otherwise."""
    chain, params = point.chain, point.params
    with network.open():
        try:
            require(estimator, chain, params)
        except UnsupportedError as error:
            return str(error)
        state = estimator.init(chain, params, _rng())
        _judge(foreign, chain, params, estimator, state)
    return ""


def _judge(
    foreign: Foreign, chain: Chain, params: Params, estimator: Estimator, state: Any
) -> None:
    grads = dict(estimator.estimate(chain, params, state, _rng()).grads)
    assert {n: g.shape for n, g in grads.items()} == {n: p.shape for n, p in params.items()}
    assert all(g.isfinite().all() for g in grads.values()), "not finite"
    exact = references.exact_gradient(foreign)
    expected = _expected(foreign, chain, params, estimator, state)
    if expected is not None:
        compare(grads, expected, foreign.precision)
    covered, target = estimator.coverage(chain, params), estimator.target(chain, params, state)
    aim = exact if target is None else target  # local losses are exact for their own loss
    compare(
        {n: grads[n] for n, how in covered.items() if how != "estimated"},
        {
            n: aim[n] if how == "exact" else torch.zeros_like(exact[n])
            for n, how in covered.items()
            if how != "estimated"
        },
        foreign.precision,
    )
    _readout_is_exact(chain.module, estimator, covered)
    for many in (None, exact):
        batch = batched_draws_of(estimator, chain, params, state, many, _rng())
        if batch is not None:
            stack = batch(2)
            compare({n: t[0] for n, t in stack.items()}, grads, foreign.precision)
    estimator.law(chain, params, state, exact)
    estimator.advance(chain, params, state, _rng())


def _expected(
    foreign: Foreign, chain: Chain, params: Params, estimator: Estimator, state: Any
) -> references.Grads | None:
    """The same draw by torch alone; None where there is no formula."""
    if isinstance(estimator, ActivityForwardGradient | NodePerturbation):
        return along_sites(estimator, foreign, chain, _rng())
    if isinstance(estimator, ForwardGradient) and estimator.per == "example":
        return references.along_examples(estimator, foreign, params, _rng())
    if isinstance(estimator, ChannelDirected):  # which of the tensors are layers, the chain says
        own_draw = _expected(foreign, chain, params, estimator.inner, state)
        return own_draw and estimator._smoothed(chain, params, own_draw)
    inner = unwrapped(estimator)
    if isinstance(inner, GuessAndTarget):
        # Its guesses have no formula here; a target that is its own guess is the gradient.
        own = GuessAndTarget(target_loss="global", guess="global", source="oracle")
        first = own.init(chain, params, _rng())
        itself = dict(own.estimate(chain, params, first, _rng()).grads)
        compare(itself, references.exact_gradient(foreign), foreign.precision)
        return None
    if isinstance(estimator, ImplicitAdjoint):
        # A phantom gradient is no derivative of the loss; that of its exact adjoint is.
        whole = ImplicitAdjoint(adjoint="ift")
        grads = dict(whole.estimate(chain, params, None, _rng()).grads)
        compare(grads, references.exact_gradient(foreign), foreign.precision)
        return None
    feedback = type(inner).__module__.startswith("estimators.feedback")
    if isinstance(inner, LocalLosses | GuidedES) or (feedback and not isinstance(inner, Backprop)):
        return None
    if {Need.DIFFERENTIABLE, Need.FORWARD_MODE} & {*estimator.needs()}:
        loss = references.linear_loss(references.exact_gradient(foreign), params)
    elif foreign.precision is not torch.float64:
        return None  # a difference of rounded losses is another one in another order of sums
    else:
        loss = references.plain_loss(foreign)
    return dict(estimator.estimate(loss, params, state, _rng()).grads)


def _readout_is_exact(module: nn.Module, estimator: Estimator, covered: Any) -> None:
    """Methods of feedback and local losses leave a linear readout its exact gradient."""
    package = type(estimator).__module__
    local = package.startswith(("estimators.feedback", "estimators.local"))
    last = list(module.named_modules())[-1]
    if local and type(last[1]) is nn.Linear and f"{last[0]}.weight" in covered:
        assert covered[f"{last[0]}.weight"] == "exact"


def compare(found: references.Grads, expected: references.Grads, dtype: torch.dtype) -> None:
    """Equal up to rounding, against 1 and the largest entry of all tensors."""
    assert found.keys() == expected.keys()
    largest = max((t.abs().max().item() for t in expected.values() if t.numel()), default=0.0)
    limit = ROUNDINGS[dtype] * torch.finfo(dtype).eps * max(largest, 1.0)
    for name, t in expected.items():
        off = (found[name] - t).abs().max().item() if t.numel() else 0.0
        assert off <= limit, f"{name} is off by {off:.3g} of {largest:.3g}"


def snapshot(network: Network) -> dict[str, Any]:
    """All that could be changed of a module, its batch and the generator, in comparable form."""
    module = network.module
    seen: dict[str, Any] = {
        "generator": torch.get_rng_state().numpy().tobytes(),
        "gradients": torch.is_grad_enabled(),
        "x": _numbers(network.x), "x.grad": network.x.is_leaf and network.x.grad is None,
    }  # fmt: skip
    for name, t in [*module.named_parameters(remove_duplicate=False), *module.named_buffers()]:
        seen[name] = id(t), t.requires_grad, t.grad is None, _numbers(t)
    for name, m in module.named_modules():
        hooks = (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._backward_pre_hooks)
        own = m.__dict__ if not isinstance(m, torch.jit.ScriptModule) else {}
        seen[f"{name} "] = (
            m.training, *map(len, hooks), type(m), sorted(own),
            [id(t) for t in own.values() if isinstance(t, Tensor)],
        )  # fmt: skip
    return seen


def _numbers(t: Tensor) -> Any:
    if isinstance(t, nn.parameter.UninitializedTensorMixin):
        return None
    return tuple(t.stride()), bytes(t.detach().contiguous().flatten().view(torch.uint8).tolist())


def _rng() -> torch.Generator:
    return stream(0, "probe")
