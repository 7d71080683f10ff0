"""The checks of a single estimate: what it returns, and that it changes nothing else."""

import copy
import dataclasses

import torch

from estimators.conformance.states import tensors_in
from estimators.conformance.trial import Trial
from estimators.core.contract import Estimate
from estimators.core.noise import stream

NEARBY = 1.0
"""A bound on the curvature of the cases' losses along a coordinate, over 8."""


def estimates(trial: Trial) -> None:
    """`estimate` returns an Estimate."""
    estimate = trial.first
    assert isinstance(estimate, Estimate), f"estimate gave {estimate!r:.80}, not an Estimate"


def is_frozen(trial: Trial) -> None:
    """A frozen dataclass whose fields all have a default."""
    is_frozen_setting(trial.estimator)


def is_frozen_setting(component: object) -> None:
    """The same of a component of any kind."""
    cls = type(component)
    frozen = dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert frozen, (
        f"{cls.__name__} is not a frozen dataclass: write @dataclass(frozen=True) above it"
    )
    assert cls() is not None
    same = hash(component) == hash(copy.copy(component))
    assert same, "equal settings must hash equally"


def has_names_and_shapes(trial: Trial) -> None:
    """There is one finite tensor for each parameter, of its shape, type and device."""
    grads, params = trial.first.grads, trial.case.params
    assert set(grads) == set(params), (
        f"grads has the names {sorted(grads)}, the parameters are {sorted(params)}"
    )
    for name, p in params.items():
        g = grads[name]
        assert g.shape == p.shape, f"{name} has shape {tuple(g.shape)}, not {tuple(p.shape)}"
        assert g.dtype == p.dtype, f"{name} is {g.dtype}, the parameter is {p.dtype}"
        assert g.device == p.device, f"{name} is on {g.device}, the parameter on {p.device}"
        assert g.isfinite().all(), f"{name} is not finite"


def reports_the_loss(trial: Trial) -> None:
    """`loss` is the objective's value at the point, (); or of second order in a difference's step
    off it, for a class that says so."""
    loss, true = trial.first.loss, trial.case.chain(trial.case.params)
    assert loss.shape == (), f"loss has shape {tuple(loss.shape)}; it must be one number"
    step = trial.estimator.difference_step(trial.case.params) or 0.0
    # v̄ᵀHv̄ h²/8 of a direction with E|v|² = d; an error of first order, h|g|/2, is larger.
    allowed = NEARBY * len(trial.exact) * step**2 if trial.estimator.reports_nearby_loss else 0.0
    assert torch.allclose(loss, true, atol=allowed + 1e-8), (
        f"loss is {loss.item()}, the objective's is {true.item()}"
    )


def repeats_with_the_seed(trial: Trial) -> None:
    """The same seed gives the same bits, since all noise comes from `rng`."""
    first, again = trial.first.grads, trial.again().grads
    for name, g in first.items():
        assert torch.equal(g, again[name]), (
            f"{name} differs between two draws of one seed: take all noise from rng"
        )


def leaves_inputs_alone(trial: Trial) -> None:
    """Parameters, state, module, batch and torch's global generator are not changed."""
    chain, params, state = trial.case.chain, trial.case.params, trial.fresh_state()
    tensors = {**tensors_in(state, "the state"), **chain.module.state_dict(keep_vars=True)}
    tensors |= {f"params[{n!r}]": p for n, p in params.items()}
    tensors |= {"x": chain.x, "y": chain.y}
    before = {name: (t.detach().clone(), t.requires_grad) for name, t in tensors.items()}
    global_state = torch.get_rng_state()
    trial.estimate(params, state, stream(0, "estimator"))
    for name, t in tensors.items():
        value, flag = before[name]
        assert torch.equal(t.detach(), value), (
            f"{name} was changed; an estimate must change none of its arguments"
        )
        assert t.requires_grad == flag, f"requires_grad of {name} was changed"
    for name, p in chain.module.named_parameters():
        assert p.grad is None, f"{name}.grad was filled; return the gradient instead"
    assert torch.equal(global_state, torch.get_rng_state()), (
        "torch's global generator was used; take all noise from rng"
    )


def leaks_no_graph(trial: Trial) -> None:
    """Nothing that is returned keeps autograd's graph."""
    estimate = trial.first
    returned = {**tensors_in(dict(estimate.grads), "grads"), "loss": estimate.loss}
    returned |= tensors_in(estimate.state, "state") | tensors_in(dict(estimate.info), "info")
    for name, t in returned.items():
        assert not t.requires_grad, f"{name} still requires grad: detach it"
